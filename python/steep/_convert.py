"""One kind of index becomes another: Faiss's a native one, or a native one of another spec."""

from typing import Any

from steep import _steep
from steep._index import Index
from steep._types import Progress


def convert(
    index: Any,
    spec: str = "auto",
    *,
    threads: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Index:
    """Build a native index of the vectors of another index, with their ids.

    Parameters
    ----------
    index : steep.Index or an index of steep.faiss
        Where the vectors are. Codes stand for the vectors that they decode to, so what an index of codes has
        lost stays lost; of an ``IndexRefine`` the refining index counts. Transforms of Faiss are undone where
        nothing is lost by them.
    spec : str
        What to build, as in `steep.build`.
    threads, seed, progress : optional
        As in `steep.build`.

    Returns
    -------
    Index
        Of the same metric: "l2" or "ip" for most of Faiss's, "hamming" for those of bits.

    Raises
    ------
    ValueError
        Where the vectors are not in the index, or its class has none that could be told; it is named.

    Examples
    --------
    >>> import numpy as np, steep, steep.faiss as faiss
    >>> old = faiss.index_factory(16, "IVF4,Flat")
    >>> x = np.random.default_rng(0).standard_normal((500, 16), dtype=np.float32)
    >>> old.train(x); old.add(x)
    >>> steep.convert(old, "flat").search(x[7], k=1).ids
    array([7])
    """
    if isinstance(index, Index):
        return Index._of(index._core.convert(spec, seed, threads, progress))
    if not hasattr(index, "to_record"):
        kind = type(index).__name__
        raise TypeError(f"index of type {kind}: expected a steep.Index or an index of steep.faiss")
    return Index._of(_steep.faiss_convert(index.to_record(), spec, seed, threads, progress))
