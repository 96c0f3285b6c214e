"""Signs of coordinates beside Faiss: bits, distances by them, what they stand for, strings and records."""

import pickle

import numpy as np
import pytest

theirs = pytest.importorskip("faiss")

import steep.faiss as ours  # noqa: E402
from steep.faiss._lsh import IndexLSH  # noqa: E402
from steep.faiss.contrib.factory_tools import reverse_index_factory  # noqa: E402

D = 20
KINDS = [(20, False, False), (13, False, True), (20, True, False), (13, True, True), (37, True, True)]


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(8).standard_normal((1500, D), dtype=np.float32)


def pair(x, kind):
    """The same index twice, of one rotation: those of Faiss and ours differ in the last digits."""
    made = []
    for module in (theirs, ours):
        index = module.IndexLSH(D, *kind)
        if made and kind[1]:
            rotation = theirs.vector_to_array(made[0].rrot.A)
            np.testing.assert_allclose(index.rrot.A.array, rotation, atol=1e-5)
            ours.copy_array_to_vector(rotation, index.rrot.A)
        index.train(x[:500])  # an even number: no vector lies at a median, where rounding decides
        index.add(x[500:])
        made.append(index)
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_bits_and_searches_are_those_of_faiss(x, kind):
    b, a = pair(x, kind)
    assert (a.ntotal, a.code_size, a.nbits, a.is_trained) == (1000, -(-kind[0] // 8), kind[0], True)
    np.testing.assert_allclose(a.thresholds.array, theirs.vector_to_array(b.thresholds), atol=1e-6)
    np.testing.assert_array_equal(a.sa_encode(x), b.sa_encode(x))
    np.testing.assert_array_equal(a.codes.array, theirs.vector_to_array(b.codes))
    for k in (1, 10, 999):
        mine, wanted = a.search(x[:50], k), b.search(x[:50], k)
        np.testing.assert_array_equal(mine[0], wanted[0])
        assert mine[0].dtype == np.float32
        np.testing.assert_array_equal(mine[1][:, : k // 50], wanted[1][:, : k // 50])


def test_zeros_and_nans_are_the_bits_that_faiss_has():
    edges = np.zeros((4, D), np.float32)
    edges[1], edges[2], edges[3] = -0.0, np.nan, np.inf
    codes = [module.IndexLSH(D, D, False).sa_encode(edges) for module in (ours, theirs)]
    np.testing.assert_array_equal(*codes)
    assert codes[0][0, 0] == 255 and codes[0][2, 0] == 0


@pytest.mark.parametrize("kind", KINDS)
def test_codes_stand_for_vectors_at_which_ranges_are_measured(x, kind):
    b, a = pair(x, kind)
    known = kind[0] if not kind[1] else D  # of other coordinates Faiss tells what was in memory
    decoded = a.sa_decode(a.sa_encode(x[:9]))
    np.testing.assert_allclose(decoded[:, :known], b.sa_decode(b.sa_encode(x[:9]))[:, :known], atol=1e-5)
    np.testing.assert_array_equal(a.reconstruct(3), a.sa_decode(a.sa_encode(x[503:504]))[0])
    np.testing.assert_array_equal(a.reconstruct_n(2, 5)[1], a.reconstruct(3))
    if known == D:
        distances = ((x[:9, None] - a.reconstruct_n(0, 1000)[None]) ** 2).sum(2)
        radius = float(np.quantile(distances, 0.1))
        lims, near, ids = a.range_search(x[:9], radius)
        np.testing.assert_array_equal(lims, b.range_search(x[:9], radius)[0])
        np.testing.assert_allclose(
            near, distances[np.repeat(np.arange(9), np.diff(lims.astype(int))), ids], rtol=1e-4
        )
        computer = a.get_distance_computer()
        computer.set_query(ours.swig_ptr(x[0]))
        assert computer(7) == pytest.approx(float(distances[0, 7]), rel=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_codes_are_removed_and_merged_as_in_faiss(x, kind):
    found = []
    for index, module in zip(pair(x, kind), (theirs, ours), strict=True):
        assert index.remove_ids(np.arange(100, 300)) == 200
        other = module.clone_index(index) if module is theirs else IndexLSH.from_record(index.to_record())
        index.merge_from(other)
        assert (index.ntotal, other.ntotal) == (1600, 0)
        codes = index.sa_encode(x[:5])
        index.add_sa_codes(codes)
        found.append(module.vector_to_array(index.codes))
        index.reset()
        assert index.ntotal == 0 and index.search(x[:2], 1)[1].tolist() == [[-1], [-1]]
    np.testing.assert_array_equal(*found)


def test_thresholds_go_to_the_transform_in_front(x):
    plain, moved = ours.IndexLSH(D, 11, True, True), ours.IndexLSH(D, 11, True, True)
    plain.train(x)
    moved.train(x)
    with pytest.raises(RuntimeError, match="nbits == vt->d_out"):
        moved.transfer_thresholds(ours.LinearTransform(D, D))
    moved.transfer_thresholds(moved.rrot)
    assert (moved.train_thresholds, moved.thresholds.size(), moved.rrot.have_bias) == (False, 0, True)
    np.testing.assert_array_equal(moved.sa_encode(x), plain.sa_encode(x))
    compared = ours.rev_swig_ptr(moved.apply_preprocess(3, ours.swig_ptr(x)), 33).reshape(3, 11)
    packed = np.packbits(compared >= 0, axis=1, bitorder="little")
    np.testing.assert_array_equal(packed, moved.sa_encode(x[:3]))
    moved.transfer_thresholds(ours.LinearTransform(D, D))  # there are none any more


def test_what_faiss_refuses_is_refused(x):
    with pytest.raises(RuntimeError, match="d_in >= nbits_in"):
        ours.IndexLSH(D, D + 1, False)
    with pytest.raises(RuntimeError, match="nbits > 0"):
        ours.IndexLSH(D, 0)
    index = ours.IndexLSH(D, 8, True, True)
    for call in (index.add, index.sa_encode, lambda x: index.search(x, 1)):
        with pytest.raises(RuntimeError, match="is_trained"):
            call(x)
    index.train(x)
    with pytest.raises(RuntimeError, match="search params not supported"):
        index.search(x, 1, params=ours.SearchParameters())
    with pytest.raises(RuntimeError, match="other->d == d"):
        index.merge_from(ours.IndexLSH(D, 17))


@pytest.mark.parametrize("text", ["LSH", "LSHr", "LSHt", "LSHrt", "LSH16rt", "LSH9", "LSH33r"])
def test_strings_make_the_index_that_faiss_makes(text):
    a, b = (module.index_factory(D, text) for module in (ours, theirs))
    for name in ("d", "nbits", "rotate_data", "train_thresholds", "is_trained", "code_size"):
        assert getattr(a, name) == getattr(b, name)
    assert reverse_index_factory(a) == "LSH" + text.lstrip("LSH0123456789")


def test_strings_compose(x):
    for text, again in (
        ("ITQ,LSHt", "ITQ20,LSHt"),
        ("LSHr,RFlat", "LSHr,Refine(Flat)"),
        ("IVF4(LSHr),Flat", "IVF4(LSHr),Flat"),
    ):
        index = ours.index_factory(D, text)
        index.train(x)
        index.add(x)
        assert reverse_index_factory(index) == again
        assert (index.search(x, 1)[1][:, 0] == np.arange(len(x))).mean() > 0.9
    for text in ("LSHtr", "IVF4,LSH", "LSHx"):
        with pytest.raises(RuntimeError, match="could not parse"):
            ours.index_factory(D, text)
    with pytest.raises(RuntimeError, match="metric == METRIC_L2"):
        ours.index_factory(D, "LSH", ours.METRIC_INNER_PRODUCT)


@pytest.mark.parametrize("kind", KINDS)
def test_a_record_is_the_whole_index(x, kind):
    index = pair(x, kind)[1]
    again = IndexLSH.from_record(index.to_record())
    assert (again.rotate_data, again.train_thresholds) == kind[1:]
    np.testing.assert_array_equal(again.search(x[:20], 9)[0], index.search(x[:20], 9)[0])
    np.testing.assert_array_equal(again.sa_decode(again.sa_encode(x)), index.sa_decode(index.sa_encode(x)))


@pytest.mark.parametrize("kind", KINDS)
def test_files_are_those_of_faiss(x, kind, tmp_path):
    b, _ = pair(x, kind)
    given = theirs.serialize_index(b)
    index = ours.deserialize_index(given)
    np.testing.assert_array_equal(ours.serialize_index(index), given)
    ours.write_index(index, str(tmp_path / "index"))
    for again in (ours.clone_index(index), pickle.loads(pickle.dumps(index)), index):
        np.testing.assert_array_equal(again.search(x[:20], 9)[0], b.search(x[:20], 9)[0])
        np.testing.assert_array_equal(again.thresholds.array, theirs.vector_to_array(b.thresholds))
        assert (again.d, again.rotate_data, again.train_thresholds) == (D, *kind[1:])
    read = theirs.read_index(str(tmp_path / "index"))
    np.testing.assert_array_equal(read.search(x[:20], 9)[1], b.search(x[:20], 9)[1])
