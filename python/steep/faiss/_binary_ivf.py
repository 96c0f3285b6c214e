"""Vectors of bits in lists: IndexBinaryIVF, whose lists are those of `IndexIVF`."""

from typing import Any

import numpy as np

from steep import _steep
from steep.faiss._arrays import pointed
from steep.faiss._base import Codes, Floats, Labels, Sealed, require, selected
from steep.faiss._bitrows import Counts, bits, far, packed, signs
from steep.faiss._bits import IndexBinary, counts, pieces
from steep.faiss._codes import ALL_CODES, asked
from steep.faiss._flat import IndexFlatL2
from steep.faiss._ivf import IndexIVF
from steep.faiss._kmeans import Clustering, ClusteringParameters
from steep.faiss._lists import ArrayInvertedLists, DirectMap, InvertedLists, by_list
from steep.faiss._parameters import SearchParametersIVF


class IndexBinaryIVF(IndexBinary):
    """Bits in lists, of which a search looks at the `nprobe` nearest.

    Attributes
    ----------
    quantizer : IndexBinary
        Which lists are near.
    nlist : int
        How many lists there are.
    nprobe : int
        How many a search looks at.
    max_codes : int
        How many vectors a search for the nearest looks at; 0 for no limit.
    cp : ClusteringParameters
        How centroids are found.
    """

    fourcc = "IBwF"

    quantizer: Any
    nlist: int
    nprobe: int
    max_codes: int
    use_heap: bool
    per_invlist_search: bool
    own_fields: bool
    own_invlists: bool
    clustering_index: Any
    cp: ClusteringParameters
    direct_map: DirectMap
    _ntotal: int

    def __init__(self, quantizer: Any = None, d: int = 0, nlist: int = 0, own_invlists: bool = True) -> None:
        super().__init__(d)
        require(quantizer is None or d == quantizer.d, "d == quantizer->d")
        cp = ClusteringParameters()
        cp.niter = 10
        self._begin(
            quantizer=quantizer,
            nlist=int(nlist),
            nprobe=1,
            max_codes=0,
            use_heap=True,
            per_invlist_search=False,
            own_fields=False,
            own_invlists=own_invlists,
            clustering_index=None,
            cp=cp,
            invlists=ArrayInvertedLists(nlist, self.code_size) if own_invlists and d else None,
            direct_map=DirectMap(),
            is_trained=quantizer is not None and quantizer.is_trained and quantizer.ntotal == nlist,
            _ntotal=0,
        )

    ntotal: Any = IndexIVF.ntotal
    get_list_size: Any = IndexIVF.get_list_size
    replace_invlists: Any = IndexIVF.replace_invlists
    make_direct_map: Any = IndexIVF.make_direct_map
    set_direct_map_type: Any = IndexIVF.set_direct_map_type
    _numbers: Any = IndexIVF._numbers
    _remove: Any = IndexIVF._remove
    invlists: InvertedLists

    def _train(self, x: Codes) -> None:
        quantizer = self.quantizer
        if not (quantizer.is_trained and quantizer.ntotal == self.nlist):
            clustering = Clustering(self.d, self.nlist, self.cp)
            quantizer.reset()
            clustering.train(signs(x), self.clustering_index or IndexFlatL2(self.d))
            centroids = np.asarray(clustering.centroids.array, np.float32).reshape(self.nlist, self.d)
            quantizer.add(packed(centroids))
            quantizer.is_trained = True
        self.is_trained = True

    def _takes_ids(self) -> bool:
        return True

    def _add(self, x: Codes, ids: Labels | None) -> None:
        self._add_to(x, ids, self.quantizer.assign(x, 1)[:, 0])

    def add_core(self, n: int, x: Any, xids: Any, precomputed_idx: Any) -> None:
        """Add vectors whose lists are known."""
        rows = pointed(x, n * self.code_size, np.uint8, "x").reshape(n, self.code_size)
        ids = None if xids is None else np.array(pointed(xids, n, np.int64, "xids"))
        self._add_to(np.ascontiguousarray(rows), ids, np.array(pointed(precomputed_idx, n, np.int64, "idx")))

    def _add_to(self, x: Codes, ids: Labels | None, keys: Labels) -> None:
        require(self.is_trained, "is_trained")
        self.direct_map.check_can_add(ids)
        numbers = np.arange(self._ntotal, self._ntotal + len(x), dtype=np.int64) if ids is None else ids
        core, sizes = self.invlists._core, self.invlists._core.sizes()
        for at, some in by_list(keys):
            if at >= 0:
                core.append(at, numbers[some], x[some])
        self.direct_map._added(keys, numbers, sizes)
        self._ntotal += len(x)

    # Searching.

    def _probe(self, x: Codes, params: Any) -> tuple[Labels, int]:
        nprobe, most, coarse = self.nprobe, self.max_codes, None
        if params is not None:
            require(isinstance(params, SearchParametersIVF), "IndexBinaryIVF params have incorrect type")
            nprobe, most, coarse = params.nprobe, params.max_codes, params.quantizer_params
        require(nprobe > 0, "nprobe > 0")
        keys = self.quantizer.search(x, min(int(nprobe), self.nlist), params=coarse)[1]
        return keys, int(most) or ALL_CODES

    def _asked(self, keys: Labels, most: int, params: Any, places: bool = False) -> dict[str, Any]:
        self.invlists._count(keys, most)
        none = np.zeros(keys.shape, np.float32)
        return asked(keys, none, "l2", None, most, selected(params, self._numbers), places)

    def _search(self, x: Codes, k: int, params: Any) -> tuple[Counts, Labels]:
        keys, most = self._probe(x, params)
        return self._in_lists(x, k, keys, most, params)

    def _in_lists(self, x: Codes, k: int, keys: Labels, most: int, params: Any) -> tuple[Counts, Labels]:
        codec = _steep.Codec.binary(self.d)
        distances: list[Counts] = []
        labels: list[Labels] = []
        for some in pieces(x):
            how = self._asked(keys[some], most, params)
            ids, far = self.invlists._core.search(codec, bits(x[some]), k, how)
            distances.append(counts(far))
            labels.append(ids)
        return np.concatenate(distances), np.concatenate(labels)

    def _range_search(self, x: Codes, radius: int, params: Any) -> tuple[Any, Floats, Labels]:
        return self._range_in_lists(x, radius, self._probe(x, params)[0], params)

    def _range_in_lists(self, x: Codes, radius: int, keys: Labels, params: Any) -> tuple[Any, Floats, Labels]:
        # `max_codes` is for the nearest: all that are within the radius are found.
        codec, how = _steep.Codec.binary(self.d), self._asked(keys, ALL_CODES, params)
        lims, labels, distances = self.invlists._core.range_search(codec, bits(x), float(radius - 1), how)
        return lims, distances, labels

    def _assigned(self, x: Any, Iq: Any) -> tuple[Codes, Labels]:
        x = self._rows(x)
        keys = np.ascontiguousarray(Iq, np.int64)
        assert keys.shape == (len(x), self.nprobe)
        return x, keys

    def search_preassigned(self, x: Any, k: int, Iq: Any, Dq: Any) -> tuple[Counts, Labels]:
        """As `search`, in lists that are given, (n, nprobe), beside their distances."""
        x, keys = self._assigned(x, Iq)
        assert k > 0
        assert Dq is None or Dq.shape == keys.shape
        return self._in_lists(x, int(k), keys, self.max_codes or ALL_CODES, None)

    def range_search_preassigned(
        self, x: Any, thresh: int, Iq: Any, Dq: Any, *, params: Any = None
    ) -> tuple[Any, Floats, Labels]:
        """As `range_search`, in lists that are given, (n, nprobe), beside their distances."""
        x, keys = self._assigned(x, Iq)
        assert params is None, "params not supported"
        assert Dq is None or Dq.shape == keys.shape
        lims, distances, labels = self._range_in_lists(x, int(thresh), keys, None)
        return lims.astype(np.uint64), distances, labels

    def get_InvertedListScanner(
        self, store_pairs: bool = False, sel: Any = None
    ) -> "BinaryInvertedListScanner":
        """What folds codes into a heap that the caller owns."""
        return BinaryInvertedListScanner(self.code_size, store_pairs, sel)

    # One vector.

    def _at(self, places: Labels) -> Codes:
        core, rows = self.invlists._core, np.empty((len(places), self.code_size), np.uint8)
        for at, place in enumerate(places.tolist()):
            number, offset = place >> 32, place & 0xFFFF_FFFF
            rows[at] = core.codes(number, offset, offset + 1)[0]
        return rows

    def _reconstruct(self, keys: Labels) -> Codes:
        return self._at(self.direct_map._get(keys))

    def _reconstruct_n(self, n0: int, ni: int) -> Codes:
        # Faiss reads all lists, so no map is needed.
        rows, core = np.zeros((ni, self.code_size), np.uint8), self.invlists._core
        for at in range(self.nlist):
            ids = core.ids(at)
            chosen = (ids >= n0) & (ids < n0 + ni)
            if chosen.any():
                rows[ids[chosen] - n0] = core.codes(at, 0, len(ids))[chosen]
        return rows

    def reconstruct_from_offset(self, list_no: int, offset: int, recons: Any) -> None:
        """Write the vector at a place to a pointer."""
        row = self._at(np.array([list_no << 32 | offset], np.int64))[0]
        pointed(recons, self.code_size, np.uint8, "recons")[:] = row

    # Changing.

    def reset(self) -> None:
        """Forget all vectors, and remember the centroids."""
        self.direct_map.clear()
        self.invlists.reset()
        self._ntotal = 0

    def check_compatible_for_merge(self, other: Any) -> None:
        """Refuse an index whose vectors cannot be taken over."""
        require(isinstance(other, IndexBinaryIVF), "other")
        require(other.d == self.d, "other->d == d")
        require(other.nlist == self.nlist, "other->nlist == nlist")
        require(self.direct_map.no() and other.direct_map.no(), "direct map copy not implemented")
        require(type(other) is type(self), "can only merge indexes of the same type")

    def merge_from(self, other: Any, add_id: int = 0) -> None:
        """Take the vectors of another index over, which is left empty; their ids grow by `add_id`."""
        self.check_compatible_for_merge(other)
        self.invlists.merge_from(other.invlists, add_id)
        self._ntotal += other._ntotal
        other._ntotal = 0

    def to_record(self) -> dict[str, Any]:
        """What a file holds of the index."""
        return self._header() | {
            "nlist": self.nlist,
            "nprobe": int(self.nprobe),
            "quantizer": self.quantizer.to_record(),
            "direct_map": self.direct_map.to_record(),
            "invlists": self.invlists.to_record(),
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "IndexBinaryIVF":
        """The index that a file holds."""
        from steep.faiss._io import from_record

        index = cls(from_record(record["quantizer"]), record["d"], record["nlist"])
        index._begin(nprobe=record["nprobe"], own_fields=True, is_trained=bool(record["is_trained"]))
        lists = record["invlists"]
        if lists is not None and lists["fourcc"] != "il00":
            index.invlists._fill(lists)
        index.direct_map._restore(record["direct_map"])
        index._ntotal = record["ntotal"]
        return index


class BinaryInvertedListScanner(Sealed):
    """One query against codes behind pointers."""

    store_pairs: bool
    sel: Any
    list_no: int
    _size: int
    _query: Any

    def __init__(self, code_size: int, store_pairs: bool, sel: Any) -> None:
        self._begin(store_pairs=store_pairs, sel=sel, list_no=-1, _size=code_size, _query=None)

    def set_query(self, query_vector: Any) -> None:
        """Take the query."""
        query = pointed(query_vector, self._size, np.uint8, "query_vector")
        self._begin(_query=np.array(query).reshape(1, -1))

    def set_list(self, list_no: int, coarse_dis: int) -> None:
        """The codes that follow are of this list."""
        self.list_no = list_no

    def distance_to_code(self, code: Any) -> int:
        """How many bits of a code differ."""
        return int(self._far(1, code)[0])

    def _far(self, n: int, codes: Any) -> Counts:
        rows = pointed(codes, n * self._size, np.uint8, "codes").reshape(n, self._size)
        near: Counts = far(self._query, np.ascontiguousarray(rows))[0]
        return near

    def _named(self, n: int, ids: Any) -> Labels:
        if self.store_pairs:
            return (self.list_no << 32) + np.arange(n, dtype=np.int64)
        return np.array(pointed(ids, n, np.int64, "ids"))

    def scan_codes(self, n: int, codes: Any, ids: Any, distances: Any, labels: Any, k: int) -> int:
        """Put what is nearer than the farthest of a heap of k into it; how many."""
        heap, names = pointed(distances, k, np.int32, "distances"), pointed(labels, k, np.int64, "labels")
        if not n:
            return 0
        new, numbers = self._far(n, codes), self._named(n, ids)
        near = new < heap[0] if k else np.zeros(n, np.bool_)
        if self.sel is not None:
            near &= self.sel._mask(numbers)
        all_far = np.concatenate([heap, new[near]])
        all_names = np.concatenate([names, numbers[near]])
        # Descending, which is a heap; of equals those that were there stay.
        order = np.argsort(all_far, kind="stable")[:k][::-1]
        heap[:], names[:] = all_far[order], all_names[order]
        return int(near.sum())


__all__ = ["BinaryInvertedListScanner", "IndexBinaryIVF"]
