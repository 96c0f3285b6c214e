"""One Faiss script, two imports: train, add and search of common indexes by `faiss` and by `steep.faiss`."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench import machine
from bench.datasets import Dataset
from bench.results import Record, label
from bench.runner import header, say
from bench.tables import Table

DOORS = ("faiss", "steep.faiss")
RECALL = 0.95
K = 10


@dataclass(frozen=True)
class Plan:
    """What is run: each index through each door, in a process of its own, taking turns."""

    indexes: list[str]
    threads: list[int]
    repeats: int
    queries: int | None


def descriptions(n: int, d: int) -> dict[str, str]:
    """The common indexes, by name: the strings that both doors are given."""
    lists = 1 << int(np.log2(4 * np.sqrt(n)))
    parts = next(m for m in range(d // 2, 0, -1) if d % m == 0)
    coarse = next(m for m in range(d // 8, 0, -1) if d % m == 0)
    return {
        "Flat": "Flat",
        "IVF-Flat": f"IVF{lists},Flat",
        "IVFPQ": f"IVF{lists},PQ{coarse}np",  # polysemous codes, trained by default, are of no use in lists
        "IVFPQfs": f"IVF{lists},PQ{parts}x4fs",
        "IVFPQfs-RFlat": f"IVF{lists},PQ{parts}x4fs,RFlat",
        "SQ8": "SQ8",
        "IVF-SQ8": f"IVF{lists},SQ8",
        "HNSW": "HNSW32",
    }


def knobs(name: str) -> list[str]:
    """Settings from fast to thorough."""
    if name == "HNSW":
        return [f"efSearch={ef}" for ef in (16, 24, 32, 48, 64, 96, 128, 192, 256, 384)]
    if name == "IVFPQfs-RFlat":
        return [f"nprobe={p},k_factor_rf={f}" for p in (4, 8, 16, 32, 64, 128) for f in (4, 16)]
    if name.startswith("IVF"):
        return [f"nprobe={p}" for p in (1, 2, 4, 8, 16, 32, 64, 128)]
    return [""]


def run(data: Dataset, plan: Plan) -> Iterator[Record]:
    """Yield a "door-run" record, then a "door" record for each index, door, number of threads and round."""
    identity = uuid.uuid4().hex[:12]
    yield header("door-run", identity, data, repeats=plan.repeats, k=K)
    with tempfile.NamedTemporaryFile(suffix=".npy") as truth:
        np.save(truth, data.truth(K))
        truth.flush()
        yield from _rounds(data, plan, identity, truth.name)


def _rounds(data: Dataset, plan: Plan, identity: str, truth: str) -> Iterator[Record]:
    """Each index through each door, taking turns."""
    for threads in plan.threads:
        for name in plan.indexes:
            for _ in range(plan.repeats):
                for door in DOORS:
                    say(f"{name}, {threads} threads, {door}")
                    files = [str(data.file(which)) for which in ("base", "queries")]
                    request = [door, name, *files, data.metric, threads, plan.queries]
                    command = [sys.executable, "-m", "bench.compare_faiss_api", json.dumps(request)]
                    child = subprocess.run(
                        [*command, json.dumps(truth)], stdout=subprocess.PIPE, text=True, check=True
                    )
                    point = json.loads(child.stdout.splitlines()[-1])
                    yield {
                        "kind": "door",
                        "run": identity,
                        "index": name,
                        "door": door,
                        "threads": threads,
                    } | point


def measure(request: list[Any], truth_file: str) -> Record:
    """The script: the same lines for either door."""
    door, name, base, queries, metric, threads, most = request
    began = time.perf_counter()
    faiss = importlib.import_module(door)
    imported = time.perf_counter() - began
    faiss.omp_set_num_threads(threads)
    x, q = np.load(base), np.load(queries)[:most]
    truth = np.load(truth_file)[: len(q), :K]
    kind = faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT
    index = faiss.index_factory(x.shape[1], descriptions(*x.shape)[name], kind)
    began = time.perf_counter()
    index.train(x)
    trained = time.perf_counter() - began
    began = time.perf_counter()
    index.add(x)
    added = time.perf_counter() - began
    space, points = faiss.ParameterSpace(), []
    for setting in knobs(name):
        if setting:
            space.set_index_parameters(index, setting)
        index.search(q[:10], K)
        best = float("inf")
        for _ in range(2):
            began = time.perf_counter()
            _, found = index.search(q, K)
            best = min(best, time.perf_counter() - began)
        alone = q[: min(len(q), 200)]
        began = time.perf_counter()
        for query in alone:
            index.search(query[None], K)
        single = (time.perf_counter() - began) / len(alone)
        recall = np.mean([len(np.intersect1d(a, b)) for a, b in zip(found, truth, strict=True)]) / K
        points.append(
            {"setting": setting, "recall": float(recall), "qps": len(q) / best, "single_us": single * 1e6}
        )
    return {"import": imported, "train": trained, "add": added, "points": points}


def _at(points: list[Record], recall: float, value: str) -> float:
    """QPS or latency where the recall is first reached, the best of the settings that reach it."""
    enough = [point[value] for point in points if point["recall"] >= recall]
    if not enough:
        return float("nan")
    return max(enough) if value == "qps" else min(enough)


def report(records: list[Record]) -> str:
    """Ratios at the highest recall that both doors reach, 0.95 at most."""
    head, points = records[0], records[1:]
    rows = []
    for threads, name in dict.fromkeys((r["threads"], r["index"]) for r in points):
        rounds = {
            door: [r for r in points if (r["threads"], r["index"], r["door"]) == (threads, name, door)]
            for door in DOORS
        }
        top = min(max(p["recall"] for r in some for p in r["points"]) for some in rounds.values())
        recall = min(RECALL, top)
        best = {
            door: [
                min(r["train"] for r in some),
                min(r["add"] for r in some),
                max(_at(r["points"], recall, "qps") for r in some),
                min(_at(r["points"], recall, "single_us") for r in some),
            ]
            for door, some in rounds.items()
        }
        (train, add, qps, single), (our_train, our_add, our_qps, our_single) = (best[door] for door in DOORS)
        rows.append(
            [
                name,
                str(threads),
                f"{recall:.3f}",
                f"{train:.2f} → {our_train:.2f}",
                f"{add:.2f} → {our_add:.2f}",
                f"{qps:,.0f} → {our_qps:,.0f}",
                f"{our_qps / qps:.2f}",
                f"{single:,.0f} → {our_single:,.0f}",
                f"{single / our_single:.2f}",
            ]
        )
    columns = ["index", "threads", "recall", "train s", "add s", "QPS", "×", "one a call µs", "×"]
    title = f"faiss {machine.versions(('faiss-cpu',))['faiss-cpu']} → steep.faiss, the same script"
    return f"\n{label(head)}, {head['machine']['cpu']}\n\n" + Table(title, columns, rows).text()


if __name__ == "__main__":
    print(json.dumps(measure(json.loads(sys.argv[1]), json.loads(sys.argv[2]))))
