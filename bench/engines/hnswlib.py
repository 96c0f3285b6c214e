"""hnswlib."""

from __future__ import annotations

import hnswlib
import numpy as np

from bench.engines.base import EF_SWEEP, Engine, Knobs


class Hnswlib(Engine):
    """ef_construction 200 is its README's value; beyond it the graphs hardly improve."""

    packages = ("hnswlib",)

    def __init__(self, metric: str, degree: int) -> None:
        super().__init__(metric)
        self.degree = degree

    def build(self, x: np.ndarray, threads: int) -> None:
        # Unit rows already: "ip" spares the normalised copy that "cosine" would make.
        self.index = hnswlib.Index("l2" if self.metric == "l2" else "ip", x.shape[1])
        self.index.init_index(len(x), M=self.degree, ef_construction=200, random_seed=0)
        self.index.add_items(x, num_threads=threads)

    def knobs(self) -> list[Knobs]:
        return [{"ef_search": ef} for ef in EF_SWEEP]

    def set_knobs(self, knobs: Knobs) -> None:
        self.index.set_ef(knobs["ef_search"])

    def set_threads(self, threads: int) -> None:
        self.index.set_num_threads(threads)

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        return self.index.knn_query(queries, k)[0]

    def index_bytes(self) -> int:
        return self.index.index_file_size()
