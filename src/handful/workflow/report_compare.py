"""The page about several runs: seeds as thin lines, their mean thick, settings as colours."""

import statistics
from html import escape

from handful.workflow import charts
from handful.workflow.charts import PALETTE, Series
from handful.workflow.progress import duration
from handful.workflow.report import Kind, RunData, mean_curve
from handful.workflow.report_page import figure, page, section

THRESHOLD = 0.9
"""Rolling training success that "steps to" and "time to" are told for."""


def comparison_page(kinds: list[Kind]) -> str:
    """Overlaid curves and one table row a run, as HTML text."""
    count = sum(len(kind.runs) for kind in kinds)
    tasks = sorted({str(r.config.get("task_name", "?")) for kind in kinds for r in kind.runs})
    head = (
        f'<header><p class="eyebrow">handful &middot; comparison</p>'
        f"<h1>{escape(', '.join(tasks).capitalize())}: {count} runs, {len(kinds)} "
        f"kind{'s' if len(kinds) > 1 else ''}</h1>"
        '<p class="lead">Runs that differ only in their seed share a colour; the thick line is '
        "their mean.</p></header>"
    )
    steps = _overlay(kinds, "env_steps", 1.0, "env steps")
    wall = _overlay(kinds, "wall_s", 1 / 60, "wall clock [min]")
    curves = section(
        "Success",
        "The exploring policy over its last 20 training episodes.",
        _key(kinds),
        '<div class="two">',
        figure(steps, "Over env steps"),
        figure(wall, "Over wall clock"),
        "</div>",
    )
    return page("handful: comparison", [head, curves, _table(kinds)])


def reached(
    run: RunData, over: str, threshold: float = THRESHOLD, episodes: int = 20
) -> float | None:
    """Where the rolling training success (of a full window) first was at ``threshold``, or None."""
    for i, event in enumerate(run.events("episode"), start=1):
        if i >= episodes and (event.get("rolling_success") or 0.0) >= threshold:
            return float(event[over])
    return None


def _overlay(kinds: list[Kind], over: str, scale: float, label: str) -> str:
    thin, thick = [], []
    for i, kind in enumerate(kinds):
        colour = PALETTE[i % len(PALETTE)]
        curves = [run.points("episode", "rolling_success", over, scale) for run in kind.runs]
        for run, curve in zip(kind.runs, curves, strict=True):
            alone = len(curves) == 1
            name = f"{kind.name}, seed {run.seed}"
            thin.append(Series(name, curve, colour, 2.6 if alone else 1.2, 1.0 if alone else 0.4))
        if len(curves) > 1:
            thick.append(Series(f"{kind.name}, mean", mean_curve(curves), colour, 2.8))
    return charts.line_chart(
        [*thin, *thick], x_label=label, y_label="success", y_range=(0.0, 1.0), percent=True
    )


def _key(kinds: list[Kind]) -> str:
    items = [
        f'<span><i style="background:{PALETTE[i % len(PALETTE)]}"></i>{escape(kind.name)} '
        f"({len(kind.runs)})</span>"
        for i, kind in enumerate(kinds)
    ]
    return f'<div class="key">{"".join(items)}</div>'


def _table(kinds: list[Kind]) -> str:
    rows = []
    for kind in kinds:
        for run in kind.runs:
            rows.append(_row(kind.name, str(run.seed), [run]))
        if len(kind.runs) > 1:
            rows.append(_row(f"{kind.name}, median", "", kind.runs, bold=True))
    head = (
        '<tr><th>run</th><th class="n">seed</th><th class="n">success</th>'
        '<th class="n">env steps</th><th class="n">wall clock</th>'
        f'<th class="n">steps to {THRESHOLD:.0%}</th>'
        f'<th class="n">time to {THRESHOLD:.0%}</th></tr>'
    )
    note = "Success: unseen episodes. Steps and time to: rolling success of the training episodes."
    return section("Numbers", note, f"<table>{head}{''.join(rows)}</table>")


def _row(name: str, seed: str, runs: list[RunData], bold: bool = False) -> str:
    rates = [run.result["success_rate"] for run in runs if run.result]
    last = [run.curve[-1] for run in runs if run.curve]
    to_steps = [reached(run, "env_steps") for run in runs]
    to_wall = [reached(run, "wall_s") for run in runs]

    def middle(values: list[float | None]) -> float | None:
        # A run that never got there is slower than any that did.
        known = sorted(float("inf") if v is None else v for v in values)
        value = statistics.median_high(known) if known else float("inf")
        return None if value == float("inf") else value

    steps, wall = middle(to_steps), middle(to_wall)
    cells = [
        f"{100 * statistics.median(rates):.1f} %" if rates else "-",
        f"{statistics.median([e['env_steps'] for e in last]):,.0f}" if last else "-",
        duration(statistics.median([e["wall_s"] for e in last])) if last else "-",
        f"{steps:,.0f}" if steps is not None else "never",
        duration(wall) if wall is not None else "never",
    ]
    numbers = "".join(f'<td class="n">{cell}</td>' for cell in [seed, *cells])
    style = ' style="font-weight:600"' if bold else ""
    return f"<tr{style}><td>{escape(name)}</td>{numbers}</tr>"
