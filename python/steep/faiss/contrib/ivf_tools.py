"""Inverted files by lists that are chosen elsewhere, with other quantizers, in another order."""

from typing import Any

import numpy as np

from steep import faiss
from steep.faiss.contrib.inspect_tools import get_invlist_sizes


def _binary(index: Any) -> bool:
    return isinstance(index, faiss.IndexBinaryIVF)


def _check(index: Any, x: Any) -> int:
    n, d = x.shape
    d *= 8 if _binary(index) else 1
    assert d == index.d, f"vectors have {d} coordinates, the index {index.d}"
    return int(n)


def add_preassigned(index_ivf: Any, x: Any, a: Any, ids: Any = None) -> None:
    """Add vectors to the lists that `a` says."""
    n = _check(index_ivf, x)
    assert a.shape == (n,), f"lists have shape {a.shape} for {n} vectors"
    assert ids is None or ids.shape == (n,), f"ids have shape {ids.shape} for {n} vectors"
    x = np.ascontiguousarray(x, np.uint8 if _binary(index_ivf) else np.float32)
    lists = np.ascontiguousarray(a, np.int64)
    numbers = None if ids is None else faiss.swig_ptr(np.ascontiguousarray(ids, np.int64))
    index_ivf.add_core(n, faiss.swig_ptr(x), numbers, faiss.swig_ptr(lists))


def _coarse(index: Any, n: int, list_nos: Any, coarse_dis: Any) -> Any:
    shape = (n, index.nprobe)
    assert list_nos.shape == shape, f"lists have shape {list_nos.shape}: expected {shape}"
    if coarse_dis is None:
        return np.zeros(shape, np.int32 if _binary(index) else np.float32)
    assert coarse_dis.shape == shape, f"distances have shape {coarse_dis.shape}: expected {shape}"
    return coarse_dis


def search_preassigned(
    index_ivf: Any, xq: Any, k: int, list_nos: Any, coarse_dis: Any = None
) -> tuple[Any, Any]:
    """Search the lists that are given, also of an index behind one transform."""
    if isinstance(index_ivf, faiss.IndexPreTransform):
        assert index_ivf.chain.size() == 1, "chain must have only one component"
        xq = index_ivf.chain.at(0).apply(xq)
        index_ivf = index_ivf.index
    n = _check(index_ivf, xq)
    found: tuple[Any, Any] = index_ivf.search_preassigned(
        xq, k, list_nos, _coarse(index_ivf, n, list_nos, coarse_dis)
    )
    return found


def range_search_preassigned(
    index_ivf: Any, x: Any, radius: float, list_nos: Any, coarse_dis: Any = None
) -> tuple[Any, Any, Any]:
    """Find all vectors of the given lists within a radius."""
    n = _check(index_ivf, x)
    coarse = _coarse(index_ivf, n, list_nos, coarse_dis)
    found: tuple[Any, Any, Any] = index_ivf.range_search_preassigned(x, radius, list_nos, coarse)
    return found


def replace_ivf_quantizer(index_ivf: Any, new_quantizer: Any) -> Any:
    """Find lists by another index of the same centroids; the one that did before."""
    old = index_ivf.quantizer
    if new_quantizer.ntotal == 0:
        centroids = old.reconstruct_n()
        new_quantizer.train(centroids)
        new_quantizer.add(centroids)
    else:
        assert new_quantizer.ntotal == index_ivf.nlist, (
            f"{new_quantizer.ntotal} centroids, {index_ivf.nlist} lists"
        )
    index_ivf.quantizer = new_quantizer
    _forget(index_ivf)
    return old


def _forget(index_ivf: Any) -> None:
    """Have what the index keeps of its centroids made again."""
    index_ivf._centers = None


def permute_invlists(index_ivf: Any, perm: Any) -> None:
    """Put the lists in another order: list i becomes the one that was perm[i]."""
    (nlist,) = perm.shape
    assert index_ivf.nlist == nlist, f"{nlist} numbers for {index_ivf.nlist} lists"
    assert index_ivf.quantizer.ntotal == nlist, f"{index_ivf.quantizer.ntotal} centroids, {nlist} lists"
    perm = np.ascontiguousarray(perm, np.int64)
    assert np.array_equal(np.sort(perm), np.arange(int(nlist))), "the numbers are no permutation"
    index_ivf.quantizer.permute_entries(perm)
    index_ivf.invlists.permute_invlists(faiss.swig_ptr(perm))
    _forget(index_ivf)


def sort_invlists_by_size(index_ivf: Any) -> None:
    """Put the lists in the order of their sizes, the smallest first."""
    permute_invlists(index_ivf, np.argsort(get_invlist_sizes(index_ivf.invlists), kind="stable"))
