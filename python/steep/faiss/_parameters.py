"""How should it search? Faiss's search parameters, and the strings and spaces that set them on an index."""

# What callers pass is checked at run time too.
# pyright: reportUnnecessaryIsInstance=false

import math
import time
from typing import Any, ClassVar, cast

import numpy as np

from steep.faiss import _random
from steep.faiss._arrays import Float64Vector, OperatingPointVector, Owned, ParameterRangeVector, pointed
from steep.faiss._selectors import IDSelector

_FIELD_TYPES = {int: "a whole number", float: "a number", bool: "True or False"}


class SearchParameters(Owned):
    """What one search does differently, by its fields. `sel` says which ids may be found."""

    #: Each field's default, of its type; None for other search parameters.
    _FIELDS: ClassVar[dict[str, Any]] = {}
    sel: IDSelector | None

    def __init__(self, **fields: Any) -> None:
        known = self._known()
        for name in fields:
            assert name in known, f"{type(self).__name__} has no field {name!r}: there are {', '.join(known)}"
        for name, value in {**known, **fields}.items():
            setattr(self, name, value)

    @classmethod
    def _known(cls) -> dict[str, Any]:
        known: dict[str, Any] = {"sel": None}
        for base in reversed(cls.__mro__):
            known.update(vars(base).get("_FIELDS", {}))
        return known

    def __setattr__(self, name: str, value: Any) -> None:
        known = self._known()
        if name == "sel":
            if value is not None and not isinstance(value, IDSelector):
                raise TypeError(f"sel of type {type(value).__name__}: expected an IDSelector")
        elif name in known:
            value = _fitting(name, value, known[name])
        object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        known = self._known()
        changed = {name: getattr(self, name) for name in known if getattr(self, name) != known[name]}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in changed.items())})"


def _fitting(name: str, value: Any, default: Any) -> Any:
    """A value of a field's type."""
    if default is None:
        if value is not None and name != "inverted_list_context" and not isinstance(value, SearchParameters):
            raise TypeError(f"{name} of type {type(value).__name__}: expected search parameters")
        return value
    kind: Any = default.__class__
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    single = isinstance(value, (float, np.floating))
    if kind is bool and isinstance(value, (bool, np.bool_)):
        return bool(cast("Any", value))
    value = cast("Any", value)
    if kind is int and (whole or isinstance(value, bool)):
        if value < 0:
            raise OverflowError(f"{name} = {value}: expected 0 or more")
        return int(value)
    if kind is float and (whole or single):
        return float(value)
    raise TypeError(f"{name} of type {type(value).__name__}: expected {_FIELD_TYPES[kind]}")


class SearchParametersIVF(SearchParameters):
    """Of inverted files."""

    _FIELDS: ClassVar[dict[str, Any]] = {
        "nprobe": 1,
        "max_codes": 0,
        "quantizer_params": None,
        "inverted_list_context": None,
        "max_lists_num": 0,
        "max_empty_result_buckets": 0,
        "ensure_topk_full": False,
    }


IVFSearchParameters = SearchParametersIVF


class IVFPQSearchParameters(SearchParametersIVF):
    """Of inverted files with product codes."""

    _FIELDS: ClassVar[dict[str, Any]] = {"scan_table_threshold": 0, "polysemous_ht": 0}


SearchParametersIVFPQ = IVFPQSearchParameters


class IVFRaBitQSearchParameters(SearchParametersIVF):
    """Of inverted files with RaBitQ codes."""

    _FIELDS: ClassVar[dict[str, Any]] = {"qb": 4, "centered": False}


class IVFSQTurboQSearchParameters(SearchParametersIVF):
    """Of inverted files with TurboQuant codes."""

    _FIELDS: ClassVar[dict[str, Any]] = {"qb": 0, "int_qjl": False}


class RaBitQSearchParameters(SearchParameters):
    """Of RaBitQ codes."""

    _FIELDS: ClassVar[dict[str, Any]] = {"qb": 4, "centered": False}


class SearchParametersHNSW(SearchParameters):
    """Of graphs."""

    _FIELDS: ClassVar[dict[str, Any]] = {
        "efSearch": 16,
        "check_relative_distance": True,
        "bounded_queue": True,
    }


class SearchParametersPQ(SearchParameters):
    """Of product codes."""

    _FIELDS: ClassVar[dict[str, Any]] = {"search_type": 0, "polysemous_ht": 0}


class SearchParametersPreTransform(SearchParameters):
    """Of an index behind transforms."""

    _FIELDS: ClassVar[dict[str, Any]] = {"index_params": None}


class IndexRefineSearchParameters(SearchParameters):
    """Of an index whose results are looked at again."""

    _FIELDS: ClassVar[dict[str, Any]] = {"k_factor": 1.0, "base_index_params": None}


class SearchParametersResidualCoarseQuantizer(SearchParameters):
    """Of a coarse quantizer of residuals."""

    _FIELDS: ClassVar[dict[str, Any]] = {"beam_factor": 4.0}


class ParameterRange(Owned):
    """A parameter and the values that it may take."""

    name: str
    values: Float64Vector

    def __init__(self, name: str = "") -> None:
        self.name, self.values = name, Float64Vector()


class OperatingPoint(Owned):
    """How well and how fast a combination of parameters searches."""

    perf: float
    t: float
    key: str
    cno: int

    def __init__(self, perf: float = 0.0, t: float = 0.0, key: str = "", cno: int = 0) -> None:
        self.perf, self.t, self.key, self.cno = perf, t, key, cno

    def _line(self, mark: str = "") -> str:
        return f"cno={self.cno} key={self.key} perf={self.perf:.4f} t={self.t:.3f} {mark}"


class OperatingPoints(Owned):
    """All points that were tried, and the optimal ones: none is both better and faster than one of those."""

    all_pts: OperatingPointVector
    optimal_pts: OperatingPointVector

    def __init__(self) -> None:
        self.all_pts, self.optimal_pts = OperatingPointVector(), OperatingPointVector()
        self.clear()

    def clear(self) -> None:
        """Forget all points; doing nothing at all is the first optimal one."""
        self.all_pts.clear()
        self.optimal_pts.clear()
        self.optimal_pts.push_back(OperatingPoint(0.0, 0.0, "", -1))

    def add(self, perf: float, t: float, key: str, cno: int = 0) -> bool:
        """Note a point; whether it is optimal."""
        point = OperatingPoint(perf, t, key, cno)
        self.all_pts.push_back(point)
        if perf == 0 or any(other.perf >= perf and other.t <= t for other in self.optimal_pts):
            return False
        kept = [other for other in self.optimal_pts if other.perf > perf or other.t < t]
        self.optimal_pts.clear()
        for other in sorted([*kept, point], key=lambda p: p.perf):
            self.optimal_pts.push_back(other)
        return True

    def merge_with(self, other: "OperatingPoints", prefix: str = "") -> int:
        """Add another's points, with something before their keys; how many of them are optimal."""
        return sum(self.add(p.perf, p.t, prefix + p.key, p.cno) for p in other.all_pts)

    def t_for_perf(self, perf: float) -> float:
        """The time of the fastest point that is good enough."""
        return min((p.t for p in self.optimal_pts if p.perf >= perf), default=1e50)

    def display(self, only_optimal: bool = True) -> None:
        """Print the points."""
        optimal = list(self.optimal_pts)
        print(f"Tested {self.all_pts.size()} operating points, {len(optimal)} ones are Pareto-optimal:")
        for point in optimal if only_optimal else self.all_pts:
            best = not only_optimal and any(point.key == other.key for other in optimal)
            print(point._line("*" if best else ""))

    def all_to_gnuplot(self, fname: str) -> None:
        """Write all points to a file that gnuplot reads."""
        _plot(fname, self.all_pts)

    def optimal_to_gnuplot(self, fname: str) -> None:
        """Write the optimal points, as steps, to a file that gnuplot reads."""
        with open(fname, "w") as file:
            before = 0.0
            for point in self.optimal_pts:
                file.write(f"{before:g} {point.t:g}\n{point.perf:g} {point.t:g} {point.key}\n")
                before = point.perf


def _plot(fname: str, points: Any) -> None:
    with open(fname, "w") as file:
        for point in points:
            file.write(f"{point.perf:g} {point.t:g} {point.key}\n")


class AutoTuneCriterion(Owned):
    """How good results of `nq` queries are, of which the `nnn` nearest are asked for."""

    nq: int
    nnn: int
    gt_nnn: int

    def __init__(self, nq: int, nnn: int) -> None:
        if type(self) is AutoTuneCriterion:
            raise AttributeError("No constructor defined - class is abstract: take one of its subclasses")
        self.nq, self.nnn, self.gt_nnn = nq, nnn, 0
        self.gt_D: Any = None
        self.gt_I: Any = None

    def set_groundtruth(self, D: Any, I: Any) -> None:
        """Set the true neighbours; their distances may be None."""
        if D is not None:
            assert I.shape == D.shape, f"I has shape {I.shape}, D has {D.shape}"
        self.nq, self.gt_nnn = I.shape
        self.gt_D = None if D is None else np.array(D, np.float32)
        self.gt_I = np.array(I, np.int64)

    def evaluate(self, D: Any, I: Any) -> float:
        """How good results are, from 0 to 1."""
        if self.gt_I is None:
            raise RuntimeError("ground truth not set: call set_groundtruth(D, I)")
        found = pointed(I, self.nq * self.nnn, np.int64, "I").reshape(self.nq, self.nnn)
        return self._score(found, self.gt_I)

    def _score(self, found: Any, truth: Any) -> float:
        raise NotImplementedError


class OneRecallAtRCriterion(AutoTuneCriterion):
    """Of how many queries the nearest is among the R first."""

    def __init__(self, nq: int, R: int) -> None:
        super().__init__(nq, R)
        self.R = R

    def _score(self, found: Any, truth: Any) -> float:
        return float((found[:, : self.R] == truth[:, :1]).any(axis=1).sum() / self.nq)


class IntersectionCriterion(AutoTuneCriterion):
    """Which part of the R nearest is among the R first."""

    def __init__(self, nq: int, R: int) -> None:
        super().__init__(nq, R)
        self.R = R

    def _score(self, found: Any, truth: Any) -> float:
        if self.gt_nnn < self.R:
            raise RuntimeError(f"ground truth of {self.gt_nnn} neighbours: expected {self.R}")
        rows = zip(found[:, : self.R], truth[:, : self.R], strict=True)
        return sum(np.intersect1d(a, b).size for a, b in rows) / (self.nq * self.R)


def _kinds(index: Any) -> set[str]:
    return {cls.__name__ for cls in type(index).__mro__}


class ParameterSpace(Owned):
    """Parameters of an index by name, and all their combinations."""

    parameter_ranges: ParameterRangeVector
    verbose: int
    n_experiments: int
    batchsize: int
    thread_over_batches: bool
    min_test_duration: float

    def __init__(self) -> None:
        self.parameter_ranges = ParameterRangeVector()
        self.verbose, self.n_experiments, self.batchsize = 1, 500, 1 << 30
        self.thread_over_batches, self.min_test_duration = False, 0.0

    def add_range(self, name: str) -> ParameterRange:
        """The range of a parameter, a new one where there was none."""
        known: ParameterRange
        for known in self.parameter_ranges:
            if known.name == name:
                return known
        new = ParameterRange(name)
        self.parameter_ranges.push_back(new)
        return new

    def _add(self, name: str, values: Any) -> None:
        self.add_range(name).values._put(np.array(list(values), np.float64))

    def initialize(self, index: Any) -> None:
        """Take what parameters the index has, with values that are worth a try."""
        if "IndexPreTransform" in _kinds(index):
            index = index.index
        if "IndexRefine" in _kinds(index):
            self._add("k_factor_rf", (1 << i for i in range(7)))
            index = index.base_index
        if "IndexPreTransform" in _kinds(index):
            index = index.index
        kinds = _kinds(index)
        if kinds & {"IndexIVF", "IndexBinaryIVF"}:
            self._add("nprobe", (1 << i for i in range(13) if 1 << i < index.nlist))
            inner = ParameterSpace()
            inner.initialize(index.quantizer)
            for known in inner.parameter_ranges:
                self._add("quantizer_" + known.name, known.values)
        if kinds & {"IndexPQ", "IndexIVFPQ"}:
            bits = 8 * index.pq.code_size
            steps = range(2, bits // 2 + 1, 2) if index.pq.code_size % 4 == 0 else ()
            self._add("ht", [*steps, bits])
        if "IndexIVF" in kinds and "MultiIndexQuantizer" in _kinds(index.quantizer):
            self._add("max_codes", [*(1 << i for i in range(8, 20)), math.inf])
        if kinds & {"IndexHNSW", "IndexBinaryHNSW"}:
            self._add("efSearch", (1 << i for i in range(2, 10)))

    def n_combinations(self) -> int:
        """How many combinations there are."""
        return math.prod(known.values.size() for known in self.parameter_ranges)

    def _combination(self, cno: int) -> list[tuple[str, float]]:
        if not 0 <= cno < self.n_combinations():
            raise RuntimeError(f"cno = {cno}: there are {self.n_combinations()} combinations")
        chosen: list[tuple[str, float]] = []
        for known in self.parameter_ranges:
            cno, at = divmod(cno, known.values.size())
            chosen.append((known.name, known.values.at(at)))
        return chosen

    def combination_name(self, cno: int) -> str:
        """The string of a combination."""
        return ",".join(f"{name}={value:g}" for name, value in self._combination(cno))

    def combination_ge(self, c1: int, c2: int) -> bool:
        """Whether a combination has no smaller value than another."""
        for known in self.parameter_ranges:
            (c1, a), (c2, b) = (divmod(c, known.values.size()) for c in (c1, c2))
            if a < b:
                return False
        return True

    def set_index_parameters(self, index: Any, description: str | int) -> None:
        """Set what a string says, such as "nprobe=16,ht=20", or a combination by its number."""
        if isinstance(description, (int, np.integer)) and not isinstance(description, bool):
            for name, value in self._combination(int(description)):
                self.set_index_parameter(index, name, value)
            return
        if not isinstance(description, str):
            raise TypeError(f"parameters of type {type(description).__name__}: expected a string or a number")
        for part in description.replace(",", " ").split():
            name, equals, text = part.partition("=")
            try:
                value = float(text)
            except ValueError:
                raise RuntimeError(f"could not interpret parameters {part}: expected name=number") from None
            if not name or not equals:
                raise RuntimeError(f"could not interpret parameters {part}: expected name=number")
            self.set_index_parameter(index, name, value)

    def set_index_parameter(self, index: Any, name: str, val: float) -> None:
        """Set one parameter on an index, or on what it is made of."""
        if not isinstance(name, str) or not isinstance(val, (int, float, np.number)):
            raise TypeError(f"{name!r} = {val!r}: expected a name and a number")
        if self.verbose > 1:
            print(f"    set_index_parameter {name}={val:g}")
        if not self._set(index, name, float(val)):
            raise RuntimeError(f"ParameterSpace::set_index_parameter:could not set parameter {name}")

    def _set(self, index: Any, name: str, val: float) -> bool:
        kinds = _kinds(index)
        if name == "verbose":
            index.verbose = bool(val)
        if kinds & {"IndexIDMap", "IndexPreTransform", "IndexBinaryIDMap"}:
            return self._set(index.index, name, val)
        if kinds & {"IndexShards", "IndexReplicas", "IndexBinaryShards", "IndexBinaryReplicas"}:
            return all(self._set(index.at(i), name, val) for i in range(index.count()))
        if "IndexRefine" in kinds:
            if name == "k_factor_rf":
                index.k_factor = float(int(val))
                return True
            return self._set(index.base_index, name, val)
        if name == "verbose":
            return True
        ivf = bool(kinds & {"IndexIVF", "IndexBinaryIVF"})
        if ivf and name == "nprobe":
            index.nprobe = int(val)
        elif name == "ht" and kinds & {"IndexPQ", "IndexIVFPQ"}:
            _set_hamming(index, val, "IndexPQ" in kinds)
        elif ivf and name == "max_codes":
            index.max_codes = int(val) if math.isfinite(val) else 0
        elif name in ("efSearch", "efConstruction", "prune_headroom"):
            graph: Any = (
                index if kinds & {"IndexHNSW", "IndexBinaryHNSW"} else index.quantizer if ivf else None
            )
            if not _kinds(graph) & {"IndexHNSW", "IndexBinaryHNSW"}:
                return False
            setattr(graph.hnsw, name, val if name == "prune_headroom" else int(val))
        elif ivf and name.startswith("quantizer_"):
            return self._set(index.quantizer, name.removeprefix("quantizer_"), val)
        else:
            return False
        return True

    def display(self) -> None:
        """Print the ranges."""
        ranges = list(self.parameter_ranges)
        print(f"ParameterSpace, {len(ranges)} parameters, {self.n_combinations()} combinations:")
        for known in ranges:
            print(f"   {known.name}: [{','.join(f' {value:g}' for value in known.values)}]")

    def _bounds(self, cno: int, points: OperatingPoints) -> tuple[float, float]:
        """What those that were tried say of a combination: at best so good, at least so slow."""
        best, least = 1.0, 0.0
        for point in points.all_pts:
            if self.combination_ge(cno, point.cno):
                least = max(least, point.t)
            if self.combination_ge(point.cno, cno):
                best = min(best, point.perf)
        return best, least

    def explore(self, index: Any, xq: Any, crit: AutoTuneCriterion) -> OperatingPoints:
        """Search with combinations of the parameters, as many as `n_experiments` says, and note how well.

        Combinations of which it is known that they are neither better nor faster are left out.
        """
        assert xq.shape == (crit.nq, index.d), (
            f"queries have shape {xq.shape}: expected ({crit.nq}, {index.d})"
        )
        xq = np.ascontiguousarray(xq, np.float32)
        points, count = OperatingPoints(), self.n_combinations()
        most = self.n_experiments or count
        order = [0, count - 1, *(_random.permutation(count - 2, 1234) + 1)][:most] if count > 1 else [0]
        for tried, cno in enumerate(int(c) for c in order):
            best, least = self._bounds(cno, points)
            if self.n_experiments and points.t_for_perf(best) <= least:
                continue
            self.set_index_parameters(index, cno)
            runs, began = 0, time.perf_counter()
            found = None
            while not runs or time.perf_counter() - began < self.min_test_duration:
                found = self._search(index, xq, crit.nnn)
                runs += 1
            took = (time.perf_counter() - began) / runs
            perf = crit.evaluate(*cast("tuple[Any, Any]", found))
            kept = points.add(perf, took, self.combination_name(cno), cno)
            if self.verbose:
                print(
                    f"  {tried}/{len(order)}: cno={cno} {self.combination_name(cno)} "
                    f"perf={perf:.3f} t={took:.3f} s {'*' if kept else ''}"
                )
        return points

    def _search(self, index: Any, xq: Any, k: int) -> tuple[Any, Any]:
        parts = [index.search(xq[at : at + self.batchsize], k) for at in range(0, len(xq), self.batchsize)]
        return np.concatenate([D for D, _ in parts]), np.concatenate([I for _, I in parts])


def _set_hamming(index: Any, val: float, plain: bool) -> None:
    """The threshold of Hamming distances; one as large as the codes looks at all of them."""
    everything = val >= 8 * index.pq.code_size
    if plain:
        index.search_type = index.ST_PQ if everything else index.ST_polysemous
        if not everything:
            index.polysemous_ht = int(val)
    else:
        index.polysemous_ht = 0 if everything else int(val)


__all__ = [
    "AutoTuneCriterion",
    "IVFPQSearchParameters",
    "IVFRaBitQSearchParameters",
    "IVFSQTurboQSearchParameters",
    "IVFSearchParameters",
    "IndexRefineSearchParameters",
    "IntersectionCriterion",
    "OneRecallAtRCriterion",
    "OperatingPoint",
    "OperatingPoints",
    "ParameterRange",
    "ParameterSpace",
    "RaBitQSearchParameters",
    "SearchParameters",
    "SearchParametersHNSW",
    "SearchParametersIVF",
    "SearchParametersIVFPQ",
    "SearchParametersPQ",
    "SearchParametersPreTransform",
    "SearchParametersResidualCoarseQuantizer",
]
