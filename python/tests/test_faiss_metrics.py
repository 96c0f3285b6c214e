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


@pytest.mark.parametrize("name", METRICS)
def test_lists_are_searched_by_any_metric(name):
    rng = np.random.default_rng(11)
    x, q = rng.random((700, 12), np.float32), rng.random((20, 12), np.float32)
    found = []
    for module in (ours, faiss):
        index = module.IndexIVFFlat(module.IndexFlatL2(12), 12, 9, getattr(module, name))
        index.metric_arg = METRICS[name]
        index.quantizer.add(x[:9])
        index.train(x)
        index.add_with_ids(x, np.arange(700) + 50)
        index.nprobe = 4
        far = float(np.median(index.search(q, 8)[0]))
        some = module.SearchParametersIVF(nprobe=5, sel=module.IDSelectorRange(100, 300))
        lims, D, I = index.range_search(q, far)
        sorted_ = np.lexsort((I, np.repeat(np.arange(20), np.diff(lims.astype(int)))))
        found.append((index.search(q, 8), index.search(q, 40, params=some), (lims, D[sorted_], I[sorted_])))
    for mine, theirs in zip(*found, strict=True):
        for got, expected in zip(mine, theirs, strict=True):
            np.testing.assert_allclose(got, expected, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("description", ["SQ8", "PQ4np", "IVF4,SQ8", "IVF4,PQ4np", "PQ4x4fs", "HNSW8,SQ8"])
def test_codes_are_refused_by_metrics_that_products_do_not_tell(description):
    x = np.random.default_rng(3).random((400, 12), np.float32)
    index = ours.index_factory(12, description, ours.METRIC_L1)
    index.train(x)

    def use():
        index.add(x)
        index.search(x[:2], 3)

    with pytest.raises(RuntimeError, match="METRIC_INNER_PRODUCT"):
        use()
