"""Codes of vectors that are each stretched from 0 to 1: how far, and from where, stands before the code."""

from typing import Any

import numpy as np

from steep import _steep
from steep.faiss._base import METRIC_L2, Codes, Floats, Index
from steep.faiss._quantizers import ScalarQuantizer


class IndexRowwiseMinMaxBase(Index):
    """A codec only, like Faiss's: it holds no vectors.

    Attributes
    ----------
    index : Index
        Codes what stretched vectors are.
    """

    index: Any
    own_fields: bool
    is_trained: bool

    def __init__(self, index: Any = None) -> None:
        d, metric = (index.d, index.metric_type) if index is not None else (1, METRIC_L2)
        super().__init__(d, metric)
        self._begin(index=index, own_fields=False, is_trained=index is None or bool(index.is_trained))

    def _pairs(self) -> _steep.Codec:
        """The codec of a range: how far it reaches, and from where."""
        raise RuntimeError(f"{type(self).__name__} has no codec")

    def _ranges(self, x: Floats) -> Codes:
        low = x.min(axis=1)
        return self._pairs().encode(np.stack([x.max(axis=1) - low, low], axis=1))

    def _stretched(self, x: Floats, ranges: Codes) -> Floats:
        far, low = self._pairs().decode(ranges).T[:, :, None]
        # Where all coordinates are equal they become 0.
        inverse = np.divide(np.float32(1), far, out=np.zeros_like(far), where=far != 0)
        stretched: Floats = (x - low) * inverse
        return stretched

    def _placed(self, x: Floats, ranges: Codes) -> Floats:
        far, low = self._pairs().decode(ranges).T[:, :, None]
        back: Floats = x * far + low
        return back

    def _train(self, x: Floats) -> None:
        self.index.train(self._stretched(x, self._ranges(x)))
        self.is_trained = True

    def train_inplace(self, x: Any) -> None:
        """Learn as `train` does, without a copy of the vectors: they come back as rounding leaves them."""
        _, d = x.shape
        assert d == self.d
        assert x.dtype == np.float32 and x.flags.c_contiguous
        ranges = self._ranges(x)
        x[...] = self._stretched(x, ranges)
        self.index.train(x)
        x[...] = self._placed(x, ranges)
        self.is_trained = True

    def reset(self) -> None:
        """Refuse: there is nothing to forget."""
        raise RuntimeError("reset not implemented for this type of index")

    def sa_code_size(self) -> int:
        """Bytes of a vector's range and of its code."""
        return self._pairs().code_size + int(self.index.sa_code_size())

    def _encode(self, x: Floats) -> Codes:
        ranges = self._ranges(x)
        inner = self.index.sa_encode(self._stretched(x, ranges))
        return np.concatenate([ranges, inner], axis=1)

    def _decode(self, codes: Codes) -> Floats:
        ranges, inner = np.split(codes, [self._pairs().code_size], axis=1)
        vectors = self.index.sa_decode(np.ascontiguousarray(inner))
        return self._placed(vectors, np.ascontiguousarray(ranges))

    def to_record(self) -> dict[str, Any]:
        """What a file holds of the index."""
        return self._header() | {"index": self.index.to_record()}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "IndexRowwiseMinMaxBase":
        """The index that a file holds."""
        from steep.faiss._io import from_record

        index = cls(from_record(record["index"]))
        index._begin(is_trained=bool(record["is_trained"]), own_fields=True)
        return index


class IndexRowwiseMinMax(IndexRowwiseMinMaxBase):
    """Ranges of two floats of 32 bits."""

    fourcc = "IRMf"

    def _pairs(self) -> _steep.Codec:
        return _steep.Codec.flat(2)


class IndexRowwiseMinMaxFP16(IndexRowwiseMinMaxBase):
    """Ranges of two floats of 16 bits."""

    fourcc = "IRMh"

    def _pairs(self) -> _steep.Codec:
        return ScalarQuantizer(2, ScalarQuantizer.QT_fp16)._codec()
