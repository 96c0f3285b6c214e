"""Every vector as it is: IndexFlat and what Faiss derives from it."""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from steep import _steep
from steep.faiss._arrays import Float32Vector, Int64Vector, UInt8Vector
from steep.faiss._base import (
    METRIC_INNER_PRODUCT,
    METRIC_L2,
    Codes,
    Floats,
    Index,
    Labels,
    METRIC_Lp,
    as_faiss,
    core_selector,
    native_metric,
    require,
    selected,
    strict_radius,
)
from steep.faiss._packers import CodePacker, CodePackerFlat
from steep.faiss._simd import threads

Found = TypeVar("Found", bound=tuple[Any, ...])


def told(x: Floats, find: Callable[[Floats], Found]) -> Found:
    """What the core finds: labels, distances. Queries with NaN or infinities, which it refuses, have none."""
    try:
        return find(x)
    except ValueError:
        wild: Any = ~np.isfinite(x).all(1)
        if not wild.any():
            raise
        found = find(np.where(wild[:, None], np.float32(0), x))
        found[0][wild], found[1][wild] = -1, np.inf
        return found


def is_plain(index: Any) -> bool:
    """Whether an index is searched by `IndexFlat`'s own methods."""
    return type(index) in (IndexFlat, IndexFlatL2, IndexFlatIP)


def coarse(index: Any, x: Floats, k: int, params: Any = None) -> tuple[Floats, Labels]:
    """The k nearest entries of a coarse quantizer: in single precision where it is a flat index."""
    if params is None and is_plain(index):
        flat: IndexFlat = index
        return flat._near(x, k)
    found: tuple[Floats, Labels] = index.search(x, k, params=params)
    return found


class IndexFlat(Index):
    """Exact search. The core finds integers among floats, and rules vectors out by codes once that pays."""

    code_size: int
    _store: _steep.Flat

    def __init__(self, d: int, metric: int = METRIC_L2, metric_arg: float = 0.0) -> None:
        super().__init__(d, metric)
        self._begin(metric_arg=metric_arg, code_size=4 * self.d)
        self.reset()

    @property
    def fourcc(self) -> str:  # type: ignore[override]
        """Four letters by which files name the kind of index."""
        return {METRIC_INNER_PRODUCT: "IxFI", METRIC_L2: "IxF2"}.get(self.metric_type, "IxFl")

    @property
    def metric_arg(self) -> float:
        """The exponent of ``METRIC_Lp``."""
        value: float = self.__dict__["metric_arg"]
        return value

    @metric_arg.setter
    def metric_arg(self, value: float) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        self._begin(metric_arg=float(value))
        if self.metric_type == METRIC_Lp:
            x = self._all()
            self.reset()
            self._store.add(x)

    @property
    def ntotal(self) -> int:  # type: ignore[override]
        """Number of vectors."""
        return len(self._store)

    @property
    def codes(self) -> UInt8Vector:
        """The vectors' bytes."""
        return UInt8Vector.over(lambda: self._all().view(np.uint8).reshape(-1), self._put_codes)

    @property
    def xb(self) -> Float32Vector:
        """The vectors' values."""
        return Float32Vector.over(
            lambda: self._all().reshape(-1), lambda x: self._put_codes(x.view(np.uint8))
        )

    def get_xb(self) -> Any:
        """Pointer to the vectors' values, a copy."""
        return self.xb.data()

    def _all(self) -> Floats:
        return self._store.vectors(0, len(self._store))

    def _put_codes(self, codes: Codes) -> None:
        self.reset()
        self._store.add(np.ascontiguousarray(codes).view(np.float32).reshape(-1, self.d))

    def _numbers(self) -> Labels:
        return np.arange(len(self._store), dtype=np.int64)

    def _add(self, x: Floats, ids: Labels | None) -> None:
        self._store.add(x)

    def _search(self, x: Floats, k: int, params: Any) -> tuple[Floats, Labels]:
        selector = None if params is None else selected(params, self._numbers)
        try:
            labels, distances = self._store.search(x, k, selector, threads())
        except ValueError:
            labels, distances = told(x, lambda x: self._store.search(x, k, selector, threads()))
        return as_faiss(self.metric_type, distances), labels

    def _near(self, x: Floats, k: int) -> tuple[Floats, Labels]:
        """As `_search`, in single precision: what coarse quantizers need."""
        labels, distances = told(x, lambda x: self._store.near(x, k, threads()))
        return as_faiss(self.metric_type, distances), labels

    def _range_search(self, x: Floats, radius: float, params: Any) -> tuple[Any, Floats, Labels]:
        edge = strict_radius(self.metric_type, radius)
        lims, labels, distances = self._store.range_search(
            x, edge, selected(params, self._numbers), threads()
        )
        return lims, as_faiss(self.metric_type, distances), labels

    def _reconstruct(self, keys: Labels) -> Floats:
        require(((keys >= 0) & (keys < self.ntotal)).all(), "key >= 0 && key < ntotal")
        if len(keys) == 1:
            return self._store.vectors(int(keys[0]), int(keys[0]) + 1)
        first, end = (int(keys.min()), int(keys.max()) + 1) if len(keys) else (0, 0)
        if end - first <= 4 * len(keys):
            return self._store.vectors(first, end)[keys - first]
        return np.concatenate([self._store.vectors(int(key), int(key) + 1) for key in keys])

    def _reconstruct_n(self, n0: int, ni: int) -> Floats:
        return self._store.vectors(n0, n0 + ni)

    def _remove(self, selector: Any) -> int:
        return self._store.remove(core_selector(selector, self._numbers))

    def reset(self) -> None:
        """Forget all vectors."""
        self._store = _steep.Flat(self.d, native_metric(self.metric_type, self.metric_arg))

    def check_compatible_for_merge(self, other: Index) -> None:
        """Refuse an index whose vectors cannot be taken over."""
        require(isinstance(other, IndexFlat), "other")
        require(other.d == self.d and other.metric_type == self.metric_type, "other->d == d")

    def merge_from(self, other: Index, add_id: int = 0) -> None:
        """Take the vectors of another index over, which is left empty."""
        require(add_id == 0, "cannot set ids in FlatCodes index")
        self.check_compatible_for_merge(other)
        self._store.add(other._all())  # type: ignore[attr-defined]
        other.reset()

    _distances = Index._found

    def get_FlatCodesDistanceComputer(self) -> Any:
        """What tells how far single codes are from a query."""
        from steep.faiss._computers import FlatCodesDistanceComputer

        return FlatCodesDistanceComputer(self)

    def permute_entries(self, perm: Any) -> None:
        """Put vector perm[i] in place i."""
        (n,) = perm.shape
        assert n == self.ntotal
        self._store.choose(np.ascontiguousarray(perm, np.int64))

    def compute_distance_subset(self, n: int, x: Any, k: int, distances: Any, labels: Any) -> None:
        """Write the distances of each query to the k vectors whose labels are given."""
        values, chosen = x.array[: n * self.d].reshape(n, self.d), labels.array[: n * k].reshape(n, k)
        out = distances.array[: n * k].reshape(n, k)
        for query, keys, row in zip(values, chosen, out, strict=True):
            known = keys >= 0
            vectors = self._reconstruct(keys[known]).astype(np.float64)
            if self.metric_type == METRIC_INNER_PRODUCT:
                row[known] = vectors @ query
            else:
                row[known] = ((vectors - query) ** 2).sum(1)

    def get_CodePacker(self) -> CodePacker:
        """What reads and writes single codes."""
        return CodePackerFlat(self.code_size)

    def sa_code_size(self) -> int:
        """Bytes of a vector."""
        return self.code_size

    def _encode(self, x: Floats) -> Codes:
        return x.view(np.uint8).reshape(len(x), self.code_size).copy()

    def _decode(self, codes: Codes) -> Floats:
        return codes.view(np.float32).reshape(len(codes), self.d).copy()

    def _add_codes(self, codes: Codes, ids: Labels | None) -> None:
        require(ids is None, "!xids")
        self._add(self._decode(codes), None)

    def to_record(self) -> dict[str, Any]:
        """What a file holds of the index."""
        return self._header() | {"codes": self._all().view(np.uint8).reshape(-1), "code_size": self.code_size}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "IndexFlat":
        """The index that a file holds."""
        kinds = {METRIC_INNER_PRODUCT: IndexFlatIP, METRIC_L2: IndexFlatL2}
        kind = kinds.get(record["metric_type"], IndexFlat)
        index = kind(record["d"]) if kind is not IndexFlat else IndexFlat(record["d"], record["metric_type"])
        index._begin(metric_arg=record.get("metric_arg", 0.0), is_trained=bool(record["is_trained"]))
        index._put_codes(record["codes"])
        return index


class IndexFlatL2(IndexFlat):
    """Exact search by Euclidean distance."""

    def __init__(self, d: int) -> None:
        super().__init__(d, METRIC_L2)

    def sync_l2norms(self) -> None:
        """Do nothing: the core keeps what it needs."""

    def clear_l2norms(self) -> None:
        """Do nothing: the core keeps what it needs."""


class IndexFlatIP(IndexFlat):
    """Exact search by inner product."""

    def __init__(self, d: int) -> None:
        super().__init__(d, METRIC_INNER_PRODUCT)


class IndexFlat1D(IndexFlatL2):
    """Numbers; distances are differences, not squared."""

    continuous_update: bool

    def __init__(self, continuous_update: bool = True) -> None:
        super().__init__(1)
        self._begin(continuous_update=continuous_update)

    @property
    def perm(self) -> Int64Vector:
        """The numbers in ascending order."""
        return Int64Vector.of(np.argsort(self._all()[:, 0], kind="stable"))

    def update_permutation(self) -> None:
        """Do nothing: the order is found when it is asked for."""

    def _search(self, x: Floats, k: int, params: Any) -> tuple[Floats, Labels]:
        require(params is None, "!params")
        distances, labels = super()._search(x, k, None)
        return np.sqrt(distances), labels
