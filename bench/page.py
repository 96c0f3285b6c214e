"""Results as one HTML file that needs nothing else: curves as inline SVG, tables, raw data."""

from __future__ import annotations

import json
from html import escape

from bench import chart
from bench.results import Run
from bench.tables import Table, tables

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem;
       padding: 0 1rem; color: #222; }
h1 { font-size: 1.5rem } h2 { font-size: 1.2rem; margin-top: 3rem }
p.note { color: #555; max-width: 50rem }
svg { max-width: 100%; height: auto }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums }
caption { text-align: left; font-weight: 600; padding-bottom: .3rem }
th, td { padding: .15rem .7rem; text-align: right; border-bottom: 1px solid #e5e5e5;
         white-space: nowrap }
th:first-child, td:first-child { text-align: left }
table.reasons td { text-align: left; white-space: normal }
tr.ours td { font-weight: 600; background: #fdf1ee }
@media (prefers-color-scheme: dark) { svg { background: #fff } }
"""

NOTE = (
    "Every engine ran in a process of its own, on the same vectors, the engines taking turns. "
    "Settings were chosen on one half of the queries and are reported on the other. Best and "
    "(median) of the repetitions; between two settings log QPS is taken as linear in the recall. "
    "On a shared machine trust the ratios within one run, never a bare time."
)


def render(runs: list[Run]) -> str:
    """The whole page."""
    body = "\n".join(_section(run) for run in runs)
    # "</" would end the script element early.
    raw = json.dumps([[r.header, *r.engines, *r.points] for r in runs]).replace("</", "<\\/")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>Steep: recall and speed</title><style>{STYLE}</style></head>\n"
        f'<body><h1>Recall and speed, side by side</h1><p class="note">{NOTE}</p>\n{body}\n'
        f'<script type="application/json" id="results">{raw}</script></body></html>\n'
    )


def _section(run: Run) -> str:
    machine = run.header["machine"]
    where = (
        f"{run.header['date']} · {machine['cpu']}, {machine['cores']} cores, "
        f"{machine['memory_gib']} GiB · {' '.join(machine['flags'])} · Python {machine['python']}"
    )
    picture = chart.svg(run) if run.points else ""
    return (
        f'<section><h2>{escape(run.title())}</h2><p class="note">{escape(where)}</p>{picture}'
        + "".join(_table(table) for table in tables(run))
        + "</section>"
    )


def _table(table: Table) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in table.columns)
    rows = "".join(
        f"<tr{' class=ours' if row[0].startswith('steep') else ''}>"
        + "".join(f"<td>{escape(cell)}</td>" for cell in row)
        + "</tr>"
        for row in table.rows
    )
    kind = ' class="reasons"' if "reason" in table.columns else ""
    return (
        f"<table{kind}><caption>{escape(table.caption)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    )
