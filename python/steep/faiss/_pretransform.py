"""Vectors and queries turned before they are indexed."""

from typing import Any

import numpy as np

from steep.faiss._base import METRIC_L2, Codes, Floats, Index, Labels, require


class Chain:
    """Transforms in the order in which vectors go through them, by the methods of a std::vector."""

    def __init__(self, links: list[Any]) -> None:
        self._links = links

    def at(self, i: int) -> Any:
        """Transform i."""
        if not 0 <= i < len(self._links):
            raise RuntimeError(f"at(i): i (which is {i}) >= this->size() (which is {len(self._links)})")
        return self._links[i]

    def size(self) -> int:
        """How many there are."""
        return len(self._links)

    def __getitem__(self, i: int) -> Any:
        return self._links[i]

    def __len__(self) -> int:
        return len(self._links)


class IndexPreTransform(Index):
    """An index of what transforms make of vectors.

    Attributes
    ----------
    chain : Chain
        The transforms, in order.
    index : Index
        Holds what comes out of them.
    """

    fourcc = "IxPT"

    chain: Chain
    index: Index
    own_fields: bool

    def __init__(self, *arguments: Any) -> None:
        index = arguments[-1] if arguments else None
        links = list(arguments[:-1])
        super().__init__(
            index.d if index is not None else 1, index.metric_type if index is not None else METRIC_L2
        )
        self._begin(chain=Chain([]), index=index, own_fields=False)
        self._begin(is_trained=index is None or index.is_trained)
        for link in reversed(links):
            self.prepend_transform(link)

    @property
    def ntotal(self) -> int:  # type: ignore[override]
        """Number of vectors."""
        return self.index.ntotal

    def prepend_transform(self, vt: Any) -> None:
        """Put a transform before the others."""
        require(vt.d_out == self.d, "vt->d_out == d")
        self.chain._links.insert(0, vt)
        self._begin(d=vt.d_in, is_trained=bool(self.is_trained and vt.is_trained))

    def apply_chain(self, n: int, x: Any) -> Any:
        """Pointer to what the transforms make of vectors."""
        from steep.faiss._arrays import Pointer, pointed

        values = pointed(x, n * self.d, np.float32, "x").reshape(n, self.d)
        return Pointer(self._turned(np.ascontiguousarray(values)).reshape(-1))

    def _turned(self, x: Floats) -> Floats:
        for link in self.chain._links:
            x = link.apply(x)
        return x

    def _turned_back(self, x: Floats) -> Floats:
        for link in reversed(self.chain._links):
            x = link.reverse_transform(x)
        return x

    def _train(self, x: Floats) -> None:
        links = self.chain._links
        last = max((at for at, link in enumerate(links) if not link.is_trained), default=-1)
        if not self.index.is_trained:
            last = len(links)
        for at, link in enumerate(links):
            if at > last:
                break
            if not link.is_trained:
                link.train(x)
            if at < last:
                x = link.apply(x)
        if not self.index.is_trained:
            self.index.train(x)
        self.is_trained = True

    def _takes_ids(self) -> bool:
        return self.index._takes_ids()

    def _add(self, x: Floats, ids: Labels | None) -> None:
        x = self._turned(x)
        if ids is None:
            self.index.add(x)
        else:
            self.index.add_with_ids(x, ids)

    def _inner(self, params: Any) -> Any:
        return getattr(params, "index_params", params) if params is not None else None

    def _search(self, x: Floats, k: int, params: Any) -> tuple[Floats, Labels]:
        require(self.is_trained, "is_trained")
        return self.index.search(self._turned(x), k, params=self._inner(params))

    def _range_search(self, x: Floats, radius: float, params: Any) -> tuple[Any, Floats, Labels]:
        require(self.is_trained, "is_trained")
        return self.index.range_search(self._turned(x), radius, params=self._inner(params))

    def _search_and_reconstruct(self, x: Floats, k: int, params: Any) -> tuple[Floats, Labels, Floats]:
        distances, labels, vectors = self.index.search_and_reconstruct(
            self._turned(x), k, params=self._inner(params)
        )
        known = labels >= 0
        turned = np.full((*labels.shape, self.d), np.nan, np.float32)
        if known.any():
            turned[known] = self._turned_back(np.ascontiguousarray(vectors[known]))
        return distances, labels, turned

    def _distances(self, x: Floats) -> Floats:
        return self.index._distances(self._turned(x))

    def _reconstruct(self, keys: Labels) -> Floats:
        return self._turned_back(self.index.reconstruct_batch(keys))

    def _reconstruct_n(self, n0: int, ni: int) -> Floats:
        return self._turned_back(self.index.reconstruct_n(n0, ni))

    def _remove(self, selector: Any) -> int:
        return self.index.remove_ids(selector)

    def reset(self) -> None:
        """Forget all vectors."""
        self.index.reset()

    def check_compatible_for_merge(self, other: Any) -> None:
        """Refuse an index whose vectors cannot be taken over."""
        require(isinstance(other, IndexPreTransform), "other is an IndexPreTransform")
        mine: list[Any] = self.chain._links
        others: list[Any] = other.chain._links
        require(len(mine) == len(others), "chain.size() == other->chain.size()")
        for a, b in zip(mine, others, strict=True):
            require(type(a) is type(b) and (a.d_in, a.d_out) == (b.d_in, b.d_out), "same transforms")
        self.index.check_compatible_for_merge(other.index)

    def merge_from(self, other: Index, add_id: int = 0) -> None:
        """Take the vectors of another index over, which is left empty."""
        self.check_compatible_for_merge(other)
        self.index.merge_from(other.index, add_id)  # type: ignore[attr-defined]

    def sa_code_size(self) -> int:
        """Bytes of a vector's code."""
        return self.index.sa_code_size()

    def _encode(self, x: Floats) -> Codes:
        return self.index.sa_encode(self._turned(x))

    def _decode(self, codes: Codes) -> Floats:
        return self._turned_back(self.index.sa_decode(codes))

    def _add_codes(self, codes: Codes, ids: Labels | None) -> None:
        self.index.add_sa_codes(codes, ids)

    def to_record(self) -> dict[str, Any]:
        """What a file holds of the index."""
        chain = [link.to_record() for link in self.chain._links]
        return self._header() | {"chain": chain, "index": self.index.to_record()}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "IndexPreTransform":
        """The index that a file holds."""
        from steep.faiss._io import from_record
        from steep.faiss._transforms import transform_from_record

        index = cls(*[transform_from_record(link) for link in record["chain"]], from_record(record["index"]))
        index._begin(is_trained=bool(record["is_trained"]), own_fields=True)
        return index
