"""Vectors in k groups: k-means."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from steep import _steep
from steep._types import Array, Distances, Ids, Metric, Progress


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Kmeans:
    """Centroids, as `kmeans` finds them.

    Attributes
    ----------
    centroids : float32 array of shape (k, dim)
        Means of their vectors; directions of length 1 under "cosine" and "ip".
    objective : float64 array of shape (iterations,)
        The sum of weight * distance over all vectors, to the centroids that each iteration began with:
        squared l2, 1 - cos or -<x, c>. Smaller is better.
    prices : float32 array of shape (k,) or (0,)
        What each centroid adds to the squared distance of a vector when it is looked for, where groups are
        balanced: under "cosine" and "ip" to that of the directions, 2 - 2 cos.
    metric : str
        "l2", "ip" or "cosine".

    Examples
    --------
    >>> import numpy as np, steep
    >>> x = np.array([[0, 0], [0, 1], [8, 8], [8, 9]], np.float32)
    >>> found = steep.kmeans(x, 2)
    >>> found
    Kmeans(k=2, dim=2, metric="l2", iterations=2, objective=1)
    >>> found.centroids[found.assign(x)[0]]
    array([[0. , 0.5],
           [0. , 0.5],
           [8. , 8.5],
           [8. , 8.5]], dtype=float32)
    """

    centroids: npt.NDArray[np.float32]
    objective: npt.NDArray[np.float64]
    prices: npt.NDArray[np.float32]
    metric: Metric

    def assign(
        self, x: Array, *, threads: int | None = None, progress: Progress | None = None
    ) -> tuple[Ids, Distances]:
        """Find the nearest centroid of each vector, the lowest of equals; by price too, where balanced.

        Parameters
        ----------
        x : array of shape (n, dim)
            Vectors, these or others.
        threads, progress : optional
            As in `kmeans`.

        Returns
        -------
        labels : int64 array of shape (n,)
        distances : float32 array of shape (n,)
            By the metric, summed in float64.

        Raises
        ------
        ValueError, TypeError
            Where the vectors have another dimension, or hold NaN or infinity, or zeros under "cosine".
        """
        return _steep.kmeans_assign(x, self.centroids, self.prices, self.metric, threads, progress)

    def __repr__(self) -> str:
        k, dim = self.centroids.shape
        return (
            f'Kmeans(k={k}, dim={dim}, metric="{self.metric}", '
            f"iterations={len(self.objective)}, objective={self.objective[-1]:.6g})"
        )


def kmeans(
    x: Array,
    k: int,
    *,
    metric: Metric = "l2",
    iterations: int = 25,
    start: Literal["auto", "random", "k-means++"] | Array = "auto",
    weights: npt.ArrayLike | None = None,
    max_points_per_centroid: int | None = None,
    hierarchical: bool = False,
    batch: int | None = None,
    balanced: bool = False,
    seed: int = 0,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Kmeans:
    """Put vectors into k groups, each around the mean of its own (Lloyd 1982).

    Every vector goes to its nearest centroid, exactly, in each iteration; codes and bounds only spare work.
    A centroid that has no vectors left goes to a vector that is far from its own.

    Parameters
    ----------
    x : array of shape (n, dim)
        The vectors.
    k : int
        How many groups, 1 to n.
    metric : {"l2", "ip", "cosine"}
        Under "cosine" and "ip" centroids are directions (spherical k-means); under "ip" long vectors count
        more.
    iterations : int
        Rounds, at most: it ends sooner where nothing changes any more.
    start : {"auto", "random", "k-means++"} or array of shape (k, dim)
        The first centroids: random vectors; vectors that are far from each other (k-means++, on a sample);
        "auto", the latter where it costs little, that is for few centroids; or these.
    weights : array of shape (n,), optional
        What each vector counts, 0 or more.
    max_points_per_centroid : int, optional
        Use at most so many vectors for each centroid, a random choice. 256 loses little and is much faster
        where there are many more.
    hierarchical : bool
        For many centroids: compare a vector with about sqrt(k) and then 192 or 64 of them, in seven bits a
        coordinate, in place of all. Faster, for an objective that may be a percent larger. The first
        centroids are then always random; of the objective only the last entry is exact, to the centroids
        returned.
    batch : int, optional
        For sets larger than memory, such as a memory-mapped array: look at so many vectors in an iteration,
        at least k, a random choice, and move centroids by what they have seen so far (mini-batch k-means).
        The objective is then that of each batch, times n / batch.
    balanced : bool
        Make groups of about equal size: a centroid that has too many vectors asks a price, which is added
        to its distance, here and in `Kmeans.assign`. The centroids are those of the iteration whose groups
        were most alike. It takes a copy of the vectors in float32.
    seed : int
        The same seed gives the same centroids, with any number of threads.
    threads : int, optional
        At most so many; all cores where nothing is said.
    progress : callable, optional
        Called as ``progress(stage, done, total)``.

    Returns
    -------
    Kmeans

    Raises
    ------
    ValueError, TypeError
        For an argument out of range, with its value and what would do; for vectors that hold NaN or infinity,
        or zeros under "cosine".

    Examples
    --------
    >>> import numpy as np, steep
    >>> x = np.random.default_rng(0).standard_normal((10_000, 32), dtype=np.float32)
    >>> found = steep.kmeans(x, 100, iterations=10)
    >>> found.centroids.shape
    (100, 32)
    >>> labels, distances = found.assign(x)
    >>> bool(distances.sum() <= found.objective[-1])
    True
    """
    if weights is not None:
        weights = np.ascontiguousarray(weights, np.float32)
        if weights.ndim != 1:
            raise ValueError(f"weights have shape {weights.shape}: pass an array of shape (n,)")
    found = _steep.kmeans(
        x,
        k,
        metric,
        iterations,
        start,
        weights,
        max_points_per_centroid,
        bool(hierarchical),
        batch,
        bool(balanced),
        seed,
        threads,
        progress,
    )
    return Kmeans(*found, metric)
