"""How far, without an index? Nearest neighbours and distances of arrays, and Faiss's functions on pointers.

The numeric work is the core's. Functions that Faiss exports from C++ take `swig_ptr` of arrays, and write
into the array that they are given, as they do there.
"""

# D, I and M are what Faiss calls distances, labels and parts.
# pyright: reportConstantRedefinition=false

from typing import Any

import numpy as np
import numpy.typing as npt

from steep import _steep
from steep.faiss._arrays import pointed
from steep.faiss._base import (
    METRIC_GOWER,
    METRIC_INNER_PRODUCT,
    METRIC_L1,
    METRIC_L2,
    METRIC_BrayCurtis,
    METRIC_Canberra,
    METRIC_Jaccard,
    METRIC_JensenShannon,
    METRIC_Linf,
    METRIC_Lp,
    METRIC_NaNEuclidean,
    all_finite,
    native_metric,
)
from steep.faiss._base import is_similarity as is_similarity_metric
from steep.faiss._simd import threads

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]

_MOST = np.finfo(np.float32).max


def metric_type_from_int(x: int) -> int:
    """The metric of a number."""
    native_metric(x, 1.0)
    return x


def metric_type_count() -> int:
    """How many metrics there are."""
    return 11


def _rows(x: Any) -> Floats:
    array = np.ascontiguousarray(x, np.float32)
    _, _ = array.shape
    return array


def knn(xq: Any, xb: Any, k: int, metric: int = METRIC_L2, metric_arg: float = 0.0) -> tuple[Floats, Ids]:
    """Find the k nearest rows of `xb` to each row of `xq`, exactly, without an index.

    Parameters
    ----------
    xq, xb : float32 arrays of shape (nq, d) and (nb, d)
    k : int
    metric : int
        One of `METRIC_*`.
    metric_arg : float
        The exponent of `METRIC_Lp`.

    Returns
    -------
    D : float32 array of shape (nq, k)
        Ascending distances; descending for similarities. The largest (or smallest) float beside -1.
    I : int64 array of shape (nq, k)
    """
    xq, xb = _rows(xq), _rows(xb)
    assert xq.shape[1] == xb.shape[1], f"xq has {xq.shape[1]} columns, xb has {xb.shape[1]}"
    similar = is_similarity_metric(metric)
    name = native_metric(metric, metric_arg)
    nothing = np.float32(-_MOST if similar else _MOST)
    if k <= 0 or not xq.size or not xb.size:
        shape = (xq.shape[0], k)
        return np.full(shape, nothing, np.float32), np.full(shape, -1, np.int64)
    if metric in (METRIC_L2, METRIC_INNER_PRODUCT) and not (all_finite(xq) and all_finite(xb)):
        # Rows that hold NaN or infinity have no distance, and the core refuses them.
        with np.errstate(invalid="ignore", over="ignore"):
            table = pairwise_distances(xq, xb, metric)
        return _steep.faiss_select(table, k, similar, threads())
    found = min(k, xb.shape[0])
    ids, distances = _steep.ground_truth(xb, xq, found, name, threads(), None)
    if similar:
        np.negative(distances, out=distances)
    if found < k:
        pad = ((0, 0), (0, k - found))
        distances = np.pad(distances, pad, constant_values=nothing)
        ids = np.pad(ids, pad, constant_values=-1)
    distances[ids < 0] = nothing
    return distances, ids


def pairwise_distances(xq: Any, xb: Any, metric: int = METRIC_L2, metric_arg: float = 0.0) -> Floats:
    """Compute the distance of each row of `xq` from each of `xb`: an array of shape (nq, nb)."""
    xq, xb = _rows(xq), _rows(xb)
    assert xq.shape[1] == xb.shape[1], f"xq has {xq.shape[1]} columns, xb has {xb.shape[1]}"
    table = np.empty((xq.shape[0], xb.shape[0]), np.float32)
    name = native_metric(metric, metric_arg)
    if not table.size or not xq.shape[1]:
        table.fill(0)
        return table
    if metric == METRIC_L2:
        _steep.faiss_squares(xq, xb, table, threads())
        return table
    if metric == METRIC_INNER_PRODUCT:
        _steep.faiss_linear(xq, xb, None, table, threads())
        return table
    ids, distances = _steep.ground_truth(xb, xq, xb.shape[0], name, threads(), None)
    table.fill(np.nan)
    rows, columns = np.nonzero(ids >= 0)
    table[rows, ids[rows, columns]] = distances[rows, columns]
    return -table if is_similarity_metric(metric) else table


def normalize_L2(x: Floats) -> None:
    """Make the rows of an array of length 1, in place; those of zeros stay."""
    n, d = x.shape
    array = pointed(x, n * d, np.float32, "x").reshape(n, d)
    if not x.flags.c_contiguous:
        raise ValueError("array is not C-contiguous: pass numpy.ascontiguousarray(x)")
    if array.size:
        _steep.faiss_normalize(array, threads())


def knn_hamming(
    xq: npt.NDArray[np.uint8], xb: npt.NDArray[np.uint8], k: int, variant: str = "hc"
) -> tuple[npt.NDArray[np.int32], Ids]:
    """Find the k nearest rows of bits, packed in bytes, by how many bits differ."""
    if variant not in ("hc", "mc"):
        raise NotImplementedError(f"variant = {variant!r}: expected 'hc' or 'mc'")
    _, d = xq.shape
    nb, d2 = xb.shape
    assert d == d2, f"xq has {d} bytes a row, xb has {d2}"
    xq, xb = np.ascontiguousarray(xq), np.ascontiguousarray(xb)
    found = min(k, nb)
    if xq.size and found:
        ids, distances = _steep.ground_truth(xb, xq, found, "hamming", threads(), None)
    else:
        ids = np.empty((xq.shape[0], found), np.int64)
        distances = np.empty((xq.shape[0], found), np.float32)
    pad = ((0, 0), (0, k - found))
    ids = np.pad(ids, pad, constant_values=-1)
    return np.pad(distances.astype(np.int32), pad, constant_values=2**31 - 1), ids


def knn_gpu(*_args: Any, **_kwargs: Any) -> Any:
    """Refused: the engine computes on CPUs."""
    raise RuntimeError("there are no GPUs here: use knn(xq, xb, k)")


# Faiss's functions of C++, on pointers. Their parameters keep the order and the names that they have there.


def fvec_L2sqr(x: Any, y: Any, d: int) -> float:
    """‖x − y‖²."""
    difference = pointed(x, d, np.float32, "x") - pointed(y, d, np.float32, "y")
    return float(difference @ difference)


def fvec_inner_product(x: Any, y: Any, d: int) -> float:
    """⟨x, y⟩."""
    return float(pointed(x, d, np.float32, "x") @ pointed(y, d, np.float32, "y"))


def fvec_L1(x: Any, y: Any, d: int) -> float:
    """Σ |xⱼ − yⱼ|."""
    return float(np.abs(pointed(x, d, np.float32, "x") - pointed(y, d, np.float32, "y")).sum())


def fvec_Linf(x: Any, y: Any, d: int) -> float:
    """Max |xⱼ − yⱼ|."""
    return float(np.abs(pointed(x, d, np.float32, "x") - pointed(y, d, np.float32, "y")).max(initial=0))


def fvec_norm_L2sqr(x: Any, d: int) -> float:
    """‖x‖²."""
    x = pointed(x, d, np.float32, "x")
    return float(x @ x)


def _table(x: Any, n: int, d: int, name: str) -> Floats:
    return pointed(x, n * d, np.float32, name).reshape(n, d)


def fvec_norms_L2sqr(norms: Any, x: Any, d: int, nx: int) -> None:
    """‖x‖² of each row."""
    rows = _table(x, nx, d, "x")
    pointed(norms, nx, np.float32, "norms")[:] = np.einsum("ij,ij->i", rows, rows)


def fvec_norms_L2(norms: Any, x: Any, d: int, nx: int) -> None:
    """‖x‖ of each row."""
    fvec_norms_L2sqr(norms, x, d, nx)
    out = pointed(norms, nx, np.float32, "norms")
    np.sqrt(out, out=out)


def fvec_renorm_L2(d: int, nx: int, x: Any) -> None:
    """Make rows of length 1, in place."""
    normalize_L2(_table(x, nx, d, "x"))


def fvec_L2sqr_ny(dis: Any, x: Any, y: Any, d: int, ny: int) -> None:
    """‖x − y‖² of one vector and each row."""
    difference = _table(y, ny, d, "y") - pointed(x, d, np.float32, "x")
    pointed(dis, ny, np.float32, "dis")[:] = np.einsum("ij,ij->i", difference, difference)


def fvec_inner_products_ny(ip: Any, x: Any, y: Any, d: int, ny: int) -> None:
    """⟨x, y⟩ of one vector and each row."""
    pointed(ip, ny, np.float32, "ip")[:] = _table(y, ny, d, "y") @ pointed(x, d, np.float32, "x")


def fvec_L2sqr_ny_nearest(distances_tmp_buffer: Any, x: Any, y: Any, d: int, ny: int) -> int:
    """Where the row is that is nearest to a vector."""
    fvec_L2sqr_ny(distances_tmp_buffer, x, y, d, ny)
    return int(np.argmin(pointed(distances_tmp_buffer, ny, np.float32))) if ny else 0


def _by_idx(out: Any, x: Any, y: Any, ids: Any, sizes: tuple[int, int, int], square: bool) -> None:
    d, nx, ny = sizes
    queries = _table(x, nx, d, "x")
    rows = pointed(y, None, np.float32, "y").reshape(-1, d)
    at = pointed(ids, nx * ny, np.int64, "ids").reshape(nx, ny)
    if at.size and at.max() >= len(rows):
        raise ValueError(f"id {at.max()}: y has {len(rows)} rows")
    found = rows[np.maximum(at, 0)]
    if square:
        found = found - queries[:, None]
        values = np.einsum("ijk,ijk->ij", found, found)
    else:
        values = np.einsum("ijk,ik->ij", found, queries)
    target = pointed(out, nx * ny, np.float32, "out").reshape(nx, ny)
    target[:] = np.where(at >= 0, values, np.inf if square else -np.inf)


def fvec_L2sqr_by_idx(dis: Any, x: Any, y: Any, ids: Any, d: int, nx: int, ny: int) -> None:
    """‖x − y‖² of each of nx vectors and ny rows that `ids` names, infinite for -1."""
    _by_idx(dis, x, y, ids, (d, nx, ny), True)


def fvec_inner_products_by_idx(ip: Any, x: Any, y: Any, ids: Any, d: int, nx: int, ny: int) -> None:
    """⟨x, y⟩ of each of nx vectors and ny rows that `ids` names, -infinite for -1."""
    _by_idx(ip, x, y, ids, (d, nx, ny), False)


def fvec_add(d: int, a: Any, b: Any, c: Any) -> None:
    """C = a + b, where b is a pointer or a number."""
    b = b if isinstance(b, (int, float)) else pointed(b, d, np.float32, "b")
    pointed(c, d, np.float32, "c")[:] = pointed(a, d, np.float32, "a") + b


def fvec_sub(d: int, a: Any, b: Any, c: Any) -> None:
    """C = a - b."""
    pointed(c, d, np.float32, "c")[:] = pointed(a, d, np.float32, "a") - pointed(b, d, np.float32, "b")


def fvec_madd(n: int, a: Any, bf: float, b: Any, c: Any) -> None:
    """C = a + bf · b."""
    b = np.float32(bf) * pointed(b, n, np.float32, "b")
    pointed(c, n, np.float32, "c")[:] = pointed(a, n, np.float32, "a") + b


def fvec_madd_and_argmin(n: int, a: Any, bf: float, b: Any, c: Any) -> int:
    """C = a + bf · b, and where it is least."""
    fvec_madd(n, a, bf, b, c)
    return int(np.argmin(pointed(c, n, np.float32)))


def fvec_argsort(n: int, vals: Any, perm: Any) -> None:
    """The order that sorts values."""
    out = perm.array if hasattr(perm, "array") else perm
    out[:n] = np.argsort(pointed(vals, n, np.float32, "vals"), kind="stable")


fvec_argsort_parallel = fvec_argsort


def pairwise_L2sqr(
    d: int, nq: int, xq: Any, nb: int, xb: Any, dis: Any, ldq: int = -1, ldb: int = -1, ldd: int = -1
) -> None:
    """‖q − x‖² of each query and each row; `ld…` are the lengths of rows, where they are not d."""
    queries = _strided(xq, nq, d, ldq, "xq")
    rows = _strided(xb, nb, d, ldb, "xb")
    _strided(dis, nq, nb, ldd, "dis")[:] = pairwise_distances(queries, rows)


def _strided(x: Any, n: int, d: int, stride: int, name: str) -> Floats:
    stride = d if stride == -1 else stride
    if stride < d or n < 0:
        raise ValueError(f"{name}: rows of {d} values every {stride}: expected at least as many")
    flat = pointed(x, max((n - 1) * stride + d, 0) if n else 0, np.float32, name)
    return np.lib.stride_tricks.as_strided(flat, (n, d), (4 * stride, 4))


def pairwise_extra_distances(
    d: int, nq: int, xq: Any, nb: int, xb: Any, mt: int, metric_arg: float, dis: Any, *strides: int
) -> None:
    """Distances of any metric of each query and each row."""
    ldq, ldb, ldd = (*strides, -1, -1, -1)[:3]
    queries, rows = _strided(xq, nq, d, ldq, "xq"), _strided(xb, nb, d, ldb, "xb")
    _strided(dis, nq, nb, ldd, "dis")[:] = pairwise_distances(queries, rows, mt, metric_arg)


def pairwise_indexed_L2sqr(d: int, n: int, x: Any, ix: Any, y: Any, iy: Any, dis: Any) -> None:
    """‖x − y‖² of n pairs of rows."""
    a, b = _pairs(d, n, (x, ix), (y, iy))
    pointed(dis, n, np.float32, "dis")[:] = np.einsum("ij,ij->i", a - b, a - b)


def pairwise_indexed_inner_product(d: int, n: int, x: Any, ix: Any, y: Any, iy: Any, dis: Any) -> None:
    """⟨x, y⟩ of n pairs of rows."""
    a, b = _pairs(d, n, (x, ix), (y, iy))
    pointed(dis, n, np.float32, "dis")[:] = np.einsum("ij,ij->i", a, b)


def _pairs(d: int, n: int, *sides: tuple[Any, Any]) -> list[Floats]:
    return [
        pointed(rows, None, np.float32, "rows").reshape(-1, d)[pointed(at, n, np.int64, "ids")]
        for rows, at in sides
    ]


def _knn_into(
    x: Any,
    y: Any,
    sizes: tuple[int, int, int, int],
    outs: tuple[Any, Any],
    metric: tuple[int, float],
    sel: Any,
) -> None:
    d, nx, ny, k = sizes
    queries, rows = _table(x, nx, d, "x"), _table(y, ny, d, "y")
    if sel is None:
        D, I = knn(queries, rows, k, *metric)
    else:
        kept = np.flatnonzero(sel._mask(np.arange(ny, dtype=np.int64)))
        D, I = knn(queries, rows[kept], k, *metric)
        I = np.where(I >= 0, kept[np.maximum(I, 0)] if kept.size else -1, -1)
    pointed(outs[0], nx * k, np.float32, "distances")[:] = D.ravel()
    pointed(outs[1], nx * k, np.int64, "labels")[:] = I.ravel()


def knn_L2sqr(
    x: Any,
    y: Any,
    d: int,
    nx: int,
    ny: int,
    k: int,
    distances: Any,
    indexes: Any,
    _y_norm2: Any = None,
    sel: Any = None,
) -> None:
    """The k nearest of ny rows to each of nx."""
    _knn_into(x, y, (d, nx, ny, k), (distances, indexes), (METRIC_L2, 0.0), sel)


def knn_inner_product(
    x: Any, y: Any, d: int, nx: int, ny: int, k: int, distances: Any, indexes: Any, sel: Any = None
) -> None:
    """The k of ny rows with the largest inner products with each of nx."""
    _knn_into(x, y, (d, nx, ny, k), (distances, indexes), (METRIC_INNER_PRODUCT, 0.0), sel)


def knn_extra_metrics(
    x: Any,
    y: Any,
    d: int,
    nx: int,
    ny: int,
    mt: int,
    metric_arg: float,
    k: int,
    distances: Any,
    indexes: Any,
    sel: Any = None,
) -> None:
    """The k nearest of ny rows to each of nx, by any metric."""
    _knn_into(x, y, (d, nx, ny, k), (distances, indexes), (mt, metric_arg), sel)


def _knn_by_idx(
    x: Any, y: Any, subset: Any, sizes: tuple[int, ...], outs: tuple[Any, Any], square: bool
) -> None:
    d, nx, ny, nsubset, k = sizes
    table = np.empty((nx, nsubset), np.float32)
    _by_idx(table, x, _table(y, ny, d, "y"), subset, (d, nx, nsubset), square)
    D, at = _steep.faiss_select(table, k, not square, threads()) if table.size else (None, None)
    ids = pointed(subset, nx * nsubset, np.int64, "subset").reshape(nx, nsubset)
    if D is None or at is None:
        D = np.full((nx, k), _MOST if square else -_MOST, np.float32)
        names = np.full((nx, k), -1, np.int64)
    else:
        names = np.where(at >= 0, np.take_along_axis(ids, np.maximum(at, 0), 1), -1)
    pointed(outs[0], nx * k, np.float32, "vals")[:] = D.ravel()
    pointed(outs[1], nx * k, np.int64, "ids")[:] = names.ravel()


def knn_L2sqr_by_idx(
    x: Any,
    y: Any,
    subset: Any,
    d: int,
    nx: int,
    ny: int,
    nsubset: int,
    k: int,
    vals: Any,
    ids: Any,
    _ld_subset: int = -1,
) -> None:
    """The k nearest of nsubset rows of each of nx vectors."""
    _knn_by_idx(x, y, subset, (d, nx, ny, nsubset, k), (vals, ids), True)


def knn_inner_products_by_idx(
    x: Any,
    y: Any,
    subset: Any,
    d: int,
    nx: int,
    ny: int,
    nsubset: int,
    k: int,
    vals: Any,
    ids: Any,
    _ld_subset: int = -1,
) -> None:
    """The k of nsubset rows of each of nx vectors with the largest inner products."""
    _knn_by_idx(x, y, subset, (d, nx, ny, nsubset, k), (vals, ids), False)


def inner_product_to_L2sqr(dis: Any, nr1: Any, nr2: Any, n1: int, n2: int) -> None:
    """Turn inner products into squared distances, in place, by the squared norms of both sides."""
    table = pointed(dis, n1 * n2, np.float32, "dis").reshape(n1, n2)
    norms = pointed(nr1, n1, np.float32, "nr1")[:, None] + pointed(nr2, n2, np.float32, "nr2")
    table[:] = norms - 2 * table


def matrix_qr(m: int, n: int, a: Any) -> None:
    """Replace an n × m matrix by an orthonormal basis of its rows' space, in place."""
    rows = pointed(a, n * m, np.float32, "a").reshape(n, m)
    rows[:] = orthonormal(rows)


def orthonormal(rows: Floats) -> Floats:
    """Rows that are orthonormal and span what these did: QR of the transpose, with LAPACK's signs."""
    q, _ = np.linalg.qr(rows.T.astype(np.float64))
    return np.ascontiguousarray(q.T, np.float32)


__all__ = [
    "METRIC_GOWER",
    "METRIC_INNER_PRODUCT",
    "METRIC_L1",
    "METRIC_L2",
    "METRIC_BrayCurtis",
    "METRIC_Canberra",
    "METRIC_Jaccard",
    "METRIC_JensenShannon",
    "METRIC_Linf",
    "METRIC_Lp",
    "METRIC_NaNEuclidean",
    "fvec_L1",
    "fvec_L2sqr",
    "fvec_L2sqr_by_idx",
    "fvec_L2sqr_ny",
    "fvec_L2sqr_ny_nearest",
    "fvec_Linf",
    "fvec_add",
    "fvec_argsort",
    "fvec_argsort_parallel",
    "fvec_inner_product",
    "fvec_inner_products_by_idx",
    "fvec_inner_products_ny",
    "fvec_madd",
    "fvec_madd_and_argmin",
    "fvec_norm_L2sqr",
    "fvec_norms_L2",
    "fvec_norms_L2sqr",
    "fvec_renorm_L2",
    "fvec_sub",
    "inner_product_to_L2sqr",
    "is_similarity_metric",
    "knn",
    "knn_L2sqr",
    "knn_L2sqr_by_idx",
    "knn_extra_metrics",
    "knn_gpu",
    "knn_hamming",
    "knn_inner_product",
    "knn_inner_products_by_idx",
    "matrix_qr",
    "metric_type_count",
    "metric_type_from_int",
    "normalize_L2",
    "pairwise_L2sqr",
    "pairwise_distances",
    "pairwise_extra_distances",
    "pairwise_indexed_L2sqr",
    "pairwise_indexed_inner_product",
]
