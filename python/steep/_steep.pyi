# The compiled module, from python/src. It takes all arguments by place; the *.py files hold the public names.

import builtins
from typing import Any, final

import numpy as np
import numpy.typing as npt

from steep._info import Info
from steep._types import Array, Counts, Distances, Dtype, Ids, Metric, Path, Progress

__all__ = [
    "Index",
    "Memory",
    "Twister",
    "faiss_buckets",
    "faiss_linear",
    "faiss_normalize",
    "faiss_random",
    "faiss_rotate",
    "faiss_select",
    "faiss_squares",
    "ground_truth",
    "info",
    "kmeans",
    "kmeans_assign",
    "read_vectors",
    "recall",
    "write_vectors",
]

@final
class Index:
    def __new__(cls, dim: int, metric: Metric, spec: str, dtype: Dtype) -> Index: ...
    @staticmethod
    def build(
        x: Array,
        metric: Metric,
        spec: str,
        ids: npt.ArrayLike | None,
        threads: int | None,
        seed: int,
        progress: Progress | None,
    ) -> Index: ...
    @staticmethod
    def open(path: Path, mmap: bool) -> Index: ...
    @staticmethod
    def from_bytes(bytes: npt.NDArray[np.uint8]) -> Index: ...
    def add(
        self, x: Array, ids: npt.ArrayLike | None, threads: int | None, progress: Progress | None
    ) -> None: ...
    def fewer_lists(self) -> tuple[int, int] | None: ...
    def search(
        self,
        q: Array,
        k: int,
        ef_search: int | None,
        nprobe: int | None,
        max_codes: int | None,
        rerank: int | None,
        threads: int | None,
        stats: bool,
        progress: Progress | None,
    ) -> tuple[Ids, Distances, list[Counts] | None]: ...
    def range_search(
        self, q: Array, radius: float, nprobe: int | None, threads: int | None, progress: Progress | None
    ) -> tuple[Ids, Ids, Distances]: ...
    def save(self, path: Path) -> None: ...
    def to_bytes(self) -> npt.NDArray[np.uint8]: ...
    def __len__(self) -> int: ...
    @property
    def dim(self) -> int: ...
    @property
    def metric(self) -> Metric: ...
    @property
    def spec(self) -> str: ...
    @property
    def dtype(self) -> Dtype: ...
    @property
    def mapped(self) -> bool: ...
    @property
    def bytes(self) -> dict[str, int]: ...

@final
class Memory:
    @property
    def __array_interface__(self) -> dict[str, object]: ...
    @property
    def dtype(self) -> Dtype: ...

def read_vectors(path: Path, mmap: bool) -> Memory: ...
def write_vectors(path: Path, x: Array) -> None: ...
def ground_truth(
    x: Array,
    q: Array,
    k: int,
    metric: Metric,
    threads: int | None,
    progress: Progress | None,
) -> tuple[Ids, Distances]: ...
def recall(found: npt.NDArray[np.int64], truth: npt.NDArray[np.int64]) -> float: ...
def info() -> Info: ...
def kmeans(
    x: Array,
    k: int,
    metric: Metric,
    iterations: int,
    start: str | Array,
    weights: npt.NDArray[np.float32] | None,
    max_points_per_centroid: int | None,
    hierarchical: bool,
    batch: int | None,
    balanced: bool,
    seed: int,
    threads: int | None,
    progress: Progress | None,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64], npt.NDArray[np.float32]]: ...
def kmeans_assign(
    x: Array,
    centroids: npt.NDArray[np.float32],
    prices: npt.NDArray[np.float32],
    metric: Metric,
    threads: int | None,
    progress: Progress | None,
) -> tuple[Ids, Distances]: ...

# Faiss's numbers, products and tables: what steep.faiss builds on.

class Twister:
    def __init__(self, seed: builtins.int) -> None: ...
    def int(self) -> builtins.int: ...
    def int64(self) -> builtins.int: ...
    def word(self) -> builtins.int: ...
    def float(self) -> builtins.float: ...
    def double(self) -> builtins.float: ...
    def permutation(self, n: builtins.int) -> npt.NDArray[np.int32]: ...

def faiss_random(
    out: npt.NDArray[Any], normal: bool, seed: int, vmax: int | None, threads: int | None
) -> None: ...
def faiss_linear(
    x: Distances, a: Distances, b: Distances | None, out: Distances, threads: int | None
) -> None: ...
def faiss_squares(q: Distances, x: Distances, out: Distances, threads: int | None) -> None: ...
def faiss_rotate(x: Distances, signs: Distances, out: Distances, threads: int | None) -> None: ...
def faiss_normalize(x: Distances, threads: int | None) -> None: ...
def faiss_select(values: Distances, k: int, largest: bool, threads: int | None) -> tuple[Distances, Ids]: ...
def faiss_buckets(entries: Ids, buckets: int, width: int) -> tuple[Ids, Ids]: ...
