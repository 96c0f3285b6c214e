"""The commands: run, report, compare-flat, compare-kmeans, compare-faiss-api, engines."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bench import compare_faiss_api, compare_kmeans, datasets, results, runner
from bench.compare_kmeans import ENGINES as KMEANS
from bench.engines import ENGINES
from bench.tables import tables

EXAMPLES = """examples:
  python -m bench run --data sift-dev@20000 --engines faiss-flat,steep-flat --out results/a.jsonl
  python -m bench run --data synthetic-100000x96 --engines all --threads 1,2 --out results/b.jsonl
  python -m bench report results/*.jsonl --html curves.html --png curves.png
  python -m bench compare-flat --data sift-dev,minilm-dev --out results/flat.jsonl
  python -m bench compare-kmeans --repeats 2 --threads 2 --out results/kmeans.jsonl
  python -m bench compare-faiss-api --data sift-dev --repeats 2 --indexes Flat,IVF-Flat,HNSW
"""


def numbers(text: str) -> list[int]:
    """``1,2`` as [1, 2], all positive."""
    values = [int(part) for part in text.split(",")]
    if min(values) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: every number must be at least 1")
    return values


def names(text: str) -> list[str]:
    """``a,b`` as ["a", "b"]."""
    return [part for part in text.split(",") if part]


def engine_names(text: str) -> list[str]:
    """Engines of the registry by name; "all" for each of them."""
    chosen = list(ENGINES) if text == "all" else names(text)
    unknown = [name for name in chosen if name not in ENGINES and ":" not in name]
    if unknown:
        known = ", ".join(ENGINES)
        raise argparse.ArgumentTypeError(f"no engine {', '.join(unknown)}; there are: {known}")
    return chosen


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(required=True, metavar="command")

    measured = argparse.ArgumentParser(add_help=False)
    measured.add_argument("--data-root", type=Path, help="folder of the data sets [$STEEP_DATA]")
    measured.add_argument("--threads", type=numbers, default=[1, 2], help="e.g. 1,2")
    measured.add_argument("--repeats", type=int, default=5, help="interleaved rounds [5]")
    measured.add_argument("--queries", type=int, help="use only the first so many queries")
    measured.add_argument("--out", type=Path, help="append the results here, as JSON lines")

    run = commands.add_parser("run", parents=[measured], help="recall–QPS curves of some engines")
    run.add_argument("--data", required=True, help="name, folder, .hdf5 or synthetic-NxD; @rows")
    run.add_argument("--engines", type=engine_names, required=True, help="names, or all")
    run.add_argument("--k", type=int, default=10, help="neighbours wanted [10]")
    run.add_argument("--modes", type=names, default=list(runner.MODES), help="batch,single")
    run.add_argument("--timeout", type=float, default=3600.0, help="seconds for any one step")
    run.set_defaults(command=run_command)

    report = commands.add_parser("report", help="tables, a PNG and an HTML page from results")
    report.add_argument("results", nargs="+", type=Path)
    report.add_argument("--html", type=Path)
    report.add_argument("--png", type=Path, help="one picture a run: name.png, name-2.png, …")
    report.set_defaults(command=report_command)

    flat = commands.add_parser(
        "compare-flat", parents=[measured], help="exact search: steep beside faiss, ids verified"
    )
    flat.add_argument("--data", type=names, default=["sift-dev", "minilm-dev"])
    flat.add_argument("--k", type=numbers, default=[10, 100, 1000])
    flat.add_argument("--verify", type=int, default=200, help="queries given to the oracle [200]")
    flat.add_argument("--peak-gmacs", type=float, help="peak of one core, float32, GMAC/s")
    flat.add_argument("--peak-gmacs-u8", type=float, help="peak of one core, 8-bit, GMAC/s")
    flat.add_argument("--engines", type=engine_names, help="in place of faiss-flat and steep's")
    flat.set_defaults(command=flat_command)

    clusters = commands.add_parser(
        "compare-kmeans", parents=[measured], help="k-means: steep beside faiss, all points, equal iterations"
    )
    clusters.add_argument("--data", type=names, default=["sift-dev", "minilm-dev"])
    clusters.add_argument("--k", type=numbers, default=[4096, 1024], help="one for each data set, or for all")
    clusters.add_argument("--iterations", type=int, default=10)
    clusters.add_argument("--engines", type=names, default=list(KMEANS))
    clusters.set_defaults(command=kmeans_command)

    door = commands.add_parser(
        "compare-faiss-api", parents=[measured], help="one Faiss script through faiss and steep.faiss"
    )
    door.add_argument("--data", type=names, default=["sift-dev", "minilm-dev"])
    door.add_argument("--indexes", type=names, default=list(compare_faiss_api.descriptions(1, 16)))
    door.set_defaults(command=door_command)

    listing = commands.add_parser("engines", help="list the engines")
    listing.set_defaults(command=lambda _: print("\n".join(ENGINES)))
    return top


def run_command(options: argparse.Namespace) -> None:
    """Measure, keep the records, print the tables."""
    data = datasets.load(options.data, options.data_root)
    plan = runner.Plan(
        options.engines,
        options.threads,
        options.k,
        options.repeats,
        options.queries,
        tuple(options.modes),
        options.timeout,
    )
    records = runner.run(data, plan)
    kept = results.write(options.out, records) if options.out else list(records)
    print_runs(results.group(kept))


def print_runs(runs: list[results.Run]) -> None:
    """Print the tables of each run."""
    for run in runs:
        print(f"\n{run.title()}  ({run.header['date']})")
        for table in tables(run):
            print(f"\n{table.text()}")


def report_command(options: argparse.Namespace) -> None:
    """Tables to the terminal, pictures and page to their files."""
    from bench import chart, page  # matplotlib is slow to load and only needed here

    runs = results.read(options.results)
    print_runs(runs)
    if options.html:
        options.html.write_text(page.render(runs), encoding="utf-8")
    if options.png:
        for number, run in enumerate((r for r in runs if r.points), 1):
            stem = options.png.stem if number == 1 else f"{options.png.stem}-{number}"
            chart.save_png(run, options.png.with_stem(stem))


def flat_command(options: argparse.Namespace) -> None:
    """The exact-search gate; fails when an engine returns a wrong neighbour."""
    from bench import compare_flat

    plan = compare_flat.Plan(
        options.engines,
        options.threads,
        options.k,
        options.repeats,
        options.queries,
        options.verify,
        {"float32": options.peak_gmacs, "uint8": options.peak_gmacs_u8},
    )
    wrong = 0
    for name in options.data:
        records = compare_flat.run(datasets.load(name, options.data_root), plan)
        kept = results.write(options.out, records) if options.out else list(records)
        print(compare_flat.report(kept))
        wrong += sum(record.get("wrong", 0) for record in kept)
    if wrong:
        sys.exit(f"{wrong} neighbours differ from the oracle by more than float rounding")


def kmeans_command(options: argparse.Namespace) -> None:
    """The gate of k-means."""
    for at, name in enumerate(options.data):
        k = options.k[at % len(options.k)]
        plan = compare_kmeans.Plan(options.engines, options.threads, k, options.iterations, options.repeats)
        records = compare_kmeans.run(datasets.load(name, options.data_root), plan)
        kept = results.write(options.out, records) if options.out else list(records)
        print(compare_kmeans.report(kept))


def door_command(options: argparse.Namespace) -> None:
    """The gate of the Faiss interface."""
    plan = compare_faiss_api.Plan(options.indexes, options.threads, options.repeats, options.queries)
    for name in options.data:
        records = compare_faiss_api.run(datasets.load(name, options.data_root), plan)
        kept = results.write(options.out, records) if options.out else list(records)
        print(compare_faiss_api.report(kept))


def main() -> None:
    """Run a command; user errors end with one line."""
    options = parser().parse_args()
    try:
        options.command(options)
    except (OSError, ValueError) as error:
        sys.exit(f"bench: {error}")
    except KeyboardInterrupt:
        # Timings were written as they came; `report` shows what there is of an interrupted run.
        sys.exit(130)


if __name__ == "__main__":
    main()
