"""k-means from Python: what goes in, what comes out, what is refused."""

import pickle

import numpy as np
import oracle
import pytest
import steep
from numpy.testing import assert_allclose, assert_array_equal

RNG = np.random.default_rng(5)
CENTERS = 4 * RNG.standard_normal((30, 20))
X = (CENTERS[RNG.integers(0, 30, 3000)] + RNG.standard_normal((3000, 20))).astype(np.float32)


@pytest.mark.parametrize("dtype", oracle.DTYPES)
@pytest.mark.parametrize("metric", oracle.METRICS)
def test_labels_are_of_the_nearest_centroid(metric, dtype):
    x = oracle.vectors(1, 900, 17, dtype)
    found = steep.kmeans(x, 40, metric=metric, iterations=5)
    labels, distances = found.assign(x)
    assert found.centroids.shape == (40, 17)
    assert (labels.dtype, distances.dtype) == (np.int64, np.float32)
    assert found.objective.shape == (5,)
    true = oracle.distances(found.centroids, x, metric)
    assert_allclose(distances, true.min(axis=1), rtol=1e-5, atol=1e-6)
    assert_allclose(true[np.arange(900), labels], true.min(axis=1), rtol=1e-5, atol=1e-6)
    if metric != "l2":
        assert_allclose(np.linalg.norm(found.centroids, axis=1), 1, rtol=1e-5)


def test_an_iteration_is_the_mean_of_the_nearest():
    start = X[:30]
    found = steep.kmeans(X, 30, iterations=1, start=start)
    distances = oracle.distances(start, X, "l2")
    labels = distances.argmin(axis=1)
    means = np.stack([X[labels == i].mean(axis=0, dtype=np.float64) for i in range(30)])
    assert_allclose(found.centroids, means, rtol=1e-5, atol=1e-5)
    assert_allclose(found.objective, [distances.min(axis=1).sum(dtype=np.float64)], rtol=1e-6)


def test_the_same_seed_gives_the_same_centroids():
    first, again, other = (steep.kmeans(X, 50, seed=seed, threads=t) for seed, t in ((1, 1), (1, 2), (2, 2)))
    assert_array_equal(first.centroids, again.centroids)
    assert not np.array_equal(first.centroids, other.centroids)


def test_k_means_plus_plus_finds_the_clusters():
    best = np.square(X - X.mean(axis=0)).sum()
    found = steep.kmeans(X, 30, start="k-means++")
    assert found.objective[-1] < 0.15 * best


def test_weights_of_zero_take_vectors_out():
    weights = np.zeros(len(X))
    weights[:1000] = 2
    found = steep.kmeans(X, 20, weights=weights, start=X[:20])
    alone = steep.kmeans(X[:1000], 20, start=X[:20])
    assert_allclose(found.centroids, alone.centroids, rtol=1e-5, atol=1e-5)
    assert_allclose(found.objective, 2 * alone.objective, rtol=1e-6)


def test_a_sample_is_enough_for_good_centroids():
    whole, sample = (steep.kmeans(X, 30, max_points_per_centroid=m) for m in (None, 40))
    cost = sample.assign(X)[1].sum()
    assert sample.objective[-1] < 0.5 * whole.objective[-1]  # of fewer vectors
    assert cost < 1.3 * whole.assign(X)[1].sum()


def test_progress_is_reported_and_ends_the_call():
    stages = []
    steep.kmeans(X, 100, progress=lambda stage, done, total: stages.append((stage, done <= total)))
    assert {"assign", "update"} <= {stage for stage, _ in stages}
    assert all(fine for _, fine in stages)

    def stop(*_):
        raise InterruptedError("enough")

    with pytest.raises(InterruptedError, match="enough"):
        steep.kmeans(X, 100, progress=stop)


def test_a_result_can_be_shown_and_pickled():
    found = steep.kmeans(X, 12, metric="cosine", iterations=3)
    assert repr(found).startswith('Kmeans(k=12, dim=20, metric="cosine", iterations=3, objective=')
    assert_array_equal(pickle.loads(pickle.dumps(found)).centroids, found.centroids)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"k": 0}, ValueError, "k = 0"),
        ({"k": 3001}, ValueError, "k = 3001"),
        ({"k": 2.5}, TypeError, "k = 2.5"),
        ({"iterations": 0}, ValueError, "iterations = 0"),
        ({"iterations": -1}, ValueError, "iterations = -1"),
        ({"metric": "l3"}, ValueError, "l3"),
        ({"start": "best"}, ValueError, 'start = "best"'),
        ({"start": X[:9]}, ValueError, "start = 9 centroids"),
        ({"start": X[:10, :3]}, ValueError, "centroids have 3 dimensions"),
        ({"start": None}, TypeError, "centroids"),
        ({"weights": np.ones(5)}, ValueError, "weights = 5 values"),
        ({"weights": np.ones((3000, 1))}, ValueError, r"shape \(3000, 1\)"),
        ({"weights": -np.ones(3000)}, ValueError, "weights = -1"),
        ({"max_points_per_centroid": 0}, ValueError, "max_points_per_centroid = 0"),
        ({"threads": 0}, ValueError, "threads = 0"),
        ({"x": X[0]}, ValueError, "shape"),
        ({"x": np.full((20, 4), np.nan, np.float32)}, ValueError, "nan|NaN"),
        ({"x": np.zeros((20, 4), np.float32), "metric": "cosine"}, ValueError, "zeros"),
    ],
)
def test_bad_arguments_are_refused_by_name(change, error, says):
    arguments = {"x": X, "k": 10} | change
    with pytest.raises(error, match=says):
        steep.kmeans(arguments.pop("x"), arguments.pop("k"), **arguments)
    found = steep.kmeans(X, 3)
    with pytest.raises(ValueError, match="dimensions"):
        found.assign(X[:, :5])


def test_a_hierarchy_is_nearly_as_good_and_says_what_it_does_not_take():
    rng = np.random.default_rng(5)
    x = (rng.standard_normal((40, 16)).repeat(200, 0) + 0.3 * rng.standard_normal((8000, 16))).astype(
        np.float32
    )
    found = steep.kmeans(x, 300, iterations=8, hierarchical=True)
    best = steep.kmeans(x, 300, iterations=8)
    assert found.assign(x)[1].sum() < 1.1 * best.assign(x)[1].sum()
    assert found.objective[-1] == pytest.approx(found.assign(x)[1].sum(), rel=0.02)
    with pytest.raises(ValueError, match="start"):
        steep.kmeans(x, 2, start=x[:2], hierarchical=True)


def test_batches_of_a_mapped_file_come_near_to_all_of_it(tmp_path):
    rng = np.random.default_rng(6)
    x = (3 * rng.standard_normal((50, 12)).repeat(400, 0) + rng.standard_normal((20_000, 12))).astype(
        np.float32
    )
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    found = steep.kmeans(mapped, 40, iterations=40, batch=2000)
    best = steep.kmeans(x, 40, iterations=40)
    assert found.assign(x)[1].sum() < 1.15 * best.assign(x)[1].sum()
    assert found.objective[-1] == pytest.approx(found.assign(x)[1].sum(), rel=0.1)
    with pytest.raises(ValueError, match="batch"):
        steep.kmeans(x, 40, batch=39)
    with pytest.raises(ValueError, match="batch"):
        steep.kmeans(x, 40, batch=100, hierarchical=True)


def test_balanced_groups_have_about_the_same_size():
    x = np.random.default_rng(5).standard_normal((4000, 10)).astype(np.float32)
    found = steep.kmeans(x, 20, balanced=True)
    assert found.prices.shape == (20,)
    sizes = np.bincount(found.assign(x)[0], minlength=20)
    assert sizes.max() < 1.25 * 200
    usual = steep.kmeans(x, 20)
    assert usual.prices.shape == (0,)
    assert sizes.std() < np.bincount(usual.assign(x)[0], minlength=20).std()
    with pytest.raises(ValueError, match="balanced = true"):
        steep.kmeans(x, 20, balanced=True, batch=500)
