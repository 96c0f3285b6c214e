"""Vectors of bits, eight to a byte: IndexBinary and its kinds, around the core's Hamming distances."""

# What callers pass is checked at run time too.
# pyright: reportUnnecessaryIsInstance=false

from typing import Any, ClassVar, cast

import numpy as np

from steep import _steep
from steep.faiss._arrays import MaybeOwnedVectorUInt8, pointed
from steep.faiss._base import (
    METRIC_INNER_PRODUCT,
    METRIC_L1,
    METRIC_L2,
    Codes,
    Floats,
    Index,
    Labels,
    Sealed,
    core_selector,
    into,
    require,
    selected,
)
from steep.faiss._bitrows import Counts, bits, signs
from steep.faiss._graphs import MANY, IndexHNSW
from steep.faiss._hnsw import HNSW
from steep.faiss._idmap import IndexIDMap, IndexIDMap2
from steep.faiss._selectors import IDSelector, IDSelectorBatch
from steep.faiss._simd import threads

#: What stands beside the label -1.
NOWHERE = 2**31 - 1
#: Bits that are made floats at a time.
PIECE = 1 << 25


def pieces(x: Codes) -> list[slice]:
    """Rows whose bits are made floats together; one piece of none where there are none."""
    size = max(PIECE // (8 * x.shape[1]), 1)
    return [slice(at, at + size) for at in range(0, max(len(x), 1), size)]


def checked(x: Any) -> Codes:
    """An array of bytes that the core can take."""
    if x.dtype != np.uint8:
        raise TypeError(f"Input argument codes must be ndarray of dtype  uint8, but found {x.dtype}")
    return np.ascontiguousarray(x)


def counts(distances: Floats) -> Counts:
    """Distances as whole numbers, the largest where there is none."""
    whole = np.full(distances.shape, NOWHERE, np.int32)
    there = np.isfinite(distances)
    whole[there] = distances[there]
    return whole


class IndexBinary(Sealed):
    """Vectors of d bits that can be searched, by the names and conventions of ``faiss.IndexBinary``.

    Attributes
    ----------
    d : int
        Bits of a vector, a multiple of 8.
    code_size : int
        Bytes of a vector.
    ntotal : int
        Vectors in the index.
    is_trained : bool
        Whether vectors may be added.
    """

    #: Four letters by which files name the kind of index.
    fourcc: ClassVar[str] = ""

    d: int
    code_size: int
    metric_type: int
    is_trained: bool
    verbose: bool

    def __init__(self, d: int = 0, metric: int = METRIC_L2) -> None:
        if not isinstance(d, (int, np.integer)) or isinstance(d, bool):
            raise TypeError(f"d = {d!r}: expected a whole number")
        require(d >= 0 and d % 8 == 0, "d % 8 == 0")
        require(d <= 65_536, f"d <= 65536 with d = {d}")
        self._begin(
            d=int(d),
            code_size=int(d) // 8,
            metric_type=int(metric),
            is_trained=True,
            verbose=False,
        )

    def _refuse(self, what: str) -> RuntimeError:
        return RuntimeError(f"{what} not implemented for this type of index: {type(self).__name__}")

    # What a kind of index does. Those it does not have are refused as Faiss refuses them.

    ntotal: int = 0

    def _train(self, x: Codes) -> None:
        """Learn what is needed; nothing, mostly."""

    def _add(self, x: Codes, ids: Labels | None) -> None:
        raise self._refuse("add")

    def _takes_ids(self) -> bool:
        return False

    def _search(self, x: Codes, k: int, params: Any) -> tuple[Counts, Labels]:
        raise self._refuse("search")

    def _range_search(self, x: Codes, radius: int, params: Any) -> tuple[Any, Floats, Labels]:
        raise self._refuse("range_search")

    def _reconstruct(self, keys: Labels) -> Codes:
        raise self._refuse("reconstruct")

    def _remove(self, selector: IDSelector) -> int:
        raise self._refuse("remove_ids")

    def reset(self) -> None:
        """Forget all vectors."""
        raise self._refuse("reset")

    # Faiss's own names.

    def _rows(self, x: Any) -> Codes:
        _, size = x.shape
        rows: Codes = checked(x)
        assert size == self.code_size
        return rows

    def train(self, x: Any) -> None:
        """Learn from vectors of shape (n, code_size) what the index needs before any are added."""
        self._train(self._rows(x))

    def add(self, x: Any) -> None:
        """Add vectors of shape (n, code_size), numbered from ntotal on."""
        x = self._rows(x)
        require(self.is_trained, "is_trained")
        self._add(x, None)

    def add_with_ids(self, x: Any, ids: Any) -> None:
        """Add vectors of shape (n, code_size) with ids of shape (n,)."""
        x = self._rows(x)
        ids = np.ascontiguousarray(ids, np.int64)
        assert ids.shape == (len(x),), "not same nb of vectors as ids"
        if not self._takes_ids():
            raise self._refuse("add_with_ids")
        require(self.is_trained, "is_trained")
        self._add(x, ids)

    def search(self, x: Any, k: int, *, params: Any = None) -> tuple[Counts, Labels]:
        """Find the k nearest vectors of each query: distances and labels of shape (n, k), the nearest first.

        Where there are fewer, labels are -1 beside a distance of 2147483647.
        """
        x = self._rows(x)
        assert k > 0
        return self._search(x, int(k), params)

    def assign(self, x: Any, k: int, labels: Any = None) -> Labels:
        """Find the labels of the k nearest vectors of each query."""
        x = self._rows(x)
        assert k > 0
        found = self._search(x, int(k), None)[1]
        return into(labels, found)

    def range_search(self, x: Any, thresh: int, *, params: Any = None) -> tuple[Any, Floats, Labels]:
        """Find all vectors nearer than a threshold: query i's are at ``lims[i]:lims[i + 1]`` of D and I."""
        x = self._rows(x)
        if not isinstance(thresh, (int, np.integer)):
            raise TypeError(f"thresh = {thresh!r}: expected a whole number of bits")
        lims, distances, labels = self._range_search(x, int(thresh), params)
        return lims.astype(np.uint64), distances, labels

    def search_and_reconstruct(
        self, n: int, x: Any, k: int, distances: Any, labels: Any, recons: Any
    ) -> None:
        """As `search`, with the vectors found, between pointers; 255 in all bytes where the label is -1."""
        queries = pointed(x, n * self.code_size, np.uint8, "x").reshape(n, self.code_size)
        found, ids = self._search(np.ascontiguousarray(queries), k, None)
        vectors = np.full((n, k, self.code_size), 255, np.uint8)
        vectors[ids >= 0] = self._reconstruct(ids[ids >= 0])
        pointed(distances, n * k, np.int32, "distances")[:] = found.reshape(-1)
        pointed(labels, n * k, np.int64, "labels")[:] = ids.reshape(-1)
        pointed(recons, vectors.size, np.uint8, "recons")[:] = vectors.reshape(-1)

    def reconstruct(self, key: int) -> Codes:
        """The vector that has a label."""
        vector: Codes = self._reconstruct(np.array([key], np.int64))[0]
        return vector

    def reconstruct_n(self, n0: int = 0, ni: int = -1, x: Any = None) -> Codes:
        """The vectors of ni labels from n0 on, (ni, code_size)."""
        ni = self.ntotal - n0 if ni == -1 else ni
        assert x is None or x.shape == (ni, self.code_size)
        require(ni == 0 or (n0 >= 0 and n0 + ni <= self.ntotal), "ni == 0 || (i0 >= 0 && i0 + ni <= ntotal)")
        return into(x, self._reconstruct_n(n0, ni))

    def _reconstruct_n(self, n0: int, ni: int) -> Codes:
        return self._reconstruct(np.arange(n0, n0 + ni, dtype=np.int64))

    def remove_ids(self, x: Any) -> int:
        """Remove the vectors that a selector has, or that an array of labels names. How many were removed."""
        if not isinstance(x, IDSelector):
            assert x.ndim == 1
            x = IDSelectorBatch(np.ascontiguousarray(x, np.int64))
        return self._remove(x)

    def check_compatible_for_merge(self, other: "IndexBinary") -> None:
        """Refuse an index whose vectors cannot be taken over."""
        raise self._refuse("check_compatible_for_merge()")

    def merge_from(self, other: "IndexBinary", add_id: int = 0) -> None:
        """Take the vectors of another index over, which is left empty."""
        raise self._refuse("merge_from()")

    def sa_code_size(self) -> int:
        """Bytes of a vector."""
        return self.code_size

    def add_sa_codes(self, n: int, codes: Any, ids: Any = None) -> None:
        """Add vectors behind a pointer."""
        rows = pointed(codes, n * self.code_size, np.uint8, "codes").reshape(n, self.code_size)
        if ids is None:
            self.add(np.ascontiguousarray(rows))
        else:
            self.add_with_ids(np.ascontiguousarray(rows), pointed(ids, n, np.int64, "ids"))

    def display(self) -> None:
        """Print what kind of index this is, and how large."""
        print(f"Index: {type(self).__name__}  -> {self.ntotal} elements")

    def _numbers(self) -> Labels:
        return np.arange(self.ntotal, dtype=np.int64)

    def to_record(self) -> dict[str, Any]:
        """What a file holds of the index."""
        raise RuntimeError(f"don't know how to serialize this type of index: {type(self).__name__}")

    def _header(self) -> dict[str, Any]:
        return {
            "fourcc": self.fourcc,
            "d": self.d,
            "code_size": self.code_size,
            "ntotal": int(self.ntotal),
            "is_trained": bool(self.is_trained),
            "metric_type": self.metric_type,
        }


class IndexBinaryFlat(IndexBinary):
    """Exact search."""

    fourcc = "IBxF"

    use_heap: bool
    query_batch_size: int
    approx_topk_mode: int
    _store: Any  # _steep.Flat; none where there are no bits

    def __init__(self, d: int = 0) -> None:
        super().__init__(d)
        # Steering Faiss's loops; there is one loop here.
        self._begin(use_heap=True, query_batch_size=32, approx_topk_mode=0)
        self.reset()

    @property
    def ntotal(self) -> int:  # type: ignore[override]
        """Number of vectors."""
        return 0 if self._store is None else len(self._store)

    @property
    def xb(self) -> MaybeOwnedVectorUInt8:
        """The vectors' bytes."""
        return MaybeOwnedVectorUInt8.over(lambda: self._all().reshape(-1), self._put)

    def _all(self) -> Codes:
        return self._reconstruct_n(0, self.ntotal)

    def _put(self, codes: Codes) -> None:
        self.reset()
        if len(codes):
            self._store.add(np.array(codes, np.uint8).reshape(-1, self.code_size))

    def _add(self, x: Codes, ids: Labels | None) -> None:
        self._store.add(x)

    def _search(self, x: Codes, k: int, params: Any) -> tuple[Counts, Labels]:
        labels, distances = self._store.search(x, k, selected(params, self._numbers), threads())
        return counts(distances), labels

    def _range_search(self, x: Codes, radius: int, params: Any) -> tuple[Any, Floats, Labels]:
        sel = selected(params, self._numbers)
        lims, labels, distances = self._store.range_search(x, float(radius - 1), sel, threads())
        return lims, distances, labels

    def _reconstruct(self, keys: Labels) -> Codes:
        require(((keys >= 0) & (keys < self.ntotal)).all(), "key >= 0 && key < ntotal")
        if not len(keys):
            return np.empty((0, self.code_size), np.uint8)
        first, end = int(keys.min()), int(keys.max()) + 1
        if end - first <= 4 * len(keys):
            near: Codes = self._store.vectors(first, end)[keys - first]
            return near
        return np.concatenate([self._store.vectors(int(key), int(key) + 1) for key in keys])

    def _reconstruct_n(self, n0: int, ni: int) -> Codes:
        if self._store is None:
            return np.empty((0, 0), np.uint8)
        vectors: Codes = self._store.vectors(n0, n0 + ni)
        return vectors

    def _remove(self, selector: IDSelector) -> int:
        removed: int = self._store.remove(core_selector(selector, self._numbers))
        return removed

    def reset(self) -> None:
        """Forget all vectors."""
        # Faiss's default index is one of no bits, to be filled in by a file.
        self._begin(_store=_steep.Flat(self.d, "hamming") if self.d else None)

    def to_record(self) -> dict[str, Any]:
        """What a file holds of the index."""
        return self._header() | {"xb": self._all().reshape(-1)}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "IndexBinaryFlat":
        """The index that a file holds."""
        index = cls(record["d"])
        index._put(np.asarray(record["xb"]))
        return index


class IndexBinaryHNSW(IndexBinary):
    """A hierarchical graph over an `IndexBinaryFlat`."""

    fourcc = "IBHf"

    hnsw: HNSW
    storage: Any
    own_fields: bool
    init_level0: bool
    keep_max_size_level0: bool
    ntotal: int

    def __init__(self, d: Any = 0, M: int = 32) -> None:
        storage = d if isinstance(d, IndexBinary) else None
        super().__init__(cast("int", d if storage is None else storage.d))
        self._begin(
            hnsw=HNSW(M),
            storage=storage or IndexBinaryFlat(self.d),
            own_fields=storage is None,
            init_level0=True,
            keep_max_size_level0=False,
        )
        self.ntotal = self.storage.ntotal

    def _stored(self) -> Any:
        return self.storage._store, _steep.Codec.binary(self.d)

    _preset: Any = IndexHNSW._preset
    _take_back: Any = IndexHNSW._take_back
    _asked: Any = IndexHNSW._asked

    def _add(self, x: Codes, ids: Labels | None) -> None:
        first = self.ntotal
        levels = self._preset(first, len(x))
        self.storage.add(x)
        self.ntotal = self.storage.ntotal
        if not len(x):
            return
        graph, ef = self.hnsw._graph(), max(int(self.hnsw.efConstruction), 1)
        keep = bool(self.keep_max_size_level0)
        at_once = first == 0 and levels is None and self.init_level0 and len(x) >= MANY
        try:
            if at_once and len(pieces(x)) == 1:
                rows = signs(x)
                graph.add(rows, "l2", rows, None, ef, keep, True, threads())
                return
            for some in pieces(x):
                preset = None if levels is None else levels[some]
                graph.add(self._stored(), "l2", bits(x[some]), preset, ef, keep, False, threads())
        except BaseException:
            self._take_back(first)
            raise

    def _search(self, x: Codes, k: int, params: Any) -> tuple[Counts, Labels]:
        sel = selected(params, self._numbers)
        labels, distances, _ = self.hnsw._graph().search(
            self._stored(), "l2", bits(x), k, self._asked(params), sel, threads()
        )
        return counts(distances), labels

    def _reconstruct(self, keys: Labels) -> Codes:
        vectors: Codes = self.storage._reconstruct(keys)
        return vectors

    def reset(self) -> None:
        """Forget all vectors."""
        self.hnsw.reset()
        self.storage.reset()
        self.ntotal = 0

    def to_record(self) -> dict[str, Any]:
        """What a file holds of the index."""
        return self._header() | {"hnsw": self.hnsw.to_record(), "storage": self.storage.to_record()}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "IndexBinaryHNSW":
        """The index that a file holds."""
        from steep.faiss._io import from_record

        index = cls(from_record(record["storage"]))
        index._begin(hnsw=HNSW.from_record(record["hnsw"]), own_fields=True)
        return index


class IndexBinaryFromFloat(IndexBinary):
    """Bits in an index of floats: vectors of -1 and 1, whose distances tell how many bits differ."""

    fourcc = "IBFf"

    index: Index
    own_fields: bool

    def __init__(self, index: Any = None) -> None:
        super().__init__(0 if index is None else index.d)
        self._begin(index=index, own_fields=False, is_trained=index is None or index.is_trained)

    @property
    def ntotal(self) -> int:  # type: ignore[override]
        """Number of vectors."""
        return self.index.ntotal

    def _train(self, x: Codes) -> None:
        self.index.train(signs(x))
        self.is_trained = True

    def _add(self, x: Codes, ids: Labels | None) -> None:
        for some in pieces(x):
            self.index.add(signs(x[some]))

    def _search(self, x: Codes, k: int, params: Any) -> tuple[Counts, Labels]:
        require(params is None, "search params not supported for this index")
        found = [self.index.search(signs(x[some]), k) for some in pieces(x)]
        distances, labels = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return counts(np.round(self._differing(distances))), labels

    def _differing(self, distances: Floats) -> Floats:
        """How many bits differ, by how far vectors of -1 and 1 are."""
        metric = self.index.metric_type
        if metric == METRIC_INNER_PRODUCT:
            return (self.d - distances) / np.float32(2)
        return distances / np.float32(2 if metric == METRIC_L1 else 4)

    def reset(self) -> None:
        """Forget all vectors."""
        self.index.reset()

    def to_record(self) -> dict[str, Any]:
        """What a file holds of the index."""
        return self._header() | {"index": self.index.to_record()}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "IndexBinaryFromFloat":
        """The index that a file holds."""
        from steep.faiss._io import from_record

        index = cls(from_record(record["index"]))
        index._begin(own_fields=True)
        return index


class IndexBinaryIDMap(IndexBinary):
    """An index of bits, and the id of each of its vectors: `IndexIDMap`'s ways."""

    fourcc = "IBMp"

    index: IndexBinary
    own_fields: bool
    _ids: Labels

    def __init__(self, index: Any = None) -> None:
        super().__init__(0 if index is None else index.d)
        require(index is None or index.ntotal == 0, "index must be empty on input")
        is_trained = index is None or index.is_trained
        self._begin(index=index, own_fields=False, is_trained=is_trained)
        self._put_ids(np.empty(0, np.int64))

    id_map: Any = IndexIDMap.id_map
    ntotal: Any = IndexIDMap.ntotal
    _put_ids: Any = IndexIDMap._put_ids
    _train: Any = IndexIDMap._train
    _add: Any = IndexIDMap._add
    _inner: Any = IndexIDMap._inner
    _translated: Any = IndexIDMap._translated
    _named: Any = IndexIDMap._named
    _search: Any = IndexIDMap._search
    _range_search: Any = IndexIDMap._range_search
    _remove: Any = IndexIDMap._remove
    reset: Any = IndexIDMap.reset
    check_compatible_for_merge: Any = IndexIDMap.check_compatible_for_merge
    merge_from: Any = IndexIDMap.merge_from
    to_record: Any = IndexIDMap.to_record

    def add(self, x: Any) -> None:
        """Refuse vectors without ids."""
        raise RuntimeError("add does not make sense with IndexIDMap, use add_with_ids")

    def _takes_ids(self) -> bool:
        return True

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Any:
        """The index that a file holds."""
        from steep.faiss._io import from_record

        index, inner = cls(), from_record(record["index"])
        IndexBinary.__init__(index, inner.d)
        index._begin(index=inner, own_fields=True, is_trained=bool(record["is_trained"]))
        index._put_ids(record["id_map"])
        return index


class IndexBinaryIDMap2(IndexBinaryIDMap):
    """An `IndexBinaryIDMap` that finds vectors by their ids again."""

    fourcc = "IBM2"

    rev_map: Any = IndexIDMap2.rev_map
    construct_rev_map: Any = IndexIDMap2.construct_rev_map
    check_consistency: Any = IndexIDMap2.check_consistency
    _rows_of: Any = IndexIDMap2._rows

    _order: Labels | None

    def _put_ids(self, ids: Labels) -> None:
        self._begin(_ids=np.array(ids, np.int64), _order=None)

    def _reconstruct(self, keys: Labels) -> Codes:
        return self.index._reconstruct(self._rows_of(keys))
