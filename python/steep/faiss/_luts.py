"""How does fast scan round its tables? Bytes for the tables, 16 bits for what is added: value = sum/a + b."""

from typing import Any

import numpy as np

from steep.faiss._arrays import pointed
from steep.faiss._base import require


def _round(values: Any, a: Any, low: Any, kind: Any) -> Any:
    return np.floor((values - low) * a + np.float32(0.5)).astype(kind)


def _scale(step: Any, whole: Any) -> Any:
    """The finest scale at which a table fits in a byte and a sum in 16 bits."""
    with np.errstate(divide="ignore"):
        a = min(np.float32(255) / np.float32(step), np.float32(65535) / np.float32(whole))
    return np.float32(a if np.isfinite(a) else 0)


def quantize_LUT_and_bias(
    nprobe: int,
    M: int,
    ksub: int,
    lut_is_3d: bool,
    LUT: Any,
    bias: Any,
    LUTq: Any,
    M2: int,
    biasq: Any,
    a_out: Any = None,
    b_out: Any = None,
) -> None:
    """Round the tables of a query, (M, ksub) or of each list (nprobe, M, ksub), and what each list adds."""
    require(bias is not None or not lut_is_3d, "!lut_is_3d")
    count = nprobe if lut_is_3d else 1
    tables = pointed(LUT, count * M * ksub, np.float32, "LUT").reshape(count, M, ksub)
    out = pointed(LUTq, count * M2 * ksub, np.uint8, "LUTq").reshape(count, M2, ksub)
    add = pointed(bias, nprobe, np.float32, "bias") if bias is not None else np.zeros(1, np.float32)
    if lut_is_3d and biasq is None:
        # What a list adds goes in equal parts to its tables, which are then rounded alike in all lists.
        tables = tables + (add / np.float32(M))[:, None, None]
        low = tables.min((0, 2))[None, :, None]
        a = _scale((tables.max((0, 2)) - low[0, :, 0]).max(), 0)
        b = low.sum()
    else:
        low = tables.min(2, keepdims=True)
        spans = tables.max(2) - low[:, :, 0]
        a = _scale(spans.max(), (spans.sum(1) + (add if lut_is_3d else add.max()) - add.min()).max())
        whole = add + low.sum((1, 2))
        b = whole.min()
        if biasq is not None:
            pointed(biasq, nprobe, np.uint16, "biasq")[:] = _round(whole, a, b, np.uint16)
    out[:, :M] = _round(tables, a, low, np.uint8)
    out[:, M:] = 0
    for given, value in ((a_out, a), (b_out, b)):
        if given is not None:
            pointed(given, 1, np.float32, "a, b")[0] = value
