"""What the encoder separates: maps of the latent, read-outs, nearest neighbours."""

from html import escape
from typing import Any

import numpy as np

from handful.workflow import charts, film, probe
from handful.workflow.report import RunData
from handful.workflow.report_frame import figure, section

NEIGHBOURS, QUERIES = 5, 4


def sight(run: RunData) -> str:
    """The section on the encoder; empty when the run has no held-out frames."""
    p = run.probe
    if p is None:
        return ""
    latents, values, episodes = p["latents"], p["values"], p["episodes"]
    labels = [str(label) for label in p["labels"]]
    thing = labels[0].partition(" ahead")[0]
    plane, share = probe.principal_plane(latents)
    points = [(float(x), float(y)) for x, y in plane]
    maps = [
        figure(charts.scatter(points, values[:, k].tolist(), label=label), label.split(" [")[0])
        for k, label in enumerate(labels[:2])
    ]
    rows = [
        f'<tr><td>{escape(label.split(" [")[0])}</td><td class="n">{r2:.2f}</td>'
        f'<td class="n">{error:.2g} {escape(label.split("[")[-1].rstrip("]"))}</td></tr>'
        for label, (r2, error) in zip(
            labels, probe.read_out(latents, values, episodes), strict=True
        )
    ]
    table = (
        "<table><tr><th>what a straight line through the latent tells</th>"
        '<th class="n">R&sup2;</th>'
        f'<th class="n">median error</th></tr>{"".join(rows)}</table>'
    )
    return section(
        "What the encoder separates",
        f"{len(latents)} frames of {len(np.unique(episodes))} scripted episodes the learner has "
        f"never seen, as the {latents.shape[1]} numbers the critic gets. Maps: the plane of "
        f"largest variance ({100 * share:.0f} % of it), coloured by where the {thing} really is.",
        f'<div class="two">{"".join(maps)}</div>',
        table,
        "<h3 style='margin-top:22px'>Nearest neighbours</h3>",
        '<p class="note">Left: a frame. Right: its five nearest in the latent, from other '
        f"episodes. Below each: {escape(thing)} ahead / left of the tip [cm].</p>",
        *[_near(p, query) for query in probe.spread_out(latents, episodes, QUERIES)],
    )


def _near(p: dict[str, Any], query: int) -> str:
    near = probe.neighbours(p["latents"], p["episodes"], query, NEIGHBOURS)

    def cell(index: int) -> str:
        ahead, left = p["values"][index][:2]
        picture = film.data_uri(film.png(p["pictures"][index]), "image/png")
        return (
            f'<div><img alt="frame {index}" src="{picture}">'
            f'<div class="caption">{_signed(ahead)} / {_signed(left)}</div></div>'
        )

    return (
        f'<div class="near">{cell(query)}<div class="rule"></div>{"".join(map(cell, near))}</div>'
    )


def _signed(value: float) -> str:
    whole = round(float(value))
    return f"{whole:+d}" if whole else "0"
