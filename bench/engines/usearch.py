"""usearch."""

from __future__ import annotations

import numpy as np
from usearch.index import Index

from bench.engines.base import EF_SWEEP, Engine, Knobs, Unavailable


class Usearch(Engine):
    """Its defaults are connectivity 16 and expansion_add 128; 200 matches the other graphs here.

    i8 keeps a scaled direction only, so it is offered where the length carries no meaning.
    """

    packages = ("usearch", "numkong")

    def __init__(self, metric: str, dtype: str) -> None:
        super().__init__(metric)
        if dtype == "i8" and metric != "cosine":
            raise Unavailable("its i8 vectors are scaled to unit length: cosine only")
        self.dtype = dtype
        self.threads = 1

    def build(self, x: np.ndarray, threads: int) -> None:
        self.index = Index(
            ndim=x.shape[1],
            metric={"l2": "l2sq", "ip": "ip", "cosine": "cos"}[self.metric],
            dtype=self.dtype,
            connectivity=16,
            expansion_add=200,
        )
        self.index.add(np.arange(len(x)), x, threads=threads)

    def knobs(self) -> list[Knobs]:
        return [{"ef_search": ef} for ef in EF_SWEEP]

    def set_knobs(self, knobs: Knobs) -> None:
        self.index.expansion_search = knobs["ef_search"]

    def set_threads(self, threads: int) -> None:
        self.threads = threads

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        return self.index.search(queries, k, threads=self.threads).keys

    def search_one(self, query: np.ndarray, k: int) -> np.ndarray:
        return self.index.search(query, k, threads=1).keys

    def index_bytes(self) -> int:
        return self.index.serialized_length
