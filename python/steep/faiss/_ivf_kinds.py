"""The kinds of IndexIVF: whole vectors, product, scalar and RaBitQ codes in lists."""

# D, I and M are what Faiss calls distances, labels and parts.
# pyright: reportConstantRedefinition=false

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from steep import _steep
from steep.faiss._arrays import pointed
from steep.faiss._base import METRIC_INNER_PRODUCT, METRIC_L2, Codes, Floats, Index, Labels, require, selected
from steep.faiss._codes import ALL_CODES, FastScan, IndexRaBitQFastScan
from steep.faiss._flat import IndexFlat
from steep.faiss._ivf import IndexIVF
from steep.faiss._lists import BlockInvertedLists, DirectMap
from steep.faiss._polysemous import PolysemousTraining
from steep.faiss._quantizers import ProductQuantizer, RaBitQuantizer, ScalarQuantizer


def _quantizer_of(record: dict[str, Any]) -> Index:
    from steep.faiss._io import from_record

    quantizer: Index = from_record(record["quantizer"])
    return quantizer


def _in_blocks(index: Any, blocks: list[Codes], block_size: int) -> dict[str, Any]:
    """What a file holds of lists whose codes are in blocks."""
    plain = index.invlists.to_record()
    return {
        "fourcc": "ilbl",
        "nlist": index.nlist,
        "code_size": -1,
        "n_per_block": index.bbs,
        "block_size": block_size,
        "sizes": plain["sizes"],
        "ids": plain["ids"],
        "codes": np.concatenate(blocks),
    }


def _out_of_blocks(lists: dict[str, Any], unpack: Callable[[Codes, int], Codes]) -> dict[str, Any]:
    """The same with codes one after the other, as `unpack` makes them of a list's blocks."""
    codes: list[Codes] = []
    at = 0
    for size in np.asarray(lists["sizes"]).tolist():
        length = -(-size // lists["n_per_block"]) * lists["block_size"]
        codes.append(unpack(lists["codes"][at : at + length], size).reshape(-1))
        at += length
    return {"sizes": lists["sizes"], "ids": lists["ids"], "codes": np.concatenate(codes)}


class IndexIVFFlat(IndexIVF):
    """Whole vectors in lists."""

    fourcc = "IwFl"

    _flat: _steep.Codec

    def __init__(
        self,
        quantizer: Any = None,
        d: int = 1,
        nlist: int = 1,
        metric: int = METRIC_L2,
        own_invlists: bool = True,
    ) -> None:
        super().__init__(quantizer, d, nlist, 4 * d, metric, own_invlists)
        # Whole vectors need no more than centroids.
        trained = quantizer is not None and quantizer.is_trained and quantizer.ntotal == self.nlist
        self._begin(by_residual=False, is_trained=trained, _flat=_steep.Codec.flat(self.d))

    def _codec(self, params: Any = None) -> _steep.Codec:
        return self._flat

    # The core's lists know what products tell; by other metrics a flat index of what they hold is searched.

    def _at_once(self, coarse: Any) -> bool:
        return self.metric_type in (METRIC_INNER_PRODUCT, METRIC_L2) and super()._at_once(coarse)

    def _search_lists(
        self, x: Floats, k: int, keys: Labels, coarse: Floats, params: Any, places: bool = False
    ) -> tuple[Floats, Labels]:
        if self.metric_type in (METRIC_INNER_PRODUCT, METRIC_L2):
            return super()._search_lists(x, k, keys, coarse, params, places)
        labels, distances = np.empty((len(x), k), np.int64), np.empty((len(x), k), np.float32)
        inside = self._inside(keys, self._knobs(params)[1], params, places)
        for at, (names, vectors) in enumerate(inside):
            distances[at], found = vectors.search(x[at : at + 1], k)
            labels[at] = names[found]
        return distances, labels

    def _range_preassigned(
        self, x: Floats, radius: float, keys: Labels, coarse: Floats, params: Any
    ) -> tuple[Any, Floats, Labels]:
        if self.metric_type in (METRIC_INNER_PRODUCT, METRIC_L2):
            return super()._range_preassigned(x, radius, keys, coarse, params)
        sizes, distances, labels = [0], [np.empty(0, np.float32)], [np.empty(0, np.int64)]
        for at, (names, vectors) in enumerate(self._inside(keys, ALL_CODES, params)):
            _, far, found = vectors.range_search(x[at : at + 1], radius)
            sizes.append(len(found))
            distances.append(far)
            labels.append(names[found])
        return np.cumsum(sizes), np.concatenate(distances), np.concatenate(labels)

    def _inside(
        self, keys: Labels, max_codes: int, params: Any, places: bool = False
    ) -> Iterator[tuple[Labels, IndexFlat]]:
        """For each query the labels of what is in its lists, -1 behind them, and an index of the vectors."""
        core, selector = self.invlists._core, selected(params, self._numbers)
        self.invlists._count(keys, max_codes)
        for lists in keys.tolist():
            vectors = IndexFlat(self.d, self.metric_type, self.metric_arg)
            labels: list[Labels] = []
            left = max_codes
            for number in lists:
                if number < 0 or not left:
                    continue
                ids = core.ids(number)[:left]
                left -= len(ids)
                kept = np.arange(len(ids))
                if selector is not None:
                    kept = kept[[selector.has(id) for id in ids.tolist()]]
                vectors.add(self._flat.decode(np.ascontiguousarray(core.codes(number, 0, len(ids))[kept])))
                labels.append((number << 32 | kept) if places else ids[kept])
            yield np.concatenate([*labels, [-1]]).astype(np.int64), vectors

    def to_record(self) -> dict[str, Any]:
        """What a file holds of the index."""
        return self._ivf_header()

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "IndexIVFFlat":
        """The index that a file holds."""
        index = cls(_quantizer_of(record), record["d"], record["nlist"], record["metric_type"])
        index._ivf_restore(record)
        index._begin(by_residual=False)
        return index


class IndexIVFPQ(IndexIVF):
    """Product codes in lists, of residuals unless `by_residual` says otherwise."""

    ScannerMode_OnTheFly = 0
    ScannerMode_Precomputed = 1
    fourcc = "IwPQ"

    pq: ProductQuantizer
    do_polysemous_training: bool
    polysemous_training: Any
    polysemous_ht: int
    scan_table_threshold: int
    use_precomputed_table: int

    def __init__(
        self,
        quantizer: Any = None,
        d: int = 1,
        nlist: int = 1,
        M: int = 1,
        nbits_per_idx: int = 8,
        metric: int = METRIC_L2,
        own_invlists: bool = True,
    ) -> None:
        require(nbits_per_idx <= 8, "nbits_per_idx <= 8")
        pq = ProductQuantizer(d, M, nbits_per_idx)
        super().__init__(quantizer, d, nlist, pq.code_size, metric, own_invlists)
        self._begin(
            pq=pq,
            do_polysemous_training=False,
            polysemous_training=None,
            polysemous_ht=0,
            scan_table_threshold=0,
            use_precomputed_table=0,
        )

    def _codec(self, params: Any = None) -> _steep.Codec:
        return self.pq._codec()

    def train_encoder_num_vectors(self) -> int:
        """How many vectors the codes are learned from at most."""
        return int(self.pq.cp.max_points_per_centroid) * self.pq.ksub

    def _train_encoder(self, x: Floats, keys: Labels) -> None:
        self.pq.verbose = self.verbose
        self.pq.train(x)
        if getattr(self, "do_polysemous_training", False):
            (self.polysemous_training or PolysemousTraining()).optimize_pq_for_hamming(self.pq)

    def precompute_table(self) -> None:
        """Do nothing: the core makes what tables it needs when it needs them."""

    def encode(self, key: int, x: Any, code: Any) -> None:
        """Write the code of what a vector is off from a list's centroid."""
        value = pointed(x, self.d, np.float32, "x").reshape(1, self.d)
        pointed(code, self.code_size, np.uint8, "code")[:] = self._coded(value, np.array([key]))[0]

    def to_record(self) -> dict[str, Any]:
        """What a file holds of the index."""
        return self._ivf_header() | {"pq": self.pq.to_record()}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "IndexIVFPQ":
        """The index that a file holds."""
        pq = record["pq"]
        metric = record["metric_type"]
        index = cls(_quantizer_of(record), record["d"], record["nlist"], pq["M"], pq["nbits"], metric)
        index._begin(pq=ProductQuantizer.from_record(pq))
        index._ivf_restore(record)
        return index


class IndexIVFFastScan(FastScan, IndexIVF):
    """What fast-scan indexes with lists have in common."""

    _block, _lists = 32, BlockInvertedLists

    def _begin_fastscan(self, d: int, M: int, nbits: int, bbs: int) -> None:
        super()._begin_fastscan(d, M, nbits, bbs)
        self.invlists._begin(n_per_block=bbs, block_size=self.get_block_stride(), _pack=self._pack)

    def _remove(self, selector: Any) -> int:
        table = self.direct_map.type == DirectMap.Hashtable
        require(not table, "remove with hashtable is not supported with BlockInvertedLists")
        return super()._remove(selector)


class IndexIVFPQFastScan(IndexIVFFastScan):
    """Product codes of four bits in lists, looked up 32 at a time; distances are those of the codes."""

    fourcc = "IwPf"

    pq: ProductQuantizer
    use_precomputed_table: int
    qbs2: int

    def __init__(
        self,
        quantizer: Any = None,
        d: int = 1,
        nlist: int = 1,
        M: int = 1,
        nbits: int = 4,
        metric: int = METRIC_L2,
        bbs: int = 32,
        own_invlists: bool = True,
    ) -> None:
        orig = quantizer if isinstance(quantizer, IndexIVFPQ) else None
        if orig is not None:
            bbs = d if d > 1 else 32
            quantizer, d, nlist, metric = orig.quantizer, orig.d, orig.nlist, orig.metric_type
            M, nbits = orig.pq.M, orig.pq.nbits
        pq = orig.pq if orig is not None else ProductQuantizer(d, M, nbits)
        super().__init__(quantizer, d, nlist, pq.code_size, metric, own_invlists)
        self._begin_fastscan(d, M, nbits, bbs)
        self._begin(pq=pq, by_residual=False, use_precomputed_table=0, qbs2=0)
        if orig is not None:
            self._begin(by_residual=orig.by_residual, is_trained=orig.is_trained, nprobe=orig.nprobe)
            self._begin(_ntotal=orig.ntotal)
            self.invlists._fill(orig.invlists.to_record())

    def _codec(self, params: Any = None) -> _steep.Codec:
        return self.pq._fastscan()

    train_encoder_num_vectors: Any = IndexIVFPQ.train_encoder_num_vectors
    _train_encoder: Any = IndexIVFPQ._train_encoder

    def precompute_table(self) -> None:
        """Do nothing: the core makes what tables it needs when it needs them."""

    def to_record(self) -> dict[str, Any]:
        """What a file holds of the index."""
        blocks = [self._pack(self.invlists._codes(at)) for at in range(self.nlist)]
        return self._ivf_header() | {
            "bbs": self.bbs,
            "M2": self.M2,
            "implem": self.implem,
            "qbs2": self.qbs2,
            "pq": self.pq.to_record(),
            "invlists": _in_blocks(self, blocks, self.get_block_stride()),
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "IndexIVFPQFastScan":
        """The index that a file holds."""
        pq, lists = record["pq"], record["invlists"]
        index = cls(
            _quantizer_of(record),
            record["d"],
            record["nlist"],
            pq["M"],
            pq["nbits"],
            record["metric_type"],
            record["bbs"],
        )
        index._begin(pq=ProductQuantizer.from_record(pq), implem=record["implem"], qbs2=record["qbs2"])
        index._ivf_restore(record | {"invlists": _out_of_blocks(lists, index._unpack)})
        return index


class IndexIVFScalarQuantizer(IndexIVF):
    """Scalar codes in lists, of residuals unless `by_residual` says otherwise."""

    fourcc = "IwSq"

    sq: ScalarQuantizer

    def __init__(
        self,
        quantizer: Any = None,
        d: int = 1,
        nlist: int = 1,
        qtype: int = 0,
        metric: int = METRIC_L2,
        by_residual: bool = True,
        own_invlists: bool = True,
    ) -> None:
        sq = ScalarQuantizer(d, qtype)
        super().__init__(quantizer, d, nlist, sq.code_size, metric, own_invlists)
        self._begin(sq=sq, by_residual=bool(by_residual))

    def _codec(self, params: Any = None) -> _steep.Codec:
        return self.sq._codec()

    def train_encoder_num_vectors(self) -> int:
        """How many vectors the codes are learned from at most."""
        return 100_000

    def _train_encoder(self, x: Floats, keys: Labels) -> None:
        self.sq.train(x)

    def to_record(self) -> dict[str, Any]:
        """What a file holds of the index."""
        return self._ivf_header() | {"sq": self.sq.to_record()}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "IndexIVFScalarQuantizer":
        """The index that a file holds."""
        qtype, metric = record["sq"]["qtype"], record["metric_type"]
        index = cls(_quantizer_of(record), record["d"], record["nlist"], qtype, metric)
        index._begin(sq=ScalarQuantizer.from_record(record["sq"]))
        index._ivf_restore(record)
        return index


class IndexIVFRaBitQ(IndexIVF):
    """RaBitQ codes of residuals in lists."""

    fourcc = "Iwrq"

    rabitq: RaBitQuantizer
    qb: int

    def __init__(
        self,
        quantizer: Any = None,
        d: int = 1,
        nlist: int = 1,
        metric: int = METRIC_L2,
        own_invlists: bool = True,
        nb_bits: int = 1,
    ) -> None:
        rabitq = RaBitQuantizer(d, metric, nb_bits)
        super().__init__(quantizer, d, nlist, rabitq.code_size, metric, own_invlists)
        self._begin(rabitq=rabitq, qb=4)

    def _codec(self, params: Any = None) -> _steep.Codec:
        qb, centered = getattr(params, "qb", self.qb), getattr(params, "centered", False)
        return self.rabitq._codec(qb, centered, None)

    def train_encoder_num_vectors(self) -> int:
        """How many vectors the codes are learned from at most."""
        return 0

    def to_record(self) -> dict[str, Any]:
        """What a file holds of the index."""
        fourcc = "Iwrq" if self.rabitq.nb_bits == 1 else "Iwrr"
        return self._ivf_header() | {"fourcc": fourcc, "rabitq": self.rabitq.to_record(), "qb": self.qb}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "IndexIVFRaBitQ":
        """The index that a file holds."""
        rabitq = RaBitQuantizer.from_record(record["rabitq"])
        metric = record["metric_type"]
        index = cls(_quantizer_of(record), record["d"], record["nlist"], metric, True, rabitq.nb_bits)
        index._begin(rabitq=rabitq, qb=record["qb"])
        index._ivf_restore(record)
        return index


class IndexIVFRaBitQFastScan(IndexIVFFastScan, IndexIVFRaBitQ):
    """RaBitQ codes by the names of Faiss's fast scan; searched as `IndexIVFRaBitQ` is."""

    centered: bool
    qbs2: int
    _block = 1

    def __init__(
        self,
        quantizer: Any = None,
        d: int = 1,
        nlist: int = 1,
        metric: int = METRIC_L2,
        bbs: int = 32,
        own_invlists: bool = True,
        nb_bits: int = 1,
    ) -> None:
        orig = quantizer if isinstance(quantizer, IndexIVFRaBitQ) else None
        if orig is not None:
            bbs = d if d > 1 else 32
            quantizer, d, nlist, metric = orig.quantizer, orig.d, orig.nlist, orig.metric_type
            nb_bits = orig.rabitq.nb_bits
        super().__init__(quantizer, d, nlist, metric, own_invlists, nb_bits)
        self._begin_fastscan(d, -(-d // 4), 4, bbs)
        self._begin(qb=8, centered=False, qbs2=0)
        if orig is not None:
            self._begin(
                rabitq=orig.rabitq, is_trained=orig.is_trained, nprobe=orig.nprobe, _ntotal=orig.ntotal
            )
            self._begin(qb=orig.qb)
            self.invlists._fill(orig.invlists.to_record())

    _pack: Any = IndexRaBitQFastScan._pack
    _unpack: Any = IndexRaBitQFastScan._unpack
    get_block_stride: Any = IndexRaBitQFastScan.get_block_stride

    def to_record(self) -> dict[str, Any]:
        """What a file holds of the index."""
        blocks = [self._pack(self.invlists._codes(at)) for at in range(self.nlist)]
        return super().to_record() | {
            "fourcc": "Iwrn",
            "bbs": self.bbs,
            "qbs2": self.qbs2,
            "M2": self.M2,
            "implem": self.implem,
            "centered": bool(self.centered),
            "invlists": _in_blocks(self, blocks, self.get_block_stride()),
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "IndexIVFRaBitQFastScan":
        """The index that a file holds."""
        rabitq = RaBitQuantizer.from_record(record["rabitq"])
        d, nlist, metric, bbs = record["d"], record["nlist"], record["metric_type"], record["bbs"]
        index = cls(_quantizer_of(record), d, nlist, metric, bbs, True, rabitq.nb_bits)
        index._begin(rabitq=rabitq, qb=record["qb"], implem=record["implem"], qbs2=record["qbs2"])
        index._begin(centered=bool(record["centered"]))
        index._ivf_restore(record | {"invlists": _out_of_blocks(record["invlists"], index._unpack)})
        return index
