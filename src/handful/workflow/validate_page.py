"""The page about one certificate: may it act, how far is it from failing, and how does it fail."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from handful.rig.certificate import PARTS, Certificate
from handful.workflow import charts, film
from handful.workflow.charts import BAD, FAINT, GRID, PALETTE, Plot, Series
from handful.workflow.report_frame import figure, page, section
from handful.workflow.results import write_text

_WORDS = {
    "episodes": "episodes",
    "violations": "commands outside a limit",
    "faults": "episodes ended by a fault",
    "held_share": "share of actions the guard would not obey",
    "max_measured_speed_m_s": "fastest tip [m/s]",
    "stop_share": "share of episodes its own collision stop would end",
    "max_force_n": "hardest push, 0.1 s mean [N]",
    "success_low": "success, lower end of 95 %",
}


@dataclass(frozen=True)
class Film:
    """One failed episode. frames: (H, W, 3) uint8 RGB; rate_hz: of them."""

    severity: str
    seed: int
    frames: Sequence[film.Picture]
    rate_hz: float


def write_page(certificate: Certificate, films: Sequence[Film], path: Path) -> Path:
    """Write the page, self-contained; returns its path."""
    values = certificate.values
    severities: list[dict[str, Any]] = list(values["severities"])
    parts = [
        _header(certificate),
        _tiles(severities),
        _severities(severities, values["thresholds"]),
        _findings(values["verdict"]["findings"], [s["name"] for s in severities]),
        _guard(severities),
        _sensitivity(values["sensitivity"]),
        _films(films),
        _bound(certificate),
    ]
    write_text(path, page(f"handful: certificate {certificate.id[:12]}", [p for p in parts if p]))
    return path


def _header(certificate: Certificate) -> str:
    verdict, task = certificate.values["verdict"], certificate.task.capitalize()
    if verdict["passed"]:
        title, lead = f"{task}: may act on the arm", "It met every demand in the twin."
    elif verdict["safe"]:
        title = f"{task}: may learn on the arm, not act for a result"
        lead = "It did no harm in the twin, and it does not succeed often enough."
    else:
        title, lead = f"{task}: may not act on the arm", "It broke a demand on safety in the twin."
    failed = "".join(f"<li>{escape(s)}</li>" for s in verdict["failures"])
    until = certificate.values["expires"][:10]
    return (
        f'<header><p class="eyebrow">handful &middot; validation in the twin</p>'
        f'<h1>{escape(title)}</h1><p class="lead">{lead} Certificate '
        f"{certificate.id[:12]}, until {until}, for these weights, cameras, limits, this task and "
        f"this code only. The twin is no proof: it is what can be known before the arm moves.</p>"
        f"{f'<ul>{failed}</ul>' if failed else ''}</header>"
    )


def _tiles(severities: list[dict[str, Any]]) -> str:
    tiles = [(f"{100 * s['success_rate']:.0f} %", f"success, {s['name']}") for s in severities]
    total = sum(s["commands"] for s in severities)
    worst = max(s["max_measured_speed_m_s"] for s in severities)
    push = max(s["max_force_n"] for s in severities)
    broken = sum(s["violations"] for s in severities)
    tiles += [
        (str(broken), f"of {total:,} commands outside a limit"),
        (f"{worst:.2f} m/s", "fastest the tip ever was"),
        (f"{push:.0f} N", "hardest push, 0.1 s mean"),
    ]
    cells = "".join(
        f'<div class="tile"><b>{escape(value)}</b><span>{escape(label)}</span></div>'
        for value, label in tiles
    )
    return f'<div class="tiles">{cells}</div>'


def _severities(severities: list[dict[str, Any]], thresholds: dict[str, Any]) -> str:
    names = [s["name"] for s in severities]
    steps = sum(not s["explore"] for s in severities)
    success = ladder(
        names,
        [(s["success_rate"], s["success_low"], s["success_high"]) for s in severities],
        [thresholds["success_low"].get(name) for name in names],
        1.0,
        "success",
        percent=True,
        steps=steps,
    )
    speed = ladder(
        names,
        [(s["max_measured_speed_m_s"],) * 3 for s in severities],
        [thresholds["max_speed_m_s"]] * len(names),
        1.15 * max(thresholds["max_speed_m_s"], *(s["max_measured_speed_m_s"] for s in severities)),
        "m/s",
        steps=steps,
    )
    most_n = thresholds["max_force_n"]
    force = ladder(
        names,
        [(s["max_force_n"],) * 3 for s in severities],
        [most_n] * len(names),  # none is drawn where none is demanded
        1.15 * max(most_n or 1.0, *(s["max_force_n"] for s in severities)),
        "N",
        steps=steps,
    )
    return section(
        "Over severity",
        f"{severities[0]['episodes']} episodes each, in worlds that nothing else has used. "
        "What each severity changes stands in the last section.",
        '<div class="three">',
        figure(success, "Success", "Dot: measured. Line: 95 % Wilson interval. Red: least end."),
        figure(speed, "Fastest tip", "At any physics step. Red: allowed."),
        figure(force, "Hardest push", "On table or fixture, mean over 0.1 s. Red: allowed."),
        "</div>",
    )


def _findings(findings: list[dict[str, Any]], names: list[str]) -> str:
    rows = []
    for what, words in _WORDS.items():
        cells = ""
        for name in names:
            one = next((f for f in findings if (f["what"], f["severity"]) == (what, name)), None)
            if one is None:
                cells += '<td class="n">&ndash;</td>'
                continue
            found = "none" if one["measured"] is None else f"{one['measured']:.4g}"
            bound = "&ge;" if what in ("episodes", "success_low") else "&le;"
            tag = "" if one["passed"] else ' <span class="tag bad">fails</span>'
            cells += f'<td class="n">{found} {bound} {one["demanded"]:.4g}{tag}</td>'
        rows.append(f"<tr><td>{escape(words)}</td>{cells}</tr>")
    head = "".join(f'<th class="n">{escape(name)}</th>' for name in names)
    return section(
        "Every demand",
        "Measured, and what config/validate.yaml demands.",
        f"<table><tr><th></th>{head}</tr>{''.join(rows)}</table>",
    )


def _guard(severities: list[dict[str, Any]]) -> str:
    kinds = sorted({kind for s in severities for kind in s["interventions"]})
    rows = "".join(
        f"<tr><td>{escape(kind)}</td>"
        + "".join(
            f'<td class="n">{s["interventions"].get(kind, 0):,} '
            f"({s['interventions'].get(kind, 0) / s['steps']:.1%})</td>"
            for s in severities
        )
        + "</tr>"
        for kind in kinds
    )
    head = "".join(f'<th class="n">{escape(s["name"])}</th>' for s in severities)
    said = [f"{s['name']}: {line}" for s in severities for line in s["violations_first"]]
    broken = "".join(f"<li>{escape(line)}</li>" for line in said)
    return section(
        "What the guard did",
        "Actions it shortened (slowed), bent (at_wall) or would not obey (stale, not_finite), and "
        "steps that ended in a fault. Every command was checked again by an arithmetic of its own.",
        f"<table><tr><th></th>{head}</tr>{rows or '<tr><td>nothing</td></tr>'}</table>",
        f"<ul>{broken}</ul>" if broken else "",
    )


def _sensitivity(curves: dict[str, Any]) -> str:
    if not curves:
        return ""
    drawn = []
    for name, curve in curves.items():
        points = curve["points"]
        series = [
            Series(end, [(p["value"], p[f"success_{end}"]) for p in points], PALETTE[0], 1.0, 0.4)
            for end in ("low", "high")
        ]
        rate = [(p["value"], p["success_rate"]) for p in points]
        series.append(Series("success", rate, PALETTE[0], dots=True))
        svg = charts.line_chart(
            series,
            x_label=f"{name} [{curve['unit']}]",
            y_label="success",
            y_range=(0.0, 1.0),
            percent=True,
            width=420,
            title=name,
        )
        drawn.append(figure(svg, name.capitalize(), f"{points[0]['episodes']} episodes a point."))
    return section(
        "How far from failing",
        "One thing at a time is turned up, over nominal. Thin lines: 95 % Wilson interval.",
        f'<div class="three">{"".join(drawn)}</div>',
    )


def _films(films: Sequence[Film]) -> str:
    if not films:
        return section("How it fails", "It did not, in any severity without exploration.")
    shown = []
    for one in films:
        with tempfile.TemporaryDirectory() as folder:
            path = film.save(one.frames, Path(folder) / "film.webp", one.rate_hz)
            content = path.read_bytes()
        shown.append(
            f'<figure><img class="film" alt="film of world {one.seed}" '
            f'src="{film.data_uri(content, "image/webp")}"><figcaption>'
            f'<span class="tag bad">{escape(one.severity)}</span> world {one.seed}, '
            f"{len(one.frames) - 1} steps</figcaption></figure>"
        )
    return section(
        "How it fails",
        "Failed episodes, the hardest severity first, as they would look from beside the cell and "
        "as the policy saw them.",
        f'<div class="three">{"".join(shown)}</div>',
    )


def _bound(certificate: Certificate) -> str:
    values = certificate.values
    subject, made = values["subject"], values["made"]
    rows = [("weights", f"{subject['weights']} ({subject['updates']:,} updates)")]
    rows += [(part, str(subject[part])) for part in PARTS]
    code = subject["code"]
    rows += [
        ("code", f"{code['content']} (handful {code['version']}, commit {code['commit']})"),
        ("made", f"{values['created']} by {made['command']}, {made['wall_s']:.0f} s"),
        ("expires", str(values["expires"])),
        ("integrity", certificate.id),
    ]
    changes = [(s["name"], ", ".join(s["sets"]) or "nothing") for s in values["severities"]]
    return section(
        "What it is about",
        "SHA-256 of each; anything else is refused by agent and guard, with the reason.",
        _table(rows),
        "<h3 style='margin-top:18px'>What each severity changes</h3>",
        _table([(n, f"{c}{' + exploration' if n == 'exploring' else ''}") for n, c in changes]),
        "<h3 style='margin-top:18px'>Using it</h3>",
        "<pre>roslaunch handful rig.launch run:=RUN arm:=PROFILE certificate:="
        f"{escape(str(certificate.path))}</pre>",
    )


def _table(rows: list[tuple[str, str]]) -> str:
    cells = "".join(
        f"<tr><td>{escape(name)}</td><td style='overflow-wrap:anywhere'>{escape(value)}</td></tr>"
        for name, value in rows
    )
    return f"<table>{cells}</table>"


def ladder(
    names: Sequence[str],
    values: Sequence[tuple[float, float, float]],
    limits: Sequence[float | None],
    most: float,
    unit: str,
    percent: bool = False,
    steps: int | None = None,
) -> str:
    """A curve over named steps, as SVG: (value, low, high) with its interval and its limit.

    steps: so many belong to the curve; those after them stand for themselves.
    """
    plot = Plot(360, 250, (0.0, float(len(names))), (0.0, most))
    base, body = plot.height - plot.bottom, list[str]()
    for tick in charts.ticks(0.0, most, 4):
        y, label = plot.y(tick), f"{tick:.0%}" if percent else charts.number(tick)
        body.append(
            f'<line x1="{plot.left}" x2="{plot.width - plot.right}" y1="{y:.1f}" y2="{y:.1f}" '
            f'stroke="{GRID}"/><text x="{plot.left - 8}" y="{y + 4:.1f}" class="tick" '
            f'text-anchor="end">{label}</text>'
        )
    xs = [plot.x(i + 0.5) for i in range(len(names))]
    for x, name, limit in zip(xs, names, limits, strict=True):
        body.append(
            f'<text x="{x:.1f}" y="{base + 16}" class="tick" text-anchor="middle">'
            f"{escape(name)}</text>"
        )
        if limit is not None:
            y = plot.y(limit)
            body.append(
                f'<line x1="{x - 22:.1f}" x2="{x + 22:.1f}" y1="{y:.1f}" y2="{y:.1f}" '
                f'stroke="{BAD}" stroke-width="2" stroke-dasharray="5 3"/>'
            )
    joined = (
        zip(xs, values, strict=True) if steps is None else zip(xs[:steps], values, strict=False)
    )
    way = "L".join(f"{x:.1f} {plot.y(v[0]):.1f}" for x, v in joined)
    body.append(f'<path d="M{way}" fill="none" stroke="{PALETTE[0]}" stroke-opacity="0.35"/>')
    for x, (value, low, high) in zip(xs, values, strict=True):
        body.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{plot.y(low):.1f}" y2="{plot.y(high):.1f}" '
            f'stroke="{PALETTE[0]}" stroke-width="2.5"/><circle cx="{x:.1f}" '
            f'cy="{plot.y(value):.1f}" r="5" fill="{PALETTE[0]}"><title>{charts.number(value)} '
            f"{escape(unit)}</title></circle>"
        )
    body.append(f'<line x1="{plot.left}" x2="{plot.width - plot.right}" y1="{base}" y2="{base}" '
                f'stroke="{FAINT}"/>')  # fmt: skip
    return (
        f'<svg viewBox="0 0 {plot.width:.0f} {plot.height:.0f}" role="img" '
        f'aria-label="{escape(unit, quote=True)} over severity">{"".join(body)}</svg>'
    )
