# The compiled module, from python/src. It takes all arguments by place; the *.py files hold the public names.

import builtins
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, final

import numpy as np
import numpy.typing as npt

from steep._info import Info
from steep._types import Array, Counts, Distances, Dtype, Ids, Metric, Path, Progress

__all__ = [
    "Centers",
    "Codec",
    "Flat",
    "Hnsw",
    "Index",
    "Lists",
    "Memory",
    "NativeGraph",
    "Selector",
    "Twister",
    "faiss_buckets",
    "faiss_convert",
    "faiss_known",
    "faiss_linear",
    "faiss_normalize",
    "faiss_pack",
    "faiss_random",
    "faiss_read",
    "faiss_rotate",
    "faiss_select",
    "faiss_squares",
    "faiss_sums",
    "faiss_train_product",
    "faiss_train_scalar",
    "faiss_unpack",
    "faiss_write",
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
    def convert(self, spec: str, seed: int, threads: int | None, progress: Progress | None) -> Index: ...
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

# Faiss's numbers, products and tables.

@final
class Twister:
    def __new__(cls, seed: builtins.int) -> Twister: ...
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
def faiss_sums(
    x: Distances, labels: Ids, groups: int, weights: Distances | None, threads: int | None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]: ...
def faiss_normalize(x: Distances, threads: int | None) -> None: ...
def faiss_select(values: Distances, k: int, largest: bool, threads: int | None) -> tuple[Distances, Ids]: ...
def faiss_buckets(entries: Ids, buckets: int, width: int) -> tuple[Ids, Ids]: ...

# What steep.faiss builds on: Faiss's layouts, distances smaller for what is nearer.

_Rows: TypeAlias = npt.NDArray[np.float32]
_Codes: TypeAlias = npt.NDArray[np.uint8]
_Levels: TypeAlias = npt.NDArray[np.int32]
#: What a file holds, by Faiss's names: see src/faiss/file/mod.rs.
_Record: TypeAlias = dict[str, Any]

#: Described: ("range", 3, 7), ("not", ...), ("and", ..., ...).
@final
class Selector:
    def __new__(cls, described: tuple[Any, ...]) -> Selector: ...
    def has(self, id: int) -> bool: ...

@final
class Codec:
    @staticmethod
    def flat(dim: int) -> Codec: ...
    @staticmethod
    def binary(dim: int) -> Codec: ...
    @staticmethod
    def scalar(dim: int, qtype: int, trained: _Rows) -> Codec: ...
    @staticmethod
    def product(dim: int, m: int, nbits: int, centroids: _Rows) -> Codec: ...
    @staticmethod
    def fastscan(dim: int, m: int, centroids: _Rows) -> Codec: ...
    @staticmethod
    def rabitq(
        dim: int, metric: str, nb_bits: int, qb: int, centered: bool, centroid: _Rows | None
    ) -> Codec: ...
    @property
    def dim(self) -> int: ...
    @property
    def code_size(self) -> int: ...
    def encode(self, x: _Rows, centers: _Rows | None = None, threads: int | None = None) -> _Codes: ...
    def decode(self, codes: _Codes, threads: int | None = None) -> _Rows: ...
    def distances(self, q: _Rows, codes: _Codes, metric: str, threads: int | None = None) -> _Rows: ...

@final
class Centers:
    def __new__(cls, codec: Codec, metric: str, rows: _Rows) -> Centers: ...

#: `asked` holds keys, coarse, metric, centers, max_codes, selector, places and threads.
@final
class Lists:
    def __new__(cls, lists: int, code_size: int, block: int) -> Lists: ...
    def __len__(self) -> int: ...
    def bytes(self) -> int: ...
    def sizes(self) -> Ids: ...
    def ids(self, list: int) -> Ids: ...
    def codes(self, list: int, from_: int, to: int) -> _Codes: ...
    def append(self, list: int, ids: Ids, codes: _Codes) -> None: ...
    def add(
        self,
        codec: Codec,
        x: _Rows,
        keys: Ids,
        ids: Ids,
        centers: Centers | None,
        threads: int | None,
    ) -> None: ...
    def replace(self, list: int, at: int, id: int, code: _Codes) -> None: ...
    def truncate(self, list: int, len: int) -> None: ...
    def remove(self, selector: Selector) -> int: ...
    def squeeze(self, selector: Selector) -> int: ...
    def merge(self, other: Lists, add: int) -> None: ...
    def search(self, codec: Codec, q: _Rows, k: int, asked: Mapping[str, Any]) -> tuple[Ids, Distances]: ...
    def range_search(
        self, codec: Codec, q: _Rows, radius: float, asked: Mapping[str, Any]
    ) -> tuple[Ids, Ids, Distances]: ...

@final
class Flat:
    def __new__(cls, dim: int, metric: str) -> Flat: ...
    def __len__(self) -> int: ...
    def bytes(self) -> int: ...
    def add(self, x: Array) -> None: ...
    def vectors(self, from_: int, to: int) -> npt.NDArray[Any]: ...
    def search(
        self, q: Array, k: int, selector: Selector | None, threads: int | None
    ) -> tuple[Ids, Distances]: ...
    def range_search(
        self, q: Array, radius: float, selector: Selector | None, threads: int | None
    ) -> tuple[Ids, Ids, Distances]: ...
    def near(self, q: Array, k: int, threads: int | None) -> tuple[Ids, Distances]: ...
    def rank(self, q: Array, k: int, candidates: Ids, threads: int | None) -> tuple[Ids, Distances]: ...
    def remove(self, selector: Selector) -> int: ...
    def choose(self, rows: Ids) -> None: ...

#: Queries, hops of upper levels, distances, hops.
_Costs: TypeAlias = tuple[int, int, int, int]
#: ef, check_relative_distance, bounded_queue.
_Effort: TypeAlias = tuple[int, bool, bool]
_Storage: TypeAlias = Flat | Array | tuple[Lists, Codec] | tuple[Flat, Codec]

@final
class NativeGraph:
    def __new__(cls, flat: Flat, metric: str, degree: int, threads: int | None) -> NativeGraph: ...
    def __copy__(self) -> NativeGraph: ...
    def __len__(self) -> int: ...
    def bytes(self) -> int: ...
    def holds(self, x: Array) -> bool: ...
    def add(self, x: Array, threads: int | None) -> None: ...
    def search(
        self, flat: Flat, q: Array, k: int, ef: int, threads: int | None
    ) -> tuple[Ids, Distances, _Costs]: ...

@final
class Hnsw:
    def __new__(cls, m: int) -> Hnsw: ...
    @staticmethod
    def of(
        assign_probas: npt.NDArray[np.float64],
        cum_nneighbor_per_level: _Levels,
        levels: _Levels,
        offsets: npt.NDArray[np.uint64],
        neighbors: _Levels,
        entry_point: int,
        max_level: int,
    ) -> Hnsw: ...
    def copy(self) -> Hnsw: ...
    def __len__(self) -> int: ...
    def bytes(self) -> int: ...
    def part(self, name: str) -> npt.NDArray[Any]: ...
    def entry(self) -> tuple[int, int]: ...
    def add(
        self,
        storage: _Storage,
        metric: str,
        x: Array,
        levels: _Levels | None,
        ef_construction: int,
        keep_max_size_level0: bool,
        bulk: bool,
        threads: int | None,
        prune_headroom: float = 0.2,
    ) -> None: ...
    def take(self, native: NativeGraph, flat: Flat, ef_construction: int, threads: int | None) -> None: ...
    @staticmethod
    def nsg(
        storage: _Storage,
        metric: str,
        x: Array,
        asked: tuple[int, int, int, int, bool],
        threads: int | None,
    ) -> Hnsw: ...
    def search(
        self,
        storage: _Storage,
        metric: str,
        q: Array,
        k: int,
        asked: _Effort,
        selector: Selector | None,
        threads: int | None,
    ) -> tuple[Ids, Distances, _Costs]: ...
    def search_level_0(
        self,
        storage: _Storage,
        metric: str,
        q: Array,
        k: int,
        nearest: _Levels,
        nearest_d: Distances,
        together: bool,
        asked: _Effort,
        selector: Selector | None,
        threads: int | None,
    ) -> tuple[Ids, Distances, _Costs]: ...
    def search_from(
        self,
        storage: _Storage,
        metric: str,
        q: Array,
        k: int,
        seeds: npt.NDArray[np.uint32],
        ef: int,
        threads: int | None,
    ) -> tuple[Ids, Distances, _Costs]: ...
    def range_search(
        self,
        storage: _Storage,
        metric: str,
        q: Array,
        radius: float,
        asked: _Effort,
        selector: Selector | None,
        threads: int | None,
    ) -> tuple[Ids, Ids, Distances, _Costs]: ...
    def init_level_0(self, storage: _Storage, metric: str, distances: Distances, ids: Ids) -> None: ...
    def permute(self, order: Ids) -> None: ...
    def clear(self) -> None: ...
    def draw_level(self) -> int: ...

def faiss_train_scalar(x: _Rows, qtype: int, rangestat: int, arg: float, threads: int | None) -> _Rows: ...
def faiss_train_product(
    x: _Rows,
    m: int,
    nbits: int,
    iterations: int,
    seed: int,
    max_points_per_centroid: int,
    start: _Rows | None,
    threads: int | None,
) -> _Rows: ...
def faiss_read(
    source: Path | _Codes | Callable[[int], bytes], root: str, beside: bool
) -> tuple[_Record, int]: ...
def faiss_known(path: Path) -> bool: ...
def faiss_write(
    record: _Record, target: Path | Callable[[bytes], object] | None, root: str
) -> _Codes | None: ...
def faiss_convert(
    record: _Record, spec: str, seed: int, threads: int | None, progress: Progress | None
) -> Index: ...
def faiss_unpack(blocks: _Codes, n: int, m: int, bbs: int, stride: int | None = None) -> _Codes: ...
def faiss_pack(codes: _Codes, m: int, bbs: int, stride: int | None = None) -> _Codes: ...
