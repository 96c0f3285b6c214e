"""Calls that Faiss's own tests make of its classes, beside Faiss itself."""

import faiss as theirs
import numpy as np
import pytest
import steep.faiss as ours

D = 16


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(3).standard_normal((400, D)).astype(np.float32)


def both(description, x, metric=1):
    """The index that Faiss builds, and ours of the same state."""
    index = theirs.index_factory(D, description, metric)
    index.train(x)
    index.add(x)
    return index, ours.deserialize_index(theirs.serialize_index(index))


@pytest.mark.parametrize("metric", [0, 1])
@pytest.mark.parametrize("description", ["Flat", "SQ8", "PQ4x4np", "PCA8,SQ8", "HNSW8", "RaBitQ"])
def test_distance_computers(x, description, metric):
    index, mine = both(description, x, metric)
    there, here = index.get_distance_computer(), mine.get_distance_computer()
    there.set_query(theirs.swig_ptr(x[3]))
    here.set_query(ours.swig_ptr(x[3]))
    expected = [there(i) for i in range(20)]
    np.testing.assert_allclose([here(i) for i in range(20)], expected, rtol=1e-3, atol=1e-2)
    with pytest.raises(RuntimeError, match="vector 400 is not there"):
        here(400)


def test_flat_codes_distance_computers_take_codes(x):
    _, mine = both("SQ8", x)
    codes = mine.sa_encode(x[:1])
    computer = mine.get_FlatCodesDistanceComputer()
    computer.set_query(ours.swig_ptr(x[1]))
    assert computer.distance_to_code(ours.swig_ptr(codes)) == pytest.approx(computer(0), rel=1e-4)
    assert computer.symmetric_dis(0, 1) == pytest.approx(computer.symmetric_dis(1, 0), rel=1e-3)


def test_searches_are_counted_for_who_looks(x):
    index, mine = both("IVF8,Flat", x)
    there, here = theirs.cvar.indexIVF_stats, ours.cvar.indexIVF_stats
    for one, stats in ((index, there), (mine, here)):
        one.nprobe = 3
        stats.reset()
        one.search(x[:9], 2)
    assert (here.nq, here.nlist, here.ndis) == (there.nq, there.nlist, there.ndis)


@pytest.mark.parametrize("most", [0, 1, 70, 10_000])
def test_at_most_so_many_codes_are_looked_at_for_the_nearest_and_all_for_a_radius(x, most):
    index, mine = both("IVF8,Flat", x)
    found = []
    for module, one in ((theirs, index), (ours, mine)):
        how = module.SearchParametersIVF(nprobe=3, max_codes=most)
        stats = module.cvar.indexIVF_stats
        stats.reset()
        labels = one.search(x[:9], 2, params=how)[1]
        looked = (stats.nlist, stats.ndis)
        stats.reset()
        lims, _, within = one.range_search(x[:9], 18.0, params=how)
        rows = [set(some.tolist()) for some in np.split(within, lims[1:-1].astype(np.int64))]
        found.append((labels.tolist(), looked, rows, (stats.nlist, stats.ndis)))
    assert found[0] == found[1]


@pytest.mark.parametrize("kind", ["IndexIVFFlat", "IndexIVFPQ"])
def test_only_whole_vectors_need_no_more_than_centroids(x, kind):
    for module in (theirs, ours):
        coarse = module.IndexFlatL2(D)
        coarse.add(x[:8])
        more = (4, 4) if kind == "IndexIVFPQ" else ()
        assert getattr(module, kind)(coarse, D, 8, *more).is_trained == (kind == "IndexIVFFlat")


def test_calls_by_pointers(x):
    _, mine = both("IVF8,SQ8", x)
    sp = ours.swig_ptr
    distances, labels = np.empty((5, 3), np.float32), np.empty((5, 3), np.int64)
    mine.search_c(5, sp(x), 3, sp(distances), sp(labels))
    np.testing.assert_array_equal(labels, mine.search(x[:5], 3)[1])
    vectors = np.empty((4, D), np.float32)
    mine.reconstruct_n_c(2, 4, sp(vectors))
    np.testing.assert_array_equal(vectors, mine.reconstruct_n(2, 4))
    codes = np.empty((5, mine.sa_code_size()), np.uint8)
    mine.sa_encode_c(5, sp(x), sp(codes))
    mine.reset()
    mine.add_sa_codes_c(5, sp(codes), sp(np.arange(5) + 70))
    assert mine.search(x[:1], 5)[1].max() >= 70


@pytest.mark.parametrize("metric", [0, 1])
def test_lists_can_be_searched_part_by_part(x, metric):
    _, mine = both("IVF8,SQ8", x, metric)
    mine.nprobe = 8
    expected = mine.search(x[:20], 6)
    coarse, keys = mine.quantizer.search(x[:20], 8)
    mine.parallel_mode |= mine.PARALLEL_MODE_NO_HEAP_INIT
    heap = ours.ResultHeap(20, 6, keep_max=metric == 0)
    for first in (0, 4):
        part = np.where((keys >= first) & (keys < first + 4), keys, -1)
        mine.search_preassigned(x[:20], 6, part, coarse, D=heap.D, I=heap.I)
    heap.finalize()
    np.testing.assert_allclose(heap.D, expected[0], rtol=1e-5)
    np.testing.assert_array_equal(heap.I, expected[1])


@pytest.mark.parametrize("description", ["PQ4x4fs", "RaBitQfs", "PQ4x4fs_64"])
def test_codes_of_fast_scan_lie_in_blocks(x, description):
    index, mine = both(description, x)
    there, here = theirs.AlignedTable_to_array(index.codes), ours.AlignedTable_to_array(mine.codes)
    np.testing.assert_array_equal(here, there)
    codes = np.empty((7, mine.code_size), np.uint8)
    mine.compute_codes(ours.swig_ptr(codes), 7, ours.swig_ptr(x))
    np.testing.assert_array_equal(codes, mine.sa_encode(x[:7]))


def test_lists_of_fast_scan_lie_in_blocks(x):
    from faiss.contrib.inspect_tools import get_invlist as theirs_of
    from steep.faiss.contrib.inspect_tools import get_invlist as ours_of

    index, mine = both("IVF4,PQ4x4fs", x)
    for at in range(4):
        for there, here in zip(theirs_of(index.invlists, at), ours_of(mine.invlists, at), strict=True):
            np.testing.assert_array_equal(here, there)
    mine.set_direct_map_type(ours.DirectMap.Hashtable)
    with pytest.raises(RuntimeError, match="not supported"):
        mine.remove_ids(np.arange(3))


def test_tables_that_are_not_rounded(x):
    index = ours.index_factory(D, "PQ4x4np")
    index.train(x)
    index.add(x)
    fast = ours.IndexPQFastScan(index)
    fast.implem = 2
    for found, expected in zip(fast.search(x[:9], 5), index.search(x[:9], 5), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_shards_share_a_coarse_quantizer(x):
    coarse = ours.IndexFlatL2(D)
    shards = ours.IndexShardsIVF(coarse, 8, False, False)
    for _ in range(3):
        shards.add_shard(ours.index_factory(D, "IVF8,Flat"))
    shards.train(x)
    shards.add(x)
    assert all(shards.at(i).quantizer is coarse for i in range(3))
    whole = ours.IndexIVFFlat(coarse, D, 8)
    whole.add(x)
    for found, expected in zip(shards.search(x[:9], 4), whole.search(x[:9], 4), strict=True):
        np.testing.assert_array_equal(found, expected)
    with pytest.raises(RuntimeError, match="nlist"):
        shards.add_shard(ours.index_factory(D, "IVF9,Flat"))


def test_shards_without_a_dimension_are_of_two_booleans(x):
    found = []
    for module in (theirs, ours):
        shards = module.IndexShards(False, False)
        for first in (0, 200):
            part = module.IndexIDMap(module.IndexFlatL2(D))
            part.add_with_ids(x[first : first + 200], np.arange(first, first + 200))
            shards.add_shard(part)
        found.append(shards.search(x[:9], 4)[1])
    np.testing.assert_array_equal(found[1], found[0])


@pytest.mark.parametrize("bits", [1, 3])
def test_fast_scan_of_rabitq_codes_rounds_queries_as_what_it_was_made_of(x, bits):
    flat, coarse = ours.IndexRaBitQ(D, 1, bits), ours.IndexFlatL2(D)
    lists = ours.IndexIVFRaBitQ(coarse, D, 4, 1, True, bits)
    for index in (flat, lists):
        index.qb = 2
        index.train(x)
        index.add(x)
    flat.centered = True
    for index, fast in (
        (flat, ours.IndexRaBitQFastScan(flat)),
        (lists, ours.IndexIVFRaBitQFastScan(lists)),
    ):
        assert fast.qb == 2
        for found, expected in zip(fast.search(x[:9], 5), index.search(x[:9], 5), strict=True):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("bits", [1, 4])
def test_signs_tell_how_far_two_rabitq_codes_are(x, bits):
    told = []
    for module in (theirs, ours):
        index = module.IndexRaBitQ(D - 3, 1, bits)
        rows = np.concatenate([x[:50, 3:], x[:50, 3:].mean(0, keepdims=True)])
        index.train(x[:50, 3:])
        index.add(rows)
        between = index.get_FlatCodesDistanceComputer()
        told.append([between.symmetric_dis(i, j) for i, j in ((0, 1), (7, 2), (4, 4), (50, 3))])
        other = module.IndexRaBitQ(D, 0, bits)
        other.train(x)
        other.add(x)
        with pytest.raises(RuntimeError, match="only L2"):
            other.get_FlatCodesDistanceComputer().symmetric_dis(0, 1)
    np.testing.assert_allclose(told[1], told[0], 1e-5)


def test_quantizers_take_attributes_that_programs_give_them():
    for module in (theirs, ours):
        quantizer = module.ProductQuantizer(D, 4, 8)
        quantizer.is_trained = quantizer.note = True
        assert quantizer.is_trained


def test_selectors_that_are_translated_already(x):
    index = ours.IndexIDMap(ours.IndexFlatL2(D))
    index.add_with_ids(x, np.arange(400) * 3 + 1)
    wanted = ours.IDSelectorBatch(np.arange(0, 1200, 2))
    a = index.search(x[:5], 4, params=ours.SearchParameters(sel=wanted))
    b = index.search(x[:5], 4, params=ours.SearchParameters(sel=ours.IDSelectorTranslated(index, wanted)))
    assert (a[1] >= 0).all()
    np.testing.assert_array_equal(a[1], b[1])


@pytest.mark.parametrize(("three", "bias", "added"), [(0, 0, 0), (0, 1, 1), (1, 1, 1), (1, 1, 0)])
def test_tables_are_rounded_as_faiss_rounds_them(three, bias, added):
    rng = np.random.default_rng(1)
    tables = rng.random((5, 6, 16) if three else (6, 16), np.float32)
    adds = rng.random(5, np.float32) * 3
    results = []
    for module in (theirs, ours):
        sp = module.swig_ptr
        rounded, sums = np.zeros(tables.shape, np.uint8), np.zeros(5, np.uint16)
        a, b = np.zeros(1, np.float32), np.zeros(1, np.float32)
        module.quantize_LUT_and_bias(
            *(5, 6, 16, bool(three), sp(tables), sp(adds) if bias else None),
            *(sp(rounded), 6, sp(sums) if added else None, sp(a), sp(b)),
        )
        results.append((rounded.astype(np.float32), sums.astype(np.float32), a, b))
    for there, here in zip(*results, strict=True):
        np.testing.assert_allclose(here, there, rtol=1e-6, atol=1)


def test_bit_strings():
    numbers = [(0x35, 7), (0x1D74, 13), (0, 0), ((1 << 62) - 5, 62), (1, 1)]
    written = []
    for module in (theirs, ours):
        bytes_ = np.full(11, 255, np.uint8)
        writer = module.BitstringWriter(module.swig_ptr(bytes_), 11)
        for number, bits in numbers:
            writer.write(number, bits)
        written.append(bytes_)
    np.testing.assert_array_equal(written[1], written[0])
    reader = ours.BitstringReader(ours.swig_ptr(written[0]), 11)
    assert [reader.read(bits) for _, bits in numbers] == [number for number, _ in numbers]
    with pytest.raises(RuntimeError, match="code_size"):
        reader.read(9)


def test_an_index_at_random_answers_as_faiss_does(x):
    there, here = theirs.IndexRandom(D, 1000), ours.IndexRandom(D, 1000)
    for expected, found in zip(there.search(x[:4], 6), here.search(x[:4], 6), strict=True):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(here.reconstruct(5), there.reconstruct(5))


def test_search_and_return_centroids(x):
    results = []
    index, mine = both("IVF8,Flat", x)
    for module, one in ((theirs, index), (ours, mine)):
        one.nprobe = 4
        sp = module.swig_ptr
        distances, labels = np.empty((5, 3), np.float32), np.empty((5, 3), np.int64)
        asked, found = np.empty(5, np.int64), np.empty((5, 3), np.int64)
        module.search_and_return_centroids(one, 5, sp(x), 3, sp(distances), sp(labels), sp(asked), sp(found))
        results.append((labels, asked, found))
    for there, here in zip(*results, strict=True):
        np.testing.assert_array_equal(here, there)


def test_quantizers_are_copied_and_their_arrays_assigned(x):
    sq = ours.ScalarQuantizer(D, ours.ScalarQuantizer.QT_4bit)
    sq.train(x)
    other = ours.clone_Quantizer(sq)
    np.testing.assert_array_equal(other.compute_codes(x), sq.compute_codes(x))
    third = ours.ScalarQuantizer(D, ours.ScalarQuantizer.QT_4bit)
    third.trained = sq.trained
    np.testing.assert_array_equal(third.compute_codes(x), sq.compute_codes(x))
    with pytest.raises(RuntimeError, match="NaN"):
        third.train(np.full((5, D), np.nan, np.float32))


@pytest.mark.parametrize("description", ["NSG8_PQ4np", "NSG8_SQ8", "NSG8,SQ8"])
def test_graphs_on_one_level_over_codes(description):
    there, here = theirs.index_factory(D, description), ours.index_factory(D, description)
    assert type(here).__name__ == type(there).__name__
    assert here.nsg.R == there.nsg.R


def test_owned_by_python(x):
    for thing in (ours.IndexFlatL2(4), ours.ProductQuantizer(4, 2, 4), ours.ArrayInvertedLists(2, 3)):
        assert thing.this.own()
    assert ours.__version__ == ours.VERSION_STRING
    training = theirs.IndexPQ(D, 4, 4).polysemous_training
    mine = ours.IndexPQ(D, 4, 4).polysemous_training
    for name in ("n_iter", "n_redo", "max_memory", "optimization_type", "temperature_decay", "seed"):
        assert getattr(mine, name) == getattr(training, name)


def test_lists_made_of_other_lists(x):
    index = ours.index_factory(D, "IVF9,Flat")
    index.train(x)
    index.add(x)
    index.nprobe = 9
    expected = index.search(x[:9], 4)
    parts = ours.InvertedListsPtrVector()
    for first in (0, 3, 6):
        parts.push_back(ours.SliceInvertedLists(index.invlists, first, first + 3))
    other = ours.IndexIVFFlat(index.quantizer, D, 9)
    other.replace_invlists(ours.VStackInvertedLists(parts.size(), parts.data()))
    other.ntotal, other.nprobe = index.ntotal, 9
    for found, true in zip(other.search(x[:9], 4), expected, strict=True):
        np.testing.assert_array_equal(found, true)
    with pytest.raises(RuntimeError, match="read only"):
        other.invlists.resize(0, 0)
    sizes = [index.get_list_size(at) for at in range(9)]
    short = ours.StopWordsInvertedLists(index.invlists, max(sizes))
    assert [short.list_size(at) for at in range(9)] == [0 if n == max(sizes) else n for n in sizes]
    index.reset()
    assert short.compute_ntotal() == 0


def test_a_coarse_quantizer_of_other_vectors(x):
    index = ours.index_factory(D, "IVF8,SQ8")
    index.train(x)
    index.add(x)
    index.nprobe = 3
    expected = index.search(x[:9], 4)
    first, last = ours.LinearTransform(2 * D, D), ours.LinearTransform(2 * D, D)
    eye = np.eye(2 * D, dtype=np.float32)
    for transform, rows in ((first, eye[:D]), (last, eye[D:])):
        ours.copy_array_to_vector(rows.ravel(), transform.A)
        transform.is_trained = True
    apart = ours.IndexIVFIndependentQuantizer(ours.IndexPreTransform(first, index.quantizer), index, last)
    wide = np.hstack([x, x])
    for _ in range(2):
        for found, true in zip(apart.search(wide[:9], 4), expected, strict=True):
            np.testing.assert_array_equal(found, true)
        apart.reset()
        apart.add(wide)
    assert ours.extract_index_ivf(apart) is index
    half = ours.IndexIVFIndependentQuantizer(
        ours.IndexFlatL2(2 * D), ours.index_factory(D, "IVF8,PQ4x4np"), ours.PCAMatrix(2 * D, D)
    )
    half.train(wide)
    half.add(wide)
    assert half.search(wide[:9], 4)[1].min() >= 0


@pytest.mark.parametrize("description", ["Flat", "IVF4,Flat", "PQ4x4", "HNSW8", "IVF4,PQ4x4fs", "SQ8"])
def test_more_results_than_memory_holds_are_an_error_not_the_end_of_the_process(description):
    x = np.random.default_rng(0).random((500, 8), dtype=np.float32)
    index = ours.index_factory(8, description)
    index.train(x)
    index.add(x)
    for k in (2**40, 2**62):
        with pytest.raises(MemoryError, match="results"):
            index.search(x[:3], k)
    assert index.search(x[:3], 2)[1].shape == (3, 2)
