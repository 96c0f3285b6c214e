"""Metrics that no products tell, against NumPy and SciPy in float64."""

import pickle

import numpy as np
import oracle
import pytest
import steep
from scipy.spatial import distance


def gower(q, x):
    both = ~(np.isnan(q) | np.isnan(x))
    apart = np.where(q < 0, (q != x).astype(float), np.abs(q - x))
    return apart[both].mean()


def nan_euclidean(q, x):
    both = ~(np.isnan(q) | np.isnan(x))
    return len(q) / both.sum() * ((q - x)[both] ** 2).sum()


FORMULAS = {
    "l1": distance.cityblock,
    "linf": distance.chebyshev,
    "lp3": lambda q, x: (np.abs(q - x) ** 3).sum(),
    "lp0.5": lambda q, x: (np.abs(q - x) ** 0.5).sum(),
    "lp2.5": lambda q, x: (np.abs(q - x) ** 2.5).sum(),
    "lp12": lambda q, x: (np.abs(q - x) ** 12).sum(),
    "canberra": distance.canberra,
    "braycurtis": distance.braycurtis,
    "jensenshannon": lambda q, x: (special_kl(q, x) + special_kl(x, q)) / 2,
    "jaccard": lambda q, x: -np.minimum(q, x).sum() / np.maximum(q, x).sum(),
    "nan-euclidean": nan_euclidean,
    "gower": gower,
}


def special_kl(a, b):
    """Of weights that need not add up to 1, which SciPy's function would make them."""
    mean, there = (a + b) / 2, a > 0
    return (a[there] * np.log(a[there] / mean[there])).sum()


def data(metric, dtype, n, d):
    rng = np.random.default_rng(n + d)
    if dtype in ("i8", "u8"):
        return rng.integers(0, 100 if metric != "gower" else 2, (n, d)).astype(oracle.DTYPES[dtype])
    x = rng.random((n, d), np.float32)
    x[rng.random((n, d)) < 0.2] = 0
    x[:, 0] = 0.5
    if metric == "gower":
        x[:, 1] = -rng.integers(1, 4, n)
    if metric in ("gower", "nan-euclidean"):
        x[:, 2:][rng.random((n, d - 2)) < 0.3] = np.nan
    return x.astype(oracle.DTYPES[dtype])


@pytest.mark.parametrize("dtype", oracle.DTYPES)
@pytest.mark.parametrize("metric", FORMULAS)
def test_distances_are_the_formulas(metric, dtype):
    for n, d in [(300, 7), (300, 40)]:
        x, q = data(metric, dtype, n, d), data(metric, dtype, 12, d)
        index = steep.build(x, metric)
        table = np.array([[FORMULAS[metric](a, b) for b in x.astype(float)] for a in q.astype(float)])
        for queries, k in ((q, 10), (q, n + 2), (q[:1], 5)):
            hits = index.search(queries, k)
            assert (hits.metric, index.metric) == (metric, metric)
            wanted = np.sort(table[: len(queries)], axis=1)[:, :k]
            np.testing.assert_allclose(hits.distances[:, : wanted.shape[1]], wanted, rtol=1e-6, atol=1e-7)
            found = np.take_along_axis(table[: len(queries)], np.maximum(hits.ids, 0), 1)[:, : min(k, n)]
            np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-7)
        radius = float(np.median(table))
        ranges = index.range_search(q, radius)
        counts = np.diff(ranges.offsets)
        assert (counts >= (table < radius * (1 - np.sign(radius) * 1e-5)).sum(1)).all()
        assert (counts <= (table < radius * (1 + np.sign(radius) * 1e-5)).sum(1)).all()
        again = pickle.loads(pickle.dumps(index)).search(q, 10)
        np.testing.assert_array_equal(again.distances, index.search(q, 10).distances)


def test_jaccard_has_scores_and_l1_has_none():
    x = np.array([[1, 2], [2, 2]], np.float32)
    hits = steep.build(x, "jaccard").search(x[:1], 2)
    np.testing.assert_allclose(hits.scores, [[1, 0.75]])
    with pytest.raises(AttributeError, match='"l1" has no scores'):
        _ = steep.build(x, "l1").search(x, 1).scores


def test_the_text_of_a_metric_is_printed_back():
    for name in ("lp3", "lp0.5", "lp1", "lp2.25", "nan-euclidean"):
        assert steep.Index(4, name).metric == name
    for name in ("lp", "lp0", "lp-1", "lpx", "L1", "euclidean"):
        with pytest.raises(ValueError, match="metric"):
            steep.Index(4, name)


@pytest.mark.parametrize("metric", ["l1", "lp3", "gower", "jaccard"])
@pytest.mark.parametrize("spec", ["graph", "ivf", "ivf16,rabitq4", "pq2x4", "norm,flat", "f16"])
def test_other_kinds_of_index_are_refused(metric, spec):
    with pytest.raises(ValueError, match=r'"flat" or "flat-raw"'):
        steep.Index(8, metric, spec)
    with pytest.raises(ValueError, match="metric"):
        steep.kmeans(np.eye(8, dtype=np.float32), 2, metric=metric)


def test_nan_is_taken_only_where_it_means_something():
    x = np.array([[np.nan, 1], [0, 1]], np.float32)
    steep.build(x, "nan-euclidean")
    with pytest.raises(ValueError, match="row 0 holds NaN"):
        steep.build(x, "l1")
    with pytest.raises(ValueError, match="inf"):
        steep.build(np.array([[np.inf, 1]], np.float32), "gower")
    # Nothing in common: no distance.
    assert steep.build(x, "nan-euclidean").search(np.array([0, np.nan], np.float32), 2).ids.tolist() == [
        1,
        -1,
    ]
