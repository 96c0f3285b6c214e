"""What is least, where does it go, and which bits? Faiss's buckets, heaps, maps and bit strings."""

# pyright: reportConstantRedefinition=false

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from steep import _steep
from steep.faiss._arrays import Owned, Pointer, pointed
from steep.faiss._simd import threads

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]


def _select(array: Any, k: int, largest: bool) -> tuple[Floats, Ids]:
    array = np.ascontiguousarray(array, np.float32)
    m, n = array.shape
    if k < 0:
        raise ValueError("negative dimensions are not allowed")
    if not m or not n or not k:
        most = np.finfo(np.float32).max
        return np.full((m, k), -most if largest else most, np.float32), np.full((m, k), -1, np.int64)
    return _steep.faiss_select(array, k, largest, threads())


def kmin(array: Any, k: int) -> tuple[Floats, Ids]:
    """The k smallest values of each row, ascending, and their columns."""
    return _select(array, k, False)


def kmax(array: Any, k: int) -> tuple[Floats, Ids]:
    """The k largest values of each row, descending, and their columns."""
    return _select(array, k, True)


def _buckets(entries: Ids, nbucket: int | None, width: int) -> tuple[Ids, Ids]:
    if nbucket is None:
        nbucket = int(entries.max() + 1)
    try:
        return _steep.faiss_buckets(entries, nbucket, width)
    except ValueError as error:
        raise RuntimeError(str(error)) from None


def bucket_sort(tab: Any, nbucket: int | None = None, nt: int = 0) -> tuple[Ids, Ids]:
    """Sort whole numbers of 0 to nbucket - 1.

    Returns
    -------
    lims : int64 array of shape (nbucket + 1,)
        Where each bucket begins.
    perm : int64 array
        Where the entries of each bucket stood: ``perm[lims[i]:lims[i + 1]]``.
    """
    return _buckets(np.ascontiguousarray(tab, np.int64).reshape(-1), nbucket, 1)


def matrix_bucket_sort_inplace(tab: npt.NDArray[Any], nbucket: int | None = None, nt: int = 0) -> Ids:
    """Replace a table of bucket numbers by the row numbers of each bucket's entries, one after the other.

    Returns
    -------
    lims : int64 array of shape (nbucket + 1,)
        Where each bucket begins in ``tab.ravel()``.
    """
    assert tab.dtype in (np.int32, np.int64), f"the table has dtype {tab.dtype}: expected int32 or int64"
    _, ncol = tab.shape
    if not tab.flags.c_contiguous:
        raise ValueError("array is not C-contiguous: pass numpy.ascontiguousarray(tab)")
    lims, rows = _buckets(tab.astype(np.int64).reshape(-1), nbucket, ncol)
    tab.reshape(-1)[:] = rows
    return lims


def _merge(D: Floats, I: Ids, newD: Floats, newI: Ids, largest: bool) -> None:
    """Keep the best of rows and of what is new, in place, sorted."""
    k = D.shape[1]
    if not D.size:
        return
    both = np.concatenate([D, newD], axis=1)
    names = np.concatenate([I, np.broadcast_to(newI, newD.shape)], axis=1)
    D[:], at = _select(both, k, largest)
    I[:] = np.where(at >= 0, np.take_along_axis(names, np.maximum(at, 0), 1), -1)


class _Heaps(Owned):
    """Faiss's `HeapArray`: the k best of nh rows, in arrays that `val` and `ids` point to.

    Its own documentation calls it "a template structure for a set of [min|max]-heaps". Here rows are kept
    sorted at all times.
    """

    _dtype: Any = np.float32
    _largest = False

    nh: int
    k: int

    def __init__(self) -> None:
        self.nh, self.k = 0, 0
        self.ids: Any = None
        self.val: Any = None

    def _both(self) -> tuple[npt.NDArray[Any], Ids]:
        size, shape = self.nh * self.k, (self.nh, self.k)
        values = pointed(self.val, size, self._dtype, "val").reshape(shape)
        return values, pointed(self.ids, size, np.int64, "ids").reshape(shape)

    def get_val(self, key: int) -> Pointer:
        """Pointer to the values of a row."""
        return Pointer(self._both()[0][key])

    def get_ids(self, key: int) -> Pointer:
        """Pointer to the ids of a row."""
        return Pointer(self._both()[1][key])

    def heapify(self) -> None:
        """Empty all rows."""
        values, ids = self._both()
        if values.dtype == np.float32:
            values[:] = np.finfo(np.float32).max * (-1 if self._largest else 1)
        else:
            values[:] = np.iinfo(np.int32).min if self._largest else np.iinfo(np.int32).max
        ids[:] = -1

    def _add(self, rows: Any, new: npt.NDArray[Any], names: Any) -> None:
        values, ids = self._both()
        if values.dtype == np.float32:
            D, I = values[rows], ids[rows]
            _merge(D, I, new, names, self._largest)
        else:
            both = np.concatenate([values[rows], new], axis=1)
            every = np.concatenate([ids[rows], np.broadcast_to(names, new.shape)], axis=1)
            order = np.argsort(-both if self._largest else both, axis=1, kind="stable")[:, : self.k]
            D, I = np.take_along_axis(both, order, 1), np.take_along_axis(every, order, 1)
        values[rows], ids[rows] = D, I

    def addn(self, nj: int, vin: Any, j0: int = 0, i0: int = 0, ni: int = -1) -> None:
        """Add nj values to each of ni rows from i0 on; their ids are j0, j0 + 1 and so on."""
        ni = self.nh if ni == -1 else ni
        new = pointed(vin, ni * nj, self._dtype, "vin").reshape(ni, nj)
        self._add(slice(i0, i0 + ni), new, np.arange(j0, j0 + nj, dtype=np.int64))

    def addn_with_ids(
        self, nj: int, vin: Any, id_in: Any = None, id_stride: int = 0, i0: int = 0, ni: int = -1
    ) -> None:
        """Add nj values to each of ni rows, with ids; a stride of 0 takes the same ids for all rows."""
        if id_in is None:
            self.addn(nj, vin, 0, i0, ni)
            return
        ni = self.nh if ni == -1 else ni
        new = pointed(vin, ni * nj, self._dtype, "vin").reshape(ni, nj)
        self._add(slice(i0, i0 + ni), new, _names(id_in, ni, nj, id_stride))

    def addn_query_subset_with_ids(
        self, nsubset: int, subset: Any, nj: int, vin: Any, id_in: Any = None, id_stride: int = 0
    ) -> None:
        """Add nj values to each of some rows."""
        rows = pointed(subset, nsubset, np.int64, "subset")
        new = pointed(vin, nsubset * nj, self._dtype, "vin").reshape(nsubset, nj)
        names = np.arange(nj, dtype=np.int64) if id_in is None else _names(id_in, nsubset, nj, id_stride)
        self._add(rows, new, names)

    def reorder(self) -> None:
        """Nothing to do: rows are sorted."""

    def per_line_extrema(self, vals_out: Any, idx_out: Any) -> None:
        """The worst value of each row, and its id."""
        values, ids = self._both()
        if vals_out is not None:
            pointed(vals_out, self.nh, self._dtype, "vals_out")[:] = values[:, -1]
        if idx_out is not None:
            pointed(idx_out, self.nh, np.int64, "idx_out")[:] = ids[:, -1]


def _names(id_in: Any, rows: int, nj: int, stride: int) -> Ids:
    if not stride:
        return pointed(id_in, nj, np.int64, "id_in")
    flat = pointed(id_in, (rows - 1) * stride + nj if rows else 0, np.int64, "id_in")
    return np.lib.stride_tricks.as_strided(flat, (rows, nj), (8 * stride, 8), writeable=False)


class float_maxheap_array_t(_Heaps):
    __doc__ = _Heaps.__doc__


class float_minheap_array_t(_Heaps):
    __doc__ = _Heaps.__doc__
    _largest = True


class int_maxheap_array_t(_Heaps):
    __doc__ = _Heaps.__doc__
    _dtype = np.int32


class int_minheap_array_t(_Heaps):
    __doc__ = _Heaps.__doc__
    _dtype, _largest = np.int32, True


class ResultHeap:
    """The k best results of queries whose base comes in parts: `D` and `I` after `finalize`.

    Parameters
    ----------
    nq, k : int
        Queries, and results of each.
    keep_max : bool
        Keep the largest values in place of the smallest.
    """

    nq: int
    k: int
    keep_max: bool

    def __init__(self, nq: int, k: int, keep_max: bool = False) -> None:
        self.nq, self.k, self.keep_max = nq, k, bool(keep_max)
        most = np.finfo(np.float32).max
        self.D: Floats = np.full((nq, k), -most if keep_max else most, np.float32)
        self.I: Ids = np.full((nq, k), -1, np.int64)

    def add_result(self, D: Any, I: Any) -> None:
        """Add results of all queries, in any order."""
        nq, kd = D.shape
        D, I = np.ascontiguousarray(D, np.float32), np.ascontiguousarray(I, np.int64)
        assert I.shape == (nq, kd), f"I has shape {I.shape}, D has {D.shape}"
        assert nq == self.nq, f"{nq} rows of results for {self.nq} queries"
        _merge(self.D, self.I, D, I, self.keep_max)

    def add_result_subset(self, subset: Any, D: Any, I: Any) -> None:
        """Add results of some queries; an `I` of one dimension are the ids for all of them."""
        nsubset, kd = D.shape
        assert nsubset == len(subset), f"{nsubset} rows of results for {len(subset)} queries"
        assert I.shape in ((nsubset, kd), (kd,)), f"I has shape {I.shape}, D has {D.shape}"
        D, I = np.ascontiguousarray(D, np.float32), np.ascontiguousarray(I, np.int64)
        subset = np.ascontiguousarray(subset, np.int64)
        kept, names = self.D[subset], self.I[subset]
        _merge(kept, names, D, I, self.keep_max)
        self.D[subset], self.I[subset] = kept, names

    def finalize(self) -> None:
        """Sort the results: they are, but for those that were written behind pointers."""
        order = np.argsort(-self.D if self.keep_max else self.D, axis=1, kind="stable")
        self.D[:], self.I[:] = np.take_along_axis(self.D, order, 1), np.take_along_axis(self.I, order, 1)


def merge_knn_results(
    Dall: npt.NDArray[Any], Iall: Ids, keep_max: bool = False
) -> tuple[npt.NDArray[Any], Ids]:
    """Merge sorted results of shards, of shape (nshard, nq, k), into the k best of all."""
    assert Iall.shape == Dall.shape, f"Iall has shape {Iall.shape}, Dall has {Dall.shape}"
    if Dall.dtype not in (np.dtype(np.float32), np.dtype(np.int32)) or Iall.dtype != np.int64:
        raise TypeError(f"expected float32 or int32 with int64, not {Dall.dtype} with {Iall.dtype}")
    nshard, n, k = Dall.shape
    values = Dall.transpose(1, 0, 2).reshape(n, nshard * k)
    names = Iall.transpose(1, 0, 2).reshape(n, nshard * k)
    # A shard's results end at the first -1.
    ended = np.logical_or.accumulate(Iall < 0, axis=2).transpose(1, 0, 2).reshape(n, nshard * k)
    info = np.finfo(np.float32) if Dall.dtype == np.float32 else np.iinfo(np.int32)
    nothing = info.min if keep_max else info.max
    wide = values.astype(np.float64 if Dall.dtype == np.float32 else np.int64)
    key = np.where(ended, np.inf, -wide if keep_max else wide)
    order = np.argsort(key, axis=1, kind="stable")[:, :k]
    gone = np.take_along_axis(ended, order, 1)
    D: npt.NDArray[Any] = np.where(gone, nothing, np.take_along_axis(values, order, 1)).astype(Dall.dtype)
    return D, np.where(gone, -1, np.take_along_axis(names, order, 1))


class MapInt64ToInt64:
    """Whole numbers by whole numbers, as many as a table of a fixed size holds."""

    log2_capacity: int

    def __init__(self, capacity: int) -> None:
        self.log2_capacity = int(np.log2(capacity))
        assert capacity == 2**self.log2_capacity, "need power of 2 capacity"
        self.capacity = capacity
        self._keys: Ids = np.empty(0, np.int64)
        self._vals: Ids = np.empty(0, np.int64)

    def add(self, keys: Ids, vals: Ids) -> None:
        """Note what belongs to each key, in place of what did."""
        (n,) = keys.shape
        assert vals.shape == (n,), f"{n} keys for {vals.shape} values"
        every = np.concatenate([np.asarray(keys, np.int64)[::-1], self._keys])
        values = np.concatenate([np.asarray(vals, np.int64)[::-1], self._vals])
        found, first = np.unique(every, return_index=True)
        if found.size > self.capacity:
            raise RuntimeError(f"{found.size} keys: the map was made for {self.capacity}")
        self._keys, self._vals = found, values[first]

    def lookup(self, keys: Ids) -> Ids:
        """What belongs to each key, -1 where nothing does."""
        (_,) = keys.shape
        if not self._keys.size:
            return np.full(keys.shape, -1, np.int64)
        at = np.minimum(np.searchsorted(self._keys, keys), self._keys.size - 1)
        return np.where(self._keys[at] == keys, self._vals[at], -1)


class MapLong2Long(Owned):
    """Whole numbers by whole numbers."""

    def __init__(self) -> None:
        self._map: dict[int, int] = {}

    def add(self, keys: Any, vals: Any) -> None:
        """Note what belongs to each key, in place of what did."""
        (n,) = keys.shape
        assert vals.shape == (n,), f"{n} keys for {vals.shape} values"
        keys, vals = np.asarray(keys).astype(np.int64), np.asarray(vals).astype(np.int64)
        self._map.update(zip(keys.tolist(), vals.tolist(), strict=True))

    def search(self, key: int) -> int:
        """What belongs to a key, -1 where nothing does."""
        return self._map.get(int(key), -1)

    def search_multiple(self, keys: Any) -> Ids:
        """What belongs to each key."""
        (n,) = keys.shape
        found = (self._map.get(key, -1) for key in np.asarray(keys).astype(np.int64).tolist())
        return np.fromiter(found, np.int64, n)


class CodeSet(Owned):
    """A set of codes of `d` bytes."""

    def __init__(self, d: int) -> None:
        self.d = d
        self._codes: set[bytes] = set()

    def insert(self, codes: npt.NDArray[np.uint8], inserted: Any = None) -> npt.NDArray[np.bool_]:
        """Put codes in, and say of each whether it was new."""
        n, d = codes.shape
        assert d == self.d, f"codes of {d} bytes in a set of codes of {self.d}"
        if codes.dtype != np.uint8:
            raise TypeError(f"codes have dtype {codes.dtype}: expected uint8")
        given = np.empty(n, np.bool_) if inserted is None else inserted
        new = cast("npt.NDArray[np.bool_]", given)
        assert new.shape == (n,), f"inserted has shape {new.shape}, there are {n} codes"
        for at, code in enumerate(np.ascontiguousarray(codes)):
            before = len(self._codes)
            self._codes.add(code.tobytes())
            new[at] = len(self._codes) > before
        return new


def _bits(nbit: Any, M: int) -> list[int]:
    if isinstance(nbit, (Sequence, np.ndarray)):
        widths = [int(n) for n in cast("Sequence[Any]", nbit)]
        assert len(widths) == M, f"{len(widths)} widths for {M} columns"
    else:
        widths = [int(nbit)] * M
    if any(not 0 <= n <= 32 for n in widths):
        raise ValueError(f"nbit = {nbit}: expected 0 to 32")
    return widths


def pack_bitstrings(a: Any, nbit: Any) -> npt.NDArray[np.uint8]:
    """Pack whole numbers, of shape (n, M), into bits: `nbit` each, or ``nbit[j]`` in column j."""
    n, M = a.shape
    a = np.ascontiguousarray(a, np.int32)
    widths = _bits(nbit, M)
    bits = np.zeros((n, (sum(widths) + 7) // 8 * 8), np.uint8)
    at = 0
    for column, width in zip(a.T, widths, strict=True):
        bits[:, at : at + width] = column.view(np.uint32)[:, None] >> np.arange(width, dtype=np.uint32) & 1
        at += width
    return np.packbits(bits, axis=1, bitorder="little")


def unpack_bitstrings(
    b: npt.NDArray[np.uint8], M_or_nbits: Any, nbit: int | None = None
) -> npt.NDArray[np.int32]:
    """Unpack what `pack_bitstrings` made: of M columns of `nbit` bits, or of ``M_or_nbits[j]`` bits each."""
    n, code_size = b.shape
    widths = _bits(M_or_nbits, len(M_or_nbits)) if nbit is None else _bits(nbit, M_or_nbits)
    assert code_size >= (sum(widths) + 7) // 8, (
        f"codes of {code_size} bytes hold less than {sum(widths)} bits"
    )
    bits = np.unpackbits(np.ascontiguousarray(b), axis=1, bitorder="little")
    out = np.zeros((n, len(widths)), np.uint32)
    at = 0
    for j, width in enumerate(widths):
        for bit in range(width):
            out[:, j] |= bits[:, at + bit].astype(np.uint32) << np.uint32(bit)
        at += width
    return out.view(np.int32)


_STEP, _START, _FACTOR = 65713, 112909, 1686049


def _checksum(rows: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """Faiss's checksum of each row of bytes: words from the last to the first, then bytes."""
    _, d = rows.shape
    words = np.ascontiguousarray(rows[:, : d // 4 * 4]).view(np.uint32) * np.uint32(_FACTOR)
    powers = np.cumprod(np.r_[np.uint64(1), np.full(words.shape[1], _STEP, np.uint64)], dtype=np.uint64)
    sums: npt.NDArray[np.uint64] = (words.astype(np.uint64) * powers[:-1]).sum(axis=1, dtype=np.uint64)
    sums += powers[-1:] * np.uint64(_START)
    for column in rows[:, d // 4 * 4 :].T:
        sums = sums * np.uint64(_STEP) + column.astype(np.uint64) * np.uint64(_FACTOR)
    return sums


def checksum(a: npt.NDArray[Any]) -> Any:
    """A checksum of an array, or of each row of a table, to compare arrays by."""
    a = np.ascontiguousarray(a).view(np.uint8)
    if a.ndim == 1:
        return int(_checksum(a[None])[0])
    return _checksum(a)


def eval_intersection(I1: Any, I2: Any) -> int:
    """How many ids the rows of two tables have in common."""
    I1, I2 = np.ascontiguousarray(I1, np.int64), np.ascontiguousarray(I2, np.int64)
    assert I1.shape[0] == I2.shape[0], f"{I1.shape[0]} rows and {I2.shape[0]}"
    return sum(_common(a, b) for a, b in zip(I1, I2, strict=True))


def _common(a: Ids, b: Ids) -> int:
    return int(np.isin(a, b[b >= 0]).sum())


def ranklist_intersection_size(k1: int, v1: Any, k2: int, v2: Any) -> int:
    """How many ids two lists have in common."""
    return _common(pointed(v1, k1, np.int64, "v1"), pointed(v2, k2, np.int64, "v2"))


def popcount64(x: int) -> int:
    """How many bits of a number are set."""
    if not 0 <= x < 1 << 64:
        raise OverflowError(f"x = {x}: expected a positive number of 64 bits")
    return int(x).bit_count()


def popcount32(x: int) -> int:
    """How many bits of a number are set."""
    if not 0 <= x < 1 << 32:
        raise OverflowError(f"x = {x}: expected a positive number of 32 bits")
    return int(x).bit_count()


def ivec_hist(n: int, v: Any, vmax: int, hist: Any) -> int:
    """Count each whole number of 0 to vmax - 1; how many others there were."""
    values = pointed(v, n, np.int32, "v")
    inside = values[(values >= 0) & (values < vmax)]
    pointed(hist, vmax, np.int32, "hist")[:] = np.bincount(inside, minlength=vmax)
    return n - inside.size


def _partition(
    vals: Any, ids: Any, sizes: tuple[int, int, int], q_out: Any, dtype: Any, largest: bool
) -> float:
    n, q_min, _q_max = sizes
    values, names = pointed(vals, n, dtype, "vals"), pointed(ids, n, np.int64, "ids")
    wide = values.astype(np.float64)
    order = np.argsort(-wide if largest else wide, kind="stable")
    values[:], names[:] = values[order], names[order]
    if q_out is not None:
        (q_out.array if isinstance(q_out, Pointer) else q_out)[0] = q_min
    return values[max(min(q_min, n) - 1, 0)].item() if n else 0


def CMax_float_partition_fuzzy(vals: Any, ids: Any, n: int, q_min: int, q_max: int, q_out: Any) -> float:
    """Put between q_min and q_max of the least values first, with their ids."""
    return _partition(vals, ids, (n, q_min, q_max), q_out, np.float32, False)


def CMin_float_partition_fuzzy(vals: Any, ids: Any, n: int, q_min: int, q_max: int, q_out: Any) -> float:
    """Put between q_min and q_max of the greatest values first, with their ids."""
    return _partition(vals, ids, (n, q_min, q_max), q_out, np.float32, True)


def CMax_uint16_partition_fuzzy(vals: Any, ids: Any, n: int, q_min: int, q_max: int, q_out: Any) -> float:
    """Put between q_min and q_max of the least values first, with their ids."""
    return _partition(vals, ids, (n, q_min, q_max), q_out, np.uint16, False)


def CMin_uint16_partition_fuzzy(vals: Any, ids: Any, n: int, q_min: int, q_max: int, q_out: Any) -> float:
    """Put between q_min and q_max of the greatest values first, with their ids."""
    return _partition(vals, ids, (n, q_min, q_max), q_out, np.uint16, True)


def _histogram(bins: int, data: Any, n: int, min: int, shift: int, hist: Any) -> None:
    values = pointed(data, n, np.uint16, "data").astype(np.int64)
    if shift >= 0:
        values = values - min >> shift
        values = values[(values >= 0) & (values < bins)]
    pointed(hist, bins, np.int32, "hist")[:] = np.bincount(values, minlength=bins)[:bins]


def simd_histogram_8(data: Any, n: int, min: int, shift: int, hist: Any) -> None:
    """Count 16-bit numbers in 8 bins of 2**shift from `min` on; a shift of -1 counts 0 to 7."""
    _histogram(8, data, n, min, shift, hist)


def simd_histogram_16(data: Any, n: int, min: int, shift: int, hist: Any) -> None:
    """Count 16-bit numbers in 16 bins of 2**shift from `min` on; a shift of -1 counts 0 to 15."""
    _histogram(16, data, n, min, shift, hist)


__all__ = [
    "CMax_float_partition_fuzzy",
    "CMax_uint16_partition_fuzzy",
    "CMin_float_partition_fuzzy",
    "CMin_uint16_partition_fuzzy",
    "CodeSet",
    "MapInt64ToInt64",
    "MapLong2Long",
    "ResultHeap",
    "bucket_sort",
    "checksum",
    "eval_intersection",
    "float_maxheap_array_t",
    "float_minheap_array_t",
    "int_maxheap_array_t",
    "int_minheap_array_t",
    "ivec_hist",
    "kmax",
    "kmin",
    "matrix_bucket_sort_inplace",
    "merge_knn_results",
    "pack_bitstrings",
    "popcount32",
    "popcount64",
    "ranklist_intersection_size",
    "simd_histogram_8",
    "simd_histogram_16",
    "unpack_bitstrings",
]
