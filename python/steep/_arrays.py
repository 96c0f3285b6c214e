"""What becomes of arrays that the core cannot take as they are?

The compiled half takes C-contiguous, aligned arrays of the five element types without asking here. All
others come through `vectors` and `ids`: made fit by one conversion, or refused by name.
"""

import sys
from typing import Any

import numpy as np
import numpy.typing as npt

_NATIVE = {"float32": "f32", "float16": "f16", "bfloat16": "bf16", "int8": "i8", "uint8": "u8"}


def vectors(x: object, what: str) -> tuple[npt.NDArray[Any], str]:
    """A C-contiguous, aligned array of a native type, and the core's name of that type.

    The array is `x` itself where that will do. `what` names it in errors.
    """
    if str(getattr(x, "dtype", "")) == "torch.bfloat16":
        # NumPy has no such type, so neither __array__ nor __dlpack__ can hand it over: take its bits.
        tensor: Any = x
        int16 = sys.modules["torch"].int16  # the tensor's library is there, for the caller made one
        return tensor.detach().contiguous().view(int16).numpy(), "bf16"
    array = _ndarray(x, what)
    if native := _NATIVE.get(array.dtype.name):
        array = array.astype(array.dtype.newbyteorder("="), copy=False)
        return np.require(array, requirements=["C", "A"]), native
    if array.dtype.kind not in "iuf":
        raise TypeError(
            f"{what} have dtype {array.dtype}: convert them with x.astype(numpy.float32), "
            "or to float16, bfloat16, int8 or uint8"
        )
    return _float32(array, what), "f32"


def ids(x: object) -> npt.NDArray[np.uint64]:
    """One unsigned id a vector."""
    array = _integers(x, "ids")
    if array.ndim != 1:
        raise ValueError(f"ids have shape {array.shape}: pass one id a vector, shape (n,)")
    if array.dtype.kind == "i" and array.size and array.min() < 0:
        row = int(np.argmax(array < 0))
        raise ValueError(f"id {array[row]} (row {row}) is negative: ids are whole numbers from 0 on")
    return np.ascontiguousarray(array, dtype=np.uint64)


def id_table(x: object, what: str) -> npt.NDArray[np.int64]:
    """Rows of ids as a search returns them, -1 where there is none."""
    array = _integers(x, what)
    if array.ndim not in (1, 2):
        raise ValueError(f"{what} have shape {array.shape}: pass ids of shape (nq, k)")
    return np.ascontiguousarray(np.atleast_2d(array), dtype=np.int64)


def _integers(x: object, what: str) -> npt.NDArray[Any]:
    array = _ndarray(x, what)
    if array.size == 0 and array.dtype.kind == "f":  # what NumPy makes of an empty list
        return array.astype(np.int64)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{what} have dtype {array.dtype}: pass integers, such as numpy.arange(n)")
    return array


def _ndarray(x: object, what: str) -> npt.NDArray[Any]:
    if np.ma.is_masked(x):
        raise ValueError(f"{what} have masked values: fill them, or drop their rows")
    other: Any = x
    try:
        if hasattr(other, "detach"):  # a torch tensor, maybe one that requires a gradient
            other = other.detach()
        if hasattr(other, "__dlpack__") and not hasattr(other, "__array__"):
            return np.from_dlpack(other)
        return np.asarray(other)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        kind = ValueError if isinstance(error, ValueError) else TypeError
        raise kind(f"{what} cannot be read as an array of numbers: {error}") from error


def _float32(array: npt.NDArray[Any], what: str) -> npt.NDArray[np.float32]:
    with np.errstate(over="ignore"):
        converted = array.astype(np.float32, order="C")
    if array.dtype.kind == "f" and np.isinf(converted).any():
        overflown = np.argwhere(np.isinf(converted) & np.isfinite(array))
        if overflown.size:
            place = tuple(overflown[0])
            row, column = (0, *place)[-2:]
            raise ValueError(
                f"{what} row {row} holds {array[place]} at column {column}, "
                "which float32 cannot hold: scale the vectors down"
            )
    return converted
