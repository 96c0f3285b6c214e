"""Several indexes of bits that answer as one, in the ways of `IndexShards` and `IndexReplicas`."""

from typing import Any

import numpy as np

from steep.faiss._base import Codes, Labels, require
from steep.faiss._bitrows import Counts
from steep.faiss._bits import IndexBinary
from steep.faiss._shards import IndexReplicas, IndexShards
from steep.faiss._tables import merge_knn_results


class _Several(IndexBinary):
    """What parts and copies have in common."""

    _parts: list[IndexBinary]
    own_indices: bool
    _dimension_known: bool

    def __init__(self, d: Any = 0, *_: Any) -> None:
        # Without a dimension whether it has threads comes first.
        super().__init__(0 if isinstance(d, bool) else d)
        self._begin(_parts=[], own_indices=False, _dimension_known=self.d > 0)

    _add_index: Any = IndexShards.addIndex
    at: Any = IndexShards.at
    count: Any = IndexShards.count
    removeIndex: Any = IndexShards.removeIndex
    syncWithSubIndexes: Any = IndexShards.syncWithSubIndexes
    _train: Any = IndexShards._train
    reset: Any = IndexShards.reset

    def addIndex(self, index: Any) -> None:
        """Add an index."""
        self._add_index(index)
        self._begin(code_size=index.code_size)


class IndexBinaryShards(_Several):
    """Parts of the vectors in an index each; with `successive_ids` labels count on from one to the next."""

    successive_ids: bool

    def __init__(self, d: Any = 0, threaded: Any = True, successive_ids: bool = True) -> None:
        super().__init__(d)
        self._begin(successive_ids=bool(threaded) if isinstance(d, bool) else successive_ids)

    ntotal: Any = IndexShards.ntotal
    add_shard: Any = _Several.addIndex
    remove_shard: Any = _Several.removeIndex
    _takes_ids: Any = IndexShards._takes_ids
    _add: Any = IndexShards._add
    _answers: Any = IndexShards._answers
    _stacked: Any = IndexShards._stacked

    def _search(self, x: Codes, k: int, params: Any) -> tuple[Counts, Labels]:
        require(self._parts, "there is an index")
        return merge_knn_results(*self._stacked(self._answers(x, k, params)))


class IndexBinaryReplicas(_Several):
    """Copies of all vectors. One index serves any number of threads, so the first answers."""

    ntotal: Any = IndexReplicas.ntotal
    add_replica: Any = _Several.addIndex
    remove_replica: Any = _Several.removeIndex
    _add: Any = IndexReplicas._add
    _search: Any = IndexReplicas._search

    def _reconstruct(self, keys: Labels) -> Codes:
        return np.stack([self._parts[0].reconstruct(int(key)) for key in keys])
