"""Steep itself."""

from __future__ import annotations

import numpy as np
import steep

from bench.engines.base import NPROBE_SWEEP, Engine, Knobs


class Steep(Engine):
    """``steep.build`` with a spec; integers stay integers unless told otherwise."""

    packages = ("steep",)

    def __init__(self, metric: str, spec: str, keep_integers: bool = True) -> None:
        super().__init__(metric)
        self.spec, self.keep_integers = spec, keep_integers
        self.threads = 1

    def build(self, x: np.ndarray, threads: int) -> None:
        self.index = steep.build(x, metric=self.metric, spec=self.spec, threads=threads)

    def set_threads(self, threads: int) -> None:
        self.threads = threads

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        return self.index.search(queries, k, threads=self.threads).ids

    def search_one(self, query: np.ndarray, k: int) -> np.ndarray:
        return self.index.search(query, k, threads=self.threads).ids

    def index_bytes(self) -> int:
        return self.index.bytes["total"]


class Graph(Steep):
    """``spec="graph"`` with a degree and perhaps ``",sq8"``; integers stay integers here too."""

    # Fewer than the 10 neighbours that are asked for are the quickest; 800 is where hard sets pass 0.99.
    EF_SWEEP = (4, 6, 8, 10, 12, 14, 20, 28, 40, 56, 80, 112, 160, 224, 320, 450, 600, 800)

    def __init__(self, metric: str, degree: int, code: str = "") -> None:
        super().__init__(metric, f"graph{degree}{code}")

    def knobs(self) -> list[Knobs]:
        return [{"ef_search": ef} for ef in self.EF_SWEEP]

    def set_knobs(self, knobs: Knobs) -> None:
        self.ef = int(knobs["ef_search"])

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        return self.index.search(queries, k, ef_search=self.ef, threads=self.threads).ids

    def search_one(self, query: np.ndarray, k: int) -> np.ndarray:
        return self.search(query, k)


class Ivf(Steep):
    """``spec="ivf,..."`` or ``"ivfx2,..."`` with a code and as many lists as it takes; integers stay."""

    def __init__(self, metric: str, code: str, lists: str = "ivf") -> None:
        super().__init__(metric, f"{lists},{code}")

    def build(self, x: np.ndarray, threads: int) -> None:
        # A nibble for two dimensions, as the others' product codes.
        self.spec = self.spec.format(half=x.shape[1] // 2)
        super().build(x, threads)

    def knobs(self) -> list[Knobs]:
        return [{"nprobe": probes} for probes in NPROBE_SWEEP]

    def set_knobs(self, knobs: Knobs) -> None:
        self.nprobe = int(knobs["nprobe"])

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        return self.index.search(queries, k, nprobe=self.nprobe, threads=self.threads).ids

    def search_one(self, query: np.ndarray, k: int) -> np.ndarray:
        return self.search(query, k)
