"""Whole vectors in lists, each of them once: ids of equal vectors stand beside the first of them."""

from typing import Any

import numpy as np

from steep.faiss._base import Codes, Floats, Labels, require
from steep.faiss._ivf_kinds import IndexIVFFlat
from steep.faiss._lists import by_list
from steep.faiss._selectors import IDSelector


def _firsts(rows: Codes) -> Labels:
    """Where among rows of bytes the first that equals each one is."""
    whole = np.ascontiguousarray(rows).view(np.dtype((np.void, rows.shape[1])))[:, 0]
    _, first, of = np.unique(whole, return_index=True, return_inverse=True)
    found: Labels = first[of.reshape(-1)]
    return found


class IndexIVFFlatDedup(IndexIVFFlat):
    """An `IndexIVFFlat` whose lists hold equal vectors once, and whose searches find all of them.

    Attributes
    ----------
    instances : dict[int, list[int]]
        The other ids of a vector, the newest first, by the id it has in its list.
    """

    fourcc = "IwFd"

    instances: dict[int, list[int]]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._begin(instances={})

    def _train(self, x: Floats) -> None:
        chosen = np.unique(_firsts(x.view(np.uint8)))
        if self.verbose:
            told = f"train on {len(chosen)} points after dedup (was {len(x)} points)"
            print(f"IndexIVFFlatDedup::train: {told}")
        super()._train(x[chosen])

    def _add_to(self, x: Floats, ids: Labels | None, keys: Labels) -> None:
        require(self.is_trained, "is_trained")
        require(self.direct_map.no(), "IVFFlatDedup not implemented with direct_map")
        numbers = np.arange(self._ntotal, self._ntotal + len(x), dtype=np.int64) if ids is None else ids
        codes, new = x.view(np.uint8).reshape(len(x), self.code_size), np.zeros(len(x), np.bool_)
        for key, here in by_list(keys):
            if key < 0:
                continue
            there = self.invlists._ids(key)
            first = _firsts(np.concatenate([self.invlists._codes(key), codes[here]]))[len(there) :]
            new[here] = first == np.arange(len(there), len(there) + len(here))
            named = np.concatenate([there, numbers[here]])[first]
            for id, twin in zip(named[~new[here]].tolist(), numbers[here][~new[here]].tolist(), strict=True):
                self.instances.setdefault(id, []).insert(0, twin)
        super()._add_to(x[new], numbers[new], keys[new])
        self._ntotal += int((~new & (keys >= 0)).sum())

    def _at_once(self, coarse: Any) -> bool:
        return False

    def _search_lists(
        self, x: Floats, k: int, keys: Labels, coarse: Floats, params: Any, places: bool = False
    ) -> tuple[Floats, Labels]:
        require(not places, "store_pairs not supported in IVFDedup")
        distances, labels = super()._search_lists(x, k, keys, coarse, params)
        for row in np.flatnonzero(np.isin(labels, list(self.instances)).any(1)):
            found = zip(distances[row].tolist(), labels[row].tolist(), strict=True)
            every = [(far, id) for far, first in found for id in (first, *self.instances.get(first, ()))]
            distances[row], labels[row] = zip(*every[:k], strict=True)
        return distances, labels

    def _remove(self, selector: IDSelector) -> int:
        require(self.direct_map.no(), "direct map remove not implemented")
        twins = [id for some in self.instances.values() for id in some]
        every = np.concatenate([self._numbers(), np.array(twins, np.int64)])
        gone = set(every[selector._mask(every)].tolist())
        heirs, instances = dict[int, int](), dict[int, list[int]]()
        for first, some in self.instances.items():
            left = [id for id in some if id not in gone]
            if first in gone and left:
                heirs[first], *left = left
            if left:
                instances[heirs.get(first, first)] = left
        for at in range(self.nlist) if heirs else ():
            ids, codes = self.invlists._ids(at), self.invlists._codes(at)
            for offset in np.flatnonzero(np.isin(ids, list(heirs))).tolist():
                self.invlists._core.replace(at, offset, heirs[int(ids[offset])], codes[offset])
        self._begin(instances=instances)
        before = self._ntotal
        super()._remove(selector)
        # What is gone from the lists, and from beside them.
        self._begin(_ntotal=self.invlists.compute_ntotal() + sum(map(len, instances.values())))
        return before - self._ntotal

    def _range_preassigned(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(f"range_search is not implemented for {type(self).__name__}")

    def update_vectors(self, keys: Any, x: Any) -> None:
        """Refuse: which of equal vectors is meant?"""
        raise RuntimeError(f"update_vectors is not implemented for {type(self).__name__}")

    def reconstruct_from_offset(self, list_no: int, offset: int, recons: Any = None) -> Any:
        """Refuse, as Faiss does."""
        raise RuntimeError(f"reconstruct_from_offset is not implemented for {type(self).__name__}")

    def reset(self) -> None:
        """Forget all vectors."""
        super().reset()
        self._begin(instances={})

    def to_record(self) -> dict[str, Any]:
        """What a file holds of the index."""
        pairs = [(first, twin) for first, twins in self.instances.items() for twin in twins]
        return super().to_record() | {"instances": np.array(pairs, np.int64).reshape(-1)}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "IndexIVFFlatDedup":
        """The index that a file holds."""
        index = super().from_record(record)
        assert isinstance(index, IndexIVFFlatDedup)
        for first, twin in np.asarray(record["instances"], np.int64).reshape(-1, 2).tolist():
            index.instances.setdefault(first, []).append(twin)
        return index
