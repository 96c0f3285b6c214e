"""Many queries against an inverted file, list by list: each is decoded once for all its queries."""

# D, I and M are what Faiss calls distances, labels and parts.
# pyright: reportConstantRedefinition=false

import os
import pickle
import queue
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from steep import faiss
from steep.faiss.contrib.inspect_tools import get_invlist

METHODS = ("index", "pairwise_distances", "knn_function")


def _decoder(index: Any) -> tuple[Callable[[Any], Any], bool]:
    """What makes vectors of a list's codes, and whether those are off the list's centroid."""
    kind = type(index).__name__
    if kind == "IndexIVFFlat":
        return lambda codes: np.ascontiguousarray(codes).view(np.float32), False
    if kind == "IndexIVFPQ":
        return index.pq.decode, bool(index.by_residual)
    if kind == "IndexIVFScalarQuantizer":
        return index.sq.decode, bool(index.by_residual)
    raise RuntimeError(
        f"index type {kind} not supported: take IndexIVFFlat, IndexIVFPQ or IndexIVFScalarQuantizer"
    )


class _Search:
    """Queries, the lists that they go to, and their results."""

    def __init__(
        self, index: Any, xq: Any, k: int, method: str, q_assign: Any, functions: tuple[Any, Any]
    ) -> None:
        self.index, self.k, self.method = index, k, method
        self.xq = np.ascontiguousarray(xq, np.float32)
        self.pairwise, self.knn = functions
        self.decode, self.by_residual = _decoder(index)
        self.heap = faiss.ResultHeap(len(xq), k, keep_max=faiss.is_similarity_metric(index.metric_type))
        if q_assign is None:
            parts = range(0, len(xq), 65536)
            found = [index.quantizer.search(self.xq[at : at + 65536], index.nprobe)[1] for at in parts]
            q_assign = np.concatenate(found) if found else np.empty((0, index.nprobe), np.int64)
        # Row 0 is for the queries that have fewer lists than nprobe.
        rows = np.ascontiguousarray(q_assign, np.int64) + 1
        self.ends = faiss.matrix_bucket_sort_inplace(rows, nbucket=index.nlist + 1)[1:]
        self.queries = rows.ravel()

    def bucket(self, at: int) -> tuple[Any, ...]:
        """The queries of a list, and its ids and vectors."""
        some = self.queries[self.ends[at] : self.ends[at + 1]]
        ids, codes = get_invlist(self.index.invlists, at)
        if not some.size or not ids.size:
            return some, None, ids, None
        x = self.decode(codes)
        if self.by_residual:
            x = x + self.index.quantizer.reconstruct(at)
        return some, self.xq[some], ids, x

    def compute(self, at: int, extra: dict[str, Any]) -> tuple[Any, ...]:
        """Distances and ids of what a list has for its queries."""
        some, rows, ids, x = self.bucket(at)
        if rows is None:
            return at, some, None, None
        metric = self.index.metric_type
        if self.method == "pairwise_distances":
            return at, some, self.pairwise(rows, x, metric=metric), ids
        if self.method == "index":
            flat = faiss.IndexFlat(self.index.d, metric)
            flat.add(x)
            D, I = flat.search(rows, self.k)
        else:
            D, I = self.knn(rows, x, self.k, metric=metric, **extra)
        return at, some, D, np.where(I >= 0, ids[np.maximum(I, 0)], -1)

    def add(self, some: Any, D: Any, I: Any) -> None:
        """Keep the best of a list's results."""
        if D is not None:
            self.heap.add_result_subset(some, D, I)

    def _sizes(self) -> tuple[Any, ...]:
        return self.xq.shape, self.index.nprobe, self.index.nlist

    def save(self, path: str, completed: set[int]) -> None:
        """Write what is done to a file, which is replaced at once."""
        state = {"sizes": self._sizes(), "completed": completed, "rh": (self.heap.D, self.heap.I)}
        with open(path + ".tmp", "wb") as file:
            pickle.dump(state, file, -1)
        os.replace(path + ".tmp", path)

    def load(self, path: str) -> set[int]:
        """Go on where a file of one's own ends; which lists are done."""
        with open(path, "rb") as file:
            state = pickle.load(file)
        assert state["sizes"] == self._sizes(), f"{path} is of other queries or another index"
        self.heap.D[:], self.heap.I[:] = state["rh"]
        completed: set[int] = state["completed"]
        return completed


def _results(search: _Search, lists: list[int], ahead: int, workers: int) -> Iterator[tuple[Any, ...]]:
    """Results of lists, computed by `workers` threads, so many ahead of those that are taken."""
    names: queue.SimpleQueue[int] = queue.SimpleQueue()
    for worker in range(workers):
        names.put(worker)

    def compute(at: int) -> tuple[Any, ...]:
        worker = names.get()
        try:
            return search.compute(at, {"thread_id": worker} if workers > 1 else {})
        finally:
            names.put(worker)

    if not ahead:
        yield from (search.compute(at, {}) for at in lists)
        return
    with ThreadPoolExecutor(workers) as pool:
        waiting: list[Future[tuple[Any, ...]]] = []
        try:
            for at in lists:
                waiting.append(pool.submit(compute, at))
                if len(waiting) > ahead:
                    yield waiting.pop(0).result()
            while waiting:
                yield waiting.pop(0).result()
        finally:
            for future in waiting:
                future.cancel()


def big_batch_search(
    index: Any,
    xq: Any,
    k: int,
    method: str = "knn_function",
    pairwise_distances: Any = faiss.pairwise_distances,
    knn: Any = faiss.knn,
    verbose: int = 0,
    threaded: int = 0,
    use_float16: bool = False,
    prefetch_threads: int = 1,
    computation_threads: int = 1,
    q_assign: Any = None,
    checkpoint: str | None = None,
    checkpoint_freq: float = 7200,
    start_list: int = 0,
    end_list: int | None = None,
    crash_at: int = -1,
) -> tuple[Any, Any]:
    """Search an IndexIVFFlat, IndexIVFPQ or IndexIVFScalarQuantizer with very many queries.

    Parameters
    ----------
    method : {"knn_function", "pairwise_distances", "index"}
        How the vectors of a list are compared with its queries: by `knn`, `pairwise_distances`, or an index.
    threaded : int
        0 computes one list after the other; otherwise lists are computed ahead of those that are collected.
    computation_threads : int
        Of how many threads; more than one are named to `knn` as ``thread_id=``.
    q_assign : array of shape (nq, nprobe), optional
        The lists of each query.
    checkpoint : str, optional
        A file to begin from, and to write every `checkpoint_freq` seconds. Open only files of your own.
    start_list, end_list : int
        The lists to search.
    use_float16, prefetch_threads
        Change nothing here: they are for GPUs.
    crash_at : int
        Ends at a list by a ZeroDivisionError, to try checkpoints out.

    Returns
    -------
    D, I : arrays of shape (nq, k)
    """
    assert method in METHODS, f"method = {method!r}: expected one of {', '.join(METHODS)}"
    search = _Search(index, xq, k, method, q_assign, (pairwise_distances, knn))
    end_list = int(index.nlist) if end_list is None else end_list
    completed: set[int] = set()
    if checkpoint is not None:
        assert (start_list, end_list) == (0, index.nlist), "checkpoints are of all lists"
        if os.path.exists(checkpoint):
            completed = search.load(checkpoint)
    lists = [at for at in range(start_list, end_list) if at not in completed]
    saved = began = time.time()
    for at, some, D, I in _results(search, lists, 2 * threaded, computation_threads):
        if at == crash_at:
            raise ZeroDivisionError(f"crash_at = {at}")
        search.add(some, D, I)
        completed.add(at)
        if verbose:
            print(f"[{time.time() - began:.1f} s] list {at}/{index.nlist}", end="\r", flush=True)
        if checkpoint is not None and time.time() - saved > checkpoint_freq:
            search.save(checkpoint, completed)
            saved = time.time()
    search.heap.finalize()
    return search.heap.D, search.heap.I
