"""Signs of vectors' coordinates, a bit each: what is near differs in few of them."""

from typing import Any

import numpy as np

from steep import _steep
from steep.faiss._arrays import Float32Vector, Pointer, swig_ptr
from steep.faiss._base import Codes, Floats, Index, Labels, core_selector, require
from steep.faiss._bitrows import signs
from steep.faiss._codes import IndexFlatCodes
from steep.faiss._flat import IndexFlat
from steep.faiss._pointers import rows
from steep.faiss._simd import threads
from steep.faiss._transforms import LinearTransform, RandomRotationMatrix, transform_from_record

#: Vectors that are turned together, for the sake of memory.
ROWS = 1 << 16


class IndexLSH(IndexFlatCodes):
    """Codes of `nbits` bits: is a coordinate 0 or more? Searched by Hamming distances.

    Ranges, single distances and reconstruction are those of Faiss too: of the vectors that codes stand for,
    whose coordinates are -1 and 1 beside the thresholds.

    Attributes
    ----------
    nbits : int
        Bits of a code.
    rotate_data : bool
        Whether vectors are turned by `rrot` first; otherwise the first `nbits` coordinates are taken.
    train_thresholds : bool
        Whether coordinates are compared with `thresholds`, their medians, in place of 0.
    """

    fourcc = "IxHe"

    nbits: int
    rotate_data: bool
    train_thresholds: bool
    rrot: Any
    thresholds: Float32Vector
    _store: Any  # _steep.Flat: faster for bits than lists are

    def __init__(
        self,
        d: int | None = None,
        nbits: int = 0,
        rotate_data: bool = True,
        train_thresholds: bool = False,
    ) -> None:
        if d is None:
            d, nbits, rotate_data = 1, 1, False
        super().__init__(d)
        require(nbits > 0, "nbits > 0")
        require(rotate_data or self.d >= nbits, "d_in >= nbits_in")
        rrot = RandomRotationMatrix(self.d, nbits)
        if rotate_data:
            rrot.init(5)
        self._begin(nbits=int(nbits), rotate_data=bool(rotate_data), rrot=rrot)
        self._begin(train_thresholds=bool(train_thresholds), thresholds=Float32Vector())
        self._begin(is_trained=not train_thresholds)
        self._begin_codes(-(-self.nbits // 8))

    # Codes lie in the core's store of bits.

    def _between(self, first: int, end: int) -> Codes:
        codes: Codes = self._store.vectors(first, end)
        return codes

    def _append(self, codes: Codes) -> None:
        self._store.add(codes)

    def _remove(self, selector: Any) -> int:
        removed: int = self._store.remove(core_selector(selector, self._numbers))
        return removed

    def _take(self, other: Any) -> None:
        self._append(other._all())
        other.reset()

    def reset(self) -> None:
        """Forget all codes."""
        self._begin(_store=_steep.Flat(8 * self.code_size, "hamming"))

    # From vectors to bits and back.

    def _turned(self, x: Floats) -> Floats:
        turned: Floats = self.rrot._apply(x) if self.rotate_data else x[:, : self.nbits]
        return turned

    def _compared(self, x: Floats) -> Floats:
        """Coordinates whose signs are the bits."""
        turned = self._turned(x)
        return turned - self.thresholds.array if self.train_thresholds else turned

    def apply_preprocess(self, n: int, x: Any) -> Pointer:
        """Coordinates whose signs are the bits, of n vectors: nbits of each."""
        return swig_ptr(np.ascontiguousarray(self._compared(rows(x, n, self.d))))

    def _train(self, x: Floats) -> None:
        if self.train_thresholds:
            require(len(x), "n > 0")
            self.thresholds._put(np.median(self._turned(x), axis=0).astype(np.float32))
        self.is_trained = True

    def transfer_thresholds(self, vt: LinearTransform) -> None:
        """Let a transform in front of the index take the thresholds off."""
        if not self.train_thresholds:
            return
        require(self.nbits == vt.d_out, "nbits == vt->d_out")
        offset = vt.b.array if vt.have_bias else np.zeros(self.nbits, np.float32)
        vt.b._put(offset - self.thresholds.array)
        vt.have_bias, self.train_thresholds = True, False
        self.thresholds.clear()

    def _encode(self, x: Floats) -> Codes:
        require(self.is_trained, "is_trained")
        starts = range(0, max(len(x), 1), ROWS)
        above = (self._compared(x[at : at + ROWS]) >= 0 for at in starts)
        return np.concatenate([np.packbits(some, axis=1, bitorder="little") for some in above])

    def _decode(self, codes: Codes) -> Floats:
        x = signs(codes)[:, : self.nbits]
        if self.train_thresholds:
            x = x + self.thresholds.array
        if self.rotate_data:
            turned: Floats = self.rrot._reverse(np.ascontiguousarray(x))
            return turned
        # Coordinates of which nothing is known: Faiss leaves what was in memory.
        wide = np.zeros((len(x), self.d), np.float32)
        wide[:, : self.nbits] = x
        return wide

    def _add(self, x: Floats, ids: Labels | None) -> None:
        self._append(self._encode(x))

    def _search(self, x: Floats, k: int, params: Any) -> tuple[Floats, Labels]:
        require(params is None, "search params not supported for this index")
        labels, distances = self._store.search(self._encode(x), k, None, threads())
        return distances, labels

    def _range_search(self, x: Floats, radius: float, params: Any) -> tuple[Any, Floats, Labels]:
        decoded = IndexFlat(self.d, self.metric_type)
        decoded.add(self._decode(self._all()))
        return decoded._range_search(x, radius, params)

    _distances = Index._distances

    def to_record(self) -> dict[str, Any]:
        """What a file holds of the index."""
        return self._header() | {
            "nbits": self.nbits,
            "rotate_data": self.rotate_data,
            "train_thresholds": self.train_thresholds,
            "thresholds": self.thresholds.array,
            "code_size": self.code_size,
            "rrot": self.rrot.to_record(),
            "codes": self._all().reshape(-1),
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "IndexLSH":
        """The index that a file holds."""
        index: IndexLSH = cls._of_record(record)
        index._begin(nbits=record["nbits"], rrot=transform_from_record(record["rrot"]))
        for name in ("rotate_data", "train_thresholds"):
            index._begin(**{name: bool(record[name])})
        index._begin(thresholds=Float32Vector.of(record["thresholds"]))
        index._begin_codes(record["code_size"])
        return index._restored(record)
