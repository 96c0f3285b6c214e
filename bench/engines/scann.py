"""ScaNN: a tree of partitions, 4-bit anisotropic codes, exact re-ordering."""

from __future__ import annotations

import math
import os
from itertools import product

import numpy as np
import scann

from bench.engines.base import NPROBE_SWEEP, Engine, Knobs, size_when_saved


class Scann(Engine):
    """Two dimensions a code, threshold 0.2 for inner products, leaves near 2·√n: its entry in
    ann-benchmarks. SOAR exists for inner products only (lambda 1.5, not tuned here)."""

    packages = ("scann",)

    def __init__(self, metric: str) -> None:
        super().__init__(metric)
        self.threads = 1

    def build(self, x: np.ndarray, threads: int) -> None:
        n = len(x)
        self.leaves = max(1, int(2 * math.sqrt(n)))
        inner = self.metric != "l2"
        builder = scann.scann_ops_pybind.builder(x, 10, "dot_product" if inner else "squared_l2")
        builder.set_n_training_threads(threads)
        self.searcher = (
            builder.tree(
                self.leaves,
                1,
                training_sample_size=min(n, 250_000),
                spherical=self.metric == "cosine",
                quantize_centroids=True,
                **({"soar_lambda": 1.5, "overretrieve_factor": 1.5} if inner else {}),
            )
            .score_ah(2, anisotropic_quantization_threshold=0.2 if inner else float("nan"))
            .reorder(100)
            .build()
        )

    def knobs(self) -> list[Knobs]:
        leaves = (count for count in NPROBE_SWEEP if count <= self.leaves)
        return [
            {"leaves": count, "reorder": reorder}
            for count, reorder in product(leaves, (20, 40, 80, 160, 320))
        ]

    def set_knobs(self, knobs: Knobs) -> None:
        self.knob = knobs

    def set_threads(self, threads: int) -> None:
        self.threads = threads
        if threads > 1:
            self.searcher.set_num_threads(threads)

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        parallel = self.threads > 1
        search = self.searcher.search_batched_parallel if parallel else self.searcher.search_batched
        return search(queries, k, max(k, self.knob["reorder"]), self.knob["leaves"])[0]

    def search_one(self, query: np.ndarray, k: int) -> np.ndarray:
        return self.searcher.search(query, k, max(k, self.knob["reorder"]), self.knob["leaves"])[0]

    def index_bytes(self) -> int:
        def save(folder: os.PathLike) -> None:
            self.searcher.serialize(str(folder))

        return size_when_saved(save)
