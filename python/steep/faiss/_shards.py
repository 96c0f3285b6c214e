"""Several indexes that answer as one: parts of the vectors, or copies of all."""

from typing import Any

import numpy as np

from steep.faiss._base import Floats, Index, Labels, is_similarity, require
from steep.faiss._ivf import IndexIVF
from steep.faiss._level1 import Level1Quantizer


class _Several(Index):
    """What parts and copies have in common."""

    _parts: list[Index]
    own_indices: bool
    _dimension_known: bool
    is_trained: bool

    def __init__(self, d: Any = None, *_: Any) -> None:
        known = isinstance(d, (int, np.integer)) and not isinstance(d, bool) and d > 1
        super().__init__(int(d) if known else 1)  # pyright: ignore[reportUnknownArgumentType]
        self._begin(_parts=[], own_indices=False, _dimension_known=self.d > 1)

    def at(self, i: int) -> Any:
        """Index i."""
        return self._parts[i]

    def count(self) -> int:
        """How many indexes there are."""
        return len(self._parts)

    def addIndex(self, index: Any) -> None:
        """Add an index."""
        if not self._parts and not self._dimension_known:
            self._begin(d=index.d)
        require(index.d == self.d, "addIndex: dimension mismatch for newly added index")
        if self._parts:
            require(
                index.metric_type == self.metric_type, "addIndex: newly added index is of a different metric"
            )
        self._parts.append(index)
        self._begin(metric_type=index.metric_type)
        self.syncWithSubIndexes()

    def removeIndex(self, index: Any) -> None:
        """Remove an index."""
        require(any(part is index for part in self._parts), "index is one of those that were added")
        self._begin(_parts=[part for part in self._parts if part is not index])

    def syncWithSubIndexes(self) -> None:
        """Take over whether the indexes are trained."""
        self.is_trained = all(part.is_trained for part in self._parts)

    def _train(self, x: Floats) -> None:
        for part in self._parts:
            part.train(x)
        self.syncWithSubIndexes()

    def reset(self) -> None:
        """Forget all vectors."""
        for part in self._parts:
            part.reset()


class IndexShards(_Several):
    """Parts of the vectors in an index each; with `successive_ids` labels count on from one to the next."""

    successive_ids: bool

    def __init__(self, d: Any = None, threaded: Any = None, successive_ids: bool = True) -> None:
        if isinstance(d, bool) and threaded is not None:
            # Without a dimension whether it has threads comes first.
            successive_ids = bool(threaded)
        super().__init__(d)
        self._begin(successive_ids=successive_ids)

    @property
    def ntotal(self) -> int:  # type: ignore[override]
        """Number of vectors."""
        return sum(part.ntotal for part in self._parts)

    add_shard: Any = _Several.addIndex
    remove_shard: Any = _Several.removeIndex

    def _takes_ids(self) -> bool:
        return True

    def _add(self, x: Floats, ids: Labels | None) -> None:
        require(
            not (ids is not None and self.successive_ids),
            "it makes no sense to pass in ids and request them to be shifted",
        )
        if not self.successive_ids and ids is None:
            ids = np.arange(self.ntotal, self.ntotal + len(x), dtype=np.int64)
        parts = len(self._parts)
        for at, part in enumerate(self._parts):
            some = slice(at * len(x) // parts, (at + 1) * len(x) // parts)
            part.add(x[some]) if ids is None else part.add_with_ids(x[some], ids[some])

    def _answers(self, x: Floats, k: int, params: Any) -> list[tuple[Floats, Labels]]:
        return [part.search(x, k, params=params) for part in self._parts]

    def _search(self, x: Floats, k: int, params: Any) -> tuple[Floats, Labels]:
        from steep.faiss._tables import merge_knn_results

        require(self._parts, "there is an index")
        most = is_similarity(self.metric_type)
        distances, labels = merge_knn_results(*self._stacked(self._answers(x, k, params)), keep_max=most)
        distances[labels < 0] = -np.inf if most else np.inf
        return distances, labels

    def _stacked(self, found: list[tuple[Any, Labels]]) -> tuple[Any, Labels]:
        """The parts' results above each other, by labels of the whole."""
        distances, labels = np.stack([d for d, _ in found]), np.stack([i for _, i in found])
        if self.successive_ids:
            first = np.cumsum([0] + [part.ntotal for part in self._parts[:-1]])
            labels = np.where(labels >= 0, labels + first[:, None, None], -1)
        return distances, labels


class IndexShardsIVF(IndexShards, Level1Quantizer):
    """Parts of the vectors in an `IndexIVF` each, which share the coarse quantizer.

    Attributes
    ----------
    quantizer : Index
        Which lists are near, in all parts.
    nlist : int
        How many lists there are.
    """

    def __init__(
        self, quantizer: Index, nlist: int, threaded: bool = False, successive_ids: bool = True
    ) -> None:
        super().__init__(quantizer.d, threaded, successive_ids)
        self._begin_level1(quantizer, nlist)
        self._begin(is_trained=quantizer.is_trained and quantizer.ntotal == nlist)

    def addIndex(self, index: Any) -> None:
        """Add an index, which has the common quantizer from now on."""
        require(isinstance(index, IndexIVF), "can only add IVF indexes")
        require(index.nlist == self.nlist, "index->nlist == nlist")
        index.quantizer, index.own_fields = self.quantizer, False
        super().addIndex(index)

    add_shard = addIndex

    def _train(self, x: Floats) -> None:
        self.train_q1(len(x), x, self.verbose, self.metric_type)
        super()._train(x)

    def _answers(self, x: Floats, k: int, params: Any) -> list[tuple[Floats, Labels]]:
        parts: list[Any] = self._parts
        keys, coarse = parts[0]._probe(x, params)
        return [part._search_lists(x, k, keys, coarse, params) for part in parts]


class IndexReplicas(_Several):
    """Copies of all vectors. One index serves any number of threads, so the first answers."""

    def __init__(self, d: Any = None, threaded: Any = True) -> None:
        super().__init__(d)

    @property
    def ntotal(self) -> int:  # type: ignore[override]
        """Number of vectors."""
        return self._parts[0].ntotal if self._parts else 0

    add_replica: Any = _Several.addIndex
    remove_replica: Any = _Several.removeIndex

    def _add(self, x: Floats, ids: Labels | None) -> None:
        for part in self._parts:
            part.add(x)

    def _search(self, x: Floats, k: int, params: Any) -> tuple[Floats, Labels]:
        require(self._parts, "there is an index")
        return self._parts[0].search(x, k, params=params)

    def _reconstruct(self, keys: Labels) -> Floats:
        return self._parts[0].reconstruct_batch(keys)
