"""Transforms from Python: what NumPy makes of the same vectors is what an index finds."""

import pickle

import numpy as np
import pytest
import steep
from numpy.testing import assert_allclose, assert_array_equal

RNG = np.random.default_rng(21)
# Directions of falling variance: which of them is the larger is beyond doubt.
TURN = np.linalg.qr(RNG.standard_normal((24, 24)))[0]
ALL = ((RNG.standard_normal((2060, 24)) * 0.75 ** np.arange(24)) @ TURN + 2.0).astype(np.float32)
X, Q = ALL[:2000], ALL[2000:]


def pca(x, dim, center):
    """The directions of the largest variance about a centre, and their deviations."""
    values, vectors = np.linalg.eigh((x - center).T @ (x - center) / len(x))
    return vectors[:, ::-1][:, :dim], np.sqrt(values[::-1][:dim])


def l2(q, x):
    return ((q[:, None] - x[None]) ** 2).sum(2)


def test_pca_keeps_the_directions_that_numpy_finds():
    center = X.mean(0, dtype=np.float64)
    directions, _ = pca(X.astype(np.float64), 6, center)
    hits = steep.build(X, spec="pca6,flat").search(Q, 5)
    distances = l2((Q - center) @ directions, (X - center) @ directions)
    assert_allclose(hits.distances, np.sort(distances, 1)[:, :5], rtol=2e-2)


def test_inner_products_stay_as_they_are_when_directions_are_left_out():
    directions, _ = pca(X.astype(np.float64), 6, 0.0)
    hits = steep.build(X, metric="ip", spec="pca6,flat").search(Q, 5)
    products = (Q @ directions) @ (X @ directions).T
    assert_allclose(hits.scores, -np.sort(-products, 1)[:, :5], rtol=1e-3)


def test_whitening_is_the_distance_of_mahalanobis():
    hits = steep.build(X, spec="pcaw,flat").search(Q, 5)
    inverse = np.linalg.inv(np.cov(X.T.astype(np.float64), bias=True))
    offsets = (Q[:, None] - X[None]).astype(np.float64)
    distances = np.einsum("qni,ij,qnj->qn", offsets, inverse, offsets)
    assert_allclose(hits.distances, np.sort(distances, 1)[:, :5], rtol=2e-2)


def test_vectors_of_length_one_have_the_cosine_for_a_distance():
    hits = steep.build(X, spec="norm,flat").search(Q, 5)
    cosine = steep.build(X, metric="cosine", spec="flat").search(Q, 5)
    assert_array_equal(hits.ids, cosine.ids)
    assert_allclose(hits.distances, 2 * cosine.distances, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("metric", ["l2", "ip", "cosine"])
def test_rotations_keep_neighbours_and_the_shape_of_queries(metric, dtype):
    x, q = X.astype(dtype), Q.astype(dtype)
    index = steep.build(x, metric=metric, spec="rotate,opq4,flat")
    true = steep.ground_truth(x, q, 5, metric)
    hits = index.search(q, 5)
    assert steep.recall(hits.ids, true.ids) > 0.995
    assert (index.dim, index.dtype, index.spec) == (24, dtype.replace("loat", ""), "rotate,opq4,flat")
    one = index.search(q[3], 5)
    assert_array_equal(one.ids, hits.ids[3])
    assert index.bytes["transforms"] > 0
    assert index.bytes["total"] == sum(size for part, size in index.bytes.items() if part != "total")


def test_they_are_saved_and_copied_with_the_index(tmp_path):
    index = steep.build(X, spec="norm,pca12,ivf20,rabitq8")
    index.save(tmp_path / "x.steep")
    for other in (steep.open(tmp_path / "x.steep", mmap=True), pickle.loads(pickle.dumps(index))):
        assert other.spec == "norm,pca12,ivf20,rabitq8"
        assert_array_equal(other.search(Q).ids, index.search(Q).ids)


def test_what_does_not_suit_is_refused_by_name():
    with pytest.raises(ValueError, match="pca25 of 24 dimensions: expected at most as many directions"):
        steep.build(X, spec="pca25,flat")
    with pytest.raises(ValueError, match="opq5_24 of 24 dimensions"):
        steep.Index(24, spec="opq5_24,pq5x4")
    with pytest.raises(ValueError, match="queries have 12 dimensions, the index has 24"):
        steep.build(X, spec="pca12,flat").search(Q[:, :12])
    with pytest.raises(ValueError, match=r'spec "pca6,flot": .* at character 7'):
        steep.build(X, spec="pca6,flot")
