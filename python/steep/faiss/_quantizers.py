"""What do scripts see of a quantizer? Product, scalar and RaBitQ codes by Faiss's names, over the core's.

A quantizer keeps what Faiss keeps, in arrays that scripts read and write; the core's codec is made of them
when it is first wanted, and again when they have changed.
"""

# What callers pass is checked at run time too.
# pyright: reportUnnecessaryIsInstance=false

from collections.abc import Callable
from typing import Any, ClassVar, Self, cast

import numpy as np

from steep import _steep
from steep.faiss._arrays import Float32Vector, Pointer, pointed
from steep.faiss._base import (
    METRIC_INNER_PRODUCT,
    METRIC_L2,
    Codes,
    Floats,
    Open,
    all_finite,
    native_metric,
    require,
)
from steep.faiss._scalar_types import ScalarTypes
from steep.faiss._simd import threads


def _size(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} = {value!r}: expected a whole number")
    if value < 0:
        raise TypeError(f"{name} = {value}: expected a whole number of 0 or more")
    return int(value)  # pyright: ignore[reportUnknownArgumentType]


class Quantizer(Open):
    """Vectors in, codes out.

    Attributes
    ----------
    d : int
        Coordinates of a vector.
    code_size : int
        Bytes of a code.
    """

    d: int
    code_size: int

    def __init__(self, d: int = 0, code_size: int = 0) -> None:
        self._begin(d=_size("d", d), code_size=_size("code_size", code_size))

    def _codec(self) -> _steep.Codec:
        raise RuntimeError(f"{type(self).__name__} has no codec")

    def _rows(self, x: Any) -> Floats:
        _, d = x.shape
        rows: Floats = np.ascontiguousarray(x, np.float32)
        assert d == self.d
        return rows

    def train(self, x: Any) -> None:
        """Learn from vectors.

        Parameters
        ----------
        x : array of shape (n, d)
            Vectors.
        """
        self._train(self._rows(x))

    def _train(self, x: Floats) -> None:
        """Learn nothing, where there is nothing to learn."""

    def compute_codes(self, x: Any) -> Codes:
        """Codes of vectors.

        Parameters
        ----------
        x : array of shape (n, d)
            Vectors.

        Returns
        -------
        uint8 array of shape (n, code_size)
        """
        return self._codec().encode(self._rows(x), None, threads())

    def decode(self, codes: Any) -> Floats:
        """Vectors that codes stand for.

        Parameters
        ----------
        codes : uint8 array of shape (n, code_size)
            What `compute_codes` returned.

        Returns
        -------
        float32 array of shape (n, d)
        """
        _, size = codes.shape
        codes = np.ascontiguousarray(codes, np.uint8)
        assert size == self.code_size
        return self._codec().decode(codes, threads())

    def train_c(self, n: int, x: Any) -> None:
        """`train`, of n vectors behind a pointer."""
        self._train(self._pointed(x, n))

    def compute_codes_c(self, x: Any, codes: Any, n: int) -> None:
        """`compute_codes`, of n vectors behind a pointer to n codes behind another."""
        out = pointed(codes, n * self.code_size, np.uint8, "codes")
        out[:] = self._codec().encode(self._pointed(x, n), None, threads()).reshape(-1)

    def decode_c(self, codes: Any, x: Any, n: int = 1) -> None:
        """`decode`, of n codes behind a pointer to n vectors behind another."""
        bytes_ = pointed(codes, n * self.code_size, np.uint8, "codes").reshape(n, self.code_size)
        pointed(x, n * self.d, np.float32, "x")[:] = self._codec().decode(bytes_, threads()).reshape(-1)

    def _pointed(self, x: Any, n: int) -> Floats:
        return pointed(x, n * self.d, np.float32, "x").reshape(n, self.d)


class _Learned(Quantizer):
    """A quantizer whose codecs are made of an array that scripts may change."""

    _values: Floats

    _made: dict[tuple[Any, ...], _steep.Codec]
    _lent: bool
    _before: Any

    def _learns(self, values: Floats) -> None:
        # Codecs by what they are made from besides, and what the array was then where it may be written to.
        self._begin(_values=values, _made={}, _lent=False, _before=None)

    def _vector(self) -> Float32Vector:
        return Float32Vector.over(self._lend, lambda values: self._learns(values.copy()))

    def _lend(self) -> Floats:
        if not self._lent:
            self._begin(_lent=True, _before=self._values.copy())
        return self._values

    def _cached(self, key: tuple[Any, ...], make: Callable[[], _steep.Codec]) -> _steep.Codec:
        # By their bits: a NaN is no change.
        if self._lent and not np.array_equal(self._before.view(np.uint32), self._values.view(np.uint32)):
            self._begin(_made={}, _before=self._values.copy())
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        twin._learns(self._values.copy())
        return twin


class ProductQuantizer(_Learned):
    """Numbers of centroids, one for each part of the coordinates.

    Attributes
    ----------
    d, M, nbits : int
        Coordinates of a vector, parts of it, bits of a part's number.
    dsub, ksub, code_size : int
        Coordinates of a part, centroids of a part, bytes of a code.
    centroids : Float32Vector
        M × ksub × dsub values.
    cp : ClusteringParameters
        How centroids are learned.
    train_type : int
        ``Train_default`` …: what they begin with.
    assign_index : Index
        Used by `compute_codes_with_assign_index`.
    """

    Train_default = 0
    Train_hot_start = 1
    Train_shared = 2
    Train_hypercube = 3
    Train_hypercube_pca = 4

    M: int
    nbits: int
    dsub: int
    ksub: int
    cp: Any
    train_type: int
    assign_index: Any
    verbose: bool
    _sdc: Floats
    _transposed: bool

    def __init__(self, d: int = 0, M: int = 1, nbits: int = 0) -> None:
        from steep.faiss._kmeans import ClusteringParameters

        super().__init__(d)
        self._begin(
            M=_size("M", M), nbits=_size("nbits", nbits), assign_index=None, cp=ClusteringParameters()
        )
        self._begin(_sdc=np.empty(0, np.float32), _transposed=False)
        self.set_derived_values()

    def set_derived_values(self) -> None:
        """Take over what d, M and nbits have become: all centroids are forgotten."""
        require(self.M > 0, "M must be > 0")
        text = "The dimension of the vector (d) should be a multiple of the number of subquantizers (M)"
        require(self.d % self.M == 0, text)
        require(self.nbits <= 24, "nbits larger than 24 is not practical.")
        self._begin(
            dsub=self.d // self.M,
            ksub=1 << self.nbits,
            code_size=(self.nbits * self.M + 7) // 8,
            verbose=False,
            train_type=self.Train_default,
        )
        self._learns(np.zeros(self.d << self.nbits, np.float32))

    @property
    def centroids(self) -> Float32Vector:
        """Centroids of all parts."""
        return self._vector()

    @centroids.setter
    def centroids(self, values: Any) -> None:
        self._vector()._put(np.array(getattr(values, "array", values), np.float32).reshape(-1))

    def _codec(self) -> _steep.Codec:
        return self._cached((self.d, self.M, self.nbits), self._make)

    def _fastscan(self) -> _steep.Codec:
        """The codec of codes that lie in blocks."""
        key = (self.d, self.M, self.nbits, "fastscan")
        return self._cached(key, lambda: _steep.Codec.fastscan(self.d, self.M, self._values))

    def _make(self) -> _steep.Codec:
        require(1 <= self.nbits <= 16, f"nbits = {self.nbits}: codes of 1 to 16 bits a part are supported")
        require(self._values.size == self.d << self.nbits, "centroids.size() == d * ksub")
        return _steep.Codec.product(self.d, self.M, self.nbits, self._values)

    def _book(self, m: int) -> Floats:
        book: Floats = self._values.reshape(self.M, self.ksub, self.dsub)[m]
        return book

    def _train(self, x: Floats) -> None:
        from steep.faiss._books import learned

        self._learns(learned(self, x))

    def set_params(self, centroids: Any, m: int) -> None:
        """Set the centroids of part m, or of all parts where m is -1."""
        if m == -1:
            self._learns(pointed(centroids, self._values.size, np.float32, "centroids").copy())
            return
        require(0 <= m < self.M, "m < M")
        values = self._values.copy()
        size = self.ksub * self.dsub
        values[m * size : (m + 1) * size] = pointed(centroids, size, np.float32, "centroids")
        self._learns(values)

    def get_centroids(self, m: int, i: int) -> Pointer:
        """Pointer to centroid i of part m."""
        require(0 <= m < self.M and 0 <= i < self.ksub, "m < M && i < ksub")
        return Pointer(self._lend()[(m * self.ksub + i) * self.dsub :])

    # Codes, by pointers.

    def compute_code(self, x: Any, code: Any) -> None:
        """Write the code of one vector."""
        self.compute_codes_c(x, code, 1)

    def compute_codes_with_assign_index(self, x: Any, codes: Any, n: int) -> None:
        """Write the codes of n vectors, which are found in `assign_index`."""
        index = self.assign_index
        require(index is not None and index.d == self.dsub, "assign_index && assign_index->d == dsub")
        index, rows = cast("Any", index), self._pointed(x, n)
        numbers = np.empty((n, self.M), np.int64)
        for m in range(self.M):
            index.reset()
            index.add(self._book(m))
            share = np.ascontiguousarray(rows[:, m * self.dsub : (m + 1) * self.dsub])
            numbers[:, m] = index.assign(share, 1).reshape(-1)
        pointed(codes, n * self.code_size, np.uint8, "codes")[:] = self._packed(numbers).reshape(-1)

    def _packed(self, numbers: Any) -> Codes:
        bits = (numbers[:, :, None] >> np.arange(self.nbits) & 1).astype(np.uint8)
        return np.packbits(bits.reshape(len(numbers), -1), axis=1, bitorder="little")

    def compute_code_from_distance_table(self, tab: Any, code: Any) -> None:
        """Write the code of the least entries of a table."""
        table = pointed(tab, self.M * self.ksub, np.float32, "tab").reshape(self.M, self.ksub)
        pointed(code, self.code_size, np.uint8, "code")[:] = self._packed(table.argmin(1)[None]).reshape(-1)

    # Tables.

    def _tables(self, n: int, x: Any, tables: Any, metric: str) -> None:
        rows = self._pointed(x, n)
        out = pointed(tables, n * self.M * self.ksub, np.float32, "dis_tables").reshape(n, self.M, self.ksub)
        flat = _steep.Codec.flat(self.dsub)
        for m in range(self.M):
            share = np.ascontiguousarray(rows[:, m * self.dsub : (m + 1) * self.dsub])
            found = flat.distances(share, self._book(m).view(np.uint8), metric, threads())
            out[:, m] = found if metric == "l2" else -found

    def compute_distance_tables(self, nx: int, x: Any, dis_tables: Any) -> None:
        """Write how far each part of nx vectors is from each of its centroids."""
        self._tables(nx, x, dis_tables, "l2")

    def compute_distance_table(self, x: Any, dis_table: Any) -> None:
        """The same of one vector."""
        self._tables(1, x, dis_table, "l2")

    def compute_inner_prod_tables(self, nx: int, x: Any, dis_tables: Any) -> None:
        """Write the product of each part of nx vectors with each of its centroids."""
        self._tables(nx, x, dis_tables, "ip")

    def compute_inner_prod_table(self, x: Any, dis_table: Any) -> None:
        """The same of one vector."""
        self._tables(1, x, dis_table, "ip")

    def compute_sdc_table(self) -> None:
        """Compute how far centroids are from each other."""
        flat = _steep.Codec.flat(self.dsub)
        books = (self._book(m) for m in range(self.M))
        tables = [flat.distances(book, book.view(np.uint8), "l2", threads()) for book in books]
        self._begin(_sdc=np.concatenate(tables, axis=None))

    @property
    def sdc_table(self) -> Float32Vector:
        """What `compute_sdc_table` found: M × ksub × ksub values."""
        return Float32Vector.over(lambda: self._sdc, lambda values: self._begin(_sdc=values.copy()))

    def sync_transposed_centroids(self) -> None:
        """Show centroids coordinate by coordinate too; the core has them so in any case."""
        self._begin(_transposed=True)

    def clear_transposed_centroids(self) -> None:
        """Show them no more."""
        self._begin(_transposed=False)

    @property
    def transposed_centroids(self) -> Float32Vector:
        """Centroids, coordinate by coordinate: dsub × M × ksub values."""
        books = self._values.reshape(self.M, self.ksub, self.dsub)
        return Float32Vector.of(books.transpose(2, 0, 1) if self._transposed else [])

    @property
    def centroids_sq_lengths(self) -> Float32Vector:
        """Squared lengths of centroids: M × ksub values."""
        books = self._values.reshape(self.M, self.ksub, self.dsub)
        return Float32Vector.of((books**2).sum(2) if self._transposed else [])

    # Files.

    def to_record(self) -> dict[str, Any]:
        """What a file holds of the quantizer."""
        return {"d": self.d, "M": self.M, "nbits": self.nbits, "centroids": self._values}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Self:
        """The quantizer that a file holds."""
        self = cls(record["d"], record["M"], record["nbits"])
        self._learns(np.array(record["centroids"], np.float32).reshape(-1))
        return self


class ScalarQuantizer(ScalarTypes, _Learned):
    """Each coordinate by itself, in 4 to 16 bits.

    Attributes
    ----------
    d, qtype, bits, code_size : int
        Coordinates of a vector, ``QT_8bit`` …, bits of a coordinate, bytes of a code.
    rangestat : int
        ``RS_minmax`` …: how ranges are learned.
    rangestat_arg : float
        Their parameter.
    trained : Float32Vector
        Low ends and widths of ranges.
    """

    _BITS: ClassVar[tuple[int, ...]] = (8, 4, 8, 4, 16, 8, 6, 16, 8)

    qtype: int
    bits: int
    rangestat: int
    rangestat_arg: float

    def __init__(self, d: int = 0, qtype: int = 0) -> None:
        super().__init__(d)
        if isinstance(qtype, bool) or not isinstance(qtype, (int, np.integer)):
            raise TypeError(f"qtype = {qtype!r}: expected one of ScalarQuantizer.QT_*")
        self._begin(qtype=int(qtype), bits=0, rangestat=self.RS_minmax, rangestat_arg=0.0)
        self._learns(np.empty(0, np.float32))
        self.set_derived_sizes()

    def set_derived_sizes(self) -> None:
        """Take over what d and qtype have become."""
        if not 0 <= self.qtype < len(self._BITS):
            names = [name for name, value in vars(ScalarTypes).items() if value == self.qtype]
            named = next((f" ({name})" for name in names if name.startswith("QT_")), "")
            raise RuntimeError(
                f"scalar quantizer type {self.qtype}{named} is not supported: use QT_4bit, QT_6bit, QT_8bit, "
                "QT_fp16, QT_bf16, a uniform or a direct one, or RaBitQ codes for fewer bits"
            )
        bits = self._BITS[self.qtype]
        self._begin(bits=bits if self.d else 0, code_size=(self.d * bits + 7) // 8)

    @property
    def trained(self) -> Float32Vector:
        """Low ends and widths of ranges."""
        return self._vector()

    @trained.setter
    def trained(self, values: Any) -> None:
        self._vector()._put(np.array(getattr(values, "array", values), np.float32).reshape(-1))

    def _needs_no_training(self) -> bool:
        return self.qtype in (self.QT_fp16, self.QT_bf16, self.QT_8bit_direct, self.QT_8bit_direct_signed)

    def _codec(self) -> _steep.Codec:
        return self._cached((self.d, self.qtype), self._make)

    def _make(self) -> _steep.Codec:
        require(self._needs_no_training() or self._values.size, "is_trained: call train first")
        try:
            return _steep.Codec.scalar(self.d, self.qtype, self._values)
        except ValueError as error:
            raise RuntimeError(str(error)) from error

    def _train(self, x: Floats) -> None:
        if self._needs_no_training():
            return
        require(len(x) > 0, "n > 0")
        require(all_finite(x), "input contains NaN's or Inf's")
        require(0 <= self.rangestat <= self.RS_optim, "Invalid rangestat")
        arg = float(self.rangestat_arg)
        self._learns(_steep.faiss_train_scalar(x, self.qtype, self.rangestat, arg, threads()))

    def to_record(self) -> dict[str, Any]:
        """What a file holds of the quantizer."""
        names = ("qtype", "rangestat", "rangestat_arg", "d", "code_size")
        return {name: getattr(self, name) for name in names} | {"trained": self._values}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Self:
        """The quantizer that a file holds."""
        self = cls(record["d"], record["qtype"])
        self._begin(rangestat=record["rangestat"], rangestat_arg=record["rangestat_arg"])
        self._learns(np.array(record["trained"], np.float32).reshape(-1))
        return self


class RaBitQuantizer(Quantizer):
    """A sign and up to eight more bits a coordinate, of what vectors are off from a centroid.

    Attributes
    ----------
    d, code_size : int
        Coordinates of a vector, bytes of a code.
    metric_type : int
        What codes are for.
    nb_bits : int
        Bits of a coordinate, 1 to 9.
    centroid : Pointer or array
        What vectors are off from; the origin where there is none.
    """

    metric_type: int
    nb_bits: int
    centroid: Any
    _made: dict[tuple[Any, ...], tuple[_steep.Codec, Floats | None]]
    code_size: int

    def __init__(self, d: int = 0, metric: int = METRIC_L2, nb_bits: int = 1) -> None:
        super().__init__(d)
        self._begin(metric_type=int(metric), nb_bits=_size("nb_bits", nb_bits), centroid=None, _made={})
        self.code_size = self.compute_code_size(self.d, self.nb_bits)

    def compute_code_size(self, d: int, num_bits: int) -> int:
        """Bytes of a code of so many coordinates and bits."""
        require(1 <= num_bits <= 9, "num_bits >= 1 && num_bits <= 9")
        extra = num_bits - 1
        more = 12 + (d * extra + 7) // 8 if extra else 0
        return (d + 7) // 8 + 8 + more

    def _codec(self, qb: int = 0, centered: bool = False, centroid: Floats | None = None) -> _steep.Codec:
        """The codec for queries of `qb` bits; about `centroid`, or the quantizer's own."""
        require(0 <= qb <= 8, "qb <= 8")
        require(self.metric_type in (METRIC_L2, METRIC_INNER_PRODUCT), "metric L2 or inner product")
        if centroid is None and self.centroid is not None:
            centroid = pointed(self.centroid, self.d, np.float32, "centroid")
        values = None if centroid is None else np.ascontiguousarray(centroid, np.float32)
        key = (self.d, self.metric_type, self.nb_bits, qb, bool(centered))
        made = self._made.get(key)
        if made is not None and _same(made[1], values):
            return made[0]
        metric = native_metric(self.metric_type)
        codec = _steep.Codec.rabitq(self.d, metric, self.nb_bits, qb, bool(centered), values)
        self._made[key] = (codec, None if values is None else values.copy())
        return codec

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        twin._begin(_made={})
        return twin

    def _about(self, centroid: Any) -> _steep.Codec:
        return self._codec(
            centroid=None if centroid is None else pointed(centroid, self.d, np.float32, "centroid")
        )

    def compute_codes_core(self, x: Any, codes: Any, n: int, centroid: Any) -> None:
        """Write the codes of n vectors, about a centroid."""
        out = pointed(codes, n * self.code_size, np.uint8, "codes")
        out[:] = self._about(centroid).encode(self._pointed(x, n), None, threads()).reshape(-1)

    def decode_core(self, codes: Any, x: Any, n: int, centroid: Any) -> None:
        """Write the vectors that n codes about a centroid stand for."""
        bytes_ = pointed(codes, n * self.code_size, np.uint8, "codes").reshape(n, self.code_size)
        out = pointed(x, n * self.d, np.float32, "x")
        out[:] = self._about(centroid).decode(bytes_, threads()).reshape(-1)

    def to_record(self) -> dict[str, Any]:
        """What a file holds of the quantizer."""
        return {name: getattr(self, name) for name in ("d", "code_size", "metric_type", "nb_bits")}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Self:
        """The quantizer that a file holds."""
        return cls(record["d"], record["metric_type"], record.get("nb_bits", 1))


def _same(a: Floats | None, b: Floats | None) -> bool:
    if a is None or b is None:
        return a is b
    return np.array_equal(a.view(np.uint32), b.view(np.uint32))


__all__ = ["ProductQuantizer", "Quantizer", "RaBitQuantizer", "ScalarQuantizer"]
