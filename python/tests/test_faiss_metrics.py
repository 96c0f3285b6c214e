"""Metrics by Faiss's names, against Faiss."""

import numpy as np
import pytest

faiss = pytest.importorskip("faiss")

import steep.faiss as ours  # noqa: E402

METRICS = {
    "METRIC_L1": 0.0,
    "METRIC_Linf": 0.0,
    "METRIC_Lp": 3.0,
    "METRIC_Canberra": 0.0,
    "METRIC_BrayCurtis": 0.0,
    "METRIC_JensenShannon": 0.0,
    "METRIC_Jaccard": 0.0,
    "METRIC_NaNEuclidean": 0.0,
    "METRIC_GOWER": 0.0,
}


@pytest.mark.parametrize("arg", [0.0, 0.5, 1.5, 3.0])
@pytest.mark.parametrize("name", METRICS)
def test_flat_search_finds_the_same(name, arg):
    if (arg != 0.0) != (name == "METRIC_Lp"):
        pytest.skip("of Lp only")
    rng = np.random.default_rng(7)
    x, q = rng.random((900, 24), np.float32) + 1e-3, rng.random((30, 24), np.float32) + 1e-3
    x, q = np.minimum(x, 1), np.minimum(q, 1)
    if name in ("METRIC_NaNEuclidean", "METRIC_GOWER"):
        x[rng.random(x.shape) < 0.1] = np.nan
    found = []
    for module in (ours, faiss):
        index = module.IndexFlat(24, getattr(module, name))
        index.metric_arg = arg
        index.add(x)
        found.append((index.search(q, 11), index.range_search(q, float(np.median(index.search(q, 11)[0])))))
    (D1, I1), (D2, I2) = found[0][0], found[1][0]
    np.testing.assert_allclose(D1, D2, rtol=2e-5, atol=1e-6)
    assert (I1 == I2).mean() > 0.99
    lims1, lims2 = found[0][1][0].astype(int), found[1][1][0].astype(int)
    assert abs(np.diff(lims1) - np.diff(lims2)).max() <= 1
