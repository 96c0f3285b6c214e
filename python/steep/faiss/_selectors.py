"""Which ids may be found? Faiss's selectors as plain objects; for the core, nested tuples (`spec`)."""

# What callers pass is checked at run time too.
# pyright: reportUnnecessaryIsInstance=false

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from steep.faiss._arrays import Owned, pointed

#: ("range", imin, imax), ("batch", sorted int64 array), ("bitmap", uint8 array), ("all",), ("not", spec),
#: or ("and" | "or" | "xor", spec, spec).
Spec = tuple[Any, ...]


class IDSelector(Owned):
    """A set of ids. A subclass of your own says what is in it by `is_member`."""

    def __init__(self) -> None:
        if type(self) is IDSelector:
            raise AttributeError("No constructor defined - class is abstract: take one of its subclasses")

    def is_member(self, id: int) -> bool:
        """Whether an id is in the set."""
        raise NotImplementedError(f"{type(self).__name__}.is_member")

    def _mask(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        return np.fromiter((self.is_member(int(id)) for id in ids), np.bool_, len(ids))

    def _spec(self) -> Spec:
        raise TypeError(
            f"{type(self).__name__} has no form that the core knows: spec(selector, ids) asks it id by id"
        )


def spec(selector: IDSelector, ids: Callable[[], npt.NDArray[np.int64]] | None = None) -> Spec:
    """The form in which the core takes a selector.

    `ids` lists all ids that there are; it is called only for selectors that Python has to be asked about.
    """
    if not isinstance(selector, IDSelector):
        raise TypeError(f"sel of type {type(selector).__name__}: expected an IDSelector")
    try:
        return selector._spec()
    except TypeError:
        if ids is None:
            raise
    every = np.asarray(ids(), np.int64)
    return ("batch", np.sort(every[selector._mask(every)]))


def _id(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} of type {type(value).__name__}: expected a whole number")
    return int(value)  # pyright: ignore[reportUnknownArgumentType]


def _listed(arguments: tuple[Any, ...], dtype: npt.DTypeLike, owner: str) -> npt.NDArray[Any]:
    """The array of a constructor's arguments: an array, or a number of elements and a pointer."""
    if len(arguments) == 1:
        array = np.asarray(arguments[0])
        if dtype == np.int64:
            array = array.astype(np.int64)
        elif array.dtype != dtype:
            raise TypeError(f"{owner} takes an array of {np.dtype(dtype)}, not {array.dtype}")
        assert array.ndim == 1, f"{owner} takes one dimension, not {array.ndim}"
        return np.ascontiguousarray(array)
    if len(arguments) == 2:
        return pointed(arguments[1], _id("n", arguments[0]), dtype, owner)
    raise TypeError(f"{owner} takes an array, or a number and a pointer, not {len(arguments)} arguments")


class IDSelectorRange(IDSelector):
    """Ids from `imin` to `imax` - 1."""

    imin: int
    imax: int
    assume_sorted: bool

    def __init__(self, imin: int, imax: int, assume_sorted: bool = False) -> None:
        self.imin, self.imax = _id("imin", imin), _id("imax", imax)
        self.assume_sorted = bool(assume_sorted)

    def is_member(self, id: int) -> bool:
        """Whether an id is in the range."""
        return self.imin <= id < self.imax

    def find_sorted_ids_bounds(self, list_size: int, ids: Any, jmin: Any, jmax: Any) -> None:
        """Where in `list_size` ascending ids those of the range begin and end."""
        array = pointed(ids, list_size, np.int64, "ids")
        for out, value in ((jmin, self.imin), (jmax, self.imax)):
            place = out.array if hasattr(out, "array") else out
            place[0] = np.searchsorted(array, value)

    def _mask(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        return (ids >= self.imin) & (ids < self.imax)

    def _spec(self) -> Spec:
        return ("range", self.imin, self.imax)


class _Listed(IDSelector):
    def __init__(self, *arguments: Any) -> None:
        self._ids = _listed(arguments, np.int64, type(self).__name__)
        self._sorted: npt.NDArray[np.int64] | None = None

    @property
    def _ascending(self) -> npt.NDArray[np.int64]:
        if self._sorted is None:
            self._sorted = np.unique(self._ids)
        return self._sorted

    def is_member(self, id: int) -> bool:
        """Whether an id is in the list."""
        at = int(np.searchsorted(self._ascending, id))
        return at < self._ascending.size and int(self._ascending[at]) == id

    def _mask(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        return np.isin(ids, self._ascending)

    def _spec(self) -> Spec:
        return ("batch", self._ascending)


class IDSelectorArray(_Listed):
    """Ids that an array lists."""

    @property
    def n(self) -> int:
        """How many."""
        return self._ids.size

    @property
    def ids(self) -> Any:
        """Pointer to them."""
        from steep.faiss._arrays import Pointer

        return Pointer(self._ids)


class IDSelectorBatch(_Listed):
    """Ids that an array lists, copied."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._ids = self._ids.copy()


class IDSelectorBitmap(IDSelector):
    """Ids whose bits are set, bit id % 8 of byte id // 8."""

    def __init__(self, *arguments: Any) -> None:
        self._bits: npt.NDArray[np.uint8] = _listed(arguments, np.uint8, "IDSelectorBitmap")

    @property
    def n(self) -> int:
        """How many bytes."""
        return self._bits.size

    @property
    def bitmap(self) -> Any:
        """Pointer to them."""
        from steep.faiss._arrays import Pointer

        return Pointer(self._bits)

    def is_member(self, id: int) -> bool:
        """Whether the bit of an id is set."""
        return 0 <= id < 8 * self._bits.size and bool(self._bits[id >> 3] >> (id & 7) & 1)

    def _mask(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        inside = (ids >= 0) & (ids < 8 * self._bits.size)
        at = np.where(inside, ids, 0)
        bits = self._bits if self._bits.size else np.zeros(1, np.uint8)
        kept: npt.NDArray[np.bool_] = (bits[at >> 3] >> (at & 7).astype(np.uint8) & 1) == 1
        return inside & kept

    def _spec(self) -> Spec:
        return ("bitmap", self._bits)


class IDSelectorAll(IDSelector):
    """Every id."""

    def __init__(self) -> None: ...

    def is_member(self, id: int) -> bool:
        """True."""
        return True

    def _mask(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        return np.ones(len(ids), np.bool_)

    def _spec(self) -> Spec:
        return ("all",)


def _other(name: str, selector: Any) -> IDSelector:
    if not isinstance(selector, IDSelector):
        raise TypeError(f"{name} of type {type(selector).__name__}: expected an IDSelector")
    return selector


class IDSelectorNot(IDSelector):
    """Ids that are not in another set."""

    sel: IDSelector

    def __init__(self, sel: IDSelector) -> None:
        self.sel = _other("sel", sel)

    def is_member(self, id: int) -> bool:
        """Whether an id is not in the other set."""
        return not self.sel.is_member(id)

    def _mask(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        return ~self.sel._mask(ids)

    def _spec(self) -> Spec:
        return ("not", self.sel._spec())


class _Two(IDSelector):
    lhs: IDSelector
    rhs: IDSelector

    _word = ""

    def __init__(self, lhs: IDSelector, rhs: IDSelector) -> None:
        self.lhs, self.rhs = _other("lhs", lhs), _other("rhs", rhs)

    def _spec(self) -> Spec:
        return (self._word, self.lhs._spec(), self.rhs._spec())


class IDSelectorAnd(_Two):
    """Ids that are in both sets."""

    _word = "and"

    def is_member(self, id: int) -> bool:
        """Whether an id is in both sets."""
        return self.lhs.is_member(id) and self.rhs.is_member(id)

    def _mask(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        return self.lhs._mask(ids) & self.rhs._mask(ids)


class IDSelectorOr(_Two):
    """Ids that are in one of two sets."""

    _word = "or"

    def is_member(self, id: int) -> bool:
        """Whether an id is in one of the sets."""
        return self.lhs.is_member(id) or self.rhs.is_member(id)

    def _mask(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        return self.lhs._mask(ids) | self.rhs._mask(ids)


class IDSelectorXOr(_Two):
    """Ids that are in exactly one of two sets."""

    _word = "xor"

    def is_member(self, id: int) -> bool:
        """Whether an id is in exactly one of the sets."""
        return self.lhs.is_member(id) != self.rhs.is_member(id)

    def _mask(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        return self.lhs._mask(ids) ^ self.rhs._mask(ids)


class IDSelectorTranslated(IDSelector):
    """Rows of an index with ids of its own, by those ids: an IndexIDMap, or its `id_map`, and a selector."""

    id_map: Any
    sel: IDSelector

    def __init__(self, id_map: Any, sel: IDSelector) -> None:
        self.id_map = getattr(id_map, "id_map", id_map)
        self.sel = _other("sel", sel)

    def is_member(self, id: int) -> bool:
        """Whether the id of a row is in the set."""
        return self.sel.is_member(int(self.id_map.at(int(id))))

    def _mask(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        names = np.asarray(self.id_map, np.int64)
        inside = (ids >= 0) & (ids < names.size)
        return (
            inside & self.sel._mask(names[np.where(inside, ids, 0)])
            if names.size
            else np.zeros(len(ids), np.bool_)
        )

    def _spec(self) -> Spec:
        names = np.asarray(self.id_map, np.int64)
        return ("batch", np.flatnonzero(self.sel._mask(names)).astype(np.int64))


class PyCallbackIDSelector(IDSelector):
    """Ids of which a Python function says True."""

    def __init__(self, callback: Callable[[int], bool]) -> None:
        if not callable(callback):
            raise TypeError(f"callback of type {type(callback).__name__}: expected a function of an id")
        self.callback = callback

    def is_member(self, id: int) -> bool:
        """What the function says."""
        return bool(self.callback(id))


__all__ = [
    "IDSelector",
    "IDSelectorAll",
    "IDSelectorAnd",
    "IDSelectorArray",
    "IDSelectorBatch",
    "IDSelectorBitmap",
    "IDSelectorNot",
    "IDSelectorOr",
    "IDSelectorRange",
    "IDSelectorTranslated",
    "IDSelectorXOr",
    "PyCallbackIDSelector",
]
