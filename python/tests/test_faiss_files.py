"""Files of Faiss's: what is read is written again byte for byte, by the same names, and Faiss finds the same in it."""

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
    "Flat", "IDMap,Flat", "IDMap2,Flat", "IVF8,Flat", "HNSW8", "SQ8", "SQ4", "SQ6", "SQfp16", "SQbf16", "IVF8,SQ8",
    "IVF8,SQ4", "PQ4x4", "PQ4x5np", "PQ4np", "IVF8,PQ4np", "IVF8,PQ4x6np", "PQ4x4fs", "PQ5x4fs,RFlat",
    "IVF8,PQ4x4fs", "IVF8,PQ4x4fsr", "OPQ4_8,PQ4x4np", "PCA8,Flat", "PCAR8,Flat", "PCAW8,Flat", "L2norm,Flat",
    "RR8,Flat", "HR,Flat", "Pad32,Flat", "ITQ8,Flat", "IVF8,Flat,RFlat", "IVF8,PQ4x4np,Refine(SQfp16)", "HNSW8,SQ8",
    "HNSW8,PQ4x4np", "IVF8_HNSW8,Flat", "NSG16", "NSG16,SQ8", "NSG16,PQ4x4np", "RaBitQ", "RaBitQ4", "RaBitQfs", "RaBitQfs4", "IVF8,RaBitQ",
    "IVF8,RaBitQ4", "IVF8,RaBitQfs", "IVF8,RaBitQfs4", "IDMap,OPQ4_8,IVF8,PQ4x4fs",
    "SQtqmse4", "OPQ4_8,IVF8_HNSW4,PQ4x4np",
]  # fmt: skip

BINARY = ["BFlat", "BIVF8", "BHNSW8", "BIVF8_HNSW8", "BHash8", "BHash4x8", "IDMap,BFlat"]


def read(data: bytes | np.ndarray, root: str = "index") -> dict:
    record, used = _steep.faiss_read(np.frombuffer(data, np.uint8), root, False)
    assert used == len(data)
    return record


def built(spec: str, metric: int = faiss.METRIC_L2, n: int = N):
    pad = spec.split(",")[0]
    index = faiss.index_factory(D, spec, metric) if pad not in ("PQ5x4fs",) else faiss.index_factory(15, spec, metric)
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
