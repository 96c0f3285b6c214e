"""Lists that are more than lists: without duplicates, on disk, shared among files, found by other vectors."""

import faiss as theirs
import numpy as np
import pytest
import steep.faiss as ours


def whole_numbers(seed, n, d, most=4):
    """Vectors whose distances are exact, with many ties."""
    return np.random.default_rng(seed).integers(0, most, (n, d)).astype(np.float32)


@pytest.mark.parametrize("description", ["Flat", "SQ8_direct", "IDMap,Flat"])
@pytest.mark.parametrize("metric", [ours.METRIC_L2, ours.METRIC_INNER_PRODUCT])
def test_a_range_search_without_lists_tells_results_by_ascending_number(description, metric):
    x, q = whole_numbers(1, 400, 6), whole_numbers(2, 9, 6)
    found = []
    for module in (theirs, ours):
        index = module.index_factory(6, description, metric)
        index.train(x)
        index.add_with_ids(x, np.arange(400) * 3) if "IDMap" in description else index.add(x)
        found.append(index.range_search(q, 11.0))
    for mine, true in zip(found[1], found[0], strict=True):
        np.testing.assert_array_equal(mine, true)
    assert len(found[0][1]) > 100


def test_a_range_search_of_bits_tells_results_by_ascending_number():
    rows = np.random.default_rng(2).integers(0, 256, (300, 2), np.uint8)
    found = []
    for module in (theirs, ours):
        index = module.index_binary_factory(16, "BFlat")
        index.add(rows)
        found.append(index.range_search(rows[:7], 6))
    for mine, true in zip(found[1], found[0], strict=True):
        np.testing.assert_array_equal(mine, true)


def deduplicated(x, ids=None, nlist=8):
    index = ours.IndexIVFFlatDedup(ours.IndexFlatL2(x.shape[1]), x.shape[1], nlist)
    index.train(x)
    index.add(x) if ids is None else index.add_with_ids(x, ids)
    index.nprobe = nlist
    return index


def test_equal_vectors_are_stored_once_and_found_under_all_ids():
    x = whole_numbers(3, 600, 3)
    index = ours.index_factory(3, "IVF8,FlatDedup")
    index.train(x)
    for part in np.array_split(x, 3):  # some duplicates within what is added, some of what is there
        index.add(part)
    index.nprobe = 8
    distinct = np.unique(x, axis=0)
    assert index.ntotal == 600
    assert index.invlists.compute_ntotal() == len(distinct) < 100
    distances, labels = index.search(distinct, 600)
    for vector, far, near in zip(distinct, distances, labels, strict=True):
        assert sorted(near.tolist()) == list(range(600))
        np.testing.assert_array_equal(far, ((x[near] - vector) ** 2).sum(1))
    assert (np.diff(distances) >= 0).all()


def test_of_equal_vectors_those_that_are_not_removed_are_found():
    x = np.repeat(whole_numbers(4, 50, 12), 4, axis=0)
    ids = np.random.default_rng(4).permutation(1000)[:200]
    index = deduplicated(x, ids)
    gone = np.concatenate([ids[::4], ids[1:40:4], ids[:16]])  # every first one, some others, all of four
    assert index.remove_ids(gone) == len(np.unique(gone))
    kept = ~np.isin(ids, gone)
    assert index.ntotal == kept.sum()
    labels = index.search(x[::4], 200)[1]
    for near in labels:
        assert sorted(near[near >= 0].tolist()) == sorted(ids[kept].tolist())
    index.reset()
    assert index.ntotal == 0 and (index.search(x[:3], 2)[1] == -1).all()


def test_what_places_of_equal_vectors_would_be_needed_for_is_refused():
    x = whole_numbers(5, 100, 4)
    index = deduplicated(x)
    for call in (
        lambda: index.range_search(x, 1.0),
        lambda: index.search_and_reconstruct(x, 2),
        lambda: index.update_vectors(np.arange(2), x[:2]),
        lambda: index.reconstruct_from_offset(0, 0),
    ):
        with pytest.raises(RuntimeError):
            call()


def test_codes_of_two_layers_are_those_of_ivfpq_and_become_its_lists():
    x = np.random.default_rng(6).standard_normal((600, 8), np.float32)
    two = ours.index_factory(8, "Residual300,PQ4x4")
    two.train(x)
    two.add(x)
    assert (two.code_size_1, two.code_size_2, two.code_size) == (2, 2, 4)
    with pytest.raises(RuntimeError, match="not implemented"):
        two.search(x, 1)
    ivf = ours.IndexIVFPQ(two.q1.quantizer, 8, 300, 4, 4)
    ivf.pq, ivf.is_trained = two.pq, True
    np.testing.assert_array_equal(two.sa_encode(x), ivf.sa_encode(x))
    two.transfer_to_IVFPQ(ivf)
    assert (ivf.ntotal, two.ntotal) == (600, 600)
    np.testing.assert_array_equal(ivf.reconstruct_n(0, 600), two.reconstruct_n(0, 600))
    lims, distances, labels = two.range_search(x[:5], 0.5)
    off = np.repeat(x[:5], np.diff(lims).astype(int), axis=0) - two.reconstruct_batch(labels)
    np.testing.assert_allclose(distances, (off**2).sum(1), rtol=1e-5)


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("coarse", ["Flat", "HNSW8"])
def test_files_that_share_centroids_are_read_by_faiss(tmp_path, coarse, named):
    x = np.random.default_rng(8).standard_normal((300, 5), np.float32)
    index = ours.index_factory(5, f"IVF30({coarse}),Flat")
    index.train(x)
    index.add(x)
    centroids = index.quantizer.reconstruct_n(0, 30)
    ours.shard_ivf_index_centroids(index, 4, str(tmp_path / "%d"), lambda i, n: i * i % n, named)
    for shard in range(4):
        chosen = np.flatnonzero(np.arange(30) ** 2 % 4 == shard)
        part = theirs.read_index(str(tmp_path / str(shard)))
        assert (part.ntotal, part.quantizer.ntotal) == (300, len(chosen))
        for row, centroid in enumerate(chosen.tolist()):
            told = part.quantizer.reconstruct(centroid if named else row)
            np.testing.assert_array_equal(told, centroids[centroid])


def test_centroids_of_bits_are_shared_in_turn(tmp_path):
    rows = np.random.default_rng(9).integers(0, 256, (20, 2), np.uint8)
    index = ours.IndexBinaryIVF(ours.IndexBinaryFlat(16), 16, 20)
    index.quantizer.add(rows)
    ours.shard_binary_ivf_index_centroids(index, 3, str(tmp_path / "%d"))
    for shard in range(3):
        part = theirs.read_index_binary(str(tmp_path / str(shard)))
        np.testing.assert_array_equal(part.quantizer.reconstruct_n(), rows[shard::3])


def test_centroids_are_not_shared_where_it_makes_no_sense(tmp_path):
    index = ours.IndexIVFFlat(ours.IndexFlatL2(4), 4, 2)
    with pytest.raises(RuntimeError, match="No centroids"):
        ours.shard_ivf_index_centroids(index, 2, str(tmp_path / "%d"))
    index.quantizer.add(np.eye(4, dtype=np.float32)[:2])
    with pytest.raises(RuntimeError, match="filename_template"):
        ours.shard_ivf_index_centroids(index, 2, str(tmp_path / "x"))
    with pytest.raises(RuntimeError, match="shard"):
        ours.shard_ivf_index_centroids(index, 2, str(tmp_path / "%d"), lambda i, n: n)
    assert not list(tmp_path.iterdir())


def test_lists_on_disk_are_found_by_faiss_where_the_files_were_moved_to(tmp_path):
    x = np.random.default_rng(10).standard_normal((500, 6), np.float32)
    index = ours.index_factory(6, "IVF7,SQ8")
    index.train(x)
    index.nprobe = 3
    lists = ours.OnDiskInvertedLists(7, index.code_size, str(tmp_path / "lists"))
    index.replace_invlists(lists)
    index.add(x)
    found = index.search(x[:20], 5)
    ours.write_index(index, str(tmp_path / "index"))
    assert (tmp_path / "lists").stat().st_size == lists.totsize == 500 * (6 + 8)
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("lists", "index"):
        (tmp_path / name).rename(moved / name)
    for module in (theirs, ours):
        with pytest.raises(RuntimeError):
            module.read_index(str(moved / "index"))
        again = module.read_index(str(moved / "index"), module.IO_FLAG_ONDISK_SAME_DIR)
        distances, labels = again.search(x[:20], 5)
        np.testing.assert_array_equal(labels, found[1])
        np.testing.assert_allclose(distances, found[0], rtol=1e-4)


def test_lists_merged_on_disk_have_the_ids_that_faiss_gives_them(tmp_path):
    x = np.random.default_rng(11).standard_normal((200, 4), np.float32)
    told = []
    for module, name in ((theirs, "theirs"), (ours, "ours")):
        quantizer = module.IndexFlatL2(4)
        quantizer.add(x[:5])
        parts = [module.IndexIVFFlat(quantizer, 4, 5) for _ in range(2)]
        vector = module.InvertedListsPtrVector()
        for part, rows in zip(parts, np.split(x, 2), strict=True):  # Faiss miscounts parts of unequal size
            part.add(rows)
            vector.push_back(part.invlists)
        lists = module.OnDiskInvertedLists(5, 16, str(tmp_path / name))
        assert lists.merge_from_multiple(vector.data(), vector.size(), True) == 200
        ids = [module.rev_swig_ptr(lists.get_ids(at), lists.list_size(at)).copy() for at in range(5)]
        told.append((ids, [lists.lists.at(at).offset for at in range(5)]))
        with pytest.raises(RuntimeError, match="empty"):
            lists.merge_from_multiple(vector.data(), vector.size())
    for mine, true in zip(told[1][0], told[0][0], strict=True):
        np.testing.assert_array_equal(mine, true)
    assert told[1][1] == told[0][1]
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


@pytest.mark.parametrize("code", ["PQ4x4np", "SQ8", "Flat"])
@pytest.mark.parametrize("metric", [ours.METRIC_L2, ours.METRIC_INNER_PRODUCT])
def test_lists_found_by_wider_vectors_tell_distances_of_what_is_coded(code, metric):
    x = np.random.default_rng(12).standard_normal((600, 12), np.float32)
    quantizer = ours.IndexFlatL2(12) if metric == ours.METRIC_L2 else ours.IndexFlatIP(12)
    turn, lists = ours.RandomRotationMatrix(12, 4), ours.index_factory(4, f"IVF10,{code}", metric)
    index = ours.IndexIVFIndependentQuantizer(quantizer, lists, turn)
    index.train(x)
    index.add(x)
    turned = turn.apply(quantizer.reconstruct_n(0, 10))
    np.testing.assert_array_equal(lists.quantizer.reconstruct_n(0, 10), turned)
    lists.nprobe = 3
    distances, labels = index.search(x[:300], 4)
    coded, asked = lists.reconstruct_n(0, 600)[labels], turn.apply(x[:300])[:, None]
    want = ((coded - asked) ** 2).sum(2) if metric == ours.METRIC_L2 else (coded * asked).sum(2)
    np.testing.assert_allclose(distances, want, rtol=1e-3, atol=1e-4)


def test_codes_of_what_codes_are_off_make_results_better_and_distances_theirs():
    x = np.random.default_rng(13).standard_normal((3000, 16), np.float32)
    plain, fine = (ours.index_factory(16, f"IVF12,{code}") for code in ("PQ4np", "PQ4+8"))
    truth = ours.knn(x[:200], x, 10)[1]
    hits = []
    for index in (plain, fine):
        index.train(x)
        index.add(x)
        index.nprobe = 12
        distances, labels = index.search(x[:200], 10)
        off = x[:200, None] - index.reconstruct_n(0, 3000)[labels]
        np.testing.assert_allclose(distances, (off**2).sum(2), rtol=1e-3, atol=1e-4)
        assert (np.diff(distances) >= 0).all()
        hits.append(ours.eval_intersection(labels, truth))
    assert hits[1] > 1.3 * hits[0]
    assert fine.refine_codes.size() == 3000 * 8
    np.testing.assert_array_equal(
        fine.search_and_reconstruct(x[:9], 3)[2], fine.reconstruct_n()[fine.search(x[:9], 3)[1]]
    )


def test_codes_of_what_codes_are_off_go_by_number_through_merges():
    x = np.random.default_rng(14).standard_normal((900, 8), np.float32)
    whole = ours.IndexIVFPQR(ours.IndexFlatL2(8), 8, 6, 2, 4, 4, 4)
    whole.train(x)
    parts = []
    for rows in np.split(x, 3):
        part = ours.IndexIVFPQR(whole.quantizer, 8, 6, 2, 4, 4, 4)
        part.pq, part.refine_pq, part.is_trained = whole.pq, whole.refine_pq, True
        part.add(rows)
        parts.append(part)
    whole.add(x)
    first, *others = parts
    for part in others:
        with pytest.raises(RuntimeError, match="ntotal"):
            first.merge_from(part, 7)
        first.merge_from(part, first.ntotal)
        assert part.ntotal == part.refine_codes.size() == 0
    for mine, true in zip(first.search(x[:50], 5), whole.search(x[:50], 5), strict=True):
        np.testing.assert_array_equal(mine, true)
    with pytest.raises(RuntimeError, match="numbers"):
        first.add_with_ids(x[:2], np.array([5, 6]))
    with pytest.raises(RuntimeError, match="not implemented"):
        first.remove_ids(np.arange(3))
    first.reset()
    assert first.ntotal == first.refine_codes.size() == 0


@pytest.mark.parametrize("change", ["contents", "quantizer"])
def test_residuals_are_taken_from_the_centroids_that_the_quantizer_has_now(change):
    x, q = whole_numbers(11, 600, 8), whole_numbers(12, 20, 8)
    trained = theirs.index_factory(8, "IVF6,SQ8")
    trained.train(x)
    trained.add(x)
    indexes = trained, ours.deserialize_index(theirs.serialize_index(trained))
    before = indexes[1].search(q, 5)[0]
    moved = trained.quantizer.reconstruct_n(0, 6) + np.float32(1.5)
    found, kept = [], []
    for module, index in zip((theirs, ours), indexes, strict=True):
        index.nprobe = 6
        index.search(q, 5)
        if change == "contents":
            index.quantizer.reset()
            index.quantizer.add(moved)
        else:
            kept.append(module.IndexFlatL2(8))
            kept[-1].add(moved)
            index.own_fields, index.quantizer = False, kept[-1]
        found.append([index.search(q, 5)[0], index.reconstruct_n(0, 600)])
    assert np.abs(found[1][0] - before).max() > 1
    for mine, true in zip(found[1], found[0], strict=True):
        np.testing.assert_allclose(mine, true, rtol=1e-4, atol=1e-4)
