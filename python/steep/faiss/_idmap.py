"""Ids of the user's choice for an index that numbers its vectors."""

import copy
from typing import Any

import numpy as np

from steep.faiss._arrays import Int64Vector
from steep.faiss._base import METRIC_L2, Floats, Index, Labels, require
from steep.faiss._selectors import IDSelector, IDSelectorBatch, IDSelectorTranslated


class IndexIDMap(Index):
    """An index, and the id of each of its vectors.

    Attributes
    ----------
    index : Index
        Holds the vectors.
    id_map : Int64Vector
        The id of each.
    """

    fourcc = "IxMp"

    index: Index
    own_fields: bool
    _ids: Labels
    is_trained: bool

    def __init__(self, index: Any = None) -> None:
        super().__init__(
            index.d if index is not None else 1, index.metric_type if index is not None else METRIC_L2
        )
        if index is not None:
            require(index.ntotal == 0, "index must be empty on input")
        self._begin(
            index=index,
            own_fields=False,
            is_trained=index is None or index.is_trained,
            metric_arg=index.metric_arg if index is not None else 0.0,
            _ids=np.empty(0, np.int64),
        )

    @property
    def id_map(self) -> Int64Vector:
        """The id of each vector of the index."""
        return Int64Vector.over(lambda: self._ids, self._put_ids)

    def _put_ids(self, ids: Labels) -> None:
        self._begin(_ids=np.array(ids, np.int64))

    @property
    def ntotal(self) -> int:  # type: ignore[override]
        """Number of vectors."""
        return self.index.ntotal

    def _train(self, x: Floats) -> None:
        self.index.train(x)
        self.is_trained = self.index.is_trained

    def _takes_ids(self) -> bool:
        return True

    def _add(self, x: Floats, ids: Labels | None) -> None:
        require(ids is not None, "add does not make sense with IndexIDMap, use add_with_ids")
        self.index.add(x)
        self._put_ids(np.concatenate([self._ids, np.asarray(ids)]))

    def add(self, x: Any, numeric_type: int = 0) -> None:
        """Refuse vectors without ids."""
        raise RuntimeError("add does not make sense with IndexIDMap, use add_with_ids")

    def _add_codes(self, codes: Any, ids: Labels | None) -> None:
        require(ids is not None, "add_sa_codes needs ids with IndexIDMap")
        self.index.add_sa_codes(codes)
        self._put_ids(np.concatenate([self._ids, np.asarray(ids)]))

    def _inner(self, params: Any) -> Any:
        """The parameters for the index within: a selector there is of its own numbers."""
        sel = getattr(params, "sel", None)
        if sel is None or isinstance(sel, IDSelectorTranslated):
            return params
        inner = copy.copy(params)
        inner.sel = self._translated(params.sel)
        return inner

    def _translated(self, selector: IDSelector) -> IDSelector:
        return IDSelectorBatch(np.flatnonzero(selector._mask(self._ids)))

    def _named(self, labels: Labels) -> Labels:
        if len(self._ids):
            return np.where(labels >= 0, self._ids[np.maximum(labels, 0)], -1)
        return labels

    def _search(self, x: Floats, k: int, params: Any) -> tuple[Floats, Labels]:
        distances, labels = self.index.search(x, k, params=self._inner(params))
        return distances, self._named(labels)

    def _range_search(self, x: Floats, radius: float, params: Any) -> tuple[Any, Floats, Labels]:
        lims, distances, labels = self.index.range_search(x, radius, params=self._inner(params))
        return lims, distances, self._named(labels)

    def _distances(self, x: Floats) -> Floats:
        return self.index._distances(x)

    def _remove(self, selector: Any) -> int:
        gone = selector._mask(self._ids)
        removed = self.index.remove_ids(self._translated(selector))
        self._put_ids(self._ids[~gone])
        require(self.index.ntotal == len(self._ids), "as many ids as vectors")
        return removed

    def reset(self) -> None:
        """Forget all vectors."""
        self.index.reset()
        self._put_ids(np.empty(0, np.int64))

    def check_compatible_for_merge(self, other: Index) -> None:
        """Refuse an index whose vectors cannot be taken over."""
        require(type(other) is type(self), "can only merge indexes of the same type")
        self.index.check_compatible_for_merge(other.index)  # type: ignore[attr-defined]

    def merge_from(self, other: Index, add_id: int = 0) -> None:
        """Take the vectors of another index over, which is left empty; their ids grow by `add_id`."""
        self.check_compatible_for_merge(other)
        self.index.merge_from(other.index)  # type: ignore[attr-defined]
        self._put_ids(np.concatenate([self._ids, other._ids + add_id]))  # type: ignore[attr-defined]
        other._put_ids(np.empty(0, np.int64))  # type: ignore[attr-defined]

    def sa_code_size(self) -> int:
        """Bytes of a vector's code."""
        return self.index.sa_code_size()

    def _encode(self, x: Floats) -> Any:
        return self.index.sa_encode(x)

    def _decode(self, codes: Any) -> Floats:
        return self.index.sa_decode(codes)

    def to_record(self) -> dict[str, Any]:
        """What a file holds of the index."""
        return self._header() | {"index": self.index.to_record(), "id_map": self._ids}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "IndexIDMap":
        """The index that a file holds."""
        from steep.faiss._io import from_record

        index = cls()
        inner = from_record(record["index"])
        index._begin(index=inner, own_fields=True, d=inner.d, metric_type=inner.metric_type)
        index._begin(is_trained=bool(record["is_trained"]), metric_arg=inner.metric_arg)
        index._put_ids(record["id_map"])
        return index


class IndexIDMap2(IndexIDMap):
    """An `IndexIDMap` that finds vectors by their ids again."""

    fourcc = "IxM2"

    _order: Labels | None

    def __init__(self, index: Any = None) -> None:
        super().__init__(index)

    def _put_ids(self, ids: Labels) -> None:
        super()._put_ids(ids)
        self._begin(_order=None)

    @property
    def rev_map(self) -> dict[int, int]:
        """The number of each id's vector."""
        return {int(id): row for row, id in enumerate(self._ids)}

    def construct_rev_map(self) -> None:
        """Do nothing: the map is made when it is asked for."""

    def check_consistency(self) -> None:
        """Refuse an index with not as many ids as vectors, or with an id twice."""
        require(len(self._ids) == self.index.ntotal, "rev_map.size() == id_map.size()")
        require(len(np.unique(self._ids)) == len(self._ids), "ids are unique")

    def _rows(self, keys: Labels) -> Labels:
        order = self._order
        if order is None:
            order = np.argsort(self._ids, kind="stable")
            self._begin(_order=order)
        # The last of several rows with one id, as a map that is written in turn has it.
        at = np.searchsorted(self._ids[order], keys, side="right") - 1
        rows: Labels = order[np.maximum(at, 0)] if len(order) else np.zeros(len(keys), np.int64)
        for key, row in zip(keys.tolist(), rows.tolist(), strict=True):
            if not len(order) or self._ids[row] != key:
                raise RuntimeError(f"key {key} not found")
        return rows

    def _reconstruct(self, keys: Labels) -> Floats:
        return self.index.reconstruct_batch(self._rows(keys))
