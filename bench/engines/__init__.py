"""The engines by name. A row here is all that a new one needs beside its adapter."""

from __future__ import annotations

import importlib

from bench.engines.base import Engine, Unavailable

# name -> (module of this package, class, its options). Libraries are imported by the worker only.
ENGINES: dict[str, tuple[str, str, dict]] = {
    "steep-flat": ("steep", "Steep", {"spec": "flat"}),
    "steep-flat-f32": ("steep", "Steep", {"spec": "flat", "keep_integers": False}),
    "steep-graph": ("steep", "Graph", {"degree": 32}),
    "steep-graph64": ("steep", "Graph", {"degree": 64}),
    "steep-graph-sq8": ("steep", "Graph", {"degree": 32, "code": ",sq8"}),
    "steep-graph-sq8-rerank": ("steep", "Graph", {"degree": 32, "code": ",sq8,rerank"}),
    "steep-ivf": ("steep", "Ivf", {"code": "rabitq4,rerank"}),
    "steep-ivf-x2": ("steep", "Ivf", {"code": "rabitq2,rerank", "lists": "ivfx2"}),
    "steep-ivf-sq8": ("steep", "Ivf", {"code": "sq8"}),
    "steep-ivf-rabitq2": ("steep", "Ivf", {"code": "rabitq2"}),
    "steep-ivf-rabitq3": ("steep", "Ivf", {"code": "rabitq3"}),
    "steep-ivf-rabitq4": ("steep", "Ivf", {"code": "rabitq4"}),
    "steep-ivf-rabitq6": ("steep", "Ivf", {"code": "rabitq6"}),
    "steep-ivf-pq": ("steep", "Ivf", {"code": "pq{half}x4"}),
    "steep-ivf-pq60": ("steep", "Ivf", {"code": "pq60x4"}),
    "faiss-flat": ("faiss", "Flat", {}),
    "faiss-hnsw": ("faiss", "Hnsw", {"degree": 32}),
    "faiss-hnsw-m16": ("faiss", "Hnsw", {"degree": 16}),
    "faiss-hnsw-sq8": ("faiss", "Hnsw", {"degree": 32, "code": "SQ8"}),
    "faiss-ivf": ("faiss", "Ivf", {"code": "Flat"}),
    "faiss-ivfsq8": ("faiss", "Ivf", {"code": "SQ8"}),
    "faiss-ivfsq4": ("faiss", "Ivf", {"code": "SQ4"}),
    "faiss-ivfpq": ("faiss", "Ivf", {"code": "PQ{half}"}),
    "faiss-ivfpqfs-codes": ("faiss", "Ivf", {"code": "PQ{half}x4fs"}),
    "faiss-ivfpqfs": ("faiss", "RefinedIvf", {"code": "PQ{half}x4fs"}),
    "faiss-ivfrabitqfs": ("faiss", "RefinedIvf", {"code": "RaBitQfs", "rotate": True}),
    "hnswlib": ("hnswlib", "Hnswlib", {"degree": 16}),
    "hnswlib-m32": ("hnswlib", "Hnswlib", {"degree": 32}),
    "usearch": ("usearch", "Usearch", {"dtype": "f32"}),
    "usearch-f16": ("usearch", "Usearch", {"dtype": "f16"}),
    "usearch-i8": ("usearch", "Usearch", {"dtype": "i8"}),
    "svs-f32": ("svs", "Vamana", {"code": "float32"}),
    "svs-f16": ("svs", "Vamana", {"code": "float16"}),
    "svs-u8": ("svs", "Vamana", {"code": "uint8"}),
    "svs-lvq8": ("svs", "Vamana", {"code": "lvq8"}),
    "svs-lvq4x8": ("svs", "Vamana", {"code": "lvq4x8"}),
    "svs-leanvec": ("svs", "Vamana", {"code": "leanvec"}),
    "symqg": ("rabitq", "Symqg", {}),
    "symqg-8bit": ("rabitq", "Symqg", {"bits": 8}),
    "rabitq-ivf": ("rabitq", "Ivf", {}),
    "rabitq-ivf3": ("rabitq", "Ivf", {"bits": 3}),
    "rabitq-ivf4": ("rabitq", "Ivf", {"bits": 4}),
    "rabitq-ivf-raw": ("rabitq", "Ivf", {"bits": 32}),
    "scann": ("scann", "Scann", {}),
}


def create(name: str, metric: str) -> Engine:
    """The engine of that name; ``package.module:Class`` names one that lives elsewhere.

    Raises KeyError for an unknown name, `Unavailable` where the library is not installed.
    """
    if ":" in name:
        module, cls = name.split(":")
        return getattr(importlib.import_module(module), cls)(metric)
    module, cls, options = ENGINES[name]
    try:
        return getattr(importlib.import_module(f"bench.engines.{module}"), cls)(metric, **options)
    except ImportError as error:
        raise Unavailable(f"cannot be imported: {error}") from error
