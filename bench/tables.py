"""Results as tables: the same rows for the terminal and for the HTML page."""

from __future__ import annotations

from dataclasses import dataclass

from bench import curve
from bench.results import Record, Run


@dataclass(frozen=True)
class Table:
    """A caption, column names and rows of text; the first column names the engine."""

    caption: str
    columns: list[str]
    rows: list[list[str]]

    def text(self) -> str:
        """The table for a terminal, columns aligned, numbers to the right."""
        lines = [self.columns, *self.rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.columns))]
        return "\n".join(
            [
                self.caption,
                *(
                    "  ".join(
                        cell.ljust(w) if i == 0 else cell.rjust(w)
                        for i, (cell, w) in enumerate(zip(line, widths, strict=True))
                    ).rstrip()
                    for line in lines
                ),
            ]
        )


def tables(run: Run) -> list[Table]:
    """What an engine costs, then its speed in each panel, then who did not finish."""
    found = [_costs(run), *(_speeds(run, threads, mode) for threads, mode in run.panels())]
    failures = _failures(run)
    return [table for table in (*found, failures) if table.rows]


def _costs(run: Run) -> Table:
    rows = [
        [
            e["engine"],
            " ".join(f"{v}" for v in e["versions"].values()),
            e["dtype"],
            f"{e['build_seconds']:.2f}",
            # Weighed last, so an interrupted run has no such figures.
            number(e["bytes_per_vector"]) if "bytes_per_vector" in e else "–",
            f"{e['memory_peak_build_mib'] - e['memory_before_mib']:.0f}",
            f"{e['memory_peak_mib'] - e['memory_before_mib']:.0f}" if "memory_peak_mib" in e else "–",
            f"{e['raw_mib']:.0f}",
        ]
        for e in run.engines
        if e["status"] == "ok"
    ]
    columns = ["engine", "version", "input", "build s", "B/vector", "peak: build", "+search", "raw"]
    threads = max((e["build_threads"] for e in run.engines if e["status"] == "ok"), default=0)
    return Table(f"Cost (build with {threads} threads; peaks in MiB over the raw data)", columns, rows)


def _speeds(run: Run, threads: int, mode: str) -> Table:
    single = mode == "single"
    columns = ["engine", *(f"QPS@{t:.2f}" for t in curve.TARGETS), "top recall"]
    if single:
        columns += ["recall≥.95: mean µs", "p50 µs", "p99 µs"]
    rows = []
    for engine in (e["engine"] for e in run.engines):
        points = run.select(engine, threads, mode)
        if not points:
            continue
        best = run.curve(engine, threads, mode, "qps_best")
        median = run.curve(engine, threads, mode, "qps_median")
        cells = [_pair(curve.qps_at(best, target), curve.qps_at(median, target)) for target in curve.TARGETS]
        row = [engine, *cells, f"{points[-1]['recall']:.4f}"]
        rows.append(row + _latencies(points) if single else row)
    how = "one query a call" if single else "batch"
    plural = "thread" if threads == 1 else "threads"
    return Table(f"QPS best (median): {how}, {threads} {plural}", columns, rows)


def _latencies(points: list[Record]) -> list[str]:
    """Of the fastest setting measured that has a recall of 0.95."""
    good = [p for p in points if p["recall"] >= 0.95]
    if not good:
        return ["–"] * 3
    fastest = min(good, key=lambda p: p["mean_us"])
    return [number(fastest[key]) for key in ("mean_us", "p50_us", "p99_us")]


def _failures(run: Run) -> Table:
    rows = [
        [e["engine"], e["status"], e["reason"].splitlines()[0][:160]]
        for e in run.engines
        if e["status"] != "ok"
    ]
    return Table("Not in the race", ["engine", "status", "reason"], rows)


def _pair(best: float | None, median: float | None) -> str:
    if best is None:
        return "–"
    return f"{number(best)} ({number(median)})" if median is not None else number(best)


def number(value: float) -> str:
    """Three significant digits, thousands apart."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
