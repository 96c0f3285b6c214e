"""What do scripts see of inverted lists? `InvertedLists` over the core's lists, and where each id is."""

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import numpy as np

from steep import _steep
from steep.faiss._arrays import Int64Vector, Pointer, UInt8Vector, pointed
from steep.faiss._base import Codes, Floats, Labels, Sealed, require
from steep.faiss._simd import watched


class InvertedLists(Sealed):
    """Codes and ids in lists.

    Attributes
    ----------
    nlist : int
        How many lists there are.
    code_size : int
        Bytes of a code.
    """

    INVALID_CODE_SIZE: ClassVar[int] = (1 << 64) - 1
    SUBSET_TYPE_ID_RANGE = 0
    SUBSET_TYPE_ID_MOD = 1
    SUBSET_TYPE_ELEMENT_RANGE = 2
    SUBSET_TYPE_INVLIST_FRACTION = 3
    SUBSET_TYPE_INVLIST = 4
    use_iterator = False

    nlist: int
    code_size: int
    _block: int
    _core: _steep.Lists

    def __init__(self, nlist: int, code_size: int, block: int = 1) -> None:
        self._begin(
            nlist=int(nlist),
            code_size=int(code_size),
            _block=block,
            _core=_steep.Lists(nlist, code_size, block),
        )

    def list_size(self, list_no: int) -> int:
        """Codes of a list."""
        self._check(list_no)
        return int(self._core.sizes()[list_no])

    def _check(self, list_no: int) -> None:
        require(0 <= list_no < self.nlist, f"list_no < nlist with list_no = {list_no}")

    def _ids(self, list_no: int) -> Labels:
        self._check(list_no)
        return self._core.ids(list_no)

    def _codes(self, list_no: int) -> Codes:
        return self._core.codes(list_no, 0, self.list_size(list_no))

    def get_ids(self, list_no: int) -> Pointer:
        """Pointer to the ids of a list, a copy."""
        return Pointer(self._ids(list_no))

    def get_codes(self, list_no: int) -> Pointer:
        """Pointer to the codes of a list, a copy."""
        return Pointer(self._codes(list_no).reshape(-1))

    def release_ids(self, list_no: int, ids: Any) -> None:
        """Do nothing: what was handed out is a copy."""

    def release_codes(self, list_no: int, codes: Any) -> None:
        """Do nothing: what was handed out is a copy."""

    def _count(self, keys: Labels, max_codes: int) -> None:
        """Add to `cvar.indexIVF_stats` what queries look at, whose lists are given."""
        stats = watched("indexIVF_stats")
        if stats is None or not keys.size:
            return
        sizes = np.where(keys >= 0, self._core.sizes().astype(np.int64)[keys], 0)
        left = max_codes - (np.cumsum(sizes, axis=1) - sizes)
        met = np.minimum(sizes, np.maximum(left, 0))
        stats.nq += len(keys)
        stats.nlist += int(np.count_nonzero(met))
        stats.ndis += int(met.sum())

    def prefetch_lists(self, list_nos: Any, nlist: int) -> None:
        """Do nothing: lists are in memory."""

    def get_single_id(self, list_no: int, offset: int) -> int:
        """The id at a place."""
        return int(self._ids(list_no)[offset])

    def get_single_code(self, list_no: int, offset: int) -> Pointer:
        """Pointer to the code at a place, a copy."""
        self._check(list_no)
        return Pointer(self._core.codes(list_no, offset, offset + 1).reshape(-1))

    def is_empty(self, list_no: int, inverted_list_context: Any = None) -> bool:
        """Whether a list has no code."""
        return self.list_size(list_no) == 0

    def add_entry(self, list_no: int, theid: int, code: Any, inverted_list_context: Any = None) -> int:
        """Append one code; its place in the list."""
        return self.add_entries(list_no, 1, np.array([theid], np.int64), code)

    def add_entries(self, list_no: int, n_entry: int, ids: Any, code: Any) -> int:
        """Append codes; the place of the first in the list."""
        at = self.list_size(list_no)
        codes = pointed(code, n_entry * self.code_size, np.uint8, "code").reshape(n_entry, self.code_size)
        self._core.append(
            list_no, np.array(pointed(ids, n_entry, np.int64, "ids")), np.ascontiguousarray(codes)
        )
        return at

    def update_entry(self, list_no: int, offset: int, id: int, code: Any) -> None:
        """Replace the code and id at a place."""
        self._core.replace(list_no, offset, id, np.array(pointed(code, self.code_size, np.uint8, "code")))

    def update_entries(self, list_no: int, offset: int, n_entry: int, ids: Any, code: Any) -> None:
        """Replace codes and ids from a place on."""
        numbers = pointed(ids, n_entry, np.int64, "ids")
        codes = pointed(code, n_entry * self.code_size, np.uint8, "code").reshape(n_entry, self.code_size)
        for at in range(n_entry):
            self._core.replace(list_no, offset + at, int(numbers[at]), codes[at].copy())

    def resize(self, list_no: int, new_size: int) -> None:
        """Cut a list short, or fill it up with zeros."""
        missing = new_size - self.list_size(list_no)
        if missing > 0:
            zeros = np.zeros((missing, self.code_size), np.uint8)
            self._core.append(list_no, np.zeros(missing, np.int64), zeros)
        else:
            self._core.truncate(list_no, new_size)

    def reset(self) -> None:
        """Empty all lists."""
        self._begin(_core=_steep.Lists(self.nlist, self.code_size, self._block))

    def merge_from(self, oivf: "InvertedLists", add_id: int) -> None:
        """Take the codes of other lists over, which are left empty; their ids grow by `add_id`."""
        self._core.merge(oivf._core, add_id)

    def copy_subset_to(self, other: "InvertedLists", subset_type: int, a1: int, a2: int) -> int:
        """Append a part of the codes to other lists: how many."""
        require(other.nlist == self.nlist and other.code_size == self.code_size, "same lists")
        before = total = 0
        low, high = a1, a2
        if subset_type == self.SUBSET_TYPE_INVLIST_FRACTION:
            low, high = self.nlist * a2 // a1, self.nlist * (a2 + 1) // a1
        everything = self.compute_ntotal()
        for at in range(self.nlist):
            ids, codes = self._ids(at), self._codes(at)
            if subset_type == self.SUBSET_TYPE_ID_RANGE:
                chosen = (ids >= a1) & (ids < a2)
            elif subset_type == self.SUBSET_TYPE_ID_MOD:
                chosen = ids % a1 == a2
            elif subset_type == self.SUBSET_TYPE_ELEMENT_RANGE:
                # Of each list its share of the range, so that the ranges of a partition meet.
                after = before + len(ids)
                first, last = (
                    after * bound // everything - before * bound // everything for bound in (a1, a2)
                )
                chosen = np.zeros(len(ids), np.bool_)
                chosen[first:last] = True
                before = after
            elif subset_type in (self.SUBSET_TYPE_INVLIST, self.SUBSET_TYPE_INVLIST_FRACTION):
                chosen = np.full(len(ids), low <= at < high)
            else:
                raise RuntimeError(f"subset type {subset_type} not implemented")
            if chosen.any():
                other._core.append(at, ids[chosen], np.ascontiguousarray(codes[chosen]))
            total += int(chosen.sum())
        return total

    def compute_ntotal(self) -> int:
        """Codes of all lists."""
        return len(self._core)

    def imbalance_factor(self) -> float:
        """How much longer a search takes than with lists of equal length."""
        sizes = self._core.sizes().astype(np.float64)
        total = sizes.sum()
        return float(self.nlist * (sizes**2).sum() / total**2) if total else float("nan")

    def print_stats(self) -> None:
        """Print how many lists have how many codes."""
        sizes = self._core.sizes()
        for bits in range(int(sizes.max()).bit_length() + 1 if len(sizes) else 0):
            count = int(((sizes < 1 << bits) & (sizes >= (1 << bits) >> 1)).sum())
            if count:
                print(f"list size in < {1 << bits}: {count} instances")

    def to_record(self) -> dict[str, Any]:
        """What a file holds of the lists."""
        sizes = self._core.sizes()
        ids = [self._core.ids(at) for at in range(self.nlist)]
        codes = [self._core.codes(at, 0, int(sizes[at])).reshape(-1) for at in range(self.nlist)]
        return {
            "fourcc": "ilar",
            "nlist": self.nlist,
            "code_size": self.code_size,
            "sizes": sizes.astype(np.uint64),
            "ids": np.concatenate(ids) if ids else np.empty(0, np.int64),
            "codes": np.concatenate(codes) if codes else np.empty(0, np.uint8),
        }

    def _fill(self, record: dict[str, Any]) -> None:
        """Append what a file holds."""
        at = 0
        for number, size in enumerate(np.asarray(record["sizes"]).tolist()):
            codes = record["codes"][at * self.code_size : (at + size) * self.code_size]
            if size:
                self._core.append(number, record["ids"][at : at + size], codes.reshape(size, self.code_size))
            at += size


class Each:
    """A vector of each list, by its number."""

    def __init__(self, count: int, vector: Callable[[int], Any]) -> None:
        self._count, self._vector = count, vector

    def at(self, list_no: int) -> Any:
        """The vector of a list, a copy."""
        return self._vector(list_no)

    def size(self) -> int:
        """How many there are."""
        return self._count


class ArrayInvertedLists(InvertedLists):
    """Lists in memory."""

    @property
    def ids(self) -> Each:
        """The ids of each list."""
        return Each(self.nlist, lambda at: Int64Vector.of(self._ids(at)))

    @property
    def codes(self) -> Each:
        """The codes' bytes of each list."""
        return Each(self.nlist, lambda at: UInt8Vector.of(self._codes(at)))

    def permute_invlists(self, map: Any) -> None:
        """Let list i be what list map[i] was."""
        order = pointed(map, self.nlist, np.int64, "map")
        core = _steep.Lists(self.nlist, self.code_size, self._block)
        for at, source in enumerate(order.tolist()):
            core.append(at, self._ids(source), self._codes(source))
        self._begin(_core=core)


class BlockInvertedLists(InvertedLists):
    """Lists whose codes lie 32 together."""

    n_per_block: int
    block_size: int
    packer: Any
    _pack: Any

    def __init__(self, nlist: int, code_size: int, block: int = 32) -> None:
        super().__init__(nlist, code_size, block)
        self._begin(n_per_block=32, block_size=32 * int(code_size), packer=None, _pack=None)

    def get_codes(self, list_no: int) -> Pointer:
        """Pointer to the blocks of a list, a copy."""
        codes = self._codes(list_no)
        return Pointer((codes if self._pack is None else self._pack(codes)).reshape(-1))


def lo_build(list_id: int, offset: int) -> int:
    """A list and a place in it, as one number."""
    return list_id << 32 | offset


def lo_listno(lo: int) -> int:
    """The list of such a number."""
    return lo >> 32


def lo_offset(lo: int) -> int:
    """The place of such a number."""
    return lo & 0xFFFF_FFFF


class DirectMap(Sealed):
    """Where the code of each id is."""

    NoMap = 0
    Array = 1
    Hashtable = 2

    type: int
    _array: Labels
    _table: dict[int, int]

    def __init__(self) -> None:
        self._begin(type=self.NoMap, _array=np.empty(0, np.int64), _table={})

    @property
    def array(self) -> Int64Vector:
        """The place of each id, -1 for those that are not there."""
        return Int64Vector.over(lambda: self._array, lambda places: self._begin(_array=places.copy()))

    @property
    def hashtable(self) -> dict[int, int]:
        """The place of each id."""
        return self._table

    def no(self) -> bool:
        """Whether there is no map."""
        return self.type == self.NoMap

    def clear(self) -> None:
        """Forget all places."""
        self._begin(_array=np.empty(0, np.int64), _table={})

    def set_type(self, new_type: int, invlists: InvertedLists, ntotal: int) -> None:
        """Make a map of that type of what is in the lists."""
        require(new_type in (self.NoMap, self.Array, self.Hashtable), f"map type {new_type} is known")
        if new_type == self.type and new_type != self.Array:
            return
        self.clear()
        self._begin(type=new_type)
        if new_type == self.NoMap:
            return
        found = [(at, invlists._core.ids(at)) for at in range(invlists.nlist)]
        if new_type == self.Array:
            array = np.full(ntotal, -1, np.int64)
            for at, ids in found:
                inside = ids[(ids >= 0) & (ids < ntotal)]
                require(len(inside) == len(ids), "direct map supported only for sequential ids")
                array[ids] = (at << 32) + np.arange(len(ids))
            self._begin(_array=array)
        else:
            places: dict[int, int] = {}
            for at, ids in found:
                places.update(zip(ids.tolist(), range(at << 32, (at << 32) + len(ids)), strict=True))
            self._begin(_table=places)

    def check_can_add(self, ids: Any) -> None:
        """Refuse ids of the user's choice where places are in an array."""
        require(ids is None or self.type != self.Array, "cannot have array direct map and add with ids")

    def get(self, id: int) -> int:
        """The place of an id."""
        return int(self._get(np.array([id], np.int64))[0])

    def _get(self, keys: Labels) -> Labels:
        require(not self.no(), "direct map not initialized")
        if self.type == self.Array:
            require(((keys >= 0) & (keys < len(self._array))).all(), "invalid key")
            places = self._array[keys]
            require((places >= 0).all(), "-1 entry in direct_map")
            return places
        try:
            return np.array([self._table[key] for key in keys.tolist()], np.int64)
        except KeyError as key:
            raise RuntimeError(f"key {key} not found") from None

    def _added(self, keys: Labels, ids: Labels, sizes: Labels) -> None:
        """Take note of codes that were appended to the lists `keys`, which had `sizes` codes before."""
        if self.no():
            return
        order = np.argsort(keys, kind="stable")
        sorted_keys = keys[order]
        rank = np.arange(len(keys)) - np.searchsorted(sorted_keys, sorted_keys)
        places = np.full(len(keys), -1, np.int64)
        valid = sorted_keys >= 0
        places[order[valid]] = (sorted_keys[valid] << 32) + sizes[sorted_keys[valid]] + rank[valid]
        if self.type == self.Array:
            self._begin(_array=np.concatenate([self._array, places]))
        else:
            self._table.update(zip(ids.tolist(), places.tolist(), strict=True))

    def to_record(self) -> dict[str, Any]:
        """What a file holds of the map."""
        table = np.array(list(self._table.items()), np.int64).reshape(-1)
        return {"type": self.type, "array": self._array, "hashtable": table}

    def _restore(self, record: dict[str, Any]) -> None:
        table = np.asarray(record.get("hashtable", ()), np.int64).reshape(-1, 2)
        places = zip(table[:, 0].tolist(), table[:, 1].tolist(), strict=True)
        self._begin(
            type=record["type"],
            _array=np.array(record["array"], np.int64),
            _table=dict(places),
        )


def by_list(lists: Labels) -> Iterator[tuple[int, Labels]]:
    """Each list that is among numbers of lists, and where among them it is."""
    order = np.argsort(lists, kind="stable")
    for some in np.split(order, np.flatnonzero(np.diff(lists[order])) + 1):
        if len(some):
            yield int(lists[some[0]]), some


def residuals(x: Floats, centers: Floats, keys: Labels) -> Floats:
    """What vectors are off from the centres of their lists."""
    return x - centers[np.maximum(keys, 0)]
