"""The gate of k-means: what its centroids are judged by, and its table."""

import numpy as np
import pytest

from bench import compare_kmeans
from bench.datasets import load


@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_the_mean_distance_is_to_the_nearest(metric):
    rng = np.random.default_rng(0)
    x, c = rng.standard_normal((2500, 7)), 3 * rng.standard_normal((11, 7))
    if metric == "l2":
        distances = np.square(x[:, None] - c).sum(-1)
    else:
        distances = 1 - (x @ c.T) / np.outer(np.linalg.norm(x, axis=1), np.linalg.norm(c, axis=1))
    found = compare_kmeans.mean_distance(x.astype(np.float32), c.astype(np.float32), metric)
    assert found == pytest.approx(distances.min(axis=1).mean(), rel=1e-5)


@pytest.mark.parametrize("name", ["synthetic-3000x16", "synthetic-3000x16-cosine"])
def test_a_run_ends_in_a_table(name):
    pytest.importorskip("steep")
    plan = compare_kmeans.Plan(["steep-kmeans"], [1, 2], k=20, iterations=3, repeats=2)
    records = list(compare_kmeans.run(load(name), plan))
    assert [r["kind"] for r in records] == ["kmeans-run", *["kmeans"] * 4]
    assert len({r["objective"] for r in records[1:]}) == 1  # the same seed at any number of threads
    table = compare_kmeans.report(records)
    assert "3,000 × 16" in table and "steep-kmeans" in table and "k = 20, 3 iterations" in table
