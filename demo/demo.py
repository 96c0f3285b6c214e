"""Steep in two minutes: real texts, real vectors, exact neighbours, and how fast they are found.

On the texts of this machine: python demo/demo.py
On vectors of your own:       python demo/demo.py --data base.npy --queries q.npy
"""

import argparse
import json
import shutil
import time
from pathlib import Path
from typing import Any

import corpus
import embed
import measure
import numpy as np
import steep
from show import Progress, bold, faint, figures, good, heading, megabytes, say, table

HERE = Path(__file__).parent
CACHE = HERE / ".cache"
HELD_OUT = 1000  # texts kept out of the index, to be searched for
GRAPH_DIM = 4096  # the largest dimension of a graph; beyond it only exact search is shown
QUESTIONS = (
    "open a file and read all its lines",
    "convert a string to lower case",
    "remove duplicates from a list",
    "wait until all threads have finished",
    "number of days between two dates",
)


def main() -> None:
    """Tell the story, on this machine's texts or on the user's vectors."""
    style = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=style)
    parser.add_argument("--data", type=Path, help="vectors: .npy, .fvecs, .fbin, .u8bin, ...")
    parser.add_argument("--queries", type=Path, help="vectors to search for")
    metrics = ["l2", "ip", "cosine"]
    parser.add_argument("--metric", choices=metrics, default="cosine", help="what near means")
    options = parser.parse_args()
    if bool(options.data) != bool(options.queries):
        parser.error("--data and --queries go together")
    began = time.perf_counter()
    try:
        if options.data:
            own_vectors(options.data, options.queries, options.metric)
        else:
            texts_of_this_machine()
    except (OSError, ValueError) as error:
        raise SystemExit(f"error: {error}") from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    say()
    passed = time.perf_counter() - began
    say(faint(f"{passed:.0f} s in all. Your own vectors: make demo DATA=base.npy QUERIES=q.npy"))


def texts_of_this_machine() -> None:
    """Texts to vectors, questions in words, then the measurement."""
    heading(1, "Texts that every machine has")
    files = corpus.find()
    folder = CACHE / corpus.fingerprint(files, HERE / "corpus.py", HERE / "embed.py")
    if not (folder / "texts.json").exists():
        shutil.rmtree(CACHE, ignore_errors=True)  # of other texts
        prepare(files, folder)
    texts = [corpus.Text(*text) for text in json.loads((folder / "texts.json").read_text("utf-8"))]
    base = np.load(folder / "base.npy")
    say(f"{len(texts):,} doc-strings, comments and lines of code from {len(files):,} source files,")
    say("of Python's standard library and of the Rust crates that this machine has compiled.")
    if len(texts) < corpus.LIMIT * 0.9:
        say(faint(f"(The demo takes up to {corpus.LIMIT:,}; this machine has no more.)"))

    heading(2, "Vectors")
    size = megabytes(base.nbytes)
    say(f"{len(base):,} vectors of {base.shape[1]} dimensions, {size}: the sequences of 3 to 5")
    say("letters in each text, weighted by rarity, projected at random to few dimensions.")
    say(faint("demo/embed.py shows how; demo/.cache keeps them for the next time."))

    index = build(base, folder, "cosine")
    heading(4, "Ask in words")
    embedder = embed.Embedder(np.load(folder / "rarity.npy"))
    for question in QUESTIONS:
        began = time.perf_counter()
        hits = index.search(embedder.embed([question])[0], k=3)
        passed = (time.perf_counter() - began) * 1e3
        say()
        say(f"{bold(question)}  {faint(f'{passed:.1f} ms, embedding included')}")
        for row, score in zip(hits.ids.tolist(), hits.scores.tolist(), strict=True):
            text, where = texts[row]
            short = text if len(text) <= 76 else text[:75] + "…"
            say(f"  {good(f'{score:.2f}')}  {short}  {faint(where)}")
    say()
    say(faint("The score is the cosine: 1 is the same text. Spelling is compared, not meaning."))
    compare(folder, "cosine", f"{HELD_OUT:,} texts held out of the index", "NumPy in float64")


def prepare(files: list[corpus.File], folder: Path) -> None:
    """Read and embed the texts, and find the true neighbours; all are kept for the next time."""
    progress = Progress()
    texts = corpus.read(files, progress)
    step = max(2, len(texts) // HELD_OUT)
    held_out = [text.text for text in texts[::step]][:HELD_OUT]
    kept = [text for row, text in enumerate(texts) if row % step or row // step >= HELD_OUT]
    embedder = embed.Embedder.fit([text.text for text in kept], progress)
    base = embedder.embed([text.text for text in kept], progress)
    queries = embedder.embed(held_out)
    useful = queries.any(axis=1)  # letters enough for a direction
    folder.mkdir(parents=True)
    np.save(folder / "base.npy", base)
    np.save(folder / "queries.npy", queries[useful])
    np.save(folder / "truth.npy", measure.float64_truth(base, queries[useful], progress))
    np.save(folder / "rarity.npy", embedder.rarity)
    (folder / "texts.json").write_text(json.dumps(kept), "utf-8")  # last: now the folder is whole


def own_vectors(data: Path, queries: Path, metric: str) -> None:
    """Run the same measurement on vectors of the user's own."""
    heading(1, "Your vectors")
    base, asked = steep.read_vectors(data), steep.read_vectors(queries)
    shape = f"{base.shape[1]} dimensions, {base.dtype}"
    say(f"{len(base):,} vectors and {len(asked):,} queries of {shape}, metric {metric}")
    folder = CACHE / "own"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    np.save(folder / "base.npy", base)
    np.save(folder / "queries.npy", asked)

    heading(2, "True neighbours")
    began = time.perf_counter()
    truth = steep.ground_truth(base, asked, measure.K, metric, progress=Progress())
    np.save(folder / "truth.npy", truth.ids)
    say(f"the {measure.K} nearest of each query, exactly: {time.perf_counter() - began:.1f} s")

    index = build(base, folder, metric)
    heading(4, "The nearest of the first queries")
    ids, distances = index.search(asked[:3], k=5)
    rows = []
    for query in range(len(ids)):
        near = zip(ids[query].tolist(), distances[query].tolist(), strict=True)
        rows.append([f"query {query}", *(f"{row} ({distance:.4g})" for row, distance in near)])
    table(["row (distance)", *(f"{rank}." for rank in range(1, 6))], rows)
    compare(folder, metric, f"{len(asked):,} queries", "exact search by Steep")


def build(base: measure.Array, folder: Path, metric: Any) -> steep.Index:
    """Build an index of each kind, save it, open it again as another process would; the last one."""
    heading(3, "Build, save, open")
    kinds = [("flat", "exact search"), ("graph", "a graph, which finds most of the nearest")]
    if base.shape[1] > GRAPH_DIM:
        kinds.pop()
    for spec, what in kinds:
        path = folder / f"{spec}.steep"
        began = time.perf_counter()
        index = steep.build(base, metric=metric, spec=spec, progress=Progress())
        built = time.perf_counter()
        index.save(path)
        saved = time.perf_counter()
        index = steep.open(path, mmap=True)
        opened = time.perf_counter()
        size, open_ms = megabytes(path.stat().st_size), (opened - saved) * 1e3
        say(f"{what}: built in {built - began:.2f} s, saved in {saved - built:.2f} s ({size}),")
        say(f"opened in {open_ms:.1f} ms: the file is mapped, not read, and searched where it lies.")
        say(faint(repr(index)))
    return index


def compare(folder: Path, metric: str, queries: str, truth: str) -> None:
    """Measure the engines, one after the other, and print what each number means."""
    heading(5, f"The {measure.K} nearest of {queries}")
    say(faint("Each engine in a process of its own, in turn, two rounds: about a minute."))
    say()
    results = measure.all_engines(folder, metric, Progress())
    rows = []
    for (engine, count), result in results.items():
        plain = results["numpy", count]
        rows.append(
            [
                f"{engine}, {count} thread{'s' * (count > 1)}",
                figures(result["qps"]),
                figures(result["qps"] / plain["qps"]) + "x",
                figures(result["p50_us"]),
                figures(result["p99_us"]),
                figures(plain["p50_us"] / result["p50_us"]) + "x",
                figures(result["bytes_per_vector"]),
                f"{result['recall']:.4f}",
            ]
        )
    heads = ["", "QPS", "speed-up", "p50 µs", "p99 µs", "speed-up", "bytes/vector", "recall"]
    table(heads, rows, marked="steep")
    say()
    for name, meaning in (
        ("QPS", "queries a second, all in one call; the best of six calls, in two rounds"),
        ("p50, p99 µs", "one query a call: the median, and what 99 of 100 calls stay below"),
        ("speed-up", "over NumPy on as many threads: in one call; one query a call (p50)"),
        (
            "bytes/vector",
            "memory: the vectors, and with Steep codes that rule most of them out, or a graph",
        ),
        ("recall", f"part of the true {measure.K} nearest that was found; the truth: {truth}"),
    ):
        say(faint(f"{name:<13}  {meaning}"))


if __name__ == "__main__":
    main()
