"""Files of Faiss's: what is read is written again byte for byte, and Faiss finds the same in it."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from steep import _steep

faiss = pytest.importorskip("faiss")

faiss.omp_set_num_threads(1)  # its threads wait for each other by spinning

D, N = 16, 600
X = np.random.default_rng(0).random((N, D), dtype=np.float32)
Q = X[:20] + np.float32(0.01)
BITS = np.random.default_rng(1).integers(0, 256, (N, 8), dtype=np.uint8)

FACTORY = [
    "Flat", "IDMap,Flat", "IDMap2,Flat", "IVF8,Flat", "HNSW8", "SQ8", "SQ4", "SQ6", "SQfp16", "SQbf16",
    "IVF8,SQ8",
    "IVF8,SQ4", "PQ4x4", "PQ4x5np", "PQ4np", "IVF8,PQ4np", "IVF8,PQ4x6np", "PQ4x4fs", "PQ5x4fs,RFlat",
    "IVF8,PQ4x4fs", "IVF8,PQ4x4fsr", "OPQ4_8,PQ4x4np", "PCA8,Flat", "PCAR8,Flat", "PCAW8,Flat",
    "L2norm,Flat", "RR8,Flat", "HR,Flat", "Pad32,Flat", "ITQ8,Flat", "IVF8,Flat,RFlat",
    "IVF8,PQ4x4np,Refine(SQfp16)", "HNSW8,SQ8", "HNSW8,PQ4x4np", "IVF8_HNSW8,Flat", "NSG16", "NSG16,SQ8",
    "NSG16,PQ4x4np", "RaBitQ", "RaBitQ4", "RaBitQfs", "RaBitQfs4", "IVF8,RaBitQ", "IVF8,RaBitQ4",
    "IVF8,RaBitQfs", "IVF8,RaBitQfs4", "IDMap,OPQ4_8,IVF8,PQ4x4fs", "SQtqmse4",
    "OPQ4_8,IVF8_HNSW4,PQ4x4np",
]  # fmt: skip

BINARY = ["BFlat", "BIVF8", "BHNSW8", "BIVF8_HNSW8", "BHash8", "BHash4x8", "IDMap,BFlat"]


def read(data: bytes | np.ndarray, root: str = "index") -> dict:
    record, used = _steep.faiss_read(np.frombuffer(data, np.uint8), root, False)
    assert used == len(data)
    return record


def built(spec: str, metric: int = faiss.METRIC_L2, n: int = N):
    pad = spec.split(",")[0]
    index = (
        faiss.index_factory(D, spec, metric)
        if pad not in ("PQ5x4fs",)
        else faiss.index_factory(15, spec, metric)
    )
    x = np.ascontiguousarray(X[:, : index.d])
    index.train(x)
    if n:
        index.add_with_ids(x[:n], np.arange(n) * 7) if spec.startswith("IDMap") else index.add(x[:n])
    return index


@pytest.mark.parametrize("metric", [faiss.METRIC_L2, faiss.METRIC_INNER_PRODUCT])
@pytest.mark.parametrize("spec", FACTORY)
def test_a_file_is_written_as_it_was_read(spec, metric):
    index = built(spec, metric)
    data = faiss.serialize_index(index)
    record = read(data)
    assert (record["d"], record["ntotal"], record["metric_type"]) == (index.d, N, index.metric_type)
    again = _steep.faiss_write(record, None, "index")
    np.testing.assert_array_equal(again, data)
    q = np.ascontiguousarray(Q[:, : index.d])
    d, i = faiss.deserialize_index(again).search(q, 5)
    want_d, want_i = index.search(q, 5)
    np.testing.assert_array_equal(i, want_i)
    np.testing.assert_array_equal(d, want_d)


EUCLIDEAN = [
    "HNSW16,RaBitQ",
    "HNSW16,RaBitQ4",
    "IVF8,ITQ8,SH1.2",
    "Residual8,PQ4",
    "IVF8,FlatDedup",
    "IVF8,PQ4+4",
]


@pytest.mark.parametrize("spec", [*EUCLIDEAN, "MinMax,SQ8", "MinMaxFP16,SQ4"])
def test_so_are_kinds_that_know_squared_distances_only_or_none(spec):
    if spec.startswith("MinMax"):
        index = faiss.index_factory(D, spec)
        index.train(X)
    else:
        index = built(spec)
    data = faiss.serialize_index(index)
    record = read(data)
    np.testing.assert_array_equal(_steep.faiss_write(record, None, "index"), data)
    for at in range(0, len(data), max(1, len(data) // 200)):
        with pytest.raises((ValueError, OSError)):
            read(data[:at])


@pytest.mark.parametrize("spec", FACTORY)
def test_so_is_one_without_vectors(spec):
    if spec.startswith("NSG"):
        pytest.skip("Faiss builds no graph of no vectors")
    data = faiss.serialize_index(built(spec, n=0))
    np.testing.assert_array_equal(_steep.faiss_write(read(data), None, "index"), data)
    untrained = faiss.index_factory(15 if spec.startswith("PQ5") else D, spec)
    data = faiss.serialize_index(untrained)
    np.testing.assert_array_equal(_steep.faiss_write(read(data), None, "index"), data)


@pytest.mark.parametrize("spec", BINARY)
def test_bits_too(spec):
    index = faiss.index_binary_factory(64, spec)
    index.train(BITS)
    index.add_with_ids(BITS, np.arange(N) * 7) if spec.startswith("IDMap") else index.add(BITS)
    data = faiss.serialize_index_binary(index)
    record = read(data, "binary")
    assert (record["d"], record["code_size"], record["ntotal"]) == (64, 8, N)
    np.testing.assert_array_equal(_steep.faiss_write(record, None, "binary"), data)


def test_a_transform_and_a_product_quantizer_have_files_of_their_own(tmp_path):
    path, again = str(tmp_path / "theirs"), str(tmp_path / "ours")
    for transform in (faiss.PCAMatrix(D, 4), faiss.OPQMatrix(D, 4), faiss.RandomRotationMatrix(D, 4)):
        transform.train(X)
        faiss.write_VectorTransform(transform, path)
        record, _ = _steep.faiss_read(path, "transform", False)
        assert (record["d_in"], record["d_out"], record["is_trained"]) == (D, transform.d_out, True)
        _steep.faiss_write(record, again, "transform")
        ours = faiss.read_VectorTransform(again)
        np.testing.assert_array_equal(ours.apply(Q), transform.apply(Q))
    pq = faiss.ProductQuantizer(D, 4, 4)
    pq.train(X)
    faiss.write_ProductQuantizer(pq, path)
    record, _ = _steep.faiss_read(path, "pq", False)
    assert (record["d"], record["M"], record["nbits"]) == (D, 4, 4)
    np.testing.assert_array_equal(record["centroids"], faiss.vector_to_array(pq.centroids))
    _steep.faiss_write(record, again, "pq")
    np.testing.assert_array_equal(faiss.read_ProductQuantizer(again).compute_codes(X), pq.compute_codes(X))


@pytest.mark.parametrize("m", [4, 5])
@pytest.mark.parametrize("bbs", [32, 64, 96])
def test_blocks_hold_the_codes_of_the_plain_index(m, bbs):
    x = np.ascontiguousarray(np.tile(X, 2)[:, : 4 * m])
    index = faiss.IndexPQ(4 * m, m, 4)
    index.train(x)
    index.add(x)
    codes = faiss.vector_to_array(index.codes)
    blocks = read(faiss.serialize_index(faiss.IndexPQFastScan(index, bbs)))["codes"]
    np.testing.assert_array_equal(_steep.faiss_unpack(blocks, N, m, bbs), codes)
    np.testing.assert_array_equal(_steep.faiss_pack(codes, m, bbs), blocks)


def test_lists_in_blocks_do_too():
    index = built("IVF8,PQ4x4")
    record, fast = (read(faiss.serialize_index(i)) for i in (index, faiss.IndexIVFPQFastScan(index)))
    lists, plain = fast["invlists"], record["invlists"]
    np.testing.assert_array_equal(lists["sizes"], plain["sizes"])
    np.testing.assert_array_equal(lists["ids"], plain["ids"])
    at = begin = 0
    for size in lists["sizes"].tolist():
        length = -(-size // 32) * lists["block_size"]
        codes = _steep.faiss_unpack(lists["codes"][at : at + length], size, 4, 32)
        np.testing.assert_array_equal(codes, plain["codes"][begin * 2 : (begin + size) * 2])
        at, begin = at + length, begin + size


def vector(values):
    return np.uint64(values.size).tobytes() + values.tobytes()


def old_lists(spec, fourcc, floats=False):
    """An index as Faiss wrote it before lists were objects: all ids before the map, codes at the end."""
    index = built(spec)
    data = faiss.serialize_index(index).tobytes()
    lists = read(data)["invlists"]
    at = data.rindex(b"ilar")
    # Type and count of the map follow the quantizer, which ends with its vectors.
    end = data.index(b"IxF2") + 4 + 33 + 8 + 8 * D * 4
    cuts = np.cumsum(lists["sizes"].astype(np.int64))[:-1]
    codes = np.split(lists["codes"], cuts * lists["code_size"])
    parts = [fourcc, data[4:end], *map(vector, np.split(lists["ids"], cuts)), data[end:at]]
    if fourcc == b"IvSQ":
        parts[-1] = parts[-1][:-1]  # without by_residual
    return b"".join([*parts, *(vector(c.view(np.float32) if floats else c) for c in codes)])


@pytest.mark.parametrize(
    ("spec", "fourcc", "floats"),
    [
        ("IVF8,Flat", b"IvFL", False),
        ("IVF8,Flat", b"IvFl", True),
        ("IVF8,PQ4x4np", b"IvPQ", False),
        ("IVF8,SQ8", b"IvSQ", False),
    ],
)
def test_old_lists_are_read_as_faiss_reads_them(spec, fourcc, floats):
    old = np.frombuffer(old_lists(spec, fourcc, floats), np.uint8)
    theirs = faiss.deserialize_index(old)
    record = read(old)
    np.testing.assert_array_equal(_steep.faiss_write(record, None, "index"), faiss.serialize_index(theirs))


def test_other_old_forms_too():
    pq = faiss.serialize_index(built("PQ4x4np")).tobytes()
    sq = faiss.serialize_index(built("IVF8,SQ8")).tobytes()
    pca = faiss.serialize_index(built("PCA8,Flat")).tobytes()
    at = sq.rindex(b"ilar") - 1  # by_residual
    begin = pca.index(b"Pcam")  # eigen_power, epsilon, random_rotation, balanced_bins
    flat = pca[begin + 17 :]
    for old in (
        b"IxPQ" + pq[4:-9],
        b"IxPo" + pq[4:],
        b"IwSQ" + sq[4:at] + sq[at + 1 :],
        pca[:begin] + b"PcAm" + pca[begin + 4 : begin + 8] + pca[begin + 12 : begin + 17] + flat,
        pca[:begin] + b"PCAm" + pca[begin + 4 : begin + 8] + pca[begin + 12 : begin + 13] + flat,
    ):
        theirs = faiss.deserialize_index(np.frombuffer(old, np.uint8))
        again = _steep.faiss_write(read(old), None, "index")
        np.testing.assert_array_equal(again, faiss.serialize_index(theirs))


def test_lists_on_disk_are_read_from_there(tmp_path):
    index = built("IVF8,Flat")
    lists = faiss.OnDiskInvertedLists(8, index.code_size, str(tmp_path / "lists"))
    lists.merge_from_1(index.invlists)
    want = read(faiss.serialize_index(index))
    index.replace_invlists(lists, False)
    faiss.write_index(index, str(tmp_path / "index"))
    record, _ = _steep.faiss_read(str(tmp_path / "index"), "index", False)
    for name in ("sizes", "ids", "codes"):
        np.testing.assert_array_equal(record["invlists"][name], want["invlists"][name])
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("lists", "index"):
        (tmp_path / name).rename(moved / name)
    with pytest.raises(FileNotFoundError):
        _steep.faiss_read(str(moved / "index"), "index", False)
    record, _ = _steep.faiss_read(str(moved / "index"), "index", True)
    np.testing.assert_array_equal(record["invlists"]["ids"], want["invlists"]["ids"])
    with open(moved / "lists", "r+b") as file:
        file.truncate(1000)
    with pytest.raises(ValueError, match="reaches beyond the file's 1000 bytes"):
        _steep.faiss_read(str(moved / "index"), "index", True)


def test_a_stream_is_read_no_further_than_the_index():
    one, two = (
        faiss.serialize_index(built("IVF8,PQ4x4np")).tobytes(),
        faiss.serialize_index(built("Flat")).tobytes(),
    )
    stream = io.BytesIO(one + two)
    assert _steep.faiss_read(stream.read, "index", False)[1] == len(one)
    assert _steep.faiss_read(stream.read, "index", False)[0]["fourcc"] == "IxF2"
    out = io.BytesIO()
    _steep.faiss_write(read(one), out.write, "index")
    assert out.getvalue() == one
    with pytest.raises(ZeroDivisionError):
        _steep.faiss_read(lambda _: 1 / 0, "index", False)
    with pytest.raises(ZeroDivisionError):
        _steep.faiss_write(read(one), lambda _: 1 / 0, "index")


def test_what_is_not_supported_is_refused_by_name():
    refused = {
        "RQ2x4": "a residual quantizer",
        "IMI2x3,Flat": "a multi-index",
        "EDEN4": "an EDEN quantizer",
        "IVF8,FlatPanorama2": "a Panorama index",
    }
    for spec, name in refused.items():
        with pytest.raises(ValueError, match=name):
            read(faiss.serialize_index(built(spec)))


def test_small_files_take_little_memory():
    code = """
import glob, random, resource, sys
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
from steep import _steep
_steep.faiss_read(np.fromfile(sys.argv[1] + "/flat", np.uint8), "any", False)
used = 1024 * int(open("/proc/self/status").read().split("VmSize:")[1].split()[0])
resource.setrlimit(resource.RLIMIT_AS, (used + (192 << 20),) * 2)
random.seed(0)
for path in sorted(glob.glob(sys.argv[1] + "/*")):
    data = np.fromfile(path, np.uint8)
    for at in range(0, len(data) - 8, 3):
        for number in (1 << 24, 1 << 30, 1 << 34, 1 << 50):
            changed = data.copy()
            changed[at : at + 8] = np.frombuffer(number.to_bytes(8, "little"), np.uint8)
            for source in (changed, io_read(changed)) if at % 30 == 0 else (changed,):
                try:
                    _steep.faiss_read(source, "any", False)
                except ValueError:
                    pass
print("survived")
""".replace("io_read(changed)", "__import__('io').BytesIO(changed.tobytes()).read")
    samples = Path(__file__).parents[2] / "tests" / "data" / "faiss"
    done = subprocess.run(
        [sys.executable, "-c", code, str(samples)], capture_output=True, text=True, check=False
    )
    assert done.stdout == "survived\n", done.stderr
