"""Pointers and vectors stand for Faiss's own: same sizes, same errors, what is written arrives."""

import faiss
import numpy as np
import pytest
from steep import faiss as ours

DTYPES = ["float32", "float64", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_pointer_leads_back_to_the_array(dtype: str) -> None:
    array = np.arange(12).astype(dtype)
    np.testing.assert_array_equal(ours.rev_swig_ptr(ours.swig_ptr(array), 12), array)
    ours.rev_swig_ptr(ours.swig_ptr(array[3:]), 2)[:] = 7
    assert array[3] == array[4] == 7 and array[5] == 5


@pytest.mark.parametrize(
    "bad", [np.zeros((4, 4), np.float32)[:, ::2], np.zeros(3, np.complex64), [1, 2], "text"]
)
def test_what_faiss_points_to_not_is_refused_alike(bad: object) -> None:
    for library in (faiss, ours):
        with pytest.raises(ValueError, match="array"):
            library.swig_ptr(bad)


def test_a_pointer_never_leads_beyond_its_array() -> None:
    with pytest.raises(ValueError, match="leads to 3"):
        ours.rev_swig_ptr(ours.swig_ptr(np.zeros(3, np.float32)), 4)
    with pytest.raises(ValueError, match="3 elements"):
        ours.fvec_norm_L2sqr(ours.swig_ptr(np.zeros(3, np.float32)), 4)
    with pytest.raises(TypeError, match="float64"):
        ours.fvec_norm_L2sqr(ours.swig_ptr(np.zeros(3)), 3)


@pytest.mark.parametrize("name", ["Float32", "Float64", "Int8", "Int32", "Int64", "UInt8", "UInt64"])
def test_a_vector_grows_and_shrinks_as_faiss_has_it(name: str) -> None:
    told = []
    for library in (faiss, ours):
        vector, other = getattr(library, name + "Vector")(), getattr(library, name + "Vector")()
        for value in (1, 2, 3):
            vector.push_back(value)
        library.copy_array_to_vector(np.array([7, 8], name.lower()), other)
        vector.swap(other)
        other.resize(5)
        errors = []
        for wrong in (lambda v=vector: v.at(2), lambda v=vector: v.at(-1), lambda v=vector: v.push_back("a")):
            with pytest.raises((RuntimeError, OverflowError, TypeError)) as raised:
                wrong()
            errors.append(raised.type)
        told.append((library.vector_to_array(vector), library.vector_to_array(other), other.size(), errors))
    np.testing.assert_array_equal(told[0][0], told[1][0])
    np.testing.assert_array_equal(told[0][1], told[1][1])
    assert told[0][2:] == told[1][2:]


def test_an_array_of_another_type_does_not_fit_a_vector() -> None:
    for library in (faiss, ours):
        with pytest.raises(AssertionError):
            library.copy_array_to_vector(np.zeros(3), library.Float32Vector())


def test_a_window_shows_and_changes_state_elsewhere() -> None:
    from steep.faiss._arrays import Float32Vector

    state = {"x": np.arange(3, dtype=np.float32)}
    window = Float32Vector.over(lambda: state["x"], lambda x: state.update(x=x))
    window.push_back(9)
    assert state["x"].tolist() == [0, 1, 2, 9] and window.size() == 4
    ours.copy_array_to_vector(np.ones(2, np.float32), window)
    assert state["x"].tolist() == [1, 1]


def test_old_names_of_vectors_warn() -> None:
    for library in (faiss, ours):
        with pytest.warns(DeprecationWarning, match="LongVector"):
            vector = library.LongVector()
        assert library.vector_to_array(vector).dtype == np.int64


def test_bytes_move_between_pointers() -> None:
    source, target = np.arange(4, dtype=np.int64), np.zeros(4, np.int64)
    ours.memcpy(ours.swig_ptr(target), ours.swig_ptr(source), 16)
    assert target.tolist() == [0, 1, 0, 0]
    with pytest.raises(ValueError, match="the source has 32"):
        ours.memcpy(ours.swig_ptr(target), ours.swig_ptr(source), 33)
