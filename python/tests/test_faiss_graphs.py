"""Graphs in Faiss's layout beside Faiss: the same answers on the same graph, no less found in our own."""

import faiss as real
import numpy as np
import pytest
from steep import _steep
from steep.faiss import _factory as factory
from steep.faiss import _graphs as ours
from steep.faiss._hnsw import HNSW, VisitedTable
from steep.faiss._hnsw_rabitq import IndexHNSWRaBitQ
from steep.faiss._selectors import IDSelectorBatch, IDSelectorNot, IDSelectorRange

L2, IP = real.METRIC_L2, real.METRIC_INNER_PRODUCT
ARRAYS = ("assign_probas", "cum_nneighbor_per_level", "levels", "offsets")


class Params:
    """What `SearchParametersHNSW` is."""

    def __init__(self, sel=None, efSearch=16, check_relative_distance=True, bounded_queue=True):
        self.sel, self.efSearch = sel, efSearch
        self.check_relative_distance, self.bounded_queue = check_relative_distance, bounded_queue


def vectors(n, d, seed, clusters=20):
    rs = np.random.RandomState(seed)
    centers = rs.randn(clusters, d) * 2
    return (centers[rs.randint(clusters, size=n)] + rs.randn(n, d)).astype(np.float32)


def neighbors(hnsw):
    return real.rev_swig_ptr(hnsw.neighbors.data(), hnsw.neighbors.size()).copy()


def same_graph(index, kind=None, *args):
    """Our index with the graph and the storage of Faiss's."""
    made = (kind or ours.IndexHNSWFlat)(*(args or (index.d, 16, index.metric_type)))
    storage = real.downcast_index(index.storage)
    made.storage.codes._put(real.vector_to_array(storage.codes))
    for name in ARRAYS:
        getattr(made.hnsw, name)._put(real.vector_to_array(getattr(index.hnsw, name)))
    made.hnsw.neighbors._put(neighbors(index.hnsw))
    made.hnsw.entry_point, made.hnsw.max_level = index.hnsw.entry_point, index.hnsw.max_level
    made.ntotal = index.ntotal
    return made


def faiss_index(index):
    """Faiss's index with the graph and the vectors of ours."""
    made = real.IndexHNSWFlat(index.d, 16, index.metric_type)
    made.storage.add(index.storage.reconstruct_n(0, index.ntotal))
    for name in ARRAYS:
        real.copy_array_to_vector(getattr(index.hnsw, name).array.copy(), getattr(made.hnsw, name))
    links = index.hnsw.neighbors.array
    made.hnsw.neighbors.resize(len(links))
    real.rev_swig_ptr(made.hnsw.neighbors.data(), len(links))[:] = links
    made.hnsw.entry_point, made.hnsw.max_level = index.hnsw.entry_point, index.hnsw.max_level
    made.ntotal = index.ntotal
    return made


def recall(found, truth):
    return np.mean(
        [len(set(a) & set(b)) / len(b) for a, b in zip(found.tolist(), truth.tolist(), strict=True)]
    )


def assert_same(found, expected):
    np.testing.assert_allclose(found[0][found[1] >= 0], expected[0][expected[1] >= 0], rtol=1e-4, atol=1e-4)
    # Ties apart.
    assert (found[1] == expected[1]).mean() > 0.995
    np.testing.assert_array_equal(found[1] < 0, expected[1] < 0)


@pytest.fixture(scope="module", params=[L2, IP], ids=["l2", "ip"])
def pair(request):
    x, q = vectors(2500, 20, 1), vectors(150, 20, 2)
    index = real.IndexHNSWFlat(20, 16, request.param)
    index.add(x)
    return index, same_graph(index), x, q


@pytest.mark.parametrize("ef", [1, 4, 16, 50, 200, 5000])
@pytest.mark.parametrize("k", [1, 10, 40])
def test_the_same_graph_gives_the_same_answers(pair, ef, k):
    index, made, _, q = pair
    for check, bounded in ((True, True), (False, True), (True, False)):
        theirs = real.SearchParametersHNSW(efSearch=ef, check_relative_distance=check, bounded_queue=bounded)
        params = Params(None, ef, check, bounded)
        assert_same(made.search(q, k, params=params), index.search(q, k, params=theirs))
    index.hnsw.efSearch = made.hnsw.efSearch = ef
    assert_same(made.search(q, k), index.search(q, k))


def test_selectors_filter_what_is_found_and_not_the_way(pair):
    index, made, _, q = pair
    some = np.arange(0, 2500, 3)
    for theirs, mine in (
        (real.IDSelectorRange(100, 700), IDSelectorRange(100, 700)),
        (real.IDSelectorBatch(some), IDSelectorBatch(some)),
        (real.IDSelectorNot(real.IDSelectorBatch(some)), IDSelectorNot(IDSelectorBatch(some))),
        (real.IDSelectorRange(0, 0), IDSelectorRange(0, 0)),
    ):
        expected = index.search(q, 10, params=real.SearchParametersHNSW(efSearch=60, sel=theirs))
        assert_same(made.search(q, 10, params=Params(mine, 60)), expected)


def test_ranges_hold_what_was_met_on_the_way(pair):
    index, made, _, q = pair
    index.hnsw.efSearch = made.hnsw.efSearch = 40
    radius = float(np.median(index.search(q, 10)[0]))
    lims, near, labels = index.range_search(q, radius)
    mine = made.range_search(q, radius)
    assert mine[0].dtype == np.uint64
    assert np.abs(lims.astype(int) - mine[0].astype(int)).max() <= 2
    for i in range(len(q)):
        a, b = set(labels[lims[i] : lims[i + 1]]), set(mine[2][mine[0][i] : mine[0][i + 1]])
        assert len(a ^ b) <= 1
    assert len(near) == pytest.approx(len(mine[1]), abs=2)


def test_the_costs_are_counted_as_faiss_counts_them(pair):
    index, made, _, q = pair
    index.hnsw.efSearch = made.hnsw.efSearch = 30
    theirs, stats = real.cvar.hnsw_stats, ours.cvar.hnsw_stats
    theirs.reset()
    stats.reset()
    index.search(q, 10)
    made.search(q, 10)
    assert (stats.n1, stats.n2) == (theirs.n1, theirs.n2)
    assert stats.ndis == pytest.approx(theirs.ndis, rel=0.01)
    assert stats.nhops == pytest.approx(theirs.nhops, rel=0.01)


def test_walks_from_given_vectors(pair):
    index, made, x, q = pair
    nprobe, k, n = 3, 8, len(q)
    near = np.random.RandomState(0).randint(0, 2500, (n, nprobe)).astype(np.int32)
    near[5, 2] = -1
    metric = index.metric_type
    pairs = x[near] * q[:, None]
    dis = pairs.sum(2) if metric == IP else ((x[near] - q[:, None]) ** 2).sum(2)
    for kind in (1, 2):
        out = []
        for one, lib in ((index, real), (made, None)):
            distances, labels = np.zeros((n, k), np.float32), np.zeros((n, k), np.int64)
            given = [near, dis.astype(np.float32), distances, labels]
            if lib is not None:
                pointers = [lib.swig_ptr(a) for a in (q, *given)]
                one.search_level_0(n, pointers[0], k, *pointers[1:], nprobe, kind)
            else:
                one.search_level_0(n, q, k, *given, nprobe, kind)
            out.append((distances, labels))
        assert_same(out[1], out[0])


@pytest.mark.parametrize("metric", [L2, IP], ids=["l2", "ip"])
@pytest.mark.parametrize("n", [300, 2500])
@pytest.mark.parametrize("M", [8, 16, 20, 32])
def test_our_graph_serves_faiss_and_finds_no_less(metric, n, M):
    x, q = vectors(n, 24, 3), vectors(200, 24, 4)
    index, theirs = ours.IndexHNSWFlat(24, M, metric), real.IndexHNSWFlat(24, M, metric)
    index.add(x)
    theirs.add(x)
    np.testing.assert_array_equal(index.hnsw.levels.array, real.vector_to_array(theirs.hnsw.levels))
    truth = real.knn(q, x, 10, metric)[1]
    borrowed = faiss_index(index)
    for ef in (16, 64):
        index.hnsw.efSearch = theirs.hnsw.efSearch = borrowed.hnsw.efSearch = ef
        mine = index.search(q, 10)
        assert recall(mine[1], truth) >= recall(theirs.search(q, 10)[1], truth) - 0.015
        assert_same(mine, borrowed.search(q, 10))


@pytest.mark.parametrize("bits", [1, 3, 7])
def test_a_graph_over_rabitq_codes_finds_no_less_than_faiss(bits):
    x, q = vectors(1500, 32, 3), vectors(200, 32, 4)
    truth = real.knn(q, x, 10)[1]
    found = []
    for kind, module in ((real.IndexHNSWRaBitQ, real), (IndexHNSWRaBitQ, factory)):
        assert isinstance(module.index_factory(32, f"HNSW12,RaBitQ{bits}"), kind)
        index = kind(32, 12, bits, L2)
        assert not index.is_trained
        with pytest.raises(RuntimeError):
            index.add(x)
        index.train(x)
        index.add(x)
        index.hnsw.efSearch = 64
        found.append(recall(index.search(q, 10)[1], truth))
        assert index.hnsw.search_method == (HNSW.SM_RABITQ if bits > 1 else HNSW.SM_DEFAULT)
        index.hnsw.search_bounded_queue = False
        if bits > 1:
            with pytest.raises(RuntimeError, match="bounded_queue"):
                index.search(q, 10)
        else:
            index.search(q, 10)
        for metric, wide in ((IP, 1), (L2, 0), (L2, 10)):
            with pytest.raises(RuntimeError):
                kind(32, 12, wide, metric)
    assert found[1] >= found[0] - 0.02


def test_distances_of_a_graph_over_rabitq_codes_are_those_of_its_codes():
    x, q = vectors(400, 24, 5), vectors(20, 24, 6)
    index = IndexHNSWRaBitQ(24, 16, 5)
    index.train(x)
    index.add(x)
    index.hnsw.efSearch = 400
    assert_same(index.search(q, 10), index.storage.search(q, 10))
    record = index.to_record()
    again = IndexHNSWRaBitQ.from_record(record)
    assert (record["fourcc"], record["staged"], again.hnsw.search_method) == ("IHNr", True, HNSW.SM_RABITQ)
    assert_same(again.search(q, 10), index.search(q, 10))
    index.storage = ours.IndexFlatL2(24)
    with pytest.raises(RuntimeError, match="IndexRaBitQ storage"):
        index.to_record()


@pytest.mark.parametrize("n", [700, 3000])
def test_threads_leave_no_trace(n):
    x = vectors(n, 16, 5)
    graphs = []
    for threads in (1, 2):
        store, core = _steep.Flat(16, "l2"), _steep.Hnsw(16)
        for part in np.array_split(x, 3):
            store.add(part)
            core.add(store, "l2", part, None, 40, False, False, threads)
        whole = _steep.Hnsw(16)
        whole.add(store, "l2", x, None, 40, False, True, threads)
        graphs.append([core.part("neighbors"), core.entry(), whole.part("neighbors"), whole.entry()])
    for a, b in zip(*graphs, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("bulk", [False, True])
def test_every_vector_can_be_found(bulk):
    x = np.repeat(vectors(600, 8, 6), 3, 0)
    index = ours.IndexHNSWFlat(8, 16)
    for part in [x] if bulk else np.array_split(x, 10):
        index.add(part)
    index.hnsw.efSearch = 100
    distances, labels = index.search(x, 1)
    assert (distances == 0).mean() > 0.99
    assert (x[labels[:, 0]] == x).all(1).mean() > 0.99


def test_few_and_no_vectors():
    index = ours.IndexHNSWFlat(4, 8)
    q = np.ones((2, 4), np.float32)
    assert (index.search(q, 3)[1] == -1).all()
    lims, _, labels = index.range_search(q, 1.0)
    assert lims.tolist() == [0, 0, 0]
    assert not len(labels)
    index.add(np.zeros((0, 4), np.float32))
    assert index.ntotal == 0
    assert index.hnsw.max_level == -1
    index.add(q[:1])
    distances, labels = index.search(q, 3)
    assert labels.tolist() == [[0, -1, -1]] * 2
    assert distances[0, 0] == 0
    index.add(q[:1] + 1)
    assert index.search(q, 5)[1].tolist() == [[0, 1, -1, -1, -1]] * 2
    index.reset()
    assert (index.ntotal, index.hnsw.entry_point) == (0, -1)
    assert (index.search(q, 1)[1] == -1).all()


def test_graph_over_codes_of_two_layers_finds_what_the_codes_are_nearest_to():
    x, q = vectors(600, 16, 8), vectors(40, 16, 9)
    index = ours.IndexHNSW2Level(ours.IndexFlatL2(16), 10, 8, 16)
    assert not index.is_trained
    index.train(x)
    index.add(x)
    decoded = index.storage.reconstruct_n()
    index.hnsw.efSearch = 100
    distances, labels = index.search(q, 3)
    true_distances, true_labels = real.knn(q, decoded, 3)
    assert (labels == true_labels).mean() > 0.97
    found = labels == true_labels
    np.testing.assert_allclose(distances[found], true_distances[found], rtol=1e-4, atol=1e-3)


def test_what_faiss_refuses_is_refused():
    x = vectors(50, 4, 7)
    index = ours.IndexHNSWFlat(4, 8)
    index.add(x)
    for call in (
        lambda: index.remove_ids(np.array([1])),
        lambda: index.add_with_ids(x, np.arange(50)),
        lambda: index.sa_code_size(),
        lambda: index.merge_from(index),
        lambda: ours.IndexHNSW(4, 8).add(x),
        lambda: ours.IndexHNSW(4, 8).search(x, 1),
        lambda: ours.IndexHNSWFlat(4, 0),
        lambda: ours.IndexHNSWPQ(4, 2, 8).add(x),
        lambda: index.hnsw.nb_neighbors(99),
        lambda: index.reconstruct(50),
        lambda: ours.IndexHNSWCagra(4),
    ):
        with pytest.raises(RuntimeError):
            call()
    with pytest.raises(AssertionError):
        index.search(x, 0)
    with pytest.raises(AssertionError):
        index.search(x[:, :3], 1)
    with pytest.raises(AttributeError):
        index.efSearch = 3
    with pytest.raises(AttributeError):
        index.hnsw.ef = 3
    index.storage = None
    with pytest.raises(RuntimeError):
        index.search(x, 1)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("neighbors", lambda a: np.where(np.arange(len(a)) == 3, 10_000, a)),
        ("neighbors", lambda a: a[:-1]),
        ("levels", lambda a: a + 1),
        ("levels", lambda a: np.where(np.arange(len(a)) == 3, -5, a)),
        ("levels", lambda a: a[:-1]),
        ("offsets", lambda a: a[::-1]),
        ("offsets", lambda a: a + np.uint64(2**62)),
        ("cum_nneighbor_per_level", lambda a: a[::-1]),
        ("cum_nneighbor_per_level", lambda a: a[:1]),
    ],
)
def test_arrays_that_lie_are_found_out(name, change):
    index = ours.IndexHNSWFlat(4, 8)
    x = vectors(300, 4, 8)
    index.add(x)
    array = getattr(index.hnsw, name).array.copy()
    getattr(index.hnsw, name)._put(change(array))
    with pytest.raises(RuntimeError):
        index.search(x, 1)
    getattr(index.hnsw, name)._put(array)
    assert (index.search(x, 1)[1][:, 0] == np.arange(300)).mean() > 0.9
    for entry, level in ((300, 0), (-1, 0), (0, 50), (-7, 0)):
        index.hnsw.entry_point, index.hnsw.max_level = entry, level
        with pytest.raises(RuntimeError):
            index.search(x, 1)


def test_attributes_and_permutations():
    x = vectors(400, 6, 9)
    index, theirs = ours.IndexHNSWFlat(6, 8), real.IndexHNSWFlat(6, 8)
    for one in (index, theirs):
        one.add(x)
    for name in (
        "efSearch",
        "efConstruction",
        "max_level",
        "search_bounded_queue",
        "check_relative_distance",
    ):
        assert getattr(index.hnsw, name) == getattr(theirs.hnsw, name)
    assert [index.hnsw.nb_neighbors(i) for i in range(3)] == [theirs.hnsw.nb_neighbors(i) for i in range(3)]
    assert index.hnsw.cum_nb_neighbors(2) == theirs.hnsw.cum_nb_neighbors(2)
    np.testing.assert_array_equal(index.reconstruct_n(3, 5), x[3:8])
    before = index.search(x[:50], 4)
    order = np.random.RandomState(0).permutation(400)
    index.permute_entries(order)
    after = index.search(x[:50], 4)
    np.testing.assert_array_equal(order[after[1]], before[1])
    np.testing.assert_array_equal(after[0], before[0])
    with pytest.raises((RuntimeError, ValueError)):
        index.hnsw.permute_entries(np.zeros(400, np.int64))
    index.hnsw.print_neighbor_stats(0)


def test_levels_may_be_set_beforehand():
    x = vectors(200, 6, 10)
    index = ours.IndexHNSWFlat(6, 8)
    index.hnsw.levels._put(np.tile([1, 1, 1, 2], 50))
    index.add(x)
    assert index.hnsw.max_level == 1
    assert (index.search(x, 1)[1][:, 0] == np.arange(200)).mean() > 0.95


@pytest.mark.parametrize("metric", [L2, IP], ids=["l2", "ip"])
def test_nsg_graphs(metric):
    x, q = vectors(1500, 32, 11), vectors(300, 32, 12)
    truth = real.knn(q, x, 1, metric)[1]
    theirs = real.IndexNSGFlat(32, 16, metric)
    theirs.add(x)
    enough = recall(theirs.search(q, 1)[1], truth) - 0.02
    index = ours.IndexNSGFlat(32, 16, metric)
    index.add(x)
    assert recall(index.search(q, 1)[1], truth) > enough
    assert index.nsg.dfs(VisitedTable(1500), index.nsg.enterpoint, 0) == 1500
    assert index.search(q, 2000)[1].shape == (300, 2000)
    with pytest.raises(RuntimeError):
        index.add(x)
    with pytest.raises(RuntimeError):
        index.search(q, 1, params=Params())
    index.reset()
    with pytest.raises(RuntimeError):
        index.search(q, 1)
    index.build(x, np.tile(np.arange(1, 9), (1500, 1)))
    assert recall(index.search(q, 1)[1], truth) > enough
    with pytest.raises(RuntimeError):
        ours.IndexNSGFlat(32, 16).build(x, np.full((1500, 8), -1))


def test_an_nsg_of_faiss_gives_the_same_answers():
    x, q = vectors(1200, 16, 13), vectors(100, 16, 14)
    theirs = real.IndexNSGFlat(16, 16)
    theirs.add(x)
    graph = theirs.nsg.get_final_graph()
    lists = real.rev_swig_ptr(graph.data, 1200 * 16).copy()
    record = {"ntotal": 1200, "R": 16, "L": 48, "C": 116, "search_L": 16, "is_built": True}
    nsg = ours.NSG.from_record(record | {"enterpoint": theirs.nsg.enterpoint, "final_graph": lists})
    index = ours.IndexNSGFlat(16, 16)
    index.storage.add(x)
    index._begin(nsg=nsg, is_built=True, ntotal=1200)
    for k in (1, 10, 50):
        assert_same(index.search(q, k), theirs.search(q, k))


def test_many_vectors_go_through_the_native_graph(monkeypatch):
    monkeypatch.setattr(ours, "LARGE", 2000)
    x, q = vectors(3000, 24, 15), vectors(200, 24, 16)
    truth = real.knn(q, x, 10)[1]
    index, theirs = ours.IndexHNSWFlat(24, 16), real.IndexHNSWFlat(24, 16)
    index.add(x[:2500])
    index.add(x[2500:])
    theirs.add(x)
    assert index.hnsw._native is not None
    for ef in (16, 64):
        index.hnsw.efSearch = theirs.hnsw.efSearch = ef
        assert recall(index.search(q, 10)[1], truth) >= recall(theirs.search(q, 10)[1], truth) - 0.01
    assert len(index.hnsw.levels) == 3000
    sel = IDSelectorRange(0, 1000)
    found = index.search(q, 10, params=Params(sel, 64))[1]
    assert found.max() < 1000
    assert recall(found, real.knn(q, x[:1000], 10)[1]) > 0.9
    borrowed = faiss_index(index)
    borrowed.hnsw.efSearch = 64
    assert recall(borrowed.search(q, 10)[1], truth) > 0.95
    _, labels = index.search(np.full((1, 24), np.nan, np.float32), 3)
    assert (labels == -1).all()
    index.hnsw.neighbors._put(index.hnsw.neighbors.array.copy())
    assert index.hnsw._native is None
    assert_same(index.search(q, 10), borrowed.search(q, 10))
