"""One self-contained page about a success classifier: curve, numbers, worst mistakes."""

from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from handful.rig.edits import views
from handful.rig.playback import read_file
from handful.workflow import charts, film
from handful.workflow.report_frame import figure, page, section
from handful.workflow.results import write_text
from handful.workflow.reward_data import observations
from handful.workflow.reward_metrics import RULE, Row
from handful.workflow.reward_train import Judged

WORST = 10


def write_page(judged: Judged, path: Path, title: str) -> Path:
    """Write the page; where it is."""
    s, chosen = judged.classifier.settings, judged.chosen
    notes = "".join(f'<p class="note">Note: {escape(note)}.</p>' for note in judged.notes)
    body = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="lead">{_sentence(judged)}</p>',
        notes,
        section(
            "Thresholds",
            f"Held for {s.hold_steps} steps; a claim that stands falls below {s.hysteresis:g} of "
            f"the threshold. Chosen at training: {RULE}. The chosen one here: "
            f"{chosen.threshold:g}.",
            f'<div class="two">{_frames(judged.rows)}{_episodes(judged.rows)}</div>',
            _table(judged),
        ),
        section(
            "Worst false positives",
            "Frames whose episode says they are none, most convincing first.",
            _worst(judged, 0),
        ),
        section(
            "Worst false negatives",
            "Frames of success, least convincing first.",
            _worst(judged, 1),
        ),
        section(
            "Drift",
            f"{100 * judged.drift_share:.1f} % of these frames are unusual (farther than "
            f"{judged.classifier.usual.limit:.2f} from the training frames); the alarm would have "
            f"rung in {judged.alarms} of {len(np.unique(judged.bank.episodes))} episodes.",
        ),
        section("What it was made of", "", _facts(judged.classifier.about)),
    ]
    write_text(path, page(title, body))
    return path


def _sentence(judged: Judged) -> str:
    r = judged.chosen
    return (
        f"At threshold {r.threshold:g}: a frame's precision {r.precision:.3f}, recall "
        f"{r.recall:.3f}. After holding, {r.false_episodes} of {r.failures} failed episodes would "
        f"have been called success, {r.early} of {r.successes} successes ended too early, "
        f"{r.missed} missed."
    )


def _frames(rows: list[Row]) -> str:
    lines = [
        charts.Series("precision", [(r.threshold, r.precision) for r in rows], charts.PALETTE[0]),
        charts.Series("recall", [(r.threshold, r.recall) for r in rows], charts.PALETTE[1]),
    ]
    svg = charts.line_chart(
        lines, x_label="threshold", y_label="share", y_range=(0.0, 1.02), x_max=1.0, percent=True
    )
    return figure(svg, "A frame at a time", "Blue: precision. Orange: recall.")


def _episodes(rows: list[Row]) -> str:
    count = max(1, rows[0].failures + rows[0].successes)
    won = max(1, rows[0].successes)
    lines = [
        charts.Series("ended wrongly", [(r.threshold, r.wrong / count) for r in rows], charts.BAD),
        charts.Series("missed", [(r.threshold, r.missed / won) for r in rows], charts.PALETTE[0]),
    ]
    svg = charts.line_chart(
        lines, x_label="threshold", y_label="share", y_range=(0.0, 1.02), x_max=1.0, percent=True
    )
    caption = "Red: ended wrongly, of all. Blue: successes missed."
    return figure(svg, "An episode at a time, after holding", caption)


def _table(judged: Judged) -> str:
    shown = [r for r in judged.rows if round(r.threshold * 10, 6) % 1 == 0]
    rows = sorted({*shown, judged.chosen}, key=lambda r: r.threshold)
    heads = ["threshold", "precision", "recall", "FP frames", "FN frames", "FP episodes"]
    heads += ["early", "missed"]
    lines = []
    for r in rows:
        cells = [f"{r.threshold:g}", f"{r.precision:.3f}", f"{r.recall:.3f}"]
        cells += [str(r.false_frames), str(r.missed_frames)]
        cells += [f"{r.false_episodes} of {r.failures}", f"{r.early} of {r.successes}"]
        cells += [f"{r.missed} of {r.successes}"]
        bold = r.threshold == judged.chosen.threshold
        inside = "".join(
            f'<td class="n">{f"<b>{cell}</b>" if bold else cell}</td>' for cell in cells
        )
        lines.append(f"<tr>{inside}</tr>")
    head = "".join(f'<th class="n">{name}</th>' for name in heads)
    return f"<table><tr>{head}</tr>{''.join(lines)}</table>"


def _worst(judged: Judged, label: int) -> str:
    """The frames of a label it is most wrong about, one an episode, as pictures."""
    bank, scores = judged.bank, judged.scores
    order = np.flatnonzero(bank.labels == label)
    order = order[np.argsort(scores[order] if label else -scores[order])]
    wrong = scores < judged.classifier.threshold if label else scores >= _fall(judged)
    cells: list[str] = []
    seen: set[int] = set()
    for index in order:
        episode = int(bank.episodes[index])
        if episode in seen or not wrong[index] or len(cells) >= WORST:
            continue
        seen.add(episode)
        frame = int(index - np.flatnonzero(bank.episodes == episode)[0])
        cells.append(_picture(bank.names[episode], frame, float(scores[index])))
    if not cells:
        return "<p>None.</p>"
    return f'<div class="three">{"".join(cells)}</div>'


def _fall(judged: Judged) -> float:
    return judged.classifier.threshold * judged.classifier.settings.hysteresis


def _picture(name: str, frame: int, score: float) -> str:
    path = Path(name)
    said = f"{path.parent.name}/{path.stem}, frame {frame}, score {score:.3f}"
    episode = read_file(path, None, views(path.parent).get(path.name)) if path.is_file() else None
    if episode is None or frame > len(episode.transitions):
        return f"<figure><figcaption>{escape(said)}: no longer there</figcaption></figure>"
    beside = np.hstack(film.policy_views(observations(episode)[frame]))
    wide = 160 * beside.shape[1] // beside.shape[0]
    address = film.data_uri(film.png(film.resized(beside, 160, wide)), "image/png")
    return (
        f'<figure><img class="film" alt="{escape(said)}" src="{address}">'
        f"<figcaption>{escape(said)}</figcaption></figure>"
    )


def _facts(about: dict[str, Any]) -> str:
    rows = [
        f"<tr><td>{escape(str(key))}</td><td>{escape(str(value))}</td></tr>"
        for key, value in about.items()
        if key not in ("held_out", "rule")
    ]
    return f"<table>{''.join(rows)}</table>"
