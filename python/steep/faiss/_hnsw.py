"""What are the graphs of Faiss's indexes? Their arrays, to be read and written, around the core's."""

from typing import Any, TypeVar, cast

import numpy as np

from steep import _steep
from steep.faiss._arrays import (
    Float64Vector,
    Int32Vector,
    MaybeOwnedVectorInt32,
    Pointer,
    UInt64Vector,
    Vector,
)
from steep.faiss._base import Floats, Sealed, require
from steep.faiss._random import RandomGenerator
from steep.faiss._simd import threads

_ARRAYS: dict[str, Any] = {
    "assign_probas": np.float64,
    "cum_nneighbor_per_level": np.int32,
    "levels": np.int32,
    "offsets": np.uint64,
    "neighbors": np.int32,
}


def refused(text: str) -> RuntimeError:
    """What Faiss's C++ would throw."""
    return RuntimeError(text)


Seen = TypeVar("Seen", bound=Vector)


class HNSW(Sealed):
    """The graph of an `IndexHNSW`: Faiss's arrays, and how it is searched and built.

    Arrays that are written to are checked as a whole when they are next used.
    """

    efConstruction: int
    efSearch: int
    prune_headroom: float
    check_relative_distance: bool
    search_bounded_queue: bool
    is_similarity: bool
    use_visited_hashset: Any
    search_method: int
    _made: _steep.Hnsw
    _loose: Any
    _native: Any
    _pending: Any

    def __init__(self, M: int = 32) -> None:
        self._begin(
            efConstruction=40,
            efSearch=16,
            prune_headroom=0.2,
            check_relative_distance=True,
            search_bounded_queue=True,
            is_similarity=False,
            use_visited_hashset=None,
            search_method=0,
            _made=_core(int(M)),
            _loose=None,
            _native=None,
            _pending=None,
        )

    SM_DEFAULT, SM_PANORAMA, SM_RABITQ = range(3)

    @property
    def _core(self) -> _steep.Hnsw:
        """The core's graph, which is made of the native one when somebody asks for it."""
        if self._pending is not None:
            self._pending(self._made)
            self._begin(_pending=None)
        made: _steep.Hnsw = self._made
        return made

    def _graph(self) -> _steep.Hnsw:
        if self._loose is not None:
            try:
                core = _steep.Hnsw.of(*self._loose.values())
            except ValueError as error:
                raise refused(str(error)) from None
            self._begin(_made=core, _loose=None)
        return self._core

    def _get(self, name: str) -> Any:
        return self._core.part(name) if self._loose is None else self._loose[name]

    def _put(self, name: str, values: Any) -> None:
        if self._loose is None:
            entry, top = self._core.entry()
            arrays = {array: self._core.part(array) for array in _ARRAYS}
            # Whoever writes to the graph wants what was written to be searched.
            self._begin(_native=None, _loose=arrays | {"entry_point": entry, "max_level": top})
        kind, loose = _ARRAYS.get(name), cast("dict[str, Any]", self._loose)
        loose[name] = int(values) if kind is None else np.array(values, kind).reshape(-1)

    def _window(self, kind: type[Seen], name: str) -> Seen:
        return kind.over(lambda: self._get(name), lambda values: self._put(name, values))

    @property
    def assign_probas(self) -> Float64Vector:
        """How likely each level is."""
        return self._window(Float64Vector, "assign_probas")

    @property
    def cum_nneighbor_per_level(self) -> Int32Vector:
        """Slots for neighbours on the levels below each."""
        return self._window(Int32Vector, "cum_nneighbor_per_level")

    @property
    def levels(self) -> Int32Vector:
        """On how many levels each vector is."""
        return self._window(Int32Vector, "levels")

    @property
    def offsets(self) -> UInt64Vector:
        """Where each vector's slots begin, and where all end."""
        return self._window(UInt64Vector, "offsets")

    @property
    def neighbors(self) -> MaybeOwnedVectorInt32:
        """All slots: neighbours, then -1."""
        return self._window(MaybeOwnedVectorInt32, "neighbors")

    @property
    def entry_point(self) -> int:
        """Where walks begin; -1 where there is no vector."""
        return self._core.entry()[0] if self._loose is None else self._loose["entry_point"]

    @entry_point.setter
    def entry_point(self, value: int) -> None:
        self._put("entry_point", value)

    @property
    def max_level(self) -> int:
        """The level on which walks begin."""
        return self._core.entry()[1] if self._loose is None else self._loose["max_level"]

    @max_level.setter
    def max_level(self, value: int) -> None:
        self._put("max_level", value)

    def nb_neighbors(self, layer_no: int) -> int:
        """Slots of a vector on a level."""
        ends = self._get("cum_nneighbor_per_level")
        require(layer_no >= 0 and layer_no + 1 < len(ends), "layer_no + 1 < cum_nneighbor_per_level.size()")
        return int(ends[layer_no + 1] - ends[layer_no])

    def set_nb_neighbors(self, level_no: int, n: int) -> None:
        """Give vectors n slots on a level; only while there are no vectors."""
        require(len(self.levels) == 0, "levels.size() == 0")
        more = n - self.nb_neighbors(level_no)
        ends = self._get("cum_nneighbor_per_level").copy()
        ends[level_no + 1 :] += more
        self._put("cum_nneighbor_per_level", ends)

    def cum_nb_neighbors(self, layer_no: int) -> int:
        """Slots of a vector on the levels below one."""
        return int(self._get("cum_nneighbor_per_level")[layer_no])

    def neighbor_range(self, no: int, layer_no: int, begin: Any = None, end: Any = None) -> tuple[int, int]:
        """Where the neighbours of a vector on a level begin and end."""
        start = int(self._get("offsets")[no])
        found = start + self.cum_nb_neighbors(layer_no), start + self.cum_nb_neighbors(layer_no + 1)
        for pointer, value in zip((begin, end), found, strict=True):
            if pointer is not None:
                pointer.array[0] = value
        return found

    def set_default_probas(self, M: int, levelMult: float) -> None:
        """Make levels as likely, and slots as many, as M and a factor (1 / ln M) say."""
        require(len(self.levels) == 0, "levels.size() == 0")
        at, mult = 0, np.float32(levelMult)
        probas: list[float] = []
        while at < 255:
            proba = np.float32(np.exp(-at / mult) * (1 - np.exp(-1 / mult)))
            if not proba >= 1e-9:
                break
            probas.append(float(proba))
            at += 1
        require(probas and M > 0, "M > 1")
        self._put("assign_probas", probas)
        self._put("cum_nneighbor_per_level", [0, *(M * (level + 2) for level in range(len(probas)))])

    def random_level(self) -> int:
        """A level at random."""
        return self._graph().draw_level()

    def prepare_level_tab(self, n: int, preset_levels: bool = False) -> int:
        """Make room for n more vectors, on levels at random or those that are set; the highest of them."""
        old = len(self._get("offsets")) - 1
        levels = self._get("levels")
        if preset_levels:
            require(old + n == len(levels), "n0 + n == levels.size()")
            new = levels[old:]
        else:
            require(old == len(levels), "n0 == levels.size()")
            new = np.array([self.random_level() + 1 for _ in range(n)], np.int32)
        ends, offsets = self._get("cum_nneighbor_per_level"), self._get("offsets")
        more = ends[new].astype(np.uint64).cumsum()
        neighbors = self._get("neighbors")
        self._put("levels", np.concatenate([levels[:old], new]))
        self._put("offsets", np.concatenate([offsets, offsets[-1] + more]))
        empty = np.full(int(more[-1]) if n else 0, -1, np.int32)
        self._put("neighbors", np.concatenate([neighbors, empty]))
        return int(new.max(initial=1)) - 1

    def clear_neighbor_tables(self, level: int) -> None:
        """Forget all neighbours on a level."""
        neighbors, offsets = self._get("neighbors").copy(), self._get("offsets")
        for no in np.flatnonzero(self._get("levels") > level):
            begin, end = self.neighbor_range(int(no), level)
            neighbors[begin:end] = -1
        del offsets
        self._put("neighbors", neighbors)

    def print_neighbor_stats(self, level: int) -> None:
        """Print how many neighbours vectors have on a level."""
        slots = self.nb_neighbors(level)
        on = np.flatnonzero(self._get("levels") > level)
        starts = self._get("offsets")[on].astype(np.int64) + self.cum_nb_neighbors(level)
        lists = self._get("neighbors")[starts[:, None] + np.arange(slots)]
        valid = (lists >= 0) & (np.logical_and.accumulate(lists >= 0, axis=1))
        pairs = np.stack([np.repeat(on, valid.sum(1)), lists[valid]], 1)
        total, nodes = len(pairs), max(len(on), 1)
        known = {tuple(pair) for pair in pairs.tolist()}
        mutual = sum((b, a) in known for a, b in known)
        print(f"stats on level {level}, max {slots} neighbors per vertex:")
        print(f"   nb of nodes at that level {len(on)}")
        print(f"   neighbors per node: {total / nodes:.2f} ({total})")
        print(f"   nb of reciprocal neighbors: {mutual / nodes:.2f}")

    def reset(self) -> None:
        """Forget all vectors."""
        if self._loose is not None:
            for name in ("levels", "neighbors"):
                self._loose[name] = self._loose[name][:0]
            self._loose |= {"offsets": np.zeros(1, np.uint64), "entry_point": -1, "max_level": -1}
        self._begin(_native=None, _pending=None)
        self._graph().clear()

    def permute_entries(self, map: Any) -> None:
        """Put vector map[i] in place i."""
        graph = self._graph()
        self._begin(_native=None)
        graph.permute(np.ascontiguousarray(getattr(map, "array", map), np.int64))

    def to_record(self) -> dict[str, Any]:
        """What a file holds of the graph."""
        graph = self._graph()
        entry, top = graph.entry()
        return {name: graph.part(name) for name in _ARRAYS} | {
            "entry_point": entry,
            "max_level": top,
            "efConstruction": self.efConstruction,
            "efSearch": self.efSearch,
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "HNSW":
        """The graph that a file holds."""
        hnsw = cls()
        arrays: list[Any] = [np.ascontiguousarray(record[name], kind) for name, kind in _ARRAYS.items()]
        arrays += [record["entry_point"], record["max_level"]]
        try:
            core = _steep.Hnsw.of(*arrays)
        except ValueError as error:
            raise refused(str(error)) from None
        hnsw._begin(_made=core, efConstruction=record["efConstruction"], efSearch=record["efSearch"])
        return hnsw


def _core(M: int) -> _steep.Hnsw:
    try:
        return _steep.Hnsw(M)
    except (ValueError, OverflowError) as error:
        raise refused(str(error)) from None


class VisitedTable:
    """Which of a number of vectors were met."""

    def __init__(self, size: int, use_hashset: Any = None) -> None:
        self._visited = np.zeros(size, bool)

    def set(self, no: int) -> bool:
        """Mark a vector; whether it was not marked."""
        new = not self._visited[no]
        self._visited[no] = True
        return bool(new)

    def get(self, no: int) -> bool:
        """Whether a vector is marked."""
        return bool(self._visited[no])

    def advance(self) -> None:
        """Unmark all."""
        self._visited[:] = False


class Graph:
    """Neighbours of N vectors, K at most, filled up with -1."""

    def __init__(self, lists: Any) -> None:
        self._lists = lists
        self.N, self.K = lists.shape
        self.own_fields = True

    @property
    def data(self) -> Pointer:
        """Pointer to all of them."""
        return Pointer(self._lists.reshape(-1))

    def at(self, i: int, j: int) -> int:
        """Neighbour j of vector i."""
        return int(self._lists[i, j])

    def get_neighbors(self, i: int, neighbors: Any) -> int:
        """Write the neighbours of vector i; how many there are."""
        found = self._lists[i][self._lists[i] >= 0]
        neighbors.array[: len(found)] = found
        return len(found)


class NSG(Sealed):
    """The graph of an `IndexNSG`: on one level, walked from the same vectors for every query."""

    ntotal: int
    R: int
    L: int
    C: int
    search_L: int
    use_visited_hashset: Any
    enterpoint: int
    is_built: bool
    _core: Any
    _starts: Any

    def __init__(self, R: int = 32) -> None:
        require(R > 0, "R > 0")
        self._begin(
            ntotal=0,
            R=int(R),
            L=R + 32,
            C=R + 100,
            search_L=16,
            use_visited_hashset=None,
            enterpoint=0,
            is_built=False,
            _core=None,
            _starts=None,
        )

    def _build(self, storage: Any, metric: str, x: Floats, GK: int, at_once: bool) -> None:
        asked = self.R, max(self.L, 1), max(self.C, 1), max(GK, self.R), at_once
        core = _steep.Hnsw.nsg(storage, metric, x, asked, threads())
        entry = max(core.entry()[0], 0)
        self._begin(_core=core, _starts=None, is_built=True, ntotal=len(x), enterpoint=entry)

    def _search(self, storage: Any, metric: str, x: Floats, k: int) -> Any:
        pool = min(max(int(self.search_L), k), self.ntotal)
        core: _steep.Hnsw = self._core
        return core.search_from(storage, metric, x, k, self._seeds(pool), pool, threads())

    def _seeds(self, pool: int) -> Any:
        """Where Faiss begins: the neighbours of the entry, then vectors at random."""
        known = self._starts
        if known is None or known[0] != (pool, self.enterpoint):
            lists = self._lists()
            near = lists[self.enterpoint] if self.ntotal else lists.reshape(-1)
            chosen = dict.fromkeys(near[near >= 0][:pool].tolist())
            random = RandomGenerator(0x1234)
            if pool > self.ntotal // 2:
                chosen |= dict.fromkeys(range(self.ntotal))
            while len(chosen) < pool:
                chosen[random.rand_int(self.ntotal)] = None
            known = (pool, self.enterpoint), np.array(list(chosen)[:pool], np.uint32)
            self._begin(_starts=known)
        return known[1]

    def _lists(self) -> Any:
        if self._core is None:
            return np.zeros((0, self.R), np.int32)
        return self._core.part("neighbors").reshape(-1, self.R)

    def get_final_graph(self) -> Graph:
        """The neighbours of all vectors."""
        return Graph(self._lists())

    @property
    def final_graph(self) -> Graph:
        """The neighbours of all vectors."""
        return self.get_final_graph()

    def dfs(self, vt: VisitedTable, root: int, cnt: int) -> int:
        """Mark all vectors that can be reached from one; their number and cnt."""
        lists, met = self._lists(), vt._visited
        before = int(met.sum())
        met[root] = True
        open_ = np.array([root])
        while len(open_):
            near = np.unique(lists[open_])
            open_ = near[near >= 0]
            open_ = open_[~met[open_]]
            met[open_] = True
        return cnt + int(met.sum()) - before

    def reset(self) -> None:
        """Forget all vectors."""
        self._begin(_core=None, _starts=None, ntotal=0, is_built=False)

    def to_record(self) -> dict[str, Any]:
        """What a file holds of the graph."""
        fields = {
            name: int(getattr(self, name)) for name in ("ntotal", "R", "L", "C", "search_L", "enterpoint")
        }
        record: dict[str, Any] = fields | {"is_built": bool(self.is_built)}
        return record | {"final_graph": self._lists().reshape(-1)} if self.is_built else record

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "NSG":
        """The graph that a file holds."""
        nsg = cls(record["R"])
        for name in ("ntotal", "L", "C", "search_L", "enterpoint"):
            nsg._begin(**{name: int(record[name])})
        if not record["is_built"]:
            return nsg
        n = nsg.ntotal
        lists = np.ascontiguousarray(record["final_graph"], np.int32).reshape(-1)
        offsets = np.arange(n + 1, dtype=np.uint64) * np.uint64(nsg.R)
        levels, ends = np.ones(n, np.int32), np.array([0, nsg.R], np.int32)
        entry = (nsg.enterpoint, 0) if n else (-1, -1)
        try:
            core = _steep.Hnsw.of(np.ones(1), ends, levels, offsets, lists, *entry)
        except ValueError as error:
            raise refused(str(error)) from None
        nsg._begin(_core=core, is_built=True)
        return nsg
