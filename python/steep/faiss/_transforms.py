"""In which coordinates? Faiss's transforms that are no plain matrix, or whose matrix is learned for codes."""

from typing import Any, cast

import numpy as np
import numpy.typing as npt

from steep import _steep
from steep.faiss import _random
from steep.faiss._arrays import Float32Vector, Float64Vector, Int32Vector, pointed
from steep.faiss._distances import normalize_L2, orthonormal
from steep.faiss._linear import (
    Floats,
    LinearTransform,
    PCAMatrix,
    RandomRotationMatrix,
    Record,
    VectorTransform,
    subsample,
    times,
)
from steep.faiss._simd import threads


class NormalizationTransform(VectorTransform):
    """Vectors of length 1; those of zeros stay."""

    _fourcc = "VNrm"

    norm: float

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

    mean: Float32Vector
    is_trained: bool

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

    map: Int32Vector

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
            own = isinstance(map, (list, tuple))
            given = cast("Any", map) if own else pointed(map, self.d_out, np.int32, "map")
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

    signs1: Float32Vector
    signs2: Float32Vector
    signs3: Float32Vector
    seed: int

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
        return self._rotated(x, self.signs1, self.signs2, self.signs3)

    def _rotated(self, x: Floats, *signs: Float32Vector) -> Floats:
        out = np.empty((len(x), self.d_out), np.float32)
        if out.size:
            _steep.faiss_rotate(x, np.concatenate([s.array for s in signs]), out, threads())
        return out

    def _reverse(self, x: Floats) -> Floats:
        self._ready()
        if self.d_in != self.d_out:
            raise RuntimeError(f"reverse_transform not supported: d_in = {self.d_in} is no power of 2")
        # A transform and signs are their own inverses: the same in the other order, signs after transforms.
        ones = Float32Vector.of(np.ones(self.d_out, np.float32))
        return self._rotated(x, ones, self.signs3, self.signs2) * self.signs1.array

    def _fields(self) -> Record:
        return {"seed": self.seed}

    def _restore(self, record: Record) -> None:
        HadamardRotation.__init__(self, self.d_in, int(record["seed"]))


def _nearest_rotation(cross: npt.NDArray[Any]) -> Any:
    """The orthogonal matrix of the largest product with this one (Schönemann 1966)."""
    u, _, v = np.linalg.svd(cross, full_matrices=False)
    return u @ v


class ITQMatrix(LinearTransform):
    """A rotation after which signs tell most (Gong, Lazebnik 2011)."""

    _fourcc = "Viqm"

    max_iter: int
    seed: int
    init_rotation: Float64Vector
    have_bias: bool

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

    do_pca: bool
    max_train_per_dim: int
    mean: Float32Vector
    itq: ITQMatrix
    pca_then_itq: LinearTransform
    is_trained: bool

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

    niter: int
    niter_pq: int
    niter_pq_0: int

    def __init__(self, d: int = 0, M: int = 1, d2: int = -1) -> None:
        super().__init__(d, d if d2 == -1 else d2, False)
        self.M, self.niter, self.niter_pq, self.niter_pq_0 = M, 50, 4, 40
        self.max_train_points = 256 * 256
        self.pq: Any = None

    def _train(self, x: Floats) -> None:
        x = subsample(x, self.max_train_points, verbose=self.verbose)
        parts, k = (self.M, 256) if self.pq is None else (self.pq.M, 1 << self.pq.nbits)
        if parts <= 0 or self.d_out % parts:
            raise RuntimeError(
                f"The dimension of the vector ({self.d_out}) should be a multiple of M ({parts})"
            )
        if len(x) < k:
            raise RuntimeError(
                f"Number of training points ({len(x)}) should be at least as large as {k} centroids"
            )
        # More coordinates out than in: zeros make up for them.
        d = max(self.d_in, self.d_out)
        centered = np.zeros((len(x), d), np.float32)
        centered[:, : self.d_in] = x - x.mean(axis=0, dtype=np.float64).astype(np.float32)
        if self.A.size():
            if self.A.size() != self.d_out * d:
                raise RuntimeError(
                    f"A has {self.A.size()} values to begin with: expected {self.d_out * d}, or none"
                )
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
