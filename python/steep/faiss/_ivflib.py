"""What can be done with the IndexIVF within an index?"""

import time
from typing import Any

import numpy as np

from steep.faiss._arrays import pointed
from steep.faiss._base import Floats, Labels, require
from steep.faiss._ivf import IndexIVF
from steep.faiss._parameters import SearchParametersIVF
from steep.faiss._pointers import put, rows
from steep.faiss._pretransform import IndexPreTransform


def try_extract_index_ivf(index: Any) -> IndexIVF | None:
    """The `IndexIVF` within an index, if there is one."""
    while index is not None and not isinstance(index, IndexIVF):
        # Of transforms and id maps what they hold, of a refinement what finds the candidates.
        held = (getattr(index, name, None) for name in ("base_index", "index_ivf", "index"))
        index = next((inner for inner in held if inner is not None), None)
    return index


def extract_index_ivf(index: Any) -> IndexIVF:
    """The `IndexIVF` within an index."""
    found = try_extract_index_ivf(index)
    require(found is not None, "index is an IndexIVF, or holds one")
    return found  # type: ignore[return-value]


def _turned(index: Any, x: Any) -> tuple[IndexIVF, Floats]:
    """The index within, and the queries as it gets them."""
    _, d = x.shape
    assert d == index.d
    x = np.ascontiguousarray(x, np.float32)
    while not isinstance(index, IndexIVF):
        if isinstance(index, IndexPreTransform):
            x = index._turned(x)
        index = getattr(index, "index", None)
        require(index is not None, "index is an IndexIVF, or holds one")
    return index, x


def _with_parameters(
    index: Any, x: Any, params: Any
) -> tuple[IndexIVF, Floats, Any, Labels, Floats, list[float]]:
    marks = [time.perf_counter()]
    ivf, turned = _turned(index, x)
    marks.append(time.perf_counter())
    params = params or SearchParametersIVF(nprobe=ivf.nprobe, max_codes=ivf.max_codes)
    coarse, keys = ivf.quantizer.search(turned, min(params.nprobe, ivf.nlist))
    marks.append(time.perf_counter())
    return ivf, turned, params, keys, coarse, marks


def _stats(ivf: IndexIVF, keys: Labels, marks: list[float]) -> dict[str, Any]:
    sizes = ivf.invlists._core.sizes()
    steps = np.diff([*marks, time.perf_counter()]) * 1e3
    return {
        "ndis": int(sizes[keys[keys >= 0]].sum()),
        "pre_transform_ms": float(steps[0]),
        "coarse_quantizer_ms": float(steps[1]),
        "invlist_scan_ms": float(steps[2]),
    }


def search_with_parameters(index: Any, x: Any, k: int, params: Any = None, output_stats: bool = False) -> Any:
    """Search an `IndexIVF`, also one behind transforms: (D, I), and what it cost where asked for."""
    ivf, turned, params, keys, coarse, marks = _with_parameters(index, x, params)
    found = ivf._search_lists(turned, k, keys, coarse, params)
    return (*found, _stats(ivf, keys, marks)) if output_stats else found


def range_search_with_parameters(
    index: Any, x: Any, radius: float, params: Any = None, output_stats: bool = False
) -> Any:
    """Range search of an `IndexIVF`, also one behind transforms: (lims, D, I), and what it cost."""
    ivf, turned, params, keys, coarse, marks = _with_parameters(index, x, params)
    lims, distances, labels = ivf._range_preassigned(turned, radius, keys, coarse, params)
    found = (lims.astype(np.uint64), distances, labels)
    return (*found, _stats(ivf, keys, marks)) if output_stats else found


def search_centroid(index: Any, x: Any, n: int, centroid_ids: Any) -> None:
    """Write the list of each of n vectors."""
    values = pointed(x, n * index.d, np.float32, "x").reshape(n, index.d)
    ivf, turned = _turned(index, values)
    pointed(centroid_ids, n, np.int64, "centroid_ids")[:] = ivf.quantizer.assign(turned, 1)[:, 0]


def search_and_return_centroids(
    index: Any,
    n: int,
    xin: Any,
    k: int,
    distances: Any,
    labels: Any,
    query_centroid_ids: Any = None,
    result_centroid_ids: Any = None,
) -> None:
    """Search for n queries, and write the list of each query and that of each result where asked for."""
    ivf, turned = _turned(index, rows(xin, n, index.d))
    found, ids, places = ivf._places(turned, k, None)
    put(distances, found)
    put(labels, ids)
    if query_centroid_ids is not None:
        put(query_centroid_ids, ivf.quantizer.assign(turned, 1)[:, 0])
    if result_centroid_ids is not None:
        put(result_centroid_ids, np.where(places >= 0, places >> 32, -1))


def check_compatible_for_merge(index1: Any, index2: Any) -> None:
    """Refuse two indexes that cannot be merged."""
    index1.check_compatible_for_merge(index2)


def merge_into(index0: Any, index1: Any, shift_ids: bool) -> None:
    """Move the vectors of the second index to the first, with ids behind its own where asked for."""
    index0.merge_from(index1, index0.ntotal if shift_ids else 0)


def get_invlist_range(index: Any, i0: int, i1: int) -> Any:
    """A copy of the lists i0 to i1 - 1."""
    from steep.faiss._lists import ArrayInvertedLists

    source = extract_index_ivf(index).invlists
    taken = ArrayInvertedLists(i1 - i0, source.code_size)
    for at in range(i0, i1):
        taken._core.append(at - i0, source._ids(at), source._codes(at))
    return taken


def set_invlist_range(index: Any, i0: int, i1: int, src: Any) -> None:
    """Replace the lists i0 to i1 - 1."""
    ivf = extract_index_ivf(index)
    require(src.code_size == ivf.code_size and src.nlist == i1 - i0, "same code size and number of lists")
    for at in range(i0, i1):
        ivf.invlists._core.truncate(at, 0)
        ivf.invlists._core.append(at, src._ids(at - i0), src._codes(at - i0))
    ivf.ntotal = ivf.invlists.compute_ntotal()
