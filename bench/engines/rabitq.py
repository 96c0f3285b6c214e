"""RaBitQ-Library: SymphonyQG graphs and IVF with RaBitQ codes."""

from __future__ import annotations

import math

import numpy as np
import rabitqlib

from bench.engines.base import EF_SWEEP, NPROBE_SWEEP, Engine, Knobs, size_when_saved


class Rabitq(Engine):
    """What its two indexes share. Unit rows make cosine an inner product."""

    packages = ("rabitqlib",)

    def __init__(self, metric: str, bits: int) -> None:
        super().__init__(metric)
        self.kind = "l2" if metric == "l2" else "ip"
        self.bits = bits
        self.threads = 1

    def set_threads(self, threads: int) -> None:
        self.threads = threads

    def index_bytes(self) -> int:
        return size_when_saved(lambda folder: self.index.save(str(folder / "index")))


class Symqg(Rabitq):
    """Degree 32, ef_construction 200, PiPNN start: the settings of its published benchmark.

    bits 0 keeps float32 vectors at the nodes, 8 keeps 8-bit codes (smaller, a little less exact).
    """

    def __init__(self, metric: str, bits: int = 0) -> None:
        super().__init__(metric, bits)

    def build(self, x: np.ndarray, threads: int) -> None:
        self.index = rabitqlib.SymqgIndex(x.shape[1], 32, self.kind, self.bits)
        self.index.build(x, ef_construction=200, num_threads=threads, init="pipnn")

    def knobs(self) -> list[Knobs]:
        return [{"ef_search": ef} for ef in EF_SWEEP]

    def set_knobs(self, knobs: Knobs) -> None:
        self.ef = knobs["ef_search"]

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        ef = max(self.ef, k)  # It requires ef >= k.
        return self.index.search_batch(queries, k, ef, num_threads=self.threads)[0]


class Ivf(Rabitq):
    """1 + 4 bits, the better one of its benchmark at equal bytes; its own k-means and routing.

    bits 32 re-ranks on the raw vectors behind a one-bit filter. Its benchmark takes 4,096 lists
    for a million rows, which is 4·√n.
    """

    def __init__(self, metric: str, bits: int = 5) -> None:
        super().__init__(metric, bits)

    def build(self, x: np.ndarray, threads: int) -> None:
        n, d = x.shape
        self.lists = max(1, min(int(4 * math.sqrt(n)), n // 39))
        kmeans = rabitqlib.RaBitQKMeans(
            d,
            self.lists,
            niter=10,
            seed=42,
            num_threads=threads,
            spherical=self.kind == "ip",
            final_assignment=rabitqlib.FinalAssignmentMode.Exact,
        )
        kmeans.train(x)
        self.index = rabitqlib.IvfIndex(d, n, self.lists, self.bits, self.kind)
        self.index.build(x, kmeans.centroids, kmeans.assignments, num_threads=threads)

    def knobs(self) -> list[Knobs]:
        return [{"nprobe": probes} for probes in NPROBE_SWEEP if probes <= self.lists]

    def set_knobs(self, knobs: Knobs) -> None:
        self.nprobe = knobs["nprobe"]

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        return self.index.search(queries, k, self.nprobe, num_threads=self.threads)[0]
