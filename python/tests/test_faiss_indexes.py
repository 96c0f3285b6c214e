"""`steep.faiss` beside Faiss itself: the same program in both, the same answers."""

import faiss as theirs
import numpy as np
import pytest
import steep.faiss as ours

D = 24


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(7)
    centers = rng.standard_normal((40, D)) * 3
    x = (centers[rng.integers(40, size=3000)] + rng.standard_normal((3000, D))).astype(np.float32)
    q = (centers[rng.integers(40, size=60)] + rng.standard_normal((60, D))).astype(np.float32)
    return x, q


def both(description, x, metric, train=True):
    """The index that Faiss builds, and ours of the same trained state: read from Faiss's file."""
    index = theirs.index_factory(D, description, metric)
    if train:
        index.train(x)
    return index, ours.deserialize_index(theirs.serialize_index(index))


def recall(found, truth):
    return np.mean([len(np.intersect1d(a, b)) for a, b in zip(found, truth, strict=True)]) / truth.shape[1]


def same(found, expected, rtol=1e-4, atol=1e-3):
    """Equal distances, and equal labels but where distances tie to rounding."""
    (distances, labels), (true_distances, true_labels) = found, expected
    assert distances.shape == true_distances.shape and distances.dtype == np.float32
    assert labels.dtype == np.int64
    missing = true_labels < 0
    np.testing.assert_array_equal(labels < 0, missing)
    assert np.isinf(distances[missing]).all()
    np.testing.assert_allclose(distances[~missing], true_distances[~missing], rtol=rtol, atol=atol)
    for row, true_row, near in zip(labels, true_labels, true_distances, strict=True):
        # All that is nearer than the last one, by more than rounding; ties are anybody's.
        known = true_row >= 0
        if known.any():
            last = near[known][-1]
            clear = known & (np.abs(near - last) > 1e-3 + 1e-4 * abs(last))
            assert set(true_row[clear].tolist()) <= set(row.tolist())


EXACT = [
    "Flat",
    "IVF16,Flat",
    "IVF16,PQ6x4np",
    "IVF16,PQ6np",
    "IVF16,SQ8",
    "IVF16,SQ4",
    "IVF16,SQ6",
    "IVF16,SQfp16",
    "IVF16,SQbf16",
    "PQ6np",
    "PQ6x5np",
    "SQ8",
    "SQ4",
    "SQ6",
    "SQfp16",
    "IDMap,Flat",
    "IVF16(PCA8,Flat),Flat",
    "PCA8,IVF16,Flat",
    "RR,Flat",
    "L2norm,Flat",
    "Pad32,PQ8np",
    "Flat,RFlat",
    "IVF16,PQ6np,RFlat",
]


@pytest.mark.parametrize("metric", [ours.METRIC_L2, ours.METRIC_INNER_PRODUCT])
@pytest.mark.parametrize("description", EXACT)
def test_an_index_of_the_same_trained_state_finds_what_faiss_finds(data, description, metric):
    x, q = data
    index, mine = both(description, x, metric)
    assert (
        type(mine).__name__ == type(index).__name__.replace("IndexFlatL2", "IndexFlat")
        or "Flat" in description
    )
    for one in (index, mine):
        if "IDMap" in description:
            one.add_with_ids(x, np.arange(len(x)) * 3 + 5)
        else:
            one.add(x)
    assert mine.ntotal == index.ntotal == len(x) and mine.is_trained
    for nprobe in (1, 5, 16):
        for module, one in ((theirs, index), (ours, mine)):
            if "IVF" in description:
                module.extract_index_ivf(one).nprobe = nprobe
        same(mine.search(q, 7), index.search(q, 7))
    same(mine.search(q, 1), index.search(q, 1))


@pytest.mark.parametrize("metric", [ours.METRIC_L2, ours.METRIC_INNER_PRODUCT])
@pytest.mark.parametrize(
    "description",
    [
        *("PQ12x4fs", "IVF16,PQ12x4fs", "IVF16,PQ12x4fsr", "PQ12x4fs,RFlat", "PQ5x4fs"),
        *("RaBitQ", "RaBitQ4", "IVF16,RaBitQ", "IVF16,RaBitQ5", "RaBitQfs", "IVF16,RaBitQfs"),
    ],
)
def test_estimates_lose_no_recall_against_faiss(data, description, metric):
    x, q = data
    if "PQ5" in description:
        x, q = x[:, :20], q[:, :20]
    index = theirs.index_factory(x.shape[1], description, metric)
    index.train(x)
    mine = ours.deserialize_index(theirs.serialize_index(index))
    index.add(x)
    mine.add(x)
    for module, one in ((theirs, index), (ours, mine)):
        if "IVF" in description:
            module.extract_index_ivf(one).nprobe = 8
    truth = theirs.knn(q, x, 10, metric)[1]
    assert recall(mine.search(q, 10)[1], truth) >= recall(index.search(q, 10)[1], truth) - 0.02


@pytest.mark.parametrize("description", EXACT)
def test_training_here_is_as_good_as_there(data, description):
    x, q = data
    truth = theirs.knn(q, x, 10)[1]
    found = []
    for module in (theirs, ours):
        index = module.index_factory(D, description)
        index.train(x)
        ids = np.arange(len(x))
        index.add_with_ids(x, ids) if "IDMap" in description else index.add(x)
        if "IVF" in description:
            module.extract_index_ivf(index).nprobe = 4
        found.append(recall(index.search(q, 10)[1], truth))
    assert found[1] >= found[0] - 0.06


@pytest.mark.parametrize("description", ["IVF16,PQ6np", "IVF16,PQ6x2np", "IVF16,PQ6x4fsr"])
def test_codes_in_lists_are_learned_from_the_vectors_that_faiss_learns_them_from(data, description):
    x, _ = data
    learned = []
    for module in (theirs, ours):
        index = module.index_factory(D, description)
        index.train(x)
        learned.append(module.vector_to_array(index.pq.centroids))
    np.testing.assert_allclose(learned[1], learned[0], atol=1e-4)


@pytest.mark.parametrize("metric", [ours.METRIC_L2, ours.METRIC_INNER_PRODUCT])
@pytest.mark.parametrize(
    "description", ["Flat", "IVF16,Flat", "IVF16,SQ8", "SQ8", "IVF16,PQ6np", "IDMap,Flat", "PCA8,Flat"]
)
def test_range_search_finds_the_same_sets(data, description, metric):
    x, q = data
    index, mine = both(description, x, metric)
    for one in (index, mine):
        one.add_with_ids(x, np.arange(len(x)) + 9) if "IDMap" in description else one.add(x)
    for module, one in ((theirs, index), (ours, mine)):
        if "IVF" in description:
            module.extract_index_ivf(one).nprobe = 4
    radius = float(np.median(index.search(q, 20)[0][:, -1]))
    lims, distances, labels = mine.range_search(q, radius)
    true_lims, true_distances, true_labels = index.range_search(q, radius)
    assert lims.dtype == true_lims.dtype and labels.dtype == np.int64
    # At the radius itself rounding decides.
    assert np.abs(lims.astype(int) - true_lims.astype(int)).max() <= 3
    for i in range(len(q)):
        mine_set = set(labels[lims[i] : lims[i + 1]].tolist())
        assert len(mine_set ^ set(true_labels[true_lims[i] : true_lims[i + 1]].tolist())) <= 2
    assert distances.dtype == np.float32 and len(true_distances) > 0


@pytest.mark.parametrize(
    "description", ["Flat", "IVF16,Flat", "IVF16,SQ8", "SQ8", "IVF16,PQ6np", "IDMap,Flat"]
)
@pytest.mark.parametrize("way", ["range", "array", "batch", "bitmap", "not", "and", "or", "xor", "all"])
def test_selectors_restrict_what_is_found(data, description, way):
    x, q = data
    index, mine = both(description, x, ours.METRIC_L2)

    def selector(m):
        chosen = np.random.RandomState(3).choice(len(x), 500, replace=False).astype(np.int64)
        bits = np.packbits(np.isin(np.arange(len(x)), chosen), bitorder="little")
        low, batch = m.IDSelectorRange(100, 900), m.IDSelectorBatch(chosen)
        return {
            "range": lambda: low,
            "array": lambda: m.IDSelectorArray(chosen),
            "batch": lambda: batch,
            "bitmap": lambda: m.IDSelectorBitmap(bits),
            "not": lambda: m.IDSelectorNot(batch),
            "and": lambda: m.IDSelectorAnd(low, batch),
            "or": lambda: m.IDSelectorOr(low, batch),
            "xor": lambda: m.IDSelectorXOr(low, batch),
            "all": lambda: m.IDSelectorAll(),
        }[way]()

    found = []
    for module, one in ((theirs, index), (ours, mine)):
        one.add_with_ids(x, np.arange(len(x))) if "IDMap" in description else one.add(x)
        sel = selector(module)
        kind = module.SearchParametersIVF if "IVF" in description else module.SearchParameters
        params = kind(sel=sel, nprobe=16) if "IVF" in description else kind(sel=sel)
        found.append(one.search(q, 5, params=params))
    same(found[1], found[0])


def test_removing_merging_and_reconstructing_follow_faiss(data):
    x, q = data
    for description in ["Flat", "SQ8", "PQ6np", "IVF16,Flat", "IVF16,PQ6np", "IVF16,SQ8"]:
        index, mine = both(description, x, ours.METRIC_L2)
        answers = []
        for module, one in ((theirs, index), (ours, mine)):
            one.add(x[:2000])
            gone = one.remove_ids(np.arange(100, 700, 3))
            gone += one.remove_ids(module.IDSelectorRange(0, 50))
            other = module.clone_index(one)
            other.reset()
            other.add(x[2000:])
            if "IVF" in description:
                module.extract_index_ivf(one).nprobe = 16
                one.merge_from(other, 5000)
            else:
                one.merge_from(other)
            assert other.ntotal == 0
            if "IVF" in description:
                one.set_direct_map_type(2)  # a hash table
            key = int(one.search(q[:1], 1)[1][0, 0])
            answers.append(
                (gone, one.ntotal, one.search(q, 5), one.reconstruct(key), one.search_and_reconstruct(q, 3))
            )
        (
            (gone, ntotal, found, vector, triple),
            (mine_gone, mine_total, mine_found, mine_vector, mine_triple),
        ) = answers
        assert (mine_gone, mine_total) == (gone, ntotal)
        same(mine_found, found)
        np.testing.assert_allclose(mine_vector, vector, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(
            np.sort(mine_triple[2], axis=1), np.sort(triple[2], axis=1), rtol=1e-3, atol=1e-3
        )


@pytest.mark.parametrize(
    "description", ["Flat", "SQ8", "SQ4", "PQ6np", "IVF16,Flat", "IVF16,PQ6np", "IVF16,SQ8", "PCA8,SQ8"]
)
def test_standalone_codes_are_faiss_s_byte_for_byte(data, description):
    x, _ = data
    index, mine = both(description, x, ours.METRIC_L2)
    assert mine.sa_code_size() == index.sa_code_size()
    codes = index.sa_encode(x[:200])
    found = mine.sa_encode(x[:200])
    assert (found != codes).any(1).mean() <= 0.01  # sums in another order round to another byte now and then
    np.testing.assert_allclose(mine.sa_decode(codes), index.sa_decode(codes), rtol=1e-5, atol=1e-5)
    mine.add_sa_codes(codes)
    assert mine.ntotal == 200


@pytest.mark.parametrize("description", [*EXACT, "PQ12x4fs", "IVF16,PQ12x4fs", "HNSW16", "IVF16_HNSW8,Flat"])
def test_files_go_both_ways(data, description):
    x, q = data
    index, _ = both(description, x, ours.METRIC_L2)
    index.add_with_ids(x, np.arange(len(x)) * 2) if "IDMap" in description else index.add(x)
    mine = ours.deserialize_index(theirs.serialize_index(index))
    back = theirs.deserialize_index(ours.serialize_index(mine))
    for module, one in ((theirs, index), (ours, mine), (theirs, back)):
        if "IVF" in description:
            module.extract_index_ivf(one).nprobe = 4
    expected = index.search(q, 5)
    if "fs" not in description:
        same(mine.search(q, 5), expected)
    np.testing.assert_array_equal(back.search(q, 5)[1], expected[1])


BAD = {
    "width": lambda m, i, x: i.search(x[:, :5], 3),
    "k": lambda m, i, x: i.search(x, 0),
    "one dimension": lambda m, i, x: i.search(x[0], 3),
    "ids shape": lambda m, i, x: i.add_with_ids(x, np.arange(3)),
    "no ids": lambda m, i, x: i.add_with_ids(x, np.arange(len(x))),
    "far key": lambda m, i, x: i.reconstruct(10**6),
    "attribute": lambda m, i, x: setattr(i, "nprob", 3),
    "factory": lambda m, i, x: m.index_factory(D, "nonsense"),
    "bits": lambda m, i, x: m.IndexPQ(D, 5, 8),
    "few to train": lambda m, i, x: m.IndexPQ(D, 6, 8).train(x[:10]),
    "untrained": lambda m, i, x: m.IndexIVFFlat(m.IndexFlatL2(D), D, 4).add(x),
    "untrained search": lambda m, i, x: m.IndexIVFFlat(m.IndexFlatL2(D), D, 4).search(x, 2),
    "wrong quantizer": lambda m, i, x: m.IndexIVFFlat(m.IndexFlatL2(D + 1), D, 4),
    "idmap add": lambda m, i, x: m.IndexIDMap(m.IndexFlatL2(D)).add(x),
    "no direct map": lambda m, i, x: m.index_factory(D, "IVF4,Flat").reconstruct(0),
    "file": lambda m, i, x: m.read_index("/nonexistent/file"),
    "bytes": lambda m, i, x: m.deserialize_index(np.arange(100, dtype=np.uint8)),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_raises_what_faiss_raises(data, name):
    x = data[0][:300]
    raised = []
    for module in (theirs, ours):
        index = module.IndexFlatL2(D)
        index.add(x)
        with pytest.raises(Exception) as caught:  # noqa: PT011 - which one is compared below
            BAD[name](module, index, x)
        raised.append(caught.type)
    assert raised[1] is raised[0]


@pytest.mark.parametrize(
    ("description", "kinds"),
    [
        ("IDMap,SQ8,RFlat", ["IndexIDMap", "IndexRefineFlat", "IndexScalarQuantizer"]),
        ("SQ8,RFlat,IDMap2", ["IndexIDMap2", "IndexRefineFlat", "IndexScalarQuantizer"]),
        ("IDMap,Flat,Refine(SQ8)", ["IndexIDMap", "IndexRefine", "IndexFlat"]),
        ("MinMax,SQ8,RFlat", ["IndexRefineFlat", "IndexRowwiseMinMax", "IndexScalarQuantizer"]),
        ("PCA8,MinMaxFP16,SQ8", ["IndexPreTransform", "IndexRowwiseMinMaxFP16", "IndexScalarQuantizer"]),
        ("IDMap,Residual16,PQ4", ["IndexIDMap", "Index2Layer"]),
    ],
)
def test_a_description_is_read_from_the_outside_to_the_inside_as_in_faiss(description, kinds):
    for library in (ours, theirs):
        index, found = library.index_factory(D, description), []
        outer = index
        while index is not None:
            found.append(type(index).__name__.replace("FlatL2", "Flat"))
            inner = getattr(index, "index", None) or getattr(index, "base_index", None)
            index = inner and library.downcast_index(inner)
        assert found == kinds, outer


@pytest.mark.parametrize("half", [False, True])
def test_row_wise_ranges_and_codes_are_faiss_s_byte_for_byte(data, half):
    x = np.concatenate([data[0][:500], np.full((1, D), 0.25, np.float32), data[0][500:600] * 1e3])
    name = "MinMaxFP16" if half else "MinMax"
    index, mine = theirs.index_factory(D, f"{name},SQ8"), ours.index_factory(D, f"{name},SQ8")
    for each in (index, mine):
        each.train(x)
    codes = index.sa_encode(x)
    np.testing.assert_array_equal(mine.sa_encode(x), codes)
    small = 2e-7 * np.abs(x).max()
    np.testing.assert_allclose(mine.sa_decode(codes), index.sa_decode(codes), rtol=1e-5, atol=small)
    for call in (lambda i: i.add(x), lambda i: i.search(x, 3), lambda i: i.reset()):
        for each in (index, mine):
            with pytest.raises(RuntimeError, match="not implemented"):
                call(each)


def test_training_in_place_learns_the_same_and_gives_the_vectors_back(data):
    x = data[0][:500].copy()
    plain, mine = ours.index_factory(D, "MinMax,SQ4"), ours.index_factory(D, "MinMax,SQ4")
    plain.train(x)
    given = x.copy()
    mine.train_inplace(given)
    np.testing.assert_array_equal(mine.sa_encode(x), plain.sa_encode(x))
    np.testing.assert_allclose(given, x, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("threshold", ["global", "centroid", "centroid_half", "median"])
def test_signs_along_waves_are_faiss_s_and_so_are_how_many_differ(data, threshold):
    x, q = data
    centers, found = x[::400] + 0.01, []
    for library in (ours, theirs):
        coarse = library.IndexFlatL2(D)
        coarse.add(centers)
        index = library.IndexIVFSpectralHash(coarse, D, len(centers), 11, 0.9)
        index.threshold_type = getattr(index, f"Thresh_{threshold}")
        index.train(x)
        index.add(x)
        index.nprobe = 3
        lims, far, labels = index.range_search(q, 3.0)
        order = np.lexsort((labels, np.repeat(np.arange(len(q)), np.diff(lims.astype(int)))))
        found.append((index.sa_encode(x), index.search(q, 9)[0], lims, far[order], labels[order]))
        with pytest.raises(RuntimeError):
            index.reconstruct_n(0, 2)
    # Waves end where coordinates of vectors lie, so that rounding may turn a bit.
    (codes, nearest, *ranges), (their_codes, their_nearest, *their_ranges) = found
    assert (codes != their_codes).mean() < 1e-3
    if (codes == their_codes).all():
        np.testing.assert_array_equal(nearest, their_nearest)
        for got, expected in zip(ranges, their_ranges, strict=True):
            np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    "description", ["IVF9,ITQ8,SH1.2", "IVF9,PCAR8,SH-1c", "IVF9,ITQ6,SHm", "IVF9,PCA6,SH"]
)
def test_descriptions_of_signs_are_read_as_in_faiss(description):
    said = []
    for library in (ours, theirs):
        index = library.index_factory(D, description)
        said.append((index.nbit, index.threshold_type, index.code_size, np.float32(index.period)))
        said[-1] += (type(library.downcast_VectorTransform(index.vt)).__name__, bool(index.is_trained))
    assert said[0] == said[1]
    with pytest.raises(RuntimeError, match="could not parse"):
        ours.index_factory(D, "IVF9,PQ4,SH")


def packed(module, x, description):
    """The packer of an index, and the bytes of its codes."""
    index = module.index_factory(D, description)
    index.train(x)
    if "IVF" in description:
        return index.get_CodePacker(), None
    index.add(x[:77])
    packer = index.get_CodePacker()
    codes = module.vector_to_array(index.codes).reshape(-1, packer.block_size)
    return packer, np.ascontiguousarray(codes)


PACKED = ["PQ6x4fs", "PQ12x4fs", "RaBitQfs", "PQ6np", "SQ8", "Flat", "IVF4,PQ12x4fs", "IVF4,Flat"]


@pytest.mark.parametrize("description", PACKED)
def test_packers_write_and_read_single_codes_where_faiss_has_them(data, description):
    (there, _), (here, blocks) = (packed(module, data[0], description) for module in (theirs, ours))
    for name in ("code_size", "nvec", "block_size"):
        assert getattr(here, name) == getattr(there, name)
    if blocks is not None:
        # Faiss's packer of codes without blocks looks at the first one only.
        for at in range(0, 77, 9) if here.nvec > 1 else [0]:
            np.testing.assert_array_equal(here.unpack_1(blocks, at), there.unpack_1(blocks, at))
    mine, others = np.zeros((2, 3, here.block_size), np.uint8)
    code = np.random.default_rng(1).integers(256, size=here.code_size, dtype=np.uint8)
    at = here.nvec + here.nvec // 2 if here.nvec > 1 else 0
    for one, into in ((here, mine), (there, others)):
        one.pack_1(code, at, into)
    np.testing.assert_array_equal(mine, others)
    np.testing.assert_array_equal(here.unpack_1(mine, at), there.unpack_1(mine, at))


def test_packers_read_blocks_of_64_where_faiss_reads_the_first_half_only(data):
    packer, blocks = packed(ours, data[0], "PQ12x4fs_64")
    plain = ours.index_factory(D, "PQ12x4np")
    plain.train(data[0])
    codes = plain.sa_encode(data[0][:77])
    read = np.array([packer.unpack_1(blocks, at) for at in range(77)])
    np.testing.assert_array_equal(read, codes)


def test_packers_take_pointers_and_whole_blocks(data):
    packer, blocks = packed(ours, data[0], "PQ12x4fs")
    rows = np.zeros((packer.nvec, packer.code_size), np.uint8)
    packer.unpack_all(ours.swig_ptr(blocks), ours.swig_ptr(rows))
    np.testing.assert_array_equal(rows[5], packer.unpack_1(blocks, 5))
    again, code = np.zeros_like(blocks), np.zeros(packer.code_size, np.uint8)
    packer.pack_all(ours.swig_ptr(rows), ours.swig_ptr(again))
    np.testing.assert_array_equal(again[0], blocks[0])
    packer.unpack_1_c(ours.swig_ptr(blocks), 40, ours.swig_ptr(code))
    packer.pack_1_c(ours.swig_ptr(code), 40, ours.swig_ptr(again))
    np.testing.assert_array_equal(packer.unpack_1(again, 40), packer.unpack_1(blocks, 40))
    with pytest.raises(AttributeError, match="get_CodePacker"):
        ours.CodePacker()
