"""How are product codes ordered so that their bits compare? Faiss's parameters of that, and such an order.

Faiss anneals, swap by swap. Here products of matrices tell what each swap of two numbers would change, and
those that help most are made together until none helps: as good to some hundredths, ten times as soon.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from steep.faiss._base import Floats, Sealed
from steep.faiss._bitrows import far

Matrix = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

#: Rounds of swaps at most: a few dozen are usual.
ROUNDS = 200


class SimulatedAnnealingParameters(Sealed):
    """How an order of codes is looked for: from `n_redo` starts, of which `seed` draws all but the first."""

    n_redo: int
    seed: int
    init_random: bool

    def __init__(self) -> None:
        self._begin(
            init_temperature=0.7,
            temperature_decay=0.9997893011688015,
            n_iter=500_000,
            n_redo=2,
            seed=123,
            verbose=0,
            only_bit_flips=False,
            init_random=False,
        )


class PolysemousTraining(SimulatedAnnealingParameters):
    """What is looked for, and with how much memory."""

    OT_None: int = 0
    OT_ReproduceDistances_affine: int = 1
    OT_Ranking_weighted_diff: int = 2

    optimization_type: int
    ntrain_permutation: int
    dis_weight_factor: float
    max_memory: int

    def __init__(self) -> None:
        super().__init__()
        self._begin(
            optimization_type=self.OT_ReproduceDistances_affine,
            ntrain_permutation=0,
            dis_weight_factor=0.6931471805599453,
            max_memory=20 << 30,
            log_pattern="",
        )

    def memory_usage_per_thread(self, pq: Any) -> int:
        """Bytes that Faiss needs for an order of a part's centroids."""
        n = int(pq.ksub)
        sizes = {self.OT_ReproduceDistances_affine: 24 * n**2, self.OT_Ranking_weighted_diff: 4 * n**3}
        return sizes.get(self.optimization_type, 0)

    def optimize_pq_for_hamming(self, pq: Any, n: int = 0, x: Any = None) -> None:
        """Number each part's centroids so that near ones differ in few bits; vectors are not looked at."""
        if self.optimization_type == self.OT_None:
            return
        used = self.memory_usage_per_thread(pq)
        if used >= self.max_memory:
            text = f"Polysemous training will use {used} bytes per thread, while the max is set to"
            raise RuntimeError(f"Error: 'mem1 < max_memory' failed: {text} {self.max_memory} bytes")
        self.optimize_reproduce_distances(pq)

    def optimize_reproduce_distances(self, pq: Any) -> None:
        """The same: so that bits reproduce distances."""
        books = np.array(pq.centroids.array, np.float32).reshape(pq.M, pq.ksub, pq.dsub)
        pq.centroids = np.concatenate([self._ordered(book) for book in books], axis=None)

    def _ordered(self, book: Floats) -> Floats:
        lengths = np.square(book, dtype=np.float64).sum(1)
        distances = lengths[:, None] + lengths - 2 * (book.astype(np.float64) @ book.T.astype(np.float64))
        random = np.random.RandomState(self.seed & 0xFFFFFFFF)
        wanted = _Wanted(distances, self.dis_weight_factor)
        found: list[tuple[float, Places]] = []
        for start in range(max(int(self.n_redo), 1)):
            drawn = start > 0 or self.init_random
            found.append(wanted.order(random.permutation(len(book)) if drawn else np.arange(len(book))))
        ordered = np.empty_like(book)
        ordered[min(found, key=lambda one: one[0])[1]] = book
        return ordered


class _Wanted:
    """What bits are to reproduce: distances, scaled as those of bits at random are, near ones foremost."""

    def __init__(self, distances: Matrix, factor: float) -> None:
        n = len(distances)
        bits = n.bit_length() - 1
        target = (distances - distances.mean()) / (distances.std() or 1) * (np.sqrt(bits) / 2) + bits / 2
        weights = np.exp(-factor * target)
        np.fill_diagonal(weights, 0)
        # weights (target - bits)², less what no order changes.
        self._squares, self._products = weights, -2 * weights * target
        numbers = np.arange(n, dtype=np.uint32)[:, None].view(np.uint8)
        self._bits: Matrix = far(numbers, numbers).astype(np.float64)

    def order(self, places: Places) -> tuple[float, Places]:
        """Numbers of centroids from which no swap helps, and what they cost."""
        for _ in range(ROUNDS):
            differ = self._bits[np.ix_(places, places)]
            costs = self._squares * differ**2 + self._products * differ
            sums = self._squares @ differ**2 + self._products @ differ
            own = sums.diagonal()
            changes = sums + sums.T - own[:, None] - own + 2 * costs
            if not _swap(places, changes):
                break
        differ = self._bits[np.ix_(places, places)]
        return float((self._squares * differ**2 + self._products * differ).sum()), places


def _swap(places: Places, changes: Matrix) -> int:
    """Make the swaps that help most, each number once, some at a time: they change what others would do."""
    n, made = len(places), 0
    moved = np.zeros(n, bool)
    best = np.argpartition(changes, min(n, changes.size - 1), axis=None)[:n]
    for at in best[np.argsort(changes.flat[best])]:
        one, other = divmod(int(at), n)
        # Less than that is what sums are rounded by.
        if changes[one, other] > -1e-9 or made >= max(n // 16, 1):
            break
        if not (moved[one] or moved[other]):
            moved[[one, other]] = True
            places[[one, other]] = places[[other, one]]
            made += 1
    return made
