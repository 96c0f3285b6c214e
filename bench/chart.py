"""Recall–QPS curves as a picture: one drawing for PNG and for the SVG inside the page."""

from __future__ import annotations

import io
import math
import re
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

from bench import curve
from bench.results import Run

# Hue tells the library; shades and markers tell the variants of one library apart.
HUES = {
    "steep": ["#d62828", "#f4845f"],
    "faiss": ["#08306b", "#2171b5", "#4292c6", "#6baed6", "#0a9396", "#63b7af", "#94d2bd"],
    "hnswlib": ["#2d6a2d", "#74b72e"],
    "usearch": ["#7b2cbf", "#a663cc", "#c8a2e8"],
    "svs": ["#7f4f24", "#a67c52", "#b08968", "#5c4033", "#936639", "#c8a97e"],
    "symqg": ["#e09f00", "#f6c453"],
    "rabitq": ["#ff7b00", "#b35600"],
    "scann": ["#e0218a"],
}
OTHERS = ["#444444", "#888888", "#111111", "#bbbbbb"]
MARKERS = "oDs^vPX"

# Recall is drawn as -log10(1 - recall): near 1 each step costs as much as all before it.
TICKS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)
CEILING = 0.9995  # where "exact" is drawn


def draw(run: Run) -> Figure:
    """A panel for each mode (rows) and number of threads (columns), one legend for all."""
    panels = run.panels()
    threads = sorted({t for t, _ in panels})
    modes = sorted({m for _, m in panels})
    measured = {p["engine"] for p in run.points}
    styles = _styles([e["engine"] for e in run.engines if e["engine"] in measured])
    figure, axes = plt.subplots(
        len(modes),
        len(threads),
        figsize=(5.6 * len(threads) + 2.4, 4.2 * len(modes) + 0.6),
        sharex=True,
        sharey="row",
        squeeze=False,
        layout="constrained",
    )
    for row, mode in enumerate(modes):
        for column, count in enumerate(threads):
            panel = axes[row][column]
            _panel(panel, run, count, mode, styles)
            if column == 0:
                panel.set_ylabel("queries a second")
            if row == len(modes) - 1:
                panel.set_xlabel(f"recall@{run.header['k']}")
    handles = [
        plt.Line2D([], [], color=color, marker=marker, label=name, markersize=6)
        for name, (color, marker) in styles.items()
    ]
    figure.legend(handles=handles, loc="outside right upper", frameon=False)
    figure.suptitle(run.title(), fontsize=11)
    return figure


def _styles(engines: list[str]) -> dict[str, tuple[str, str]]:
    used: dict[str, int] = {}
    styles = {}
    for engine in engines:
        family = engine.partition("-")[0]
        family = family if family in HUES else ""
        shades = HUES.get(family, OTHERS)
        variant = used.get(family, 0)
        used[family] = variant + 1
        styles[engine] = (shades[variant % len(shades)], MARKERS[variant % len(MARKERS)])
    return styles


def _panel(axes: Axes, run: Run, threads: int, mode: str, styles: dict[str, tuple[str, str]]) -> None:
    for engine, (color, marker) in styles.items():
        front = curve.pareto(run.curve(engine, threads, mode, "qps_best"))
        if not front:
            continue
        ours = engine.startswith("steep")
        axes.plot(
            [_position(recall) for recall, _ in front],
            [qps for _, qps in front],
            color=color,
            marker=marker,
            markersize=8 if len(front) == 1 else 6 if ours else 4,
            linewidth=2.6 if ours else 1.5,
            zorder=3 if ours else 2,
            clip_on=False,
        )
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_locator(FixedLocator([*map(_position, TICKS), _position(1.0)]))
    axes.set_xticklabels([*(f"{t:g}".lstrip("0") for t in TICKS), "1"])
    axes.set_xlim(_position(TICKS[0]) - 0.02, _position(1.0) + 0.08)
    axes.grid(True, which="major", color="#d9d9d9", linewidth=0.7)
    axes.grid(True, which="minor", axis="y", color="#efefef", linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    how = "one query a call" if mode == "single" else "batch"
    axes.set_title(f"{how}, {threads} thread{'s' if threads > 1 else ''}", fontsize=10)


def _position(recall: float) -> float:
    return -math.log10(1.0 - min(max(recall, 0.0), CEILING))


def save_png(run: Run, path: Path) -> None:
    """Write the picture, 150 dots an inch."""
    figure = draw(run)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def svg(run: Run) -> str:
    """The picture as an <svg> element for an HTML page, without any address in it."""
    buffer = io.StringIO()
    with plt.rc_context({"svg.fonttype": "none", "svg.hashsalt": run.header["run"]}):
        figure = draw(run)
        figure.savefig(buffer, format="svg", metadata={"Date": None})
        plt.close(figure)
    element = buffer.getvalue()
    element = element[element.index("<svg") :]
    # HTML needs no name spaces, and the metadata only name the program.
    element = re.sub(r"<metadata>.*?</metadata>", "", element, flags=re.DOTALL)
    return re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", element)
