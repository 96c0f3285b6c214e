"""The types that the public functions take."""

import os
from collections.abc import Callable
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt


class SupportsDLPack(Protocol):
    """An array of another library, handed over by the DLPack protocol."""

    def __dlpack__(self, *, stream: Any = ...) -> Any: ...
    def __dlpack_device__(self) -> Any: ...


Array: TypeAlias = npt.ArrayLike | SupportsDLPack
Path: TypeAlias = str | os.PathLike[str]
Metric: TypeAlias = (
    Literal[
        "l2",
        "ip",
        "cosine",
        "l1",
        "linf",
        "canberra",
        "braycurtis",
        "jensenshannon",
        "jaccard",
        "nan-euclidean",
        "gower",
        "hamming",
    ]
    | str  # "lp" and an exponent
)
Dtype: TypeAlias = Literal["f32", "f16", "bf16", "i8", "u8", "b1"]

#: Called as ``progress(stage, done, total)``, about ten times a second; what it raises ends the call.
Progress: TypeAlias = Callable[[str, int, int], object]

Ids: TypeAlias = npt.NDArray[np.int64]
Distances: TypeAlias = npt.NDArray[np.float32]
Counts: TypeAlias = npt.NDArray[np.uint64]
