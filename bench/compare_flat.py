"""The gate of exact search: Steep beside Faiss's IndexFlat, ids checked against an f64 oracle."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product

import numpy as np

from bench import machine, truth
from bench.datasets import Dataset
from bench.results import Record, label
from bench.runner import MODES, Contestant, enter, header, say, speeds, weigh
from bench.tables import Table, number
from bench.worker import Request, Timing

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
    """Yield a "gate" record, a "flat" one per engine and setting, an "engine" one per engine."""
    identity = uuid.uuid4().hex[:12]
    base, queries = data.load("base"), data.load("queries")[: plan.queries]
    if len(queries) < 1000:
        say(f"only {len(queries)} queries: the gate is defined for batches of 1,000 or more")
    yield header("gate", identity, data, k=plan.ks, repeats=plan.repeats, queries=len(queries))
    with ExitStack() as stack:
        contestants = [
            enter(stack, name, data, max(plan.threads), plan.queries)
            for name in plan.engines or default_engines(data)
        ]
        checked = queries[: plan.verify]
        for k in plan.ks:
            right = truth.oracle(base, checked, k, data.metric)
            for threads, mode in product(plan.threads, MODES):
                say(f"k {k}, {threads} threads, {mode}")
                request = Request("all", mode, k, threads, {})
                for name, timings in _interleave(contestants, request, plan.repeats).items():
                    dtype = next(c.record["dtype"] for c in contestants if c.name == name)
                    speed = speeds(timings, mode)
                    yield {
                        "kind": "flat",
                        "run": identity,
                        "engine": name,
                        "dtype": dtype,
                        "k": k,
                        "threads": threads,
                        "mode": mode,
                        **speed,
                        # As if every query met every vector, whatever the engine really skips.
                        "gmacs": base.size * speed["qps_best"] / 1e9,
                        "peak_gmacs": plan.peaks.get(dtype),
                        **_verify(timings[0].ids, right, base, checked, data.metric),
                    }
        for contestant in contestants:
            weigh(contestant, len(base))
            yield contestant.record | {"run": identity}


def _interleave(contestants: list[Contestant], request: Request, repeats: int) -> dict[str, list[Timing]]:
    """Repetitions in turns, A B A B, by engine; an engine that fails is left out."""
    timings: dict[str, list[Timing]] = {}
    for _ in range(repeats):
        for contestant in contestants:
            timing = contestant.ask("search", request)
            if timing is not None:
                timings.setdefault(contestant.name, []).append(timing)
    return timings


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
    shape = f"{head['n']:,} × {head['d']} {head['metric']}, {head['queries']} queries"
    lines = [f"\nExact search on {label(head)}: {shape}, {head['machine']['cpu']}"]
    points = [r for r in records if r["kind"] == "flat"]
    reference = {_setting(r): r for r in points if r["engine"] == REFERENCE}
    rows = [_row(point, reference.get(_setting(point))) for point in points]
    columns = "engine,input,mode,k,threads,QPS best,median,× best,× median,GMAC/s,of peak"
    caption = f"Speed, and ratio to {REFERENCE}"
    lines.append(Table(caption, [*columns.split(","), "p50 µs", "p99 µs", "differ", "wrong"], rows).text())
    weighed = [r for r in records if r["kind"] == "engine"]
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
