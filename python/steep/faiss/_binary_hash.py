"""Vectors of bits by some of them: IndexBinaryHash and IndexBinaryMultiHash.

A table's buckets are lists of the core, so that a query's are searched by the one loop over lists: those of
its own bits, and of bits of which up to `nflip` differ.
"""

from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from steep import _steep
from steep.faiss._base import Codes, Floats, Labels, Sealed, require
from steep.faiss._bitrows import Counts, bits
from steep.faiss._bits import IndexBinary, IndexBinaryFlat, counts, pieces
from steep.faiss._codes import ALL_CODES, asked
from steep.faiss._simd import cvar, threads

Hashes = npt.NDArray[np.uint64]


def hashes(x: Codes, first: int, b: int) -> Hashes:
    """The b bits from bit `first` on as a number, of each row; what is beyond the row is 0."""
    begin = first >> 3
    some = np.zeros((len(x), 16), np.uint8)
    there = x[:, begin : begin + 9]
    some[:, : there.shape[1]] = there
    low, high = some.view("<u8").astype(np.uint64).T
    shift = np.uint64(first & 7)
    word = low >> shift
    if shift:
        word |= high << (np.uint64(64) - shift)
    return word & np.uint64((1 << b) - 1)


def flips(b: int, nflip: int) -> Hashes:
    """All numbers of b bits of which at most nflip are set."""
    sets = [
        sum(1 << bit for bit in some) for n in range(min(nflip, b) + 1) for some in combinations(range(b), n)
    ]
    return np.array(sets, np.uint64)


def check_bits(b: int) -> None:
    """Refuse hashes that are no numbers of 64 bits."""
    require(0 < b < 64, f"0 < b < 64 with b = {b}")


class _Table:
    """Buckets by hash, in the order of the hashes."""

    def __init__(self) -> None:
        self.hashes: Hashes = np.empty(0, np.uint64)
        self.rows: Labels = np.empty(0, np.int64)
        self._sorted: tuple[Hashes, Labels, Labels] | None = None

    def add(self, new: Hashes, rows: Labels) -> None:
        self.hashes = np.concatenate([self.hashes, new])
        self.rows = np.concatenate([self.rows, rows])
        self._sorted = None

    def buckets(self) -> tuple[Hashes, Labels, Labels]:
        """The hashes there are, how many rows each has, and all rows, bucket after bucket."""
        if self._sorted is None:
            order = np.argsort(self.hashes, kind="stable")
            known, sizes = np.unique(self.hashes, return_counts=True)
            self._sorted = known, sizes.astype(np.int64), self.rows[order]
        return self._sorted

    def keys(self, asked_for: Hashes) -> Labels:
        """The bucket of each hash, -1 where there is none."""
        known = self.buckets()[0]
        if not len(known):
            return np.full(asked_for.shape, -1, np.int64)
        at = np.minimum(np.searchsorted(known, asked_for), len(known) - 1)
        return np.where(known[at] == asked_for, at, -1).astype(np.int64)

    def to_record(self) -> dict[str, Any]:
        known, sizes, rows = self.buckets()
        return {"hashes": known, "sizes": sizes.astype(np.uint64), "ids": rows}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "_Table":
        table = cls()
        sizes = np.asarray(record["sizes"]).astype(np.int64)
        table.add(
            np.repeat(np.asarray(record["hashes"], np.uint64), sizes), np.array(record["ids"], np.int64)
        )
        return table


class IndexBinaryHash(IndexBinary):
    """Vectors by their first b bits.

    Attributes
    ----------
    b : int
        Bits that choose a bucket.
    nflip : int
        Of these, how many may differ in buckets that a search looks at.
    """

    fourcc = "IBHh"

    b: int
    nflip: int
    _table: _Table
    _ids: Labels
    _vecs: Codes
    _lists: _steep.Lists | None

    def __init__(self, d: int = 0, b: int = 0) -> None:
        super().__init__(d)
        if d:
            check_bits(b)
        self._begin(b=int(b), nflip=0)
        self.reset()

    @property
    def ntotal(self) -> int:  # type: ignore[override]
        """Number of vectors."""
        return len(self._ids)

    def reset(self) -> None:
        """Forget all vectors."""
        empty = np.empty((0, self.code_size), np.uint8)
        self._begin(_table=_Table(), _ids=np.empty(0, np.int64), _vecs=empty, _lists=None)

    def _takes_ids(self) -> bool:
        return True

    def _add(self, x: Codes, ids: Labels | None) -> None:
        rows = np.arange(self.ntotal, self.ntotal + len(x), dtype=np.int64)
        self._table.add(hashes(x, 0, self.b), rows)
        ids, vecs = np.concatenate([self._ids, rows if ids is None else ids]), np.concatenate([self._vecs, x])
        self._begin(_ids=ids, _vecs=vecs, _lists=None)

    def hashtable_size(self) -> int:
        """Buckets that are not empty."""
        return len(self._table.buckets()[0])

    def _buckets(self) -> _steep.Lists:
        lists = self._lists
        if lists is None:
            known, sizes, rows = self._table.buckets()
            lists = _steep.Lists(max(len(known), 1), self.code_size, 1)
            ends = np.cumsum(sizes)
            for at, (begin, end) in enumerate(zip((ends - sizes).tolist(), ends.tolist(), strict=True)):
                lists.append(at, self._ids[rows[begin:end]], self._vecs[rows[begin:end]])
            self._begin(_lists=lists)
        return lists

    def _looked(self, x: Codes, params: Any) -> dict[str, Any]:
        require(params is None, "search params not supported for this index")
        keys = self._table.keys(hashes(x, 0, self.b)[:, None] ^ flips(self.b, int(self.nflip)))
        sizes, there = self._table.buckets()[1], keys >= 0
        stats = cvar.indexBinaryHash_stats
        stats.nq += len(x)
        stats.nlist += int(there.sum())
        stats.ndis += int(sizes[keys[there]].sum())
        return asked(keys, np.zeros(keys.shape, np.float32), "l2", None, ALL_CODES, None)

    def _search(self, x: Codes, k: int, params: Any) -> tuple[Counts, Labels]:
        codec = _steep.Codec.binary(self.d)
        found = [
            self._buckets().search(codec, bits(some), k, self._looked(some, params))
            for some in (x[piece] for piece in pieces(x))
        ]
        labels, distances = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return counts(distances), labels

    def _range_search(self, x: Codes, radius: int, params: Any) -> tuple[Any, Floats, Labels]:
        codec, how = _steep.Codec.binary(self.d), self._looked(x, params)
        lims, labels, distances = self._buckets().range_search(codec, bits(x), float(radius - 1), how)
        return lims, distances, labels

    def display(self) -> None:
        """Print the ids of each bucket."""
        known, sizes, rows = self._table.buckets()
        for value, some in zip(known, np.split(self._ids[rows], np.cumsum(sizes)[:-1]), strict=True):
            print(f"{value}: [{' '.join(map(str, some))} ]")

    def to_record(self) -> dict[str, Any]:
        """What a file holds of the index."""
        known, sizes, rows = self._table.buckets()
        return self._header() | {
            "b": self.b,
            "nflip": int(self.nflip),
            "hashes": known,
            "sizes": sizes.astype(np.uint64),
            "ids": self._ids[rows],
            "vecs": self._vecs[rows].reshape(-1),
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "IndexBinaryHash":
        """The index that a file holds."""
        index = cls(record["d"], record["b"])
        vecs = np.array(record["vecs"], np.uint8).reshape(-1, index.code_size)
        index._begin(nflip=record["nflip"])
        # Buckets are told by the bits of what is in them.
        index._add(vecs, np.array(record["ids"], np.int64))
        return index


class _Map(Sealed):
    """What scripts see of a table: the rows of each hash."""

    _table: _Table

    def __init__(self, table: _Table) -> None:
        self._begin(_table=table)

    def size(self) -> int:
        """How many hashes there are."""
        return len(self._table.buckets()[0])

    __len__ = size


class IndexBinaryMultiHash(IndexBinary):
    """Vectors by several parts of b bits each: what shares one of them is looked at.

    Attributes
    ----------
    storage : IndexBinaryFlat
        Holds the vectors.
    nhash, b : int
        How many parts, and bits of each.
    nflip : int
        Of these, how many may differ.
    """

    fourcc = "IBHm"

    storage: Any
    own_fields: bool
    nhash: int
    b: int
    nflip: int
    _tables: list[_Table]

    def __init__(self, d: int = 0, nhash: int = 0, b: int = 0) -> None:
        super().__init__(d)
        if d:
            check_bits(b)
        require(nhash * b <= d, "nhash * b <= d")
        storage = IndexBinaryFlat(d) if d else None
        self._begin(storage=storage, own_fields=True, nhash=int(nhash), b=int(b), nflip=0)
        self._begin(_tables=[_Table() for _ in range(nhash)])

    @property
    def ntotal(self) -> int:  # type: ignore[override]
        """Number of vectors."""
        return 0 if self.storage is None else self.storage.ntotal

    @property
    def maps(self) -> list[_Map]:
        """The tables of the parts."""
        return [_Map(table) for table in self._tables]

    def reset(self) -> None:
        """Forget all vectors."""
        self.storage.reset()
        self._begin(_tables=[_Table() for _ in range(self.nhash)])

    def _add(self, x: Codes, ids: Labels | None) -> None:
        rows = np.arange(self.ntotal, self.ntotal + len(x), dtype=np.int64)
        for at, table in enumerate(self._tables):
            table.add(hashes(x, at * self.b, self.b), rows)
        self.storage.add(x)

    def hashtable_size(self) -> int:
        """Buckets of all tables that are not empty."""
        return sum(len(table.buckets()[0]) for table in self._tables)

    def _candidates(self, x: Codes, params: Any) -> Labels:
        """The rows to look at for each query, each once, filled up with -1."""
        require(params is None, "search params not supported for this index")
        masks = flips(self.b, int(self.nflip))
        shortlists: list[list[Labels]] = [[] for _ in x]
        stats = cvar.indexBinaryHash_stats
        for at, table in enumerate(self._tables):
            _, sizes, rows = table.buckets()
            ends = np.cumsum(sizes)
            keys = table.keys(hashes(x, at * self.b, self.b)[:, None] ^ masks)
            stats.nlist += int((keys >= 0).sum())
            for query, key in np.argwhere(keys >= 0).tolist():
                bucket = keys[query, key]
                shortlists[query].append(rows[ends[bucket] - sizes[bucket] : ends[bucket]])
        unique = [np.unique(np.concatenate(some)) if some else np.empty(0, np.int64) for some in shortlists]
        stats.nq += len(x)
        stats.ndis += sum(map(len, unique))
        candidates = np.full((len(x), max(map(len, unique), default=0) or 1), -1, np.int64)
        for row, some in zip(candidates, unique, strict=True):
            row[: len(some)] = some
        return candidates

    def _search(self, x: Codes, k: int, params: Any) -> tuple[Counts, Labels]:
        if not len(x):
            return np.empty((0, k), np.int32), np.empty((0, k), np.int64)
        candidates = self._candidates(x, params)
        labels, distances = self.storage._store.rank(x, k, candidates, threads())
        return counts(distances), labels

    def _range_search(self, x: Codes, radius: int, params: Any) -> tuple[Any, Floats, Labels]:
        distances, labels = self._search(x, self._candidates(x, params).shape[1], params)
        near = (labels >= 0) & (distances < radius)
        lims = np.concatenate([[0], np.cumsum(near.sum(1))])
        return lims, distances[near].astype(np.float32), labels[near]

    def to_record(self) -> dict[str, Any]:
        """What a file holds of the index."""
        return self._header() | {
            "storage": self.storage.to_record(),
            "b": self.b,
            "nhash": self.nhash,
            "nflip": int(self.nflip),
            "maps": [table.to_record() for table in self._tables],
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "IndexBinaryMultiHash":
        """The index that a file holds."""
        from steep.faiss._io import from_record

        index = cls(record["d"], record["nhash"], record["b"])
        tables = [_Table.from_record(one) for one in record["maps"]]
        index._begin(storage=from_record(record["storage"]), nflip=record["nflip"], _tables=tables)
        return index


__all__ = ["IndexBinaryHash", "IndexBinaryMultiHash"]
