"""k-means of other kinds: of numbers, exactly; and Faiss's SuperKMeans, which the core's bounds stand for."""

from typing import Any

import numpy as np

from steep.faiss._arrays import ClusteringIterationStatsVector, Float32Vector, Owned, pointed
from steep.faiss._kmeans import Clustering, ClusteringIterationStats, ClusteringParameters, Kmeans
from steep.faiss._starts import best_split


class SuperKMeansParameters(ClusteringParameters):
    """Faiss's settings of SuperKMeans. Those of its pruning steer nothing: the core has bounds of its own."""

    d_prime_fraction: float
    d_prime_min: int
    d_prime_adjust: float
    pruning_target_low: float
    pruning_target_high: float
    ad_epsilon_factor: float
    pdx_block_size: int
    omp_chunk: int
    x_batch: int
    y_batch: int

    def __init__(self) -> None:
        super().__init__()
        self.d_prime_fraction, self.d_prime_min, self.d_prime_adjust = 0.125, 16, 0.2
        self.pruning_target_low, self.pruning_target_high = 0.95, 0.97
        self.ad_epsilon_factor, self.pdx_block_size, self.omp_chunk = 1.0, 64, 8
        self.x_batch, self.y_batch = 4096, 1024


class SuperKMeans(Owned):
    """k-means that rules centroids out by bounds: the core's, which does so exactly."""

    d: int
    k: int
    cp: SuperKMeansParameters
    centroids: Float32Vector
    gemm_pruning_rates: Float32Vector
    iteration_stats: ClusteringIterationStatsVector

    def __init__(self, d: int, k: int, cp: SuperKMeansParameters | None = None) -> None:
        self.d, self.k, self.cp = d, k, SuperKMeansParameters() if cp is None else cp
        self.centroids, self.gemm_pruning_rates = Float32Vector(), Float32Vector()
        self.iteration_stats = ClusteringIterationStatsVector()

    def train(self, x: Any, numeric_type: int = 0) -> None:
        """Cluster vectors of shape (n, d)."""
        from steep import faiss

        made = Clustering(self.d, self.k, self.cp)
        made.train(x, faiss.IndexFlatIP(self.d) if self.cp.spherical else faiss.IndexFlatL2(self.d))
        self.centroids, stats = made.centroids, list(made.iteration_stats)
        # The core ends where nothing changes any more: from there on iterations are alike.
        stats += stats[-1:] * (self.cp.niter - len(stats))
        if self.cp.spherical:
            norms = float(np.square(np.asarray(x, np.float64)).sum())
            for stat in {id(s): s for s in stats}.values():
                stat.obj = norms + len(x) - 2 * stat.obj
        self.iteration_stats = ClusteringIterationStatsVector(stats)
        # Faiss counts what its own pruning rules out; the core does not count.
        rates = np.full(len(stats), np.nan, np.float32)
        rates[:1] = 0
        self.gemm_pruning_rates._put(rates)


class SuperKmeans(Kmeans):
    """`Kmeans` by `SuperKMeans`; `gemm_pruning_rates` beside its attributes."""

    index: Any
    gemm_pruning_rates: Any

    def _parameters(self, kwargs: dict[str, Any]) -> Any:
        for name in kwargs:
            if name in ("progressive_dim_steps", "gpu"):
                raise AttributeError(f"'SuperKMeansParameters' object has no attribute {name!r}")
        return SuperKMeansParameters()

    def set_index(self) -> None:
        """Make the index for assignments."""
        from steep import faiss

        self.index = faiss.IndexFlatL2(self.d)

    def train(self, x: Any, weights: Any = None, init_centroids: Any = None) -> float:
        """Cluster vectors of shape (n, d); the last objective."""
        assert weights is None, "SuperKmeans does not support weights"
        assert init_centroids is None, "SuperKmeans does not support init_centroids"
        x = np.ascontiguousarray(x, np.float32)
        _, d = x.shape
        assert d == self.d, f"vectors have {d} coordinates, the clustering {self.d}"
        made = SuperKMeans(d, self.k, self.cp)
        made.train(x)
        self.gemm_pruning_rates = made.gemm_pruning_rates.array.copy()
        return self._learned(made)


class Clustering1D(Clustering):
    """k-means of numbers, which can be solved exactly."""

    def __init__(self, k: int, cp: ClusteringParameters | None = None) -> None:
        super().__init__(1, k, cp)

    def train_exact(self, x: Any) -> None:
        """Find the centroids of the least objective of all."""
        n, d = x.shape
        assert d == self.d, f"vectors have {d} coordinates: expected 1"
        if n < self.k:
            raise RuntimeError(
                f"Number of training points ({n}) should be at least as large as {self.k} clusters"
            )
        rows, _ = self._sample(np.ascontiguousarray(x, np.float32), None)
        centroids, obj, sizes = best_split(rows.reshape(-1), self.k)
        self._put(centroids)
        self.iteration_stats.clear()
        unequal = self.k * float(np.square(sizes.astype(np.float64)).sum()) / len(rows) ** 2
        self.iteration_stats.push_back(ClusteringIterationStats(obj, unequal))


def kmeans1d(x: Any, n: int, nclusters: int, centroids: Any) -> float:
    """Cluster n numbers exactly; the imbalance factor."""
    found, _, sizes = best_split(pointed(x, n, np.float32, "x"), nclusters)
    pointed(centroids, nclusters, np.float32, "centroids")[:] = found
    return nclusters * float(np.square(sizes.astype(np.float64)).sum()) / n**2


def smawk(nrows: int, ncols: int, x: Any, argmins: Any) -> None:
    """Where each row of a totally monotone matrix is least."""
    table = pointed(x, nrows * ncols, np.float32, "x").reshape(nrows, ncols)
    pointed(argmins, nrows, np.int64, "argmins")[:] = np.argmin(table, axis=1)


__all__ = [
    "Clustering1D",
    "SuperKMeans",
    "SuperKMeansParameters",
    "SuperKmeans",
    "kmeans1d",
    "smawk",
]
