"""Vectors in k groups, by Faiss's names: `Kmeans`, `Clustering` and their kin over the core's k-means.

Whatever the core computes as Faiss does goes to it whole: many centroids by l2 into a flat index, and
spherical into one of inner products. Everything else (few centroids, other indexes, rounded or frozen
centroids, weights) is Lloyd's loop here, with the index that was given for assignments.
"""

# What callers pass is checked at run time too.
# pyright: reportUnnecessaryIsInstance=false

import sys
import time
from typing import Any

import numpy as np
import numpy.typing as npt

from steep import _steep
from steep.faiss import _random
from steep.faiss._arrays import (
    ClusteringIterationStatsVector,
    Float32Vector,
    Owned,
    copy_array_to_vector,
    pointed,
)
from steep.faiss._base import all_finite
from steep.faiss._distances import METRIC_INNER_PRODUCT, METRIC_L2, normalize_L2
from steep.faiss._flat import coarse
from steep.faiss._interrupts import watch
from steep.faiss._simd import get_num_gpus, threads
from steep.faiss._starts import (
    ClusteringInitialization,
    ClusteringInitMethod_AFK_MC2,
    ClusteringInitMethod_KMEANS_PLUS_PLUS,
    ClusteringInitMethod_RANDOM,
)

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]

#: What Faiss adds to the seed of each new start.
_REDO = 15486557
#: By how much the halves of a split group are moved apart, as a part of their coordinates.
_APART = np.float32(1 / 1024)


#: So few centroids are met by all vectors sooner than ruled out for them.
_FEW = 512


class ClusteringParameters(Owned):
    """How to cluster."""

    niter: int
    nredo: int
    seed: int
    min_points_per_centroid: int
    max_points_per_centroid: int
    check_input_data_for_NaNs: bool
    use_faster_subsampling: bool
    init_method: int
    afkmc2_chain_length: int
    early_stop_threshold: float
    use_super_kmeans: bool

    def __init__(self) -> None:
        self.niter, self.nredo, self.seed = 25, 1, 1234
        self.verbose = self.spherical = self.int_centroids = False
        self.update_index = self.frozen_centroids = False
        self.min_points_per_centroid, self.max_points_per_centroid = 39, 256
        self.decode_block_size = 32768
        self.check_input_data_for_NaNs, self.use_faster_subsampling = True, False
        self.init_method, self.afkmc2_chain_length = ClusteringInitMethod_RANDOM, 50
        self.early_stop_threshold, self.use_super_kmeans = 0.0, False

    def _take(self, other: "ClusteringParameters | None") -> None:
        if other is None:
            return
        if not isinstance(other, ClusteringParameters):
            raise TypeError(f"cp of type {type(other).__name__}: expected ClusteringParameters")
        fields = vars(ClusteringParameters()).keys() | vars(ProgressiveDimClusteringParameters()).keys()
        for name in fields & vars(other).keys() & vars(self).keys():
            setattr(self, name, getattr(other, name))


class ClusteringIterationStats(Owned):
    """What an iteration did. `imbalance_factor` is 1 for equal groups; NaN where it was not counted."""

    obj: float
    imbalance_factor: float
    nsplit: int
    time: float
    time_search: float

    def __init__(self, obj: float = 0.0, imbalance_factor: float = 0.0, nsplit: int = 0) -> None:
        self.obj, self.imbalance_factor, self.nsplit = obj, imbalance_factor, nsplit
        self.time = self.time_search = 0.0


def imbalance_factor(n: int, k: int, assign: Any) -> float:
    """How unequal the sizes of k groups are: 1 for equal ones, k for a single one."""
    sizes = np.bincount(pointed(assign, n, np.int64, "assign"), minlength=k).astype(np.float64)
    return float(k * np.square(sizes).sum() / max(sizes.sum() ** 2, 1))


def _size(k: int) -> int:
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)):
        raise TypeError(f"a size of type {type(k).__name__}: expected a whole number")
    return int(k)


class Clustering(ClusteringParameters):
    """k-means of vectors of `d` coordinates, with an index for assignments."""

    d: int
    k: int
    centroids: Float32Vector
    iteration_stats: ClusteringIterationStatsVector

    def __init__(self, d: int, k: int, cp: ClusteringParameters | None = None) -> None:
        super().__init__()
        self.d, self.k = _size(d), _size(k)
        self.centroids, self.iteration_stats = Float32Vector(), ClusteringIterationStatsVector()
        self._take(cp)

    def train(self, x: Any, index: Any, weights: Any = None) -> None:
        """Cluster vectors; the index takes the centroids.

        Parameters
        ----------
        x : float32 array of shape (n, d)
        index : an index of dimension d
            What finds the nearest centroids: emptied, and filled with them in the end.
        weights : array of shape (n,), optional
            What each vector counts for its centroid.
        """
        n, d = x.shape
        x = np.ascontiguousarray(x, np.float32)
        assert d == self.d, f"vectors have {d} coordinates, the clustering {self.d}"
        if weights is not None:
            weights = np.ascontiguousarray(weights, np.float32)
            assert weights.shape == (n,), f"weights have shape {weights.shape} for {n} vectors"
        self._cluster(x, index, weights)

    def train_encoded(self, x: Any, codec: Any, index: Any, weights: Any = None) -> None:
        """Cluster what codes stand for, of which `codec` is the index."""
        n, size = x.shape
        if x.dtype != np.uint8:
            raise TypeError(f"Input argument codes must be ndarray of dtype uint8, but found {x.dtype}")
        assert size == codec.sa_code_size(), f"codes have {size} bytes, the codec {codec.sa_code_size()}"
        assert codec.d == index.d, f"the codec has dimension {codec.d}, the index {index.d}"
        if weights is not None:
            weights = np.ascontiguousarray(weights, np.float32)
            assert weights.shape == (n,), f"weights have shape {weights.shape} for {n} vectors"
        self._cluster(codec.sa_decode(np.ascontiguousarray(x)), index, weights)

    def post_process_centroids(self) -> None:
        """Make the centroids of length 1, or whole numbers, where that is asked for."""
        self._put(self._finished(self.centroids.array.reshape(-1, self.d).copy()))

    def _put(self, centroids: Floats) -> None:
        self.centroids._put(np.array(centroids, np.float32).reshape(-1))

    def _finished(self, centroids: Floats) -> Floats:
        if self.spherical:
            normalize_L2(centroids)
        if self.int_centroids:
            np.round(centroids, out=centroids)
        return centroids

    def _cluster(self, x: Floats, index: Any, weights: Floats | None) -> None:
        n, k = len(x), self.k
        if n < k:
            text = f"Number of training points ({n}) should be at least as large as number of clusters ({k})"
            raise RuntimeError(text)
        if index.d != self.d:
            raise RuntimeError(f"Index dimension {index.d} not the same as data dimension {self.d}")
        if self.check_input_data_for_NaNs and not all_finite(x):
            raise RuntimeError("input contains NaN's or Inf's")
        x, weights = self._sample(x, weights)
        n = len(x)
        self.iteration_stats.clear()
        if n == k:
            if self.verbose:
                print(f"Number of training points ({n}) same as number of clusters, just copying")
            self._put(x)
            self.iteration_stats.push_back(ClusteringIterationStats(0.0, 1.0))
            self._fill(index, x, True)
            return
        if n < k * self.min_points_per_centroid:
            needed = k * self.min_points_per_centroid
            print(
                f"WARNING clustering {n} points to {k} centroids: "
                f"please provide at least {needed} training points",
                file=sys.stderr,
            )
        given = self.centroids.array.reshape(-1, self.d)[:k].copy()
        larger = self._metric(index) == METRIC_INNER_PRODUCT
        best: tuple[Floats, float] | None = None
        if self.verbose:
            print(
                f"Clustering {n} points in {self.d}D to {k} clusters, "
                f"redo {self.nredo} times, {self.niter} iterations"
            )
        for redo in range(self.nredo):
            began = time.perf_counter()
            first = self._finished(self._first(x, given, redo))
            found, stats = self._run(x, index, weights, (first, len(given)))
            for stat in stats:
                stat.time += time.perf_counter() - began if stat is stats[-1] else 0.0
            score = stats[-1].obj if stats else 0.0
            if self.verbose:
                print(f"  Start {redo}: {len(stats)} iterations, objective={score:g}")
            if best is None or (score > best[1] if larger else score < best[1]):
                best = (found, score)
                for stat in stats:
                    self.iteration_stats.push_back(stat)
        if best is None:
            raise RuntimeError(f"nredo = {self.nredo}: expected at least 1")
        self._put(best[0])
        self._fill(index, best[0], self.update_index)

    def _sample(self, x: Floats, weights: Floats | None) -> tuple[Floats, Floats | None]:
        most = self.k * self.max_points_per_centroid
        if len(x) <= most:
            return x, weights
        if self.verbose:
            print(f"Sampling a subset of {most} / {len(x)} for training")
        chosen = _random.permutation(len(x), max(self.seed, 0))[:most]
        return x[chosen], None if weights is None else weights[chosen]

    def _first(self, x: Floats, given: Floats, redo: int) -> Floats:
        """The centroids to begin with: those that are given, and vectors for the rest."""
        seed = max(self.seed, 0) + 1 + redo * _REDO
        rest = self.k - len(given)
        if self.init_method == ClusteringInitMethod_RANDOM or not rest:
            chosen = x[_random.permutation(len(x), seed)[len(given) : self.k]]
        else:
            start = ClusteringInitialization(self.d, rest)
            start.method, start.seed = self.init_method, seed
            start.afkmc2_chain_length = self.afkmc2_chain_length
            chosen = start.choose(x, given)
        return np.ascontiguousarray(np.concatenate([given, chosen]))

    def _metric(self, index: Any) -> int:
        return int(getattr(index, "metric_type", METRIC_L2))

    def _fill(self, index: Any, centroids: Floats, train: bool) -> None:
        if index.ntotal:
            index.reset()
        if train or not index.is_trained:
            index.train(centroids)
        index.add(np.ascontiguousarray(centroids, np.float32))

    def _native(self, index: Any, weights: Floats | None, frozen: int) -> str | None:
        """The core's metric, where its k-means is this one."""
        flat = type(index).__name__ in ("IndexFlat", "IndexFlatL2", "IndexFlatIP")
        if not flat or weights is not None or self.int_centroids or self.niter < 1:
            return None
        if (self.frozen_centroids and frozen) or self.early_stop_threshold > 0:
            return None
        kinds = {(METRIC_L2, False): "l2", (METRIC_INNER_PRODUCT, True): "ip"}
        return kinds.get((self._metric(index), bool(self.spherical)))

    def _run(
        self, x: Floats, index: Any, weights: Floats | None, start: tuple[Floats, int]
    ) -> tuple[Floats, list[ClusteringIterationStats]]:
        centroids, given = start
        metric = self._native(index, weights, given)
        if metric == "ip" and not (centroids != 0).any(axis=1).all():
            metric = None
        if metric is None or self.k <= _FEW:
            return self._lloyd(x, index, weights, centroids, given if self.frozen_centroids else 0)
        args = (self.niter, centroids, None, None, False, None, False, max(self.seed, 0), threads(), watch())
        found, objective, prices = _steep.kmeans(x, self.k, metric, *args)
        if metric == "ip":
            objective = -objective
        stats = [ClusteringIterationStats(float(obj), float("nan")) for obj in objective]
        labels, _ = _steep.kmeans_assign(x, found, prices, metric, threads(), watch())
        stats[-1].imbalance_factor = imbalance_factor(len(x), self.k, labels)
        return found, stats

    def _lloyd(
        self, x: Floats, index: Any, weights: Floats | None, centroids: Floats, frozen: int
    ) -> tuple[Floats, list[ClusteringIterationStats]]:
        self._fill(index, centroids, False)
        stats: list[ClusteringIterationStats] = []
        for _ in range(self.niter):
            began = time.perf_counter()
            far, labels = coarse(index, x, 1)
            took = time.perf_counter() - began
            labels = np.maximum(labels.reshape(-1), 0)
            centroids, sizes = means(x, labels, centroids, weights)
            split = self._split(centroids, sizes, len(x), frozen)
            centroids = self._finished(centroids)
            if frozen:
                centroids[:frozen] = self.centroids.array.reshape(-1, self.d)[:frozen]
            obj = float(far.sum(dtype=np.float64))
            stats.append(ClusteringIterationStats(obj, imbalance_factor(len(x), self.k, labels), split))
            stats[-1].time_search = took
            index.reset()
            if self.update_index:
                index.train(centroids)
            index.add(centroids)
            if len(stats) > 1 and abs(stats[-2].obj - obj) <= self.early_stop_threshold * abs(stats[-2].obj):
                break
        return centroids, stats

    def _split(self, centroids: Floats, sizes: npt.NDArray[np.float64], n: int, frozen: int) -> int:
        """Gives empty groups the half of one that is large; how many there were."""
        random, split = _random.RandomGenerator(1234), 0
        for empty in range(frozen, len(sizes)):
            if sizes[empty]:
                continue
            chances = np.maximum(sizes - 1, 0)
            chances[:frozen] = 0
            total = np.cumsum(chances)
            if total[-1] <= 0:
                break
            other = int(np.searchsorted(total, random.rand_float() * float(total[-1]), side="right"))
            other = min(other, len(sizes) - 1)
            sides = np.where(np.arange(self.d) % 2 == 0, _APART, -_APART)
            centroids[empty] = centroids[other] * (1 + sides)
            centroids[other] *= 1 - sides
            sizes[empty] = sizes[other] / 2
            sizes[other] -= sizes[empty]
            split += 1
        return split


def means(
    x: Floats, labels: Ids, centroids: Floats, weights: Floats | None = None
) -> tuple[Floats, npt.NDArray[np.float64]]:
    """The mean of each group's vectors, by weight, and what it weighs; empty ones stay where they were."""
    k, groups = len(centroids), np.ascontiguousarray(labels, np.int64)
    given = None if weights is None else np.ascontiguousarray(weights, np.float32)
    sums, sizes = _steep.faiss_sums(x, groups, k, given, threads())
    filled = sizes > 0
    moved = centroids.copy()
    moved[filled] = sums[filled] / sizes[filled, None]
    return moved, sizes


class Kmeans:
    """k-means of vectors of `d` coordinates in `k` groups.

    Further keyword arguments are fields of `ClusteringParameters`: niter, nredo, spherical, seed …;
    `progressive_dim_steps` makes it take more dimensions step by step.

    Attributes
    ----------
    centroids : float32 array of shape (k, d)
    obj : float64 array
        The objective of each iteration.
    iteration_stats : list of dict
    index : IndexFlat
        Of the centroids.
    """

    fac: "ProgressiveDimIndexFactory"
    k: int

    def __init__(self, d: int, k: int, **kwargs: Any) -> None:
        self.d = d
        self.gpu: int = False
        self.reset(k)
        self.cp: Any = self._parameters(kwargs)
        for name, value in kwargs.items():
            if name == "gpu":
                self.gpu = get_num_gpus() if value is True or value == -1 else value
                if self.gpu:
                    raise RuntimeError("there are no GPUs here: leave out gpu=")
                continue
            getattr(self.cp, name)  # a field that there is
            setattr(self.cp, name, value)
        self.set_index()

    def _parameters(self, kwargs: dict[str, Any]) -> Any:
        return (
            ProgressiveDimClusteringParameters()
            if "progressive_dim_steps" in kwargs
            else ClusteringParameters()
        )

    def set_index(self) -> None:
        """Make the index for assignments."""
        from steep import faiss

        if isinstance(self.cp, ProgressiveDimClusteringParameters):
            self.fac = ProgressiveDimIndexFactory()
            self.index: Any = None
        else:
            self.index = faiss.IndexFlatIP(self.d) if self.cp.spherical else faiss.IndexFlatL2(self.d)

    def reset(self, k: int | None = None) -> None:
        """Forget the centroids, and maybe take another number of them."""
        if k is not None:
            self.k = int(k)
        self.centroids: Any = None
        self.obj: Any = None
        self.iteration_stats: Any = None

    def train(self, x: Any, weights: Any = None, init_centroids: Any = None) -> float:
        """Cluster vectors of shape (n, d), with weights and first centroids where they are given.

        Returns
        -------
        float
            The last objective.
        """
        x = np.ascontiguousarray(x, np.float32)
        n, d = x.shape
        assert d == self.d, f"vectors have {d} coordinates, the clustering {self.d}"
        made: Any
        if isinstance(self.cp, ProgressiveDimClusteringParameters):
            assert weights is None and init_centroids is None and not self.cp.spherical, (
                "progressive dimensions go without weights, first centroids and spherical"
            )
            made = ProgressiveDimClustering(d, self.k, self.cp)
            made.train(n, x, self.fac)
        else:
            made = Clustering(d, self.k, self.cp)
            if init_centroids is not None:
                _, d2 = init_centroids.shape
                assert d2 == d, f"first centroids have {d2} coordinates, the vectors {d}"
                copy_array_to_vector(init_centroids.ravel(), made.centroids)
            made.train(x, self.index, weights)
        return self._learned(made)

    def _learned(self, made: Any) -> float:
        self.centroids = made.centroids.array.reshape(self.k, self.d).copy()
        stats = list(made.iteration_stats)
        self.obj = np.array([stat.obj for stat in stats])
        fields = ["obj", "time", "time_search", "imbalance_factor", "nsplit"]
        self.iteration_stats = [{field: getattr(stat, field) for field in fields} for stat in stats]
        return float(self.obj[-1]) if self.obj.size else 0.0

    def assign(self, x: Any) -> tuple[Floats, Ids]:
        """The distance of each vector from its nearest centroid, and which one that is."""
        x = np.ascontiguousarray(x, np.float32)
        assert self.centroids is not None, "should train before assigning"
        self.index.reset()
        self.index.add(self.centroids)
        D, I = self.index.search(x, 1)
        return D.ravel(), I.ravel()


def kmeans_clustering(d: int, n: int, k: int, x: Any, centroids: Any) -> float:
    """Cluster n vectors behind a pointer into k centroids behind another; the last objective."""
    from steep import faiss

    made = Clustering(d, k)
    made.verbose = d * n * k > 1 << 30
    made.train(pointed(x, n * d, np.float32, "x").reshape(n, d), faiss.IndexFlatL2(d))
    pointed(centroids, k * d, np.float32, "centroids")[:] = made.centroids.array
    return made.iteration_stats[-1].obj if made.iteration_stats.size() else 0.0


class ProgressiveDimClusteringParameters(ClusteringParameters):
    """How to cluster with more and more dimensions."""

    niter: int
    progressive_dim_steps: int
    apply_pca: bool

    def __init__(self) -> None:
        super().__init__()
        self.niter, self.progressive_dim_steps, self.apply_pca = 10, 10, True


class ProgressiveDimIndexFactory(Owned):
    """Makes the index of each number of dimensions."""

    def __call__(self, dim: int) -> Any:
        """A flat index of so many dimensions."""
        from steep import faiss

        return faiss.IndexFlatL2(dim)


class ProgressiveDimClustering(ProgressiveDimClusteringParameters):
    """k-means with the leading dimensions first, then with more and more of them."""

    d: int
    k: int
    centroids: Float32Vector
    iteration_stats: ClusteringIterationStatsVector

    def __init__(self, d: int, k: int, cp: ProgressiveDimClusteringParameters | None = None) -> None:
        super().__init__()
        self.d, self.k = d, k
        self.centroids, self.iteration_stats = Float32Vector(), ClusteringIterationStatsVector()
        self._take(cp)

    def train(self, n: int, x: Any, factory: Any) -> None:
        """Cluster n vectors, an array or a pointer."""
        from steep.faiss._transforms import PCAMatrix

        rows = pointed(x, n * self.d, np.float32, "x").reshape(n, self.d)
        pca = PCAMatrix(self.d, self.d)
        if self.apply_pca:
            pca.train(rows)
            rows = pca.apply(rows)
        most = self.k * self.max_points_per_centroid
        if n > most:
            rows = rows[_random.permutation(n, max(self.seed, 0))[:most]]
        centroids: Floats = np.empty((0, 0), np.float32)
        self.iteration_stats.clear()
        for step in range(1, self.progressive_dim_steps + 1):
            dim = max(int(self.d ** (step / self.progressive_dim_steps)), 1)
            dim = self.d if step == self.progressive_dim_steps else dim
            made = Clustering(dim, self.k, self)
            if centroids.size:
                made._put(np.pad(centroids, ((0, 0), (0, dim - centroids.shape[1]))))
            made.train(np.ascontiguousarray(rows[:, :dim]), factory(dim))
            centroids = made.centroids.array.reshape(self.k, dim)
            for stat in made.iteration_stats:
                self.iteration_stats.push_back(stat)
        if self.apply_pca:
            centroids = pca.reverse_transform(centroids)
        self.centroids._put(np.array(centroids, np.float32).reshape(-1))


__all__ = [
    "Clustering",
    "ClusteringInitMethod_AFK_MC2",
    "ClusteringInitMethod_KMEANS_PLUS_PLUS",
    "ClusteringInitMethod_RANDOM",
    "ClusteringInitialization",
    "ClusteringIterationStats",
    "ClusteringParameters",
    "Kmeans",
    "ProgressiveDimClustering",
    "ProgressiveDimClusteringParameters",
    "ProgressiveDimIndexFactory",
    "imbalance_factor",
    "kmeans_clustering",
]
