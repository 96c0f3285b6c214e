"""Rows of bits, eight to a byte: as vectors, of vectors, and in how many bits they differ."""

import numpy as np
import numpy.typing as npt

from steep import _steep
from steep.faiss._base import Codes, Floats
from steep.faiss._simd import threads

Counts = npt.NDArray[np.int32]


def bits(x: Codes) -> Floats:
    """Vectors of zeros and ones, whose squared distances are those of the bits."""
    return np.unpackbits(x, axis=1, bitorder="little").astype(np.float32)


def signs(x: Codes) -> Floats:
    """Vectors of -1 and 1."""
    return 2 * bits(x) - 1


def far(a: Codes, b: Codes) -> Counts:
    """How many bits differ, of each row and each."""
    if not len(a) or not len(b):
        return np.empty((len(a), len(b)), np.int32)
    return _steep.Codec.binary(8 * a.shape[1]).distances(bits(a), b, "l2", threads()).astype(np.int32)


def packed(x: Floats) -> Codes:
    """The bits of vectors: whether coordinates are above 0."""
    return np.packbits(x > 0, axis=1, bitorder="little")
