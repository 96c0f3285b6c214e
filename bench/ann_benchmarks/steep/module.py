"""Steep for ann-benchmarks. Copy this folder to its ``ann_benchmarks/algorithms/steep``."""

from __future__ import annotations

import numpy as np
import steep

from ..base.module import BaseANN

METRICS = {"euclidean": "l2", "angular": "cosine"}


class Steep(BaseANN):
    """An index of one spec. Queries run on one thread, batches on all that the container has."""

    def __init__(self, metric: str, spec: str) -> None:
        if metric not in METRICS:
            raise ValueError(f"metric {metric!r} is none of {', '.join(METRICS)}")
        self.metric, self.spec = METRICS[metric], spec
        self.name = f"Steep({spec})"
        self.index: steep.Index | None = None
        self.knobs: dict[str, int] = {}

    def fit(self, X: np.ndarray) -> None:
        """Index the rows of X (n, d)."""
        rows = np.ascontiguousarray(X, np.float32)
        self.index = steep.build(rows, metric=self.metric, spec=self.spec)

    def set_query_arguments(self, *arguments: float) -> None:
        """A graph's ef_search, an inverted file's nprobe; exact search has nothing to choose."""
        knobs = {"graph": "ef_search", "ivf": "nprobe"}
        wanted = [knob for kind, knob in knobs.items() if self.spec.startswith(kind)]
        if len(arguments) != len(wanted):
            raise ValueError(
                f"spec {self.spec!r} takes {' and '.join(wanted) or 'no query arguments'}, got {arguments}"
            )
        self.knobs = {name: int(value) for name, value in zip(wanted, arguments, strict=True)}
        chosen = "".join(f", {name}={value}" for name, value in self.knobs.items())
        self.name = f"Steep({self.spec}{chosen})"

    def query(self, q: np.ndarray, n: int) -> np.ndarray:
        """Row numbers of the n nearest of q (d,)."""
        return self.index.search(q, n, threads=1, **self.knobs).ids

    def batch_query(self, X: np.ndarray, n: int) -> None:
        """Answer all rows of X (nq, d) in one call; see `get_batch_results`."""
        self.results = self.index.search(np.ascontiguousarray(X, np.float32), n, **self.knobs).ids

    def get_batch_results(self) -> np.ndarray:
        """Row numbers (nq, n) of the last batch."""
        return self.results

    def get_memory_usage(self) -> float:
        """KiB of the index as it reports them, 0 before `fit`."""
        return self.index.bytes["total"] / 1024 if self.index is not None else 0.0

    def __str__(self) -> str:
        return self.name
