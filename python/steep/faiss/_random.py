"""Faiss's random numbers: the same ones, bit for bit, from the same seed."""

# What callers pass is checked at run time too.
# pyright: reportUnnecessaryIsInstance=false

import operator
from typing import Any

import numpy as np
import numpy.typing as npt

from steep import _steep
from steep.faiss._arrays import Owned, pointed
from steep.faiss._simd import threads

Shape = int | tuple[int, ...]


def _seed(seed: Any) -> int:
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
        raise TypeError(f"seed of type {type(seed).__name__}: expected a whole number")
    if not -(1 << 63) <= seed < 1 << 63:
        raise OverflowError(f"seed = {seed}: expected a number of 64 bits")
    return int(seed)  # pyright: ignore[reportUnknownArgumentType]


def _count(shape: Shape) -> tuple[int, ...]:
    try:
        sizes: tuple[int, ...] = (operator.index(shape),)  # type: ignore[arg-type]
    except TypeError:
        try:
            sizes = tuple(operator.index(n) for n in shape)  # type: ignore[union-attr]
        except TypeError:
            raise TypeError(f"expected a sequence of integers or a single integer, got {shape!r}") from None
    if any(n < 0 for n in sizes):
        raise ValueError("negative dimensions are not allowed")
    return sizes


def _array(
    dtype: Any, n: Shape, seed: Any, *, normal: bool = False, vmax: int | None = None
) -> npt.NDArray[Any]:
    out = np.empty(_count(n), dtype)
    _steep.faiss_random(out.reshape(-1), normal, _seed(seed), vmax, threads())
    return out


def rand(n: Shape, seed: int = 12345) -> npt.NDArray[np.float32]:
    """Uniform numbers of 0 to 1, of a shape."""
    return _array(np.float32, n, seed)


def randn(n: Shape, seed: int = 12345) -> npt.NDArray[np.float32]:
    """Normal numbers, of mean 0 and variance 1, of a shape."""
    return _array(np.float32, n, seed, normal=True)


def randint(n: Shape, seed: int = 12345, vmax: int | None = None) -> npt.NDArray[np.int64]:
    """Whole numbers of 0 to 2**62 - 1, or to vmax - 1."""
    if vmax is not None:
        if isinstance(vmax, bool) or not isinstance(vmax, (int, np.integer)):
            raise TypeError(f"vmax of type {type(vmax).__name__}: expected a whole number")
        if not 0 <= vmax < 1 << 64:
            raise OverflowError(f"vmax = {vmax}: expected a positive number of 64 bits")
        vmax = int(vmax)
    return _array(np.int64, n, seed, vmax=vmax)


lrand = randint


def rand_smooth_vectors(n: int, d: int, seed: int = 1234) -> npt.NDArray[np.float32]:
    """Vectors that lie near a bent surface of ten dimensions."""
    flat = _array(np.float32, (n, 10), seed, normal=True)
    turned = np.empty((n, d), np.float32)
    _steep.faiss_linear(flat, np.ascontiguousarray(rand((10, d), seed + 1).T), None, turned, threads())
    scale = rand(d, seed + 2)
    turned *= (scale * np.float32(4) + 0.1).astype(np.float32)
    return np.sin(turned, out=turned)


def _into(x: Any, n: int, seed: Any, dtype: Any, *, normal: bool = False, vmax: int | None = None) -> None:
    _steep.faiss_random(pointed(x, n, dtype, "x"), normal, _seed(seed), vmax, threads())


def float_rand(x: Any, n: int, seed: int) -> None:
    """Fill an array with uniform numbers of 0 to 1."""
    _into(x, n, seed, np.float32)


def float_randn(x: Any, n: int, seed: int) -> None:
    """Fill an array with normal numbers."""
    _into(x, n, seed, np.float32, normal=True)


def int64_rand(x: Any, n: int, seed: int) -> None:
    """Fill an array with whole numbers of 62 bits."""
    _into(x, n, seed, np.int64)


def byte_rand(x: Any, n: int, seed: int) -> None:
    """Fill an array with bytes."""
    _into(x, n, seed, np.uint8)


def int64_rand_max(x: Any, n: int, max: int, seed: int) -> None:
    """Fill an array with whole numbers below `max`."""
    _into(x, n, seed, np.int64, vmax=max)


def permutation(n: int, seed: int) -> npt.NDArray[np.int32]:
    """The numbers 0 to n - 1 in the order that Faiss gives them for a seed."""
    return _steep.Twister(_seed(seed)).permutation(n)


def rand_perm(perm: Any, n: int, seed: int) -> None:
    """Fill an array of int32 with the numbers 0 to n - 1 in an order at random."""
    pointed(perm, n, np.int32, "perm")[:] = permutation(n, seed)


def rand_perm_splitmix64(perm: Any, n: int, seed: int) -> None:
    """The same of another generator."""
    random, order = SplitMix64RandomGenerator(seed), list(range(n))
    for at in range(n - 1):
        other = at + random.rand_int(n - at)
        order[at], order[other] = order[other], order[at]
    pointed(perm, n, np.int32, "perm")[:] = order


class RandomGenerator(Owned):
    """The Mersenne Twister, number by number."""

    def __init__(self, seed: int = 1234) -> None:
        self._twister = _steep.Twister(_seed(seed))

    def rand_int(self, max: int | None = None) -> int:
        """31 bits, or a number below `max`."""
        return self._twister.int() if max is None else self._twister.word() % max

    def rand_int64(self) -> int:
        """62 bits."""
        return self._twister.int64()

    def rand_float(self) -> float:
        """A number of 0 to 1, of single precision."""
        return self._twister.float()

    def rand_double(self) -> float:
        """A number of 0 to 1."""
        return self._twister.double()


_WORD = (1 << 64) - 1


class SplitMix64RandomGenerator(Owned):
    """SplitMix64, number by number."""

    state: int

    def __init__(self, seed: int = 1234) -> None:
        self.state = _seed(seed) & _WORD

    def next(self) -> int:
        """64 bits."""
        self.state = (self.state + 0x9E3779B97F4A7C15) & _WORD
        z = self.state
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & _WORD
        z = (z ^ z >> 27) * 0x94D049BB133111EB & _WORD
        return z ^ z >> 31

    def rand_int(self, max: int | None = None) -> int:
        """31 bits, or a number below `max`."""
        if max is None:
            return self.next() & 0x7FFFFFFF
        return self.next() % max

    def rand_int64(self) -> int:
        """63 bits."""
        return self.next() & (1 << 63) - 1

    def rand_float(self) -> float:
        """A number of 0 to 1, of single precision."""
        return float(np.float32(self.next()) / np.float32(_WORD))

    def rand_double(self) -> float:
        """A number of 0 to 1."""
        return self.next() / float(_WORD)


__all__ = [
    "RandomGenerator",
    "SplitMix64RandomGenerator",
    "byte_rand",
    "float_rand",
    "float_randn",
    "int64_rand",
    "int64_rand_max",
    "lrand",
    "rand",
    "rand_perm",
    "rand_perm_splitmix64",
    "rand_smooth_vectors",
    "randint",
    "randn",
]
