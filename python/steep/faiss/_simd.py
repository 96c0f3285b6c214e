"""Who computes, and with which instructions? The layer's threads; the core's choice by Faiss's names."""

# What callers pass is checked at run time too.
# pyright: reportUnnecessaryIsInstance=false

import functools
import os
import time
from typing import Any, ClassVar

from steep._info import info
from steep.faiss._interrupts import InterruptCallback

SIMDLevel_NONE = 0
SIMDLevel_AVX2 = 1
SIMDLevel_AVX512 = 2
SIMDLevel_AVX512_SPR = 3
SIMDLevel_ARM_NEON = 4
SIMDLevel_ARM_SVE = 5
SIMDLevel_RISCV_RVV = 6
SIMDLevel_AVX512_VPOPCNT = 7
SIMDLevel_COUNT = 8

_NAMES = ("NONE", "AVX2", "AVX512", "AVX512_SPR", "ARM_NEON", "ARM_SVE", "RISCV_RVV", "AVX512_VPOPCNT")
_OURS = {
    "scalar": SIMDLevel_NONE,
    "avx2": SIMDLevel_AVX2,
    "avx512": SIMDLevel_AVX512,
    "neon": SIMDLevel_ARM_NEON,
}

FAISS_VERSION_MAJOR = 1
FAISS_VERSION_MINOR = 15
FAISS_VERSION_PATCH = 1
VERSION_STRING = "1.15.1"

_threads: int | None = None


def threads() -> int | None:
    """What every call of the layer passes as ``threads=``: none until it was set."""
    # So this is where all of them pass, those that are out of time too.
    InterruptCallback.check()
    return _threads


def omp_set_num_threads(n: int) -> None:
    """Set the number of threads of all calls that follow; more than there are cores is as many as cores."""
    global _threads
    if isinstance(n, bool) or not isinstance(n, int):
        raise TypeError(f"num_threads of type {type(n).__name__}: expected a whole number")
    _threads = max(n, 1)


def omp_get_max_threads() -> int:
    """The number that was set, or that of the cores."""
    return _threads if _threads is not None else info()["threads"]


def check_openmp() -> bool:
    """True: threads are there, though not OpenMP's."""
    return True


@functools.cache
def _dispatched() -> int:
    forced = os.environ.get("FAISS_SIMD_LEVEL", "").upper()
    if forced in _NAMES and _NAMES.index(forced) in _available():
        return _NAMES.index(forced)
    return _OURS[info()["isa"]]


@functools.cache
def _available() -> frozenset[int]:
    have = info()["features"]
    found = {SIMDLevel_NONE}
    if have.get("neon"):
        found.add(SIMDLevel_ARM_NEON)
    if all(have.get(f) for f in ("avx2", "fma", "f16c")):
        found.add(SIMDLevel_AVX2)
    if all(have.get(f) for f in ("avx512f", "avx512bw", "avx512vl")):
        found.add(SIMDLevel_AVX512)
    return frozenset(found)


class SIMDConfig:
    """The instruction set by Faiss's names.

    The core chose the best one when it was loaded (`STEEP_ISA` in the environment names another), and all
    give the same results: `set_level` is remembered and checked, and changes nothing that is computed.
    """

    _level: ClassVar[int | None] = None

    @classmethod
    def get_level(cls) -> int:
        """The level in use."""
        return _dispatched() if cls._level is None else cls._level

    @classmethod
    def set_level(cls, level: int) -> None:
        """Choose another level that this processor has."""
        if not isinstance(level, int):
            raise TypeError(f"level of type {type(level).__name__}: expected a SIMDLevel")
        if not 0 <= level < SIMDLevel_COUNT:
            raise RuntimeError(f"Invalid SIMDLevel {level}")
        if level not in _available():
            raise RuntimeError(f"SIMD level {_NAMES[level]} is not available")
        cls._level = level

    @classmethod
    def get_level_name(cls) -> str:
        """The name of the level in use."""
        return _NAMES[cls.get_level()]

    @classmethod
    def get_dispatched_level(cls) -> int:
        """The level that was chosen at the beginning, or was set."""
        return cls.get_level()

    @classmethod
    def is_simd_level_available(cls, level: int) -> bool:
        """Whether this processor has a level and the core code for it."""
        return level in _available()

    @classmethod
    def auto_detect_simd_level(cls) -> int:
        """The best level that there is."""
        return max(_available())

    @classmethod
    def has_dynamic_dispatch(cls) -> bool:
        """True: one binary has code for all levels."""
        return True


def compiled_simd_levels() -> int:
    """A bit for each level that the core has code for."""
    return sum(1 << level for level in set(_OURS.values()))


def to_simd_level(name: str) -> int:
    """The level of a name."""
    if name not in _NAMES:
        raise RuntimeError(f"Invalid SIMD level string: {name}")
    return _NAMES.index(name)


def to_string(level: int) -> str:
    """The name of a level."""
    if not 0 <= level < SIMDLevel_COUNT:
        raise RuntimeError(f"Invalid SIMDLevel {level}")
    return _NAMES[level]


def supported_instruction_sets() -> set[str]:
    """The processor's features that the core knows of, in upper case."""
    return {name.upper() for name, there in info()["features"].items() if there}


def get_compile_options() -> str:
    """What the core has code for."""
    return "OPTIMIZE DD " + " ".join(_NAMES[level] for level in sorted(_available()) if level) + " "


def get_version() -> str:
    """The version of Faiss whose interface this is."""
    return VERSION_STRING


def swig_version() -> int:
    """That of the generator that Faiss's interface is made with; there is none here."""
    return 0x040000


def get_num_gpus() -> int:
    """0: the engine computes on CPUs."""
    return 0


def get_mem_usage_kb() -> int:
    """Memory of this process, in kilobytes, where the system says."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024
    except (OSError, ValueError, IndexError):
        return 0


def getmillisecs() -> float:
    """The time, in milliseconds."""
    return time.time() * 1000


def get_cycles() -> int:
    """A clock that only moves forward: nanoseconds."""
    return time.perf_counter_ns()


class _Variables:
    """`cvar`: Faiss's global variables; those that steer nothing here can be set and read all the same."""

    indexIVF_stats: "Stats"
    indexPQ_stats: "Stats"
    indexIVFPQ_stats: "Stats"
    indexBinaryHash_stats: "Stats"
    hnsw_stats: "Stats"
    IVFFastScan_stats: "Stats"
    FastScan_stats: "Stats"
    rabitq_stats: "Stats"
    indexPanorama_stats: "Stats"
    partition_stats: "Stats"

    def __init__(self) -> None:
        self.index_factory_verbose = 0
        self.distance_compute_blas_threshold = 20
        self.distance_compute_blas_query_bs = 4096
        self.distance_compute_blas_database_bs = 1024
        self.distance_compute_min_k_reservoir = 100
        self.precomputed_table_max_bytes = 1 << 31
        self.check_compatible_for_merge_expensive_check = True
        self.hamming_batch_size = 65536
        self.bucket_sort_verbose = 0
        self.product_quantizer_compute_codes_bs = 256 * 1024
        self.rowwise_minmax_sa_encode_bs = 16384
        self.rowwise_minmax_sa_decode_bs = 16384
        self.index2layer_sa_encode_bs = 32768
        self.index_ivfpq_add_core_o_bs = 32768
        self.multi_index_quantizer_search_bs = 32768
        self.index_read_warn_on_null_invlists = True
        self.visited_table_hashset_threshold = 500_000

    def __getattr__(self, name: str) -> Any:
        # Searches count only for who has looked at the counters before.
        if not name.endswith("_stats") or name not in type(self).__annotations__:
            raise AttributeError(f"cvar has no attribute {name!r}")
        stats = self.__dict__[name] = Stats()
        return stats


class Stats:
    """Counters of searches. What is not counted here stays 0."""

    _FIELDS: ClassVar[list[str]] = [
        *("nq", "nlist", "ndis", "nheap_updates", "quantization_time", "search_time"),
        *("n1", "n2", "n3", "nhops", "ncode", "n_hamming_pass", "nrefine", "search_cycles"),
        *("refine_cycles", "n_dis", "nlists", "bissect_cycles", "compress_cycles"),
        *("total_dims", "total_dims_scanned", "ratio_dims_scanned", "n_1bit", "n_refine"),
    ]

    nq: int
    nlist: int
    ndis: int
    n1: int
    n2: int
    nhops: int
    ncode: int
    n_hamming_pass: int

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Set all counters to 0."""
        for name in self._FIELDS:
            setattr(self, name, 0)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise AttributeError(f"the statistics have no counter {name!r}: there are {', '.join(self._FIELDS)}")


def watched(name: str) -> Stats | None:
    """The counters of that name, if anybody has looked at them."""
    return cvar.__dict__.get(name)


cvar: _Variables = _Variables()

__all__ = [
    "FAISS_VERSION_MAJOR",
    "FAISS_VERSION_MINOR",
    "FAISS_VERSION_PATCH",
    "VERSION_STRING",
    "SIMDConfig",
    "SIMDLevel_ARM_NEON",
    "SIMDLevel_ARM_SVE",
    "SIMDLevel_AVX2",
    "SIMDLevel_AVX512",
    "SIMDLevel_AVX512_SPR",
    "SIMDLevel_AVX512_VPOPCNT",
    "SIMDLevel_COUNT",
    "SIMDLevel_NONE",
    "SIMDLevel_RISCV_RVV",
    "check_openmp",
    "compiled_simd_levels",
    "cvar",
    "get_compile_options",
    "get_cycles",
    "get_mem_usage_kb",
    "get_num_gpus",
    "get_version",
    "getmillisecs",
    "omp_get_max_threads",
    "omp_set_num_threads",
    "supported_instruction_sets",
    "swig_version",
    "to_simd_level",
    "to_string",
]
