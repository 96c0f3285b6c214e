"""Steep itself."""

from __future__ import annotations

import numpy as np
import steep

from bench.engines.base import Engine


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

    def index_bytes(self) -> int:
        return self.index.bytes["total"]
