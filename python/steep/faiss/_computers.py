"""How far is one vector of an index from a query? Distance computers, by Faiss's calls.

The core answers for many vectors at once, so all of a query's distances are asked for when the first is.
"""

from typing import Any

import numpy as np

from steep.faiss._arrays import Owned, pointed
from steep.faiss._base import METRIC_L2, Codes, Floats, require


class DistanceComputer(Owned):
    """Distances of a query to the vectors of an index, by their numbers."""

    def __init__(self, index: Any) -> None:
        self._index = index
        self._x: Floats | None = None
        self._all: Floats | None = None

    def set_query(self, x: Any) -> None:
        """Ask for distances to this vector from now on."""
        d = self._index.d
        self._x = np.array(pointed(x, d, np.float32, "x")).reshape(1, d)
        self._all = None

    def __call__(self, i: int) -> float:
        """The distance of vector i."""
        if self._x is None:
            raise RuntimeError("no query: call set_query first")
        every = self._all
        if every is None or len(every) != self._index.ntotal:
            told: Floats = self._index._distances(self._x)
            self._all = every = told
        if not 0 <= i < len(every):
            raise RuntimeError(f"vector {i} is not there: the index has {len(every)}")
        return float(every[i])

    def symmetric_dis(self, i: int, j: int) -> float:
        """The distance between vectors i and j."""
        between = DistanceComputer(self._index)
        between.set_query(self._index.reconstruct(i))
        return between(j)


class FlatCodesDistanceComputer(DistanceComputer):
    """The same of an index of codes one after the other."""

    def distance_to_code(self, code: Any) -> float:
        """The distance of the vector that a code stands for."""
        from steep.faiss._distances import pairwise_distances

        size = self._index.sa_code_size()
        rows = self._index.sa_decode(np.array(pointed(code, size, np.uint8, "code")).reshape(1, size))
        metric, arg = self._index.metric_type, self._index.metric_arg
        return float(pairwise_distances(self._x, rows, metric, arg)[0, 0])


class RaBitQDistanceComputer(FlatCodesDistanceComputer):
    """The same of RaBitQ codes; how far two of them are, their signs alone tell."""

    def symmetric_dis(self, i: int, j: int) -> float:
        """The distance between vectors i and j."""
        index = self._index
        require(index.metric_type == METRIC_L2, "RaBitQ symmetric distance supports only L2")
        signs = -(-index.d // 8)
        codes: Codes = np.stack([index._store.codes(0, at, at + 1)[0] for at in (i, j)])
        square, scale = codes[:, signs : signs + 8].copy().view(np.float32).T.astype(np.float64)
        # Coordinates' mean size, as the factors beside the signs tell it; without a residual there is none.
        size = np.divide(square, scale * np.sqrt(index.d), out=np.zeros(2), where=scale > 0)
        differing = int(np.unpackbits(codes[0, :signs] ^ codes[1, :signs]).sum())
        return float(square.sum() - 2 * size.prod() * (index.d - 2 * differing))
