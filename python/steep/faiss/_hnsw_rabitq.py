"""IndexHNSWRaBitQ: a hierarchical graph over RaBitQ codes."""

from typing import Any

from steep.faiss._base import METRIC_L2, require
from steep.faiss._codes import IndexRaBitQ
from steep.faiss._graphs import IndexHNSW
from steep.faiss._hnsw import HNSW, refused


class IndexHNSWRaBitQ(IndexHNSW):
    """A hierarchical graph over RaBitQ codes, under L2.

    Where codes have several bits, Faiss's walks read them only if the signs do not rule a vector out
    (SM_RABITQ). Here every distance is that of all bits.
    """

    fourcc = "IHNr"

    own_fields: bool
    is_trained: bool

    def __init__(self, d: int | None = None, M: int = 32, nb_bits: int = 1, metric: int = METRIC_L2) -> None:
        if d is None:
            super().__init__()
            return
        require(metric == METRIC_L2, "metric == METRIC_L2': IndexHNSWRaBitQ supports only the L2 metric")
        super().__init__(IndexRaBitQ(d, metric, nb_bits), M)
        self.own_fields, self.is_trained = True, False
        self._stage(nb_bits > 1)

    def _stage(self, staged: bool) -> None:
        self.hnsw.search_method = HNSW.SM_RABITQ if staged else HNSW.SM_DEFAULT

    def _asked(self, params: Any) -> tuple[int, bool, bool]:
        ef, check, bounded = super()._asked(params)
        staged = self.hnsw.search_method == HNSW.SM_RABITQ
        require(bounded or not staged, "staged RaBitQ search requires bounded_queue=true")
        return ef, check, bounded

    def to_record(self) -> dict[str, Any]:
        """What a file holds of the index."""
        storage = self.storage
        if storage is None:
            staged = self.hnsw.search_method == HNSW.SM_RABITQ
        elif isinstance(storage, IndexRaBitQ):
            staged = storage.rabitq.nb_bits > 1
        else:
            raise refused("IndexHNSWRaBitQ requires IndexRaBitQ storage")
        return super().to_record() | {"staged": staged}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Any:
        """The index that a file holds."""
        index = super().from_record(record)
        index._stage(bool(record["staged"]))
        return index
