"""Indexes too large for one machine: the centroids of an `IndexIVF` shared among files."""

from collections.abc import Callable
from typing import Any

import numpy as np

from steep.faiss._arrays import Owned
from steep.faiss._base import clone_index, require
from steep.faiss._binary import IndexBinaryIDMap2
from steep.faiss._idmap import IndexIDMap2
from steep.faiss._io import _write


class ShardingFunction(Owned):
    """Which of `shard_count` files centroid i goes to."""

    def __call__(self, i: int, shard_count: int) -> int:
        """The number of the file."""
        raise NotImplementedError


class DefaultShardingFunction(ShardingFunction):
    """One after the other."""

    def __call__(self, i: int, shard_count: int) -> int:
        """The number of the file."""
        return i % shard_count


class PyCallbackShardingFunction(ShardingFunction):
    """What a Python function says."""

    def __init__(self, callback: Callable[[int, int], int]) -> None:
        self.callback = callback

    def __call__(self, i: int, shard_count: int) -> int:
        """The number of the file."""
        return int(self.callback(i, shard_count))


def shard_ivf_index_centroids(
    index: Any,
    shard_count: int = 20,
    filename_template: str = "shard.%d.index",
    sharding_function: Callable[[int, int], int] | None = None,
    generate_ids: bool = False,
) -> None:
    """Write an `IndexIVF` to `shard_count` files, each with a part of the centroids and with all lists.

    Parameters
    ----------
    index : IndexIVF
        What to write.
    shard_count : int
        How many files there are to be.
    filename_template : str
        The files' name, with ``%d`` for their number.
    sharding_function : function of (centroid, shard_count)
        The number of a centroid's file; they take turns where there is none.
    generate_ids : bool
        Whether centroids keep their number, by an `IndexIDMap2` around each file's coarse quantizer.
    """
    _shard(index, (shard_count, filename_template, sharding_function), IndexIDMap2 if generate_ids else None)


def shard_binary_ivf_index_centroids(
    index: Any,
    shard_count: int = 20,
    filename_template: str = "shard.%d.index",
    sharding_function: Callable[[int, int], int] | None = None,
    generate_ids: bool = False,
) -> None:
    """Write an `IndexBinaryIVF` to files, as `shard_ivf_index_centroids` does."""
    how = shard_count, filename_template, sharding_function
    _shard(index, how, IndexBinaryIDMap2 if generate_ids else None, "binary")


def _shard(index: Any, how: tuple[int, str, Any], mapped: Any, root: str = "index") -> None:
    shard_count, template, function = how
    quantizer, record = index.quantizer, index.to_record()
    require(quantizer.ntotal > 0, "No centroids to shard.")
    require("%d" in template, "Invalid filename_template. Must contain format specifier for shard count.")
    function = function or DefaultShardingFunction()
    centroids = quantizer.reconstruct_n(0, quantizer.ntotal)
    shards = np.array([function(centroid, shard_count) for centroid in range(len(centroids))])
    require(((shards >= 0) & (shards < shard_count)).all(), "0 <= shard < shard_count")
    for shard in range(shard_count):
        chosen = np.flatnonzero(shards == shard)
        part = clone_index(quantizer)
        part.reset()
        if mapped is not None:
            part = mapped(part)
            part.add_with_ids(centroids[chosen], chosen)
        else:
            part.add(centroids[chosen])
        _write(record | {"quantizer": part.to_record()}, template.replace("%d", str(shard)), root)
