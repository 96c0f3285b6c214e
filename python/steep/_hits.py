"""What a search returns."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np

from steep._types import Counts, Distances, Ids, Metric


class Stats(NamedTuple):
    """What each query in a graph or by codes cost: counts, which no other load on the machine changes.

    Attributes
    ----------
    hops : uint64 array of shape (nq,), or () for a single query of shape (d,)
        Nodes of the graph that were read, each a handful of consecutive cache lines; or lists.
    estimates : uint64 array of the same shape
        Vectors whose distance was estimated by one bit a coordinate, or from nibbles.
    refined : uint64 array of the same shape
        Of those, the ones that were estimated again by all the bits of their codes; under a graph those
        that waited when the walk ended and could have been nearer.
    reranked : uint64 array of the same shape
        Vectors that were read for their exact distance.

    Examples
    --------
    >>> import numpy as np, steep
    >>> x = np.random.default_rng(0).standard_normal((1000, 16), dtype=np.float32)
    >>> index = steep.build(x, spec="graph")
    >>> hits = index.search(x[:3], k=5, ef_search=50, rerank=20, stats=True)
    >>> hits.stats.reranked
    array([20, 20, 20], dtype=uint64)
    >>> bool((hits.stats.hops >= 20).all())
    True
    """

    hops: Counts
    estimates: Counts
    refined: Counts
    reranked: Counts


class Hits(tuple[Ids, Distances]):
    """The k nearest vectors of each query: a tuple of ids and distances.

    Attributes
    ----------
    ids : int64 array of shape (nq, k), or (k,) for a single query of shape (d,)
        Nearest first, the lower id first where distances are equal; -1 where there are fewer than k
        vectors, or fewer in the lists that were looked at. An id of 2**63 or more comes back as
        the same 64 bits: ``ids.view(numpy.uint64)``.
    distances : float32 array of the same shape
        Ascending, in the metric's own unit; inf beside -1.
    metric : str
        What the distances mean: "l2", "ip", "cosine" …
    stats : Stats or None
        What each query cost, where it was asked for (``stats=True``) and the index is a graph or of codes.

    Examples
    --------
    >>> import numpy as np, steep
    >>> index = steep.build(np.array([[1, 0], [0, 2]], np.float32), metric="ip")
    >>> hits = index.search(np.array([3, 1], np.float32), k=2)
    >>> hits
    Hits(
      ids=[0 1],
      distances=[-3. -2.],
    )
    >>> hits.scores
    array([3., 2.], dtype=float32)
    """

    metric: Metric
    stats: Stats | None

    def __new__(cls, ids: Ids, distances: Distances, metric: Metric, stats: Stats | None = None) -> Self:
        self = super().__new__(cls, (ids, distances))
        self.metric, self.stats = metric, stats
        return self

    def __getnewargs__(self) -> tuple[Ids, Distances, Metric, Stats | None]:
        return self.ids, self.distances, self.metric, self.stats

    @property
    def ids(self) -> Ids:
        """Ids, nearest first."""
        return self[0]

    @property
    def distances(self) -> Distances:
        """Distances, ascending."""
        return self[1]

    @property
    def scores(self) -> Distances:
        """The similarity: inner product, cosine or Jaccard's, descending; -inf where there is no vector.

        Raises
        ------
        AttributeError
            Under "l2" and others that have distances only.
        """
        if self.metric == "cosine":
            return np.subtract(1, self.distances)
        if self.metric in ("ip", "jaccard"):
            return np.negative(self.distances)
        raise AttributeError(f'metric "{self.metric}" has no scores: use .distances, ascending')

    def __repr__(self) -> str:
        return _show(self, ids=self.ids, distances=self.distances)


@dataclass(eq=False, repr=False, slots=True)
class RangeHits:
    """All vectors within a radius of each query; ``offsets, ids, distances = hits`` unpacks it.

    ``hits[i]`` gives the ids and distances of query i, and ``len(hits)`` the number of queries.

    Attributes
    ----------
    offsets : int64 array of shape (nq + 1,)
        Query i has the places ``offsets[i]`` to ``offsets[i + 1]`` of the two others.
    ids : int64 array of shape (total,)
        Nearest first within a query, the lower id first where distances are equal.
    distances : float32 array of shape (total,)
        Ascending within a query, in the metric's own unit.

    Examples
    --------
    >>> import numpy as np, steep
    >>> index = steep.build(np.array([[0], [1], [5]], np.float32))
    >>> hits = index.range_search(np.array([[0], [9], [5]], np.float32), radius=1)
    >>> hits
    RangeHits(
      offsets=[0 2 2 3],
      ids=[0 1 2],
      distances=[0. 1. 0.],
    )
    >>> ids, distances = hits[0]
    >>> ids
    array([0, 1])
    """

    offsets: Ids
    ids: Ids
    distances: Distances

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, query: int) -> tuple[Ids, Distances]:
        row = range(len(self))[query]  # a Python index: negative from the end, IndexError beyond it
        place = slice(self.offsets[row], self.offsets[row + 1])
        return self.ids[place], self.distances[place]

    def __iter__(self) -> Iterator[Any]:
        yield self.offsets
        yield self.ids
        yield self.distances

    def __repr__(self) -> str:
        return _show(self, offsets=self.offsets, ids=self.ids, distances=self.distances)


def _show(hits: Hits | RangeHits, **arrays: Ids | Distances) -> str:
    lines = (
        f"  {name}={np.array2string(array, prefix=f'  {name}=', threshold=100)},\n"
        for name, array in arrays.items()
    )
    return f"{type(hits).__name__}(\n{''.join(lines)})"
