"""Kmeans and Clustering have Faiss's surface, and centroids as good as its own from the same start."""

import faiss
import numpy as np
import pytest
from steep import faiss as ours

# Faiss says so on stderr, and so do we.
pytestmark = pytest.mark.filterwarnings("default")


def smooth(n: int = 5000, d: int = 16) -> np.ndarray:
    return faiss.rand_smooth_vectors(n, d)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"niter": 5, "nredo": 3},
        {"spherical": True},
        {"int_centroids": True},
        {"max_points_per_centroid": 30},
        {"seed": 7, "niter": 4},
        {"init_method": 1},
        {"init_method": 2},
    ],
)
def test_objectives_are_faisss_up_to_a_part_of_a_percent(fields: dict) -> None:
    x, objectives, lengths = smooth(), [], []
    for library in (ours, faiss):
        km = library.Kmeans(16, 40, **fields)
        objectives.append(km.train(x))
        lengths.append(len(km.obj))
        assert list(km.obj) == [s["obj"] for s in km.iteration_stats] and km.obj[-1] == objectives[-1]
        D, I = km.assign(x)
        assert D.shape == I.shape == (5000,) and km.index.ntotal == 40
    close = 0.02 if fields.get("init_method") else 0.005
    assert objectives[0] == pytest.approx(objectives[1], rel=close)
    if fields == {"seed": 7, "niter": 4}:
        assert lengths[0] == lengths[1]


def test_first_objectives_are_faisss_for_they_begin_alike() -> None:
    x = smooth()
    first = [library.Kmeans(16, 40, niter=3) for library in (ours, faiss)]
    for km in first:
        km.train(x)
    np.testing.assert_allclose(first[0].obj, first[1].obj, rtol=1e-4)
    np.testing.assert_allclose(first[0].centroids, first[1].centroids, atol=1e-3)


def test_weights_move_centroids_as_in_faiss() -> None:
    x, weights = smooth(), np.random.RandomState(0).rand(5000).astype(np.float32)
    made = [library.Kmeans(16, 40, niter=4) for library in (ours, faiss)]
    for km in made:
        km.train(x, weights)
    np.testing.assert_allclose(made[0].obj, made[1].obj, rtol=1e-3)


def test_given_centroids_are_where_it_begins() -> None:
    x = smooth()
    better = faiss.Kmeans(16, 40)
    better.train(x)
    again = ours.Kmeans(16, 40, niter=4)
    again.train(x, init_centroids=better.centroids)
    assert again.obj[0] <= better.obj[-1] * 1.0001


def test_an_index_that_is_given_assigns_and_takes_the_centroids() -> None:
    x = smooth()
    for spherical in (False, True):
        objectives = []
        for library in (ours, faiss):
            clus, index = library.Clustering(16, 40), library.IndexFlatL2(16)
            clus.spherical = spherical
            clus.train(x, index)
            objectives.append(clus.iteration_stats.at(clus.iteration_stats.size() - 1).obj)
            assert index.ntotal == 40 and clus.centroids.size() == 16 * 40
        assert objectives[0] == pytest.approx(objectives[1], rel=0.005)


def test_as_many_points_as_centroids_are_the_centroids() -> None:
    x = smooth(20)
    km = ours.Kmeans(16, 20)
    assert km.train(x) == 0.0
    np.testing.assert_array_equal(km.centroids, x)


def test_points_that_coincide_leave_no_centroid_without_a_place() -> None:
    x = np.repeat(smooth(5, 2), 20, axis=0)
    km = ours.Kmeans(2, 10, niter=10)
    assert km.train(x) == pytest.approx(0, abs=1e-4)
    assert np.isfinite(km.centroids).all()


def test_bad_arguments_raise_what_faiss_raises() -> None:
    x, nan = faiss.rand((50, 4)), np.full((50, 4), np.nan, np.float32)
    calls = [
        (AttributeError, lambda f: f.Kmeans(4, 3, foo=3)),
        (RuntimeError, lambda f: f.Kmeans(4, 3).train(x[:2])),
        (AssertionError, lambda f: f.Kmeans(4, 3).train(faiss.rand((9, 5)))),
        (RuntimeError, lambda f: f.Kmeans(4, 3).train(nan)),
        (AssertionError, lambda f: f.Kmeans(4, 3).train(x, weights=np.ones(9))),
        (AssertionError, lambda f: f.Kmeans(4, 3).assign(x)),
        (RuntimeError, lambda f: f.Clustering(4, 3).train(x, f.IndexFlatL2(5))),
    ]
    for error, call in calls:
        for library in (faiss, ours):
            with pytest.raises(error):
                call(library)


@pytest.mark.parametrize(("n", "k"), [(20, 20), (300, 1), (300, 20), (1000, 100)])
def test_numbers_are_clustered_as_well_as_can_be(n: int, k: int) -> None:
    x, lost = np.random.RandomState(123).uniform(size=(n, 1)).astype(np.float32), []
    for library in (ours, faiss):
        clus = library.Clustering1D(k)
        clus.train_exact(x)
        centroids = np.asarray(library.vector_to_array(clus.centroids)).reshape(-1, 1)
        lost.append(faiss.knn(x, centroids, 1)[0].sum())
    assert lost[0] == pytest.approx(lost[1], rel=1e-4, abs=1e-9)


def test_more_and_more_dimensions_end_where_all_at_once_do() -> None:
    x = smooth(5000, 32)
    steps = [library.Kmeans(32, 40, progressive_dim_steps=5).train(x) for library in (ours, faiss)]
    assert steps[0] == pytest.approx(steps[1], rel=0.01)


def test_super_kmeans_is_as_good_as_kmeans() -> None:
    x = smooth()
    plain, made = ours.Kmeans(16, 40, niter=10).train(x), ours.SuperKmeans(16, 40, niter=10)
    assert made.train(x) == pytest.approx(plain, rel=0.01)
    assert made.obj.shape == (10,) and made.centroids.shape == (40, 16)


@pytest.mark.parametrize("method", [0, 1, 2])
def test_first_centroids_are_vectors_and_the_same_for_a_seed(method: int) -> None:
    x, chosen = smooth(), []
    for _ in range(2):
        start = ours.ClusteringInitialization(16, 40)
        start.method, start.seed = method, 5
        centroids = np.zeros((40, 16), np.float32)
        start.init_centroids(len(x), ours.swig_ptr(x), ours.swig_ptr(centroids))
        chosen.append(centroids)
    np.testing.assert_array_equal(*chosen)
    assert faiss.knn(chosen[0], x, 1)[0].max() < 1e-4


@pytest.mark.parametrize("epsilon", [0.01, 0.1, 0.5, 0.9])
def test_thresholds_of_first_coordinates_are_faisss(epsilon: float) -> None:
    for d in (1, 16, 100):
        mine = np.asarray(ours.precompute_ad_thresholds(d, epsilon))
        theirs = faiss.vector_to_array(faiss.precompute_ad_thresholds(d, epsilon))
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("d", "k", "first"), [(32, 20, 8), (130, 40, 32)])
@pytest.mark.parametrize("epsilon", [0.02, 0.5])
def test_an_iteration_rules_out_and_assigns_what_faisss_does(
    d: int, k: int, first: int, epsilon: float
) -> None:
    random = np.random.RandomState(d)
    x, y = random.randn(300, d).astype(np.float32), random.randn(k, d).astype(np.float32)
    results = []
    for library in (ours, faiss):
        tau, labels = np.full(300, 1e30, np.float32), np.zeros(300, np.int32)
        expected = np.asarray(faiss.vector_to_array(faiss.precompute_ad_thresholds(d, epsilon)))
        cp = library.SuperKMeansParameters()
        counts = library.super_kmeans_assign_iteration(x, y, tau, labels, first, expected, cp)
        results.append((counts, tau, labels))
    (counts, tau, labels), (their_counts, their_tau, their_labels) = results
    assert counts == tuple(their_counts)
    np.testing.assert_allclose(tau, their_tau, rtol=1e-5)
    np.testing.assert_array_equal(labels, their_labels)


def test_a_timeout_ends_what_goes_on_and_nothing_after_it() -> None:
    x = smooth(4000, 16)
    for library in (ours, faiss):
        km = library.Kmeans(16, 400, niter=100_000, nredo=1000)
        with pytest.raises(RuntimeError, match="interrupted"), library.TimeoutGuard(0.01):
            km.train(x)
        with library.TimeoutGuard(60):
            library.Kmeans(16, 4, niter=1).train(x)
        library.Kmeans(16, 4, niter=1).train(x)
