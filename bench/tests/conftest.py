"""A cache of its own for each test, and a small data folder."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bench import truth


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("STEEP_BENCH_CACHE", str(tmp_path / "cache"))
    # Peers or no peers: the truth of the tests comes from NumPy.
    monkeypatch.setattr(truth, "_exact_search", lambda: truth._numpy_search)


@pytest.fixture
def root(tmp_path):
    """A data root with "tiny": 400 × 8 uint8 under l2, and "unit": 300 × 8 float16, cosine."""
    rng = np.random.default_rng(0)
    for name, metric, base in (
        ("tiny", "l2", rng.integers(0, 256, (400, 8), dtype=np.uint8)),
        ("unit", "cosine", rng.standard_normal((300, 8)).astype(np.float16)),
    ):
        folder = tmp_path / "data" / name
        folder.mkdir(parents=True)
        queries = base[::10].copy()
        np.save(folder / "base.npy", base)
        np.save(folder / "queries.npy", queries)
        np.save(folder / "gt_ids.npy", truth.oracle(base, queries, 20, metric).astype(np.int32))
        (folder / "meta.json").write_text(json.dumps({"name": name, "metric": metric}))
    return tmp_path / "data"
