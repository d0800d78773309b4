"""The page about several runs: seeds as thin lines, their mean thick, settings as colours."""

import statistics
from html import escape

from handful.workflow import charts
from handful.workflow.charts import PALETTE, Series
from handful.workflow.progress import duration
from handful.workflow.report import Kind, RunData, mean_curve
from handful.workflow.report_frame import figure, page, section

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
    curves = [_curves(kinds, False)]
    if _checked(kinds):
        curves.append(_curves(kinds, True))
    return page("handful: comparison", [head, *curves, _table(kinds)])


def reached(
    run: RunData, over: str, checks: bool = False, threshold: float = THRESHOLD, window: int = 20
) -> float | None:
    """Where success first was at ``threshold``, or None: checks, or rolling (a full window)."""
    kind, key = ("check", "success_rate") if checks else ("episode", "rolling_success")
    for i, event in enumerate(run.events(kind), start=1):
        if (checks or i >= window) and (event.get(key) or 0.0) >= threshold:
            return float(event[over])
    return None


def _checked(kinds: list[Kind]) -> bool:
    """Whether every run was evaluated while it trained."""
    return all(run.events("check") for kind in kinds for run in kind.runs)


def _curves(kinds: list[Kind], checks: bool) -> str:
    steps = _overlay(kinds, checks, "env_steps", 1.0, "env steps")
    wall = _overlay(kinds, checks, "wall_s", 1 / 60, "wall clock [min]")
    title, note = (
        ("Success, checked", "The deterministic policy, in worlds used for nothing else.")
        if checks
        else ("Success in training", "The exploring policy over its last 20 training episodes.")
    )
    return section(
        title,
        note,
        _key(kinds),
        '<div class="two">',
        figure(steps, "Over env steps"),
        figure(wall, "Over wall clock"),
        "</div>",
    )


def _overlay(kinds: list[Kind], checks: bool, over: str, scale: float, label: str) -> str:
    thin, thick = [], []
    for i, kind in enumerate(kinds):
        colour = PALETTE[i % len(PALETTE)]
        curves = [
            run.points("check", "success_rate", over, scale) if checks else run.success(over, scale)
            for run in kind.runs
        ]
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
    rows, checks = [], _checked(kinds)
    for kind in kinds:
        if len(kind.runs) > 1:
            name = f"{kind.name}: median of {len(kind.runs)}"
            rows.append(_row(name, kind.runs, checks, bold=True))
        for run in sorted(kind.runs, key=lambda r: r.seed):
            name = f"seed {run.seed}" if len(kind.runs) > 1 else f"{kind.name}, seed {run.seed}"
            rows.append(_row(name, [run], checks))
    head = (
        '<tr><th>run</th><th class="n">success</th>'
        '<th class="n">env steps</th><th class="n">wall clock</th>'
        f'<th class="n">steps to {THRESHOLD:.0%}</th>'
        f'<th class="n">time to {THRESHOLD:.0%}</th></tr>'
    )
    of = "checks" if checks else "the training episodes, rolling"
    note = f"Success: unseen episodes, with 95 % interval. Steps and time to: success of {of}."
    return section("Numbers", note, f"<table>{head}{''.join(rows)}</table>")


def _row(name: str, runs: list[RunData], checks: bool, bold: bool = False) -> str:
    rates = [run.result["success_rate"] for run in runs if run.result]
    last = [run.curve[-1] for run in runs if run.curve]
    to_steps = [reached(run, "env_steps", checks) for run in runs]
    to_wall = [reached(run, "wall_s", checks) for run in runs]

    def middle(values: list[float | None]) -> float | None:
        # A run that never got there is slower than any that did.
        known = sorted(float("inf") if v is None else v for v in values)
        value = statistics.median_high(known) if known else float("inf")
        return None if value == float("inf") else value

    steps, wall = middle(to_steps), middle(to_wall)
    success = f"{100 * statistics.median(rates):.1f} %" if rates else "-"
    if len(runs) == 1 and rates:
        r = runs[0].result
        success += f" ({100 * r['success_low']:.0f} to {100 * r['success_high']:.0f})"
    cells = [
        success,
        f"{statistics.median([e['env_steps'] for e in last]):,.0f}" if last else "-",
        duration(statistics.median([e["wall_s"] for e in last])) if last else "-",
        f"{steps:,.0f}" if steps is not None else "never",
        duration(wall) if wall is not None else "never",
    ]
    numbers = "".join(f'<td class="n">{cell}</td>' for cell in cells)
    style = ' style="font-weight:600"' if bold else ""
    return f"<tr{style}><td>{escape(name)}</td>{numbers}</tr>"
