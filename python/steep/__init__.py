"""Nearest-neighbour search over embedding vectors: NumPy in, NumPy out.

>>> import numpy as np, steep
>>> x = np.random.default_rng(0).standard_normal((10_000, 64), dtype=np.float32)
>>> index = steep.build(x, metric="cosine")
>>> ids, distances = index.search(x[:3], k=2)
>>> ids[:, 0].tolist()
[0, 1, 2]

Distances ascend, whatever the metric: a smaller one is nearer.

========  =====================================  =================
metric    distance                               score
========  =====================================  =================
"l2"      squared Euclidean, sum((q - x)**2)     none
"ip"      -<q, x>                                <q, x>
"cosine"  1 - cos(q, x)                          cos(q, x)
========  =====================================  =================

Vectors are float32, float16, bfloat16 (of ml_dtypes, or a torch tensor), int8 or uint8. A C-contiguous
array of one of these is used where it lies; a strided or Fortran-ordered one is copied once; other
integers and floats are converted to float32 once. Anything that NumPy can read will do: arrays, torch
CPU tensors and whatever else has ``__dlpack__`` or ``__array__``, lists of lists. Do not write to an
array while a call reads it.

Every call releases the interpreter, obeys Ctrl-C and may run in many threads at once, also on one index.
"""

from steep._convert import convert
from steep._evaluate import ground_truth, recall
from steep._files import read_vectors, write_vectors
from steep._hits import Hits, RangeHits, Stats
from steep._index import Index, build, open
from steep._info import Info, info
from steep._kmeans import Kmeans, kmeans

__version__ = info()["version"]

__all__ = [
    "Hits",
    "Index",
    "Info",
    "Kmeans",
    "RangeHits",
    "Stats",
    "build",
    "convert",
    "ground_truth",
    "info",
    "kmeans",
    "open",
    "read_vectors",
    "recall",
    "write_vectors",
]
