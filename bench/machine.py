"""Which machine, which versions, how much memory: what a figure needs beside it."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

# The flags that decide which kernels an engine can run.
FLAGS = (
    *("avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512bw", "avx512vl", "avx512_vnni"),
    *("avx512_vbmi", "avx512_vpopcntdq", "avx512_bf16", "avx512_fp16", "amx_int8"),
    *("asimd", "asimddp"),
)

MIB = 1 << 20


def describe() -> dict:
    """CPU model, flags of interest, cores, memory (GiB), system, Python."""
    cpu = _cpuinfo()
    flags = set((cpu.get("flags") or cpu.get("Features") or "").split())
    return {
        "cpu": cpu.get("model name") or platform.machine(),
        "flags": [flag for flag in FLAGS if flag in flags],
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def _cpuinfo() -> dict[str, str]:
    """The first processor's lines of /proc/cpuinfo."""
    try:
        first = Path("/proc/cpuinfo").read_text().split("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def versions(packages: tuple[str, ...]) -> dict[str, str]:
    """Installed version of each distribution, "missing" where there is none."""
    found = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "missing"
    return found


def now() -> str:
    """The date, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def memory_mib() -> tuple[float, float]:
    """(resident now, peak since the last `reset_peak`) of this process, MiB."""
    fields = {}
    for line in Path("/proc/self/status").read_text().splitlines():
        key, _, value = line.partition(":")
        if key in ("VmRSS", "VmHWM"):
            fields[key] = int(value.split()[0]) / 1024
    return fields["VmRSS"], fields["VmHWM"]


def reset_peak() -> None:
    """Lower the process's peak to what it holds now, so that a peak belongs to one step."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass  # Not allowed in some containers: the peak then also covers the loading of the data.
