"""Lists whose coarse quantizer looks at other vectors than their codes are of: wider ones, for example."""

from typing import Any

import numpy as np

from steep.faiss._base import METRIC_L2, Floats, Index, Labels, require
from steep.faiss._distances import fvec_inner_products_by_idx, fvec_L2sqr_by_idx
from steep.faiss._ivf import IndexIVF
from steep.faiss._ivf_kinds import IndexIVFPQ
from steep.faiss._level1 import Level1Quantizer

#: Queries whose distances to centroids are told at a time.
_PIECE = 256


class IndexIVFIndependentQuantizer(Index):
    """An `IndexIVF` of what a transform makes of vectors; which list they are in is asked of the vectors.

    Attributes
    ----------
    quantizer : Index
        Which lists are near a vector as it is given.
    vt : VectorTransform | None
        What codes are of.
    index_ivf : IndexIVF
        The lists.
    """

    fourcc = "IwIQ"

    quantizer: Any
    vt: Any
    index_ivf: IndexIVF
    own_fields: bool

    def __init__(self, quantizer: Index, index_ivf: IndexIVF, vt: Any = None) -> None:
        super().__init__(quantizer.d, index_ivf.metric_type)
        if vt is not None:
            require(
                vt.d_in == self.d and vt.d_out == index_ivf.d, "vt->d_in == d && vt->d_out == index_ivf->d"
            )
        else:
            require(index_ivf.d == self.d, "index_ivf->d == d")
        trained = quantizer.is_trained and quantizer.ntotal == index_ivf.nlist and index_ivf.is_trained
        self._begin(quantizer=quantizer, index_ivf=index_ivf, vt=vt, own_fields=False)
        self._begin(is_trained=bool(trained and (vt is None or vt.is_trained)))

    @property
    def ntotal(self) -> int:  # type: ignore[override]
        """Number of vectors."""
        return self.index_ivf.ntotal

    def _turned(self, x: Floats) -> Floats:
        turned: Floats = x if self.vt is None else self.vt.apply(x)
        return turned

    def _train(self, x: Floats) -> None:
        ivf = self.index_ivf
        lists = Level1Quantizer(self.quantizer, ivf.nlist)
        lists.cp = ivf.cp
        lists.train_q1(len(x), x, self.verbose, self.metric_type)
        if self.vt is not None and not self.vt.is_trained:
            self.vt.train(x)
        # The lists' own quantizer is of their codes' space.
        ivf.quantizer.reset()
        ivf.quantizer.add(self._turned(lists._center_rows()))
        ivf.quantizer.is_trained = True
        if isinstance(ivf, IndexIVFPQ):
            # Tables are for the distances of the lists' own quantizer.
            ivf.use_precomputed_table = -1
        ivf.train(self._turned(x))
        self.is_trained = True

    def _takes_ids(self) -> bool:
        return True

    def _add(self, x: Floats, ids: Labels | None) -> None:
        self.index_ivf._add_to(self._turned(x), ids, self.quantizer.assign(x, 1)[:, 0])

    def _search(self, x: Floats, k: int, params: Any) -> tuple[Floats, Labels]:
        require(params is None, "search params not supported for this index")
        require(self.is_trained, "is_trained")
        ivf, turned = self.index_ivf, self._turned(x)
        coarse, keys = self.quantizer.search(x, min(ivf.nprobe, ivf.nlist))
        if ivf.by_residual and not (isinstance(ivf, IndexIVFPQ) and ivf.use_precomputed_table > 0):
            coarse = self._own_coarse(turned, keys)
        return ivf._search_lists(turned, k, keys, coarse, None)

    def _own_coarse(self, turned: Floats, keys: Labels) -> Floats:
        """How near lists are among the vectors that codes are of: the quantizer tells it of others."""
        ivf, coarse = self.index_ivf, np.empty(keys.shape, np.float32)
        far = fvec_L2sqr_by_idx if self.metric_type == METRIC_L2 else fvec_inner_products_by_idx
        centers = ivf._center_rows()
        for some in np.split(np.arange(len(turned)), range(_PIECE, len(turned), _PIECE)):
            part = np.empty((len(some), keys.shape[1]), np.float32)
            far(part, turned[some], centers, keys[some], ivf.d, *part.shape)
            coarse[some] = part
        return coarse

    def reset(self) -> None:
        """Forget all vectors."""
        self.index_ivf.reset()

    def to_record(self) -> dict[str, Any]:
        """What a file holds of the index."""
        record = self._header() | {
            "quantizer": self.quantizer.to_record(),
            "vt": None if self.vt is None else self.vt.to_record(),
            "index_ivf": self.index_ivf.to_record(),
        }
        if isinstance(self.index_ivf, IndexIVFPQ):
            record["use_precomputed_table"] = self.index_ivf.use_precomputed_table
        return record

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "IndexIVFIndependentQuantizer":
        """The index that a file holds."""
        from steep.faiss._io import from_record

        quantizer, vt, ivf = (from_record(record[name]) for name in ("quantizer", "vt", "index_ivf"))
        if isinstance(ivf, IndexIVFPQ):
            ivf.use_precomputed_table = record["use_precomputed_table"]
        index = cls(quantizer, ivf, vt)
        index._begin(is_trained=bool(record["is_trained"]), own_fields=True)
        return index
