"""Graphs over stored vectors: IndexHNSW and IndexNSG in Faiss's layout, and what their storages are."""

import copy
import math
from typing import Any, ClassVar, cast

import numpy as np

from steep import _steep
from steep.faiss._arrays import Pointer
from steep.faiss._base import (
    METRIC_INNER_PRODUCT,
    METRIC_L2,
    Floats,
    Index,
    Labels,
    as_faiss,
    native_metric,
    require,
    selected,
)
from steep.faiss._codes import IndexFlatCodes, IndexPQ, IndexScalarQuantizer, code_metric
from steep.faiss._flat import IndexFlat, IndexFlatL2, told
from steep.faiss._hnsw import HNSW, NSG, refused
from steep.faiss._simd import cvar, threads
from steep.faiss._two_layers import Index2Layer

#: Vectors from which on a graph is built at once rather than one after the other.
MANY = 1000
#: Vectors from which on `IndexHNSWFlat` is searched by the core's own graph, which is faster.
LARGE = 20_000
#: Lengths of vectors differ by no more than this part where inner products can be built for at once.
ALIKE = 0.1


def stored(index: Any) -> Any:
    """What the core reads of an index that stores vectors: vectors, or codes and what they mean."""
    if isinstance(index, IndexFlat):
        return index._store
    coded = isinstance(index, IndexFlatCodes) and type(index)._codec is not IndexFlatCodes._codec
    if coded and index._block == 1:
        code_metric(index.metric_type)
        return index._store, index._codec()
    return index.reconstruct_n(0, index.ntotal)


class IndexGraph(Index):
    """A graph over an index that stores vectors: what HNSW and NSG have in common."""

    _alone: ClassVar[str] = "Please use IndexHNSWFlat (or variants) instead of IndexHNSW directly"

    storage: Any
    own_fields: bool

    def _begin_graph(self, storage: Any, own_fields: bool, is_trained: bool) -> None:
        self._begin(storage=storage, own_fields=own_fields, is_trained=is_trained, ntotal=0)
        if storage is not None:
            self._begin(metric_arg=storage.metric_arg)

    def _storage(self) -> Any:
        if self.storage is None:
            raise refused(f"Error: 'storage' failed: {self._alone}")
        return self.storage

    def _metric(self) -> str:
        return native_metric(self.metric_type, self.metric_arg)

    def _train(self, x: Floats) -> None:
        self._storage().train(x)
        self.is_trained = True

    def _numbers(self) -> Labels:
        return np.arange(self.ntotal, dtype=np.int64)

    def _told(self, distances: Floats, costs: tuple[int, int, int, int]) -> Floats:
        stats = cvar.hnsw_stats
        for name, count in zip(("n1", "n2", "ndis", "nhops"), costs, strict=True):
            setattr(stats, name, getattr(stats, name) + count)
        return as_faiss(self.metric_type, distances)

    def _at_once(self, x: Floats) -> bool:
        """Whether the core's own builder suits the vectors: distances that it knows, and enough of them."""
        if len(x) < MANY or self.metric_type not in (METRIC_L2, METRIC_INNER_PRODUCT):
            return False
        if not np.isfinite(np.add.reduce(x, None)):
            return False
        if self.metric_type == METRIC_L2:
            return True
        lengths = np.einsum("ij,ij->i", x, x)
        return bool(lengths.min() >= (1 - ALIKE) * lengths.max())

    def _reconstruct(self, keys: Labels) -> Floats:
        vectors: Floats = self._storage()._reconstruct(keys)
        return vectors

    def _reconstruct_n(self, n0: int, ni: int) -> Floats:
        vectors: Floats = self._storage()._reconstruct_n(n0, ni)
        return vectors

    def get_distance_computer(self) -> Any:
        """Distances of stored vectors from a query."""
        return self._storage().get_distance_computer()


class IndexHNSW(IndexGraph):
    """A hierarchical graph over a storage: ``IndexHNSW(storage, M)``."""

    hnsw: HNSW
    init_level0: bool
    keep_max_size_level0: bool
    use_visited_hashset: Any
    ntotal: int

    def __init__(self, d: Any = 0, M: int = 32, metric: int = METRIC_L2) -> None:
        storage = d if isinstance(d, Index) else None
        if storage is not None:
            d, metric = storage.d, storage.metric_type
        # Faiss's default index is one of no dimensions, to be filled in by a file.
        super().__init__(cast("int", d or 1), metric)
        self._begin(hnsw=HNSW(M), init_level0=True, keep_max_size_level0=False, use_visited_hashset=None)
        self.hnsw.is_similarity = metric == METRIC_INNER_PRODUCT
        self._begin_graph(storage, False, True)

    def _add(self, x: Floats, ids: Labels | None) -> None:
        storage, hnsw = self._storage(), self.hnsw
        first = self.ntotal
        levels = self._preset(first, len(x))
        storage._add(x, None)
        self.ntotal = storage.ntotal
        if not len(x):
            return
        # The crate's builder makes nearly ten times as many links a second as walks do.
        bulk = first == 0 and levels is None and self.init_level0 and self._at_once(x)
        try:
            hnsw._graph().add(
                stored(storage),
                self._metric(),
                x,
                levels,
                max(int(hnsw.efConstruction), 1),
                bool(self.keep_max_size_level0),
                bulk,
                threads(),
                float(hnsw.prune_headroom),
            )
        except BaseException:
            self._take_back(first)
            raise

    def _preset(self, first: int, n: int) -> Any:
        """Levels that the caller has set for vectors to come."""
        levels = self.hnsw._get("levels")
        if len(levels) != first + n or not n:
            return None
        self.hnsw._put("levels", levels[:first])
        return np.ascontiguousarray(levels[first:], np.int32)

    def _take_back(self, first: int) -> None:
        from steep.faiss._selectors import IDSelectorRange

        self.storage._remove(IDSelectorRange(first, self.storage.ntotal))
        self.ntotal = first

    def _asked(self, params: Any) -> tuple[int, bool, bool]:
        hnsw = self.hnsw
        ef, check, bounded = hnsw.efSearch, hnsw.check_relative_distance, hnsw.search_bounded_queue
        if getattr(params, "efSearch", None) is not None:
            ef, check, bounded = params.efSearch, params.check_relative_distance, params.bounded_queue
        return max(int(ef), 1), bool(check), bool(bounded)

    def _search(self, x: Floats, k: int, params: Any) -> tuple[Floats, Labels]:
        storage = stored(self._storage())
        labels, distances, costs = self.hnsw._graph().search(
            storage, self._metric(), x, k, self._asked(params), selected(params, self._numbers), threads()
        )
        return self._told(distances, costs), labels

    def _range_search(self, x: Floats, radius: float, params: Any) -> tuple[Any, Floats, Labels]:
        storage = stored(self._storage())
        edge = -radius if self.metric_type == METRIC_INNER_PRODUCT else radius
        sel = selected(params, self._numbers)
        lims, labels, distances, costs = self.hnsw._graph().range_search(
            storage, self._metric(), x, edge, self._asked(params), sel, threads()
        )
        return lims, self._told(distances, costs), labels

    def reset(self) -> None:
        """Forget all vectors."""
        self.hnsw.reset()
        self._storage().reset()
        self.ntotal = 0

    def permute_entries(self, perm: Any) -> None:
        """Put vector perm[i] in place i."""
        (n,) = perm.shape
        assert n == self.ntotal
        storage = self._storage()
        if not hasattr(storage, "permute_entries"):
            raise refused("Error: 'flat_storage' failed: don't know how to permute this index")
        self.hnsw.permute_entries(perm)
        storage.permute_entries(perm)

    def search_level_0(
        self,
        n: Any,
        x: Any,
        k: int,
        nearest: Any,
        nearest_d: Any,
        distances: Any,
        labels: Any,
        nprobe: int = 1,
        search_type: int = 1,
        params: Any = None,
    ) -> None:
        """Search the lowest level from nprobe vectors a query: from one by one, or all (search_type 2)."""
        require(k > 0, "k > 0")
        require(nprobe > 0, "nprobe > 0")
        require(search_type in (1, 2), "search_type == 1 || search_type == 2")
        starts = _flat(nearest)[: n * nprobe].reshape(n, nprobe).astype(np.int32)
        near = _flat(nearest_d)[: n * nprobe].reshape(n, nprobe).astype(np.float32)
        if self.metric_type == METRIC_INNER_PRODUCT:
            near = -near
        queries = np.ascontiguousarray(_flat(x)[: n * self.d].reshape(n, self.d), np.float32)
        found, dis, costs = self.hnsw._graph().search_level_0(
            stored(self._storage()),
            self._metric(),
            queries,
            k,
            starts,
            near,
            search_type == 2,
            self._asked(params),
            selected(params, self._numbers),
            threads(),
        )
        _flat(labels)[: n * k] = found.reshape(-1)
        _flat(distances)[: n * k] = self._told(dis, costs).reshape(-1)

    def init_level_0_from_knngraph(self, k: int, D: Any, I: Any) -> None:
        """Make the lowest level of the k nearest neighbours of each vector."""
        near, ids = _flat(D).reshape(self.ntotal, k), _flat(I).reshape(self.ntotal, k)
        near = np.ascontiguousarray(-near if self.metric_type == METRIC_INNER_PRODUCT else near, np.float32)
        ids = np.ascontiguousarray(ids, np.int64)
        self.hnsw._graph().init_level_0(stored(self._storage()), self._metric(), near, ids)

    def to_record(self) -> dict[str, Any]:
        """What a file holds of the index."""
        storage = None if self.storage is None else self.storage.to_record()
        return self._header() | {"hnsw": self.hnsw.to_record(), "storage": storage}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Any:
        """The index that a file holds."""
        index = cls._of_record(record)
        hnsw = HNSW.from_record(record["hnsw"])
        hnsw.is_similarity = index.metric_type == METRIC_INNER_PRODUCT
        index._begin(hnsw=hnsw, init_level0=True, keep_max_size_level0=False, use_visited_hashset=None)
        index._begin_graph(_storage_of(record), True, bool(record["is_trained"]))
        index.ntotal = int(record["ntotal"])
        if len(hnsw.levels) != index.ntotal:
            raise refused(f"a graph of {len(hnsw.levels)} vectors in an index of {index.ntotal}")
        return index


def _flat(pointer: Any) -> Any:
    return pointer.array.reshape(-1) if isinstance(pointer, Pointer) else pointer.reshape(-1)


def _storage_of(record: dict[str, Any]) -> Any:
    inner = record["storage"]
    if inner is None:
        return None
    from steep.faiss._io import from_record

    storage = from_record(inner)
    if storage.d != record["d"] or storage.ntotal < record["ntotal"]:
        raise refused(
            f"{storage.ntotal} vectors of {storage.d} for a graph of {record['ntotal']} of {record['d']}"
        )
    return storage


class IndexHNSWFlat(IndexHNSW):
    """A hierarchical graph over vectors as they are."""

    fourcc = "IHNf"

    ntotal: int

    def __init__(self, d: int | None = None, M: int = 32, metric: int = METRIC_L2) -> None:
        if d is None:
            super().__init__()
            return
        super().__init__(IndexFlatL2(d) if metric == METRIC_L2 else IndexFlat(d, metric), M)
        self.own_fields = True

    # While there are few vectors, and where the graph came from a file, a walk is Faiss's. From LARGE on the
    # core's own graph is built and searched: that is several times as fast, and finds no less.

    def _add(self, x: Floats, ids: Labels | None) -> None:
        hnsw, first, n = self.hnsw, self.ntotal, len(x)
        native = hnsw._native
        if native is None and (first or n < LARGE or not self._unset(n) or not self._at_once(x)):
            super()._add(x, ids)
            return
        if native is not None and (not n or not native.holds(x)):
            hnsw._graph()
            hnsw._begin(_native=None)
            super()._add(x, ids)
            return
        store = self._storage()._store
        store.add(x)
        self.ntotal = len(store)
        try:
            if n >= first:
                native = _steep.NativeGraph(
                    store, self._metric(), 64 if self._slots() > 64 else 32, threads()
                )
            else:
                cast("_steep.NativeGraph", native).add(x, threads())
        except BaseException:
            self._take_back(first)
            raise
        ef = max(int(hnsw.efConstruction), 1)
        graph = cast("_steep.NativeGraph", native)

        def pending(core: _steep.Hnsw) -> None:
            core.take(graph, store, ef, threads())

        hnsw._begin(_native=graph, _pending=pending)

    def _slots(self) -> int:
        return self.hnsw.nb_neighbors(0)

    def _unset(self, n: int) -> bool:
        """Whether everything is as it was made."""
        storage, hnsw = self.storage, self.hnsw
        plain = isinstance(storage, IndexFlat) and storage.ntotal == 0 and hnsw._loose is None
        return plain and self.init_level0 and not self.keep_max_size_level0 and self._slots() >= 16

    def _search(self, x: Floats, k: int, params: Any) -> tuple[Floats, Labels]:
        native = self.hnsw._native
        ef, check, bounded = self._asked(params)
        plain = check and bounded and getattr(params, "sel", None) is None
        if native is None or not plain or len(native) != self._storage().ntotal:
            return super()._search(x, k, params)
        # A walk by codes errs, so it has a few nodes more in view; fewer of them lead to the nearest, but
        # among many vectors. Tried, it found no less than Faiss's graph (docs/performance.md, 19 and 25).
        part = min(0.75 + max(math.log10(self.ntotal / 1e5), 0) / 5, 1)
        ef = k + int((max(ef, k) - k) * part) + 5
        store = self.storage._store
        labels, distances, costs = told(x, lambda x: native.search(store, x, k, ef, threads()))
        return self._told(distances, costs), labels

    def _copy_to(self, other: Any) -> None:
        hnsw = self.hnsw
        if hnsw._native is not None:
            other.hnsw._begin(_native=copy.copy(hnsw._native))


class IndexHNSWPQ(IndexHNSW):
    """A hierarchical graph over product codes."""

    fourcc = "IHNp"

    own_fields: bool
    is_trained: bool

    def __init__(
        self, d: int | None = None, pq_m: int = 0, M: int = 32, pq_nbits: int = 8, metric: int = METRIC_L2
    ) -> None:
        if d is None:
            super().__init__()
            return
        super().__init__(IndexPQ(d, pq_m, pq_nbits, metric), M)
        self.own_fields, self.is_trained = True, False


class IndexHNSWSQ(IndexHNSW):
    """A hierarchical graph over scalar codes."""

    fourcc = "IHNs"

    own_fields: bool
    is_trained: bool

    def __init__(self, d: int | None = None, qtype: int = 0, M: int = 32, metric: int = METRIC_L2) -> None:
        if d is None:
            super().__init__()
            return
        storage = IndexScalarQuantizer(d, qtype, metric)
        super().__init__(storage, M)
        self.own_fields, self.is_trained = True, storage.is_trained


class IndexHNSW2Level(IndexHNSW):
    """A hierarchical graph over codes of two layers; what they stand for is decoded for each search."""

    fourcc = "IHN2"

    own_fields: bool
    is_trained: bool

    def __init__(self, quantizer: Index | None = None, nlist: int = 1, m_pq: int = 1, M: int = 32) -> None:
        if quantizer is None:
            super().__init__()
            return
        super().__init__(Index2Layer(quantizer, nlist, m_pq), M)
        self.own_fields, self.is_trained = True, False


def _unavailable(name: str, instead: str) -> type:
    def refuse(self: Any, *args: Any, **kwargs: Any) -> None:
        raise refused(f"{name} is not supported: use {instead}")

    return type(name, (IndexHNSW,), {"__init__": refuse, "__doc__": f"Refused: use {instead}."})


IndexHNSWCagra: type[Any] = _unavailable("IndexHNSWCagra", "IndexHNSWFlat")
IndexHNSWFlatPanorama: type[Any] = _unavailable("IndexHNSWFlatPanorama", "IndexHNSWFlat")


class IndexNSG(IndexGraph):
    """A graph on one level over a storage, made at once: ``IndexNSG(storage, R)``."""

    _alone = "Please use IndexNSGFlat (or variants) instead of IndexNSG directly"

    nsg: NSG
    is_built: bool
    GK: int
    build_type: int
    nndescent_S: int
    nndescent_R: int
    nndescent_L: int
    nndescent_iter: int
    ntotal: int

    def __init__(self, d: Any = 0, R: int = 32, metric: int = METRIC_L2) -> None:
        storage = d if isinstance(d, Index) else None
        if storage is not None:
            d, metric = storage.d, storage.metric_type
        super().__init__(cast("int", d or 1), metric)
        self._begin_nsg(NSG(R), 0 if storage is None else 1)
        self._begin_graph(storage, False, True)

    def _begin_nsg(self, nsg: NSG, build_type: int) -> None:
        self._begin(
            nsg=nsg,
            is_built=nsg.is_built,
            GK=64,
            build_type=build_type,
            nndescent_S=10,
            nndescent_R=100,
            nndescent_L=114,
            nndescent_iter=10,
        )

    def _add(self, x: Floats, ids: Labels | None) -> None:
        storage = self._storage()
        if self.is_built or self.ntotal:
            text = "NSG does not support incremental addition"
            raise refused(f"Error: '!is_built && ntotal == 0' failed: {text}")
        require(self.build_type in (0, 1), "build_type should be 0 or 1")
        storage._add(x, None)
        self.ntotal = storage.ntotal
        self.nsg._build(stored(storage), self._metric(), x, int(self.GK), self._at_once(x))
        self.is_built = True

    def build(self, x: Any, graph: Any) -> None:
        """Add vectors whose neighbours are known: graph, (n, K), is checked; links are our own."""
        n, d = x.shape
        assert d == self.d
        assert graph.ndim == 2
        assert graph.shape[0] == n
        x, graph = np.ascontiguousarray(x, np.float32), np.ascontiguousarray(graph, np.int64)
        self._storage()
        require(
            not self.is_built and self.ntotal == 0, "!is_built && ntotal == 0': The IndexNSG is already built"
        )
        self.check_knn_graph(graph)
        self._add(x, None)

    def check_knn_graph(self, graph: Any, n: int | None = None, K: int | None = None) -> None:
        """Refuse neighbours of which a tenth are no vectors."""
        if n is not None and K is not None:
            graph = _flat(graph)[: n * K].reshape(n, K)
        own = np.arange(len(graph))[:, None]
        wrong = int(((graph < 0) | (graph >= len(graph)) | (graph == own)).sum())
        if wrong >= max(len(graph) // 10, 1):
            text = "There are too much invalid entries in the knn graph. It may be an invalid knn graph."
            raise refused(f"Error: 'total_count < n / 10' failed: {text}")

    def _search(self, x: Floats, k: int, params: Any) -> tuple[Floats, Labels]:
        if params is not None:
            raise refused("Error: '!params' failed: search params not supported for this index")
        storage = stored(self._storage())
        require(self.nsg.is_built, "is_built")
        labels, distances, costs = self.nsg._search(storage, self._metric(), x, k)
        return self._told(distances, costs), labels

    def reset(self) -> None:
        """Forget all vectors."""
        self.nsg.reset()
        self._storage().reset()
        self.ntotal, self.is_built = 0, False

    def to_record(self) -> dict[str, Any]:
        """What a file holds of the index."""
        names = ["GK", "build_type", "nndescent_S", "nndescent_R", "nndescent_L", "nndescent_iter"]
        storage = None if self.storage is None else self.storage.to_record()
        fields = {name: int(getattr(self, name)) for name in names}
        return self._header() | fields | {"nsg": self.nsg.to_record(), "storage": storage}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Any:
        """The index that a file holds."""
        index = cls._of_record(record)
        index._begin_nsg(NSG.from_record(record["nsg"]), int(record["build_type"]))
        index._begin_graph(_storage_of(record), True, bool(record["is_trained"]))
        for name in ("GK", "nndescent_S", "nndescent_R", "nndescent_L", "nndescent_iter"):
            index._begin(**{name: int(record[name])})
        index.ntotal = int(record["ntotal"])
        if index.nsg.is_built and index.nsg.ntotal != index.ntotal:
            raise refused(f"a graph of {index.nsg.ntotal} vectors in an index of {index.ntotal}")
        return index


class IndexNSGFlat(IndexNSG):
    """A graph on one level over vectors as they are."""

    fourcc = "INSf"

    def __init__(self, d: int | None = None, R: int = 32, metric: int = METRIC_L2) -> None:
        if d is None:
            super().__init__()
            return
        super().__init__(IndexFlat(d, metric), R)
        self.own_fields = True


class IndexNSGPQ(IndexNSG):
    """A graph on one level over product codes."""

    fourcc = "INSp"

    own_fields: bool
    is_trained: bool

    def __init__(self, d: int | None = None, pq_m: int = 0, M: int = 32, pq_nbits: int = 8) -> None:
        if d is None:
            super().__init__()
            return
        super().__init__(IndexPQ(d, pq_m, pq_nbits), M)
        self.own_fields, self.is_trained = True, False


class IndexNSGSQ(IndexNSG):
    """A graph on one level over scalar codes."""

    fourcc = "INSs"

    own_fields: bool
    is_trained: bool

    def __init__(self, d: int | None = None, qtype: int = 0, M: int = 32, metric: int = METRIC_L2) -> None:
        if d is None:
            super().__init__()
            return
        super().__init__(IndexScalarQuantizer(d, qtype, metric), M)
        self.own_fields, self.is_trained = True, False
