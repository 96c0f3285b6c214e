"""Which centroids serve each part of the coordinates? What `ProductQuantizer.train` does."""

from typing import Any

import numpy as np
import numpy.typing as npt

from steep import _steep
from steep.faiss._base import Floats, all_finite, require
from steep.faiss._kmeans import Clustering
from steep.faiss._simd import threads

#: What of `ClusteringParameters` only `Clustering` itself knows to do.
_DECISIVE = [
    "nredo",
    "spherical",
    "int_centroids",
    "update_index",
    "frozen_centroids",
    "init_method",
    "use_faster_subsampling",
    "early_stop_threshold",
]


def learned(pq: Any, x: Floats) -> Floats:
    """The centroids of all parts, from vectors."""
    shared = pq.train_type == pq.Train_shared
    if shared:
        x = x.reshape(-1, pq.dsub)
    text = "Number of training points ({}) should be at least as large as number of clusters ({})"
    require(len(x) >= pq.ksub, text.format(len(x), pq.ksub))
    require(all_finite(x), "input contains NaN's or Inf's")
    parts = 1 if shared else pq.M
    plain = type(pq.cp)()
    usual = all(getattr(pq.cp, name) == getattr(plain, name) for name in _DECISIVE if hasattr(plain, name))
    start = _start(pq, x.reshape(len(x), parts, pq.dsub))
    learn = _usual if usual and pq.cp.niter > 0 else _unusual
    centroids = learn(pq, x, parts, start)
    return np.tile(centroids, pq.M) if shared else centroids


def _usual(pq: Any, x: Floats, parts: int, start: Floats | None) -> Floats:
    """As `Clustering` does, but by the core and all parts at once."""
    cp, width = pq.cp, x.shape[1]
    clustering = Clustering(width, pq.ksub, cp)
    # The sample and the first centroids are those that Faiss takes, so that it comes to the same ones.
    x, _ = clustering._sample(x, None)
    if start is None:
        none = np.empty((0, width), np.float32)
        # Where there are no more vectors than centroids they are taken in their order.
        first = x if len(x) == pq.ksub else clustering._first(x, none, 0)
        start = first.reshape(pq.ksub, parts, pq.dsub).transpose(1, 0, 2).reshape(-1)
    seed, most = cp.seed & 0xFFFFFFFF, cp.max_points_per_centroid
    return _steep.faiss_train_product(x, parts, pq.nbits, cp.niter, seed, most, start, threads())


def _unusual(pq: Any, x: Floats, parts: int, start: Floats | None) -> Floats:
    """As `Clustering` does, with all that its parameters say."""
    from steep.faiss._flat import IndexFlatL2

    books: list[Floats] = []
    for m in range(parts):
        clustering = Clustering(pq.dsub, pq.ksub, pq.cp)
        if start is not None:
            size = pq.ksub * pq.dsub
            clustering.centroids._put(start[m * size : (m + 1) * size].copy())
        share = np.ascontiguousarray(x[:, m * pq.dsub : (m + 1) * pq.dsub])
        clustering.train(share, pq.assign_index or IndexFlatL2(pq.dsub))
        books.append(clustering.centroids.array.copy())
    return np.concatenate(books)


def _start(pq: Any, x: Floats) -> Floats | None:
    """Centroids to begin with, of x by parts."""
    kind = pq.train_type
    if kind == pq.Train_hot_start:
        values: Floats = pq._values
        return values
    if kind not in (pq.Train_hypercube, pq.Train_hypercube_pca) or pq.dsub < pq.nbits:
        return None
    bits = np.arange(int(pq.ksub))[:, None] >> np.arange(int(pq.nbits)) & 1
    corners = 2.0 * bits - 1
    books: list[npt.NDArray[np.float64]] = []
    for share in x.transpose(1, 0, 2).astype(np.float64):
        mean = share.mean(0)
        if kind == pq.Train_hypercube:
            sides = np.eye(pq.nbits, pq.dsub) * np.abs(mean).max()
        else:
            values, vectors = np.linalg.eigh(np.cov(share.T, bias=True).reshape(pq.dsub, pq.dsub))
            chosen = np.argsort(-values)[: pq.nbits]
            sides = (vectors[:, chosen] * np.sqrt(np.maximum(values[chosen], 0))).T
        books.append(mean + corners @ sides)
    return np.concatenate(books, axis=None).astype(np.float32)
