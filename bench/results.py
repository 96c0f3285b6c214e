"""Results as JSON lines: one object a line, each with the run it belongs to.

kind "run": machine, date, data set, settings. kind "engine": status, build seconds, bytes,
memory, versions. kind "point": one engine at one setting, with its recall and its speed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

Record = dict


@dataclass
class Run:
    """What one run wrote, sorted by kind."""

    header: Record
    engines: list[Record] = field(default_factory=list)
    points: list[Record] = field(default_factory=list)

    def curve(self, engine: str, threads: int, mode: str, speed: str) -> list[tuple[float, float]]:
        """(recall, QPS) of an engine; `speed` is "qps_best" or "qps_median"."""
        return [(p["recall"], p[speed]) for p in self.select(engine, threads, mode)]

    def select(self, engine: str, threads: int, mode: str) -> list[Record]:
        """The points of one curve, by rising recall."""
        chosen = [
            p
            for p in self.points
            if (p["engine"], p["threads"], p["mode"]) == (engine, threads, mode)
        ]
        return sorted(chosen, key=lambda p: p["recall"])

    def panels(self) -> list[tuple[int, str]]:
        """The (threads, mode) pairs measured, batch first."""
        return sorted({(p["threads"], p["mode"]) for p in self.points}, key=lambda p: (p[1], p[0]))

    def title(self) -> str:
        """One line that says on what and where."""
        head = self.header
        label = f"{head['data']} (synthetic)" if head["synthetic"] else head["data"]
        return (
            f"{label}: {head['n']:,} × {head['d']} {head['metric']}, recall@{head['k']}, "
            f"{head['machine']['cpu']}"
        )


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
    """Records by run; those of other kinds (as the exact-search gate writes) are left out."""
    runs: dict[str, Run] = {}
    for record in records:
        kind = record["kind"]
        if kind == "run":
            runs[record["run"]] = Run(record)
        elif kind == "engine":
            runs[record["run"]].engines.append(record)
        elif kind == "point":
            runs[record["run"]].points.append(record)
    return list(runs.values())
