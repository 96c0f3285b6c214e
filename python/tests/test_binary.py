"""Bits: native interface and command line's files, against NumPy."""

import copy

import numpy as np
import oracle
import pytest
import steep


def rows(rng, n, size):
    centres = rng.integers(0, 256, (5, size), np.uint8)
    return centres[rng.integers(0, 5, n)] ^ np.packbits(rng.random((n, 8 * size)) < 0.1, axis=1)


def truth(x, q, k):
    table = oracle.ones(q[:, None] ^ x).sum(2).astype(np.float32)
    order = np.argsort(table, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(table, order, 1)


@pytest.mark.parametrize("size", [1, 8, 13, 32, 130])
def test_search_is_exact(size):
    rng = np.random.default_rng(size)
    x, q = rows(rng, 3000, size), rows(rng, 50, size)
    for spec in ("auto", "flat", "flat-raw"):
        index = steep.build(x, metric="hamming", spec=spec)
        assert (index.dim, index.dtype, index.metric, len(index)) == (8 * size, "b1", "hamming", 3000)
        for k, nq in ((1, 50), (10, 50), (700, 9), (10, 1)):
            ids, distances = truth(x, q[:nq], k)
            for threads in (1, None):
                hits = index.search(q[:nq], k, threads=threads)
                np.testing.assert_array_equal(hits.ids, ids)
                np.testing.assert_array_equal(hits.distances, distances)
    ids, distances = truth(x, q, 3000)
    found = steep.ground_truth(x, q, 3000, metric="hamming")
    np.testing.assert_array_equal(found.ids, ids)
    ranges = index.range_search(q, 3 * size)
    np.testing.assert_array_equal(np.diff(ranges.offsets), (distances <= 3 * size).sum(1))
    one = index.search(q[0], 3)
    assert one.ids.shape == (3,)
    assert not hasattr(one, "scores")


def test_files_ids_and_growth(tmp_path):
    rng = np.random.default_rng(0)
    x, q = rows(rng, 500, 16), rows(rng, 20, 16)
    index = steep.Index(dim=128, metric="hamming", dtype="b1", spec="flat")
    index.add(x[:200], ids=np.arange(200) + 1000)
    index.add(x[200:])
    ids, distances = truth(x, q, 10)
    index.save(tmp_path / "bits.steep")
    for mmap in (False, True):
        opened = steep.open(tmp_path / "bits.steep", mmap=mmap)
        hits = opened.search(q)
        np.testing.assert_array_equal(hits.ids, ids + 1000)
        np.testing.assert_array_equal(hits.distances, distances)
    np.testing.assert_array_equal(copy.deepcopy(index).search(q).ids, ids + 1000)
    assert index.bytes["vectors"] == 500 * 16


def test_what_does_not_fit_is_refused():
    x = np.zeros((4, 32), np.uint8)
    for call, says in [
        (lambda: steep.build(x.astype(np.float32), metric="hamming"), "b1"),
        (lambda: steep.build(x.astype(np.int8), metric="hamming"), "b1"),
        (lambda: steep.Index(256, "hamming"), "b1"),
        (lambda: steep.Index(256, "l2", dtype="b1"), "hamming"),
        (lambda: steep.Index(250, "hamming", dtype="b1"), "a multiple of 8"),
        (lambda: steep.Index(256, "hamming", "graph", "b1"), '"flat"'),
        (lambda: steep.build(x, "hamming", "ivf"), '"flat"'),
        (lambda: steep.build(x, "hamming").search(x[:, :31]), r"248 bits, the index has 256: .*\(n, 32\)"),
        (lambda: steep.build(x, "hamming").search(x.astype(np.float32)), "dtype = f32"),
        (lambda: steep.build(x, "hamming").add(x.astype(np.float16)), "dtype = f16"),
        (lambda: steep.build(np.zeros((1, 8193), np.uint8), "hamming"), "65544"),
        (lambda: steep.kmeans(x, 2, metric="hamming"), "metric"),
    ]:
        with pytest.raises(ValueError, match=says):
            call()
    assert steep.build(x[:0], "hamming").search(x[0], 2).ids.tolist() == [-1, -1]
