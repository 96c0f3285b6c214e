"""An index that answers at random, as Faiss's does for a seed: the same for the same query."""

from typing import Any

import numpy as np

from steep.faiss._base import METRIC_L2, Floats, Index, Labels, require
from steep.faiss._random import RandomGenerator


class IndexRandom(Index):
    """As many vectors as it is told of, none of which it has."""

    seed: int
    ntotal: int = 0

    def __init__(self, d: int, ntotal: int = 0, seed: int = 1234, metric_type: int = METRIC_L2) -> None:
        super().__init__(d, metric_type)
        self._begin(ntotal=int(ntotal), seed=int(seed))

    def _add(self, x: Floats, ids: Labels | None) -> None:
        self.ntotal += len(x)

    def _search(self, x: Floats, k: int, params: Any) -> tuple[Floats, Labels]:
        require(params is None, "search params not supported for this index")
        require(k <= self.ntotal, "k <= ntotal")
        distances, labels = np.empty((len(x), k), np.float32), np.empty((len(x), k), np.int64)
        for query, row, ids in zip(x, distances, labels, strict=True):
            source = RandomGenerator(_signed(self.seed + _checksum(query.view(np.int32))))
            found: list[int] = []
            while len(found) < k:
                found.append(source.rand_int64() % self.ntotal)
            ids[:] = found
            row[:] = np.cumsum([source.rand_float() for _ in range(k)], dtype=np.float32)
        return distances, labels

    def _reconstruct(self, keys: Labels) -> Floats:
        rows: list[list[float]] = []
        for key in keys.tolist():
            source = RandomGenerator(self.seed + 123332 + key)
            rows.append([source.rand_float() for _ in range(self.d)])
        return np.array(rows, np.float32).reshape(len(rows), self.d)

    def reset(self) -> None:
        """Forget all vectors."""
        self.ntotal = 0


def _checksum(values: Any) -> int:
    """Faiss's checksum of whole numbers."""
    total = 112909
    for value in values.tolist()[::-1]:
        total = (total * 65713 + value * 1686049) & 0xFFFF_FFFF_FFFF_FFFF
    return total


def _signed(value: int) -> int:
    """The number of 64 bits with a sign that has the same bits."""
    value &= 0xFFFF_FFFF_FFFF_FFFF
    return value - (1 << 64) if value >> 63 else value
