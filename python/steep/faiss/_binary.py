"""All of Faiss's names for vectors of bits: indexes, and functions on pointers to rows of them."""

from typing import Any

import numpy as np

from steep import _steep
from steep.faiss._arrays import pointed
from steep.faiss._base import Codes, Labels, core_selector
from steep.faiss._binary_hash import IndexBinaryHash, IndexBinaryMultiHash
from steep.faiss._binary_ivf import BinaryInvertedListScanner, IndexBinaryIVF
from steep.faiss._bitrows import Counts, bits, far
from steep.faiss._bits import (
    NOWHERE,
    IndexBinary,
    IndexBinaryFlat,
    IndexBinaryFromFloat,
    IndexBinaryHNSW,
    IndexBinaryIDMap,
    IndexBinaryIDMap2,
    counts,
)
from steep.faiss._simd import threads

#: Rows whose distances from all others are counted at a time.
ROWS = 1 << 10


def _given(rows: Any, n: int, size: int, name: str) -> Codes:
    return np.ascontiguousarray(pointed(rows, n * size, np.uint8, name).reshape(n, size))


def _near(a: Codes, b: Codes, radius: int) -> tuple[Labels, Labels, Counts]:
    """The rows and their distances, of all that are no farther."""
    found: list[Any] = [(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int32))]
    for at in range(0, len(a), ROWS):
        table = far(a[at : at + ROWS], b)
        first, second = np.nonzero(table <= radius)
        found.append((first + at, second, table[first, second]))
    first, second, near = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return first, second, near


def hammings(a: Any, b: Any, na: int, nb: int, nbytespercode: int, dis: Any) -> None:
    """Write how many bits differ to a table of na × nb."""
    table = far(_given(a, na, nbytespercode, "a"), _given(b, nb, nbytespercode, "b"))
    pointed(dis, na * nb, np.int32, "dis").reshape(na, nb)[...] = table


def hammings_knn_mc(
    a: Any, b: Any, na: int, nb: int, k: int, ncodes: int, distances: Any, labels: Any, sel: Any = None
) -> None:
    """Write the k nearest of nb rows to each of na."""
    store = _steep.Flat(8 * ncodes, "hamming")
    store.add(_given(b, nb, ncodes, "b"))
    chosen = None if sel is None else core_selector(sel, lambda: np.arange(nb, dtype=np.int64))
    ids, distant = store.search(_given(a, na, ncodes, "a"), k, chosen, threads())
    pointed(labels, na * k, np.int64, "labels")[:] = ids.reshape(-1)
    pointed(distances, na * k, np.int32, "distances")[:] = counts(distant).reshape(-1)


def hammings_knn_hc(ha: Any, a: Any, b: Any, nb: int, ncodes: int, ordered: int = 1, *_: Any) -> None:
    """Fill heaps, `int_maxheap_array_t`, with the nearest of nb rows to each of theirs."""
    hammings_knn_mc(a, b, ha.nh, nb, ha.k, ncodes, ha.val, ha.ids)


def hammings_knn(ha: Any, a: Any, b: Any, nb: int, ncodes: int, ordered: int = 1) -> None:
    """As `hammings_knn_hc`."""
    hammings_knn_hc(ha, a, b, nb, ncodes, ordered)


def hamming_count_thres(bs1: Any, bs2: Any, n1: int, n2: int, ht: int, ncodes: int, nptr: Any) -> None:
    """Write how many pairs of rows differ in ht bits at most."""
    first, _, _ = _near(_given(bs1, n1, ncodes, "bs1"), _given(bs2, n2, ncodes, "bs2"), ht)
    pointed(nptr, 1, np.uint64, "nptr")[0] = len(first)


def match_hamming_thres(
    bs1: Any, bs2: Any, n1: int, n2: int, ht: int, ncodes: int, idx: Any, dis: Any
) -> int:
    """Write the pairs of rows that differ in ht bits at most, and in how many; how many pairs there are."""
    first, second, near = _near(_given(bs1, n1, ncodes, "bs1"), _given(bs2, n2, ncodes, "bs2"), ht)
    pointed(idx, 2 * len(first), np.int64, "idx")[:] = np.stack([first, second], 1).reshape(-1)
    pointed(dis, len(first), np.int32, "dis")[:] = near
    return len(first)


def crosshamming_count_thres(dbs: Any, n: int, ht: int, ncodes: int, nptr: Any) -> None:
    """Write how many pairs of different rows differ in ht bits at most."""
    rows = _given(dbs, n, ncodes, "dbs")
    first, second, _ = _near(rows, rows, ht)
    pointed(nptr, 1, np.uint64, "nptr")[0] = int((first < second).sum())


def generalized_hammings_knn_hc(ha: Any, a: Any, b: Any, nb: int, code_size: int, ordered: int = 1) -> None:
    """Fill heaps with the nearest of nb rows to each of theirs, by how many of their bytes differ."""
    na, k = ha.nh, ha.k
    queries, rows = _given(a, na, code_size, "a"), _given(b, nb, code_size, "b")
    distances = pointed(ha.val, na * k, np.int32, "val").reshape(na, k)
    labels = pointed(ha.ids, na * k, np.int64, "ids").reshape(na, k)
    distances[...], labels[...] = NOWHERE, -1
    for query, near, ids in zip(queries, distances, labels, strict=True):
        differing = (rows != query).sum(1)
        order = np.argsort(differing, kind="stable")[:k]
        near[: len(order)], ids[: len(order)] = differing[order], order


def generalized_hamming_64(a: int) -> int:
    """How many of the eight bytes of a number are not 0."""
    return sum(a >> shift & 255 != 0 for shift in range(0, 64, 8))


def binary_to_real(d: int, x_in: Any, x_out: Any) -> None:
    """Write -1 or 1 for each of d bits."""
    row = _given(x_in, 1, -(-d // 8), "x_in")
    pointed(x_out, d, np.float32, "x_out")[:] = 2 * bits(row)[0, :d] - 1


def real_to_binary(d: int, x_in: Any, x_out: Any) -> None:
    """Write a bit for each of d numbers: whether it is above 0."""
    packed = np.packbits(pointed(x_in, d, np.float32, "x_in") > 0, bitorder="little")
    pointed(x_out, len(packed), np.uint8, "x_out")[:] = packed


def fvec2bitvec(x: Any, b: Any, d: int) -> None:
    """Write a bit for each of d numbers: whether it is 0 or more."""
    fvecs2bitvecs(x, b, d, 1)


def fvecs2bitvecs(x: Any, b: Any, d: int, n: int) -> None:
    """Write a bit for each coordinate of n rows: whether it is 0 or more."""
    rows = pointed(x, n * d, np.float32, "x").reshape(n, d)
    packed = np.packbits(rows >= 0, axis=1, bitorder="little")
    pointed(b, packed.size, np.uint8, "b")[:] = packed.reshape(-1)


def bitvecs2fvecs(b: Any, x: Any, d: int, n: int) -> None:
    """Write -1 or 1 for each bit of n rows."""
    rows = _given(b, n, -(-d // 8), "b")
    pointed(x, n * d, np.float32, "x").reshape(n, d)[...] = 2 * bits(rows)[:, :d] - 1


def bitvec_shuffle(n: int, da: int, db: int, order: Any, a: Any, b: Any) -> None:
    """Write bits order[0], order[1], … of each of n rows."""
    rows = bits(_given(a, n, -(-da // 8), "a")) > 0
    packed = np.packbits(rows[:, pointed(order, db, np.int32, "order")], axis=1, bitorder="little")
    pointed(b, packed.size, np.uint8, "b")[:] = packed.reshape(-1)


def clone_binary_index(index: IndexBinary) -> Any:
    """A copy that shares nothing with the index."""
    from steep.faiss._base import clone_index

    return clone_index(index)


__all__ = [
    "BinaryInvertedListScanner",
    "IndexBinary",
    "IndexBinaryFlat",
    "IndexBinaryFromFloat",
    "IndexBinaryHNSW",
    "IndexBinaryHash",
    "IndexBinaryIDMap",
    "IndexBinaryIDMap2",
    "IndexBinaryIVF",
    "IndexBinaryMultiHash",
    "binary_to_real",
    "bitvec_shuffle",
    "bitvecs2fvecs",
    "clone_binary_index",
    "crosshamming_count_thres",
    "fvec2bitvec",
    "fvecs2bitvecs",
    "generalized_hamming_64",
    "generalized_hammings_knn_hc",
    "hamming_count_thres",
    "hammings",
    "hammings_knn",
    "hammings_knn_hc",
    "hammings_knn_mc",
    "match_hamming_thres",
    "real_to_binary",
]
