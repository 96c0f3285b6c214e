"""Faiss: exact, HNSW and IVF indexes, each from its factory string."""

from __future__ import annotations

import math
from itertools import product

import faiss
import numpy as np

from bench.engines.base import EF_SWEEP, NPROBE_SWEEP, Engine, Knobs


class Faiss(Engine):
    """An index of `faiss.index_factory`, trained on all rows (Faiss samples them itself)."""

    packages = ("faiss-cpu",)

    def factory(self, n: int, d: int) -> str:
        """The factory string for n rows of d dimensions."""
        raise NotImplementedError

    def build(self, x: np.ndarray, threads: int) -> None:
        faiss.omp_set_num_threads(threads)
        kind = faiss.METRIC_L2 if self.metric == "l2" else faiss.METRIC_INNER_PRODUCT
        self.index = faiss.index_factory(x.shape[1], self.factory(*x.shape), kind)
        self.prepare()
        if not self.index.is_trained:
            self.index.train(x)
        self.index.add(x)

    def prepare(self) -> None:
        """Settings that must stand before vectors are added."""

    def set_threads(self, threads: int) -> None:
        faiss.omp_set_num_threads(threads)

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        return self.index.search(queries, k)[1]

    def index_bytes(self) -> int:
        # Counted while serialising, so that a second copy never exists.
        total = 0

        def count(block: bytes) -> None:
            nonlocal total
            total += len(block)

        faiss.write_index(self.index, faiss.PyCallbackIOWriter(count))
        return total


class Flat(Faiss):
    """Exact search."""

    def factory(self, n: int, d: int) -> str:
        return "Flat"


class Hnsw(Faiss):
    """Degree 32 is Faiss's default; 16 (32 links at the base) is what RaBitQ-Library's comparison
    uses, with efConstruction 200. Faiss's own default of 40 would cost recall."""

    def __init__(self, metric: str, degree: int, code: str = "Flat") -> None:
        super().__init__(metric)
        self.degree, self.code = degree, code

    def factory(self, n: int, d: int) -> str:
        return f"HNSW{self.degree},{self.code}"

    def prepare(self) -> None:
        self.index.hnsw.efConstruction = 200

    def knobs(self) -> list[Knobs]:
        return [{"ef_search": ef} for ef in EF_SWEEP]

    def set_knobs(self, knobs: Knobs) -> None:
        self.index.hnsw.efSearch = knobs["ef_search"]


class Ivf(Faiss):
    """4·√n lists, the lower end of the 4√n…16√n that its wiki advises below a million rows."""

    def __init__(self, metric: str, code: str) -> None:
        super().__init__(metric)
        self.code = code

    def factory(self, n: int, d: int) -> str:
        self.lists = max(1, min(int(4 * math.sqrt(n)), n // 39))  # 39 points a centroid to train
        return f"IVF{self.lists},{self.code.format(half=d // 2 if d % 2 == 0 else d)}"

    def knobs(self) -> list[Knobs]:
        return [{"nprobe": probes} for probes in NPROBE_SWEEP if probes <= self.lists]

    def set_knobs(self, knobs: Knobs) -> None:
        faiss.extract_index_ivf(self.index).nprobe = knobs["nprobe"]


class RefinedIvf(Ivf):
    """FastScan codes, then k·k_factor candidates re-scored on the original vectors (RFlat).

    Half a nibble a dimension for PQ and one bit for RaBitQ, as in the wiki's fast-scan page and
    in RaBitQ-Library's own comparison; a random rotation in front of RaBitQ, whose estimate
    assumes one.
    """

    def __init__(self, metric: str, code: str, rotate: bool = False) -> None:
        super().__init__(metric, code)
        self.rotate = rotate

    def factory(self, n: int, d: int) -> str:
        rotation = f"RR{d}," if self.rotate else ""
        return f"{rotation}{super().factory(n, d)},RFlat"

    def knobs(self) -> list[Knobs]:
        factors = (1, 2, 5, 10, 20)
        return [{**probe, "k_factor": f} for probe, f in product(super().knobs(), factors)]

    def set_knobs(self, knobs: Knobs) -> None:
        faiss.extract_index_ivf(self.index).nprobe = knobs["nprobe"]
        self.index.k_factor = knobs["k_factor"]
