"""Vectors in files of the TexMex formats: .fvecs, .ivecs and .bvecs, a length before each."""

import os
from collections.abc import Iterator
from typing import Any

import numpy as np

_BATCH = 100_000


def ivecs_read(fname: Any) -> Any:
    """All vectors of whole numbers."""
    return np.ascontiguousarray(ivecs_mmap(fname))


def fvecs_read(fname: Any) -> Any:
    """All vectors of floats."""
    return ivecs_read(fname).view(np.float32)


def ivecs_mmap(fname: Any) -> Any:
    """Vectors of whole numbers where they lie in the file."""
    return _rows(fname, 4).view("<i4")[:, 1:]


def fvecs_mmap(fname: Any) -> Any:
    """Vectors of floats where they lie in the file."""
    return _rows(fname, 4).view("<f4")[:, 1:]


def bvecs_mmap(fname: Any) -> Any:
    """Vectors of bytes where they lie in the file."""
    return _rows(fname, 1)[:, 4:]


def _rows(fname: Any, size: int) -> Any:
    """The file as rows of bytes, the length before each among them."""
    data = np.memmap(fname, np.uint8, "r")
    dim = int(data[:4].view("<i4")[0]) if data.size >= 4 else 0
    width = 4 + dim * size
    if dim <= 0 or data.size % width:
        raise ValueError(f"{fname}: {data.size} bytes are not vectors of dimension {dim}")
    return data.reshape(-1, width)


def ivecs_write(fname: Any, m: Any) -> None:
    """Write vectors of whole numbers."""
    n, d = m.shape
    rows = np.empty((n, d + 1), "<i4")
    rows[:, 0], rows[:, 1:] = d, m
    rows.tofile(fname)


def fvecs_write(fname: Any, m: Any) -> None:
    """Write vectors of floats."""
    ivecs_write(fname, np.ascontiguousarray(m, "<f4").view("<i4"))


def bvecs_iter(filepath: Any, batch_size: int = _BATCH) -> Iterator[Any]:
    """Vectors of bytes, so many at a time."""
    rows = bvecs_mmap(filepath)
    for at in range(0, len(rows), batch_size):
        yield rows[at : at + batch_size]


def bvecs_iter_chunked(chunk_folder: Any, batch_size: int = _BATCH) -> Iterator[Any]:
    """Vectors of bytes of the files chunk_0000.bvecs, chunk_0001.bvecs … of a folder, so many at a time."""
    found: dict[int, str] = {}
    for entry in os.scandir(chunk_folder):
        if entry.is_file() and entry.name.startswith("chunk_") and entry.name.endswith(".bvecs"):
            number = entry.name.removeprefix("chunk_").removesuffix(".bvecs")
            if not number.isdigit():
                raise ValueError(f"Invalid chunk filename format: {entry.name}")
            found[int(number)] = entry.path
    if not found:
        raise ValueError(f"No chunk files found in {chunk_folder}")
    if missing := sorted(set(range(len(found))) - set(found)):
        raise ValueError(f"Gap detected in chunk sequence! Missing chunks: {missing}")
    waiting: list[Any] = []
    count = 0
    for number in sorted(found):
        rows = bvecs_mmap(found[number])
        while count + len(rows) >= batch_size:
            taken, rows = rows[: batch_size - count], rows[batch_size - count :]
            yield np.concatenate([*waiting, taken]) if waiting else taken
            waiting, count = [], 0
        if len(rows):
            waiting.append(rows)
            count += len(rows)
    if waiting:
        yield np.concatenate(waiting)
