"""What every engine must offer: build, search, knobs, bytes. One adapter per library beside."""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

import numpy as np

Knobs = dict[str, float]

# Doubling steps from "barely any work" to "recall above 0.99 on hard sets".
EF_SWEEP = (10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
NPROBE_SWEEP = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)


class Unavailable(Exception):
    """The engine cannot run here, for a reason that is not a failure (its words are printed)."""


class Engine(ABC):
    """One index of one library. An instance lives in a worker process of its own."""

    packages: tuple[str, ...] = ()
    """Distributions whose versions belong beside the figures."""

    keep_integers = False
    """True where the library searches integer vectors as they are; others get float32."""

    def __init__(self, metric: str) -> None:
        """`metric`: "l2", "ip" or "cosine" (float rows then have unit length)."""
        self.metric = metric

    @abstractmethod
    def build(self, x: np.ndarray, threads: int) -> None:
        """Index the rows of `x` (n, d), C-contiguous and read-only."""

    def knobs(self) -> list[Knobs]:
        """The settings to sweep, known after the build; exact engines have a single, empty one."""
        return [{}]

    def set_knobs(self, knobs: Knobs) -> None:
        """Use one of `knobs()` for the searches that follow."""
        if knobs:
            raise ValueError(f"{type(self).__name__} has no knobs, not even {knobs}")

    @abstractmethod
    def set_threads(self, threads: int) -> None:
        """Use this many threads for the searches that follow."""

    @abstractmethod
    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        """Row numbers of the k nearest of each query, (nq, k), in one call."""

    def search_one(self, query: np.ndarray, k: int) -> np.ndarray:
        """As `search` for one query (d,), where the library has a faster way in; returns (k,)."""
        return self.search(query[None], k)[0]

    @abstractmethod
    def index_bytes(self) -> int:
        """Bytes of the whole index, vectors included where a search needs them."""


def size_when_saved(save: Callable[[Path], object]) -> int:
    """Bytes of the files that `save(folder)` writes: an index's size where none is reported."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save(folder)
        return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
