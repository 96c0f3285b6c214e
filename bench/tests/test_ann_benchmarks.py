"""The algorithm module, loaded as ann-benchmarks would, with stand-ins for it and for Steep."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

MODULE = Path(__file__).parents[1] / "ann_benchmarks" / "steep" / "module.py"
BASE = np.eye(5, dtype=np.float32)


class Index:
    def __init__(self, rows):
        self.rows = rows
        self.bytes = {"vectors": 2000, "ids": 48, "total": 2048}

    def search(self, q, k, threads=None, **knobs):
        self.knobs = knobs
        ids = np.argsort(-(np.atleast_2d(q) @ self.rows.T), axis=1, kind="stable")[:, :k]
        return SimpleNamespace(ids=ids[0] if q.ndim == 1 else ids)


@pytest.fixture
def algorithm(monkeypatch):
    for name in ("algorithms", "algorithms.base", "algorithms.steep"):
        package = ModuleType(name)
        package.__path__ = []
        monkeypatch.setitem(sys.modules, name, package)
    base = ModuleType("algorithms.base.module")
    base.BaseANN = object
    monkeypatch.setitem(sys.modules, "algorithms.base.module", base)
    steep = ModuleType("steep")
    steep.build = lambda rows, metric, spec: Index(rows)
    monkeypatch.setitem(sys.modules, "steep", steep)
    spec = importlib.util.spec_from_file_location("algorithms.steep.module", MODULE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Steep


def test_fits_and_answers(algorithm):
    steep = algorithm("angular", "flat")
    assert str(steep) == "Steep(flat)" and steep.get_memory_usage() == 0.0
    steep.fit(BASE)
    steep.set_query_arguments()
    assert steep.query(BASE[3], 1).tolist() == [3]
    steep.batch_query(BASE, 1)
    assert steep.get_batch_results()[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert steep.get_memory_usage() == 2.0


@pytest.mark.parametrize(("spec", "knob"), [("graph64", "ef_search"), ("ivf,rabitq4,rerank", "nprobe")])
def test_an_approximate_index_takes_its_query_arguments(algorithm, spec, knob):
    steep = algorithm("euclidean", spec)
    steep.fit(BASE)
    for value in (10, 800):
        steep.set_query_arguments(value)
        assert str(steep) == f"Steep({spec}, {knob}={value})"
        steep.query(BASE[3], 1)
        assert steep.index.knobs == {knob: value}
        steep.batch_query(BASE, 1)
        assert steep.index.knobs == {knob: value}
    with pytest.raises(ValueError, match=f"takes {knob}"):
        steep.set_query_arguments()


def test_refuses_what_it_cannot_do(algorithm):
    with pytest.raises(ValueError, match="jaccard"):
        algorithm("jaccard", "flat")
    with pytest.raises(ValueError, match="no query arguments"):
        algorithm("euclidean", "flat").set_query_arguments(10)
