"""How good are results? Precision and recall, comparisons with a reference, operating points."""

import itertools
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from steep import faiss


def knn_intersection_measure(I1: Any, I2: Any) -> float:
    """Which part of the ids of two tables their rows have in common."""
    assert I2.shape == I1.shape, f"tables of shapes {I1.shape} and {I2.shape}"
    return float(sum(np.intersect1d(a, b).size for a, b in zip(I1, I2, strict=True)) / I1.size)


def _per_query(lims: Any, mask: Any) -> Any:
    """How many entries of each query a mask keeps."""
    kept = np.concatenate([[0], np.cumsum(mask)])
    ends = np.asarray(lims).astype(np.int64)
    return kept[ends[1:]] - kept[ends[:-1]]


def filter_range_results(lims: Any, D: Any, I: Any, thresh: float) -> tuple[Any, Any, Any]:
    """Results of a range search that are nearer than a threshold."""
    mask = thresh > D
    new = np.zeros_like(lims)
    new[1:] = np.cumsum(_per_query(lims, mask))
    return new, D[mask], I[mask]


def range_PR(
    lims_ref: Any, Iref: Any, lims_new: Any, Inew: Any, mode: str = "overall"
) -> tuple[float, float]:
    """Precision and recall of a range search, whatever the distances."""
    nq = lims_ref.size - 1
    assert lims_new.size - 1 == nq, f"{lims_new.size - 1} queries for {nq}"
    common = np.array(
        [
            np.intersect1d(Iref[lims_ref[q] : lims_ref[q + 1]], Inew[lims_new[q] : lims_new[q + 1]]).size
            for q in range(nq)
        ],
        np.int64,
    )
    return counts_to_PR(np.diff(lims_ref), np.diff(lims_new), common, mode)


def counts_to_PR(ngt: Any, nres: Any, ninter: Any, mode: str = "overall") -> tuple[Any, Any]:
    """Precision and recall of queries, by how many results are true, were found, and both.

    "overall" counts results of all queries alike, "average" queries.
    """
    if mode not in ("overall", "average"):
        raise AssertionError(f"mode = {mode!r}: expected 'overall' or 'average'")
    ngt, nres, ninter = (np.asarray(counts).astype(np.int64) for counts in (ngt, nres, ninter))
    if mode == "overall":
        ngt, nres, ninter = ngt.sum(), nres.sum(), ninter.sum()
    # Nothing found is precise; nothing to be found is found by whoever finds nothing.
    precision = np.where(nres > 0, ninter / np.maximum(nres, 1), 1.0)
    recall = np.where(ngt > 0, ninter / np.maximum(ngt, 1), np.where(nres == 0, 1.0, 0.0))
    return precision.mean(), recall.mean()


def sort_range_res_2(lims: Any, D: Any, I: Any) -> tuple[Any, Any]:
    """Ids and distances, those of each query by distance."""
    queries = np.repeat(np.arange(len(lims) - 1), np.diff(lims).astype(np.int64))
    order = np.lexsort((D, queries))
    return I[order], D[order]


def sort_range_res_1(lims: Any, I: Any) -> Any:
    """Ids, those of each query in order."""
    queries = np.repeat(np.arange(len(lims) - 1), np.diff(lims).astype(np.int64))
    return I[np.lexsort((I, queries))]


def range_PR_multiple_thresholds(
    lims_ref: Any,
    Iref: Any,
    lims_new: Any,
    Dnew: Any,
    Inew: Any,
    thresholds: Any,
    mode: str = "overall",
    do_sort: str = "ref,new",
) -> tuple[Any, Any]:
    """Precision and recall of a range search for each of several thresholds of its distances.

    `do_sort` says which side is not sorted yet: "ref" by ids, "new" by distances.
    """
    if "ref" in do_sort:
        Iref = sort_range_res_1(lims_ref, Iref)
    if "new" in do_sort:
        Inew, Dnew = sort_range_res_2(lims_new, Dnew, Inew)
    nq = lims_ref.size - 1
    assert lims_new.size - 1 == nq, f"{lims_new.size - 1} queries for {nq}"
    counts = np.zeros((3, len(thresholds), nq), np.int64)
    for q in range(nq):
        truth = Iref[lims_ref[q] : lims_ref[q + 1]]
        found, far = (values[lims_new[q] : lims_new[q + 1]] for values in (Inew, Dnew))
        within = np.searchsorted(far, np.asarray(thresholds))
        right = np.concatenate([[0], np.cumsum(np.isin(found, truth))])
        counts[:, :, q] = np.full_like(within, truth.size), within, right[within]
    pairs = [counts_to_PR(counts[0, t], counts[1, t], counts[2, t], mode) for t in range(len(thresholds))]
    return np.array([p for p, _ in pairs]), np.array([r for _, r in pairs])


def _steps(a: Any, b: Any, apart: float) -> tuple[Any, Any]:
    """Values of both numbered by groups, between which they are more than so far apart."""
    every = np.sort(np.concatenate([a, b]))
    begins = every[np.concatenate([[True], np.diff(every) > apart])]
    first, second = (np.asarray(np.searchsorted(begins, np.asarray(side), "right")) for side in (a, b))
    return first - 1, second - 1


def check_ref_knn_with_draws(
    Dref: Any, Iref: Any, Dnew: Any, Inew: Any, rtol: float = 1e-5, atol: float = 0
) -> None:
    """Raise where results are not those of a reference, up to the order of equal distances."""
    np.testing.assert_allclose(Dref, Dnew, rtol=rtol, atol=atol)
    for q, (true, found) in enumerate(zip(Iref, Inew, strict=True)):
        if np.array_equal(true, found):
            continue
        ref, new = _steps(Dref[q], Dnew[q], rtol * Dref[q].max() + atol)
        # Of the last group there may be more than k.
        for group in np.unique(ref[ref != ref[-1]]):
            wanted, got = set(true[ref == group].tolist()), set(found[new == group].tolist())
            assert wanted == got, f"query {q}: {sorted(wanted ^ got)} are on one side only"


def check_ref_range_results(Lref: Any, Dref: Any, Iref: Any, Lnew: Any, Dnew: Any, Inew: Any) -> None:
    """Raise where results of a range search are not those of a reference, up to their order."""
    np.testing.assert_array_equal(Lref, Lnew)
    for low, high in itertools.pairwise(Lref):
        ref, new = np.argsort(Iref[low:high], kind="stable"), np.argsort(Inew[low:high], kind="stable")
        np.testing.assert_array_equal(Iref[low:high][ref], Inew[low:high][new])
        np.testing.assert_array_almost_equal(Dref[low:high][ref], Dnew[low:high][new], decimal=5)


class OperatingPoints:
    """Keys of parameters, how well and how fast they search; the optimal ones are `operating_points`.

    A subclass says how keys compare and which of them does nothing.
    """

    def __init__(self) -> None:
        self.operating_points: list[tuple[Any, float, float]] = []
        self.suboptimal_points: list[tuple[Any, float, float]] = []

    def compare_keys(self, k1: Any, k2: Any) -> int:
        """1 where k1 is no less than k2 in anything, -1 where k2 is, 0 otherwise."""
        raise NotImplementedError

    def do_nothing_key(self) -> Any:
        """The key that takes no time and finds nothing."""
        raise NotImplementedError

    def is_pareto_optimal(self, perf_new: float, t_new: float) -> bool:
        """Whether no point is at least as good and as fast."""
        return not any(perf >= perf_new and t <= t_new for _, perf, t in self.operating_points)

    def predict_bounds(self, key: Any) -> tuple[float, float]:
        """At best so good, and at least so slow, by what is known of lesser and greater keys."""
        best, least = 1.0, 0.0
        for other, perf, t in self.operating_points + self.suboptimal_points:
            order = self.compare_keys(key, other)
            if order > 0:
                least = max(least, t)
            elif order < 0:
                best = min(best, perf)
        return best, least

    def should_run_experiment(self, key: Any) -> bool:
        """Whether a key may turn out optimal."""
        return self.is_pareto_optimal(*self.predict_bounds(key))

    def add_operating_point(self, key: Any, perf: float, t: float) -> bool:
        """Note a point; whether it is optimal."""
        if not self.is_pareto_optimal(perf, t):
            self.suboptimal_points.append((key, perf, t))
            return False
        beaten = [p for p in self.operating_points if perf >= p[1] and t <= p[2]]
        self.suboptimal_points += beaten
        self.operating_points = [p for p in self.operating_points if not (perf >= p[1] and t <= p[2])]
        self.operating_points.append((key, perf, t))
        return True


class OperatingPointsWithRanges(OperatingPoints):
    """Keys are places in ranges of parameters, of which greater values are slower and better."""

    def __init__(self) -> None:
        super().__init__()
        self.ranges: list[tuple[str, Any]] = []

    def add_range(self, name: str, values: Any) -> None:
        """Add a parameter and its values, ascending."""
        self.ranges.append((name, values))

    def compare_keys(self, k1: Any, k2: Any) -> int:
        """1 where k1 is no less than k2 in anything, -1 where k2 is, 0 otherwise."""
        return 1 if np.all(k1 >= k2) else -1 if np.all(k2 >= k1) else 0

    def do_nothing_key(self) -> Any:
        """The first value of each parameter."""
        return np.zeros(len(self.ranges), int)

    def num_experiments(self) -> int:
        """How many keys there are."""
        return int(np.prod([len(values) for _, values in self.ranges]))

    def sample_experiments(self, n_autotune: int, rs: Any = np.random) -> list[int]:
        """Numbers of keys to try, the least and the greatest first; all where n_autotune is 0."""
        assert n_autotune == 0 or n_autotune >= 2, f"n_autotune = {n_autotune}: expected 0, or at least 2"
        total, random = self.num_experiments(), np.random.RandomState(123)
        if n_autotune == 0 or total < n_autotune:
            chosen = random.permutation(total - 2)
        else:
            chosen = random.choice(total - 2, size=n_autotune - 2, replace=False)
        return [0, total - 1, *(int(number) + 1 for number in chosen)]

    def cno_to_key(self, cno: int) -> Any:
        """The key of a number."""
        key = self.do_nothing_key()
        for at, (_, values) in enumerate(self.ranges):
            cno, key[at] = divmod(cno, len(values))
        assert cno == 0, "the number is beyond that of all keys"
        return key

    def get_parameters(self, k: Any) -> dict[str, Any]:
        """The values of a key."""
        return {name: values[at] for (name, values), at in zip(self.ranges, k, strict=True)}

    def restrict_range(self, name: str, max_val: float) -> None:
        """Leave out values of a parameter from a limit on."""
        for known, values in self.ranges:
            if known == name:
                values[:] = [value for value in values if value < max_val]
                return
        raise RuntimeError(f"parameter {name} not found: there are {', '.join(n for n, _ in self.ranges)}")


class RepeatTimer:
    """Times what a loop over it does: ``for _ in timer: …``, then `ms`, `ms_std` and `nruns`.

    Parameters
    ----------
    warmup : int
        Runs that do not count.
    nt : int
        Threads; -1 for those that are set.
    runs : int
        Runs in all.
    max_secs : float
        Ends sooner where it takes longer.
    """

    warmup: int
    nt: int
    runs: int
    max_secs: float
    remember_nt: int

    def __init__(self, warmup: int = 0, nt: int = -1, runs: int = 1, max_secs: float = np.inf) -> None:
        assert warmup < runs, f"warmup = {warmup} of {runs} runs"
        self.warmup, self.nt, self.runs, self.max_secs = warmup, nt, runs, max_secs
        self.remember_nt = faiss.omp_get_max_threads()
        self.times: Any = np.empty(0)

    def __iter__(self) -> Iterator[None]:
        if self.nt >= 0:
            faiss.omp_set_num_threads(self.nt)
        began = time.time()
        times: list[float] = []
        try:
            for _ in range(self.runs):
                start = time.time()
                yield None
                times.append(time.time() - start)
                if time.time() - began > self.max_secs:
                    break
        finally:
            if self.nt >= 0:
                faiss.omp_set_num_threads(self.remember_nt)
            self.times = np.array(times[self.warmup :] if len(times) == self.runs else times)

    def ms(self) -> float:
        """Milliseconds of a run, in the mean."""
        return float(np.mean(np.asarray(self.times)) * 1000)

    def ms_std(self) -> float:
        """Their standard deviation."""
        return float(np.std(self.times) * 1000) if len(self.times) > 1 else 0.0

    def nruns(self) -> int:
        """Runs that count."""
        return len(self.times)
