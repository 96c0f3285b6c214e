"""How would product codes be ordered so that their bits compare? Faiss's parameters of that.

Codes are compared by tables here, for which their order is of no account.
"""

from steep.faiss._base import Sealed


class SimulatedAnnealingParameters(Sealed):
    """How an order of codes is looked for."""

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

    def __init__(self) -> None:
        super().__init__()
        self._begin(
            optimization_type=self.OT_ReproduceDistances_affine,
            ntrain_permutation=0,
            dis_weight_factor=0.6931471805599453,
            max_memory=20 << 30,
            log_pattern="",
        )
