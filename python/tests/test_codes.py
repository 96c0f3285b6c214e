"""Codes from Python, in lists and without: their knobs, sizes and files."""

import copy
import pickle
import warnings

import numpy as np
import pytest
import steep
from numpy.testing import assert_array_equal

RNG = np.random.default_rng(12)
CENTERS = RNG.standard_normal((40, 32))
X = (CENTERS[RNG.integers(0, 40, 5000)] + 0.5 * RNG.standard_normal((5000, 32))).astype(np.float32)
Q = (CENTERS[RNG.integers(0, 40, 100)] + 0.5 * RNG.standard_normal((100, 32))).astype(np.float32)


@pytest.fixture(scope="module")
def lists():
    return steep.build(X, spec="ivf100,rabitq4,rerank")


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
@pytest.mark.parametrize("metric", ["l2", "ip", "cosine"])
def test_more_lists_cost_more_and_find_no_less(metric, dtype):
    x, q = (X, Q) if dtype != "int8" else (X * 30, Q * 30)
    x, q = x.astype(dtype), q.astype(dtype)
    index = steep.build(x, metric=metric, spec="ivf100,rabitq4,rerank")
    true = steep.ground_truth(x, q, 10, metric)
    few, all_of_them = (index.search(q, nprobe=n, stats=True) for n in (2, 100))
    assert (few.stats.hops == 2).all()
    assert (all_of_them.stats.estimates == 5000).all()
    assert (all_of_them.stats.refined <= 5000).all()
    assert steep.recall(few.ids, true.ids) <= steep.recall(all_of_them.ids, true.ids)
    assert steep.recall(all_of_them.ids, true.ids) > 0.97


def test_a_single_query_is_a_row_of_the_batch(lists):
    hits = lists.search(Q, 7, stats=True)
    for row in (0, 50, 99):
        one = lists.search(Q[row], 7, stats=True)
        assert_array_equal(one.ids, hits.ids[row])
        assert_array_equal(one.distances, hits.distances[row])
        assert [int(count) for count in one.stats] == [int(count[row]) for count in hits.stats]


def test_fewer_bytes_find_less():
    true = steep.ground_truth(X, Q, 10)
    sizes, recalls = [], []
    specs = ["rabitq1", "pq16x4", "rabitq2", "rabitq4", "rabitq8", "rabitq8,rerank-f16", "rabitq8,rerank"]
    for spec in specs:
        index = steep.build(X, spec=spec)
        assert index.spec == spec
        assert index.bytes["total"] == sum(size for part, size in index.bytes.items() if part != "total")
        sizes.append(index.bytes["total"])
        recalls.append(steep.recall(index.search(Q).ids, true.ids))
    assert sizes == sorted(sizes)
    assert sizes[0] < X.nbytes / 8
    assert recalls[0] < recalls[3] < recalls[-1]
    assert recalls[-1] > 0.99


@pytest.mark.parametrize(
    ("spec", "floor"),
    [
        ("sq8", 0.9),
        ("lvq8", 0.94),
        ("sq4", 0.75),
        ("pq16x8", 0.75),
        ("rabitq1,rerank-i8", 0.94),
        ("f16", 0.97),
    ],
)
def test_codes_of_every_kind_find_what_is_near(spec, floor):
    true = steep.ground_truth(X, Q, 10)
    assert steep.recall(steep.build(X, spec=spec).search(Q).ids, true.ids) > floor


def test_what_is_kept_on_disk_and_in_copies_answers_alike(lists, tmp_path):
    hits = lists.search(Q)
    lists.save(tmp_path / "lists.steep")
    for other in (
        steep.open(tmp_path / "lists.steep"),
        steep.open(tmp_path / "lists.steep", mmap=True),
        pickle.loads(pickle.dumps(lists)),
        copy.deepcopy(lists),
    ):
        again = other.search(Q)
        assert_array_equal(again.ids, hits.ids)
        assert_array_equal(again.distances, hits.distances)


def test_ids_of_ones_own_come_back(lists):
    index = steep.build(X, spec="ivf100,rabitq4", ids=np.arange(5000) + 7000)
    index.add(Q, ids=np.arange(100))
    assert len(index) == 5100
    assert (index.search(Q, 1, nprobe=100).ids[:, 0] == np.arange(100)).mean() > 0.9


def test_range_search_keeps_to_the_radius(lists):
    radius = float(np.median(steep.ground_truth(X, Q, 20).distances[:, -1]))
    exact = steep.build(X, spec="flat").range_search(Q, radius)
    found = lists.range_search(Q, radius, nprobe=100)
    assert (found.distances <= radius).all()
    assert 0.97 * len(exact.ids) <= len(found.ids) <= len(exact.ids)
    assert len(lists.range_search(Q, radius, nprobe=1).ids) < len(found.ids)


def test_too_few_vectors_for_the_lists_are_said_once():
    x = np.random.default_rng(3).standard_normal((200, 8)).astype(np.float32)
    with pytest.warns(UserWarning, match="25 lists, not 4096"):
        index = steep.build(x, spec="ivf4096,rabitq4")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        index.add(x)
        steep.build(x, spec="ivf16,rabitq4")
        steep.build(x, spec="ivf")
    empty = steep.Index(8, spec="ivf64,rabitq4")
    with pytest.warns(UserWarning, match="25 lists, not 64"):
        empty.add(x)
