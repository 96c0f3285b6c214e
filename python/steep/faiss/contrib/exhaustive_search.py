"""Exact search of bases that come in parts, and range searches that find about as many as are wanted."""

# D, I and M are what Faiss calls distances, labels and parts.
# pyright: reportConstantRedefinition=false

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from steep import faiss

LOG = logging.getLogger(__name__)

knn: Callable[..., Any] = faiss.knn


def _no_gpus(ngpu: int) -> None:
    if ngpu > 0:
        raise RuntimeError(f"ngpu = {ngpu}: there are no GPUs here, pass 0")


def knn_ground_truth(
    xq: Any,
    db_iterator: Iterable[Any],
    k: int,
    metric_type: int = faiss.METRIC_L2,
    shard: bool = False,
    ngpu: int = -1,
) -> tuple[Any, Any]:
    """The k nearest vectors of a base that comes in parts: D and I of shape (nq, k)."""
    _no_gpus(ngpu)
    heap = faiss.ResultHeap(len(xq), k, keep_max=faiss.is_similarity_metric(metric_type))
    before = 0
    for part in db_iterator:
        D, I = faiss.knn(xq, part, k, metric_type)
        heap.add_result(D, np.where(I >= 0, I + before, -1))
        before += len(part)
        LOG.info("%d vectors searched", before)
    heap.finalize()
    return heap.D, heap.I


def range_ground_truth(
    xq: Any,
    db_iterator: Iterable[Any],
    threshold: float,
    metric_type: int = faiss.METRIC_L2,
    shard: bool = False,
    ngpu: int = -1,
) -> tuple[Any, Any, Any]:
    """All vectors within a threshold, of a base that comes in parts: lims, D and I."""
    _no_gpus(ngpu)
    xq = np.ascontiguousarray(xq, np.float32)
    nq, d = xq.shape
    index = faiss.IndexFlat(d, metric_type)
    queries: list[Any] = []
    far: list[Any] = []
    ids: list[Any] = []
    before = 0
    for part in db_iterator:
        index.add(part)
        lims, D, I = index.range_search(xq, threshold)
        index.reset()
        queries.append(np.repeat(np.arange(int(nq)), np.diff(lims).astype(np.int64)))
        far.append(D)
        ids.append(I + before)
        before += len(part)
        LOG.info("%d vectors searched", before)
    lims = np.zeros(nq + 1, np.uint64)
    if not queries:
        return lims, np.empty(0, np.float32), np.empty(0, np.int64)
    every = np.concatenate(queries)
    order = np.argsort(every, kind="stable")
    lims[1:] = np.cumsum(np.bincount(every, minlength=nq))
    return lims, np.concatenate(far)[order], np.concatenate(ids)[order]


def range_search_gpu(*_args: Any, **_kwargs: Any) -> Any:
    """Refused: the engine computes on CPUs."""
    raise RuntimeError("there are no GPUs here: use index.range_search(xq, radius)")


def _within(dis: Any, thresh: float, keep_max: bool) -> Any:
    return dis > thresh if keep_max else dis < thresh


def threshold_radius_nres(
    nres: Any, dis: Any, ids: Any, thresh: float, keep_max: bool = False
) -> tuple[Any, Any, Any]:
    """Results within a radius, where `nres` says how many each query has."""
    mask = _within(dis, thresh, keep_max)
    ends = np.concatenate([[0], np.cumsum(np.asarray(nres).astype(np.int64))])
    kept = np.concatenate([[0], np.cumsum(mask)])
    return np.diff(kept[ends]).astype(np.asarray(nres).dtype), dis[mask], ids[mask]


def threshold_radius(
    lims: Any, dis: Any, ids: Any, thresh: float, keep_max: bool = False
) -> tuple[Any, Any, Any]:
    """Results within a radius, where `lims` says where each query's begin."""
    nres, dis, ids = threshold_radius_nres(np.diff(lims), dis, ids, thresh, keep_max)
    new = np.zeros_like(lims)
    new[1:] = np.cumsum(nres)
    return new, dis, ids


def apply_maxres(res_batches: list[Any], target_nres: int, keep_max: bool = False) -> tuple[Any, int]:
    """Find the radius within which there are so many results, and keep those, in place."""
    every = np.concatenate([dis for _, dis, _ in res_batches])
    assert len(every) > target_nres, f"{len(every)} results are no more than {target_nres}"
    at = len(every) - 1 - target_nres if keep_max else target_nres
    radius = np.partition(every, at)[at].item()
    for i, (nres, dis, ids) in enumerate(res_batches):
        res_batches[i] = threshold_radius_nres(nres, dis, ids, radius, keep_max)
    return radius, sum(len(dis) for _, dis, _ in res_batches)


def range_search_max_results(
    index: Any,
    query_iterator: Iterable[Any],
    radius: float,
    max_results: float | None = None,
    min_results: float | None = None,
    shard: bool = False,
    ngpu: int = 0,
    clip_to_min: bool = False,
) -> tuple[Any, Any, Any, Any]:
    """Range search with a radius that shrinks whenever there are more than `max_results` in all.

    It then keeps `min_results`; with `clip_to_min` no more than those are left in the end.

    Returns
    -------
    radius, lims, D, I
    """
    _no_gpus(ngpu)
    if max_results is None and min_results is None:
        raise AssertionError("pass max_results or min_results")
    if min_results is None:
        min_results = int(0.8 * float(max_results or 0))
    elif max_results is None:
        max_results = int(1.5 * min_results)
    target, most = int(min_results), float(max_results or 0)
    similar = faiss.is_similarity_metric(index.metric_type)
    binary = isinstance(index, faiss.IndexBinary)
    batches: list[Any] = []
    total = 0
    for xq in query_iterator:
        lims, D, I = index.range_search(xq, radius)
        if binary:
            D = D.astype(np.int16)  # bits that differ, which Faiss hands out as floats
        batches.append((np.diff(lims), D, I))
        total += len(D)
        if total > most:
            radius, total = apply_maxres(batches, target, similar)
            LOG.info("radius set to %s, %d results left", radius, total)
    if clip_to_min and total > target:
        radius, total = apply_maxres(batches, target, similar)
    nres, dis, ids = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    lims = np.zeros(len(nres) + 1, np.uint64)
    lims[1:] = np.cumsum(nres)
    return radius, lims, dis, ids


def exponential_query_iterator(xq: Any, start_bs: int = 32, max_bs: int = 20000) -> Iterator[Any]:
    """Queries in batches that double, so that a radius adapts before there are too many results."""
    at, size = 0, start_bs
    while at < len(xq):
        yield xq[at : at + size]
        at += size
        if size < max_bs:
            size *= 2
