"""Small charts as SVG text: lines, dots, an interval; no script, font or file from outside."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

INK, FAINT, GRID = "#1f2733", "#6b7480", "#e7e9ec"
PALETTE = (
    *("#2f6fb3", "#d1662a", "#2c8f6b", "#8a5bb5", "#b3912f", "#5f7480"),
    *("#b04f86", "#1f2733", "#4fa3c7", "#7a3b1d"),
)
"""Told apart also by people who do not see red and green alike; the first is the accent."""
GOOD, BAD = "#2c8f6b", "#cf4a3c"


@dataclass(frozen=True)
class Series:
    """One line: ``points`` are (x, y); a NaN or None y breaks the line."""

    name: str
    points: Sequence[tuple[float, float | None]]
    colour: str = PALETTE[0]
    width: float = 2.0
    opacity: float = 1.0
    dots: bool = False
    line: bool = True
    dashed: bool = False


@dataclass(frozen=True)
class Plot:
    """Pixel box of the drawing area and the value range mapped onto it."""

    width: float
    height: float
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    left: float = 52.0
    right: float = 14.0
    top: float = 12.0
    bottom: float = 38.0

    def x(self, value: float) -> float:
        """Value to SVG x [px]."""
        low, high = self.x_range
        return self.left + (value - low) / (high - low) * (self.width - self.left - self.right)

    def y(self, value: float) -> float:
        """Value to SVG y [px], upwards."""
        low, high = self.y_range
        clipped = min(max(value, low), high)
        inside = self.height - self.top - self.bottom
        return self.height - self.bottom - (clipped - low) / (high - low) * inside


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers (1, 2, 5 times a power of ten) over [low, high] in about ``count`` steps."""
    if not high > low:
        return [low]
    raw = (high - low) / max(count, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1.0, 2.0, 5.0, 10.0) if m * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(k * step, 12) for k in range(first, last + 1)]


def number(value: float) -> str:
    """A tick label: ``12,000``, ``0.25``, ``3``, ``1e-05`` only when it must be."""
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def line_chart(
    series: Sequence[Series],
    *,
    x_label: str,
    y_label: str,
    y_range: tuple[float, float] | None = None,
    x_max: float | None = None,
    percent: bool = False,
    band: tuple[float, str] | None = None,
    width: int = 560,
    height: int = 260,
    right: float = 14.0,
    title: str = "",
) -> str:
    """A line chart as one ``<svg>`` element that scales with the page.

    Args:
        series: what to draw, later ones on top; more than 600 points are thinned.
        y_range: fixed value range; by default the data's own with a little air.
        percent: y is a share in [0, 1] and is labelled in %.
        band: shade x from 0 to a value, and what that time was.
        right: room beside the drawing area [px], for a longer last number or for words.
        title: spoken by screen readers.
    """
    drawn = [Series(**{**s.__dict__, "points": thin(s.points)}) for s in series]
    xs = [x for s in drawn for x, y in s.points if _finite(y)]
    ys = [float(y) for s in drawn for _, y in s.points if y is not None and _finite(y)]
    if not xs:
        return f'<p class="empty">{escape(title or y_label)}: nothing recorded</p>'
    plot = Plot(
        width,
        height,
        (0.0, max(x_max or 0.0, *xs) or 1.0),
        y_range or _airy(min(ys), max(ys)),
        right=right,
    )
    body = _axes(plot, x_label, y_label, percent)
    if band is not None:
        right = plot.x(min(band[0], plot.x_range[1]))
        body.append(
            f'<rect x="{plot.left}" y="{plot.top}" width="{right - plot.left:.1f}" '
            f'height="{height - plot.top - plot.bottom}" fill="{FAINT}" fill-opacity="0.09"/>'
            f'<text x="{plot.left + 6}" y="{plot.top + 16}" class="tick">{escape(band[1])}</text>'
        )
    for s in drawn:
        body.append(_series(plot, s))
    return _svg(width, height, body, title or y_label)


def dot_chart(
    values: Sequence[float],
    good: Sequence[bool],
    *,
    x_label: str,
    y_label: str,
    y_max: float,
    width: int = 560,
    height: int = 200,
    title: str = "",
) -> str:
    """One mark an episode: a green dot for a success, a red cross for a failure."""
    plot = Plot(width, height, (0.0, max(len(values) + 1.0, 2.0)), (0.0, y_max * 1.06))
    body = _axes(plot, x_label, y_label, False)
    for i, (value, success) in enumerate(zip(values, good, strict=True), start=1):
        x, y = plot.x(i), plot.y(value)
        tip = f"<title>episode {i}: {number(value)} {escape(y_label)}, " + (
            "success</title>" if success else "failed</title>"
        )
        if success:
            body.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.6" fill="{GOOD}">{tip}</circle>')
        else:
            d = f"M{x - 4:.1f} {y - 4:.1f}l8 8m0 -8l-8 8"
            body.append(f'<path d="{d}" stroke="{BAD}" stroke-width="2.2" fill="none">{tip}</path>')
    return _svg(width, height, body, title or y_label)


def interval_bar(
    rate: float, low: float, high: float, *, width: int = 560, height: int = 54
) -> str:
    """A success rate on a 0-100 % rule with its confidence interval as a band."""
    plot = Plot(width, height, (0.0, 1.0), (0.0, 1.0), left=14, right=14, top=6, bottom=24)
    middle = (plot.top + height - plot.bottom) / 2
    body = []
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = plot.x(tick)
        body.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="6" y2="{height - 22}" stroke="{GRID}"/>'
            f'<text x="{x:.1f}" y="{height - 8}" class="tick" text-anchor="middle">'
            f"{tick:.0%}</text>"
        )
    band = max(plot.x(high) - plot.x(low), 2.0)
    body.append(
        f'<rect x="{plot.x(low):.1f}" y="{middle - 7:.1f}" width="{band:.1f}" height="14" rx="7" '
        f'fill="{PALETTE[0]}" fill-opacity="0.22"/>'
        f'<circle cx="{plot.x(rate):.1f}" cy="{middle:.1f}" r="6.5" fill="{PALETTE[0]}"/>'
    )
    return _svg(width, height, body, f"{rate:.1%} between {low:.1%} and {high:.1%}")


def scatter(
    points: Sequence[tuple[float, float]],
    values: Sequence[float],
    *,
    label: str,
    width: int = 420,
    height: int = 360,
    title: str = "",
) -> str:
    """Points on a plane coloured by ``values``, dark (low) to yellow (high), with a colour bar.

    ``label`` ends in the unit: ``tip height [cm]``.
    """
    if not points:
        return '<p class="empty">no frames recorded</p>'
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    plot = Plot(width, height, _airy(min(xs), max(xs)), _airy(min(ys), max(ys)), 16, 84, 12, 16)
    # The middle 94 % of the values get the whole ramp, so that one outlier does not grey the rest.
    ordered = sorted(values)
    low, high = ordered[int(0.03 * len(ordered))], ordered[-1 - int(0.03 * len(ordered))]
    span = (high - low) or 1.0
    body = [
        f'<rect x="8" y="6" width="{width - 84}" height="{height - 14}" rx="8" fill="#f6f7f8"/>',
    ]
    for (x, y), value in zip(points, values, strict=True):
        colour = gradient((value - low) / span)
        body.append(
            f'<circle cx="{plot.x(x):.1f}" cy="{plot.y(y):.1f}" r="3.4" fill="{colour}" '
            f'fill-opacity="0.85"><title>{escape(label)}: {number(value)}</title></circle>'
        )
    bar, steps, top, tall = width - 58, 32, 30.0, height - 70.0
    for k in range(steps):
        y = top + tall * k / steps
        colour = gradient(1 - k / (steps - 1))
        body.append(
            f'<rect x="{bar}" y="{y:.1f}" width="12" height="{tall / steps + 0.6:.1f}" '
            f'fill="{colour}"/>'
        )
    for value, y in ((high, top + 5), ((low + high) / 2, top + tall / 2 + 4), (low, top + tall)):
        body.append(f'<text x="{bar + 17}" y="{y:.1f}" class="tick">{value:.3g}</text>')
    unit = label.partition("[")[2].rstrip("]")
    body.append(f'<text x="{bar}" y="20" class="tick">{escape(unit)}</text>')
    return _svg(width, height, body, title or label)


def gradient(share: float) -> str:
    """A perceptually even colour ramp (five anchors of viridis, linear between) for [0, 1]."""
    anchors = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))
    place = min(max(share, 0.0), 1.0) * (len(anchors) - 1)
    index = min(int(place), len(anchors) - 2)
    part = place - index
    mixed = (
        round(a + (b - a) * part) for a, b in zip(anchors[index], anchors[index + 1], strict=True)
    )
    return "#" + "".join(f"{channel:02x}" for channel in mixed)


def thin(
    points: Sequence[tuple[float, float | None]], most: int = 600
) -> list[tuple[float, float | None]]:
    """At most ``most`` of the points, evenly, the first and the last among them."""
    if len(points) <= most:
        return list(points)
    return [points[round(k * (len(points) - 1) / (most - 1))] for k in range(most)]


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _airy(low: float, high: float) -> tuple[float, float]:
    air = 0.06 * (high - low) or abs(high) * 0.1 or 1.0
    return low - air, high + air


def _axes(plot: Plot, x_label: str, y_label: str, percent: bool) -> list[str]:
    parts = []
    right, base = plot.width - plot.right, plot.height - plot.bottom
    steps = [0.0, 0.25, 0.5, 0.75, 1.0] if percent else ticks(*plot.y_range, 4)
    for value in steps:
        y = plot.y(value)
        label = f"{value:.0%}" if percent else number(value)
        parts.append(
            f'<line x1="{plot.left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" stroke="{GRID}"/>'
            f'<text x="{plot.left - 8}" y="{y + 4:.1f}" class="tick" text-anchor="end">'
            f"{label}</text>"
        )
    for value in ticks(*plot.x_range, 5):
        x = plot.x(value)
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{base}" y2="{base + 4}" stroke="{FAINT}"/>'
            f'<text x="{x:.1f}" y="{base + 16}" class="tick" text-anchor="middle">'
            f"{number(value)}</text>"
        )
    parts.append(f'<line x1="{plot.left}" x2="{right}" y1="{base}" y2="{base}" stroke="{FAINT}"/>')
    middle = (plot.left + right) / 2
    parts.append(
        f'<text x="{middle:.1f}" y="{plot.height - 5}" class="axis" text-anchor="middle">'
        f"{escape(x_label)}</text>"
    )
    return parts


def _series(plot: Plot, series: Series) -> str:
    path, pen, dots = [], "M", []
    for x, y in series.points:
        if y is None or not math.isfinite(y):
            pen = "M"
            continue
        px, py = plot.x(x), plot.y(y)
        path.append(f"{pen}{px:.1f} {py:.1f}")
        pen = "L"
        if series.dots:
            tip = f"<title>{escape(series.name)}: {number(y)} at {number(x)}</title>"
            dots.append(
                f'<circle cx="{px:.1f}" cy="{py:.1f}" r="4" fill="#fff" stroke="{series.colour}" '
                f'stroke-width="2">{tip}</circle>'
            )
    alone = "h0" if len(path) == 1 else ""  # one point is a dot, by its round ends
    width = max(series.width, 7.0) if alone else series.width
    dashes = ' stroke-dasharray="6 5"' if series.dashed else ""
    line = (
        f'<path d="{"".join(path)}{alone}" fill="none" stroke="{series.colour}"{dashes} '
        f'stroke-linejoin="round" stroke-linecap="round" '
        f'stroke-width="{width}" stroke-opacity="{series.opacity}">'
        f"<title>{escape(series.name)}</title></path>"
    )
    return (line if series.line else "") + "".join(dots)


def _svg(width: float, height: float, body: list[str], title: str) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title, quote=True)}">'
        + "".join(body)
        + "</svg>"
    )
