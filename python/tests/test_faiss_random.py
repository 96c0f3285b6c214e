"""Random numbers are Faiss's, bit for bit, at any length, seed and number of threads."""

import faiss
import numpy as np
import pytest
from steep import faiss as ours

SHAPES = [0, 1, 2, 5, 1023, 1024, 1025, 100_001, (30, 41), (3, 0)]


@pytest.mark.parametrize("seed", [12345, 0, -7, 1 << 40])
@pytest.mark.parametrize("shape", SHAPES)
def test_arrays_are_faisss(shape: object, seed: int) -> None:
    for name in ("rand", "randn", "randint", "lrand"):
        np.testing.assert_array_equal(getattr(ours, name)(shape, seed), getattr(faiss, name)(shape, seed))
    np.testing.assert_array_equal(ours.randint(shape, seed, 100), faiss.randint(shape, seed, 100))


@pytest.mark.parametrize("n", [0, 1, 2, 10, 1000])
def test_orders_are_faisss(n: int) -> None:
    for name in ("rand_perm", "rand_perm_splitmix64"):
        found = []
        for library in (faiss, ours):
            order = np.zeros(n, np.int32)
            getattr(library, name)(library.swig_ptr(order), n, 77)
            found.append(order)
        np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("name", ["RandomGenerator", "SplitMix64RandomGenerator"])
def test_generators_go_on_as_faisss(name: str) -> None:
    theirs, mine = getattr(faiss, name)(5), getattr(ours, name)(5)
    for _ in range(50):
        told = [
            (g.rand_int(), g.rand_int(7), g.rand_int64(), g.rand_float(), g.rand_double())
            for g in (theirs, mine)
        ]
        assert told[0] == told[1]


def test_threads_change_nothing() -> None:
    before = ours.omp_get_max_threads()
    try:
        ours.omp_set_num_threads(1)
        one = ours.randn(50_000)
    finally:
        ours.omp_set_num_threads(before)
    np.testing.assert_array_equal(one, ours.randn(50_000))


def test_smooth_vectors_are_faisss_up_to_rounding() -> None:
    np.testing.assert_allclose(
        ours.rand_smooth_vectors(200, 33), faiss.rand_smooth_vectors(200, 33), atol=1e-5
    )


def test_bad_arguments_raise_what_faiss_raises() -> None:
    calls = [
        (TypeError, lambda f: f.randn(5, "a")),
        (TypeError, lambda f: f.randn(5, 1.5)),
        (TypeError, lambda f: f.rand(3.5)),
        (ValueError, lambda f: f.randn(-1)),
        (OverflowError, lambda f: f.randn(5, 1 << 70)),
        (OverflowError, lambda f: f.randint(5, vmax=-1)),
    ]
    for error, call in calls:
        for library in (faiss, ours):
            with pytest.raises(error):
                call(library)
    with pytest.raises(ValueError, match="vmax"):
        ours.randint(5, vmax=0)  # Faiss divides by it
