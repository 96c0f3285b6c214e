"""Bits by Faiss's names, against Faiss."""

import numpy as np
import oracle
import pytest

faiss = pytest.importorskip("faiss")

import steep.faiss as ours  # noqa: E402

D, NB, NQ = 64, 700, 40


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def rows(rng, n, d=D):
    """Near copies of a few rows, so that buckets and lists hold several."""
    centres = np.random.default_rng(1).integers(0, 256, (9, d // 8), dtype=np.uint8)
    noise = np.packbits(rng.random((n, d)) < 0.12, axis=1)
    return centres[rng.integers(0, 9, n)] ^ noise


def same(found, wanted, xb=None, xq=None):
    """Distances are equal, labels where distances tell them apart."""
    (D1, I1), (D2, I2) = found, wanted
    assert (D1.dtype, I1.dtype, D1.shape) == (np.int32, np.int64, D2.shape)
    np.testing.assert_array_equal(D1, D2)
    for distances, a, b in zip(D1, I1, I2, strict=True):
        inner = distances < distances[-1]
        assert set(a[inner]) == set(b[inner])
    np.testing.assert_array_equal(I1 < 0, I2 < 0)


def same_range(found, wanted):
    (L1, D1, I1), (L2, D2, I2) = found, wanted
    assert (L1.dtype, D1.dtype, I1.dtype) == (L2.dtype, D2.dtype, I2.dtype)
    np.testing.assert_array_equal(L1, L2)
    for i in range(len(L1) - 1):
        one, other = slice(L1[i], L1[i + 1]), slice(L2[i], L2[i + 1])
        assert sorted(zip(I1[one], D1[one], strict=True)) == sorted(zip(I2[other], D2[other], strict=True))


def flat(module, d=D):
    return module.IndexBinaryFlat(d)


def ivf(module, d=D):
    index = module.IndexBinaryIVF(module.IndexBinaryFlat(d), d, 7)
    # The same centroids on both sides.
    index.quantizer.add(rows(np.random.default_rng(3), 7, d))
    index.train(rows(np.random.default_rng(3), 300, d))
    index.nprobe = 3
    return index


def hashed(module, d=D):
    index = module.IndexBinaryHash(d, 11)
    index.nflip = 2
    return index


def multi(module, d=D):
    index = module.IndexBinaryMultiHash(d, 4, 9)
    index.nflip = 1
    return index


def from_float(module, d=D):
    return module.IndexBinaryFromFloat(module.IndexFlatL2(d))


KINDS = [flat, ivf, hashed, multi, from_float]


@pytest.mark.parametrize("kind", KINDS)
def test_search_and_files(kind, rng):
    xb, xq = rows(rng, NB), rows(rng, NQ)
    a, b = kind(ours), kind(faiss)
    for index in (a, b):
        assert index.ntotal == 0
        index.add(xb[:400])
        index.add(xb[400:])
        assert (index.ntotal, index.d, index.code_size, index.is_trained) == (NB, D, D // 8, True)
    for k in (1, 10, 33):
        same(a.search(xq, k), b.search(xq, k))
        same(a.search(xq[:1], k), b.search(xq[:1], k))
    assert a.assign(xq, 3).shape == (NQ, 3)
    if kind is not from_float:
        for radius in (0, 1, 9, 20, 1000):
            same_range(a.range_search(xq, radius), b.range_search(xq, radius))
    else:
        with pytest.raises(RuntimeError):
            a.range_search(xq, 3)
    # Files go both ways.
    theirs = faiss.deserialize_index_binary(ours.serialize_index_binary(a))
    mine = ours.deserialize_index_binary(faiss.serialize_index_binary(b))
    for one in (theirs, mine, ours.clone_binary_index(a)):
        if kind in (hashed, multi):
            assert (one.nflip, one.b, one.hashtable_size()) == (a.nflip, a.b, b.hashtable_size())
        assert one.ntotal == NB
    same(a.search(xq, 10), theirs.search(xq, 10))
    same(mine.search(xq, 10), b.search(xq, 10))
    a.reset()
    assert a.ntotal == 0
    D1, I1 = a.search(xq, 3)
    assert (I1 == -1).all()
    assert (D1 == 2**31 - 1).all()
    a.add(xb)
    same(a.search(xq, 4), b.search(xq, 4))


@pytest.mark.parametrize("d", [8, 24, 256, 264, 1024])
def test_any_number_of_bits(d, rng):
    xb, xq = rows(rng, 300, d), rows(rng, 20, d)
    for kind in (flat, ivf):
        a, b = kind(ours, d), kind(faiss, d)
        a.add(xb)
        b.add(xb)
        same(a.search(xq, 12), b.search(xq, 12))
        same_range(a.range_search(xq, d // 5), b.range_search(xq, d // 5))
        np.testing.assert_array_equal(a.reconstruct_n(3, 20), xb[3:23])


def test_flat_reconstructs_removes_and_selects(rng):
    xb, xq = rows(rng, NB), rows(rng, NQ)
    a, b = flat(ours), flat(faiss)
    for index in (a, b):
        index.add(xb)
        assert index.remove_ids(np.array([3, 5, 9999])) == 2
        assert index.remove_ids(
            faiss.IDSelectorRange(100, 200) if index is b else ours.IDSelectorRange(100, 200)
        )
        assert index.ntotal == NB - 102
    np.testing.assert_array_equal(a.reconstruct_n(), b.reconstruct_n())
    np.testing.assert_array_equal(a.reconstruct(17), b.reconstruct(17))
    np.testing.assert_array_equal(ours.vector_to_array(a.xb), faiss.vector_to_array(b.xb))
    pa = ours.SearchParameters(sel=ours.IDSelectorBatch(np.arange(0, 500, 7)))
    pb = faiss.SearchParameters(sel=faiss.IDSelectorBatch(np.arange(0, 500, 7)))
    same(a.search(xq, 100, params=pa), b.search(xq, 100, params=pb))
    same_range(a.range_search(xq, 15, params=pa), b.range_search(xq, 15, params=pb))
    ours.copy_array_to_vector(xb[:5].ravel(), a.xb)
    assert a.ntotal == 5


def test_ivf_maps_ids_and_merges(rng):
    xb, xq = rows(rng, NB), rows(rng, NQ)
    ids = rng.permutation(5000)[:NB].astype(np.int64)
    a, b = ivf(ours), ivf(faiss)
    for module, index in ((ours, a), (faiss, b)):
        index.add_with_ids(xb, ids)
        index.set_direct_map_type(module.DirectMap.Hashtable)
        np.testing.assert_array_equal(index.reconstruct(int(ids[11])), xb[11])
        # Faiss has no other selector for this.
        assert index.remove_ids(module.IDSelectorArray(ids[:50])) == 50
        assert index.ntotal == NB - 50
        with pytest.raises(RuntimeError):
            index.reconstruct(int(ids[0]))
    same(a.search(xq, 9), b.search(xq, 9))
    Iq, Dq = np.tile(np.arange(3), (NQ, 1)), np.zeros((NQ, 3), np.int32)
    same(a.search_preassigned(xq, 9, Iq, Dq), b.search_preassigned(xq, 9, Iq, Dq))
    assert [a.get_list_size(i) for i in range(7)] == [b.get_list_size(i) for i in range(7)]
    c = ivf(ours)
    c.add(xb[:30])
    a.set_direct_map_type(ours.DirectMap.NoMap)
    a.merge_from(c, 10_000)
    assert (a.ntotal, c.ntotal) == (NB - 20, 0)
    assert 10_000 in a.search(xb[:1], 5)[1]
    sel = ours.SearchParametersIVF(nprobe=7, sel=ours.IDSelectorRange(10_000, 10_010))
    labels = a.search(xq, 12, params=sel)[1]
    assert ((labels < 0) | (labels >= 10_000) & (labels < 10_010)).all()
    assert ((labels >= 0).sum(1) == 10).all()


@pytest.mark.parametrize("most", [0, 1, 60])
def test_ivf_counts_and_limits_as_faiss_does(most, rng):
    x = rng.integers(0, 256, (500, 8), np.uint8)
    index = faiss.IndexBinaryIVF(faiss.IndexBinaryFlat(64), 64, 10)
    index.train(x)
    index.add(x)
    mine = ours.deserialize_index_binary(faiss.serialize_index_binary(index))
    looked = []
    for module, one in ((faiss, index), (ours, mine)):
        one.nprobe, one.max_codes = 4, most
        stats = module.cvar.indexIVF_stats
        stats.reset()
        distances, _ = one.search(x[:9], 3)
        counts = (stats.nq, stats.nlist, stats.ndis)
        stats.reset()
        lims, _, _ = one.range_search(x[:9], 24)
        looked.append((distances.tolist(), counts, lims.tolist(), (stats.nq, stats.nlist, stats.ndis)))
    assert looked[0] == looked[1]


def test_ivf_trains_as_well(rng):
    xb, xq = rows(rng, 2000), rows(rng, 100)
    found = []
    for module in (ours, faiss):
        index = module.IndexBinaryIVF(module.IndexBinaryFlat(D), D, 9)
        index.nprobe = 2
        index.cp.min_points_per_centroid = 5
        index.train(xb)
        index.add(xb)
        assert (index.is_trained, index.quantizer.ntotal) == (True, 9)
        found.append(index.search(xq, 10)[0].sum())
    assert found[0] <= 1.05 * found[1]


def test_hnsw_finds_as_much(rng):
    xb, xq = rows(rng, 2000), rows(rng, 100)
    truth = flat(ours)
    truth.add(xb)
    wanted = truth.search(xq, 10)[0]
    recalls = []
    for module in (ours, faiss):
        index = module.IndexBinaryHNSW(D, 16)
        index.add(xb[:1000])
        index.add(xb[1000:])
        index.hnsw.efSearch = 40
        found, labels = index.search(xq, 10)
        far = oracle.ones(xb[labels] ^ xq[:, None]).sum(2)
        np.testing.assert_array_equal(far, found)
        recalls.append((found == wanted).mean())
        np.testing.assert_array_equal(index.reconstruct(7), xb[7])
        other = ours if module is faiss else faiss
        read = other.deserialize_index_binary(module.serialize_index_binary(index))
        read.hnsw.efSearch = 40
        assert (read.search(xq, 10)[0] == found).mean() > 0.99
    assert recalls[0] >= recalls[1] - 0.01


def test_id_maps(rng):
    xb, xq, ids = rows(rng, NB), rows(rng, NQ), rng.permutation(3 * NB)[:NB].astype(np.int64)
    for name in ("IndexBinaryIDMap", "IndexBinaryIDMap2"):
        a, b = (getattr(module, name)(flat(module)) for module in (ours, faiss))
        for index in (a, b):
            with pytest.raises(RuntimeError):
                index.add(xb)
            index.add_with_ids(xb, ids)
        same(a.search(xq, 8), b.search(xq, 8))
        same_range(a.range_search(xq, 12), b.range_search(xq, 12))
        np.testing.assert_array_equal(ours.vector_to_array(a.id_map), faiss.vector_to_array(b.id_map))
        theirs = faiss.deserialize_index_binary(ours.serialize_index_binary(a))
        same(a.search(xq, 8), theirs.search(xq, 8))
        assert a.remove_ids(ids[:3]) == b.remove_ids(ids[:3]) == 3
        same(a.search(xq, 8), b.search(xq, 8))
    np.testing.assert_array_equal(a.reconstruct(int(ids[5])), xb[5])
    with pytest.raises(RuntimeError):
        a.reconstruct(10**9)


@pytest.mark.parametrize(
    "call",
    [
        lambda m, i, x: i.search(x.astype(np.float32), 3),
        lambda m, i, x: i.search(x[:, :3], 3),
        lambda m, i, x: i.search(x, 0),
        lambda m, i, x: i.search(x[0], 3),
        lambda m, i, x: i.add(x.astype(np.int32)),
        lambda m, i, x: i.add_with_ids(x, np.arange(len(x))),
        lambda m, i, x: i.range_search(x, 2.5),
        lambda m, i, x: i.train(x[:, :2]),
        lambda m, i, x: m.IndexBinaryFlat(33),
        lambda m, i, x: m.IndexBinaryFlat("8"),
        lambda m, i, x: m.IndexBinaryIVF(m.IndexBinaryFlat(D), D, 4).add(x),
        lambda m, i, x: m.IndexBinaryIVF(m.IndexBinaryFlat(D), 2 * D, 4),
        lambda m, i, x: m.IndexBinaryHash(D, 5).reconstruct(0),
        lambda m, i, x: m.IndexBinaryMultiHash(D, 9, 9),
        lambda m, i, x: m.IndexBinaryIDMap(i),
        lambda m, i, x: m.IndexBinaryHNSW(D).remove_ids(np.array([1])),
        lambda m, i, x: i.merge_from(m.IndexBinaryFlat(D)),
    ],
)
def test_bad_input_raises_the_same(call, rng):
    x = rows(rng, 20)
    raised = []
    for module in (ours, faiss):
        index = flat(module)
        index.add(x)
        with pytest.raises(Exception) as info:  # noqa: PT011
            call(module, index, x)
        raised.append(info.type)
    assert raised[0] is raised[1]


def test_shards_answer_as_one_index(rng):
    xb, xq = rows(rng, NB), rows(rng, NQ)
    whole = flat(ours)
    whole.add(xb)
    parts = [[flat(module) for _ in range(3)] for module in (ours, faiss)]
    a, b = ours.IndexBinaryShards(D), faiss.IndexBinaryShards(D)
    for index, module, some in zip((a, b), (ours, faiss), parts, strict=True):
        for part in some:
            index.add_shard(part)
        index.add(xb)
        assert (index.count(), index.ntotal, index.code_size) == (3, NB, D // 8)
        with pytest.raises(RuntimeError, match="no sense"):
            index.add_with_ids(xb, np.arange(NB))
        with pytest.raises(RuntimeError, match="dimension"):
            index.add_shard(flat(module, 2 * D))
    for k in (1, 10, NB + 3):
        same(a.search(xq, k), b.search(xq, k))
        same(a.search(xq, k), whole.search(xq, k))


def test_shards_with_ids_of_their_own(rng):
    xb, xq = rows(rng, NB), rows(rng, NQ)
    ids = rng.permutation(10 * NB)[:NB].astype(np.int64)
    shards = ours.IndexBinaryShards(D, False, False)
    for _ in range(2):
        shards.addIndex(ours.IndexBinaryIDMap(flat(ours)))
    shards.add_with_ids(xb, ids)
    whole = ours.IndexBinaryIDMap(flat(ours))
    whole.add_with_ids(xb, ids)
    same(shards.search(xq, 10), whole.search(xq, 10))
    shards.reset()
    assert (shards.search(xq, 2)[1] == -1).all()


def test_replicas_hold_all_vectors_each(rng):
    xb, xq = rows(rng, NB), rows(rng, NQ)
    replicas, copies = ours.IndexBinaryReplicas(), [flat(ours), flat(ours)]
    for one in copies:
        replicas.add_replica(one)
    replicas.add(xb)
    assert [one.ntotal for one in (*copies, replicas)] == [NB] * 3
    assert (replicas.d, replicas.code_size) == (D, D // 8)
    for found, expected in zip(replicas.search(xq, 7), copies[1].search(xq, 7), strict=True):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(replicas.reconstruct_n(3, 5), xb[3:8])
    replicas.remove_replica(copies[0])
    assert replicas.count() == 1
    with pytest.raises(RuntimeError, match="serialize"):
        ours.serialize_index_binary(replicas)


def test_functions_on_pointers(rng):
    a, b = rows(rng, 30), rows(rng, 50)
    size = D // 8
    tables = []
    for m in (ours, faiss):
        p, dis = m.swig_ptr, np.zeros((30, 50), np.int32)
        m.hammings(p(a), p(b), 30, 50, size, p(dis))
        near, ids = np.zeros((30, 6), np.int32), np.zeros((30, 6), np.int64)
        m.hammings_knn_mc(p(a), p(b), 30, 50, 6, size, p(near), p(ids))
        x = np.zeros((30, D), np.float32)
        m.bitvecs2fvecs(p(a), p(x), D, 30)
        back = np.zeros_like(a)
        m.fvecs2bitvecs(p(x), p(back), D, 30)
        np.testing.assert_array_equal(back, a)
        order, out = np.arange(D - 1, -1, -1, dtype=np.int32), np.zeros_like(a)
        m.bitvec_shuffle(30, D, D, p(order), p(a), p(out))
        tables.append((dis, near, x, out, m.popcount64(12345), m.generalized_hamming_64(0xFF00FF)))
    for mine, theirs in zip(*tables, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(tables[0][0], oracle.ones(a[:, None] ^ b).sum(2))
