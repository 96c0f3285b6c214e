"""What stands for a pointer, and for a std::vector? A view of a NumPy array, and a growing array.

Faiss's Python interface shows memory of its C++ objects through SWIG. Here memory is NumPy's or the
core's, and a `Vector` may be a window onto state that lives elsewhere (`Vector.over`): what is written
through it arrives there.
"""

# What callers pass is checked at run time too.
# pyright: reportUnnecessaryIsInstance=false

import warnings
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Generic, Self, TypeVar, cast

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[Any]
T = TypeVar("T")

_POINTABLE = frozenset(
    [
        "bool",
        "float16",
        "float32",
        "float64",
        "int8",
        "int16",
        "int32",
        "int64",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
    ]
)


class Pointer:
    """Where the elements of an array begin: what `swig_ptr` returns and Faiss's C++ functions take."""

    __slots__ = ("array",)

    array: Values

    def __init__(self, array: Values) -> None:
        self.array = array

    def __repr__(self) -> str:
        return f"<Pointer to {self.array.size} × {self.array.dtype}>"


def swig_ptr(a: Any) -> Pointer:
    """Pointer to the elements of a C-contiguous array, or to the bytes of a bytearray."""
    if isinstance(a, bytearray):
        return Pointer(np.frombuffer(a, np.int8))
    if not isinstance(a, np.ndarray):
        raise ValueError(f"input not a numpy array: {type(a).__name__}")
    array = cast("Values", a)
    if not array.flags.c_contiguous:
        raise ValueError("array is not C-contiguous: pass numpy.ascontiguousarray(a)")
    if array.dtype.name not in _POINTABLE:
        raise ValueError(f"did not recognize array type {array.dtype}")
    flat = array.reshape(-1)
    return Pointer(flat.view(np.uint16) if array.dtype == np.float16 else flat)


def rev_swig_ptr(ptr: Pointer, n: int) -> Values:
    """The first n elements behind a pointer, without a copy."""
    if not isinstance(ptr, Pointer):
        raise TypeError(f"rev_swig_ptr takes what swig_ptr or data() returned, not {type(ptr).__name__}")
    if not 0 <= n <= ptr.array.size:
        raise ValueError(f"n = {n}: the pointer leads to {ptr.array.size} elements")
    return ptr.array[:n]


def pointed(pointer: Any, n: int | None, dtype: npt.DTypeLike, name: str = "argument") -> Values:
    """The array behind an argument that Faiss takes as a pointer: n elements of `dtype`."""
    given = pointer.array if isinstance(pointer, Pointer) else pointer
    if not isinstance(given, np.ndarray):
        raise TypeError(
            f"{name} of type {type(pointer).__name__}: pass swig_ptr of an array of {np.dtype(dtype)}"
        )
    array = cast("Values", given)
    if array.dtype != dtype:
        raise TypeError(f"{name} points to {array.dtype}: it takes {np.dtype(dtype)}")
    array = array.reshape(-1) if array.flags.c_contiguous else np.ravel(array)
    if n is None:
        return array
    if not 0 <= n <= array.size:
        raise ValueError(f"{name} points to {array.size} elements, and {n} are asked for")
    return array[:n]


def memcpy(dest: Any, src: Any, n: int) -> None:
    """Copy n bytes from one pointer to another."""
    if isinstance(src, (bytes, bytearray)):
        source = np.frombuffer(src, np.uint8)
    else:
        source = pointed(src, None, _dtype(src), "src").view(np.uint8)
    target = pointed(dest, None, _dtype(dest), "dest").view(np.uint8)
    if not 0 <= n <= min(source.size, target.size):
        raise ValueError(f"n = {n} bytes: the source has {source.size}, the destination {target.size}")
    target[:n] = source[:n]


class Owned:
    """What SWIG's proxies call `this` and `thisown`: Python owns every object here."""

    class _This:
        def own(self, _value: bool | None = None) -> bool:
            return True

        def disown(self) -> None:
            """Nothing to do: the object lives as long as somebody refers to it."""

    #: Stands for SWIG's handle.
    this: ClassVar[Any] = _This()
    thisown = True


def _dtype(pointer: Any) -> Any:
    array = pointer.array if isinstance(pointer, Pointer) else pointer
    return getattr(array, "dtype", np.uint8)


def whole(name: str, n: Any) -> int:
    """A size or a place: a whole number of 0 or more."""
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)):
        raise TypeError(f"{name} of type {type(n).__name__}: expected a whole number")
    if n < 0:
        raise OverflowError(f"{name} = {n}: expected 0 or more")
    return int(n)  # pyright: ignore[reportUnknownArgumentType]


class Elements(Owned):
    """What `vector_to_array` copies."""

    dtype: ClassVar[np.dtype[Any]]

    @property
    def array(self) -> Values:
        """The elements, without a copy where they lie here."""
        raise NotImplementedError


class Vector(Elements):
    """A std::vector of numbers: an array that grows. NumPy reads it too (`numpy.asarray`)."""

    #: What Faiss calls whether the memory is the vector's own.
    is_owned = True

    def __init__(self) -> None:
        self._array: Values = np.empty(0, self.dtype)
        self._size = 0
        self._place: tuple[Callable[[], Values], Callable[[Values], None]] | None = None

    @classmethod
    def over(cls, get: Callable[[], Values], put: Callable[[Values], None]) -> Self:
        """A window onto state elsewhere: `get` lends its array, `put` takes another one in its place."""
        self = cls()
        self._place = (get, put)
        return self

    @classmethod
    def of(cls, values: npt.ArrayLike) -> Self:
        """A vector of these values, copied."""
        self = cls()
        self._put(np.array(values, cls.dtype).reshape(-1))
        return self

    @property
    def array(self) -> Values:
        """The elements, without a copy where they are the vector's own."""
        if self._place is None:
            return self._array[: self._size]
        return np.asarray(self._place[0](), self.dtype).reshape(-1)

    def _put(self, values: Values) -> None:
        if self._place is None:
            self._array, self._size = values, values.size
        else:
            self._place[1](values)

    def size(self) -> int:
        """Number of elements."""
        return self._size if self._place is None else self.array.size

    def at(self, n: int) -> Any:
        """Element n."""
        n = whole("n", n)
        if n >= self.size():
            raise RuntimeError(f"at(n): n (which is {n}) >= this->size() (which is {self.size()})")
        return self.array[n].item()

    def data(self) -> Pointer:
        """Pointer to the elements."""
        return Pointer(self.array)

    def push_back(self, value: Any) -> None:
        """Append one element."""
        self._check(value)
        if self._place is not None:
            self._put(np.append(self.array, self.dtype.type(value)))
            return
        if self._size == self._array.size:
            self._array = (
                np.resize(self._array, max(8, 2 * self._size)) if self._size else np.empty(8, self.dtype)
            )
        self._array[self._size] = value
        self._size += 1

    def _check(self, value: Any) -> None:
        whole = self.dtype.kind in "iu"
        good = (int, np.integer) if whole else (int, float, np.integer, np.floating)
        if not isinstance(value, good):
            raise TypeError(
                f"{type(self).__name__} takes elements of type {self.dtype}, not {type(value).__name__}"
            )
        if whole:
            range_ = np.iinfo(self.dtype)
            if not range_.min <= value <= range_.max:
                raise OverflowError(f"{value} does not fit an element of type {self.dtype}")

    def resize(self, n: int) -> None:
        """Keep the first n elements; new ones are 0."""
        n = whole("n", n)
        new = np.zeros(n, self.dtype)
        kept = self.array[:n]
        new[: kept.size] = kept
        self._put(new)

    def clear(self) -> None:
        """Drop all elements."""
        self._put(np.empty(0, self.dtype))

    def swap(self, other: Self) -> None:
        """Exchange the elements of two vectors of a kind."""
        if not isinstance(other, Vector) or other.dtype != self.dtype:
            raise TypeError(f"swap takes another {type(self).__name__}, not {type(other).__name__}")
        mine, theirs = self.array.copy(), other.array.copy()
        self._put(theirs)
        other._put(mine)

    def __len__(self) -> int:
        return self.size()

    def __getitem__(self, at: Any) -> Any:
        found = self.array[at]
        return found.item() if np.ndim(found) == 0 else found

    def __setitem__(self, at: Any, value: Any) -> None:
        array = self.array
        if self._place is not None:
            array = array.copy()
        array[at] = value
        if self._place is not None:
            self._put(array)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.array.tolist())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Values:
        array = self.array
        if dtype is not None and array.dtype != dtype:
            return array.astype(dtype)
        return array.copy() if copy else array

    def __repr__(self) -> str:
        return f"{type(self).__name__}({np.array2string(self.array, threshold=8, separator=', ')})"


class Float32Vector(Vector):
    """std::vector<float>."""

    dtype: ClassVar[np.dtype[Any]] = np.dtype(np.float32)


class Float64Vector(Vector):
    """std::vector<double>."""

    dtype: ClassVar[np.dtype[Any]] = np.dtype(np.float64)


class Int8Vector(Vector):
    """std::vector<int8_t>."""

    dtype: ClassVar[np.dtype[Any]] = np.dtype(np.int8)


class Int16Vector(Vector):
    """std::vector<int16_t>."""

    dtype: ClassVar[np.dtype[Any]] = np.dtype(np.int16)


class Int32Vector(Vector):
    """std::vector<int32_t>."""

    dtype: ClassVar[np.dtype[Any]] = np.dtype(np.int32)


class Int64Vector(Vector):
    """std::vector<int64_t>."""

    dtype: ClassVar[np.dtype[Any]] = np.dtype(np.int64)


class UInt8Vector(Vector):
    """std::vector<uint8_t>."""

    dtype: ClassVar[np.dtype[Any]] = np.dtype(np.uint8)


class UInt16Vector(Vector):
    """std::vector<uint16_t>."""

    dtype: ClassVar[np.dtype[Any]] = np.dtype(np.uint16)


class UInt32Vector(Vector):
    """std::vector<uint32_t>."""

    dtype: ClassVar[np.dtype[Any]] = np.dtype(np.uint32)


class UInt64Vector(Vector):
    """std::vector<uint64_t>."""

    dtype: ClassVar[np.dtype[Any]] = np.dtype(np.uint64)


class _MaybeOwned(Vector):
    """A vector whose memory may be a file's: codes, vectors and graphs of an index."""

    def byte_size(self) -> int:
        """Bytes of all elements."""
        return self.size() * self.dtype.itemsize


class MaybeOwnedVectorUInt8(_MaybeOwned):
    """Bytes, such as the codes of an index."""

    dtype: ClassVar[np.dtype[Any]] = np.dtype(np.uint8)


class MaybeOwnedVectorInt32(_MaybeOwned):
    """Whole numbers, such as the neighbours of a graph."""

    dtype: ClassVar[np.dtype[Any]] = np.dtype(np.int32)


class MaybeOwnedVectorFloat32(_MaybeOwned):
    """Floats."""

    dtype: ClassVar[np.dtype[Any]] = np.dtype(np.float32)


MaybeOwnedVectorUInt8Vector = MaybeOwnedVectorUInt8
MaybeOwnedVectorInt32Vector = MaybeOwnedVectorInt32
MaybeOwnedVectorFloat32Vector = MaybeOwnedVectorFloat32


class ObjectVector(Owned, Generic[T]):
    """A std::vector of objects, which it shares: a chain of transforms, the statistics of iterations."""

    def __init__(self, items: list[T] | None = None) -> None:
        self._items: list[T] = [] if items is None else items

    def size(self) -> int:
        """Number of objects."""
        return len(self._items)

    def at(self, n: int) -> T:
        """Object n."""
        n = whole("n", n)
        if n >= len(self._items):
            raise RuntimeError(f"at(n): n (which is {n}) >= this->size() (which is {len(self._items)})")
        return self._items[n]

    def data(self) -> list[T]:
        """The objects, in order."""
        return self._items

    def push_back(self, item: T) -> None:
        """Append one object."""
        self._items.append(item)

    def clear(self) -> None:
        """Drop all objects."""
        self._items.clear()

    def resize(self, n: int) -> None:
        """Keep the first n objects; new ones are made where the kind of vector says how."""
        n = whole("n", n)
        del self._items[n:]
        while len(self._items) < n:
            self._items.append(self._new())

    def _new(self) -> T:
        raise TypeError(f"{type(self).__name__}.resize can only make it shorter: push_back what is new")

    def swap(self, other: "ObjectVector[T]") -> None:
        """Exchange the objects of two vectors."""
        self._items[:], other._items[:] = other._items[:], self._items[:]

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, at: int) -> T:
        return self._items[at]

    def __iter__(self) -> Iterator[T]:
        return iter(self._items)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._items!r})"


class Float32VectorVector(ObjectVector[Float32Vector]):
    """std::vector<std::vector<float>>."""

    def _new(self) -> Float32Vector:
        return Float32Vector()


class UInt8VectorVector(ObjectVector[UInt8Vector]):
    """std::vector<std::vector<uint8_t>>."""

    def _new(self) -> UInt8Vector:
        return UInt8Vector()


class Int32VectorVector(ObjectVector[Int32Vector]):
    """std::vector<std::vector<int32_t>>."""

    def _new(self) -> Int32Vector:
        return Int32Vector()


class Int64VectorVector(ObjectVector[Int64Vector]):
    """std::vector<std::vector<int64_t>>."""

    def _new(self) -> Int64Vector:
        return Int64Vector()


class VectorTransformVector(ObjectVector[Any]):
    """A chain of transforms."""


class OperatingPointVector(ObjectVector[Any]):
    """Operating points of an exploration."""


class ClusteringIterationStatsVector(ObjectVector[Any]):
    """What each iteration of a clustering did."""


class ParameterRangeVector(ObjectVector[Any]):
    """Parameters and the values that they may take."""


class InvertedListsPtrVector(ObjectVector[Any]):
    """Several inverted lists."""


class RepeatVector(ObjectVector[Any]):
    """Repeats of a lattice."""


def vector_to_array(v: Any) -> Values:
    """The elements of a vector as a new array."""
    assert isinstance(v, Elements), f"{type(v).__name__} is not a vector of numbers"
    return v.array.copy()


def vector_float_to_array(v: Any) -> Values:
    """The elements of a vector as a new array; the old name."""
    return vector_to_array(v)


def copy_array_to_vector(a: Values, v: Vector) -> None:
    """Make the elements of a vector those of a one-dimensional array of its type."""
    (_,) = a.shape
    assert isinstance(v, Vector), f"{type(v).__name__} is not a vector of numbers"
    assert v.dtype == a.dtype, f"cannot copy a {a.dtype} array to a {type(v).__name__} (should be {v.dtype})"
    v._put(np.array(a, copy=True, order="C"))


def _deprecated(name: str, base: type[Any]) -> type[Any]:
    """The older name of a class; making one warns."""

    def new(cls: type[Any], *_args: Any, **_kwargs: Any) -> Any:
        text = f"The class faiss.{name} is deprecated in favour of faiss.{base.__name__}!"
        warnings.warn(text, DeprecationWarning, stacklevel=2)
        return object.__new__(cls)

    return type(name, (base,), {"__new__": new, "__doc__": f"The older name of `{base.__name__}`."})


#: Older names of the classes above: `FloatVector`, `LongVector` and so on.
DEPRECATED: dict[str, type[Any]] = {
    old + "Vector": _deprecated(old + "Vector", base)
    for old, base in {
        "Float": Float32Vector,
        "Double": Float64Vector,
        "Char": Int8Vector,
        "Int": Int32Vector,
        "Long": Int64Vector,
        "LongLong": Int64Vector,
        "Byte": UInt8Vector,
        "Uint64": UInt64Vector,
        "FloatVector": Float32VectorVector,
        "LongVector": Int64VectorVector,
        "ByteVector": UInt8VectorVector,
    }.items()
}
FloatVector: type[Float32Vector]
DoubleVector: type[Float64Vector]
CharVector: type[Int8Vector]
IntVector: type[Int32Vector]
LongVector: type[Int64Vector]
LongLongVector: type[Int64Vector]
ByteVector: type[UInt8Vector]
Uint64Vector: type[UInt64Vector]
FloatVectorVector: type[Float32VectorVector]
LongVectorVector: type[Int64VectorVector]
ByteVectorVector: type[UInt8VectorVector]
globals().update(DEPRECATED)

__all__ = [  # pyright: ignore[reportUnsupportedDunderAll]
    "ClusteringIterationStatsVector",
    "Float32Vector",
    "Float32VectorVector",
    "Float64Vector",
    "Int8Vector",
    "Int16Vector",
    "Int32Vector",
    "Int32VectorVector",
    "Int64Vector",
    "Int64VectorVector",
    "InvertedListsPtrVector",
    "MaybeOwnedVectorFloat32",
    "MaybeOwnedVectorFloat32Vector",
    "MaybeOwnedVectorInt32",
    "MaybeOwnedVectorInt32Vector",
    "MaybeOwnedVectorUInt8",
    "MaybeOwnedVectorUInt8Vector",
    "OperatingPointVector",
    "ParameterRangeVector",
    "RepeatVector",
    "UInt8Vector",
    "UInt8VectorVector",
    "UInt16Vector",
    "UInt32Vector",
    "UInt64Vector",
    "VectorTransformVector",
    "copy_array_to_vector",
    "memcpy",
    "rev_swig_ptr",
    "swig_ptr",
    "vector_float_to_array",
    "vector_to_array",
    *DEPRECATED,
]
