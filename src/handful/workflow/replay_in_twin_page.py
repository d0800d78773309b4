"""The page about a replay: tip, opening and pictures of the twin beside what was recorded."""

from html import escape

import cv2
import numpy as np
from numpy.typing import NDArray

from handful.workflow import charts, film
from handful.workflow.charts import PALETTE, Series
from handful.workflow.identify import Identified, PathError
from handful.workflow.identify_friction import Friction
from handful.workflow.identify_path import Played, Recorded
from handful.workflow.replay_in_twin import Gap
from handful.workflow.report_frame import figure, page, section

Pixels = NDArray[np.uint8]
Array = NDArray[np.float64]

_SHOWN = 6
_SIDE_PX = 168


def replay_page(gap: Gap) -> str:
    """One replay as a self-contained HTML document."""
    head = _header(
        f"{gap.recorded.name}: the twin is {1000 * gap.path.mean_m:.1f} mm off",
        "The commands that were sent in this episode, played in the twin at the moments they were "
        "sent, without feedback. "
        + (
            "The scene was put up as its seed says."
            if gap.scene
            else "The arm alone was put where it was; the table is empty."
        ),
    )
    tiles = [
        (f"{1000 * gap.path.mean_m:.1f} mm", "tool path error, mean"),
        (f"{1000 * gap.path.p95_m:.1f} mm", "tool path error, 95 %"),
        (f"{1000 * gap.path.max_m:.1f} mm", "tool path error, largest"),
        (f"{1000 * gap.late_s:+.0f} ms", "the recording comes later by"),
        (f"{1000 * gap.aligned.mean_m:.1f} mm", "mean error, that taken out"),
        (f"{1000 * np.abs(gap.gripper_m).mean():.1f} mm", "opening error, mean"),
    ]
    for name, one in gap.likeness.items():
        moved = "" if one.overlap is None else f", moved parts overlap {one.overlap:.2f}"
        tiles.append((f"{one.ssim.mean():.3f}", f"SSIM of {name}, mean{moved}"))
    body = [
        head,
        tile_row(tiles),
        section(
            "Tool path",
            "Recorded against the twin, in the arm's base frame.",
            *path_figures(gap.recorded, [("twin", gap.played)]),
        ),
        section(
            "Opening", "What the fingers hold in one world they may miss in the other.", _grip(gap)
        ),
        *(_pictures(name, gap) for name in gap.likeness),
        "<footer>handful replay</footer>",
    ]
    return page(f"handful: replay of {gap.recorded.name}", body)


def identify_page(
    found: Identified,
    shown: Recorded,
    before: Played,
    after: Played,
    friction: Friction | str = "not asked for",
) -> str:
    """What identification changed, on one of the episodes that were kept apart where there are."""
    kept = found.held_before is not None
    first, last = found.held_before or found.before, found.held_after or found.after
    head = _header(
        f"The twin's path error went from {1000 * first.mean_m:.1f} to {1000 * last.mean_m:.1f} mm",
        f"Fitted to {len(found.episodes)} episodes, "
        + (f"judged on {len(found.held_out)} others. " if kept else "judged on the same. ")
        + f"{found.simulations} simulations.",
    )
    values = "".join(
        f"<tr><td>{escape(key)}</td><td>{value:g}</td></tr>" for key, value in found.values.items()
    )
    body = [
        head,
        section(
            "Tool path error [mm]",
            "Without feedback, at the moments of measurement.",
            _error_table(found),
        ),
        section("What was found", "Settings of the twin.", f"<table>{values}</table>"),
        section(
            "Before and after",
            f"Episode {shown.name}, in the arm's base frame.",
            *path_figures(shown, [("before", before), ("after", after)]),
        ),
        _rubbing(friction),
        "<footer>handful identify</footer>",
    ]
    return page("handful: identification of the twin", body)


def path_figures(path: Recorded, twins: list[tuple[str, Played]], late_s: float = 0.0) -> list[str]:
    """Charts of x, y, z and of the distance over time; the recording is drawn as dots."""
    figures = []
    colours = [PALETTE[1], PALETTE[2]]
    for axis, name in enumerate("xyz"):
        series = [
            Series(label, _line(path.t_s, 100.0 * one.tip_at(path.t_s, late_s)[:, axis]), colour)
            for (label, one), colour in zip(twins, colours, strict=False)
        ]
        dots = _line(path.t_s, 100.0 * path.p_BT_m[:, axis])
        series.append(Series("recorded", dots, PALETTE[0], dots=True, line=False))
        svg = charts.line_chart(series, x_label="time [s]", y_label=f"{name} [cm]", height=220)
        figures.append(figure(svg, f"Tip, {name} [cm]", legend(series)))
    misses = []
    for (label, one), colour in zip(twins, colours, strict=False):
        miss_mm = 1000.0 * np.linalg.norm(path.p_BT_m - one.tip_at(path.t_s, late_s), axis=1)
        misses.append(Series(label, _line(path.t_s, miss_mm), colour, dots=True))
    svg = charts.line_chart(misses, x_label="time [s]", y_label="distance [mm]", height=220)
    figures.append(
        figure(svg, "Distance of the twin's tip from the recorded one [mm]", legend(misses))
    )
    return figures


def legend(series: list[Series]) -> str:
    """Which colour is what, in words; the lines' own titles say it too."""
    names = {PALETTE[0]: "blue", PALETTE[1]: "orange", PALETTE[2]: "green"}
    return ", ".join(f"{names.get(one.colour, one.colour)}: {one.name}" for one in series)


def tile_row(tiles: list[tuple[str, str]]) -> str:
    """Large numbers with what they are, as other reports have them."""
    inside = "".join(
        f'<div class="tile"><b>{escape(value)}</b><span>{escape(what)}</span></div>'
        for value, what in tiles
    )
    return f'<div class="tiles">{inside}</div>'


def _header(title: str, lead: str) -> str:
    return (
        f'<header><p class="eyebrow">handful</p><h1>{escape(title)}</h1>'
        f'<p class="lead">{escape(lead)}</p></header>'
    )


def _rubbing(friction: Friction | str) -> str:
    if isinstance(friction, str):
        return section("Friction", f"Not fitted: {escape(friction)}.")
    curve = [Series("error", [(x, 1000.0 * y) for x, y in friction.curve], PALETTE[2], dots=True)]
    svg = charts.line_chart(curve, x_label="friction of the table", y_label="[mm]", height=220)
    return section(
        f"Path error of {escape(friction.thing)} [mm]",
        f"On the table, in {len(friction.episodes)} fitted episodes in which it slid and "
        f"{len(friction.held_out)} kept apart; motors and delay are the fitted ones throughout, "
        f"friction alone differs. Found: {friction.table_friction:g}; from {friction.low:.2f} to "
        f"{friction.high:.2f} the error is at most half as much again.",
        _error_table(friction),
        figure(svg, "Mean distance of the twin's thing from the recorded one [mm]"),
    )


def _error_table(found: Identified | Friction) -> str:
    rows = "".join(
        f"<tr><td>{escape(name)}</td>"
        + "".join(f"<td>{1000 * value:.2f}</td>" for value in vars(error).values())
        + "</tr>"
        for name, error in _errors(found)
    )
    return (
        "<table><tr><th></th><th>mean</th><th>95 %</th><th>largest</th><th>rms</th></tr>"
        f"{rows}</table>"
    )


def _errors(found: Identified | Friction) -> list[tuple[str, PathError]]:
    rows = [("fitted episodes, before", found.before), ("fitted episodes, after", found.after)]
    if found.held_before is not None and found.held_after is not None:
        rows += [("kept apart, before", found.held_before), ("kept apart, after", found.held_after)]
    return rows


def _grip(gap: Gap) -> str:
    t_s = gap.recorded.t_s
    series = [
        Series("twin", _line(t_s, 1000.0 * gap.played.gripper_at(t_s)), PALETTE[1]),
        Series(
            "recorded",
            _line(t_s, 1000.0 * gap.recorded.gripper_m),
            PALETTE[0],
            dots=True,
            line=False,
        ),
    ]
    svg = charts.line_chart(series, x_label="time [s]", y_label="opening [mm]", height=220)
    return figure(svg, "Opening between the fingers [mm]", legend(series))


def _pictures(name: str, gap: Gap) -> str:
    one = gap.likeness[name]
    t_s, count = gap.recorded.t_s, len(one.pairs)
    svg = charts.line_chart(
        [Series("SSIM", _line(t_s[:count], one.ssim), PALETTE[2], dots=True)],
        x_label="time [s]",
        y_label="SSIM",
        y_range=(min(0.5, float(one.ssim.min())), 1.0),
        height=200,
    )
    picks = sorted({round(k) for k in np.linspace(0, count - 1, min(_SHOWN, count))})
    strip = np.vstack(
        [np.hstack([_large(one.pairs[k][side]) for k in picks]) for side in (0, 1)]
        + [np.hstack([_apart(*one.pairs[k]) for k in picks])]
    )
    source = film.data_uri(film.png(strip), "image/png")
    image = f'<img style="width:100%" alt="recorded, twin, difference" src="{source}">'
    moments = ", ".join(f"{t_s[k]:.1f} s" for k in picks)
    return section(
        f"Pictures of {name}",
        f"Recorded above, the twin below it, and where they differ; at {moments}.",
        image,
        figure(svg, "Structural similarity, exposure matched"),
    )


def _line(t_s: Array, values: Array) -> list[tuple[float, float | None]]:
    return [(float(x), float(y)) for x, y in zip(t_s, values, strict=True)]


def _large(pixels: Pixels) -> Pixels:
    large = cv2.resize(pixels, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_NEAREST)
    return np.asarray(np.pad(large, ((2, 2), (2, 2), (0, 0)), constant_values=255), np.uint8)


def _apart(one: Pixels, two: Pixels) -> Pixels:
    apart = np.abs(one.astype(np.int16) - two).max(axis=2)
    shade = (255 - np.clip(3 * apart, 0, 255)).astype(np.uint8)
    return _large(np.repeat(shade[:, :, None], 3, axis=2))
