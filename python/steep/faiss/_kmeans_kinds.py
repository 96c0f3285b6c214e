"""k-means of other kinds: of numbers, exactly; and Faiss's SuperKMeans, which the core's bounds stand for."""

from itertools import pairwise
from statistics import NormalDist
from typing import Any

import numpy as np

from steep.faiss._arrays import ClusteringIterationStatsVector, Float32Vector, Owned, pointed
from steep.faiss._base import require
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


def precompute_ad_thresholds(d: int, epsilon: float) -> Float32Vector:
    """How much of a distance is to be expected of its first coordinates.

    Of directions drawn at random the squares of p coordinates are distributed as χ² is (ADSampling: Gao, Long
    2023): its quantile that all but a part of `epsilon` are below, by Wilson and Hilferty, divided by d.
    Of no coordinates it is 0.
    """
    require(0 < epsilon < 1, "epsilon must be in (0, 1)")
    p, z = np.arange(1, d + 1), NormalDist().inv_cdf(1 - epsilon)
    spread = 2 / (9 * p)
    return Float32Vector.of(np.r_[0.0, p * (1 - spread + z * np.sqrt(spread)) ** 3 / d].astype(np.float32))


def super_kmeans_assign_iteration(
    X_tilde: Any, Y_tilde: Any, tau: Any, assignments: Any, d_prime: int, ad_coeff: Any, cp: Any
) -> tuple[int, int]:
    """Move vectors to centroids that are nearer, ruling most of these out by their first coordinates.

    Parameters
    ----------
    X_tilde, Y_tilde : float32 arrays of shapes (n, d) and (k, d)
        Vectors and centroids, turned at random.
    tau, assignments : float32 and int32 arrays of shape (n,)
        How far the centroid of each vector is, squared, and which one it is; both are updated.
    d_prime : int
        Coordinates that all pairs are compared by.
    ad_coeff : float32 array of shape (d + 1,)
        `precompute_ad_thresholds`.
    cp : SuperKMeansParameters
        `pdx_block_size` coordinates are added at a time to pairs that are left.

    Returns
    -------
    pairs, ruled_out : int
        How many pairs there are, and how many the first coordinates ruled out.
    """
    n, d = _given("X_tilde", X_tilde, np.float32, (None, None))
    k, _ = _given("Y_tilde", Y_tilde, np.float32, (None, d))
    for name, array, kind, size in (
        ("tau", tau, np.float32, n),
        ("assignments", assignments, np.int32, n),
        ("ad_coeff", ad_coeff, np.float32, d + 1),
    ):
        _given(name, array, kind, (size,))
    steps = [*range(d_prime, d, cp.pdx_block_size), d]
    ruled_out = 0
    for number, center in enumerate(Y_tilde):
        left, far = np.arange(n), np.zeros(n, np.float32)
        for begin, end in pairwise([0, *steps]):
            far = far + np.square(X_tilde[left, begin:end] - center[begin:end]).sum(axis=1)
            near = far <= ad_coeff[end] * tau[left]
            left, far = left[near], far[near]
            if begin == 0:
                ruled_out += n - len(left)
        nearer = far < tau[left]
        tau[left[nearer]], assignments[left[nearer]] = far[nearer], number
    return n * k, ruled_out


def _given(name: str, array: Any, kind: Any, shape: tuple[int | None, ...]) -> tuple[int, ...]:
    """The shape of an array that is read, or written to, as it lies."""
    if array.dtype != kind:
        raise TypeError(f"{name} of {array.dtype}: expected {np.dtype(kind)}")
    fits = array.ndim == len(shape) and all(
        want in (None, have) for have, want in zip(array.shape, shape, strict=True)
    )
    if not fits or not array.flags.c_contiguous:
        raise ValueError(f"{name} of shape {array.shape}: expected {shape}, C-contiguous")
    found: tuple[int, ...] = array.shape
    return found


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
    "precompute_ad_thresholds",
    "smawk",
    "super_kmeans_assign_iteration",
]
