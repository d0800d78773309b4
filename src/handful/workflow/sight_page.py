"""The page about a pre-training: what it learned from, what the eye can tell, and a verdict."""

from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handful.workflow import charts, film
from handful.workflow.charts import BAD, GOOD, PALETTE, Series
from handful.workflow.held_out import HeldOut
from handful.workflow.probe import guesses, neighbours, principal_plane, spread_out
from handful.workflow.report_frame import figure, page, section
from handful.workflow.sources import Sources

QUERIES, NEAR = 4, 5
_COLOUR = {"good": GOOD, "doubtful": PALETTE[4], "bad": BAD}
_MEANING = {
    "good": "Train. What the hand must know is in the latent.",
    "doubtful": "Look at the rows below before robot time is spent; docs/pretraining.md says what "
    "helps.",
    "bad": "Do not train from this. docs/pretraining.md says what usually causes it.",
}


def sight_page(
    name: str,
    values: dict[str, Any],
    sources: Sources,
    moments: HeldOut,
    latents: NDArray[np.float32],
    curve: list[dict[str, Any]],
) -> str:
    """The page as HTML text. ``values``: what ``pretraining.json`` holds. latents: (N, Z)."""
    parts = [
        _header(name, values),
        _tiles(values),
        _why(values),
        _places(values),
        _maps(moments, latents),
        _retrieval(values, moments, latents),
        _sources(sources),
        _losses(curve),
    ]
    made = f"{escape(values['command'])}; commit {escape(values['commit'])}"
    return page(
        f"handful: pre-training of {name}", [*(p for p in parts if p), f"<footer>{made}</footer>"]
    )


def _header(name: str, values: dict[str, Any]) -> str:
    word = values["verdict"]
    return (
        f'<header><p class="eyebrow">handful &middot; {escape(name)} &middot; pre-training</p>'
        f'<h1>What the eye has learned: <span style="color:{_COLOUR[word]}">{word}</span></h1>'
        f'<p class="lead">{_MEANING[word]} Measured on {values["frames"]} frames of '
        f"{values['episodes']} episodes of which nothing was learned "
        f"({escape(str(values['source']))}).</p></header>"
    )


def _tiles(values: dict[str, Any]) -> str:
    tiles = [
        (
            _cm(probe["error_m"]),
            f"probe error of {name}, {100 * probe['ratio']:.0f} % of the mean's",
        )
        for name, probe in values["probes"].items()
    ]
    if values["hits"] is not None:
        tiles.append((f"{100 * values['hits']:.0f} %", f"known again among {values['batch']}"))
    if values["near_m"] is not None:
        tiles.append((_cm(values["near_m"]), "median, nearest in the latent"))
    cells = "".join(
        f'<div class="tile"><b>{escape(value)}</b><span>{escape(label)}</span></div>'
        for value, label in tiles
    )
    return f'<div class="tiles">{cells}</div>'


def _why(values: dict[str, Any]) -> str:
    items = "".join(f"<li>{escape(reason)}</li>" for reason in values["reasons"])
    return section(
        "Why",
        "The rules, and what they were measured on, are in docs/pretraining.md.",
        f"<ul>{items}</ul>",
    )


def _places(values: dict[str, Any]) -> str:
    if not values["probes"]:
        return ""
    rows = "".join(
        f'<tr><td>{escape(name)}</td><td class="n">{_cm(probe["error_m"])}</td>'
        f'<td class="n">{_cm(probe["untrained_m"])}</td><td class="n">{_cm(probe["mean_m"])}</td>'
        f'<td class="n">{100 * probe["ratio"]:.0f} %</td></tr>'
        for name, probe in values["probes"].items()
    )
    head = (
        '<tr><th>where</th><th class="n">this eye</th><th class="n">untrained eye</th>'
        '<th class="n">the mean</th><th class="n">of the mean</th></tr>'
    )
    return section(
        "Where things are, told by the latent alone",
        "Mean distance between the true place and a ridge regression's guess from the latent, each "
        "episode guessed by the others. The mean does not look at all; an untrained eye has the "
        "same network as it was drawn.",
        f"<table>{head}{rows}</table>",
    )


def _maps(moments: HeldOut, latents: NDArray[np.float32]) -> str:
    if not moments.places:
        return ""
    name, places = next(iter(moments.places.items()))
    guess = guesses(latents, places, moments.episodes)
    charts_of = []
    for axis, word in ((0, "ahead"), (1, "to the left")):
        points = [
            (100 * float(truth), 100 * float(told))
            for truth, told in zip(places[:, axis], guess[:, axis], strict=True)
        ]
        svg = charts.scatter(points, moments.episodes.tolist(), label="episode")
        charts_of.append(
            figure(svg, f"{name} {word} [cm]", "Across: true. Up: told by the latent.")
        )
    plane, share = principal_plane(latents)
    spread = charts.scatter(
        [(float(x), float(y)) for x, y in plane],
        (100 * places[:, 1]).tolist(),
        label=f"{name} to the left [cm]",
    )
    caption = f"The plane of largest variance, {100 * share:.0f} % of it."
    charts_of.append(figure(spread, "The latent itself", caption))
    return section(
        "The same as pictures",
        "A good eye puts the dots on the rising diagonal.",
        f'<div class="three">{"".join(charts_of)}</div>',
    )


def _retrieval(values: dict[str, Any], moments: HeldOut, latents: NDArray[np.float32]) -> str:
    first = next(iter(moments.places.values()), None)

    def cell(index: int, query: int) -> str:
        views = film.policy_views(moments.observations[index])
        picture = film.data_uri(film.png(np.hstack(views)), "image/png")
        words = "asked"
        if index != query and first is not None:
            words = _cm(float(np.linalg.norm(first[index] - first[query])))
        shown = f'<img alt="frame {index}" src="{picture}">'
        return f'<div>{shown}<div class="caption">{words}</div></div>'

    rows = [
        f'<div class="near">{cell(query, query)}<div class="rule"></div>'
        + "".join(
            cell(index, query) for index in neighbours(latents, moments.episodes, query, NEAR)
        )
        + "</div>"
        for query in spread_out(latents, moments.episodes, QUERIES)
    ]
    numbers = (
        f" Over all frames the nearest is {_cm(values['near_m'])} away (median), a random frame of "
        f"another episode {_cm(values['random_m'])}."
        if values["near_m"] is not None
        else ""
    )
    return section(
        "What looks alike to it",
        "Left: a held-out frame. Right: the nearest in the latent, of other episodes; below, how "
        "far apart the first thing's places are." + numbers,
        *rows,
    )


def _sources(sources: Sources) -> str:
    rows = sources.rows()
    names = list(rows[0]) if rows else []
    head = "".join(f"<th{' class=n' if k > 1 else ''}>{n}</th>" for k, n in enumerate(names))
    body = "".join(
        "<tr>"
        + "".join(
            f"<td{' class=n' if k > 1 else ''}>{escape(str(row[n] or '-'))}</td>"
            for k, n in enumerate(names)
        )
        + "</tr>"
        for row in rows
    )
    return section(
        "What it learned from",
        "Steps, and what they serve for. Only demonstrations that succeeded are cloned and kept.",
        f"<table><tr>{head}</tr>{body}</table>",
    )


def _losses(curve: list[dict[str, Any]]) -> str:
    events = [event for event in curve if event["kind"] == "pretrain"]
    names = ("contrast_loss", "contrast_hits", "clone_loss")
    small = []
    for name in names:
        points = [(float(e["done"]), e[name]) for e in events if name in e]
        if points:
            line = Series(name, points, PALETTE[0], 1.6)
            svg = charts.line_chart([line], x_label="updates", y_label=name, width=340, height=190)
            small.append(figure(svg, name.replace("_", " ")))
    if not small:
        return ""
    return section(
        "While it learned", "On what it learned from.", f'<div class="three">{"".join(small)}</div>'
    )


def _cm(metres: float) -> str:
    return f"{100 * metres:.1f} cm"
