"""Torch tensors in and out: with this imported, methods of indexes take CPU tensors and return tensors.

Arrays go in and come out as before. Tensors on other devices are refused.
"""

import functools
import inspect
import sys
from collections.abc import Callable
from typing import Any, cast

import numpy as np

from steep import faiss

_METHODS = [
    *("add", "add_with_ids", "train", "assign", "search", "search_and_reconstruct", "search_preassigned"),
    *("range_search", "remove_ids", "reconstruct", "reconstruct_n", "update_vectors"),
    *("sa_encode", "sa_decode", "apply", "apply_py", "reverse_transform"),
]
_FUNCTIONS = ("knn", "pairwise_distances", "normalize_L2", "kmin", "kmax")


def _is_tensor(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] == "torch" and hasattr(value, "detach")


def _array(value: Any) -> Any:
    if not _is_tensor(value):
        return value
    if value.device.type != "cpu":
        raise RuntimeError(f"a tensor on {value.device}: pass x.cpu()")
    return value.detach().numpy()


def _tensor(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_tensor(part) for part in cast("Any", value))
    if not isinstance(value, np.ndarray):
        return value
    array = cast("Any", value)
    if array.dtype == np.uint64:  # torch computes little with it
        array = array.astype(np.int64)
    return sys.modules["torch"].from_numpy(array)


def torch_wrap(function: Any) -> Any:
    """A function of arrays that takes tensors too, and returns tensors where one came in."""
    if hasattr(function, "__torch_wrapped__"):
        return function

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        tensors = any(map(_is_tensor, args)) or any(map(_is_tensor, kwargs.values()))
        if not tensors:
            return function(*args, **kwargs)
        return _tensor(
            function(*map(_array, args), **{name: _array(value) for name, value in kwargs.items()})
        )

    wrapped.__torch_wrapped__ = True  # type: ignore[attr-defined]
    return wrapped


def _install() -> None:
    for name in dir(faiss):
        cls = getattr(faiss, name, None)
        if not inspect.isclass(cls) or not issubclass(
            cls, (faiss.Index, faiss.IndexBinary, faiss.VectorTransform)
        ):
            continue
        for base in cls.__mro__:
            for method in _METHODS:
                if inspect.isfunction(vars(base).get(method)):
                    setattr(base, method, torch_wrap(vars(base)[method]))
    for name in _FUNCTIONS:
        setattr(faiss, name, torch_wrap(getattr(faiss, name)))


def swig_ptr_from_FloatTensor(x: Any) -> Any:
    """Pointer to the values of a tensor."""
    assert x.is_contiguous(), "the tensor is not contiguous"
    return faiss.swig_ptr(_array(x))


swig_ptr_from_UInt8Tensor: Callable[[Any], Any] = swig_ptr_from_FloatTensor
swig_ptr_from_IntTensor: Callable[[Any], Any] = swig_ptr_from_FloatTensor
swig_ptr_from_HalfTensor: Callable[[Any], Any] = swig_ptr_from_FloatTensor
swig_ptr_from_IndicesTensor: Callable[[Any], Any] = swig_ptr_from_FloatTensor

_install()
