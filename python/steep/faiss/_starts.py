"""Where does k-means begin? First centroids by Faiss's names; and numbers, which have a best clustering."""

from typing import Any

import numpy as np
import numpy.typing as npt

from steep import _steep
from steep.faiss._arrays import Owned, pointed
from steep.faiss._simd import threads

Floats = npt.NDArray[np.float32]

ClusteringInitMethod_RANDOM = 0
ClusteringInitMethod_KMEANS_PLUS_PLUS = 1
ClusteringInitMethod_AFK_MC2 = 2


class ClusteringInitialization(Owned):
    """Chooses `k` vectors of `d` coordinates to begin with, by `method`."""

    d: int
    k: int
    method: int
    seed: int
    afkmc2_chain_length: int

    def __init__(self, d: int, k: int) -> None:
        self.d, self.k = d, k
        self.method, self.seed, self.afkmc2_chain_length = ClusteringInitMethod_RANDOM, 1234, 50

    def init_centroids(
        self, n: int, x: Any, centroids: Any, n_existing_centroids: int = 0, existing_centroids: Any = None
    ) -> None:
        """Choose among n vectors behind a pointer, apart from those that are chosen already."""
        if n < self.k:
            raise RuntimeError(
                f"Number of training points ({n}) should be at least as large as {self.k} centroids"
            )
        rows = pointed(x, n * self.d, np.float32, "x").reshape(n, self.d)
        given = np.empty((0, self.d), np.float32)
        if n_existing_centroids:
            size = n_existing_centroids * self.d
            given = pointed(existing_centroids, size, np.float32, "existing_centroids").reshape(-1, self.d)
        pointed(centroids, self.k * self.d, np.float32, "centroids")[:] = self.choose(rows, given).reshape(-1)

    def choose(self, x: Floats, given: Floats) -> Floats:
        """The chosen vectors."""
        random = np.random.default_rng(self.seed & 0xFFFFFFFF)
        if self.method == ClusteringInitMethod_RANDOM:
            return x[random.permutation(len(x))[: self.k]]
        if self.method == ClusteringInitMethod_KMEANS_PLUS_PLUS:
            return self._far(x, given, random)
        if self.method == ClusteringInitMethod_AFK_MC2:
            return self._chains(x, given, random)
        raise RuntimeError(f"method = {self.method}: expected 0 (random), 1 (k-means++) or 2 (AFK-MC²)")

    def _far(self, x: Floats, given: Floats, random: np.random.Generator) -> Floats:
        """k-means++ (Arthur, Vassilvitskii 2007): by the squared distance from those before."""
        chosen = np.empty((self.k, self.d), np.float32)
        nearest = _squares(x, given).min(axis=1) if len(given) else None
        for at in range(self.k):
            chosen[at] = x[_drawn(nearest, len(x), random)]
            squares = _squares(x, chosen[at : at + 1])[:, 0]
            nearest = squares if nearest is None else np.minimum(nearest, squares)
        return chosen

    def _chains(self, x: Floats, given: Floats, random: np.random.Generator) -> Floats:
        """AFK-MC² (Bachem et al. 2016): the same, approximately, by a chain of candidates for each."""
        chosen = np.empty((self.k, self.d), np.float32)
        first = 0
        if not len(given):
            chosen[0], first = x[random.integers(len(x))], 1
        known = np.concatenate([given, chosen[:first]])
        far = _squares(x, known).min(axis=1).astype(np.float64)
        total = far.sum()
        chance: npt.NDArray[np.float64] = np.full(len(x), 0.5 / len(x))
        chance += 0.5 * far / total if total > 0 else chance
        sums: npt.NDArray[np.float64] = np.cumsum(chance)
        for at in range(first, self.k):
            drawn = random.random(max(self.afkmc2_chain_length, 1)) * float(sums[-1])
            some = np.minimum(np.searchsorted(sums, drawn, side="right"), len(x) - 1)
            known = np.concatenate([given, chosen[:at]])
            worth = _squares(np.ascontiguousarray(x[some]), known).min(axis=1) / chance[some]
            here, steps = 0, random.random(len(some))
            for step in range(1, len(some)):
                if worth[here] == 0 or worth[step] > steps[step] * worth[here]:
                    here = step
            chosen[at] = x[some[here]]
        return chosen


def _squares(x: Floats, y: Floats) -> Floats:
    # The core goes through the rows for each query, so the few are the queries.
    few, many = (y, x) if len(y) < len(x) else (x, y)
    out = np.empty((len(few), len(many)), np.float32)
    _steep.faiss_squares(np.ascontiguousarray(few), many, out, threads())
    np.maximum(out, 0, out=out)
    return out.T if few is y else out


def _drawn(weights: Floats | None, n: int, random: np.random.Generator) -> int:
    if weights is None:
        return int(random.integers(n))
    sums = np.cumsum(weights, dtype=np.float64)
    if sums[-1] <= 0:
        return int(random.integers(n))
    return min(int(np.searchsorted(sums, random.random() * float(sums[-1]), side="right")), n - 1)


def best_split(values: Floats, k: int) -> tuple[Floats, float, npt.NDArray[np.int64]]:
    """The k means of numbers that have the least objective of all, that, and the sizes of their groups.

    Groups of sorted numbers are intervals. The best ends of j of them follow from those of j - 1, and the
    place where the last begins moves only forward with its end: divide and conquer over the ends, all of a
    level at once.
    """
    x = np.sort(values.astype(np.float64))
    n = len(x)
    shift = x.mean() if n else 0.0
    sums, squares = np.r_[0.0, np.cumsum(x - shift)], np.r_[0.0, np.cumsum((x - shift) ** 2)]

    def cost(begin: Any, end: Any) -> Any:
        count = np.maximum(end - begin, 1)
        return np.maximum(squares[end] - squares[begin] - (sums[end] - sums[begin]) ** 2 / count, 0)

    best = cost(np.zeros(n + 1, np.int64), np.arange(n + 1))
    begins = np.zeros((k, n + 1), np.int64)
    for groups in range(1, k):
        before, best = best, np.zeros(n + 1)
        begin = begins[groups]
        levels = [(groups + 1, n)]
        bounds = {levels[0]: (groups, n - 1)}
        while levels:
            ends = np.array([(low + high) // 2 for low, high in levels])
            lows = np.array([bounds[level][0] for level in levels])
            highs = np.minimum([bounds[level][1] for level in levels], ends - 1)
            found, places = _least(before, cost, ends, lows, np.maximum(highs, lows))
            best[ends], begin[ends] = found, places
            following: dict[tuple[int, int], tuple[int, int]] = {}
            for (low, high), middle, place in zip(levels, ends.tolist(), places.tolist(), strict=True):
                from_, to = bounds[low, high]
                if low < middle:
                    following[low, middle - 1] = (from_, place)
                if middle < high:
                    following[middle + 1, high] = (place, to)
            levels, bounds = list(following), following
    cuts = [n]
    for groups in range(k - 1, -1, -1):
        cuts.append(int(begins[groups, cuts[-1]]))
    edges = np.array(cuts[::-1])
    sizes = np.diff(edges)
    centroids = (sums[edges[1:]] - sums[edges[:-1]]) / np.maximum(sizes, 1) + shift
    return centroids.astype(np.float32), float(best[n]), sizes


def _least(before: Any, cost: Any, ends: Any, lows: Any, highs: Any) -> tuple[Any, Any]:
    """For each end the least cost over where the last group begins, and the first such place."""
    counts = highs - lows + 1
    starts = np.r_[0, np.cumsum(counts)[:-1]]
    places = np.arange(int(counts.sum())) - np.repeat(starts - lows, counts)
    costs = before[places] + cost(places, np.repeat(ends, counts))
    least = np.minimum.reduceat(costs, starts)
    hits = np.flatnonzero(costs == np.repeat(least, counts))
    first = hits[np.searchsorted(hits, starts)]
    return least, places[first]


__all__ = [
    "ClusteringInitMethod_AFK_MC2",
    "ClusteringInitMethod_KMEANS_PLUS_PLUS",
    "ClusteringInitMethod_RANDOM",
    "ClusteringInitialization",
]
