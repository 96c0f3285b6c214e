"""Lists whose coarse quantizer looks at other vectors than their codes are of: wider ones, for example."""

from typing import Any

import numpy as np

from steep.faiss._base import Floats, Index, Labels, require
from steep.faiss._ivf import IndexIVF
from steep.faiss._ivf_kinds import IndexIVFFlat


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
        # The lists' own quantizer is of their codes' space: it gets the means of what is in each list.
        lists = IndexIVFFlat(self.quantizer, self.d, ivf.nlist, self.metric_type)
        lists._begin(cp=ivf.cp)
        lists.train_q1(len(x), x, self.verbose, self.metric_type)
        if self.vt is not None and not self.vt.is_trained:
            self.vt.train(x)
        turned, keys = self._turned(x), self.quantizer.assign(x, 1)[:, 0]
        sums = np.zeros((ivf.nlist, ivf.d))
        np.add.at(sums, keys, turned)
        counts = np.bincount(keys, minlength=ivf.nlist)
        ivf.quantizer.reset()
        ivf.quantizer.add((sums / np.maximum(counts, 1)[:, None]).astype(np.float32))
        ivf.quantizer.is_trained = True
        ivf.train(turned)
        self.is_trained = True

    def _takes_ids(self) -> bool:
        return True

    def _add(self, x: Floats, ids: Labels | None) -> None:
        self.index_ivf._add_to(self._turned(x), ids, self.quantizer.assign(x, 1)[:, 0])

    def _search(self, x: Floats, k: int, params: Any) -> tuple[Floats, Labels]:
        require(params is None, "search params not supported for this index")
        require(self.is_trained, "is_trained")
        nprobe = min(self.index_ivf.nprobe, self.index_ivf.nlist)
        coarse, keys = self.quantizer.search(x, nprobe)
        return self.index_ivf._search_lists(self._turned(x), k, keys, coarse, None)

    def reset(self) -> None:
        """Forget all vectors."""
        self.index_ivf.reset()
