"""Generated vectors: clustered anisotropic Gaussians with a power-law spectrum.

A stand-in where no real set of the wanted size is at hand. Embeddings and descriptors share two
traits that plain Gaussian noise lacks: the variance along the principal axes falls off like a
power of their rank, and the points gather in clusters of unequal size and width. A row is

    x = R (c + w · s ∘ z),   s_j = (1 + j)^(-DECAY / 2),   z ~ N(0, I)

with c the centre of a random cluster (drawn with the same spectrum s), w the cluster's width and
R one random rotation, so that no coordinate is special. Figures on such data are labelled
synthetic wherever they are printed: it is easier than most real sets and proves nothing alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

CLUSTERS = 1000
DECAY = 1.0  # of the variances: about what PCA of SIFT and of sentence embeddings shows
WIDTHS = (0.4, 0.9)  # standard deviation of a cluster relative to the spread of the centres
CHUNK_ROWS = 1 << 16
QUERIES = 2000
MAX_ROWS, MAX_DIM = 1 << 31, 1 << 16

NAME = re.compile(r"synthetic-(\d+)x(\d+)(?:-(l2|cosine|ip))?")


@dataclass(frozen=True)
class Spec:
    """n rows of d dimensions under a metric; the seed decides everything else."""

    n: int
    d: int
    metric: str = "l2"
    seed: int = 0


def parse(name: str) -> Spec:
    """``synthetic-{n}x{d}[-metric]`` as a `Spec`."""
    match = NAME.fullmatch(name)
    if not match:
        raise ValueError(f"{name!r} is not of the form synthetic-1000000x128[-l2|-cosine|-ip]")
    n, d = int(match[1]), int(match[2])
    if not (1 <= n <= MAX_ROWS and 2 <= d <= MAX_DIM):
        raise ValueError(f"{name!r}: rows must be 1..{MAX_ROWS} and dimensions 2..{MAX_DIM}")
    return Spec(n, d, match[3] or "l2")


class Mixture:
    """The distribution of a `Spec`, from which chunks of rows are drawn."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        rng = np.random.default_rng([spec.seed, spec.d])
        d = spec.d
        self.spread = ((1.0 + np.arange(d)) ** (-DECAY / 2)).astype(np.float32)
        self.rotation = np.linalg.qr(rng.standard_normal((d, d)))[0].astype(np.float32)
        self.centres = rng.standard_normal((CLUSTERS, d), np.float32) * self.spread
        self.widths = rng.uniform(*WIDTHS, CLUSTERS).astype(np.float32)
        weights = rng.lognormal(0.0, 1.0, CLUSTERS)
        self.weights = weights / weights.sum()

    def draw(self, rows: int, stream: tuple[int, int]) -> np.ndarray:
        """`rows` × d float32; the same `stream` gives the same rows."""
        rng = np.random.default_rng([self.spec.seed, *stream])
        cluster = rng.choice(CLUSTERS, rows, p=self.weights)
        noise = rng.standard_normal((rows, self.spec.d), np.float32) * self.spread
        return (self.centres[cluster] + self.widths[cluster, None] * noise) @ self.rotation


def write(spec: Spec, folder: Path) -> None:
    """Write base.npy (n, d) and queries.npy, a chunk at a time: memory stays bounded.

    Every chunk has a random stream of its own, so a smaller set is the head of a larger one.
    """
    mixture = Mixture(spec)
    shape = (spec.n, spec.d)
    base = np.lib.format.open_memmap(folder / "base.npy", "w+", np.float32, shape)
    for chunk, start in enumerate(range(0, spec.n, CHUNK_ROWS)):
        rows = mixture.draw(CHUNK_ROWS, (0, chunk))
        base[start : start + CHUNK_ROWS] = rows[: spec.n - start]
    base.flush()
    np.save(folder / "queries.npy", mixture.draw(QUERIES, (1, 0)))
