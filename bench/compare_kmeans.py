"""The gate of k-means: Steep beside Faiss, all points, equal iterations, the centroids judged by NumPy."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from bench import machine
from bench.datasets import Dataset
from bench.results import Record, label
from bench.runner import header, say
from bench.tables import Table

REFERENCE = "faiss-kmeans"
Engine = Callable[[np.ndarray, int, int, int, bool], np.ndarray]  # x, k, iterations, threads, spherical
JUDGED = 50_000  # points, evenly spread, whose distances to the final centroids are compared


@dataclass(frozen=True)
class Plan:
    """What is run: each engine in a process of its own, taking turns."""

    engines: list[str]
    threads: list[int]
    k: int
    iterations: int
    repeats: int


def faiss_kmeans(kind: str) -> Engine:
    """`faiss.Kmeans`, Lloyd's iterations by matrix products, or `faiss.SuperKmeans`, by partial distances."""

    def run(x: np.ndarray, k: int, iterations: int, threads: int, spherical: bool) -> np.ndarray:
        import faiss

        faiss.omp_set_num_threads(threads)
        options = {"niter": iterations, "spherical": spherical, "max_points_per_centroid": len(x), "seed": 1}
        found = getattr(faiss, kind)(x.shape[1], k, **options)
        found.train(x)
        return found.centroids

    return run


def steep_kmeans(hierarchical: bool) -> Engine:
    """Exact iterations from random vectors, as Faiss begins, or approximate ones in a hierarchy."""

    def run(x: np.ndarray, k: int, iterations: int, threads: int, spherical: bool) -> np.ndarray:
        import steep

        metric = "cosine" if spherical else "l2"
        options = {"start": "random", "hierarchical": hierarchical, "threads": threads, "seed": 1}
        return steep.kmeans(x, k, metric=metric, iterations=iterations, **options).centroids

    return run


ENGINES: dict[str, Engine] = {
    REFERENCE: faiss_kmeans("Kmeans"),
    "faiss-superkmeans": faiss_kmeans("SuperKmeans"),
    "steep-kmeans": steep_kmeans(False),
    "steep-kmeans-hierarchical": steep_kmeans(True),
}


def run(data: Dataset, plan: Plan) -> Iterator[Record]:
    """Yield a "kmeans-run" record, then one "kmeans" record for each engine, number of threads and round."""
    identity = uuid.uuid4().hex[:12]
    yield header("kmeans-run", identity, data, k=plan.k, repeats=plan.repeats, iterations=plan.iterations)
    for threads in plan.threads:
        for _ in range(plan.repeats):
            for engine in plan.engines:
                say(f"k {plan.k}, {threads} threads, {engine}")
                base = str(data.file("base"))
                request = [engine, base, data.metric, plan.k, plan.iterations, threads]
                command = [sys.executable, "-m", "bench.compare_kmeans", json.dumps(request)]
                child = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                yield {"kind": "kmeans", "run": identity, "engine": engine, "threads": threads} | json.loads(
                    child.stdout.splitlines()[-1]
                )


def measure(engine: str, base: str, metric: str, k: int, iterations: int, threads: int) -> Record:
    """Run one engine once: seconds, peak memory over the data, mean distance of the judged points."""
    x = np.load(base)
    machine.reset_peak()
    before, _ = machine.memory_mib()
    began = time.perf_counter()
    centroids = ENGINES[engine](x, k, iterations, threads, metric != "l2")
    seconds = time.perf_counter() - began
    peak = machine.memory_mib()[1] - before
    judged = x[:: max(1, len(x) // JUDGED)]
    return {"seconds": seconds, "peak_mib": peak, "objective": mean_distance(judged, centroids, metric)}


def mean_distance(x: np.ndarray, centroids: np.ndarray, metric: str) -> float:
    """Distance of each vector to its nearest centroid, in the mean: squared l2, or 1 - cos."""
    c = centroids.astype(np.float64)
    if metric != "l2":
        c /= np.linalg.norm(c, axis=1, keepdims=True)
    total = 0.0
    for block in np.array_split(x, max(1, len(x) // 1000)):
        block = block.astype(np.float64)
        if metric == "l2":
            near = np.square(block).sum(1) + (np.square(c).sum(1) - 2 * block @ c.T).min(1)
        else:
            near = 1 - (block @ c.T).max(1) / np.linalg.norm(block, axis=1)
        total += near.sum()
    return total / len(x)


def report(records: list[Record]) -> str:
    """The table of times and ratios against the reference."""
    head, points = records[0], records[1:]
    shape = (
        f"{head['n']:,} × {head['d']} {head['metric']}, k = {head['k']:,}, {head['iterations']} iterations"
    )
    rows = []
    for threads in sorted({r["threads"] for r in points}):
        times: dict[str, list[Record]] = {}
        for r in points:
            if r["threads"] == threads:
                times.setdefault(r["engine"], []).append(r)
        best = {engine: min(r["seconds"] for r in rounds) for engine, rounds in times.items()}
        for engine, rounds in times.items():
            ratio = best[REFERENCE] / best[engine] if REFERENCE in best else float("nan")
            objective = rounds[0]["objective"]
            against = objective / times[REFERENCE][0]["objective"] - 1 if REFERENCE in times else float("nan")
            rows.append(
                [
                    engine,
                    str(threads),
                    f"{best[engine]:.2f}",
                    f"{np.median([r['seconds'] for r in rounds]):.2f}",
                    f"{ratio:.2f}",
                    f"{objective:.6g}",
                    f"{against:+.3%}",
                    f"{rounds[0]['peak_mib']:.0f}",
                ]
            )
    columns = ["engine", "threads", "s best", "median", "×", "mean distance", "against", "peak MiB"]
    return (
        f"\nk-means on {label(head)}: {shape}, {head['machine']['cpu']}\n\n"
        + Table(f"Seconds, ratio to {REFERENCE}, and what the centroids are worth", columns, rows).text()
    )


if __name__ == "__main__":
    print(json.dumps(measure(*json.loads(sys.argv[1]))))
