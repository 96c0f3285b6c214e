"""Codes of two layers: the number of a list, and a product code of what a vector is off from its centroid."""

from typing import Any

from steep.faiss._base import METRIC_L2, Codes, Floats, Index, Labels, require
from steep.faiss._codes import IndexFlatCodes
from steep.faiss._flat import IndexFlat
from steep.faiss._ivf_kinds import IndexIVFPQ
from steep.faiss._quantizers import ProductQuantizer


class Index2Layer(IndexFlatCodes):
    """The codes of an `IndexIVFPQ`, list numbers first, one after the other: a codec more than an index.

    Attributes
    ----------
    q1 : IndexIVFPQ
        Makes the codes: its lists stay empty.
    code_size_1, code_size_2 : int
        Bytes of the list's number, and of the product code.
    """

    fourcc = "Ix2L"

    q1: IndexIVFPQ
    code_size_1: int
    code_size_2: int

    def __init__(self, quantizer: Index, nlist: int, M: int, nbit: int = 8, metric: int = METRIC_L2) -> None:
        self._begin(q1=IndexIVFPQ(quantizer, quantizer.d, nlist, M, nbit, metric))
        super().__init__(quantizer.d, metric)
        self._begin(code_size_1=self.q1.coarse_code_size(), code_size_2=self.q1.code_size, is_trained=False)
        self._begin_codes(self.q1.sa_code_size())

    @property
    def pq(self) -> ProductQuantizer:
        """The codes of the second layer."""
        return self.q1.pq

    @pq.setter
    def pq(self, pq: ProductQuantizer) -> None:
        self.q1.pq = pq

    def _train(self, x: Floats) -> None:
        self.q1.verbose = self.verbose
        self.q1.train(x)
        self.is_trained = True

    def _add(self, x: Floats, ids: Labels | None) -> None:
        self._append(self._encode(x))

    def _encode(self, x: Floats) -> Codes:
        require(self.is_trained, "is_trained")
        # Also where a product quantizer that is trained was put in.
        self.q1.is_trained = True
        return self.q1._encode(x)

    def _decode(self, codes: Codes) -> Floats:
        return self.q1._decode(codes)

    def _search(self, x: Floats, k: int, params: Any) -> tuple[Floats, Labels]:
        raise RuntimeError(f"search is not implemented for {type(self).__name__}: transfer_to_IVFPQ has one")

    def _range_search(self, x: Floats, radius: float, params: Any) -> tuple[Any, Floats, Labels]:
        decoded = IndexFlat(self.d, self.metric_type)
        decoded.add(self.reconstruct_n())
        return decoded._range_search(x, radius, params)

    def transfer_to_IVFPQ(self, other: IndexIVFPQ) -> None:
        """Append the codes to an empty `IndexIVFPQ` of as many lists and of the same parts."""
        require(other.nlist == self.q1.nlist, "other.nlist == q1.nlist")
        require(other.code_size == self.code_size_2, "other.code_size == code_size_2")
        require(other.ntotal == 0, "other.ntotal == 0")
        other._add_codes(self._all(), None)

    def to_record(self) -> dict[str, Any]:
        """What a file holds of the index."""
        return self._header() | {
            "quantizer": self.q1.quantizer.to_record(),
            "nlist": self.q1.nlist,
            "quantizer_trains_alone": self.q1.quantizer_trains_alone,
            "pq": self.pq.to_record(),
            "code_size_1": self.code_size_1,
            "code_size_2": self.code_size_2,
            "code_size": self.code_size,
            "codes": self._all().reshape(-1),
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "Index2Layer":
        """The index that a file holds."""
        from steep.faiss._io import from_record

        pq = record["pq"]
        index = cls(
            from_record(record["quantizer"]), record["nlist"], pq["M"], pq["nbits"], record["metric_type"]
        )
        index.pq = ProductQuantizer.from_record(pq)
        index.q1.quantizer_trains_alone = int(record["quantizer_trains_alone"])
        return index._restored(record)
