"""Bits of turned vectors in lists: in which half of waves their coordinates lie, and how many differ."""

# D, I and M are what Faiss calls distances, labels and parts.
# pyright: reportConstantRedefinition=false

from typing import Any, ClassVar

import numpy as np

from steep import _steep
from steep.faiss._arrays import Float32Vector
from steep.faiss._base import METRIC_L2, Codes, Floats, Labels, require
from steep.faiss._ivf import IndexIVF
from steep.faiss._transforms import RandomRotationMatrix


class IndexIVFSpectralHash(IndexIVF):
    """Codes of `nbit` bits, which stand for no vectors.

    Attributes
    ----------
    vt : VectorTransform
        Turns vectors, and keeps `nbit` coordinates.
    period : float
        Of the waves: bits are 0 for one half of it and 1 for the other.
    threshold_type : int
        Where waves begin: at 0, at the list's centroid, a quarter of the period before it, or at the median
        of the list's vectors.
    trained : Float32Vector
        Where they begin in each list, unless at 0.
    """

    Thresh_global: ClassVar[int] = 0
    Thresh_centroid: ClassVar[int] = 1
    Thresh_centroid_half: ClassVar[int] = 2
    Thresh_median: ClassVar[int] = 3
    fourcc = "IwSh"

    vt: Any
    nbit: int
    period: float
    threshold_type: int
    trained: Float32Vector

    def __init__(
        self,
        quantizer: Any = None,
        d: int = 1,
        nlist: int = 1,
        nbit: int = 8,
        period: float = 1.0,
        own_invlists: bool = True,
    ) -> None:
        super().__init__(quantizer, d, nlist, (nbit + 7) // 8, METRIC_L2, own_invlists)
        vt = RandomRotationMatrix(self.d, nbit)
        vt.init(1234)
        self._begin(vt=vt, nbit=nbit, period=float(period), threshold_type=self.Thresh_global)
        self._begin(trained=Float32Vector(), own_fields=True, by_residual=False)

    def replace_vt(self, vt: Any, own: bool = False) -> None:
        """Turn vectors by another transform: that, or the only one before an index."""
        chain = getattr(vt, "chain", None)
        if chain is not None:
            require(chain.size() == 1, "encoder->chain.size() == 1")
            vt = chain.at(0)
        require(vt.d_out == self.nbit and vt.d_in == self.d, "vt_in->d_out == nbit && vt_in->d_in == d")
        self._begin(vt=vt, own_fields=own, is_trained=bool(vt.is_trained))

    def _codec(self, params: Any = None) -> _steep.Codec:
        return _steep.Codec.binary(8 * self.code_size)

    def _train(self, x: Floats) -> None:
        super()._train(x)
        if not self.vt.is_trained:
            self.vt.train(x)
        if self.threshold_type == self.Thresh_global:
            return
        begins: Floats
        if self.threshold_type == self.Thresh_median:
            turned, keys = self.vt.apply(x), self._coarse(x, 1)[1][:, 0]
            begins = np.zeros((self.nlist, self.nbit), np.float32)
            for number in np.unique(keys[keys >= 0]).tolist():
                begins[number] = np.median(turned[keys == number], axis=0)
        else:
            begins = self.vt.apply(self._center_rows())
            if self.threshold_type == self.Thresh_centroid_half:
                begins -= np.float32(0.25 * self.period)
        self.trained._put(begins.reshape(-1))

    def _bits(self, turned: Floats, lists: Labels) -> Floats:
        """The bits of turned vectors in lists as the core's codec takes them: above 0, or not."""
        if self.threshold_type != self.Thresh_global:
            turned = turned - self.trained.array.reshape(-1, self.nbit)[np.maximum(lists, 0)]
        waves = np.floor(turned * np.float32(2 / self.period)).astype(np.int64)
        bits = np.zeros((len(turned), 8 * self.code_size), np.float32)
        bits[:, : self.nbit] = waves & 1
        return bits

    def _add_to(self, x: Floats, ids: Labels | None, keys: Labels) -> None:
        super()._add_to(self._bits(self.vt.apply(x), keys), ids, keys)

    def _coded(self, x: Floats, keys: Labels) -> Codes:
        return self._codec().encode(self._bits(self.vt.apply(x), keys))

    def _at_once(self, coarse: Any) -> bool:
        return False

    def _search_lists(
        self, x: Floats, k: int, keys: Labels, coarse: Floats, params: Any, places: bool = False
    ) -> tuple[Floats, Labels]:
        turned = self.vt.apply(x)
        if self.threshold_type == self.Thresh_global:
            return super()._search_lists(self._bits(turned, keys), k, keys, coarse, params, places)
        # A query's bits are others in each list.
        distances, labels = np.full((len(x), k), np.inf, np.float32), np.full((len(x), k), -1, np.int64)
        for at in range(keys.shape[1]):
            one = np.ascontiguousarray(keys[:, at : at + 1])
            bits = self._bits(turned, one[:, 0])
            D, I = super()._search_lists(bits, k, one, coarse[:, at : at + 1], params, places)
            D, I = np.concatenate([distances, D], 1), np.concatenate([labels, I], 1)
            nearest = np.argsort(D, axis=1, kind="stable")[:, :k]
            distances, labels = np.take_along_axis(D, nearest, 1), np.take_along_axis(I, nearest, 1)
        return distances, labels

    def _range_preassigned(
        self, x: Floats, radius: float, keys: Labels, coarse: Floats, params: Any
    ) -> tuple[Any, Floats, Labels]:
        turned = self.vt.apply(x)
        if self.threshold_type == self.Thresh_global:
            bits = self._bits(turned, keys)
            return super()._range_preassigned(bits, radius, keys, coarse, params)
        # Each list is asked apart, and what was found put together by query.
        queries = np.repeat(np.arange(len(x)), keys.shape[1])
        apart, far = np.ascontiguousarray(keys.reshape(-1, 1)), coarse.reshape(-1, 1)
        bits = self._bits(turned[queries], apart[:, 0])
        lims, distances, labels = super()._range_preassigned(bits, radius, apart, far, params)
        return lims[:: keys.shape[1]], distances, labels

    def _at(self, places: Labels) -> Floats:
        raise RuntimeError("reconstruct_from_offset not implemented")

    def _reconstruct_n(self, n0: int, ni: int) -> Floats:
        raise RuntimeError("reconstruct_from_offset not implemented")

    def _decode(self, codes: Codes) -> Floats:
        raise RuntimeError("standalone codec not implemented for this type of index")

    def to_record(self) -> dict[str, Any]:
        """What a file holds of the index."""
        return self._ivf_header() | {
            "vt": self.vt.to_record(),
            "nbit": self.nbit,
            "period": float(self.period),
            "threshold_type": self.threshold_type,
            "trained": self.trained.array,
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "IndexIVFSpectralHash":
        """The index that a file holds."""
        from steep.faiss._io import from_record
        from steep.faiss._transforms import transform_from_record

        quantizer, nbit = from_record(record["quantizer"]), record["nbit"]
        index = cls(quantizer, record["d"], record["nlist"], nbit, record["period"])
        index._begin(vt=transform_from_record(record["vt"]), threshold_type=record["threshold_type"])
        index.trained._put(record["trained"])
        index._ivf_restore(record)
        return index
