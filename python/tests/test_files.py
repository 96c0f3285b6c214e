"""An index outlives its process, a pickle and a copy; vector files are read as other programs write them."""

import copy
import json
import pathlib
import pickle
import subprocess
import sys

import numpy as np
import oracle
import pytest
import steep
from numpy.testing import assert_array_equal


def same(a, b, q):
    assert (len(a), a.dim, a.metric, a.spec, a.dtype) == (len(b), b.dim, b.metric, b.spec, b.dtype)
    for left, right in zip(a.search(q, 7), b.search(q, 7), strict=True):
        assert_array_equal(left, right)


@pytest.fixture(params=oracle.METRICS)
def index(request):
    x = oracle.vectors(1, 5000, 24, "f32")
    return steep.build(x, request.param, ids=np.arange(5000) * 3)


Q = oracle.vectors(2, 10, 24, "f32")


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("kind", [str, pathlib.Path])
def test_a_saved_index_opens_the_same(index, tmp_path, kind, mmap):
    path = kind(tmp_path / "Tee-größe-茶.steep")
    index.save(path)
    opened = steep.open(path, mmap=mmap)
    same(opened, index, Q)
    assert ("mapped" in repr(opened)) is mmap
    opened.add(Q)  # a change becomes the process's own, the file stays
    assert len(opened) == 5010
    same(steep.open(path), index, Q)


def test_every_dtype_is_saved_as_it_is(tmp_path):
    for dtype in oracle.DTYPES:
        x = oracle.vectors(3, 300, 9, dtype)
        index = steep.build(x, spec="flat-raw")
        index.save(tmp_path / dtype)
        same(steep.open(tmp_path / dtype, mmap=True), index, x[:5])


def test_processes_share_a_mapped_file(index, tmp_path):
    path = tmp_path / "x.steep"
    index.save(path)
    np.save(tmp_path / "q.npy", Q)
    script = """
import json, sys, numpy as np, steep
index = steep.open(sys.argv[1], mmap=True)
print(json.dumps(index.search(np.load(sys.argv[2]), 7).ids.tolist()))
"""
    command = [sys.executable, "-c", script, str(path), str(tmp_path / "q.npy")]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    for process in processes:
        found = json.loads(process.communicate(timeout=30)[0])
        assert found == index.search(Q, 7).ids.tolist()


def test_saving_over_a_mapped_file_leaves_the_map_whole(index, tmp_path):
    path = tmp_path / "x.steep"
    index.save(path)
    opened = steep.open(path, mmap=True)
    steep.build(Q).save(path)
    same(opened, index, Q)
    assert len(steep.open(path)) == 10


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pickles(index, protocol):
    same(pickle.loads(pickle.dumps(index, protocol)), index, Q)


def test_pickles_out_of_band_without_a_copy(index):
    buffers = []
    small = pickle.dumps(index, 5, buffer_callback=buffers.append)
    assert len(small) < 1000
    assert len(buffers) == 1
    same(pickle.loads(small, buffers=buffers), index, Q)


def test_copies_are_independent(index):
    for copied in (copy.deepcopy(index), copy.copy(index)):
        same(copied, index, Q)
        copied.add(Q)
        assert len(copied) == len(index) + 10


def test_results_pickle_too(index):
    hits = pickle.loads(pickle.dumps(index.search(Q, 3)))
    assert hits.metric == index.metric
    assert_array_equal(hits.ids, index.search(Q, 3).ids)
    assert hits.stats is None
    ranges = pickle.loads(pickle.dumps(index.range_search(Q, 1.0)))
    assert_array_equal(ranges.offsets, index.range_search(Q, 1.0).offsets)


FORMATS = [
    ("npy", "f32"),
    ("npy", "f16"),
    ("npy", "bf16"),
    ("npy", "i8"),
    ("npy", "u8"),
    ("fvecs", "f32"),
    ("bvecs", "u8"),
    ("fbin", "f32"),
    ("u8bin", "u8"),
    ("i8bin", "i8"),
]


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize(("format", "dtype"), FORMATS)
def test_vector_files_hold_what_was_written(tmp_path, format, dtype, mmap):
    x = oracle.vectors(4, 37, 12, dtype)
    path = tmp_path / f"größe.{format}"
    steep.write_vectors(path, x)
    read = steep.read_vectors(path, mmap=mmap)
    assert read.dtype == x.dtype
    assert_array_equal(read, x)
    mapped = mmap and format not in ("fvecs", "bvecs")
    assert read.flags.writeable is not mapped
    del path
    view = read[3:5]
    del read
    assert_array_equal(view, x[3:5])  # a view keeps the memory alive
    if not mapped:
        view[:] = 1


def test_npy_files_are_numpys_own(tmp_path):
    x = oracle.vectors(5, 10, 4, "f16")
    steep.write_vectors(tmp_path / "a.npy", x)
    assert_array_equal(np.load(tmp_path / "a.npy"), x)
    np.save(tmp_path / "b.npy", x)
    assert_array_equal(steep.read_vectors(tmp_path / "b.npy"), x)
    steep.write_vectors(tmp_path / "empty.npy", x[:0])
    assert steep.read_vectors(tmp_path / "empty.npy").shape == (0, 4)


def test_a_mapped_file_is_searched_where_it_lies(tmp_path):
    x = oracle.vectors(6, 100, 8, "f32")
    steep.write_vectors(tmp_path / "x.npy", x)
    mapped = steep.read_vectors(tmp_path / "x.npy", mmap=True)
    with pytest.raises(ValueError, match="read-only"):
        mapped[0] = 0
    assert_array_equal(steep.ground_truth(mapped, mapped[:3], 1).ids, [[0], [1], [2]])
