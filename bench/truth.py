"""What is the right answer? Exact neighbours, recall with ties, and an f64 oracle."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import numpy as np

CHUNK_ROWS = 1 << 17

# (rows, queries, k, metric) -> (row numbers, keys), both (nq, k); a smaller key is nearer.
ExactSearch = Callable[[np.ndarray, np.ndarray, int, str], tuple[np.ndarray, np.ndarray]]


def distances(rows: np.ndarray, queries: np.ndarray, metric: str) -> np.ndarray:
    """f64 distances of each query to its own rows, smaller is nearer.

    `rows`: (nq, m, d), `queries`: (nq, d). Squared L2 for "l2"; 1 - cos for "cosine";
    -<q, x> for "ip". Returns (nq, m).
    """
    x = rows.astype(np.float64)
    q = queries.astype(np.float64)[:, None, :]
    if metric == "l2":
        return np.square(x - q).sum(-1)
    dots = (x * q).sum(-1)
    if metric == "ip":
        return -dots
    return 1.0 - dots / np.sqrt(np.square(x).sum(-1) * np.square(q).sum(-1))


def recall(found: np.ndarray, truth: np.ndarray, base: np.ndarray, queries: np.ndarray, metric: str) -> float:
    """Mean share of the true k neighbours found, 0..1.

    `found`: (nq, k) row numbers, -1 for none; `truth`: (nq, k). A row as near as the k-th true
    neighbour counts as right although the truth lists another one of the same distance: without
    this rule data with many equal distances punishes the engine that breaks ties differently.
    A row reported twice counts once.
    """
    found, truth = np.asarray(found), np.asarray(truth)
    k = truth.shape[1]
    hits = 0
    step = max(1, (1 << 24) // (k * base.shape[1]))
    for start in range(0, len(found), step):
        part = slice(start, start + step)
        limit = distances(base[truth[part]], queries[part], metric).max(1, keepdims=True)
        rows = np.sort(found[part], axis=1)
        valid = rows >= 0
        valid[:, 1:] &= rows[:, 1:] != rows[:, :-1]
        near = distances(base[np.maximum(rows, 0)], queries[part], metric) <= limit
        hits += int((near & valid).sum())
    return hits / truth.size


def nearest(base: np.ndarray, queries: np.ndarray, k: int, metric: str) -> np.ndarray:
    """Row numbers of the k exact nearest neighbours, (nq, k) int32, ties by the lower row.

    Computed chunk by chunk of `base` by steep, else faiss, else NumPy, so that a mapped file
    larger than the memory is no obstacle.
    """
    search = _exact_search()
    best_ids = np.empty((len(queries), 0), np.int64)
    best = np.empty((len(queries), 0), np.float32)
    for start in range(0, len(base), CHUNK_ROWS):
        rows = np.ascontiguousarray(base[start : start + CHUNK_ROWS])
        ids, keys = search(rows, queries, min(k, len(rows)), metric)
        best_ids = np.concatenate([best_ids, ids + start], axis=1)
        best = np.concatenate([best, keys], axis=1)
        order = np.lexsort((best_ids, best), axis=1)[:, :k]
        best_ids = np.take_along_axis(best_ids, order, 1)
        best = np.take_along_axis(best, order, 1)
    return best_ids.astype(np.int32)


def _exact_search() -> ExactSearch:
    for module, search in (("steep", _steep_search), ("faiss", _faiss_search)):
        try:
            importlib.import_module(module)
        except ImportError:
            continue
        return search
    return _numpy_search


def _steep_search(rows, queries, k, metric):
    import steep

    ids, keys = steep.build(rows, metric=metric, spec="flat").search(queries, k)
    return ids, keys


def _faiss_search(rows, queries, k, metric):
    import faiss

    kind = faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT
    keys, ids = faiss.knn(queries.astype(np.float32), rows.astype(np.float32), k, metric=kind)
    return ids, keys if metric == "l2" else -keys


def _numpy_search(rows, queries, k, metric):
    q, x = queries.astype(np.float32), rows.astype(np.float32)
    keys = -(q @ x.T)
    if metric == "l2":
        keys = 2 * keys + np.square(x).sum(1) + np.square(q).sum(1)[:, None]
    ids = np.argpartition(keys, k - 1, axis=1)[:, :k]
    return ids, np.take_along_axis(keys, ids, 1)


def oracle(base: np.ndarray, queries: np.ndarray, k: int, metric: str) -> np.ndarray:
    """The k nearest rows by f64 arithmetic, distances rounded to f32, ties by the lower row.

    Returns (nq, k) int64. Candidates come from an f64 matrix product; those within its rounding
    of the k-th are then computed afresh, term by term.
    """
    answer = np.empty((len(queries), k), np.int64)
    step = max(1, (1 << 25) // len(base))
    for start in range(0, len(queries), step):
        block = queries[start : start + step]
        for row, keys in enumerate(_products(base, block, metric), start):
            kth = np.partition(keys, k - 1)[k - 1]
            # Equal once rounded to f32 is a tie, so rows within f32's step are candidates too.
            near = np.flatnonzero(keys <= kth + 4e-7 * max(1.0, abs(kth)))
            exact = distances(base[near][None], queries[row : row + 1], metric)[0]
            answer[row] = near[np.lexsort((near, exact.astype(np.float32)))[:k]]
    return answer


def _products(base: np.ndarray, queries: np.ndarray, metric: str) -> np.ndarray:
    """f64 keys of all pairs by a matrix product, (nq, n); cosine without its constant 1."""
    q = queries.astype(np.float64)
    if metric == "cosine":
        q = q / np.linalg.norm(q, axis=1, keepdims=True)
    keys = np.empty((len(q), len(base)))
    for start in range(0, len(base), CHUNK_ROWS):
        x = base[start : start + CHUNK_ROWS].astype(np.float64)
        norms = np.square(x).sum(1)
        if metric == "cosine":
            x /= np.sqrt(norms)[:, None]
        dots = q @ x.T
        if metric == "l2":
            keys[:, start : start + len(x)] = norms + np.square(q).sum(1)[:, None] - 2 * dots
        else:
            keys[:, start : start + len(x)] = -dots
    return keys
