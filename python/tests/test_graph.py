"""The graph from Python: its knobs, what a search cost, and what stays exact."""

import copy
import pickle
import threading

import numpy as np
import pytest
import steep
from numpy.testing import assert_array_equal

RNG = np.random.default_rng(11)
CENTERS = RNG.standard_normal((40, 24))
X = (CENTERS[RNG.integers(0, 40, 4000)] + 0.4 * RNG.standard_normal((4000, 24))).astype(np.float32)
Q = (CENTERS[RNG.integers(0, 40, 150)] + 0.4 * RNG.standard_normal((150, 24))).astype(np.float32)


@pytest.fixture(scope="module")
def graph():
    return steep.build(X, spec="graph")


@pytest.fixture(scope="module")
def truth():
    return steep.ground_truth(X, Q, 10)


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
@pytest.mark.parametrize("metric", ["l2", "ip", "cosine"])
def test_more_in_view_costs_more_and_finds_no_less(metric, dtype):
    x, q = (X, Q) if dtype != "int8" else (X * 30, Q * 30)
    x, q = x.astype(dtype), q.astype(dtype)
    index, true = steep.build(x, metric=metric, spec="graph64"), steep.ground_truth(x, q, 10, metric)
    narrow, wide = (index.search(q, ef_search=ef, rerank=100, stats=True) for ef in (10, 400))
    assert narrow.stats.hops.sum() < wide.stats.hops.sum()
    assert steep.recall(narrow.ids, true.ids) <= steep.recall(wide.ids, true.ids)
    assert steep.recall(wide.ids, true.ids) > 0.99


def test_distances_are_exact_and_ascend(graph, truth):
    hits = graph.search(Q, ef_search=400)
    assert (np.diff(hits.distances, axis=1) >= 0).all()
    same = hits.ids == truth.ids
    assert same.mean() > 0.99
    assert_array_equal(hits.distances[same], truth.distances[same])


def test_a_single_query_is_a_row_of_the_batch(graph):
    hits = graph.search(Q, 7, ef_search=40, stats=True)
    for row in (0, 64, 149):
        one = graph.search(Q[row], 7, ef_search=40, stats=True)
        assert one.ids.shape == (7,)
        assert_array_equal(one.ids, hits.ids[row])
        assert_array_equal(one.distances, hits.distances[row])
        for each, all_of_them in zip(one.stats, hits.stats, strict=True):
            assert each.shape == ()
            assert each == all_of_them[row]


def test_stats_count_what_each_query_cost(graph):
    hits = graph.search(Q, ef_search=100, rerank=33, stats=True)
    assert isinstance(hits.stats, steep.Stats)
    for counts in hits.stats:
        assert counts.shape == (150,)
        assert counts.dtype == np.uint64
    assert (hits.stats.hops >= 33).all()
    assert (hits.stats.estimates >= 32 * hits.stats.hops).all()
    assert (hits.stats.reranked == 33).all()
    more = graph.search(Q, ef_search=1000, stats=True).stats  # far beyond a query's own cluster
    assert more.hops.sum() > 2 * hits.stats.hops.sum()


def test_stats_are_there_only_where_asked_for_and_counted(graph):
    assert graph.search(Q).stats is None
    assert steep.build(X, spec="flat").search(Q, stats=True).stats is None
    assert steep.ground_truth(X, Q, 3).stats is None
    assert graph.search(Q[:0], stats=True).stats.hops.shape == (0,)
    empty = steep.Index(24, spec="graph").search(Q, 3, ef_search=10, stats=True)
    assert (empty.ids == -1).all() and np.isinf(empty.distances).all()
    assert (empty.stats.hops == 0).all() and empty.stats.hops.shape == (150,)


def test_hits_with_stats_are_still_a_pair_and_keep_them_when_copied(graph):
    hits = graph.search(Q, 5, stats=True)
    ids, distances = hits
    assert ids is hits.ids and distances is hits.distances and len(hits) == 2
    copies = [pickle.loads(pickle.dumps(hits, protocol)) for protocol in range(2, 6)]
    for other in [*copies, copy.copy(hits), copy.deepcopy(hits)]:
        assert isinstance(other.stats, steep.Stats)
        for mine, others in zip((*hits, *hits.stats), (*other, *other.stats), strict=True):
            assert_array_equal(mine, others)


def test_threads_and_seeds_change_no_answer(graph):
    again = steep.build(X, spec="graph", threads=1)
    want = graph.search(Q, threads=1)
    for index in (graph, again):
        for threads in (1, 2, 5, None):
            assert_array_equal(index.search(Q, threads=threads).ids, want.ids)


def test_many_threads_search_one_graph(graph):
    want = {ef: graph.search(Q, ef_search=ef).ids for ef in (10, 70)}
    wrong = []

    def ask(ef):
        wrong.extend(ef for _ in range(20) if (graph.search(Q, ef_search=ef).ids != want[ef]).any())

    threads = [threading.Thread(target=ask, args=(ef,)) for ef in (10, 70) * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_graph_tells_its_parts(graph):
    assert graph.spec == "graph"
    assert graph.bytes["graph"] > 0
    assert graph.bytes["total"] == sum(graph.bytes.values()) - graph.bytes["total"]
    assert steep.build(X[:40], spec="graph64").spec == "graph64"
    assert steep.build(X[:40], spec="graph32").spec == "graph"


@pytest.mark.parametrize("metric", ["l2", "ip", "cosine"])
def test_a_graph_of_codes_alone_is_small_and_tells_distances_nearly(metric: str) -> None:
    index, fast = steep.build(X, metric=metric, spec="graph,sq8"), steep.build(X, metric=metric, spec="graph")
    assert index.spec == "graph,sq8"
    assert index.bytes["vectors"] == 0
    assert 2 * sum(index.bytes.values()) < sum(fast.bytes.values())
    hits, true = index.search(Q, 10, ef_search=200), steep.ground_truth(X, Q, 10, metric)
    assert steep.recall(hits.ids, true.ids) >= 0.95
    spread = true.distances[:, 9] - true.distances[:, 0]
    assert np.abs(hits.distances - true.distances).mean() <= 0.1 * spread.mean()
    with pytest.raises(ValueError, match="rerank"):
        index.search(Q, 10, rerank=20)


def test_a_graph_of_codes_with_vectors_ranks_by_them() -> None:
    index = steep.build(X, spec="graph,sq8,rerank")
    hits, true = index.search(Q, 10, ef_search=400), steep.ground_truth(X, Q, 10)
    assert steep.recall(hits.ids, true.ids) >= 0.99
    same = hits.ids == true.ids
    np.testing.assert_array_equal(hits.distances[same], true.distances[same])
