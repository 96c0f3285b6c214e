"""Results are those of a float64 computation, whatever the type, the metric and the way to them."""

import numpy as np
import oracle
import pytest
import steep
from numpy.testing import assert_allclose, assert_array_equal


def check(hits, x, q, k, metric, ids=None):
    ids, distances = oracle.nearest(x, q, k, metric, ids)
    assert hits.ids.dtype == np.int64
    assert hits.distances.dtype == np.float32
    assert_array_equal(hits.ids, ids)
    # Only the order of float64 additions differs: one unit in the last place of float32 at most.
    assert_allclose(hits.distances, distances, rtol=1.2e-7, atol=1e-12)


@pytest.mark.parametrize("metric", oracle.METRICS)
@pytest.mark.parametrize("dtype", oracle.DTYPES)
@pytest.mark.parametrize(("n", "d"), [(300, 7), (5000, 48)])
def test_nearest_are_exact(n, d, dtype, metric):
    x, q = oracle.vectors(1, n, d, dtype), oracle.vectors(2, 20, d, dtype)
    q[:5] = x[:5]
    for spec in ("auto", "flat", "flat-raw"):
        index = steep.build(x, metric, spec)
        assert (len(index), index.dim, index.metric, index.dtype) == (n, d, metric, dtype)
        for k in (1, 10):
            check(index.search(q, k), x, q, k, metric)
    check(steep.ground_truth(x, q, 10, metric), x, q, 10, metric)


@pytest.mark.parametrize("metric", oracle.METRICS)
@pytest.mark.parametrize("other", oracle.DTYPES)
@pytest.mark.parametrize("dtype", oracle.DTYPES)
def test_queries_may_be_of_another_type(dtype, other, metric):
    x, q = oracle.vectors(3, 200, 12, dtype), oracle.vectors(4, 9, 12, other)
    check(steep.build(x, metric).search(q, 5), x, q, 5, metric)


@pytest.mark.parametrize("metric", oracle.METRICS)
def test_integers_inside_floats_are_exact(metric):
    x = oracle.vectors(5, 5000, 32, "u8").astype(np.float32)
    check(steep.build(x, metric).search(x[:20], 10), x, x[:20], 10, metric)


@pytest.mark.parametrize("k", [1, 10, 99, 100, 101, 1000])
def test_k_may_be_anything_and_pads(k):
    x = oracle.vectors(6, 100, 5, "f32")
    hits = steep.build(x).search(x[:3], k)
    assert hits.ids.shape == (3, k)
    check(hits, x, x[:3], k, "l2")


def test_one_query_has_results_of_one_axis():
    x = oracle.vectors(7, 100, 5, "f32")
    index = steep.build(x, "cosine")
    one, many = index.search(x[4], 3), index.search(x[4:5], 3)
    assert one.ids.shape == one.distances.shape == one.scores.shape == (3,)
    assert_array_equal(one.ids, many.ids[0])
    assert_array_equal(one.distances, many.distances[0])
    assert steep.ground_truth(x, x[4], 3).ids.shape == (3,)


def test_no_queries_and_no_vectors_are_no_error():
    x = oracle.vectors(8, 10, 5, "f32")
    assert steep.build(x).search(x[:0], 3).ids.shape == (0, 3)
    assert len(steep.build(x).range_search(x[:0], 3.0)) == 0
    for empty in (steep.build(x[:0]), steep.Index(dim=5)):
        assert len(empty) == 0
        hits = empty.search(x[:2], 3)
        assert_array_equal(hits.ids, np.full((2, 3), -1))
        assert_array_equal(hits.distances, np.full((2, 3), np.inf, np.float32))
        assert_array_equal(empty.range_search(x[:2], 3.0).offsets, [0, 0, 0])


@pytest.mark.parametrize("metric", oracle.METRICS)
@pytest.mark.parametrize("n", [300, 5000])
def test_range_search_finds_all_within_the_radius(n, metric):
    x, q = oracle.vectors(9, n, 8, "f32"), oracle.vectors(10, 6, 8, "f32")
    ids, distances = oracle.nearest(x, q, n, metric)
    radius = float(distances[0, 20])  # itself included
    hits = steep.build(x, metric).range_search(q, radius)
    offsets, found, found_distances = hits
    assert offsets.dtype == found.dtype == np.int64
    assert found_distances.dtype == np.float32
    assert len(hits) == 6
    for i in range(6):
        within = distances[i] <= radius
        assert_array_equal(hits[i][0], ids[i][within])
        assert_allclose(hits[i][1], distances[i][within], rtol=1.2e-7, atol=1e-12)
    assert_array_equal(hits[-1][0], hits[5][0])
    with pytest.raises(IndexError):
        hits[6]
    assert_array_equal(steep.build(x, metric).range_search(q[0], radius).ids, hits[0][0])


def test_scores_are_similarities():
    x = oracle.vectors(11, 50, 5, "f32")
    ip, cosine, l2 = (steep.build(x, metric).search(x[:2], 60) for metric in ("ip", "cosine", "l2"))
    assert_array_equal(ip.scores[:, :50], -ip.distances[:, :50])
    assert_array_equal(cosine.scores, 1 - cosine.distances)
    assert cosine.scores[0, 0] == 1
    assert np.isneginf(ip.scores[:, 50:]).all()
    assert np.isneginf(cosine.scores[:, 50:]).all()
    with pytest.raises(AttributeError, match="l2"):
        _ = l2.scores


def test_ids_of_the_users_choice_come_back():
    x = oracle.vectors(12, 400, 6, "f32")
    ids = np.random.default_rng(0).permutation(10_000)[:400].astype(np.uint64)
    ids[7], ids[8] = 2**64 - 2, 2**63
    signed = ids.astype(np.int64)
    index = steep.build(x, ids=ids)
    hits = index.search(x, 1)
    row = np.setdiff1d(np.arange(400), np.r_[200:240])  # the others have a twin, whose id may be lower
    assert_array_equal(hits.ids[row[40:], 0], signed[row[40:]])
    assert hits.ids.view(np.uint64)[7, 0] in (ids[7], ids[207])
    for kind in (np.int64, np.int32, np.uint32, np.uint16):
        assert_array_equal(
            steep.build(x[:100], ids=np.arange(100, 200, dtype=kind)).search(x[5:6], 1).ids, [[105]]
        )
    assert_array_equal(steep.build(x[:3], ids=[30, 20, 10]).search(x[2], 1).ids, [10])
    assert_array_equal(steep.build(x[:3], ids=range(5, 8)).search(x[2], 1).ids, [7])


def test_an_index_grows():
    x = oracle.vectors(13, 6000, 16, "f16")
    index = steep.Index(dim=16, metric="ip", dtype="f16")
    for start in range(0, 6000, 1500):
        index.add(x[start : start + 1500])
    check(index.search(x[:9], 10), x, x[:9], 10, "ip")
    index = steep.build(x[:10], ids=np.arange(10) + 100)
    index.add(x[10:20])  # numbered from the largest id on
    index.add(x[20:21], ids=[5])
    index.add(x[:0])
    everything = [*range(100, 120), 5]
    check(index.search(x[:30], 21), x[:21], x[:30], 21, "l2", np.array(everything))


def test_same_seed_and_data_give_the_same_index_at_any_number_of_threads():
    x = oracle.vectors(14, 5000, 32, "f32")
    a, b = (steep.build(x, seed=3, threads=threads)._core.to_bytes() for threads in (1, 2))
    assert_array_equal(a, b)


@pytest.mark.parametrize("threads", [1, 2, 1000])
def test_threads_change_no_result(threads):
    x = oracle.vectors(15, 5000, 32, "f32")
    index = steep.build(x, threads=threads)
    check(index.search(x[:40], 10, threads=threads), x, x[:40], 10, "l2")


def test_recall_counts_true_ids():
    assert steep.recall([[1, 2]], [[2, 1]]) == 1
    assert steep.recall([[1, 2], [3, 4]], [[1, 9], [9, 8]]) == 0.25
    assert steep.recall([1, 2, 3, 4], [1, 2]) == 1  # the first two of each
    assert steep.recall([[1, -1]], [[1, -1]]) == 1
    assert steep.recall(np.array([[1]], np.uint32), np.array([[1]], np.int8)) == 1
