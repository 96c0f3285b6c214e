"""The gate of exact search: Steep beside Faiss's IndexFlat, ids checked against an f64 oracle."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from bench import engines, machine, truth
from bench.datasets import Dataset
from bench.results import Record
from bench.runner import MODES, say, speeds
from bench.tables import Table, number
from bench.worker import EngineFailed, Request, Timing, Worker

REFERENCE = "faiss-flat"


@dataclass(frozen=True)
class Plan:
    """`engines` None: the reference and Steep. `peaks`: GMAC/s of one core by input dtype."""

    engines: list[str] | None
    threads: list[int]
    ks: list[int]
    repeats: int
    queries: int | None
    verify: int
    peaks: dict[str, float | None]


def default_engines(data: Dataset) -> list[str]:
    """Integer data is given to Steep as it is, and once more widened as Faiss gets it."""
    integers = np.issubdtype(data.load("base", keep_integers=True).dtype, np.integer)
    return [REFERENCE, "steep-flat", *(["steep-flat-f32"] if integers else [])]


def run(data: Dataset, plan: Plan) -> Iterator[Record]:
    """Yield a "run", a "flat-engine" per engine and a "flat" record per engine and setting."""
    identity = uuid.uuid4().hex[:12]
    base, queries = data.load("base"), data.load("queries")[: plan.queries]
    if len(queries) < 1000:
        say(f"only {len(queries)} queries: the gate is defined for batches of 1,000 or more")
    yield {
        "kind": "run",
        "run": identity,
        "date": machine.now(),
        "machine": machine.describe(),
        "versions": machine.versions(("numpy",)),
        "data": data.name,
        "synthetic": data.synthetic,
        "metric": data.metric,
        "n": base.shape[0],
        "d": base.shape[1],
        "k": plan.ks,
        "repeats": plan.repeats,
        "queries": len(queries),
    }
    with ExitStack() as stack:
        workers: dict[str, Worker] = {}
        built: dict[str, Record] = {}
        for name in plan.engines or default_engines(data):
            record: Record = {"kind": "flat-engine", "run": identity, "engine": name}
            say(f"{name}: building")
            try:
                worker = Worker(name, data, max(plan.threads), plan.queries)
                stack.callback(worker.close)
                built[name] = worker.ask("build", max(plan.threads))
                workers[name] = worker
            except (EngineFailed, engines.Unavailable) as reason:
                say(f"{name}: {reason}")
                yield record | {"status": "failed", "reason": str(reason)}
        for k in plan.ks:
            checked = queries[: plan.verify]
            right = truth.oracle(base, checked, k, data.metric)
            for threads in plan.threads:
                for mode in MODES:
                    request = Request("all", mode, k, threads, {})
                    say(f"k {k}, {threads} threads, {mode}")
                    timings = _interleave(workers, request, plan.repeats)
                    for name, repeats in timings.items():
                        yield {
                            "kind": "flat",
                            "run": identity,
                            "engine": name,
                            "dtype": built[name]["dtype"],
                            "k": k,
                            "threads": threads,
                            "mode": mode,
                            **speeds(repeats, mode),
                            **_rates(repeats, mode, base.shape, built[name]["dtype"], plan.peaks),
                            **_verify(repeats[0].ids, right, base, checked, data.metric),
                        }
        for name, worker in workers.items():
            weighed = worker.ask("weigh")
            record = {"kind": "flat-engine", "run": identity, "engine": name, "status": "ok"}
            yield record | built[name] | weighed


def _interleave(
    workers: dict[str, Worker], request: Request, repeats: int
) -> dict[str, list[Timing]]:
    """Repetitions in turns: A B A B."""
    timings: dict[str, list[Timing]] = {name: [] for name in workers}
    for _ in range(repeats):
        for name, worker in workers.items():
            timings[name].append(worker.ask("search", request))
    return timings


def _rates(
    timings: list[Timing], mode: str, shape: tuple[int, int], dtype: str, peaks: dict
) -> Record:
    """GMAC/s of the best repetition as if every query met every vector, and share of the peak."""
    gmacs = shape[0] * shape[1] * speeds(timings, mode)["qps_best"] / 1e9
    return {"gmacs": gmacs, "peak_gmacs": peaks.get(dtype)}


def _verify(
    found: np.ndarray, right: np.ndarray, base: np.ndarray, queries: np.ndarray, metric: str
) -> Record:
    """Compare ids position by position with the oracle's.

    "differ" counts all positions that differ; "wrong" those whose distance is off by more than
    the rounding of a float32 computation through norms and a product (1e-6 of the norms).
    """
    rows = min(len(found), len(right))
    found, right, queries = found[:rows], right[:rows], queries[:rows]
    differ = wrong = 0
    for ids, true, query in zip(found, right, queries, strict=True):
        at = np.flatnonzero(ids != true)
        if not len(at):
            continue
        differ += len(at)
        missing = ids[at] < 0
        pairs = base[np.stack([np.maximum(ids[at], 0), true[at]])].astype(np.float64)
        keys = truth.distances(pairs, np.stack([query, query]), metric)
        norms = np.square(pairs).sum(-1).max(0) + np.square(query.astype(np.float64)).sum()
        wrong += int((missing | (np.abs(keys[0] - keys[1]) > 1e-6 * norms)).sum())
    return {"verified": rows, "differ": differ, "wrong": wrong}


def report(records: list[Record]) -> str:
    """The table of speeds and ratios against the reference, then memory and failures."""
    head = records[0]
    title = f"{head['data']}{' (synthetic)' if head['synthetic'] else ''}"
    lines = [f"\nExact search on {title}: {head['n']:,} × {head['d']} {head['metric']}, "]
    lines[0] += f"{head['queries']} queries, {head['machine']['cpu']}"
    points = [r for r in records if r["kind"] == "flat"]
    reference = {_setting(r): r for r in points if r["engine"] == REFERENCE}
    rows = [_row(point, reference.get(_setting(point))) for point in points]
    columns = "engine,input,mode,k,threads,QPS best,median,× best,× median,GMAC/s,of peak"
    caption = f"Speed, and ratio to {REFERENCE}"
    lines.append(
        Table(caption, [*columns.split(","), "p50 µs", "p99 µs", "differ", "wrong"], rows).text()
    )
    weighed = [r for r in records if r["kind"] == "flat-engine"]
    memory = [
        [
            r["engine"],
            f"{r['raw_mib']:.0f}",
            f"{r['index_bytes'] / machine.MIB:.0f}",
            f"{r['memory_peak_build_mib'] - r['memory_before_mib']:.0f}",
            f"{r['memory_peak_mib'] - r['memory_before_mib']:.0f}",
            f"{(r['memory_peak_mib'] - r['memory_before_mib']) / r['raw_mib']:.2f}",
        ]
        for r in weighed
        if r["status"] == "ok"
    ]
    columns = ["engine", "raw MiB", "index MiB", "peak: build", "+search", "+search / raw"]
    lines.append(Table("Memory over the caller's own vectors, MiB", columns, memory).text())
    lines += [f"{r['engine']}: {r['reason']}" for r in weighed if r["status"] != "ok"]
    return "\n\n".join(lines)


def _setting(record: Record) -> tuple:
    return record["k"], record["threads"], record["mode"]


def _row(point: Record, reference: Record | None) -> list[str]:
    def ratio(speed: str) -> str:
        return f"{point[speed] / reference[speed]:.2f}" if reference else "–"

    peak = point["peak_gmacs"]
    share = point["gmacs"] / (peak * point["threads"]) if peak else None
    return [
        point["engine"],
        point["dtype"],
        point["mode"],
        str(point["k"]),
        str(point["threads"]),
        number(point["qps_best"]),
        number(point["qps_median"]),
        ratio("qps_best"),
        ratio("qps_median"),
        number(point["gmacs"]),
        f"{share:.0%}" if share is not None else "–",
        *(number(point[key]) if key in point else "–" for key in ("p50_us", "p99_us")),
        str(point["differ"]),
        str(point["wrong"]),
    ]
