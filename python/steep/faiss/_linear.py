"""What does a matrix make of vectors? Faiss's linear transforms, over the core's product."""

# What callers pass is checked at run time too.
# pyright: reportUnnecessaryIsInstance=false

from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from steep import _steep
from steep.faiss import _random
from steep.faiss._arrays import Float32Vector, Owned, pointed
from steep.faiss._distances import normalize_L2, orthonormal
from steep.faiss._simd import threads

Floats = npt.NDArray[np.float32]
Record = dict[str, Any]


def subsample(x: Floats, most: int, seed: int = 1234, verbose: bool = False) -> Floats:
    """At most so many rows, those that Faiss chooses."""
    if len(x) <= most:
        return x
    if verbose:
        print(f"  Input training set too big (max size is {most}), sampling {most} / {len(x)} vectors")
    return x[_random.permutation(len(x), seed)[:most]]


def times(x: Floats, a: Floats, b: Floats | None = None) -> Floats:
    """X Aᵀ + b, by the core's product."""
    out = np.empty((len(x), len(a)), np.float32)
    if not x.shape[1]:
        out[:] = 0 if b is None else b
    elif out.size:
        _steep.faiss_linear(np.ascontiguousarray(x), np.ascontiguousarray(a), b, out, threads())
    return out


class VectorTransform(Owned):
    """Vectors of `d_in` coordinates in, of `d_out` out."""

    d_in: int
    d_out: int
    is_trained: bool
    _fourcc: ClassVar[str]

    def __init__(self, d_in: int = 0, d_out: int = 0) -> None:
        if type(self) is VectorTransform:
            raise AttributeError("No constructor defined - class is abstract: take one of its subclasses")
        for name, value in (("d_in", d_in), ("d_out", d_out)):
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
                raise TypeError(f"{name} of type {type(value).__name__}: expected a whole number")
        self.d_in, self.d_out, self.is_trained = int(d_in), int(d_out), True

    def _rows(self, x: Any, d: int) -> Floats:
        _, columns = x.shape
        assert columns == d, f"vectors have {columns} coordinates: this transform takes {d}"
        return np.ascontiguousarray(x, np.float32)

    def _ready(self) -> None:
        if not self.is_trained:
            raise RuntimeError("Transformation not trained yet: call train(x) first")

    def train(self, x: Any) -> None:
        """Learn from vectors what there is to learn."""
        self._train(self._rows(x, self.d_in))

    def _train(self, x: Floats) -> None: ...

    def apply(self, x: Any) -> Floats:
        """Transform vectors of shape (n, d_in)."""
        return self._apply(self._rows(x, self.d_in))

    #: What Faiss calls `apply` in Python.
    apply_py = apply

    def _apply(self, x: Floats) -> Floats:
        raise NotImplementedError

    def apply_noalloc(self, n: int, x: Any, xt: Any) -> None:
        """Transform n vectors into an array that is there."""
        rows = pointed(x, n * self.d_in, np.float32, "x").reshape(n, self.d_in)
        pointed(xt, n * self.d_out, np.float32, "xt").reshape(n, self.d_out)[:] = self._apply(rows)

    def reverse_transform(self, x: Any) -> Floats:
        """Vectors of shape (n, d_in) that `apply` would make these of, as far as they can be told."""
        return self._reverse(self._rows(x, self.d_out))

    def _reverse(self, x: Floats) -> Floats:
        raise RuntimeError(f"reverse transform not implemented for {type(self).__name__}")

    def check_identical(self, other: "VectorTransform") -> None:
        """Raise where another transform does something else."""
        mine, theirs = self.to_record(), other.to_record()
        same = mine.keys() == theirs.keys() and all(np.array_equal(mine[key], theirs[key]) for key in mine)
        if type(other) is not type(self) or not same:
            raise RuntimeError(f"the transforms differ: {type(self).__name__} and {type(other).__name__}")

    def to_record(self) -> Record:
        """Faiss's fields of this transform, as a file holds them."""
        common = {"d_in": self.d_in, "d_out": self.d_out, "is_trained": self.is_trained}
        return {"fourcc": self._fourcc, **self._fields(), **common}

    def _fields(self) -> Record:
        return {}

    @classmethod
    def from_record(cls, record: Record) -> Self:
        """The transform that a record describes."""
        self = cls.__new__(cls)
        VectorTransform.__init__(self, int(record["d_in"]), int(record["d_out"]))
        self._restore(record)
        self.is_trained = bool(record["is_trained"])
        return self

    def _restore(self, record: Record) -> None: ...


class LinearTransform(VectorTransform):
    """y = Ax + b. `A`, of shape (d_out, d_in), and `b` are vectors of floats."""

    _fourcc = "LTra"

    b: Float32Vector
    have_bias: bool
    is_orthonormal: bool
    verbose: bool

    def __init__(self, d_in: int = 0, d_out: int = 0, have_bias: bool = False) -> None:
        super().__init__(d_in, d_out)
        self.A, self.b = Float32Vector(), Float32Vector()
        self.have_bias, self.is_orthonormal, self.verbose = bool(have_bias), False, False
        self.is_trained = False

    @property
    def _matrix(self) -> Floats:
        if self.A.size() != self.d_out * self.d_in:
            raise RuntimeError(f"Transformation matrix not initialized: A has {self.A.size()} values")
        return self.A.array.reshape(self.d_out, self.d_in)

    @property
    def _offset(self) -> Floats | None:
        if not self.have_bias:
            return None
        if self.b.size() != self.d_out:
            raise RuntimeError(f"Bias not initialized: b has {self.b.size()} values")
        return self.b.array

    def _apply(self, x: Floats) -> Floats:
        self._ready()
        return times(x, self._matrix, self._offset)

    def _transposed(self, y: Floats) -> Floats:
        offset = self._offset
        return times(y if offset is None else y - offset, np.ascontiguousarray(self._matrix.T))

    def transform_transpose(self, n: int, y: Any, x: Any) -> None:
        """X = Aᵀ(y - b) of n vectors, into an array that is there."""
        rows = pointed(y, n * self.d_out, np.float32, "y").reshape(n, self.d_out)
        pointed(x, n * self.d_in, np.float32, "x").reshape(n, self.d_in)[:] = self._transposed(rows)

    def _reverse(self, x: Floats) -> Floats:
        if not self.is_orthonormal:
            raise RuntimeError("reverse transform not implemented for non-orthonormal matrices")
        return self._transposed(x)

    def set_is_orthonormal(self) -> None:
        """Find out whether the rows of A are orthonormal."""
        if self.d_out > self.d_in:
            self.is_orthonormal = False
            return
        if self.d_out == 0:
            self.is_orthonormal = True
            return
        a = self._matrix.astype(np.float64)
        self.is_orthonormal = bool(np.abs(a @ a.T - np.eye(self.d_out)).max() <= 4e-5)

    def _set(self, a: npt.NDArray[Any], b: npt.NDArray[Any] | None = None) -> None:
        """Put another matrix in the place of A."""
        self.A._put(np.array(a, np.float32).reshape(-1))
        if b is not None:
            self.b._put(np.array(b, np.float32).reshape(-1))

    def _fields(self) -> Record:
        return {"have_bias": self.have_bias, "A": self.A.array, "b": self.b.array}

    def _restore(self, record: Record) -> None:
        LinearTransform.__init__(self, self.d_in, self.d_out, bool(record["have_bias"]))
        self._set(record["A"], record["b"])
        if self.A.size() == self.d_out * self.d_in:
            self.set_is_orthonormal()


class RandomRotationMatrix(LinearTransform):
    """A rotation at random; more coordinates out than in keep lengths too."""

    _fourcc = "rrot"

    is_orthonormal: bool

    def __init__(self, d_in: int = 0, d_out: int = 0) -> None:
        super().__init__(d_in, d_out, False)

    def init(self, seed: int) -> None:
        """Make the rotation of a seed."""
        rows = self.d_out
        columns = max(self.d_in, self.d_out)
        made = (
            orthonormal(_random.randn((rows, columns), seed)) if rows else np.empty((0, columns), np.float32)
        )
        self._set(made[:, : self.d_in])
        self.is_orthonormal = self.is_trained = True

    def _train(self, x: Floats) -> None:
        self.init(12345)

    def _restore(self, record: Record) -> None:
        super()._restore(record)
        self.is_orthonormal = True


class PCAMatrix(LinearTransform):
    """The directions of the largest variance first, maybe scaled by powers of it, or turned at random."""

    _fourcc = "Pcam"

    eigen_power: float
    random_rotation: bool
    epsilon: float
    max_points_per_d: int
    balanced_bins: int
    mean: Float32Vector
    eigenvalues: Float32Vector
    PCAMat: Float32Vector
    is_orthonormal: bool
    have_bias: bool
    is_trained: bool

    def __init__(
        self, d_in: int = 0, d_out: int = 0, eigen_power: float = 0.0, random_rotation: bool = False
    ) -> None:
        super().__init__(d_in, d_out, True)
        self.eigen_power, self.random_rotation = float(eigen_power), bool(random_rotation)
        self.epsilon, self.max_points_per_d, self.balanced_bins = 0.0, 1000, 0
        self.mean, self.eigenvalues, self.PCAMat = Float32Vector(), Float32Vector(), Float32Vector()

    def _train(self, x: Floats) -> None:
        x = subsample(x, self.max_points_per_d * self.d_in, verbose=self.verbose)
        if not len(x):
            raise RuntimeError("PCA needs at least one vector to learn from")
        mean = x.mean(axis=0, dtype=np.float64) if self.have_bias else np.zeros(self.d_in)
        mean = mean.astype(np.float32)
        n, values = len(x), np.zeros(self.d_in)
        if n >= self.d_in:
            covariance = np.zeros((self.d_in, self.d_in))
            # In parts, so that sums of many products lose nothing.
            for from_ in range(0, n, 16384):
                part = x[from_ : from_ + 16384] - mean
                covariance += part.T @ part
            found, directions = np.linalg.eigh(covariance)
            values, rows = found[::-1], directions.T[::-1].astype(np.float32)
        else:
            centered = (x - mean).astype(np.float64)
            found, mixed = np.linalg.eigh(centered @ centered.T)
            values[:n] = found[::-1]
            rows = np.ascontiguousarray(mixed.T[::-1] @ centered, np.float32)
            normalize_L2(rows)
        self.mean._put(mean)
        self.eigenvalues._put(values.astype(np.float32))
        self.PCAMat._put(np.ascontiguousarray(rows).reshape(-1))
        self.prepare_Ab()
        self.is_trained = True

    def copy_from(self, other: "PCAMatrix") -> None:
        """Take over what another has learned."""
        other._ready()
        for name in ("mean", "eigenvalues", "PCAMat"):
            getattr(self, name)._put(getattr(other, name).array.copy())
        self.prepare_Ab()
        self.is_trained = True

    # A direction without any variance is made infinitely long by a negative power, as Faiss makes it.
    @np.errstate(divide="ignore", invalid="ignore")
    def prepare_Ab(self) -> None:
        """Make A and b of what was learned."""
        if self.d_out * self.d_in > self.PCAMat.size():
            raise RuntimeError(f"PCA matrix cannot output {self.d_out} dimensions from {self.d_in}")
        a = self.PCAMat.array[: self.d_out * self.d_in].reshape(self.d_out, self.d_in).astype(np.float64)
        values = self.eigenvalues.array[: self.d_out].astype(np.float64)
        if self.random_rotation:
            if self.balanced_bins:
                raise RuntimeError("both balancing bins and applying a random rotation does not make sense")
            turn = RandomRotationMatrix(self.d_out, self.d_out)
            turn.init(5)
            scale = values**self.eigen_power if self.eigen_power else 1.0
            a = turn._matrix.astype(np.float64) * scale @ a
        else:
            if self.eigen_power:
                a *= ((values + self.epsilon) ** self.eigen_power)[:, None]
            if self.balanced_bins:
                a = a[self._balanced(values)]
        self._set(a, -(a.astype(np.float32).astype(np.float64) @ self.mean.array))
        self.is_orthonormal = self.eigen_power == 0

    def _balanced(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """An order whose parts have about the same variance: each direction goes where least is."""
        if self.d_out % self.balanced_bins:
            raise RuntimeError(
                f"d_out = {self.d_out} is not divisible by balanced_bins = {self.balanced_bins}"
            )
        room = self.d_out // self.balanced_bins
        bins: list[list[int]] = [[] for _ in range(self.balanced_bins)]
        sums = np.zeros(self.balanced_bins)
        for at, value in enumerate(values):
            least = int(np.argmin([np.inf if len(b) == room else s for b, s in zip(bins, sums, strict=True)]))
            bins[least].append(at)
            sums[least] += value
        return np.concatenate([np.array(b, np.int64) for b in bins])

    def _fields(self) -> Record:
        own = {
            name: getattr(self, name)
            for name in ("eigen_power", "epsilon", "random_rotation", "balanced_bins")
        }
        learned = {name: getattr(self, name).array for name in ("mean", "eigenvalues", "PCAMat")}
        return {**own, **learned, **super()._fields()}

    def _restore(self, record: Record) -> None:
        power, turned = float(record["eigen_power"]), bool(record["random_rotation"])
        PCAMatrix.__init__(self, self.d_in, self.d_out, power, turned)
        self.epsilon, self.balanced_bins = float(record["epsilon"]), int(record["balanced_bins"])
        for name in ("mean", "eigenvalues", "PCAMat"):
            getattr(self, name)._put(np.array(record[name], np.float32))
        self.have_bias = bool(record["have_bias"])
        self._set(record["A"], record["b"])
        self.is_orthonormal = self.eigen_power == 0


__all__ = ["LinearTransform", "PCAMatrix", "RandomRotationMatrix", "VectorTransform"]
