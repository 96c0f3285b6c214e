import numpy as np

from bench import truth

BASE = np.array([[0, 0], [1, 0], [0, 1], [5, 5]], np.float32)
QUERY = np.array([[0, 0]], np.float32)


def recall(found, k):
    right = truth.nearest(BASE, QUERY, k, "l2")
    return truth.recall(np.array([found]), right, BASE, QUERY, "l2")


def test_an_equally_near_row_counts_as_found():
    assert recall([0, 1], 2) == recall([0, 2], 2) == 1.0


def test_missing_repeated_and_far_rows_do_not_count():
    assert recall([0, -1], 2) == recall([0, 0], 2) == recall([0, 3], 2) == 0.5


def test_oracle_breaks_ties_by_the_lower_row():
    base = np.repeat(BASE, 3, axis=0)
    assert truth.oracle(base, QUERY, 5, "l2").tolist() == [[0, 1, 2, 3, 4]]


def test_oracle_agrees_with_plain_f64_on_every_metric():
    rng = np.random.default_rng(1)
    base = rng.standard_normal((300, 7)).astype(np.float32)
    queries = rng.standard_normal((9, 7)).astype(np.float32)
    for metric in ("l2", "ip", "cosine"):
        keys = truth.distances(np.broadcast_to(base, (9, *base.shape)), queries, metric)
        right = np.argsort(keys, axis=1, kind="stable")[:, :10]
        assert (truth.oracle(base, queries, 10, metric) == right).all()


def test_nearest_is_the_same_in_chunks(monkeypatch):
    rng = np.random.default_rng(2)
    base = rng.standard_normal((257, 5)).astype(np.float32)
    whole = truth.nearest(base, base[:20], 10, "l2")
    monkeypatch.setattr(truth, "CHUNK_ROWS", 64)
    assert (truth.nearest(base, base[:20], 10, "l2") == whole).all()
