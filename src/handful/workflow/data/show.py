"""One episode as a page to look at: scrubber, every camera, what was asked, sent, judged, paid."""

import io
import json
from collections.abc import Iterable
from datetime import datetime, timezone
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handful.rig.edits import Edit
from handful.rig.episodes import Episode
from handful.workflow.charts import PALETTE, Series, line_chart
from handful.workflow.data.sessions import Row, row
from handful.workflow.data.show_page import SCRIPT, STYLE
from handful.workflow.film import data_uri, resized
from handful.workflow.report_frame import page, section
from handful.workflow.results import write_text

_LOSSLESS_PX = 128
_WIDEST_PX = 480
_AXES = ("x", "y", "z")
_PARTS = {
    "position": ("x", "y", "z"),
    "gripper": ("gripper",),
    "target_offset": ("target x", "target y", "target z"),
    "target_gripper": ("target gripper",),
    "yaw": ("sin yaw", "cos yaw"),
    "velocity": ("v x", "v y", "v z"),
}


def write_page(session: Path, episode: Episode, said: Iterable[Edit], path: Path) -> Path:
    """Write the page of one episode; it needs no other file and no network."""
    about = row(session, episode)
    title = f"{session.name}, episode {about.episode}"
    write_text(path, page(title, [*_body(title, about, episode, list(said))]))
    return path


def _body(title: str, about: Row, episode: Episode, said: list[Edit]) -> list[str]:
    steps = episode.transitions
    verdict = {
        True: '<span class="tag">success</span>',
        False: '<span class="tag bad">no success</span>',
    }
    head = (
        f'<header><p class="eyebrow">handful data show</p><h1>{escape(title)}</h1>'
        f'<p class="lead">{verdict[bool(about.success)]} {len(steps)} steps, '
        f"{about.seconds:.1f} s, {escape(about.source)}"
        + (f", {escape(about.task)}" if about.task else "")
        + (f", by {escape(about.operator)}" if about.operator else "")
        + "</p></header>"
    )
    views = "".join(
        f'<figure><img id="view-{escape(name)}" alt="camera {escape(name)}">'
        f"<figcaption>{escape(name)}</figcaption></figure>"
        for name in episode.spec.cameras
    )
    player = (
        f'<section class="player"><div class="views">{views}</div><div class="bar">'
        '<button id="play" aria-label="play">▶</button>'
        f'<input id="at" type="range" min="0" max="{len(steps)}" value="0" step="1" '
        'aria-label="step"><output id="now"></output></div><div id="facts" class="facts"></div>'
        '<p class="note">Left and right: a step; space: play; home and end. What stands at step k '
        "is what was seen then, and the action that was made from it.</p></section>"
    )
    return [
        f"<style>{STYLE}</style>", head, player, _actions(episode), _states(episode),
        _rewards(episode), _facts(about, episode, said),
        f'<script id="data" type="application/json">{_data(episode)}</script>',
        f"<script>{SCRIPT}</script>",
    ]  # fmt: skip


def _data(episode: Episode) -> str:
    """Everything the script needs, as JSON that cannot end its own element."""
    start_s = episode.observation.stamp_s
    seen = [episode.observation, *(t.next_observation for t in episode.transitions)]
    values = {
        "pictures": {
            name: [_picture(o.images[name][:, :, -3:]) for o in seen]
            for name in episode.spec.cameras
        },
        "first": episode.view.first,
        "seconds": [round(o.stamp_s - start_s, 3) for o in seen],
        "names": _action_names(episode),
        "steps": [
            {
                "sent": [round(float(v), 4) for v in t.action],
                "asked": None if t.asked is None else [round(float(v), 4) for v in t.asked],
                "verdict": str(t.info.get("verdict", "")),
                "reward": t.reward,
                "discount": t.discount,
                "success": t.info.get("success"),
                "info": {k: v for k, v in t.info.items() if k not in ("verdict", "success")},
            }
            for t in episode.transitions
        ],
    }
    return json.dumps(values, ensure_ascii=True).replace("<", "\\u003c")


def _picture(picture: NDArray[np.uint8]) -> str:
    from PIL import Image

    height, width = picture.shape[:2]
    small = max(height, width) <= _LOSSLESS_PX
    if width > _WIDEST_PX:
        picture = resized(picture, round(height * _WIDEST_PX / width), _WIDEST_PX)
    with io.BytesIO() as out:
        Image.fromarray(np.ascontiguousarray(picture)).save(
            out, "webp", lossless=small, quality=100 if small else 80, method=2
        )
        return data_uri(out.getvalue(), "image/webp")


def _chart(title: str, lines: list[Series], y_label: str, **options: Any) -> str:
    key = "".join(
        f'<span><i style="background:{s.colour};opacity:{s.opacity}"></i>{escape(s.name)}</span>'
        for s in lines
    )
    svg = line_chart(lines, x_label="step", y_label=y_label, title=title, **options)
    head = f'<h3>{escape(title)}</h3><p class="key">{key}</p>'
    return f'<figure class="timed">{head}{svg}</figure>'


def _actions(episode: Episode) -> str:
    names = _action_names(episode)
    charts = []
    for axis, name in enumerate(names):
        colour = PALETTE[axis % len(PALETTE)]
        lines = [
            Series(
                "sent",
                [(k, float(t.action[axis])) for k, t in enumerate(episode.transitions)],
                colour,
            )
        ]
        wished = [
            (k, float(t.asked[axis]))
            for k, t in enumerate(episode.transitions)
            if t.asked is not None and axis < len(t.asked)
        ]
        if wished:
            lines.insert(0, Series("asked", wished, colour, 4.0, 0.3))
        charts.append(
            _chart(
                name,
                lines,
                "action",
                y_range=(-1.1, 1.1),
                x_max=len(episode.transitions),
                height=200,
            )
        )
    note = (
        "Broad and pale: what was asked. Thin: what the guard let through and was sent, in [-1, 1]."
    )
    return section("Actions", note, f'<div class="two">{"".join(charts)}</div>')


def _states(episode: Episode) -> str:
    seen = [episode.observation, *(t.next_observation for t in episode.transitions)]
    names = _state_names(episode)
    charts = []
    for group in dict.fromkeys(group for group, _ in names):
        lines = [
            Series(
                name,
                [(k, float(o.state[i])) for k, o in enumerate(seen)],
                PALETTE[n % len(PALETTE)],
            )
            for n, (i, name) in enumerate(
                (i, name) for i, (g, name) in enumerate(names) if g == group
            )
        ]
        charts.append(_chart(group, lines, "scaled", x_max=len(episode.transitions), height=220))
    note = "The state vector as the policy sees it, scaled to about [-1, 1] (rig.observe)."
    return section("Proprioception", note, f'<div class="two">{"".join(charts)}</div>')


def _rewards(episode: Episode) -> str:
    steps = episode.transitions
    lines = [
        Series(
            "reward", [(k, t.reward) for k, t in enumerate(steps)], PALETTE[2], dots=len(steps) < 80
        ),
        Series("discount", [(k, t.discount) for k, t in enumerate(steps)], PALETTE[5], 1.5, 0.6),
    ]
    seen = [episode.observation, *(t.next_observation for t in steps)]
    gaps = [
        (k, 1e3 * (b.stamp_s - a.stamp_s))
        for k, (a, b) in enumerate(zip(seen, seen[1:], strict=False))
    ]
    reward = _chart("reward", lines, "reward", x_max=len(steps), height=200)
    top_ms = 1.3 * max(1.0, *(gap_ms for _, gap_ms in gaps), 0.0)
    step = [Series("step to step", gaps, PALETTE[3])]
    period = _chart("period", step, "ms", x_max=len(steps), y_range=(0.0, top_ms), height=200)
    return section("Reward and clock", "", f'<div class="two">{reward}{period}</div>')


def _facts(about: Row, episode: Episode, said: list[Edit]) -> str:
    facts: dict[str, Any] = {"file": about.file, "bytes": f"{about.bytes:,}"}
    facts |= {f"recorded as: {k}": v for k, v in episode.info.items()}
    unix_s = episode.recorded.get("unix_s")
    if unix_s is not None:
        at = datetime.fromtimestamp(unix_s, timezone.utc)
        facts["recorded"] = at.isoformat(sep=" ", timespec="seconds")
    facts |= {f"software: {k}": v for k, v in episode.recorded.items() if k != "unix_s"}
    facts["ended"] = (
        "yes" if episode.complete else f"cut off {episode.fault and ': ' + episode.fault}"
    )
    facts |= {f"session: {k}": v for k, v in episode.meta.items() if not isinstance(v, dict)}
    table = "".join(
        f"<tr><td>{escape(str(k))}</td><td>{escape(str(v))}</td></tr>" for k, v in facts.items()
    )
    deep = {k: v for k, v in episode.meta.items() if isinstance(v, dict)}
    more = (
        "<details><summary>Cell and calibration</summary>"
        f"<pre>{escape(json.dumps(deep, indent=1))}</pre></details>"
        if deep
        else ""
    )
    spoken = "".join(
        f"<tr><td>{escape(e.when)}</td><td>{escape(e.who)}</td><td>{escape(_said(e))}</td>"
        f"<td>{escape(e.why)}</td></tr>"
        for e in said
    )
    history = f"<h3>Said since</h3><table>{spoken}</table>" if spoken else ""
    return section("About", "", f"<table>{table}</table>{more}{history}")


def _said(edit: Edit) -> str:
    if edit.undo:
        return "all taken back"
    words = {True: "success", False: "no success", None: ""}[edit.success]
    if edit.reward is not None:
        words += f" reward {edit.reward:g}"
    if edit.first is not None or edit.end is not None:
        words += f" cut to {edit.first or 0} until {edit.end}"
    return words.strip()


def _action_names(episode: Episode) -> list[str]:
    size = episode.spec.action_dim
    if size in (4, 5):
        return [*_AXES, *(["yaw"] if size == 5 else []), "gripper"]
    return [f"action {k}" for k in range(size)]


def _state_names(episode: Episode) -> list[tuple[str, str]]:
    """(group, name) of every number in the state vector, when the session says what they are."""
    rig = episode.meta.get("rig")
    parts = rig.get("observe", {}).get("proprioception", ()) if isinstance(rig, dict) else ()
    names = [(part, name) for part in parts for name in _PARTS.get(part, ())]
    if "joints" in parts or len(names) != episode.spec.state_dim:
        size = episode.spec.state_dim
        return [
            (f"state {6 * (k // 6)} to {min(6 * (k // 6) + 5, size - 1)}", str(k))
            for k in range(size)
        ]
    return names
