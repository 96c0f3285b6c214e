"""Results as JSON lines: one object a line, each with the run it belongs to.

kind "run": machine, date, data set, settings. kind "engine": status, build seconds, bytes,
memory, versions (written after the build and again at the end: the last one counts). kind
"timing": one engine at one setting in one round, with its recall and its speed.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

Record = dict


@dataclass
class Run:
    """What one run wrote: a record for each engine, a point for each setting of each engine."""

    header: Record
    engines: list[Record] = field(default_factory=list)
    points: list[Record] = field(default_factory=list)

    def curve(self, engine: str, threads: int, mode: str, speed: str) -> list[tuple[float, float]]:
        """(recall, QPS) of an engine; `speed` is "qps_best" or "qps_median"."""
        return [(p["recall"], p[speed]) for p in self.select(engine, threads, mode)]

    def select(self, engine: str, threads: int, mode: str) -> list[Record]:
        """The points of one curve, by rising recall."""
        chosen = [p for p in self.points if (p["engine"], p["threads"], p["mode"]) == (engine, threads, mode)]
        return sorted(chosen, key=lambda p: p["recall"])

    def panels(self) -> list[tuple[int, str]]:
        """The (threads, mode) pairs measured, batch first."""
        return sorted({(p["threads"], p["mode"]) for p in self.points}, key=lambda p: (p[1], p[0]))

    def title(self) -> str:
        """One line that says on what and where."""
        head = self.header
        return (
            f"{label(head)}: {head['n']:,} × {head['d']} {head['metric']}, recall@{head['k']}, "
            f"{head['machine']['cpu']}"
        )


def label(header: Record) -> str:
    """The data set's name as it is printed: generated data always says so."""
    return f"{header['data']} (synthetic)" if header["synthetic"] else header["data"]


def write(path: Path, records: Iterable[Record]) -> list[Record]:
    """Append each record as it comes, so that an interrupted run keeps what it measured."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = []
    with open(path, "a") as file:
        for record in records:
            file.write(json.dumps(record) + "\n")
            file.flush()
            kept.append(record)
    return kept


def read(paths: Iterable[Path]) -> list[Run]:
    """The runs of some files, in their order."""
    lines = [line for path in paths for line in Path(path).read_text().splitlines()]
    return group(json.loads(line) for line in lines if line.strip())


def group(records: Iterable[Record]) -> list[Run]:
    """Records by run; those of the exact-search gate are left out."""
    headers: dict[str, Record] = {}
    engines: dict[str, dict[str, Record]] = {}
    timings: dict[str, dict[tuple, list[Record]]] = {}
    for record in records:
        kind, run = record["kind"], record["run"]
        if kind == "run":
            headers[run], engines[run], timings[run] = record, {}, {}
        elif run not in headers:
            continue
        elif kind == "engine":
            engines[run][record["engine"]] = record
        elif kind == "timing":
            setting = tuple(str(record[key]) for key in ("engine", "threads", "mode", "knobs"))
            timings[run].setdefault(setting, []).append(record)
    return [
        Run(header, list(engines[run].values()), [merge(t) for t in timings[run].values()])
        for run, header in headers.items()
    ]


def merge(rounds: list[Record]) -> Record:
    """The rounds of one setting as one point: best of the best, median of everything else."""
    point = dict(rounds[0])
    del point["round"]
    for key in ("qps_median", "mean_us", "p50_us", "p99_us"):
        if key in point:
            point[key] = statistics.median(r[key] for r in rounds)
    point["qps_best"] = max(r["qps_best"] for r in rounds)
    return point
