"""Distances and neighbours of arrays are Faiss's, up to the rounding of single precision."""

import faiss
import numpy as np
import pytest
from steep import faiss as ours

EXTRA = [faiss.METRIC_L1, faiss.METRIC_Linf, faiss.METRIC_Lp, faiss.METRIC_Canberra, faiss.METRIC_BrayCurtis]
EXTRA += [faiss.METRIC_JensenShannon, faiss.METRIC_Jaccard]
FLAT = [faiss.METRIC_L2, faiss.METRIC_INNER_PRODUCT]


def vectors(n: int, d: int, seed: int = 1) -> np.ndarray:
    return faiss.rand((n, d), seed)


@pytest.mark.parametrize("metric", FLAT + EXTRA)
@pytest.mark.parametrize(
    ("nq", "nb", "d"), [(1, 1, 1), (7, 33, 5), (193, 65, 20), (5, 100, 200), (13, 17, 193)]
)
def test_tables_of_distances_are_faisss(nq: int, nb: int, d: int, metric: int) -> None:
    q, x = vectors(nq, d), vectors(nb, d, 2)
    found, true = (f.pairwise_distances(q, x, metric, 3.0) for f in (ours, faiss))
    np.testing.assert_allclose(found, true, rtol=2e-4, atol=2e-5 * d)


@pytest.mark.parametrize("metric", FLAT + EXTRA)
@pytest.mark.parametrize("k", [1, 5, 40])
def test_neighbours_are_faisss(k: int, metric: int) -> None:
    q, x = vectors(20, 16), vectors(30, 16, 2)
    (D, I), (Dref, Iref) = (f.knn(q, x, k, metric, 3.0) for f in (ours, faiss))
    np.testing.assert_allclose(D, Dref, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(I, Iref)
    assert D.dtype == np.float32 and I.dtype == np.int64


@pytest.mark.parametrize("metric", FLAT)
def test_vectors_without_a_place_have_no_neighbours(metric: int) -> None:
    q, x = vectors(4, 3), vectors(5, 3, 2)
    q[1, 2], x[3, 0] = np.nan, np.nan
    (D, I), (Dref, Iref) = (f.knn(q, x, 5, metric) for f in (ours, faiss))
    np.testing.assert_allclose(D, Dref, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(I, Iref)


def test_arrays_without_rows_are_answered_alike() -> None:
    x = vectors(3, 4)
    for shape in ((0, 4), (3, 4)):
        for other in (x, x[:0]):
            for found, true in zip(
                *(f.knn(np.zeros(shape, np.float32), other, 2) for f in (ours, faiss)), strict=True
            ):
                np.testing.assert_array_equal(found.shape, true.shape)
                if not len(other):
                    np.testing.assert_array_equal(found, true)


def test_bad_arguments_raise_what_faiss_raises() -> None:
    x = vectors(3, 4)
    for library in (faiss, ours):
        with pytest.raises(AssertionError):
            library.knn(x[:, :3], x, 2)
        with pytest.raises(RuntimeError):
            library.knn(x, x, 2, 99)
        with pytest.raises(RuntimeError):
            library.pairwise_distances(x, x, 99)
        with pytest.raises(ValueError, match="C-contiguous"):
            library.normalize_L2(x[:, ::2])


@pytest.mark.parametrize(("n", "d"), [(1, 1), (3, 17), (1000, 100), (70_000, 3)])
def test_rows_are_normalised_in_place(n: int, d: int) -> None:
    x = vectors(n, d)
    x[0] = 0
    y = x.copy()
    ours.normalize_L2(x)
    faiss.normalize_L2(y)
    np.testing.assert_allclose(x, y, rtol=1e-6)


def test_functions_on_pointers_write_where_they_should() -> None:
    told = []
    for f in (faiss, ours):
        x, y, sp = vectors(6, 8), vectors(9, 8, 2), f.swig_ptr
        ix, iy = faiss.randint(5, 1, 6), faiss.randint(5, 2, 9)
        one, two, table = np.zeros(9, np.float32), np.zeros(5, np.float32), np.zeros((6, 9), np.float32)
        ids = faiss.randint((6, 3), 4, 9)
        picked, D, I = np.zeros((6, 3), np.float32), np.zeros((6, 2), np.float32), np.zeros((6, 2), np.int64)
        out = []
        f.fvec_L2sqr_ny(sp(one), sp(x[0]), sp(y), 8, 9)
        out.append(one.copy())
        f.fvec_inner_products_ny(sp(one), sp(x[0]), sp(y), 8, 9)
        out.append(one.copy())
        f.pairwise_indexed_L2sqr(8, 5, sp(x), sp(ix), sp(y), sp(iy), sp(two))
        out.append(two.copy())
        f.pairwise_L2sqr(8, 6, sp(x), 9, sp(y), sp(table))
        out.append(table)
        f.fvec_L2sqr_by_idx(sp(picked), sp(x), sp(y), sp(ids), 8, 6, 3)
        out.append(picked.copy())
        f.knn_L2sqr(sp(x), sp(y), 8, 6, 9, 2, sp(D), sp(I))
        out += [D.copy(), I.copy()]
        f.knn_inner_product(sp(x), sp(y), 8, 6, 9, 2, sp(D), sp(I))
        out += [D.copy(), I.copy()]
        out.append(f.fvec_madd_and_argmin(8, sp(x[0]), 0.5, sp(y[0]), sp(one)))
        out += [one[:8].copy(), f.fvec_norm_L2sqr(sp(x[1]), 8), f.fvec_L2sqr(sp(x[1]), sp(y[1]), 8)]
        told.append(out)
    for true, found in zip(*told, strict=True):
        np.testing.assert_allclose(found, true, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("variant", ["hc", "mc"])
def test_bits_are_compared_as_faiss_does(variant: str) -> None:
    random = np.random.RandomState(0)
    q, x = (
        random.randint(256, size=(8, 16)).astype(np.uint8),
        random.randint(256, size=(40, 16)).astype(np.uint8),
    )
    for k in (1, 10, 50):
        (D, I), (Dref, _) = (f.knn_hamming(q, x, k, variant) for f in (ours, faiss))
        np.testing.assert_array_equal(D, Dref)
        true = np.unpackbits(q[:, None] ^ x[None], axis=2).sum(axis=2)
        found = I >= 0
        np.testing.assert_array_equal(true[np.nonzero(found)[0], I[found]], D[found])
    with pytest.raises(NotImplementedError):
        ours.knn_hamming(q, x, 1, "other")
