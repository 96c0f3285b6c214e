"""What is every index of Faiss? Checks of arrays and conventions of results, around what each kind does.

A kind of index implements the methods that begin with an underscore, on arrays that are checked: float32,
C-contiguous, of the right width. Distances of those are Faiss's own: squared for L2, inner products as they
are.
"""

# What callers pass is checked at run time too.
# pyright: reportUnnecessaryIsInstance=false

import copy
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

import numpy as np
import numpy.typing as npt

from steep import _steep
from steep.faiss._arrays import Owned
from steep.faiss._pointers import Pointers
from steep.faiss._selectors import IDSelector, IDSelectorBatch, spec

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Codes = npt.NDArray[np.uint8]

Filled = TypeVar("Filled", bound="npt.NDArray[Any]")

METRIC_INNER_PRODUCT = 0
METRIC_L2 = 1
METRIC_L1 = 2
METRIC_Linf = 3
METRIC_Lp = 4
METRIC_Canberra = 20
METRIC_BrayCurtis = 21
METRIC_JensenShannon = 22
METRIC_Jaccard = 23
METRIC_NaNEuclidean = 24
METRIC_GOWER = 25

Float32 = 0
Float16 = 1
UInt8 = 2
Int8 = 3


#: Values that are looked at together: what their answers take stays in a cache.
_PART = 1 << 16


def is_similarity(metric: int) -> bool:
    """Whether larger values of a metric are nearer."""
    return metric in (METRIC_INNER_PRODUCT, METRIC_Jaccard)


_NATIVE = {
    METRIC_INNER_PRODUCT: "ip",
    METRIC_L2: "l2",
    METRIC_L1: "l1",
    METRIC_Linf: "linf",
    METRIC_Canberra: "canberra",
    METRIC_BrayCurtis: "braycurtis",
    METRIC_JensenShannon: "jensenshannon",
    METRIC_Jaccard: "jaccard",
    METRIC_NaNEuclidean: "nan-euclidean",
    METRIC_GOWER: "gower",
}


def native_metric(metric: int, arg: float = 0.0) -> str:
    """The core's name of a metric."""
    if metric == METRIC_Lp:
        return f"lp{float(arg):g}"
    if metric not in _NATIVE:
        raise RuntimeError(f"metric type {metric} is not known: pass one of faiss.METRIC_*")
    return _NATIVE[metric]


def require(condition: Any, text: str) -> None:
    """Raise what Faiss's C++ raises where a condition does not hold."""
    if not condition:
        raise RuntimeError(f"Error: '{text}' failed")


def all_finite(x: Floats) -> bool:
    """Whether no value is NaN or infinite. Part by part: new memory for all answers is slow."""
    values = x.reshape(-1)
    return all(np.isfinite(values[at : at + _PART]).all() for at in range(0, values.size, _PART))


def into(given: Any, values: Filled) -> Filled:
    """Fill an array that the caller brought, or hand out the values themselves."""
    if given is None:
        return values
    brought: Filled = given
    assert given.shape == values.shape
    given[...] = values
    return brought


def as_faiss(metric: int, distances: Floats) -> Floats:
    """Distances as Faiss tells them, from the core's, which are smaller for what is nearer."""
    return np.negative(distances, out=distances) if is_similarity(metric) else distances


def strict_radius(metric: int, radius: float) -> float:
    """The core's radius, which it includes, for Faiss's, which is beyond the results."""
    with np.errstate(over="ignore"):
        edge = np.float32(-radius if is_similarity(metric) else radius)
    return float(np.nextafter(edge, np.float32(-np.inf)))


def core_selector(selector: IDSelector, ids: Callable[[], Labels]) -> _steep.Selector:
    """The core's form of a selector; `ids` lists all there are, for one that Python has to be asked about."""
    return _steep.Selector(spec(selector, ids))


def selected(params: Any, ids: Callable[[], Labels]) -> _steep.Selector | None:
    """The core's selector of some search parameters, if they have one."""
    sel = getattr(params, "sel", None)
    return None if sel is None else core_selector(sel, ids)


class Open(Owned):
    """Objects that begin with some attributes and take any: programs set `is_trained` of a quantizer, say."""

    def _begin(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


class Sealed(Open):
    """Objects whose attributes are those that they begin with: one misspelt is an error, not a lost wish."""

    def __setattr__(self, name: str, value: Any) -> None:
        if (
            name[0] != "_"
            and name not in ("this", "thisown", "referenced_objects")
            and not hasattr(self, name)
        ):
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'.")
        object.__setattr__(self, name, value)


class Index(Pointers, Sealed):
    """Vectors of d coordinates that can be searched, by the names and conventions of ``faiss.Index``.

    Attributes
    ----------
    d : int
        Coordinates of a vector.
    ntotal : int
        Vectors in the index.
    metric_type : int
        ``METRIC_L2``, ``METRIC_INNER_PRODUCT`` …
    is_trained : bool
        Whether vectors may be added.
    """

    #: Four letters by which files name the kind of index.
    fourcc: ClassVar[str] = ""

    d: int
    metric_type: int
    metric_arg: float
    is_trained: bool
    verbose: bool

    def __init__(self, d: int, metric: int = METRIC_L2) -> None:
        if not isinstance(d, (int, np.integer)) or isinstance(d, bool):
            raise TypeError(f"d = {d!r}: expected a whole number")
        require(0 < d <= 65_536, f"0 < d <= 65536 with d = {d}")
        if not isinstance(metric, (int, np.integer)):
            raise TypeError(f"metric = {metric!r}: expected one of faiss.METRIC_*")
        self._begin(
            d=int(d),
            metric_type=int(metric),
            metric_arg=0.0,
            is_trained=True,
            verbose=False,
        )

    # What a kind of index does. Those it does not have are refused as Faiss refuses them.

    def _train(self, x: Floats) -> None:
        self.is_trained = True

    def _add(self, x: Floats, ids: Labels | None) -> None:
        raise RuntimeError(f"add is not implemented for {type(self).__name__}")

    def _search(self, x: Floats, k: int, params: Any) -> tuple[Floats, Labels]:
        raise RuntimeError(f"search is not implemented for {type(self).__name__}")

    def _range_search(self, x: Floats, radius: float, params: Any) -> tuple[Any, Floats, Labels]:
        raise RuntimeError(f"range_search is not implemented for {type(self).__name__}")

    def _reconstruct(self, keys: Labels) -> Floats:
        raise RuntimeError(f"reconstruct is not implemented for {type(self).__name__}")

    def _remove(self, selector: IDSelector) -> int:
        raise RuntimeError(f"remove_ids is not implemented for {type(self).__name__}")

    def _takes_ids(self) -> bool:
        return False

    # Faiss's own names.

    ntotal: int = 0

    def train(self, x: Any, *, numeric_type: int = Float32, xq_train: Any = None) -> None:
        """Learn from vectors of shape (n, d) what the index needs before any are added."""
        x = self._vectors(x, numeric_type)
        if xq_train is not None:
            _, d = xq_train.shape
            assert d == self.d
        self._train(x)

    def add(self, x: Any, numeric_type: int = Float32) -> None:
        """Adds vectors to the index: of shape (n, d), numbered from ntotal on."""
        x = self._vectors(x, numeric_type)
        require(self.is_trained, "is_trained")
        self._add(x, None)

    def add_with_ids(self, x: Any, ids: Any, numeric_type: int = Float32) -> None:
        """Add vectors of shape (n, d) with ids of shape (n,)."""
        n, d = x.shape
        assert d == self.d
        assert ids.shape == (n,), "not same nb of vectors as ids"
        x = self._vectors(x, numeric_type)
        if not self._takes_ids():
            raise RuntimeError(f"add_with_ids not implemented for this type of index: {type(self).__name__}")
        require(self.is_trained, "is_trained")
        self._add(x, np.ascontiguousarray(ids, np.int64))

    def search(
        self,
        x: Any,
        k: int,
        *,
        params: Any = None,
        D: Any = None,
        I: Any = None,
        numeric_type: int = Float32,
    ) -> tuple[Floats, Labels]:
        """Find the k nearest vectors of each query: distances and labels of shape (n, k), the nearest first.

        Where there are fewer, labels are -1 beside a distance of inf, or -inf for inner products.
        """
        x = self._vectors(x, numeric_type)
        assert k > 0
        shape = (len(x), int(k))
        assert D is None or D.shape == shape
        assert I is None or I.shape == shape
        distances, labels = self._search(x, int(k), params)
        return into(D, distances), into(I, labels)

    def assign(self, x: Any, k: int = 1, labels: Any = None) -> Labels:
        """Find the labels of the k nearest vectors of each query."""
        x = self._vectors(x)
        assert labels is None or labels.shape == (len(x), k)
        return into(labels, self._search(x, int(k), None)[1])

    def range_search(self, x: Any, thresh: float, *, params: Any = None) -> tuple[Any, Floats, Labels]:
        """Find all vectors nearer than a threshold: query i's are at ``lims[i]:lims[i + 1]`` of D and I."""
        x = self._vectors(x)
        lims, distances, labels = self._range_search(x, float(thresh), params)
        return lims.astype(np.uint64), distances, labels

    def search_and_reconstruct(
        self,
        x: Any,
        k: int,
        *,
        params: Any = None,
        D: Any = None,
        I: Any = None,
        R: Any = None,
    ) -> tuple[Floats, Labels, Floats]:
        """As `search`, and the vectors found, of shape (n, k, d): NaN where the label is -1."""
        x = self._vectors(x)
        assert k > 0
        shape = (len(x), int(k))
        assert D is None or D.shape == shape
        assert I is None or I.shape == shape
        assert R is None or R.shape == (*shape, self.d)
        distances, labels, vectors = self._search_and_reconstruct(x, int(k), params)
        return into(D, distances), into(I, labels), into(R, vectors)

    def _search_and_reconstruct(self, x: Floats, k: int, params: Any) -> tuple[Floats, Labels, Floats]:
        distances, labels = self._search(x, k, params)
        vectors = np.full((*labels.shape, self.d), np.nan, np.float32)
        known = labels >= 0
        if known.any():
            vectors[known] = self._reconstruct(labels[known])
        return distances, labels, vectors

    def reconstruct(self, key: int, x: Any = None) -> Floats:
        """The vector that has a label."""
        assert x is None or x.shape == (self.d,)
        return into(x, self._reconstruct(np.array([key], np.int64))[0])

    def reconstruct_batch(self, key: Any, x: Any = None) -> Floats:
        """The vectors that have labels, (n, d)."""
        key = np.ascontiguousarray(key, np.int64)
        (n,) = key.shape
        assert x is None or x.shape == (n, self.d)
        return into(x, self._reconstruct(key))

    def reconstruct_n(self, n0: int = 0, ni: int = -1, x: Any = None) -> Floats:
        """The vectors of ni labels from n0 on, (ni, d)."""
        ni = self.ntotal - n0 if ni == -1 else ni
        assert x is None or x.shape == (ni, self.d)
        require(ni == 0 or (n0 >= 0 and n0 + ni <= self.ntotal), "ni == 0 || (i0 >= 0 && i0 + ni <= ntotal)")
        return into(x, self._reconstruct_n(n0, ni))

    def _reconstruct_n(self, n0: int, ni: int) -> Floats:
        return self._reconstruct(np.arange(n0, n0 + ni, dtype=np.int64))

    def remove_ids(self, x: Any) -> int:
        """Remove the vectors that a selector has, or that an array of labels names. How many were removed."""
        if not isinstance(x, IDSelector):
            assert x.ndim == 1
            x = IDSelectorBatch(np.ascontiguousarray(x, np.int64))
        return self._remove(x)

    def reset(self) -> None:
        """Forget all vectors, and remember what was learned."""
        raise RuntimeError(f"reset is not implemented for {type(self).__name__}")

    def merge_from(self, other: "Index", add_id: int = 0) -> None:
        """Take the vectors of another index over, which is left empty."""
        raise RuntimeError(f"merge_from is not implemented for {type(self).__name__}")

    def check_compatible_for_merge(self, other: "Index") -> None:
        """Refuse an index whose vectors cannot be taken over."""
        raise RuntimeError(f"check_compatible_for_merge is not implemented for {type(self).__name__}")

    def sa_code_size(self) -> int:
        """Bytes of a vector's code."""
        raise RuntimeError(f"standalone codec not implemented for {type(self).__name__}")

    def sa_encode(self, x: Any, codes: Any = None) -> Codes:
        """Codes of vectors, (n, sa_code_size())."""
        x = self._vectors(x)
        size = self.sa_code_size()
        assert codes is None or codes.shape == (len(x), size)
        return into(codes, self._encode(x))

    def sa_decode(self, codes: Any, x: Any = None) -> Floats:
        """The vectors that codes stand for, (n, d)."""
        n, size = codes.shape
        assert size == self.sa_code_size()
        codes = _bytes(codes)
        assert x is None or x.shape == (n, self.d)
        return into(x, self._decode(codes))

    def _encode(self, x: Floats) -> Codes:
        raise RuntimeError(f"standalone codec not implemented for {type(self).__name__}")

    def _decode(self, codes: Codes) -> Floats:
        raise RuntimeError(f"standalone codec not implemented for {type(self).__name__}")

    def add_sa_codes(self, codes: Any, ids: Any = None) -> None:
        """Add vectors by their codes, (n, sa_code_size())."""
        n, size = codes.shape
        assert size == self.sa_code_size()
        codes = _bytes(codes)
        if ids is not None:
            assert ids.shape == (n,)
            ids = np.ascontiguousarray(ids, np.int64)
        self._add_codes(codes, ids)

    def _add_codes(self, codes: Codes, ids: Labels | None) -> None:
        raise RuntimeError(f"add_sa_codes is not implemented for {type(self).__name__}")

    def _distances(self, x: Floats) -> Floats:
        """The distance of one query to every vector, by number."""
        from steep.faiss._distances import pairwise_distances

        rows = self.reconstruct_n(0, self.ntotal)
        distances: Floats = pairwise_distances(x, rows, self.metric_type, self.metric_arg)[0]
        return distances

    def _found(self, x: Floats) -> Floats:
        """The same, as a search for all of them finds it."""
        table = np.empty(self.ntotal, np.float32)
        if self.ntotal:
            distances, labels = self._search(x, self.ntotal, None)
            table.fill(-np.inf if is_similarity(self.metric_type) else np.inf)
            table[labels[labels >= 0]] = distances[labels >= 0]
        return table

    def get_distance_computer(self) -> Any:
        """What tells how far single vectors are from a query."""
        from steep.faiss._computers import DistanceComputer

        return DistanceComputer(self)

    def compute_residual(self, x: Any, residual: Any, key: int) -> None:
        """Write what a vector is off from the one with a label."""
        _array(residual)[: self.d] = _array(x)[: self.d] - self._reconstruct(np.array([key], np.int64))[0]

    def compute_residual_n(self, n: int, xs: Any, residuals: Any, keys: Any) -> None:
        """Write what vectors are off from those with labels."""
        at = self._reconstruct(np.asarray(_array(keys)[:n], np.int64))
        _array(residuals)[: n * self.d] = (_array(xs)[: n * self.d].reshape(n, self.d) - at).ravel()

    def _vectors(self, x: Any, numeric_type: int = Float32) -> Floats:
        _, d = x.shape
        assert d == self.d
        if numeric_type != Float32:
            if numeric_type != Float16:
                raise RuntimeError(f"numeric type {numeric_type} is not supported: pass float32")
            x = np.asarray(x, np.float16)
        return np.ascontiguousarray(x, np.float32)

    # Copies, pickles and files go by the record that files hold.

    def __getstate__(self) -> dict[str, Any]:
        from steep.faiss._io import serialize_index

        return {"this": serialize_index(self).tobytes()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        from steep.faiss._io import deserialize_index

        other = deserialize_index(np.frombuffer(state["this"], np.uint8))
        self.__dict__.update(other.__dict__)

    def __deepcopy__(self, memo: Any) -> "Index":
        twin: Index = clone_index(self)
        return twin

    def _copy_to(self, other: Any) -> None:
        """Give a copy, made of the record, what a file does not hold."""

    def to_record(self) -> dict[str, Any]:
        """What a file holds of the index."""
        raise RuntimeError(f"don't know how to serialize this type of index: {type(self).__name__}")

    def _header(self) -> dict[str, Any]:
        return {
            "fourcc": self.fourcc,
            "d": self.d,
            "ntotal": int(self.ntotal),
            "is_trained": bool(self.is_trained),
            "metric_type": self.metric_type,
            "metric_arg": float(self.metric_arg),
        }

    @classmethod
    def _of_record(cls, record: dict[str, Any]) -> Any:
        """An index without anything but what every record has; kinds of index fill in the rest."""
        index = cls.__new__(cls)
        Index.__init__(index, record["d"], record["metric_type"])
        index._begin(metric_arg=record.get("metric_arg", 0.0), is_trained=bool(record["is_trained"]))
        return index


def clone_index(index: Any) -> Any:
    """A copy that shares nothing with the index."""
    from steep.faiss._io import (
        deserialize_index,
        deserialize_index_binary,
        serialize_index,
        serialize_index_binary,
    )

    if isinstance(index, Index):
        other = deserialize_index(serialize_index(index))
        # What a file does not hold of an index.
        for name in ("verbose", "parallel_mode", "max_codes"):
            if name in index.__dict__:
                other.__dict__[name] = copy.copy(index.__dict__[name])
        index._copy_to(other)
        return other
    return deserialize_index_binary(serialize_index_binary(index))


def downcast_index(index: Any) -> Any:
    """The index itself: here objects have their own type from the beginning."""
    return index


def clone_Quantizer(quant: Any) -> Any:
    """A copy that shares nothing with the quantizer."""
    return copy.deepcopy(quant)


downcast_IndexBinary: Callable[[Any], Any] = downcast_index
downcast_Quantizer: Callable[[Any], Any] = downcast_index
downcast_InvertedLists: Callable[[Any], Any] = downcast_index


def _bytes(codes: Any) -> Codes:
    if codes.dtype != np.uint8:
        raise TypeError(f"Input argument {codes.dtype} must be ndarray of dtype  uint8")
    return np.ascontiguousarray(codes)


def _array(pointer: Any) -> Any:
    return getattr(pointer, "array", pointer).reshape(-1)
