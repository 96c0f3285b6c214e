"""Lists made of other lists: parts of them, several behind each other, all but the long ones.

They are as the others are at the time of a search, for which they are put together anew. They are read only.
"""

from typing import Any, ClassVar

import numpy as np

from steep import _steep
from steep.faiss._arrays import Pointer
from steep.faiss._base import Codes, Labels, require
from steep.faiss._lists import InvertedLists


class ReadOnlyInvertedLists(InvertedLists):
    """Lists that are read from others. A kind says by `_source` whose list each is."""

    _sealed: ClassVar[str] = "not implemented: these lists are read only"

    def __init__(self, nlist: int, code_size: int) -> None:
        self._begin(nlist=int(nlist), code_size=int(code_size), _block=1)

    def _source(self, list_no: int) -> tuple[InvertedLists, int] | None:
        raise NotImplementedError

    def list_size(self, list_no: int) -> int:
        """Codes of a list."""
        self._check(list_no)
        source = self._source(list_no)
        return 0 if source is None else source[0].list_size(source[1])

    def _ids(self, list_no: int) -> Labels:
        self._check(list_no)
        source = self._source(list_no)
        return np.empty(0, np.int64) if source is None else source[0]._ids(source[1])

    def _codes(self, list_no: int) -> Codes:
        self._check(list_no)
        source = self._source(list_no)
        return np.empty((0, self.code_size), np.uint8) if source is None else source[0]._codes(source[1])

    @property
    def _core(self) -> Any:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        core = _steep.Lists(self.nlist, self.code_size, self._block)
        for at in range(self.nlist):
            if self.list_size(at):
                core.append(at, self._ids(at), self._codes(at))
        return core

    def get_single_code(self, list_no: int, offset: int) -> Pointer:
        """Pointer to the code at a place, a copy."""
        return Pointer(self._codes(list_no)[offset].copy())

    def add_entries(self, list_no: int, n_entry: int, ids: Any, code: Any) -> int:
        """Refuse: the lists are read only."""
        raise RuntimeError(self._sealed)

    def update_entry(self, list_no: int, offset: int, id: int, code: Any) -> None:
        """Refuse: the lists are read only."""
        raise RuntimeError(self._sealed)

    def update_entries(self, list_no: int, offset: int, n_entry: int, ids: Any, code: Any) -> None:
        """Refuse: the lists are read only."""
        raise RuntimeError(self._sealed)

    def resize(self, list_no: int, new_size: int) -> None:
        """Refuse: the lists are read only."""
        raise RuntimeError(self._sealed)

    def reset(self) -> None:
        """Refuse: the lists are read only."""
        raise RuntimeError(self._sealed)


class SliceInvertedLists(ReadOnlyInvertedLists):
    """The lists i0 to i1 - 1 of others."""

    il: InvertedLists
    i0: int
    i1: int

    def __init__(self, il: InvertedLists, i0: int, i1: int) -> None:
        require(0 <= i0 <= i1 <= il.nlist, "0 <= i0 <= i1 <= il->nlist")
        super().__init__(i1 - i0, il.code_size)
        self._begin(il=il, i0=int(i0), i1=int(i1))

    def _source(self, list_no: int) -> tuple[InvertedLists, int]:
        return self.il, self.i0 + list_no


class VStackInvertedLists(ReadOnlyInvertedLists):
    """The lists of several behind each other: their number, and a vector or a sequence of them."""

    ils: list[Any]

    def __init__(self, nil: int, ils: Any) -> None:
        parts = [ils[at] for at in range(nil)]
        require(nil > 0, "nil > 0")
        require(all(il.code_size == parts[0].code_size for il in parts), "same code size")
        super().__init__(sum(il.nlist for il in parts), parts[0].code_size)
        self._begin(ils=parts)

    def _source(self, list_no: int) -> tuple[InvertedLists, int]:
        for il in self.ils:
            if list_no < il.nlist:
                return il, list_no
            list_no -= il.nlist
        raise IndexError(list_no)


class StopWordsInvertedLists(ReadOnlyInvertedLists):
    """All lists of fewer than `maxsize` codes; the others are empty."""

    il0: InvertedLists
    maxsize: int

    def __init__(self, il0: InvertedLists, maxsize: int) -> None:
        super().__init__(il0.nlist, il0.code_size)
        self._begin(il0=il0, maxsize=int(maxsize))

    def _source(self, list_no: int) -> tuple[InvertedLists, int] | None:
        return (self.il0, list_no) if self.il0.list_size(list_no) < self.maxsize else None
