"""Scalable Vector Search: a Vamana graph over plain, LVQ or LeanVec vectors."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import svs

from bench.engines.base import EF_SWEEP, Engine, Knobs, Unavailable, size_when_saved

PLAIN = ("float32", "float16", "uint8")


class Vamana(Engine):
    """Degree 64 as in its examples (it advises 32 where memory is short), its default window 200.

    Which code is best depends on d, by its tuning guide: LVQ8 below 200 dimensions, LVQ4x8 above,
    LeanVec (d/2, its LVQ4 first level and LVQ8 second) from 512 or so. All are rows here.
    """

    packages = ("scalable-vs",)

    def __init__(self, metric: str, code: str) -> None:
        super().__init__(metric)
        self.code = code
        self.keep_integers = code == "uint8"

    def build(self, x: np.ndarray, threads: int) -> None:
        if self.code == "uint8" and x.dtype != np.uint8:
            raise Unavailable(f"for uint8 data only, this is {x.dtype}")
        distance = svs.DistanceType.L2 if self.metric == "l2" else svs.DistanceType.MIP
        parameters = svs.VamanaBuildParameters(graph_max_degree=64, window_size=200)
        if self.code in PLAIN:
            data = x.astype(self.code, copy=False)
            self.index = svs.Vamana.build(parameters, data, distance, num_threads=threads)
            return
        # Compressed data is read from a file only; it is needed no longer than the build.
        with tempfile.TemporaryDirectory() as folder:
            file = str(Path(folder) / "base.fvecs")
            svs.write_vecs(np.asarray(x), file)
            loader = self._compressed(svs.VectorDataLoader(file, svs.float32, x.shape[1]))
            self.index = svs.Vamana.build(parameters, loader, distance, num_threads=threads)

    def _compressed(self, data: svs.VectorDataLoader) -> svs.LVQLoader | svs.LeanVecLoader:
        if self.code == "lvq8":
            return svs.LVQLoader(data, primary=8, padding=32)
        if self.code == "lvq4x8":
            return svs.LVQLoader(data, primary=4, residual=8, padding=32)
        return svs.LeanVecLoader(
            data,
            data.dims // 2,
            primary_kind=svs.LeanVecKind.lvq4,
            secondary_kind=svs.LeanVecKind.lvq8,
        )

    def knobs(self) -> list[Knobs]:
        return [{"window": ef} for ef in EF_SWEEP]

    def set_knobs(self, knobs: Knobs) -> None:
        self.index.search_window_size = knobs["window"]

    def set_threads(self, threads: int) -> None:
        self.index.num_threads = threads

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        return self.index.search(queries, k)[0]

    def index_bytes(self) -> int:
        return size_when_saved(lambda folder: self.index.save(*(str(folder / part) for part in "cgd")))
