"""How fast is each engine? Each is measured in a process of its own, on a given number of threads.

`python measure.py ENGINE THREADS FOLDER METRIC` prints one JSON object. The folder holds base.npy,
queries.npy, truth.npy (the true neighbours' rows), flat.steep and graph.steep.
"""

import functools
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

K = 10
ROUNDS = 2  # engines take turns, so that a busy minute of the machine does not fall on one of them
BATCHES = 3  # calls a round; the best counts, for other programs only ever add time
SECONDS = 2.0  # a measurement ends after this time, whatever is left
BLOCK = 64 << 20  # bytes of scores that NumPy computes at a time

# What the common BLAS and OpenMP libraries read when they are loaded.
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)

# Steep's kinds of index, and the name that each is measured by.
STEEP = {"steep": "flat", "steep graph": "graph"}

Result = dict[str, Any]
Array = np.ndarray[Any, Any]
Progress = Callable[[str, int, int], object]
Search = Callable[[Any], Any]  # queries (nq, d) -> ids (nq, k)


def engines(folder: Path) -> list[str]:
    """Name the engines that are installed here, and the kinds of index that the folder holds."""
    others = ["numpy", *(["faiss"] if importlib.util.find_spec("faiss") else [])]
    return others + [name for name, spec in STEEP.items() if (folder / f"{spec}.steep").exists()]


def all_engines(folder: Path, metric: str, progress: Progress) -> dict[tuple[str, int], Result]:
    """Measure every engine, on one thread and on all there are; the best round counts."""
    runs = [(engine, threads) for engine in engines(folder) for threads in sorted({1, all_threads()})]
    results: dict[tuple[str, int], Result] = {}
    for done, (engine, threads) in enumerate(runs * ROUNDS):
        progress("measuring", done, len(runs) * ROUNDS)
        new = run(engine, threads, folder, metric)
        old = results.get((engine, threads), new)
        new["qps"] = max(old["qps"], new["qps"])
        for percentile in ("p50_us", "p99_us"):
            new[percentile] = min(old[percentile], new[percentile])
        results[engine, threads] = new
    progress("measuring", 1, 1)
    return results


def all_threads() -> int:
    """Count the cores that this process may use, as Steep does."""
    import steep

    return steep.info()["threads"]


def run(engine: str, threads: int, folder: Path, metric: str) -> Result:
    """Measure an engine in a new process."""
    environment = os.environ | dict.fromkeys(THREAD_VARIABLES, str(threads))
    command = [sys.executable, __file__, engine, str(threads), str(folder), metric]
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{engine} on {threads} threads failed:\n{done.stderr}")
    result: Result = json.loads(done.stdout)
    return result


def steep_search(spec: str, folder: Path, threads: int, metric: str) -> tuple[Search, float]:
    """Open the index of this kind that the demo has saved."""
    import steep

    index = steep.open(folder / f"{spec}.steep", mmap=True)
    assert index.metric == metric
    bytes_per_vector = index.bytes["total"] / max(len(index), 1)
    return lambda q: index.search(q, K, threads=threads).ids, bytes_per_vector


def numpy_search(folder: Path, threads: int, metric: str) -> tuple[Search, float]:
    """Multiply, take the k best of each row, sort these: what one writes without an engine."""
    del threads  # set by the environment
    base = np.load(folder / "base.npy").astype(np.float32)
    if metric == "cosine":
        base /= np.linalg.norm(base, axis=1, keepdims=True)
    squares = np.einsum("nd,nd->n", base, base) if metric == "l2" else None

    def nearest(q: Any) -> Any:
        scores = q.astype(np.float32) @ base.T
        if squares is not None:
            scores = 2 * scores - squares
        k = min(K, len(base))
        found = np.argpartition(-scores, k - 1, axis=1)[:, :k]
        order = np.argsort(-np.take_along_axis(scores, found, axis=1), axis=1, kind="stable")
        return np.take_along_axis(found, order, axis=1)

    def search(q: Any) -> Any:
        rows = max(1, BLOCK // (4 * max(len(base), 1)))
        return np.concatenate([nearest(q[i : i + rows]) for i in range(0, len(q), rows)])

    return search, base.nbytes / max(len(base), 1)


def faiss_search(folder: Path, threads: int, metric: str) -> tuple[Search, float]:
    """The flat index of the engine that most people know."""
    import faiss

    faiss.omp_set_num_threads(threads)
    base = np.load(folder / "base.npy").astype(np.float32)
    if metric == "cosine":
        faiss.normalize_L2(base)
    index = faiss.IndexFlatL2(base.shape[1]) if metric == "l2" else faiss.IndexFlatIP(base.shape[1])
    index.add(base)
    return lambda q: index.search(q.astype(np.float32), K)[1], base.nbytes / max(len(base), 1)


def measure(engine: str, threads: int, folder: Path, metric: str) -> Result:
    """Time one call with all queries, then one query a call."""
    loads = {"numpy": numpy_search, "faiss": faiss_search}
    loads |= {name: functools.partial(steep_search, spec) for name, spec in STEEP.items()}
    search, bytes_per_vector = loads[engine](folder, threads, metric)
    queries, truth = np.load(folder / "queries.npy"), np.load(folder / "truth.npy")

    search(queries[:16])  # threads start and pages come in before the clock does
    began, batch = time.perf_counter(), []
    while len(batch) < BATCHES and (not batch or time.perf_counter() - began < SECONDS):
        start = time.perf_counter()
        found = search(queries)
        batch.append(time.perf_counter() - start)

    began, single = time.perf_counter(), []
    for i in range(len(queries)):
        start = time.perf_counter()
        search(queries[i : i + 1])
        single.append(time.perf_counter() - start)
        if time.perf_counter() - began > SECONDS:
            break

    truth = truth[:, : found.shape[1]]
    right = sum(len(set(a) & set(b)) for a, b in zip(found.tolist(), truth.tolist(), strict=True))
    return {
        "qps": len(queries) / min(batch),
        "p50_us": float(np.percentile(single, 50)) * 1e6,
        "p99_us": float(np.percentile(single, 99)) * 1e6,
        "calls": len(single),
        "bytes_per_vector": bytes_per_vector,
        "recall": right / truth.size,
    }


def float64_truth(base: Array, queries: Array, progress: Progress) -> Array:
    """Find the k nearest by cosine with plain NumPy in float64, ties by the lower row."""
    best = np.full((len(queries), 0), -np.inf)
    rows = np.zeros((len(queries), 0), np.int64)
    wide = queries.astype(np.float64)
    wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    for start in range(0, len(base), 8192):
        part = base[start : start + 8192].astype(np.float64)
        part /= np.linalg.norm(part, axis=1, keepdims=True)
        scores = wide @ part.T
        k = min(K, len(part))
        near = np.sort(np.argpartition(-scores, k - 1, axis=1)[:, :k], axis=1)
        best = np.hstack([best, np.take_along_axis(scores, near, axis=1)])
        rows = np.hstack([rows, start + near])
        order = np.argsort(-best, axis=1, kind="stable")[:, :K]
        best, rows = (np.take_along_axis(array, order, axis=1) for array in (best, rows))
        progress("exact neighbours, in float64", min(start + 8192, len(base)), len(base))
    return rows


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])))
