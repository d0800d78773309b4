"""Curves of ``handful bench dmc`` as SVG files: of each name, of each task, of a group of tasks.

They are drawn from the CSVs alone (``dmc_results``) and need no file or font from outside.
"""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from handful.workflow.charts import FAINT, INK, PALETTE, Series, line_chart
from handful.workflow.dmc_plan import task_groups, told_name
from handful.workflow.dmc_published import Published, by_name
from handful.workflow.dmc_results import Run
from handful.workflow.results import write_text

_STYLE = (
    "<style>text{font-family:sans-serif;font-size:11px;fill:#6b7480}"
    ".axis{font-size:12px;fill:#1f2733}.name{font-size:12px;fill:#1f2733}</style>"
    '<rect width="100%" height="100%" fill="#fff"/>'
)
_PANEL_PX, _COLUMNS = (340, 236), 3


def plot(runs: Sequence[Run], published: Sequence[Published]) -> str:
    """The runs of one task and name as an SVG file: a thin line a seed, their mean, the papers."""
    task, name = runs[0].head["task"], told_name(runs[0].head)
    series = [
        Series(f"seed {run.head['seed']}", run.points, PALETTE[0], width=1.0, opacity=0.45)
        for run in runs
    ]
    series.append(Series(f"mean of {len(runs)}", _means(runs), PALETTE[0], width=2.4))
    reach = max((mark for run in runs for mark, _ in run.points), default=0)
    told = [f"{task}, {name}: mean of {len(runs)} seed{'s' if len(runs) > 1 else ''}"]
    for index, known in enumerate(published):
        found = known.tasks.get(task)
        if (
            found is None
            or not known.stands_beside(runs[0].head["method"])
            or known.env_steps > reach
        ):
            continue
        colour = PALETTE[1 + index % (len(PALETTE) - 1)]
        series.append(_ring(known, task, colour))
        told.append(f"o {known.name}: {found[0]:g}")
    return _file(series, told)


def plot_task(groups: Sequence[Sequence[Run]]) -> str:
    """All names of one task in one SVG file, the mean over seeds of each: pixels beside states."""
    series, told = [], [str(groups[0][0].head["task"])]
    for index, runs in enumerate(groups):
        name, colour = told_name(runs[0].head), PALETTE[index % len(PALETTE)]
        again = index >= len(PALETTE)  # a colour's second name is dashed
        series.append(Series(name, _means(runs), colour, dashed=again))
        seeds = f"mean of {len(runs)} seeds" if len(runs) > 1 else "1 seed"
        told.append(f"{name}: {seeds}{', dashed' if again else ''}")
    return _file(series, told, [FAINT, *(s.colour for s in series)], beside_px=350)


def plot_group(
    tasks: Sequence[str], runs: Sequence[Run], published: Sequence[Published]
) -> str | None:
    """A small chart a task: the mean over seeds of each name, and published ones as rings.

    Names are those measured on more than half of ``tasks``; None when there is none.
    """
    ours = by_name([run for run in runs if run.points], tasks)
    if not ours:
        return None
    reach = max(run.points[-1][0] for of in ours.values() for seeds in of.values() for run in seeds)
    rings = [known for known in published if known.landmark and known.env_steps <= reach]
    pens = dict(zip([*ours, *(r.name for r in rings)], [*PALETTE, *PALETTE], strict=False))
    width, height = _PANEL_PX
    body = []
    for index, task in enumerate(tasks):
        series = [Series("", [(reach, 0.0)], line=False)]  # axes also where nothing was run
        series += [
            Series(name, _means(of[task]), pens[name]) for name, of in ours.items() if task in of
        ]
        series += [_ring(known, task, pens[known.name]) for known in rings if task in known.tasks]
        chart = line_chart(
            series,
            x_label="environment steps",
            y_label=task,
            y_range=(0.0, _top(series)),
            width=width,
            height=height,
            right=24,
        )
        x, y = index % _COLUMNS * width, index // _COLUMNS * (height + 26) + 26
        place = f'<svg x="{x}" y="{y}" width="{width}" height="{height}" '
        title = f'<text class="axis" x="{x + 52}" y="{y}">{task.replace("_", " ")}</text>'
        body.append(title + chart.replace("<svg ", place, 1))
    below = -(-len(tasks) // _COLUMNS) * (height + 26) + 40
    for index, name in enumerate(pens):
        x, y = index % _COLUMNS * width + 52, below + index // _COLUMNS * 18
        counts = sorted({len(seeds) for seeds in ours.get(name, {}).values()})
        told = f"{_span(counts)} on {len(ours[name])} tasks" if counts else "published mean"
        body.append(
            f'<text class="name" x="{x}" y="{y}" style="fill:{pens[name]}">'
            f"{'—' if counts else 'o'} {_escape(name)}: {told}</text>"
        )
    whole = (width * _COLUMNS, below + -(-len(pens) // _COLUMNS) * 18)
    size = f'viewBox="0 0 {whole[0]} {whole[1]}" role="img" aria-label="{len(tasks)} tasks"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{_STYLE}{"".join(body)}</svg>\n'


def write_plots(
    runs: Sequence[Run], published: Sequence[Published], results: Path | None = None
) -> list[Path]:
    """Draw all there is; the files that were written.

    ``curve.svg`` beside the CSVs of each task and name and, with several names, in the task's
    folder; in ``results`` a picture of each group of tasks of ``config/bench/dmc.yaml``.
    """
    folders: dict[Path, list[Run]] = {}
    for run in runs:
        if run.points:
            folders.setdefault(run.path.parent, []).append(run)
    drawn = {folder / "curve.svg": plot(seeds, published) for folder, seeds in folders.items()}
    tasks: dict[Path, list[list[Run]]] = {}
    for folder, together in folders.items():
        tasks.setdefault(folder.parent, []).append(together)
    several = {folder: groups for folder, groups in tasks.items() if len(groups) > 1}
    drawn |= {folder / "curve.svg": plot_task(groups) for folder, groups in several.items()}
    if results is not None:
        for word, of in task_groups().items():
            if (picture := plot_group(of, runs, published)) is not None:
                drawn[results / f"{word}.svg"] = picture
    for path, text in drawn.items():
        write_text(path, text)
    return list(drawn)


def _file(
    series: Sequence[Series], told: Sequence[str], colours: Sequence[str] = (), beside_px: int = 0
) -> str:
    """A chart that stands alone, with lines of words in its corner, or in a column beside it."""
    ys = [y for s in series for _, y in s.points if y is not None]
    y_range = (min([0.0, *ys]), _top(series))
    width, right = 560 + beside_px, 26 + beside_px
    chart = line_chart(
        series,
        x_label="environment steps",
        y_label="return",
        y_range=y_range,
        width=width,
        right=right,
    )
    x = width - right + 26 if beside_px else 60
    words = "".join(
        f'<text class="name" x="{x}" y="{24 + 16 * i}" style="fill:{colour}">{_escape(line)}</text>'
        for i, (line, colour) in enumerate(zip(told, colours or [INK] * len(told), strict=True))
    )
    chart = chart.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    first = chart.index(">") + 1
    return f"{chart[:first]}{_STYLE}{chart[first:].replace('</svg>', words + '</svg>')}\n"


def _ring(known: Published, task: str, colour: str) -> Series:
    return Series(
        known.name, [(known.env_steps, known.tasks[task][0])], colour, dots=True, line=False
    )


def _means(runs: Sequence[Run]) -> list[tuple[float, float | None]]:
    """The mean over seeds at the marks that all of them have come to."""
    marks = sorted(set.intersection(*({mark for mark, _ in run.points} for run in runs)))
    return [(mark, statistics.fmean(_known(run.at(mark) for run in runs))) for mark in marks]


def _top(series: Sequence[Series]) -> float:
    most = max((y for s in series for _, y in s.points if y is not None), default=0.0)
    return 1000.0 if most <= 1000.0 else 1.06 * most


def _known(values: Any) -> list[float]:
    return [value for value in values if value is not None]


def _span(counts: Sequence[int]) -> str:
    few, most = counts[0], counts[-1]
    return f"{few} to {most} seeds" if few < most else f"{most} seed{'s' if most > 1 else ''}"


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
