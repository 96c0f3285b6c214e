"""Product codes in lists, and beside each another one, of what it is off."""

# D, I and M are what Faiss calls distances, labels and parts.
# pyright: reportConstantRedefinition=false

from typing import Any

import numpy as np

from steep.faiss._arrays import UInt8Vector
from steep.faiss._base import METRIC_L2, Codes, Floats, Index, Labels, require
from steep.faiss._ivf_kinds import IndexIVFPQ, _quantizer_of
from steep.faiss._quantizers import ProductQuantizer

#: Queries whose candidates are decoded at a time.
_PIECE = 256


class IndexIVFPQR(IndexIVFPQ):
    """An `IndexIVFPQ` that ranks `k_factor` times as many candidates by what their codes are off, coded too.

    Attributes
    ----------
    refine_pq : ProductQuantizer
        The codes of what the first ones are off.
    k_factor : float
        How many candidates there are for each of the k results.
    """

    fourcc = "IwQR"

    refine_pq: ProductQuantizer
    k_factor: float
    _fine: Codes

    def __init__(
        self,
        quantizer: Any = None,
        d: int = 1,
        nlist: int = 1,
        M: int = 1,
        nbits_per_idx: int = 8,
        M_refine: int = 1,
        nbits_per_idx_refine: int = 8,
        own_invlists: bool = True,
    ) -> None:
        super().__init__(quantizer, d, nlist, M, nbits_per_idx, METRIC_L2, own_invlists)
        refine_pq = ProductQuantizer(d, M_refine, nbits_per_idx_refine)
        refine_pq.cp.max_points_per_centroid = 1000
        self._begin(refine_pq=refine_pq, k_factor=4.0)
        self._put_fine(np.empty(0, np.uint8))

    @property
    def refine_codes(self) -> UInt8Vector:
        """The bytes of what the codes are off, by the vectors' numbers."""
        return UInt8Vector.over(lambda: self._fine.reshape(-1), self._put_fine)

    def _put_fine(self, codes: Codes) -> None:
        self._begin(_fine=np.array(codes, np.uint8).reshape(-1, self.refine_pq.code_size))

    def train_encoder_num_vectors(self) -> int:
        """How many vectors the codes are learned from at most."""
        fine = int(self.refine_pq.cp.max_points_per_centroid) * self.refine_pq.ksub
        return max(super().train_encoder_num_vectors(), fine)

    def _train_encoder(self, x: Floats, keys: Labels) -> None:
        super()._train_encoder(x, keys)
        codec = self._codec()
        self.refine_pq.verbose = self.verbose
        self.refine_pq.train(x - codec.decode(codec.encode(x)))

    def _add_to(self, x: Floats, ids: Labels | None, keys: Labels) -> None:
        first = len(self._fine)
        in_turn = ids is None or np.array_equal(ids, np.arange(first, first + len(x)))
        require(in_turn, "ids are the vectors' numbers: codes of what they are off are found by them")
        super()._add_to(x, ids, keys)
        coarse = self._codec().decode(self._coded(x, keys)) + self._some_centers(np.maximum(keys, 0))
        off: Floats = np.subtract(x, coarse)
        self._begin(_fine=np.concatenate([self._fine, self.refine_pq._codec().encode(off)]))

    def _at(self, places: Labels) -> Floats:
        return super()._at(places) + self.refine_pq._codec().decode(self._fine[self._ids_at(places)])

    def _at_once(self, coarse: Any) -> bool:
        return False

    def _search_lists(
        self, x: Floats, k: int, keys: Labels, coarse: Floats, params: Any, places: bool = False
    ) -> tuple[Floats, Labels]:
        wide = max(k, int(k * self.k_factor))
        at = super()._search_lists(x, wide, keys, coarse, params, True)[1]
        far = np.full(at.shape, np.inf, np.float32)
        for first in range(0, len(x), _PIECE):
            query, rank = np.nonzero(at[first : first + _PIECE] >= 0)
            query += first
            off = self._at(at[query, rank]) - x[query]
            far[query, rank] = np.einsum("ij,ij->i", off, off)
        order = np.argsort(far, 1, kind="stable")[:, :k]
        found = np.take_along_axis(at, order, 1)
        if not places:
            found[found >= 0] = self._ids_at(found[found >= 0])
        return np.take_along_axis(far, order, 1), found

    def _remove(self, selector: Any) -> int:
        raise RuntimeError(f"remove_ids is not implemented for {type(self).__name__}")

    def reset(self) -> None:
        """Forget all vectors."""
        super().reset()
        self._put_fine(np.empty(0, np.uint8))

    def merge_from(self, other: Index, add_id: int = 0) -> None:
        """Take the codes of another index over, which is left empty; `add_id` is how many are here."""
        require(isinstance(other, IndexIVFPQR) and add_id == self.ntotal, "add_id == ntotal")
        assert isinstance(other, IndexIVFPQR)
        super().merge_from(other, add_id)
        self._begin(_fine=np.concatenate([self._fine, other._fine]))
        other._put_fine(np.empty(0, np.uint8))

    def to_record(self) -> dict[str, Any]:
        """What a file holds of the index."""
        return super().to_record() | {
            "refine_pq": self.refine_pq.to_record(),
            "refine_codes": self._fine.reshape(-1),
            "k_factor": float(self.k_factor),
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "IndexIVFPQR":
        """The index that a file holds."""
        pq, fine = (
            ProductQuantizer.from_record(record["pq"]),
            ProductQuantizer.from_record(record["refine_pq"]),
        )
        shape = pq.M, pq.nbits, fine.M, fine.nbits
        index = cls(_quantizer_of(record), record["d"], record["nlist"], *shape)
        index._begin(pq=pq, refine_pq=fine, k_factor=float(record["k_factor"]))
        index._ivf_restore(record)
        index._put_fine(record["refine_codes"])
        return index
