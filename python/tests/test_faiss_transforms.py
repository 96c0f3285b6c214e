"""Transforms are Faiss's: the same matrices where they are determined, as good ones where learned."""

import faiss
import numpy as np
import pytest
from steep import faiss as ours
from steep.faiss._transforms import transform_from_record


def smooth(n: int = 3000, d: int = 24) -> np.ndarray:
    return faiss.rand_smooth_vectors(n, d)


def array(vector: object) -> np.ndarray:
    return faiss.vector_to_array(vector)


@pytest.mark.parametrize(("d_in", "d_out"), [(24, 10), (24, 24), (10, 24), (1, 1)])
@pytest.mark.parametrize("seed", [5, 12345])
def test_rotations_of_a_seed_are_faisss(d_in: int, d_out: int, seed: int) -> None:
    mine, theirs = ours.RandomRotationMatrix(d_in, d_out), faiss.RandomRotationMatrix(d_in, d_out)
    mine.init(seed)
    theirs.init(seed)
    np.testing.assert_allclose(mine.A, array(theirs.A), atol=1e-5)
    x = smooth(50, d_in)
    np.testing.assert_allclose(mine.apply(x), theirs.apply(x), atol=1e-4)
    y = mine.apply(x)
    np.testing.assert_allclose(mine.reverse_transform(y), theirs.reverse_transform(y), atol=1e-4)


@pytest.mark.parametrize("args", [(24, 10), (24, 10, -0.5), (24, 8, 0, True), (24, 8, -0.5, True)])
@pytest.mark.parametrize("n", [3000, 15])
def test_principal_directions_are_faisss_up_to_their_signs(args: tuple, n: int) -> None:
    x = smooth()
    mine, theirs = ours.PCAMatrix(*args), faiss.PCAMatrix(*args)
    mine.train(x[:n])
    theirs.train(x[:n])
    np.testing.assert_allclose(mine.mean, array(theirs.mean), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(mine.eigenvalues, array(theirs.eigenvalues), rtol=1e-3, atol=1e-2)
    assert mine.is_orthonormal == theirs.is_orthonormal and mine.PCAMat.size() == theirs.PCAMat.size()
    if not mine.random_rotation:
        a, b = (np.asarray(m).reshape(-1, 24) for m in (mine.A, array(theirs.A)))
        signs = np.sign((a * b).sum(axis=1, keepdims=True))
        np.testing.assert_allclose(a * signs, b, atol=1e-3 * np.abs(b).max())
    y, true = mine.apply(x[:50]), theirs.apply(x[:50])
    apart = [np.square(t[:, None] - t).sum(axis=2) for t in (y, true)]
    np.testing.assert_allclose(*apart, rtol=2e-2, atol=1e-2)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("epsilon", [0.0, 1e-4])
def test_null_directions_are_whitened_in_silence_and_finitely_by_an_epsilon(epsilon: float) -> None:
    x = np.random.default_rng(2).standard_normal((300, 12)).astype(np.float32)
    x[:, 5:] = 0
    matrix = ours.PCAMatrix(12, 8, -0.5)
    matrix.epsilon = epsilon
    matrix.train(x)
    assert np.isfinite(matrix.apply(x)).all() == (epsilon > 0)


@pytest.mark.parametrize("bins", [2, 5])
def test_balanced_bins_order_directions_as_faiss_does(bins: int) -> None:
    x, made = smooth(), []
    for library in (ours, faiss):
        pca = library.PCAMatrix(24, 10)
        pca.balanced_bins = bins
        pca.train(x)
        made.append(np.abs(pca.apply(x)))
    np.testing.assert_allclose(*made, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("d", [1, 12, 16, 100])
def test_hadamard_rotations_are_faisss(d: int) -> None:
    x = faiss.randn((300, d))
    mine, theirs = ours.HadamardRotation(d, 77), faiss.HadamardRotation(d, 77)
    np.testing.assert_array_equal(mine.signs3, array(theirs.signs3))
    y = theirs.apply(x)
    np.testing.assert_allclose(mine.apply(x), y, rtol=1e-4, atol=1e-5)
    if d in (1, 16):
        np.testing.assert_allclose(mine.reverse_transform(y), theirs.reverse_transform(y), atol=1e-4)


@pytest.mark.parametrize("args", [(8, 4, True), (8, 4, False), (8, 13, True), (8, 13, False), (8, 8, True)])
def test_dimensions_are_picked_as_faiss_does(args: tuple) -> None:
    x = faiss.randn((30, 8))
    mine, theirs = ours.RemapDimensionsTransform(*args), faiss.RemapDimensionsTransform(*args)
    y = theirs.apply(x)
    np.testing.assert_array_equal(mine.apply(x), y)
    np.testing.assert_array_equal(mine.reverse_transform(y), theirs.reverse_transform(y))


def test_centres_and_lengths_are_taken_away() -> None:
    x = smooth()
    for name in ("CenteringTransform", "NormalizationTransform"):
        made = [getattr(library, name)(24) for library in (ours, faiss)]
        for transform in made:
            transform.train(x)
        y = made[1].apply(x)
        np.testing.assert_allclose(made[0].apply(x), y, atol=1e-5)
        np.testing.assert_allclose(made[0].reverse_transform(y), made[1].reverse_transform(y), atol=1e-5)


def test_signs_tell_as_much_as_with_faisss_rotation() -> None:
    x, lost = smooth(), []
    for library in (ours, faiss):
        itq = library.ITQTransform(24, 8, True)
        itq.train(x)
        y = itq.apply(x)
        lost.append(np.square(np.sign(y) - y / np.abs(y).mean()).mean())
    assert lost[0] < 1.05 * lost[1]


@pytest.mark.parametrize("args", [(24, 4), (24, 4, 12), (24, 8, 32)])
def test_product_codes_lose_no_more_than_with_faisss_rotation(args: tuple) -> None:
    x, lost = smooth(), []
    for library in (ours, faiss):
        opq = library.OPQMatrix(*args)
        opq.niter = 2
        opq.pq = None
        opq.train(x)
        y = opq.apply(x)
        pq = faiss.ProductQuantizer(opq.d_out, args[1], 6)
        pq.train(y)
        lost.append(np.square(pq.decode(pq.compute_codes(y)) - y).sum())
    assert lost[0] < 1.03 * lost[1]


def test_matrices_can_be_written_and_read() -> None:
    matrix, _ = np.linalg.qr(np.random.RandomState(10).randn(20, 20))
    for library in (ours, faiss):
        linear = library.LinearTransform(20, 10, True)
        with pytest.raises(RuntimeError):
            linear.apply(np.zeros((1, 20), np.float32))
        library.copy_array_to_vector(matrix[:10].astype(np.float32).ravel(), linear.A)
        library.copy_array_to_vector(np.ones(10, np.float32), linear.b)
        linear.set_is_orthonormal()
        linear.is_trained = True
        assert linear.is_orthonormal
        x = smooth(30, 20)
        y = linear.apply(x)
        np.testing.assert_allclose(linear.apply(linear.reverse_transform(y)), y, atol=1e-4)
        library.copy_array_to_vector(np.full(200, 0.5, np.float32), linear.A)
        linear.set_is_orthonormal()
        assert not linear.is_orthonormal
        with pytest.raises(RuntimeError):
            linear.reverse_transform(y)


def test_bad_arguments_raise_what_faiss_raises() -> None:
    x = smooth(100, 8)
    calls = [
        (RuntimeError, lambda f: f.PCAMatrix(8, 4).apply(x)),
        (RuntimeError, lambda f: f.PCAMatrix(8, 12).train(x)),
        (RuntimeError, lambda f: f.PCAMatrix(8, 4).train(x[:3])),
        (AssertionError, lambda f: f.PCAMatrix(8, 4).train(x[:, :3])),
        (RuntimeError, lambda f: f.OPQMatrix(8, 4).train(x)),
        (RuntimeError, lambda f: f.OPQMatrix(8, 3).train(x)),
        (RuntimeError, lambda f: f.NormalizationTransform(8, 1.0).apply(x)),
        (RuntimeError, lambda f: f.CenteringTransform(8).apply(x)),
        (RuntimeError, lambda f: f.HadamardRotation(7).reverse_transform(x)),
        (AttributeError, lambda f: f.VectorTransform(8)),
    ]
    for error, call in calls:
        for library in (faiss, ours):
            with pytest.raises(error):
                call(library)


def test_a_record_says_all_of_a_transform() -> None:
    x = smooth(400, 16)
    for made in (
        ours.PCAMatrix(16, 4, -0.5),
        ours.RandomRotationMatrix(16, 20),
        ours.ITQTransform(16, 8, True),
        ours.OPQMatrix(16, 2),
        ours.NormalizationTransform(16),
        ours.CenteringTransform(16),
        ours.RemapDimensionsTransform(16, 20),
        ours.HadamardRotation(16),
    ):
        if isinstance(made, ours.OPQMatrix):
            made.niter = 1
        made.train(x)
        again = transform_from_record(made.to_record())
        np.testing.assert_array_equal(again.apply(x), made.apply(x))
        assert again.is_trained and (again.d_in, again.d_out) == (made.d_in, made.d_out)
