"""What cannot be is refused: the exception one expects, a message with the value in it, and no harm done."""

import datetime
import errno
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest
import steep

X = np.arange(1, 41, dtype=np.float32).reshape(10, 4)


def hole(row, column, value, dtype=np.float32):
    x = X.astype(dtype)
    x[row, column] = value
    return x


def zero(row, metric="cosine"):
    x = X.copy()
    x[row] = 0
    return x


def index(metric="l2"):
    return steep.build(X, metric)


def codes(spec):
    return steep.build(X, spec=spec)


def graph():
    return steep.build(X, spec="graph")


CASES = [
    # shape
    ("1-d base", lambda: steep.build(X[0]), ValueError, r"vectors have shape \(4,\)"),
    ("3-d base", lambda: steep.build(X[None]), ValueError, r"vectors have shape \(1, 10, 4\)"),
    ("0-d base", lambda: steep.build(3.0), ValueError, r"vectors have shape \(\)"),
    ("3-d queries", lambda: index().search(X[None]), ValueError, r"queries have shape \(1, 10, 4\)"),
    ("no dimension", lambda: steep.build(X[:, :0]), ValueError, "dim = 0"),
    ("empty list", lambda: steep.build([]), ValueError, r"vectors have shape \(0,\)"),
    ("empty query", lambda: index().search([]), ValueError, "dim = 0"),
    ("too wide", lambda: steep.build(np.ones((1, 65537), np.float32)), ValueError, "dim = 65537"),
    ("ragged", lambda: steep.build([[1, 2], [3]]), ValueError, "vectors cannot be read as an array"),
    ("queries of 3", lambda: index().search(X[:, :3]), ValueError, r"queries have 3 .* \(n, 4\)"),
    ("query of 5", lambda: index().search(np.ones(5)), ValueError, "queries have 5 dimensions"),
    ("range of 3", lambda: index().range_search(X[:, :3], 1.0), ValueError, "queries have 3 dimensions"),
    ("added of 5", lambda: index().add(np.ones((2, 5))), ValueError, "vectors have 5 dimensions"),
    ("truth of 3", lambda: steep.ground_truth(X, X[:, :3], 1), ValueError, "queries have 3 dimensions"),
    # type
    ("bool", lambda: steep.build(X > 3), TypeError, "vectors have dtype bool.*astype"),
    ("complex", lambda: index().search(X * 1j), TypeError, "queries have dtype complex64"),
    ("text", lambda: index().search(["a", "b"]), TypeError, "queries have dtype <U1"),
    ("object", lambda: index().search([None] * 4), TypeError, "queries have dtype object"),
    ("none", lambda: steep.build(None), TypeError, "vectors have dtype object"),
    ("date", lambda: index().search([datetime.date(2026, 1, 1)]), TypeError, "dtype object"),
    ("datetime64", lambda: steep.build(X.astype("M8[s]")), TypeError, "datetime64"),
    ("float8", lambda: steep.build(X.astype(ml_dtypes.float8_e4m3fn)), TypeError, "float8_e4m3fn"),
    ("masked", lambda: steep.build(np.ma.masked_less(X, 3)), ValueError, "masked"),
    # values
    ("NaN", lambda: steep.build(hole(7, 2, np.nan)), ValueError, "vectors row 7 holds NaN at column 2"),
    ("inf", lambda: steep.build(hole(3, 0, np.inf)), ValueError, "vectors row 3 holds inf at column 0"),
    ("-inf", lambda: index().search(hole(9, 3, -np.inf)), ValueError, "queries row 9 holds -inf at column 3"),
    ("NaN f16", lambda: steep.build(hole(1, 1, np.nan, np.float16)), ValueError, "vectors row 1 holds NaN"),
    (
        "NaN bf16",
        lambda: steep.build(hole(1, 1, np.nan, ml_dtypes.bfloat16)),
        ValueError,
        "vectors row 1 holds NaN",
    ),
    ("NaN f64", lambda: index().add(hole(2, 1, np.nan, np.float64)), ValueError, "vectors row 2 holds NaN"),
    ("NaN one", lambda: index().search([1, 2, np.nan, 3]), ValueError, "queries row 0 holds NaN at column 2"),
    ("NaN truth", lambda: steep.ground_truth(hole(4, 0, np.nan), X, 1), ValueError, "vectors row 4"),
    ("zero base", lambda: steep.build(zero(6), "cosine"), ValueError, "vectors row 6 is all zeros"),
    ("zero query", lambda: index("cosine").search(zero(2)), ValueError, "queries row 2 is all zeros"),
    ("zero added", lambda: index("cosine").add(zero(2)), ValueError, "vectors row 2 is all zeros"),
    ("zero truth", lambda: steep.ground_truth(X, zero(5), 1, "cosine"), ValueError, "queries row 5"),
    (
        "value that does not fit",
        lambda: steep.Index(4, dtype="u8").add(hole(8, 3, 255.5)),
        ValueError,
        "vectors row 8 holds 255.5 at column 3, which u8 does not hold exactly",
    ),
    # numbers
    ("k = 0", lambda: index().search(X, 0), ValueError, "k = 0"),
    ("k < 0", lambda: index().search(X, -3), ValueError, "k = -3"),
    ("k huge", lambda: index().search(X, 2**70), ValueError, "k = 1180591620717411303424"),
    ("k float", lambda: index().search(X, 2.5), TypeError, "k = 2.5"),
    ("k text", lambda: index().search(X, "3"), TypeError, "k = 3"),
    ("k out of memory", lambda: index().search(X, 2**60), MemoryError, "results"),
    ("truth k = 0", lambda: steep.ground_truth(X, X, 0), ValueError, "k = 0"),
    ("radius NaN", lambda: index().range_search(X, float("nan")), ValueError, "radius = NaN"),
    ("radius text", lambda: index().range_search(X, "1"), TypeError, "radius"),
    ("no threads", lambda: index().search(X, threads=0), ValueError, "threads = 0"),
    ("threads < 0", lambda: steep.build(X, threads=-1), ValueError, "threads = -1"),
    ("threads float", lambda: index().add(X, threads=1.0), TypeError, "threads = 1.0"),
    ("seed < 0", lambda: steep.build(X, seed=-1), ValueError, "seed = -1"),
    ("dim = 0", lambda: steep.Index(dim=0), ValueError, "dim = 0"),
    ("dim < 0", lambda: steep.Index(dim=-4), ValueError, "dim = -4"),
    ("dim too large", lambda: steep.Index(dim=65_537), ValueError, "dim = 65537"),
    ("dim float", lambda: steep.Index(dim=4.0), TypeError, "dim = 4.0"),
    # names
    ("metric", lambda: steep.build(X, metric="L2"), ValueError, 'metric = "L2": expected "l2", "ip"'),
    ("metric type", lambda: steep.build(X, metric=2), TypeError, "metric"),
    ("truth metric", lambda: steep.ground_truth(X, X, 1, "dot"), ValueError, 'metric = "dot"'),
    ("dtype", lambda: steep.Index(4, dtype="float32"), ValueError, 'dtype = "float32": expected "f32"'),
    ("spec", lambda: steep.build(X, spec="falt"), ValueError, 'spec "falt".*expected'),
    ("empty spec", lambda: steep.Index(4, spec=""), ValueError, 'spec ""'),
    ("progress", lambda: steep.build(X, progress=3), TypeError, "progress = 3"),
    ("degree", lambda: steep.build(X, spec="graph33"), ValueError, 'spec "graph33".*a multiple of 32'),
    (
        "ef_search of flat",
        lambda: steep.build(X, spec="flat").search(X, ef_search=100),
        ValueError,
        'ef_search = 100: an index of spec "flat" has no such knob: leave it out',
    ),
    (
        "rerank of flat-raw",
        lambda: steep.build(X, spec="flat-raw").search(X, rerank=20),
        ValueError,
        'rerank = 20: an index of spec "flat-raw" has no such knob',
    ),
    ("bits", lambda: steep.build(X, spec="ivf,rabitq9"), ValueError, 'spec "ivf,rabitq9".*character 10'),
    ("no lists", lambda: codes("rabitq4").search(X, nprobe=3), ValueError, 'nprobe = 3: .*"ivf"'),
    ("nprobe = 0", lambda: codes("ivf").search(X, nprobe=0), ValueError, "nprobe = 0: .*at least 1"),
    ("max_codes float", lambda: codes("ivf").search(X, max_codes=1.5), TypeError, "max_codes = 1.5"),
    ("ef_search = 0", lambda: graph().search(X, ef_search=0), ValueError, "ef_search = 0: .*at least 1"),
    ("ef_search < 0", lambda: graph().search(X, ef_search=-1), ValueError, "ef_search = -1"),
    ("ef_search float", lambda: graph().search(X, ef_search=1.5), TypeError, "ef_search = 1.5"),
    ("rerank = 0", lambda: graph().search(X, rerank=0), ValueError, "rerank = 0: .*at least 1"),
    ("stats text", lambda: graph().search(X, stats="yes"), TypeError, "stats"),
    ("knob by place", lambda: graph().search(X, 3, 100), TypeError, "positional"),
    ("keyword", lambda: index().search(X, ef=3), TypeError, "ef"),
    # ids
    ("too few ids", lambda: steep.build(X, ids=[1, 2]), ValueError, "2 ids for 10 vectors"),
    ("twice", lambda: steep.build(X, ids=[*range(9), 3]), ValueError, r"id 3 \(row 9\) is taken"),
    ("taken", lambda: index().add(X[:2], ids=[50, 7]), ValueError, r"id 7 \(row 1\) is taken"),
    ("negative", lambda: steep.build(X[:3], ids=[0, 1, -5]), ValueError, r"id -5 \(row 2\) is negative"),
    ("reserved", lambda: steep.build(X[:1], ids=[2**64 - 1]), ValueError, "18446744073709551615"),
    ("too large", lambda: steep.build(X[:1], ids=[2**64]), TypeError, "ids have dtype object"),
    ("float ids", lambda: steep.build(X[:2], ids=[1.0, 2.0]), TypeError, "ids have dtype float64"),
    ("bool ids", lambda: steep.build(X[:2], ids=[True, False]), TypeError, "ids have dtype bool"),
    ("text ids", lambda: steep.build(X[:2], ids=["a", "b"]), TypeError, "ids have dtype <U1"),
    ("2-d ids", lambda: steep.build(X[:2], ids=[[1], [2]]), ValueError, r"ids have shape \(2, 1\)"),
    # recall
    ("recall rows", lambda: steep.recall([[1], [2]], [[1]]), ValueError, "2|1"),
    ("recall k = 0", lambda: steep.recall(np.zeros((2, 0), int), [[1], [2]]), ValueError, "k = 0"),
    ("recall floats", lambda: steep.recall([[1.5]], [[1]]), TypeError, "found ids have dtype float64"),
    ("recall 3-d", lambda: steep.recall([[[1]]], [[1]]), ValueError, r"found ids have shape \(1, 1, 1\)"),
]


@pytest.mark.parametrize(("call", "kind", "text"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_refused_by_name(call, kind, text):
    with pytest.raises(kind, match=text) as caught:
        call()
    assert type(caught.value) is kind


def test_a_refused_add_adds_nothing():
    base = index()
    before = base._core.to_bytes().tobytes()
    for bad in (hole(9, 3, np.nan), X[:, :3], X > 3):
        with pytest.raises((ValueError, TypeError)):
            base.add(bad)
    with pytest.raises(ValueError, match="taken"):
        base.add(X, ids=[*range(100, 109), 0])
    assert base._core.to_bytes().tobytes() == before


def test_attributes_misspelt_are_errors():
    with pytest.raises(AttributeError):
        index().ef_search = 3
    with pytest.raises(AttributeError):
        index().dim = 3


def test_files_that_cannot_be_opened_give_the_systems_error(tmp_path):
    missing = tmp_path / "missing.steep"
    for call in (steep.open, lambda path: steep.open(path, mmap=True)):
        with pytest.raises(FileNotFoundError) as caught:
            call(missing)
        assert caught.value.errno == 2
        assert caught.value.filename == str(missing)
    with pytest.raises(FileNotFoundError) as caught:
        index().save(tmp_path / "nowhere" / "x.steep")
    assert "nowhere" in str(caught.value)
    with pytest.raises(OSError, match=str(tmp_path)):
        steep.open(tmp_path)
    with pytest.raises(FileNotFoundError):
        steep.read_vectors(tmp_path / "missing.npy")
    with pytest.raises(TypeError):
        steep.open(3)


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files")
def test_a_full_disk_is_the_systems_error_and_loses_nothing(tmp_path):
    path = tmp_path / "x.steep"
    index().save(path)
    before = path.read_bytes()
    script = """
import resource, sys, numpy as np, steep
index = steep.build(np.ones((1000, 100), np.float32))
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    index.save(sys.argv[1])
except OSError as error:
    print(error.errno, error.filename == sys.argv[1])
"""
    child = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True)
    assert child.stdout == f"{errno.EFBIG} True\n", child.stderr
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["x.steep"]


@pytest.mark.parametrize("mmap", [False, True])
def test_foreign_and_broken_files_are_refused(tmp_path, mmap):
    path = tmp_path / "x.steep"
    index().save(path)
    good = path.read_bytes()
    for name, content in {
        "empty": b"",
        "text": b"not an index at all, but long enough to be read as one, were it not for its first bytes\n"
        * 9,
        "cut": good[: len(good) // 2],
        "short": good[:10],
        "flipped": good[:40] + bytes([good[40] ^ 1]) + good[41:],
    }.items():
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"x\.steep") as caught:
            steep.open(path, mmap=mmap)
        assert "byte" in str(caught.value), name


def test_vector_files_of_unknown_or_unfit_kind_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"x\.txt"):
        steep.read_vectors(tmp_path / "x.txt")
    with pytest.raises(ValueError, match=r"x\.bvecs"):
        steep.write_vectors(tmp_path / "x.bvecs", X)
    with pytest.raises(ValueError, match=r"vectors have shape \(4,\)"):
        steep.write_vectors(tmp_path / "x.npy", X[0])
    broken = tmp_path / "x.npy"
    broken.write_bytes(b"\x93NUMPY\x01\x00")
    with pytest.raises(ValueError, match=r"x\.npy"):
        steep.read_vectors(broken)
