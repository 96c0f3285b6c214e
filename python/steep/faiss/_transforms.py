"""In which coordinates? Faiss's transforms: their matrices are here, the products are the core's."""

from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from steep import _steep
from steep.faiss import _random
from steep.faiss._arrays import Float32Vector, Float64Vector, Int32Vector, Owned, pointed
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
    """x Aᵀ + b, by the core's product."""
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
        """x = Aᵀ(y - b) of n vectors, into an array that is there."""
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

    def __init__(self, d_in: int = 0, d_out: int = 0) -> None:
        super().__init__(d_in, d_out, False)

    def init(self, seed: int) -> None:
        """Make the rotation of a seed."""
        rows = self.d_out
        columns = max(self.d_in, self.d_out)
        made = orthonormal(_random.randn((rows, columns), seed)) if rows else np.empty((0, columns), np.float32)
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
        """An order in which consecutive parts have about the same variance: each direction goes where least is."""
        if self.d_out % self.balanced_bins:
            raise RuntimeError(f"d_out = {self.d_out} is not divisible by balanced_bins = {self.balanced_bins}")
        room = self.d_out // self.balanced_bins
        bins: list[list[int]] = [[] for _ in range(self.balanced_bins)]
        sums = np.zeros(self.balanced_bins)
        for at, value in enumerate(values):
            least = int(np.argmin([np.inf if len(b) == room else s for b, s in zip(bins, sums, strict=True)]))
            bins[least].append(at)
            sums[least] += value
        return np.concatenate([np.array(b, np.int64) for b in bins])

    def _fields(self) -> Record:
        own = {name: getattr(self, name) for name in ("eigen_power", "epsilon", "random_rotation", "balanced_bins")}
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


def _nearest_rotation(cross: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The orthogonal matrix of the largest product with this one (Schönemann 1966)."""
    u, _, v = np.linalg.svd(cross, full_matrices=False)
    return u @ v


class ITQMatrix(LinearTransform):
    """A rotation after which signs tell most (Gong, Lazebnik 2011)."""

    _fourcc = "Viqm"

    def __init__(self, d: int = 0) -> None:
        super().__init__(d, d, False)
        self.max_iter, self.seed = 50, 123
        self.init_rotation = Float64Vector()

    def _train(self, x: Floats) -> None:
        d, wide = self.d_in, x.astype(np.float64)
        if self.init_rotation.size() == d * d:
            rotation = self.init_rotation.array.reshape(d, d).copy()
        else:
            first = RandomRotationMatrix(d, d)
            first.init(self.seed)
            rotation = first._matrix.astype(np.float64)
        for _ in range(self.max_iter):
            signs = np.where(wide @ rotation < 0, -1.0, 1.0)
            rotation = _nearest_rotation(wide.T @ signs)
        self._set(rotation.T)
        self.is_trained = True

    def _fields(self) -> Record:
        return {"max_iter": self.max_iter, "seed": self.seed, **super()._fields()}

    def _restore(self, record: Record) -> None:
        ITQMatrix.__init__(self, self.d_in)
        self.max_iter, self.seed = int(record["max_iter"]), int(record["seed"])
        self.have_bias = bool(record["have_bias"])
        self._set(record["A"], record["b"])


class ITQTransform(VectorTransform):
    """Centred, of length 1, maybe reduced, and turned by an `ITQMatrix`."""

    _fourcc = "Viqt"

    def __init__(self, d_in: int = 0, d_out: int = 0, do_pca: bool = False) -> None:
        super().__init__(d_in, d_out)
        if not do_pca and self.d_in != self.d_out:
            raise RuntimeError(f"d_in = {d_in} and d_out = {d_out} differ: pass do_pca=True")
        self.do_pca, self.max_train_per_dim, self.is_trained = bool(do_pca), 10, False
        self.mean = Float32Vector()
        self.itq, self.pca_then_itq = ITQMatrix(self.d_out), LinearTransform(self.d_in, self.d_out, False)

    def _normal(self, x: Floats) -> Floats:
        centered = x - self.mean.array
        normalize_L2(centered)
        return centered

    def _train(self, x: Floats) -> None:
        if self.is_trained:
            raise RuntimeError("the transform is trained already")
        x = subsample(x, max(self.d_in * self.max_train_per_dim, 32768))
        self.mean._put(x.mean(axis=0, dtype=np.float64).astype(np.float32))
        normal = self._normal(x)
        if self.do_pca:
            pca = PCAMatrix(self.d_in, self.d_out)
            pca.have_bias = False
            pca.train(normal)
            self.itq.train(pca.apply(normal))
            self.pca_then_itq._set(self.itq._matrix.astype(np.float64) @ pca._matrix)
        else:
            self.itq.train(normal)
            self.pca_then_itq._set(self.itq._matrix)
        self.pca_then_itq.is_trained = self.is_trained = True

    def _apply(self, x: Floats) -> Floats:
        self._ready()
        return self.pca_then_itq._apply(self._normal(x))

    def _fields(self) -> Record:
        parts = {"itq": self.itq.to_record(), "pca_then_itq": self.pca_then_itq.to_record()}
        return {"mean": self.mean.array, "do_pca": self.do_pca, **parts}

    def _restore(self, record: Record) -> None:
        ITQTransform.__init__(self, self.d_in, self.d_out, True)
        self.do_pca = bool(record["do_pca"])
        self.mean._put(np.array(record["mean"], np.float32))
        self.itq = ITQMatrix.from_record(record["itq"])
        self.pca_then_itq = LinearTransform.from_record(record["pca_then_itq"])


class OPQMatrix(LinearTransform):
    """A rotation after which a product quantizer of M parts loses least (Ge et al. 2013)."""

    def __init__(self, d: int = 0, M: int = 1, d2: int = -1) -> None:
        super().__init__(d, d if d2 == -1 else d2, False)
        self.M, self.niter, self.niter_pq, self.niter_pq_0 = M, 50, 4, 40
        self.max_train_points = 256 * 256
        self.pq: Any = None

    def _train(self, x: Floats) -> None:
        x = subsample(x, self.max_train_points, verbose=self.verbose)
        parts, k = (self.M, 256) if self.pq is None else (self.pq.M, 1 << self.pq.nbits)
        if parts <= 0 or self.d_out % parts:
            raise RuntimeError(f"The dimension of the vector ({self.d_out}) should be a multiple of M ({parts})")
        if len(x) < k:
            raise RuntimeError(f"Number of training points ({len(x)}) should be at least as large as {k} centroids")
        # More coordinates out than in: zeros make up for them.
        d = max(self.d_in, self.d_out)
        centered = np.zeros((len(x), d), np.float32)
        centered[:, : self.d_in] = x - x.mean(axis=0, dtype=np.float64).astype(np.float32)
        if self.A.size():
            if self.A.size() != self.d_out * d:
                raise RuntimeError(f"A has {self.A.size()} values to begin with: expected {self.d_out * d}, or none")
            rotation = self.A.array.reshape(self.d_out, d).copy()
        else:
            rotation = orthonormal(_random.randn((d, d), 1234))[: self.d_out]
        books: list[Any] = ["random"] * parts
        for round_ in range(self.niter):
            turned = times(centered, rotation)
            rounds = self.niter_pq if round_ else self.niter_pq_0
            decoded = self._decoded(turned, books, k, max(rounds, 1))
            if self.verbose:
                lost = float(np.square(decoded - turned).sum(dtype=np.float64)) / len(x)
                print(f"    Iteration {round_} ({rounds} PQ iterations): obj={lost:g}")
            cross = times(np.ascontiguousarray(decoded.T), np.ascontiguousarray(centered.T))
            rotation = _nearest_rotation(cross).astype(np.float32)
        self._set(rotation[:, : self.d_in])
        self.is_trained = self.is_orthonormal = True

    def _decoded(self, turned: Floats, books: list[Any], k: int, rounds: int) -> Floats:
        """What a product quantizer makes of vectors, its centroids moved on from where they were."""
        decoded, width = np.empty_like(turned), turned.shape[1] // len(books)
        for at, book in enumerate(books):
            columns = slice(at * width, (at + 1) * width)
            part = np.ascontiguousarray(turned[:, columns])
            most = None if len(part) <= 1000 * k else 1000
            args = ("l2", rounds, book, None, most, False, None, False, 1234, threads(), None)
            centroids, _, prices = _steep.kmeans(part, k, *args)
            labels, _ = _steep.kmeans_assign(part, centroids, prices, "l2", threads(), None)
            books[at] = centroids
            decoded[:, columns] = centroids[labels]
        return decoded


class NormalizationTransform(VectorTransform):
    """Vectors of length 1; those of zeros stay."""

    _fourcc = "VNrm"

    def __init__(self, d: int = -1, norm: float = 2.0) -> None:
        super().__init__(d, d)
        self.norm = -1.0 if d == -1 else float(norm)

    def _apply(self, x: Floats) -> Floats:
        if self.norm != 2.0:
            raise RuntimeError(f"norm = {self.norm} is not implemented: expected 2")
        x = x.copy()
        normalize_L2(x)
        return x

    def _reverse(self, x: Floats) -> Floats:
        return x.copy()

    def _fields(self) -> Record:
        return {"norm": self.norm}

    def _restore(self, record: Record) -> None:
        self.norm = float(record["norm"])


class CenteringTransform(VectorTransform):
    """Vectors without their mean."""

    _fourcc = "VCnt"

    def __init__(self, d: int = 0) -> None:
        super().__init__(d, d)
        self.mean, self.is_trained = Float32Vector(), False

    def _train(self, x: Floats) -> None:
        if not len(x):
            raise RuntimeError("need at least one training vector")
        self.mean._put(x.mean(axis=0, dtype=np.float64).astype(np.float32))
        self.is_trained = True

    def _apply(self, x: Floats) -> Floats:
        self._ready()
        return x - self.mean.array

    def _reverse(self, x: Floats) -> Floats:
        self._ready()
        return x + self.mean.array

    def _fields(self) -> Record:
        return {"mean": self.mean.array}

    def _restore(self, record: Record) -> None:
        self.mean = Float32Vector.of(record["mean"])


class RemapDimensionsTransform(VectorTransform):
    """Coordinates picked and put elsewhere: `map` says of each that comes out which one it was, -1 for 0.

    The last argument is that map, or whether they are to be spread evenly.
    """

    _fourcc = "RmDT"

    def __init__(self, d_in: int = 0, d_out: int = 0, map: Any = True) -> None:
        super().__init__(d_in, d_out)
        if isinstance(map, (bool, np.bool_)):
            picked = np.full(self.d_out, -1, np.int32)
            fewer = min(self.d_in, self.d_out)
            at = np.arange(fewer)
            if not map:
                picked[at] = at
            elif self.d_in < self.d_out:
                picked[at * self.d_out // max(self.d_in, 1)] = at
            else:
                picked[:] = at * self.d_in // max(self.d_out, 1)
        else:
            given = map if isinstance(map, (list, tuple)) else pointed(map, self.d_out, np.int32, "map")
            picked = np.array(given, np.int32)[: self.d_out]
            if ((picked < -1) | (picked >= self.d_in)).any():
                raise RuntimeError(f"map = {picked.tolist()}: expected -1 to {self.d_in - 1}")
        self.map = Int32Vector.of(picked)

    def _apply(self, x: Floats) -> Floats:
        picked = self.map.array
        if not self.d_in:
            return np.zeros((len(x), self.d_out), np.float32)
        return np.where(picked < 0, np.float32(0), x[:, np.maximum(picked, 0)])

    def _reverse(self, x: Floats) -> Floats:
        out, picked = np.zeros((len(x), self.d_in), np.float32), self.map.array
        out[:, picked[picked >= 0]] = x[:, picked >= 0]
        return out

    def _fields(self) -> Record:
        return {"map": self.map.array}

    def _restore(self, record: Record) -> None:
        self.map = Int32Vector.of(record["map"])


class HadamardRotation(VectorTransform):
    """A rotation in O(d log d): signs at random and Hadamard transforms, thrice, in the next power of two."""

    _fourcc = "HRot"

    def __init__(self, d: int = 0, seed: int = 12345) -> None:
        super().__init__(d, 1 << max(d - 1, 0).bit_length() if d else 0)
        self.signs1, self.signs2, self.signs3 = Float32Vector(), Float32Vector(), Float32Vector()
        self.seed = 0
        if d:
            self.init(seed)

    def init(self, seed: int) -> None:
        """Make the rotation of a seed."""
        self.seed = seed
        random = _random.SplitMix64RandomGenerator(seed)
        for signs in (self.signs1, self.signs2, self.signs3):
            signs._put(np.array([2 * random.rand_int(2) - 1 for _ in range(self.d_out)], np.float32))
        self.is_trained = True

    def _train(self, x: Floats) -> None:
        self.init(self.seed or 12345)

    def _apply(self, x: Floats) -> Floats:
        self._ready()
        out = np.empty((len(x), self.d_out), np.float32)
        if out.size:
            signs = np.concatenate([self.signs1.array, self.signs2.array, self.signs3.array])
            _steep.faiss_rotate(x, signs, out, threads())
        return out

    def _fields(self) -> Record:
        return {"seed": self.seed}

    def _restore(self, record: Record) -> None:
        HadamardRotation.__init__(self, self.d_in, int(record["seed"]))


_BY_FOURCC: dict[str, type[VectorTransform]] = {
    cls._fourcc: cls
    for cls in (
        LinearTransform,
        RandomRotationMatrix,
        PCAMatrix,
        ITQMatrix,
        ITQTransform,
        NormalizationTransform,
        CenteringTransform,
        RemapDimensionsTransform,
        HadamardRotation,
    )
}


def transform_from_record(record: Record) -> VectorTransform:
    """The transform that a record describes, by its fourcc."""
    fourcc = record["fourcc"]
    if fourcc not in _BY_FOURCC:
        raise RuntimeError(f"transform {fourcc!r} is not supported: there are {', '.join(_BY_FOURCC)}")
    return _BY_FOURCC[fourcc].from_record(record)


def downcast_VectorTransform(vt: VectorTransform) -> VectorTransform:
    """The transform: it is of its own class already."""
    return vt


__all__ = [
    "CenteringTransform",
    "HadamardRotation",
    "ITQMatrix",
    "ITQTransform",
    "LinearTransform",
    "NormalizationTransform",
    "OPQMatrix",
    "PCAMatrix",
    "RandomRotationMatrix",
    "RemapDimensionsTransform",
    "VectorTransform",
    "downcast_VectorTransform",
]
