"""What is remarkable about a matrix of vectors, before it is indexed?"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from steep.faiss._arrays import Owned
from steep.faiss._tables import checksum

Floats = npt.NDArray[np.float32]


class MatrixStats(Owned):
    """Counts of what may harm a search; `comments` says them in Faiss's words.

    Attributes
    ----------
    n, d : int
        Rows and columns.
    n_valid : int
        Rows without NaN and infinities.
    n0 : int
        Rows of zeros.
    min_norm2, max_norm2 : float
        The least and the largest length of the valid rows that are not zero.
    hash_value : int
        The same for the same matrix.
    """

    n: int
    d: int
    n_valid: int
    n0: int
    min_norm2: float
    max_norm2: float
    hash_value: int
    comments: str

    def __init__(self, m: Any) -> None:
        assert len(m.shape) == 2, f"the matrix has shape {m.shape}: expected two dimensions"
        m = np.ascontiguousarray(m, np.float32)
        self.n, self.d = m.shape
        valid = m[np.isfinite(m).all(axis=1)]
        norms = np.sqrt(np.einsum("ij,ij->i", valid, valid, dtype=np.float64))
        self.n_valid, self.n0 = len(valid), int((norms == 0).sum())
        self.min_norm2 = float(norms.min(initial=np.inf, where=norms > 0))
        self.max_norm2 = float(norms.max(initial=0.0))
        self.hash_value = int(checksum(m.reshape(-1).view(np.uint8))) if m.size else 0
        said = [*self._of_rows(m), *self._of_columns(m)] if m.size else list(self._of_rows(m))
        self.comments = "\n".join(said) + "\n"

    def _of_rows(self, m: Floats) -> Iterator[str]:
        yield f"analyzing {self.n} vectors of size {self.d}"
        if self.d > 1024:
            yield (
                "indexing this many dimensions is hard, "
                "please consider dimensionality reduction (with PCAMatrix)"
            )
        yield f"hash value 0x{self.hash_value:016x}"
        if self.n_valid == self.n:
            yield "no NaN or Infs in data"
        else:
            yield (
                f"{self.n - self.n_valid} vectors contain NaN or Inf (or have too large components), "
                "expect bad results with indexing!"
            )
        _, first, counts = np.unique(m, axis=0, return_index=True, return_counts=True)
        if len(counts) == self.n:
            yield "all vectors are distinct"
        else:
            most = int(np.argmax(counts))
            yield f"{len(counts)} vectors are distinct ({len(counts) / self.n:.2%})"
            yield f"vector {first[most]} has {counts[most]} copies"
        low, high = self.min_norm2, self.max_norm2
        yield f"range of L2 norms=[{low:g}, {high:g}] ({self.n0} null vectors)"
        if high < low * 1.0001:
            yield "vectors are normalized, inner product and L2 search are equivalent"
        if high > low * 100:
            yield "vectors have very large differences in norms, is this normal?"

    def _of_columns(self, m: Floats) -> Iterator[str]:
        finite = np.isfinite(m)
        low, high = m.min(0, initial=np.inf, where=finite), m.max(0, initial=-np.inf, where=finite)
        counts, wide = finite.sum(0), np.where(finite, m, 0).astype(np.float64)
        some = counts > 0
        mean, mean2 = (sums.sum(0)[some] / counts[some] for sums in (wide, wide**2))
        deviation = np.sqrt(np.maximum(mean2 - mean**2, 0))
        least, most = deviation.min(initial=np.inf), deviation.max(initial=0)
        zeros = int((m == 0).sum())
        yield f"matrix contains {zeros / m.size * 100:.2f} % 0 entries" if zeros else "matrix contains no 0s"
        constant = low == high
        if constant.any():
            yield f"{constant.sum()} dimensions are constant: they can be removed"
        else:
            yield "no constant dimensions"
        # Of what is small beside the mean, squared distances tell little.
        far = ~constant & (high < 1.001 * low)
        if far.any():
            yield (
                f"{far.sum()} dimensions are too large wrt. their variance, "
                "may lose precision in IndexFlatL2 (use CenteringTransform)"
            )
        else:
            yield "no dimension has a too large mean"
        yield f"stddevs per dimension are in [{least:g} {most:g}]"
        small = int((deviation < most * 1e-4).sum())
        if small:
            yield (
                f"{small} dimensions have negligible stddev wrt. the largest dimension, they could be ignored"
            )


__all__ = ["MatrixStats"]
