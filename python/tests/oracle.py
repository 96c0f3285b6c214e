"""What the answers should be: NumPy in float64, sharing nothing with the engine."""

import ml_dtypes
import numpy as np

METRICS = ("l2", "ip", "cosine")
DTYPES = {
    "f32": np.dtype(np.float32),
    "f16": np.dtype(np.float16),
    "bf16": np.dtype(ml_dtypes.bfloat16),
    "i8": np.dtype(np.int8),
    "u8": np.dtype(np.uint8),
}


def vectors(seed, n, d, dtype):
    """Random vectors, none of them zero; some occur twice, so that ties are common."""
    rng = np.random.default_rng(seed)
    if dtype in ("i8", "u8"):
        info = np.iinfo(DTYPES[dtype])
        x = rng.integers(info.min, info.max, (n, d), DTYPES[dtype], endpoint=True)
        x[:, 0] = np.maximum(x[:, 0], 1)
    else:
        x = rng.standard_normal((n, d), np.float32).astype(DTYPES[dtype])
    x[n // 2 : n // 2 + n // 10] = x[: n // 10]
    return x


def ones(x):
    """How many bits of each byte are 1: np.bitwise_count, which NumPy 1 has not."""
    return np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(1)[x]


def distances(x, q, metric):
    x, q = x.astype(np.float64), np.atleast_2d(q).astype(np.float64)
    if metric == "l2":
        return np.stack([((row - x) ** 2).sum(axis=1) for row in q]).astype(np.float32)
    products = np.stack([(row * x).sum(axis=1) for row in q])
    if metric == "cosine":
        norms = np.outer((q**2).sum(axis=1), (x**2).sum(axis=1))
        return (1 - products / np.sqrt(norms)).astype(np.float32)
    return (-products).astype(np.float32)


def nearest(x, q, k, metric, ids=None):
    """Ids and distances, (nq, k), nearest first, ties by the lower id, padded with -1 and inf."""
    ids = np.arange(len(x)) if ids is None else ids
    table = distances(x, q, metric)
    order = np.stack([np.lexsort((ids, row)) for row in table])[:, :k]
    pad = ((0, 0), (0, k - order.shape[1]))
    found = np.pad(ids[order].astype(np.int64), pad, constant_values=-1)
    return found, np.pad(np.take_along_axis(table, order, axis=1), pad, constant_values=np.inf)
