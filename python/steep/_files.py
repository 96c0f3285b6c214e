"""Vector files: .npy, TexMex and big-ann formats."""

from typing import Any

import numpy as np
import numpy.typing as npt

from steep import _steep
from steep._types import Array, Path


def read_vectors(path: Path, mmap: bool = False) -> npt.NDArray[Any]:
    """Read a file of vectors.

    Parameters
    ----------
    path : str or os.PathLike
        The file. Its ending names the format: .npy (float32, float16, bfloat16, int8, uint8), .fvecs, .bvecs,
        .fbin, .u8bin or .i8bin.
    mmap : bool
        Map the file rather than read it, where the format allows it (not .fvecs and .bvecs): the array is
        read-only and shares its memory with every process that maps the file.

    Returns
    -------
    array of shape (n, dim)
        Of the file's type; bfloat16 is that of ml_dtypes if it is installed, else uint16 with the same bits.

    Raises
    ------
    OSError
        Where the system refuses, such as FileNotFoundError.
    ValueError
        For an unknown ending, or a file that does not hold what it should; the message names row and byte.

    Examples
    --------
    >>> import os, tempfile, numpy as np, steep
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "two.fbin")
    ...     steep.write_vectors(path, np.eye(2, dtype=np.float32))
    ...     steep.read_vectors(path)
    array([[1., 0.],
           [0., 1.]], dtype=float32)
    """
    memory = _steep.read_vectors(path, mmap)
    array = np.asarray(memory)
    return _bfloat16(array) if memory.dtype == "bf16" else array


def write_vectors(path: Path, x: Array) -> None:
    """Write vectors to a file, whole or not at all.

    Parameters
    ----------
    path : str or os.PathLike
        The file. Its ending names the format: .npy for every type, .fvecs or .fbin for float32, .bvecs or
        .u8bin for uint8, .i8bin for int8.
    x : array of shape (n, dim)
        The vectors.

    Raises
    ------
    OSError
        Where the system refuses.
    ValueError
        For an unknown ending, or one whose format cannot hold this type.
    TypeError
        For values of a type that cannot be converted.

    Examples
    --------
    >>> import os, tempfile, numpy as np, steep
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "x.npy")
    ...     steep.write_vectors(path, np.ones((5, 3), np.float16))
    ...     np.load(path).shape
    (5, 3)
    """
    _steep.write_vectors(path, x)


def _bfloat16(bits: npt.NDArray[np.uint16]) -> npt.NDArray[Any]:
    try:
        import ml_dtypes
    except ImportError:
        return bits
    return bits.view(ml_dtypes.bfloat16)
