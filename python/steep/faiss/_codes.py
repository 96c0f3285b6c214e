"""Every vector as a code, without lists: product, scalar and RaBitQ codes."""

# D, I and M are what Faiss calls distances, labels and parts.
# pyright: reportConstantRedefinition=false

from typing import Any, ClassVar, Self, cast

import numpy as np

from steep import _steep
from steep.faiss._aligned import array_to_AlignedTable
from steep.faiss._arrays import Float32Vector, UInt8Vector
from steep.faiss._base import (
    METRIC_INNER_PRODUCT,
    METRIC_L2,
    Codes,
    Floats,
    Index,
    Labels,
    as_faiss,
    core_selector,
    native_metric,
    require,
    selected,
    strict_radius,
)
from steep.faiss._bitrows import far
from steep.faiss._packers import CodePacker, CodePackerFlat, FastScanPacker
from steep.faiss._parameters import SearchParameters
from steep.faiss._pointers import put, rows
from steep.faiss._polysemous import PolysemousTraining
from steep.faiss._quantizers import ProductQuantizer, RaBitQuantizer, ScalarQuantizer
from steep.faiss._selectors import IDSelectorBitmap
from steep.faiss._simd import cvar, threads

#: More codes than any search meets.
ALL_CODES = 1 << 62


def code_metric(metric: int) -> str:
    """The core's name of a metric of codes: one that products tell."""
    known = metric in (METRIC_INNER_PRODUCT, METRIC_L2)
    require(known, "metric_type == METRIC_L2 || metric_type == METRIC_INNER_PRODUCT")
    return native_metric(metric)


def asked(
    keys: Labels | tuple[_steep.Flat, int],
    coarse: Floats | None,
    metric: str,
    centers: Any,
    max_codes: int,
    selector: Any,
    places: bool = False,
) -> dict[str, Any]:
    """What the core is told of a search in lists, besides the queries.

    These are given, or those of a flat index's so many nearest.
    """
    return {
        "keys": keys if isinstance(keys, tuple) else np.ascontiguousarray(keys, np.int64),
        "coarse": None if coarse is None else np.ascontiguousarray(coarse, np.float32),
        "metric": metric,
        "centers": centers,
        "max_codes": max_codes,
        "selector": selector,
        "places": places,
        "threads": threads(),
    }


class IndexFlatCodes(Index):
    """Codes one after the other: a single list of the core's. Kinds of it say by `_codec` what codes mean."""

    #: Codes that lie together.
    _block: ClassVar[int] = 1

    code_size: int
    _store: _steep.Lists

    def _begin_codes(self, code_size: int) -> None:
        self._begin(code_size=code_size)
        self.reset()

    def _codec(self, params: Any = None) -> _steep.Codec:
        raise RuntimeError(f"{type(self).__name__} has no codec")

    @property
    def ntotal(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Number of codes."""
        return len(self._store)

    @ntotal.setter
    def ntotal(self, n: int) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        require(n == len(self._store), f"ntotal = {n} for {len(self._store)} codes")

    @property
    def codes(self) -> UInt8Vector:
        """All codes' bytes."""
        return UInt8Vector.over(lambda: self._all().reshape(-1), self._put_codes)

    @codes.setter
    def codes(self, values: Any) -> None:
        self._put_codes(np.array(getattr(values, "array", values), np.uint8))

    def get_CodePacker(self) -> CodePacker:
        """What reads and writes single codes."""
        return CodePackerFlat(self.code_size)

    def _numbers(self) -> Labels:
        return np.arange(self.ntotal, dtype=np.int64)

    def _between(self, first: int, end: int) -> Codes:
        return self._store.codes(0, first, end)

    def _all(self) -> Codes:
        return self._between(0, self.ntotal)

    def _put_codes(self, codes: Codes) -> None:
        self.reset()
        self._append(np.ascontiguousarray(codes, np.uint8).reshape(-1, self.code_size))

    def _append(self, codes: Codes) -> None:
        first = len(self._store)
        self._store.append(0, np.arange(first, first + len(codes), dtype=np.int64), codes)

    def _add(self, x: Floats, ids: Labels | None) -> None:
        first = len(self._store)
        numbers = np.arange(first, first + len(x), dtype=np.int64)
        self._store.add(self._codec(), x, np.zeros(len(x), np.int64), numbers, None, threads())

    def _asked(self, n: int, params: Any) -> dict[str, Any]:
        selector = selected(params, self._numbers)
        metric = code_metric(self.metric_type)
        keys = np.zeros((n, 1), np.int64)
        return asked(keys, np.zeros((n, 1), np.float32), metric, None, ALL_CODES, selector)

    def _search(self, x: Floats, k: int, params: Any) -> tuple[Floats, Labels]:
        require(self.is_trained, "is_trained")
        labels, distances = self._store.search(self._codec(params), x, k, self._asked(len(x), params))
        return as_faiss(self.metric_type, distances), labels

    def _range_search(self, x: Floats, radius: float, params: Any) -> tuple[Any, Floats, Labels]:
        require(self.is_trained, "is_trained")
        edge = strict_radius(self.metric_type, radius)
        lims, labels, distances = self._store.range_search(
            self._codec(params), x, edge, self._asked(len(x), params)
        )
        return lims, as_faiss(self.metric_type, distances), labels

    def _reconstruct(self, keys: Labels) -> Floats:
        require(((keys >= 0) & (keys < self.ntotal)).all(), "key >= 0 && key < ntotal")
        if not len(keys):
            return np.empty((0, self.d), np.float32)
        first, end = int(keys.min()), int(keys.max()) + 1
        if end - first <= 4 * len(keys):
            codes = self._between(first, end)[keys - first]
        else:
            codes = np.concatenate([self._between(int(key), int(key) + 1) for key in keys])
        return self._decode(codes)

    def _reconstruct_n(self, n0: int, ni: int) -> Floats:
        return self._decode(self._between(n0, n0 + ni))

    def _remove(self, selector: Any) -> int:
        return self._store.squeeze(core_selector(selector, self._numbers))

    _distances = Index._found

    def get_FlatCodesDistanceComputer(self) -> Any:
        """What tells how far single codes are from a query."""
        from steep.faiss._computers import FlatCodesDistanceComputer

        return FlatCodesDistanceComputer(self)

    def reset(self) -> None:
        """Forget all codes."""
        self._begin(_store=_steep.Lists(1, self.code_size, self._block))

    def check_compatible_for_merge(self, other: Index) -> None:
        """Refuse an index whose codes cannot be taken over."""
        require(type(other) is type(self), "can only merge indexes of the same type")
        require(other.d == self.d and other.code_size == self.code_size, "other->d == d")  # type: ignore[attr-defined]

    def merge_from(self, other: Index, add_id: int = 0) -> None:
        """Take the codes of another index over, which is left empty."""
        require(add_id == 0, "cannot set ids in FlatCodes index")
        self.check_compatible_for_merge(other)
        self._take(other)

    def _take(self, other: Any) -> None:
        self._store.merge(other._store, self.ntotal)

    def permute_entries(self, perm: Any) -> None:
        """Put code perm[i] in place i."""
        (n,) = perm.shape
        assert n == self.ntotal
        self._put_codes(self._all()[np.ascontiguousarray(perm, np.int64)])

    def sa_code_size(self) -> int:
        """Bytes of a code."""
        return self.code_size

    def _encode(self, x: Floats) -> Codes:
        return self._codec().encode(x)

    def _decode(self, codes: Codes) -> Floats:
        return self._codec().decode(codes)

    def _add_codes(self, codes: Codes, ids: Labels | None) -> None:
        require(ids is None, "!xids")
        self._append(codes)

    def _restored(self, record: dict[str, Any]) -> Self:
        self._begin(is_trained=bool(record["is_trained"]), metric_arg=record.get("metric_arg", 0.0))
        self._put_codes(record["codes"])
        return self


class IndexPQ(IndexFlatCodes):
    """Product codes, searched by tables. `search_type` other than ST_PQ gives what ST_PQ does, or better."""

    ST_PQ = 0
    ST_HE = 1
    ST_generalized_HE = 2
    ST_SDC = 3
    ST_polysemous = 4
    ST_polysemous_generalize = 5
    fourcc = "IxPq"

    pq: ProductQuantizer
    do_polysemous_training: bool
    polysemous_training: Any
    polysemous_ht: int
    search_type: int
    encode_signs: bool

    def __init__(self, d: int | None = None, M: int = 0, nbits: int = 0, metric: int = METRIC_L2) -> None:
        if d is None:
            d, M, nbits = 1, 1, 8
        super().__init__(d, metric)
        pq = ProductQuantizer(self.d, M, nbits)
        self._begin(
            pq=pq,
            is_trained=False,
            do_polysemous_training=False,
            polysemous_training=PolysemousTraining(),
            polysemous_ht=nbits * M + 1,
            search_type=self.ST_PQ,
            encode_signs=False,
        )
        self._begin_codes(pq.code_size)

    def _codec(self, params: Any = None) -> _steep.Codec:
        return self.pq._codec()

    def _train(self, x: Floats) -> None:
        self.pq.train(x)
        if self.do_polysemous_training:
            self.polysemous_training.optimize_pq_for_hamming(self.pq)
        self.is_trained = True

    def _search(self, x: Floats, k: int, params: Any) -> tuple[Floats, Labels]:
        kind = getattr(params, "search_type", self.search_type)
        if kind not in (self.ST_polysemous, self.ST_polysemous_generalize):
            return super()._search(x, k, params)
        require(getattr(params, "sel", None) is None, "selector not supported")
        return self._search_polysemous(x, k, kind, getattr(params, "polysemous_ht", self.polysemous_ht))

    def _search_polysemous(self, x: Floats, k: int, kind: int, most: int) -> tuple[Floats, Labels]:
        """Among codes that differ from the query's in fewer bits, or bytes: as in Faiss, but no sooner."""
        codes, stats = self._all(), cvar.indexPQ_stats
        distances, labels = np.empty((len(x), k), np.float32), np.empty((len(x), k), np.int64)
        for at, code in enumerate(self._encode(x)):
            bits = kind == self.ST_polysemous
            near = (far(code[None], codes)[0] if bits else (codes != code).sum(1)) < most
            chosen = SearchParameters(sel=IDSelectorBitmap(np.packbits(near, bitorder="little")))
            distances[at : at + 1], labels[at : at + 1] = super()._search(x[at : at + 1], k, chosen)
            stats.n_hamming_pass += int(near.sum())
        stats.nq += len(x)
        stats.ncode += len(x) * len(codes)
        return distances, labels

    def hamming_distance_table(self, n: int, x: Any, dis: Any) -> None:
        """Write how many of the bits of their codes queries and vectors differ in."""
        queries = self._encode(x.array[: n * self.d].reshape(n, self.d))
        table = far(queries, self._all())
        dis.array[: table.size] = table.reshape(-1)

    def to_record(self) -> dict[str, Any]:
        """What a file holds of the index."""
        return self._header() | {
            "pq": self.pq.to_record(),
            "codes": self._all().reshape(-1),
            "search_type": self.search_type,
            "encode_signs": self.encode_signs,
            "polysemous_ht": self.polysemous_ht,
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "IndexPQ":
        """The index that a file holds."""
        pq = record["pq"]
        index = cls(pq["d"], pq["M"], pq["nbits"], record["metric_type"])
        index._begin(pq=ProductQuantizer.from_record(pq))
        for name in ("search_type", "encode_signs", "polysemous_ht"):
            if name in record:
                index._begin(**{name: record[name]})
        return index._restored(record)


class FastScan:
    """What fast-scan indexes tell of themselves; how they are searched is the core's choice."""

    M: int
    nbits: int
    ksub: int
    M2: int
    bbs: int
    implem: int
    skip: int
    qbs: int

    def _begin_fastscan(self, d: int, M: int, nbits: int, bbs: int) -> None:
        require(nbits == 4, "nbits_init == 4")
        require(bbs % 32 == 0 and bbs > 0, "bbs % 32 == 0")
        self._begin(  # type: ignore[attr-defined]
            M=M, nbits=nbits, ksub=1 << nbits, M2=-(-M // 2) * 2, bbs=bbs, implem=0, skip=0, qbs=0
        )

    def _pack(self: Any, codes: Codes) -> Codes:
        """Codes in Faiss's blocks."""
        return _steep.faiss_pack(codes, self.M, self.bbs)

    def _unpack(self: Any, blocks: Codes, n: int) -> Codes:
        """The first n codes of such blocks."""
        return _steep.faiss_unpack(blocks, n, self.M, self.bbs)

    def get_CodePacker(self) -> CodePacker:
        """What reads and writes single codes of blocks."""
        return FastScanPacker(self)

    def get_block_stride(self: Any) -> int:
        """Bytes of a block."""
        stride: int = self.bbs * self.M2 // 2
        return stride

    def compute_codes(self: Any, codes: Any, n: int, x: Any) -> None:
        """Write the codes of n vectors."""
        put(codes, self._encode(rows(x, n, self.d)))


class IndexPQFastScan(FastScan, IndexFlatCodes):
    """Product codes of four bits, looked up 32 at a time; distances are those of `IndexPQ`."""

    fourcc = "IPfs"
    _block = 32

    pq: ProductQuantizer

    def __init__(
        self, d: Any = None, M: int = 0, nbits: int = 4, metric: int = METRIC_L2, bbs: int = 32
    ) -> None:
        if isinstance(d, IndexPQ):
            orig, bbs = d, (M or 32)
            super().__init__(orig.d, orig.metric_type)
            pq, trained, codes = orig.pq, orig.is_trained, orig._all()
        else:
            super().__init__(d, metric)
            pq, trained, codes = ProductQuantizer(self.d, M, nbits), False, None
        self._begin_fastscan(self.d, pq.M, pq.nbits, bbs)
        self._begin(pq=pq, is_trained=trained)
        self._begin_codes(pq.code_size)
        if codes is not None:
            self._append(codes)

    def _codec(self, params: Any = None) -> _steep.Codec:
        return self.pq._fastscan()

    def _search(self, x: Floats, k: int, params: Any) -> tuple[Floats, Labels]:
        if self.implem != 2:
            return super()._search(x, k, params)
        # Tables that are not rounded: those of the same codes out of their blocks.
        plain = IndexPQ(self.d, self.M, self.nbits, self.metric_type)
        plain._begin(pq=self.pq, is_trained=self.is_trained)
        plain._append(self._all())
        return plain._search(x, k, params)

    def _train(self, x: Floats) -> None:
        if not self.is_trained:
            self.pq.train(x)
            self.is_trained = True

    @property  # type: ignore[misc]
    def codes(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """All codes' bytes, in blocks."""
        return array_to_AlignedTable(self._pack(self._all()))

    @property
    def ntotal2(self) -> int:
        """Number of codes, in whole blocks."""
        return -(-self.ntotal // self.bbs) * self.bbs

    def to_record(self) -> dict[str, Any]:
        """What a file holds of the index."""
        return self._header() | {
            "pq": self.pq.to_record(),
            "implem": self.implem,
            "bbs": self.bbs,
            "qbs": self.qbs,
            "ntotal2": self.ntotal2,
            "M2": self.M2,
            "codes": self._pack(self._all()),
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "IndexPQFastScan":
        """The index that a file holds."""
        pq, metric = record["pq"], record["metric_type"]
        index = cls(pq["d"], pq["M"], pq["nbits"], metric, record["bbs"])
        index._begin(pq=ProductQuantizer.from_record(pq), implem=record["implem"], qbs=record["qbs"])
        return index._restored(record | {"codes": index._unpack(record["codes"], record["ntotal"])})


class IndexScalarQuantizer(IndexFlatCodes):
    """Scalar codes: some bits a coordinate."""

    fourcc = "IxSQ"

    sq: ScalarQuantizer

    def __init__(self, d: int | None = None, qtype: int = 0, metric: int = METRIC_L2) -> None:
        super().__init__(1 if d is None else d, metric)
        sq = ScalarQuantizer(self.d, qtype)
        self._begin(sq=sq, is_trained=sq._needs_no_training())
        self._begin_codes(sq.code_size)

    def _codec(self, params: Any = None) -> _steep.Codec:
        return self.sq._codec()

    def _train(self, x: Floats) -> None:
        self.sq.train(x)
        self.is_trained = True

    def to_record(self) -> dict[str, Any]:
        """What a file holds of the index."""
        return self._header() | {"sq": self.sq.to_record(), "codes": self._all().reshape(-1)}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "IndexScalarQuantizer":
        """The index that a file holds."""
        index = cls(record["d"], record["sq"]["qtype"], record["metric_type"])
        index._begin(sq=ScalarQuantizer.from_record(record["sq"]))
        return index._restored(record)


class IndexRaBitQ(IndexFlatCodes):
    """RaBitQ codes: one bit a coordinate and more, about the centre of the vectors."""

    fourcc = "Ixrq"

    rabitq: RaBitQuantizer
    qb: int
    centered: bool
    _center: Floats

    def __init__(self, d: int | None = None, metric: int = METRIC_L2, nb_bits: int = 1) -> None:
        super().__init__(1 if d is None else d, metric)
        rabitq = RaBitQuantizer(self.d, metric, nb_bits)
        center = np.zeros(self.d, np.float32)
        self._begin(rabitq=rabitq, is_trained=False, qb=4, centered=False, _center=center)
        self._begin_codes(rabitq.code_size)

    @property
    def center(self) -> Float32Vector:
        """What is taken off vectors before they are coded."""
        return Float32Vector.over(lambda: self._center, lambda x: self._begin(_center=x.copy()))

    def _codec(self, params: Any = None) -> _steep.Codec:
        qb, centered = getattr(params, "qb", self.qb), getattr(params, "centered", self.centered)
        return self.rabitq._codec(qb, centered, self._center)

    def _train(self, x: Floats) -> None:
        self._begin(_center=x.mean(0, dtype=np.float64).astype(np.float32), is_trained=True)
        self.rabitq.train(x)

    def get_FlatCodesDistanceComputer(self) -> Any:
        """What tells how far single codes are from a query."""
        from steep.faiss._computers import RaBitQDistanceComputer

        return RaBitQDistanceComputer(self)

    get_distance_computer = get_FlatCodesDistanceComputer

    def to_record(self) -> dict[str, Any]:
        """What a file holds of the index."""
        fourcc = "Ixrq" if self.rabitq.nb_bits == 1 else "Ixrr"
        return self._header() | {
            "fourcc": fourcc,
            "rabitq": self.rabitq.to_record(),
            "codes": self._all().reshape(-1),
            "center": self._center,
            "qb": self.qb,
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "IndexRaBitQ":
        """The index that a file holds."""
        rabitq = RaBitQuantizer.from_record(record["rabitq"])
        index = cls(record["d"], record["metric_type"], rabitq.nb_bits)
        index._begin(rabitq=rabitq, _center=record["center"], qb=record["qb"])
        return index._restored(record)


class IndexRaBitQFastScan(FastScan, IndexRaBitQ):
    """RaBitQ codes by the names of Faiss's fast scan; searched as `IndexRaBitQ` is."""

    def __init__(self, d: Any = None, metric: int = METRIC_L2, bbs: int = 32, nb_bits: int = 1) -> None:
        orig = d if isinstance(d, IndexRaBitQ) else None
        if orig is not None:
            bbs = metric if metric > 1 else 32
            d, metric, nb_bits = orig.d, orig.metric_type, orig.rabitq.nb_bits
        super().__init__(cast("int | None", d), metric, nb_bits)
        require(metric in (METRIC_INNER_PRODUCT, METRIC_L2), "metric L2 or inner product")
        self._begin_fastscan(self.d, -(-self.d // 4), 4, bbs)
        self._begin(qb=8)
        if orig is not None:
            self._begin(rabitq=orig.rabitq, _center=orig._center, is_trained=orig.is_trained)
            self._begin(qb=orig.qb, centered=orig.centered)
            self._append(orig._all())

    def _pack(self, codes: Codes) -> Codes:
        return sign_blocks(codes, self.d, self.bbs)

    def _unpack(self, blocks: Codes, n: int) -> Codes:
        return sign_rows(blocks, n, self.d, self.code_size, self.bbs)

    def get_block_stride(self) -> int:
        """Bytes of a block."""
        return self.bbs * (self.M2 // 2 + self.code_size - -(-self.d // 8))

    @property  # type: ignore[misc]
    def codes(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """All codes' bytes, in blocks."""
        return array_to_AlignedTable(self._pack(self._all()))

    @property
    def ntotal2(self) -> int:
        """Number of codes, in whole blocks."""
        return -(-self.ntotal // self.bbs) * self.bbs

    def to_record(self) -> dict[str, Any]:
        """What a file holds of the index."""
        return super().to_record() | {
            "fourcc": "Irfn",
            "bbs": self.bbs,
            "ntotal2": self.ntotal2,
            "M2": self.M2,
            "code_size": self.code_size,
            "codes": self._pack(self._all()),
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "IndexRaBitQFastScan":
        """The index that a file holds."""
        rabitq = RaBitQuantizer.from_record(record["rabitq"])
        index = cls(record["d"], record["metric_type"], record["bbs"], rabitq.nb_bits)
        index._begin(rabitq=rabitq, _center=record["center"], qb=record["qb"])
        return index._restored(record | {"codes": index._unpack(record["codes"], record["ntotal"])})


def sign_blocks(codes: Codes, d: int, bbs: int) -> Codes:
    """RaBitQ codes in Faiss's blocks: the signs as nibbles, then what is beside them, vector after vector."""
    signs, half = -(-d // 8), -(-d // 8) * bbs
    stride = half + bbs * (codes.shape[1] - signs)
    blocks = _steep.faiss_pack(np.ascontiguousarray(codes[:, :signs]), -(-d // 4), bbs, stride)
    padded = np.zeros((len(blocks) // stride * bbs, codes.shape[1] - signs), np.uint8)
    padded[: len(codes)] = codes[:, signs:]
    blocks.reshape(-1, stride)[:, half:] = padded.reshape(-1, stride - half)
    return blocks


def sign_rows(blocks: Codes, n: int, d: int, code_size: int, bbs: int) -> Codes:
    """The first n RaBitQ codes out of Faiss's blocks."""
    signs, half = -(-d // 8), -(-d // 8) * bbs
    stride = half + bbs * (code_size - signs)
    rows = np.empty((n, code_size), np.uint8)
    rows[:, :signs] = _steep.faiss_unpack(blocks, n, -(-d // 4), bbs, stride).reshape(n, signs)
    rows[:, signs:] = blocks.reshape(-1, stride)[:, half:].reshape(-1, code_size - signs)[:n]
    return rows
