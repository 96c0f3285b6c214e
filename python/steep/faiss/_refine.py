"""Results of one index, ranked anew by the distances of another."""

import copy
from itertools import pairwise
from typing import Any

import numpy as np

from steep import _steep
from steep.faiss._base import (
    METRIC_INNER_PRODUCT,
    METRIC_L2,
    Codes,
    Floats,
    Index,
    Labels,
    as_faiss,
    is_similarity,
    native_metric,
    require,
)
from steep.faiss._flat import IndexFlat, is_plain, told
from steep.faiss._ivf_kinds import (
    IndexIVFPQ,
    IndexIVFPQFastScan,
    IndexIVFRaBitQ,
    IndexIVFRaBitQFastScan,
)
from steep.faiss._simd import threads

#: Vectors from which on the core's own codes are searched in place of those of lists.
LARGE = 20_000
#: So many that are added at once get these codes at once, fewer at the next search; and are learned from.
_MANY = 1000
#: Lists of which there are such codes.
_CODED = (
    IndexIVFPQ,
    IndexIVFPQFastScan,
    IndexIVFRaBitQ,
    IndexIVFRaBitQFastScan,
)


class IndexRefine(Index):
    """The k nearest by `refine_index` of the `k_factor` * k nearest by `base_index`."""

    fourcc = "IxRF"

    base_index: Index
    refine_index: Any
    k_factor: float
    own_fields: bool
    own_refine_index: bool
    #: The core's own codes; none for what came from a file.
    _native: _steep.NativeLists | None
    #: The vectors that they are of.
    _coded: _steep.Flat | None

    def __init__(self, base_index: Any = None, refine_index: Any = None) -> None:
        d, metric = (base_index.d, base_index.metric_type) if base_index is not None else (1, METRIC_L2)
        super().__init__(d, metric)
        if base_index is not None and refine_index is not None:
            require(base_index.d == refine_index.d, "base_index->d == refine_index->d")
            same = base_index.metric_type == refine_index.metric_type
            require(same, "base_index->metric_type == refine_index->metric_type")
            require(base_index.ntotal == refine_index.ntotal, "base_index->ntotal == refine_index->ntotal")
        self._begin(
            base_index=base_index,
            refine_index=refine_index,
            k_factor=1.0,
            own_fields=False,
            own_refine_index=False,
            is_trained=base_index is None
            or bool(base_index.is_trained and (refine_index is None or refine_index.is_trained)),
        )
        self._begin_native()

    def _begin_native(self) -> None:
        base: Any = self.base_index
        fits = type(base) in _CODED and self.metric_type in (METRIC_L2, METRIC_INNER_PRODUCT)
        if fits:
            # The core's have four bits a coordinate: those that are nearly as long may tell as much.
            rabitq = getattr(base, "rabitq", None)
            bits: float = 8 * base.code_size / base.d if rabitq is None else rabitq.nb_bits
            fits = bits <= 2
        native = _steep.NativeLists(native_metric(self.metric_type)) if fits else None
        self._begin(_native=native, _coded=None)

    @property
    def ntotal(self) -> int:  # type: ignore[override]
        """Number of vectors."""
        return int(self.refine_index.ntotal) if self.refine_index is not None else 0

    def _train(self, x: Floats) -> None:
        self.base_index.train(x)
        self.refine_index.train(x)
        self._train_native(x)
        self.is_trained = True

    def _train_native(self, x: Floats) -> None:
        if self._native is not None and len(x) >= _MANY:
            self._native.train(x)

    def _add(self, x: Floats, ids: Labels | None) -> None:
        self.base_index.add(x)
        self.refine_index.add(x)
        if len(x) >= _MANY:
            self._follow()

    # While there are few vectors, and where the index came from a file, candidates are those of Faiss's
    # codes. From LARGE on the core's own find them, in the same lists: that is several times as fast.

    def _follow(self) -> _steep.NativeLists | None:
        """The core's own codes of all vectors, where they are to be had."""
        base: Any = self.base_index
        native, flat = self._native, self.refine_index
        if native is None or not (is_plain(flat) and base.ntotal >= flat.ntotal >= LARGE):
            return None
        if type(base) not in _CODED or not is_plain(base.quantizer):
            return None
        if self._coded is not None and self._coded is not flat._store:
            # Somebody has reset the flat index, or put another in its place.
            self._begin_native()
            native = self._native
        if native is None:
            return None
        self._begin(_coded=flat._store)
        try:
            done = native.follow(flat._store, base.invlists._core, base.quantizer._store, threads())
        except MemoryError:
            # The vectors are there, and Faiss's codes.
            self._begin(_native=None)
            return None
        return native if done else None

    def _knobs(self, params: Any) -> tuple[float, Any]:
        if params is None:
            return self.k_factor, None
        require(hasattr(params, "base_index_params"), "IndexRefine params have incorrect type")
        require(getattr(params, "sel", None) is None, "selection in base_index_params")
        return params.k_factor, params.base_index_params

    def _search(self, x: Floats, k: int, params: Any) -> tuple[Floats, Labels]:
        require(self.is_trained, "is_trained")
        factor, inner = self._knobs(params)
        more = int(k * factor)
        require(more >= k, "k_base >= k")
        native = self._follow()
        if native is not None and getattr(inner, "sel", None) is None:
            base: Any = self.base_index
            nprobe, max_codes, coarse = base._knobs(inner)
            if nprobe > 0 and base._at_once(coarse):
                asked, store = (nprobe, max_codes, more), self.refine_index._store
                labels, distances = told(x, lambda x: native.search(store, x, k, asked, threads()))
                return as_faiss(self.metric_type, distances), labels
        candidates = np.ascontiguousarray(
            self.base_index.assign(x, more)
            if inner is None
            else self.base_index.search(x, more, params=inner)[1]
        )
        # While another thread adds, the base index may have some that the other has not.
        candidates[candidates >= self.refine_index.ntotal] = -1
        return self._ranked(x, k, candidates)

    def _ranked(self, x: Floats, k: int, candidates: Labels) -> tuple[Floats, Labels]:
        if isinstance(self.refine_index, IndexFlat):
            labels, distances = self.refine_index._store.rank(x, k, candidates, threads())
        else:
            known = np.unique(candidates[candidates >= 0])
            vectors = (
                self.refine_index.reconstruct_batch(known)
                if len(known)
                else np.empty((0, self.d), np.float32)
            )
            metric = native_metric(self.metric_type, self.metric_arg)
            store = _steep.Flat(self.d, metric)
            store.add(vectors)
            rows = np.where(candidates >= 0, np.searchsorted(known, np.maximum(candidates, 0)), -1)
            rows, distances = store.rank(x, k, np.ascontiguousarray(rows, np.int64), threads())
            labels = np.where(rows >= 0, known[np.maximum(rows, 0)] if len(known) else -1, -1)
        return (-distances if is_similarity(self.metric_type) else distances), labels

    def _range_search(self, x: Floats, radius: float, params: Any) -> tuple[Any, Floats, Labels]:
        _, inner = self._knobs(params)
        lims, _, labels = self.base_index.range_search(x, radius, params=inner)
        lims = lims.astype(np.int64)
        kept_lims = [0]
        kept_distances: list[Floats] = []
        kept_labels: list[Labels] = []
        for query, (first, end) in enumerate(pairwise(lims.tolist())):
            some = labels[first:end]
            if len(some):
                distances, names = self._ranked(x[query : query + 1], len(some), some[None])
                near = distances[0] > radius if is_similarity(self.metric_type) else distances[0] < radius
                kept_distances.append(distances[0][near])
                kept_labels.append(names[0][near])
            kept_lims.append(sum(map(len, kept_labels[-1:])) + kept_lims[-1] if len(some) else kept_lims[-1])
        empty = np.empty(0, np.float32), np.empty(0, np.int64)
        return (
            np.array(kept_lims),
            np.concatenate(kept_distances) if kept_distances else empty[0],
            np.concatenate(kept_labels) if kept_labels else empty[1],
        )

    def _reconstruct(self, keys: Labels) -> Floats:
        vectors: Floats = self.refine_index.reconstruct_batch(keys)
        return vectors

    def reset(self) -> None:
        """Forget all vectors."""
        self.base_index.reset()
        self.refine_index.reset()
        self._begin_native()

    def sa_code_size(self) -> int:
        """Bytes of a vector's codes in both indexes."""
        return self.base_index.sa_code_size() + int(self.refine_index.sa_code_size())

    def _encode(self, x: Floats) -> Codes:
        return np.concatenate([self.base_index.sa_encode(x), self.refine_index.sa_encode(x)], axis=1)

    def _decode(self, codes: Codes) -> Floats:
        finer: Codes = np.ascontiguousarray(codes[:, self.base_index.sa_code_size() :])
        vectors: Floats = self.refine_index.sa_decode(finer)
        return vectors

    def to_record(self) -> dict[str, Any]:
        """What a file holds of the index."""
        return self._header() | {
            "base_index": self.base_index.to_record(),
            "refine_index": self.refine_index.to_record(),
            "k_factor": float(self.k_factor),
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "IndexRefine":
        """The index that a file holds."""
        from steep.faiss._io import from_record

        base, refine = from_record(record["base_index"]), from_record(record["refine_index"])
        kind = IndexRefineFlat if isinstance(refine, IndexFlat) else IndexRefine
        index = kind.__new__(kind)
        IndexRefine.__init__(index, base, refine)
        index._begin(k_factor=record["k_factor"], own_fields=True, own_refine_index=True)
        index._begin(is_trained=bool(record["is_trained"]), _native=None)
        return index

    def _copy_to(self, other: Any) -> None:
        if self._native is None:
            return
        other._begin_native()
        if self._coded is not None and self._coded is getattr(self.refine_index, "_store", None):
            other._begin(_native=copy.copy(self._native), _coded=other.refine_index._store)


class IndexRefineFlat(IndexRefine):
    """Results ranked anew by exact distances."""

    def __init__(self, base_index: Any = None, xb: Any = None) -> None:
        if base_index is None:
            super().__init__()
            return
        flat = IndexFlat(base_index.d, base_index.metric_type)
        if xb is not None:
            from steep.faiss._arrays import pointed

            rows = pointed(xb, base_index.ntotal * base_index.d, np.float32, "xb")
            flat.add(rows.reshape(base_index.ntotal, base_index.d))
        require(xb is not None or base_index.ntotal == 0, "base_index->ntotal == 0")
        flat.is_trained = True
        super().__init__(base_index, flat)
        self._begin(own_refine_index=True, is_trained=base_index.is_trained)

    def _train(self, x: Floats) -> None:
        self.base_index.train(x)
        self._train_native(x)
        self.is_trained = True
