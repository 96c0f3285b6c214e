"""Faiss's names over Steep: change one import and be faster.

>>> import numpy as np
>>> import steep.faiss as faiss
>>> x = np.random.default_rng(0).standard_normal((1000, 32), dtype=np.float32)
>>> index = faiss.index_factory(32, "IVF16,Flat")
>>> index.train(x)
>>> index.add(x)
>>> D, I = index.search(x[:3], 4)
>>> I[:, 0].tolist()
[0, 1, 2]

Classes, functions, conventions and files are those of Faiss 1.15: float32 in, ``D, I`` out, squared L2
distances, inner products in descending order, labels of int64, -1 where there are fewer than k. What differs,
and the same line in the native interface, is in docs/coming-from-faiss.md.
"""

from importlib import import_module

from steep.faiss._homes import HOMES

_HOME = {name: module for module, names in HOMES.items() for name in names.split()}

__all__ = list(_HOME)  # pyright: ignore[reportUnsupportedDunderAll] # __init__.pyi lists them

#: What this package has not, and what to take in its place.
_INSTEAD = {
    "Gpu": "the same class without it: there is no GPU here",
    "StandardGpu": "the same class without it: there is no GPU here",
    "index_cpu_to": "the index itself: there is no GPU here",
    "IndexAdditive": "IndexPQ",
    "IndexResidual": "IndexPQ",
    "IndexLocalSearch": "IndexPQ",
    "IndexProduct": "IndexPQ",
    "ResidualQuantizer": "ProductQuantizer",
    "LocalSearchQuantizer": "ProductQuantizer",
    "IndexLattice": "IndexPQ",
    "IndexEDEN": "IndexRaBitQ",
    "IndexIVFEDEN": "IndexIVFRaBitQ",
    "IndexNNDescent": "IndexNSGFlat or IndexHNSWFlat",
    "IndexSVS": "IndexHNSWFlat",
    "IndexHNSWCagra": "IndexHNSWFlat",
    "MultiIndexQuantizer": "IndexFlatL2 or IndexHNSWFlat as the coarse quantizer",
}


def __getattr__(name: str) -> object:
    if name in _HOME:
        value = getattr(import_module(f"steep.faiss.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    if name == "__version__":
        return import_module("steep.faiss._simd").VERSION_STRING
    if name == "contrib":
        return import_module("steep.faiss.contrib")
    if name.startswith("__"):
        raise AttributeError(f"module 'steep.faiss' has no attribute {name!r}")
    for begin, instead in sorted(_INSTEAD.items(), key=lambda item: -len(item[0])):
        if name.startswith(begin):
            raise AttributeError(f"module 'steep.faiss' has no {name!r}: take {instead}")
    import difflib

    near = difflib.get_close_matches(name, __all__, n=3, cutoff=0.6)
    hint = f"did you mean {' or '.join(near)}?" if near else "docs/coming-from-faiss.md tells what there is"
    raise AttributeError(f"module 'steep.faiss' has no {name!r}: {hint}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
