"""`steep.convert`: from Faiss's indexes and files to native ones, and between native specs."""

import faiss as theirs
import numpy as np
import pytest
import steep
import steep.faiss as ours

D = 16


@pytest.fixture(scope="module")
def x():
    rng = np.random.default_rng(3)
    return (rng.standard_normal((40, D)) * 3)[rng.integers(40, size=1500)].astype(
        np.float32
    ) + rng.standard_normal((1500, D)).astype(np.float32)


@pytest.mark.parametrize(
    "description",
    [
        "Flat",
        "IDMap,Flat",
        "IVF8,Flat",
        "HNSW16",
        "RR,Flat",
        "RR,IVF8,Flat",
        "IVF8,PQ4np,RFlat",
        "IDMap2,HNSW16,Flat",
    ],
)
@pytest.mark.parametrize("metric", [ours.METRIC_L2, ours.METRIC_INNER_PRODUCT])
def test_whole_vectors_and_their_ids_come_over(x, tmp_path, description, metric):
    index = theirs.index_factory(D, description, metric)
    index.train(x)
    ids = np.arange(len(x)) * 7 + 3 if "IDMap" in description else np.arange(len(x))
    index.add_with_ids(x, ids) if "IDMap" in description else index.add(x)
    theirs.write_index(index, str(tmp_path / "x.faiss"))
    native = steep.convert(steep.open(tmp_path / "x.faiss"), "flat")
    assert isinstance(native, steep.Index) and native.metric == ("l2" if metric == ours.METRIC_L2 else "ip")
    assert len(native) == len(x)
    truth = steep.build(x, metric=native.metric, spec="flat", ids=ids).search(x[:50], k=5)
    found = native.search(x[:50], k=5)
    assert steep.recall(found.ids, truth.ids) > 0.99
    np.testing.assert_allclose(found.distances, truth.distances, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize(
    "description", ["SQ8", "IVF8,SQ8", "PQ8x4fs", "IVF8,PQ8x4fsr", "IVF8,PQ4np", "RaBitQ4"]
)
def test_codes_become_the_vectors_that_they_stand_for(x, description):
    index = theirs.index_factory(D, description)
    index.train(x)
    index.add(x)
    mine = ours.deserialize_index(theirs.serialize_index(index))
    native = steep.convert(mine, "flat")
    if hasattr(index, "direct_map"):
        index.make_direct_map()
    decoded = index.reconstruct_n(0, len(x))
    found = native.search(decoded[:100], k=1)
    np.testing.assert_allclose(found.distances, 0, atol=1e-2)


@pytest.mark.parametrize("description", ["BFlat", "BIVF4", "BHNSW8", "BHash12", "BHash2x8"])
@pytest.mark.parametrize("named", [False, True])
def test_vectors_of_bits_and_their_ids_come_over(description, named):
    x = np.random.default_rng(4).integers(256, size=(600, 8), dtype=np.uint8)
    index = theirs.index_binary_factory(64, description)
    index.train(x)
    ids = np.arange(len(x))
    if named:
        index = theirs.IndexBinaryIDMap(index)
        ids = ids * 3 + 5
        index.add_with_ids(x, ids)
    else:
        index.add(x)
    mine = ours.deserialize_index_binary(theirs.serialize_index_binary(index))
    native = steep.convert(mine)
    assert (native.metric, native.dtype, native.dim, len(native)) == ("hamming", "b1", 64, len(x))
    truth = steep.build(x, metric="hamming", spec="flat", ids=ids).search(x[:30], k=4)
    found = native.search(x[:30], k=4)
    np.testing.assert_array_equal(found.distances, truth.distances)
    np.testing.assert_array_equal(found.ids, truth.ids)


def test_a_native_index_becomes_one_of_another_spec(x):
    ids = np.arange(len(x)) + 100
    index = steep.build(x, spec="flat", ids=ids)
    graph = steep.convert(index, "graph", seed=1)
    assert graph.spec == "graph" and len(graph) == len(x)
    np.testing.assert_array_equal(graph.search(x[:20], k=1).ids[:, 0], ids[:20])


def test_what_cannot_be_converted_is_named(x):
    with pytest.raises(ValueError, match="stores its vectors"):
        steep.convert(steep.build(x, spec="rabitq4"), "flat")
    pca = ours.index_factory(D, "PCA8,Flat")
    pca.train(x)
    pca.add(x)
    with pytest.raises(ValueError, match="convert the index within"):
        steep.convert(pca, "flat")
    assert steep.convert(pca.index, "flat").dim == 8
    with pytest.raises(TypeError, match="expected a steep"):
        steep.convert(x, "flat")
    with pytest.raises(ValueError, match="spec"):
        steep.convert(steep.build(x, spec="flat"), "nonsense")
