"""Faiss's aligned tables: arrays of NumPy's, whose memory serves as well."""

from typing import Any, ClassVar

import numpy as np

from steep.faiss._arrays import Elements, Pointer, Values, whole


class _AlignedTable(Elements):
    """Faiss's aligned array: the plain one here, for NumPy's memory serves as well."""

    def __init__(self, n: int = 0) -> None:
        self._array: Values = np.zeros(whole("n", n), self.dtype)

    @property
    def array(self) -> Values:
        """The elements, without a copy."""
        return self._array

    def size(self) -> int:
        """Number of elements."""
        return self._array.size

    def itemsize(self) -> int:
        """Bytes of an element."""
        return self.dtype.itemsize

    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self._array.nbytes

    def get(self) -> Pointer:
        """Pointer to the elements."""
        return Pointer(self._array)

    data = get

    def resize(self, n: int) -> None:
        """Keep the first n elements; new ones are 0."""
        new = np.zeros(whole("n", n), self.dtype)
        kept = self._array[:n]
        new[: kept.size] = kept
        self._array = new

    def clear(self) -> None:
        """Set all elements to 0."""
        self._array[:] = 0


class AlignedTableUint8(_AlignedTable):
    """Aligned bytes."""

    dtype: ClassVar[np.dtype[Any]] = np.dtype(np.uint8)


class AlignedTableUint16(_AlignedTable):
    """Aligned 16-bit numbers."""

    dtype: ClassVar[np.dtype[Any]] = np.dtype(np.uint16)


class AlignedTableFloat32(_AlignedTable):
    """Aligned floats."""

    dtype: ClassVar[np.dtype[Any]] = np.dtype(np.float32)


def copy_array_to_AlignedTable(a: Values, v: _AlignedTable) -> None:
    """Make the elements of an aligned table those of an array."""
    (_,) = a.shape
    assert v.itemsize() == a.itemsize, f"cannot copy a {a.dtype} array to an {type(v).__name__}"
    v._array = np.array(a, copy=True, order="C").view(v.dtype)


def array_to_AlignedTable(a: Values) -> _AlignedTable:
    """An aligned table of the elements of an array of uint8 or uint16."""
    assert a.dtype in (np.uint8, np.uint16), f"an aligned table holds uint8 or uint16, not {a.dtype}"
    table = AlignedTableUint16() if a.dtype == np.uint16 else AlignedTableUint8()
    copy_array_to_AlignedTable(a.reshape(-1), table)
    return table


def AlignedTable_to_array(v: _AlignedTable) -> Values:
    """The elements of an aligned table as a new array."""
    assert isinstance(v, _AlignedTable), f"{type(v).__name__} is not an AlignedTable"
    return v._array.copy()


__all__ = [
    "AlignedTableFloat32",
    "AlignedTableUint8",
    "AlignedTableUint16",
    "AlignedTable_to_array",
    "array_to_AlignedTable",
    "copy_array_to_AlignedTable",
]
