"""Vectors in lists: IndexIVF and its kinds.

A kind says by `_codec` what its codes mean; lists, training and search are written here once. Which lists a
query looks at is asked of the coarse quantizer, any index.
"""

from operator import is_not
from typing import Any, ClassVar

import numpy as np

from steep import _steep
from steep.faiss._arrays import pointed
from steep.faiss._base import (
    METRIC_INNER_PRODUCT,
    METRIC_L2,
    Codes,
    Floats,
    Index,
    Labels,
    as_faiss,
    core_selector,
    into,
    is_similarity,
    native_metric,
    require,
    selected,
    strict_radius,
)
from steep.faiss._codes import ALL_CODES, asked, code_metric
from steep.faiss._flat import is_plain, told
from steep.faiss._level1 import Level1Quantizer
from steep.faiss._linear import subsample
from steep.faiss._lists import ArrayInvertedLists, DirectMap, InvertedLists, by_list
from steep.faiss._packers import CodePacker, CodePackerFlat
from steep.faiss._pointers import put, rows
from steep.faiss._simd import threads, watched


class IndexIVF(Index, Level1Quantizer):
    """Codes in lists, of which a search looks at the `nprobe` nearest.

    Attributes
    ----------
    quantizer : Index
        Which lists are near.
    nlist : int
        How many lists there are.
    nprobe : int
        How many a search looks at.
    max_codes : int
        How many codes a search for the nearest looks at; 0 for no limit.
    cp : ClusteringParameters
        How centroids are found.
    """

    PARALLEL_MODE_NO_HEAP_INIT: ClassVar[int] = 1024
    _block: ClassVar[int] = 1
    _lists: ClassVar[type[InvertedLists]] = ArrayInvertedLists

    nprobe: int
    max_codes: int
    own_invlists: bool
    parallel_mode: int
    by_residual: bool
    code_size: int
    invlists: Any  # InvertedLists; none where they were taken away
    direct_map: DirectMap
    _ntotal: int
    #: How many centroids there were, what they and codes came from, and the core's form of them.
    _centers: tuple[int, tuple[Any, ...], _steep.Centers] | None

    def __init__(
        self,
        quantizer: Any,
        d: int,
        nlist: int,
        code_size: int,
        metric: int = METRIC_L2,
        own_invlists: bool = True,
    ) -> None:
        super().__init__(d, metric)
        if quantizer is not None:
            require(isinstance(quantizer, Index), "quantizer is an Index")
            require(self.d == quantizer.d, "static_cast<int>(d_in) == quantizer_in->d")
        require(nlist > 0, "nlist > 0")
        self._begin_level1(quantizer, nlist)
        self.cp.spherical = metric == METRIC_INNER_PRODUCT
        self._begin(
            nprobe=1,
            max_codes=0,
            own_invlists=own_invlists,
            parallel_mode=0,
            by_residual=True,
            code_size=code_size,
            invlists=self._lists(nlist, code_size, self._block),
            direct_map=DirectMap(),
            is_trained=False,
            _ntotal=0,
            _centers=None,
        )

    # What a kind says.

    def _codec(self, params: Any = None) -> _steep.Codec:
        raise RuntimeError(f"{type(self).__name__} has no codec")

    def _train_encoder(self, x: Floats, keys: Labels) -> None:
        """Learn from residuals, or from vectors where codes are not of residuals."""

    def train_encoder_num_vectors(self) -> int:
        """How many vectors the codes are learned from at most; 0 where they learn nothing."""
        return 0

    # Lists.

    @property
    def ntotal(self) -> int:
        """Number of vectors."""
        return self._ntotal

    @ntotal.setter
    def ntotal(self, n: int) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        self._begin(_ntotal=int(n))

    def get_list_size(self, list_no: int) -> int:
        """Codes of a list."""
        return int(self.invlists.list_size(list_no))

    def replace_invlists(self, il: InvertedLists | None, own: bool = False) -> None:
        """Search other lists from now on."""
        require(il is None or il.nlist == self.nlist, "il->nlist == nlist")
        require(il is None or il.code_size == self.code_size, "il->code_size == code_size")
        self._begin(invlists=il, own_invlists=own)

    def _residual_centers(self) -> Any:
        """The core's form of the centroids, made once; none where codes are of whole vectors."""
        if not self.by_residual:
            return None
        # Scripts put another quantizer in its place, or other centroids into it: a flat one that is reset
        # has another store.
        codec, quantizer = self._codec(), self.quantizer
        sources = codec, quantizer, getattr(quantizer, "_store", None)
        made = self._centers
        if made is None or made[0] != quantizer.ntotal or any(map(is_not, made[1], sources)):
            centers = _steep.Centers(codec, native_metric(self.metric_type), self._center_rows())
            made = quantizer.ntotal, sources, centers
            self._begin(_centers=made)
        return made[2]

    # Training.

    def _train(self, x: Floats) -> None:
        self.train_q1(len(x), x, self.verbose, self.metric_type)
        self._begin(_centers=None)
        most = self.train_encoder_num_vectors()
        if most:
            x = subsample(x, most, verbose=self.verbose)
            keys = self._coarse(x, 1)[1][:, 0]
            self._train_encoder(x - self._center_rows()[np.maximum(keys, 0)] if self.by_residual else x, keys)
        self.is_trained = True

    # Adding.

    def _takes_ids(self) -> bool:
        return True

    def _add(self, x: Floats, ids: Labels | None) -> None:
        self._add_to(x, ids, self._coarse(x, 1)[1][:, 0])

    def add_core(
        self, n: int, x: Any, xids: Any, precomputed_idx: Any, inverted_list_context: Any = None
    ) -> None:
        """Add vectors whose lists are known."""
        values = pointed(x, n * self.d, np.float32, "x").reshape(n, self.d)
        ids = None if xids is None else np.array(pointed(xids, n, np.int64, "xids"))
        self._add_to(
            np.ascontiguousarray(values), ids, np.array(pointed(precomputed_idx, n, np.int64, "idx"))
        )

    def _add_to(self, x: Floats, ids: Labels | None, keys: Labels) -> None:
        require(self.is_trained, "is_trained")
        self.direct_map.check_can_add(ids)
        numbers = np.arange(self._ntotal, self._ntotal + len(x), dtype=np.int64) if ids is None else ids
        sizes = self.invlists._core.sizes()
        keys = np.ascontiguousarray(keys)
        self.invlists._core.add(self._codec(), x, keys, numbers, self._residual_centers(), threads())
        self.direct_map._added(keys, numbers, sizes)
        self._ntotal += len(x)

    def _add_codes(self, codes: Codes, ids: Labels | None) -> None:
        self.direct_map.check_can_add(ids)
        width = self.coarse_code_size()
        keys = self._decode_listnos(codes)
        numbers = np.arange(self._ntotal, self._ntotal + len(codes), dtype=np.int64) if ids is None else ids
        sizes = self.invlists._core.sizes()
        body = np.ascontiguousarray(codes[:, width:])
        for at, some in by_list(keys):
            self.invlists._core.append(at, numbers[some], body[some])
        self.direct_map._added(keys, numbers, sizes)
        self._ntotal += len(codes)

    # Searching.

    def _knobs(self, params: Any) -> tuple[int, int, Any]:
        if params is None:
            nprobe, max_codes, coarse = self.nprobe, self.max_codes, None
        else:
            from steep.faiss._parameters import SearchParametersIVF

            require(isinstance(params, SearchParametersIVF), "IndexIVF params have incorrect type")
            nprobe, max_codes, coarse = params.nprobe, params.max_codes, params.quantizer_params
        return min(int(nprobe), self.nlist), int(max_codes) or ALL_CODES, coarse

    def _probe(self, x: Floats, params: Any) -> tuple[Labels, Floats]:
        require(self.is_trained, "IVF index is not trained")
        nprobe, _, coarse = self._knobs(params)
        require(nprobe > 0, "nprobe > 0")
        distances, keys = self._coarse(x, nprobe, coarse)
        return keys, distances

    def _asked(
        self, keys: Any, coarse: Floats | None, max_codes: int, params: Any, places: bool
    ) -> dict[str, Any]:
        selector = selected(params, self._numbers)
        centers = self._residual_centers()
        if coarse is not None:
            self.invlists._count(keys, max_codes)
        return asked(keys, coarse, code_metric(self.metric_type), centers, max_codes, selector, places)

    def _at_once(self, coarse: Any) -> bool:
        """Whether the core can find lists and search them in one call."""
        return coarse is None and is_plain(self.quantizer) and watched("indexIVF_stats") is None

    def _numbers(self) -> Labels:
        core = self.invlists._core
        return np.concatenate([core.ids(at) for at in range(self.nlist)])

    def _search(self, x: Floats, k: int, params: Any, places: bool = False) -> tuple[Floats, Labels]:
        nprobe, max_codes, quantizer_params = self._knobs(params)
        if not self._at_once(quantizer_params):
            keys, coarse = self._probe(x, params)
            return self._search_lists(x, k, keys, coarse, params, places)
        require(self.is_trained, "IVF index is not trained")
        require(nprobe > 0, "nprobe > 0")
        how = self._asked((self.quantizer._store, nprobe), None, max_codes, params, places)
        codec = self._codec(params)
        labels, distances = told(x, lambda x: self.invlists._core.search(codec, x, k, how))
        return as_faiss(self.metric_type, distances), labels

    def _search_lists(
        self, x: Floats, k: int, keys: Labels, coarse: Floats, params: Any, places: bool = False
    ) -> tuple[Floats, Labels]:
        how = self._asked(keys, coarse, self._knobs(params)[1], params, places)
        labels, distances = self.invlists._core.search(self._codec(params), x, k, how)
        return as_faiss(self.metric_type, distances), labels

    def _range_search(self, x: Floats, radius: float, params: Any) -> tuple[Any, Floats, Labels]:
        keys, coarse = self._probe(x, params)
        return self._range_preassigned(x, radius, keys, coarse, params)

    def _range_preassigned(
        self, x: Floats, radius: float, keys: Labels, coarse: Floats, params: Any
    ) -> tuple[Any, Floats, Labels]:
        # `max_codes` is for the nearest: all that are within the radius are found.
        how = self._asked(keys, coarse, ALL_CODES, params, False)
        edge = strict_radius(self.metric_type, radius)
        lims, labels, distances = self.invlists._core.range_search(self._codec(params), x, edge, how)
        return lims, as_faiss(self.metric_type, distances), labels

    def _assigned(self, x: Any, Iq: Any, Dq: Any, params: Any) -> tuple[Floats, Labels, Floats]:
        x = self._vectors(x)
        Iq = np.ascontiguousarray(Iq, np.int64)
        assert params is None, "params not supported"
        assert Iq.shape == (len(x), self.nprobe)
        if Dq is None:
            return x, Iq, np.zeros((len(x), self.nprobe), np.float32)
        Dq = np.ascontiguousarray(Dq, np.float32)
        assert Dq.shape == Iq.shape
        return x, Iq, Dq

    def search_preassigned(
        self,
        x: Any,
        k: int,
        Iq: Any,
        Dq: Any,
        *,
        params: Any = None,
        D: Any = None,
        I: Any = None,
    ) -> tuple[Floats, Labels]:
        """As `search`, in lists that are given, (n, nprobe), beside their distances."""
        x, keys, coarse = self._assigned(x, Iq, Dq, params)
        assert k > 0
        distances, labels = self._search_lists(x, int(k), keys, coarse, None)
        if D is not None and I is not None and self.parallel_mode & self.PARALLEL_MODE_NO_HEAP_INIT:
            distances, labels = self._besides(D, I, distances, labels)
        return into(D, distances), into(I, labels)

    def _besides(self, D: Floats, I: Labels, distances: Floats, labels: Labels) -> tuple[Floats, Labels]:
        """The nearest of what was found and of what is there already, the farthest first, as in a heap."""
        found, ids = np.concatenate([D, distances], 1), np.concatenate([I, labels], 1)
        order = np.argsort(-found if is_similarity(self.metric_type) else found, 1, kind="stable")
        kept = order[:, : D.shape[1]][:, ::-1]
        return np.take_along_axis(found, kept, 1), np.take_along_axis(ids, kept, 1)

    def search_preassigned_c(
        self,
        n: int,
        x: Any,
        k: int,
        assign: Any,
        centroid_dis: Any,
        distances: Any,
        labels: Any,
        store_pairs: bool,
        params: Any = None,
        stats: Any = None,
    ) -> None:
        """As `search_preassigned`, by pointers.

        With `PARALLEL_MODE_NO_HEAP_INIT` results compete with those that are there already.
        """
        nprobe = params.nprobe if params is not None else self.nprobe
        keys = np.array(pointed(assign, n * nprobe, np.int64, "assign")).reshape(n, nprobe)
        coarse = np.array(pointed(centroid_dis, n * nprobe, np.float32, "centroid_dis")).reshape(n, nprobe)
        found, ids = self._search_lists(rows(x, n, self.d), k, keys, coarse, params, store_pairs)
        if self.parallel_mode & self.PARALLEL_MODE_NO_HEAP_INIT:
            there = pointed(distances, n * k, np.float32, "distances").reshape(n, k)
            theirs = pointed(labels, n * k, np.int64, "labels").reshape(n, k)
            found, ids = self._besides(there, theirs, found, ids)
        put(distances, found)
        put(labels, ids)

    def range_search_preassigned(
        self, x: Any, thresh: float, Iq: Any, Dq: Any, *, params: Any = None
    ) -> tuple[Any, Floats, Labels]:
        """As `range_search`, in lists that are given, (n, nprobe), beside their distances."""
        x, keys, coarse = self._assigned(x, Iq, Dq, params)
        lims, distances, labels = self._range_preassigned(x, float(thresh), keys, coarse, None)
        return lims.astype(np.uint64), distances, labels

    def _places(self, x: Floats, k: int, params: Any) -> tuple[Floats, Labels, Labels]:
        """Distances, labels and places of what is found."""
        distances, places = self._search(x, k, params, places=True)
        labels = np.full(places.shape, -1, np.int64)
        labels[places >= 0] = self._ids_at(places[places >= 0])
        return distances, labels, places

    def _ids_at(self, places: Labels) -> Labels:
        """The ids of the codes that are at places."""
        ids = np.empty(len(places), np.int64)
        for at, some in by_list(places >> 32):
            ids[some] = self.invlists._core.ids(at)[places[some] & 0xFFFF_FFFF]
        return ids

    def _search_and_reconstruct(self, x: Floats, k: int, params: Any) -> tuple[Floats, Labels, Floats]:
        distances, labels, places = self._places(x, k, params)
        vectors = np.full((*labels.shape, self.d), np.nan, np.float32)
        known = places >= 0
        if known.any():
            vectors[known] = self._at(places[known])
        return distances, labels, vectors

    def search_and_return_codes(
        self,
        x: Any,
        k: int,
        *,
        include_listnos: bool = False,
        params: Any = None,
        D: Any = None,
        I: Any = None,
        codes: Any = None,
    ) -> tuple[Floats, Labels, Codes]:
        """As `search`, and the codes found, (n, k, code size), behind their list's number where asked for."""
        x = self._vectors(x)
        assert k > 0
        distances, labels, places = self._places(x, int(k), params)
        width = self.coarse_code_size() if include_listnos else 0
        found = np.zeros((*labels.shape, width + self.code_size), np.uint8)
        for at in zip(*np.nonzero(places >= 0), strict=True):
            number, offset = int(places[at]) >> 32, int(places[at]) & 0xFFFF_FFFF
            found[at][:width] = np.frombuffer(number.to_bytes(8, "little"), np.uint8)[:width]
            found[at][width:] = self.invlists._core.codes(number, offset, offset + 1)[0]
        return into(D, distances), into(I, labels), into(codes, found)

    # One vector.

    def _at(self, places: Labels) -> Floats:
        """The vectors whose codes are at places."""
        lists, codes = places >> 32, np.empty((len(places), self.code_size), np.uint8)
        for at, some in by_list(lists):
            offsets = places[some] & 0xFFFF_FFFF
            first = int(offsets.min())
            codes[some] = self.invlists._core.codes(at, first, int(offsets.max()) + 1)[offsets - first]
        vectors = self._codec().decode(codes) if len(codes) else np.empty((0, self.d), np.float32)
        return vectors + self._some_centers(lists) if self.by_residual else vectors

    def _some_centers(self, lists: Labels) -> Floats:
        centers: Floats = self.quantizer.reconstruct_batch(lists)
        return centers

    def _reconstruct(self, keys: Labels) -> Floats:
        return self._at(self.direct_map._get(keys))

    def _reconstruct_n(self, n0: int, ni: int) -> Floats:
        # Faiss reads all lists, so no map is needed.
        vectors = np.zeros((ni, self.d), np.float32)
        for at in range(self.nlist):
            ids = self.invlists._core.ids(at)
            chosen = np.flatnonzero((ids >= n0) & (ids < n0 + ni))
            if len(chosen):
                vectors[ids[chosen] - n0] = self._at((at << 32) + chosen)
        return vectors

    def reconstruct_from_offset(self, list_no: int, offset: int, recons: Any = None) -> Any:
        """The vector whose code is at a place."""
        vector = self._at(np.array([list_no << 32 | offset], np.int64))[0]
        if recons is None:
            return vector
        pointed(recons, self.d, np.float32, "recons")[:] = vector
        return None

    def make_direct_map(self, new_maintain_direct_map: bool = True) -> None:
        """Keep the place of each id, so that vectors can be reconstructed by it."""
        self.set_direct_map_type(DirectMap.Array if new_maintain_direct_map else DirectMap.NoMap)

    def set_direct_map_type(self, type: int) -> None:
        """Keep the place of each id in an array, in a table, or not at all."""
        self.direct_map.set_type(type, self.invlists, self._ntotal)

    # Changing.

    def _remove(self, selector: Any) -> int:
        require(self.direct_map.type != DirectMap.Array, "remove not supported with this direct_map format")
        removed = self.invlists._core.remove(core_selector(selector, self._numbers))
        kind = self.direct_map.type
        if removed and kind != DirectMap.NoMap:
            self.direct_map.clear()
            self.direct_map._begin(type=DirectMap.NoMap)
            self.direct_map.set_type(kind, self.invlists, self._ntotal)
        self._ntotal -= removed
        return int(removed)

    def update_vectors(self, keys: Any, x: Any) -> None:
        """Replace the vectors of ids; needs a direct map in an array."""
        n = keys.size
        assert keys.shape == (n,)
        assert x.shape == (n, self.d)
        x, keys = np.ascontiguousarray(x, np.float32), np.ascontiguousarray(keys, np.int64)
        require(self.is_trained, "is_trained")
        table = self.direct_map.type == DirectMap.Hashtable
        require(table or self.direct_map.type == DirectMap.Array, "direct map is an array or a hashtable")
        if table:
            self._remove(_batch(keys))
            self._add(x, keys)
            return
        self.direct_map._get(keys)
        core = self.invlists._core
        core.remove(core_selector(_batch(keys), self._numbers))
        lists = self._coarse(x, 1)[1][:, 0]
        core.add(self._codec(), x, np.ascontiguousarray(lists), keys, self._residual_centers(), threads())
        self.direct_map.set_type(DirectMap.Array, self.invlists, self._ntotal)

    def reset(self) -> None:
        """Forget all vectors."""
        self.invlists.reset()
        self.direct_map.clear()
        self._ntotal = 0

    def check_compatible_for_merge(self, other: Index) -> None:
        """Refuse an index whose codes cannot be taken over."""
        require(type(other) is type(self), "can only merge indexes of the same type")
        same = other.d == self.d and other.nlist == self.nlist and other.code_size == self.code_size  # type: ignore[attr-defined]
        require(same, "other->d == d")
        require(self.direct_map.no() and other.direct_map.no(), "direct map copy not implemented")  # type: ignore[attr-defined]

    def merge_from(self, other: Index, add_id: int = 0) -> None:
        """Take the codes of another index over, which is left empty; their ids grow by `add_id`."""
        self.check_compatible_for_merge(other)
        self.invlists.merge_from(other.invlists, add_id)  # type: ignore[attr-defined]
        self._ntotal += other.ntotal
        other._begin(_ntotal=0)

    def copy_subset_to(self, other: "IndexIVF", subset_type: int, a1: int, a2: int) -> None:
        """Append a part of the codes to another index."""
        require(other.nlist == self.nlist and other.code_size == self.code_size, "nlist == other.nlist")
        require(other.direct_map.no(), "other.direct_map.no()")
        copied = self.invlists.copy_subset_to(other.invlists, subset_type, a1, a2)
        other._begin(_ntotal=other._ntotal + copied)

    def check_ids_sorted(self) -> bool:
        """Whether ids ascend in every list."""
        core = self.invlists._core
        return all((np.diff(core.ids(at)) > 0).all() for at in range(self.nlist))

    # Codes on their own.

    def get_CodePacker(self) -> CodePacker:
        """What reads and writes single codes of lists."""
        return CodePackerFlat(self.code_size)

    def sa_code_size(self) -> int:
        """Bytes of a list's number and a code."""
        return self.coarse_code_size() + self.code_size

    def _coded(self, x: Floats, keys: Labels) -> Codes:
        if not self.by_residual:
            return self._codec().encode(x)
        centers = self._center_rows()[np.maximum(keys, 0)]
        return self._codec().encode(x - centers, centers)

    def _encode(self, x: Floats) -> Codes:
        require(self.is_trained, "is_trained")
        keys = self._coarse(x, 1)[1][:, 0]
        return np.concatenate([self._encode_listnos(keys), self._coded(x, keys)], axis=1)

    def _decode(self, codes: Codes) -> Floats:
        keys = self._decode_listnos(codes)
        vectors = self._codec().decode(np.ascontiguousarray(codes[:, self.coarse_code_size() :]))
        return vectors + self._center_rows()[keys] if self.by_residual else vectors

    def encode_vectors(self, n: int, x: Any, list_nos: Any, codes: Any, include_listno: bool = False) -> None:
        """Write the codes of vectors in given lists, behind their numbers where asked for."""
        values = np.ascontiguousarray(pointed(x, n * self.d, np.float32, "x").reshape(n, self.d))
        keys = np.array(pointed(list_nos, n, np.int64, "list_nos"))
        found = self._coded(values, keys)
        if include_listno:
            found = np.concatenate([self._encode_listnos(keys), found], axis=1)
        pointed(codes, found.size, np.uint8, "codes")[:] = found.reshape(-1)

    # Files.

    def _ivf_header(self) -> dict[str, Any]:
        return self._header() | {
            "nlist": self.nlist,
            "nprobe": self.nprobe,
            "quantizer": self.quantizer.to_record(),
            "direct_map": self.direct_map.to_record(),
            "code_size": self.code_size,
            "by_residual": bool(self.by_residual),
            "invlists": None if self.invlists is None else self.invlists.to_record(),
        }

    def _ivf_restore(self, record: dict[str, Any]) -> Any:
        self._begin(
            nprobe=int(record["nprobe"]),
            is_trained=bool(record["is_trained"]),
            metric_arg=record.get("metric_arg", 0.0),
            own_fields=True,
            _ntotal=int(record["ntotal"]),
        )
        if "by_residual" in record:
            self._begin(by_residual=bool(record["by_residual"]))
        self.direct_map._restore(record["direct_map"])
        if record["invlists"] is not None:
            self.invlists._fill(record["invlists"])
        return self


def _batch(keys: Labels) -> Any:
    from steep.faiss._selectors import IDSelectorBatch

    return IDSelectorBatch(keys)
