"""The page about one run: what it can do, how it got there, what it sees, how to do it again."""

from datetime import datetime
from html import escape
from typing import Any

import yaml

from handful.workflow import charts, film
from handful.workflow.charts import GOOD, PALETTE, Series
from handful.workflow.progress import duration
from handful.workflow.report import RunData
from handful.workflow.report_frame import figure, page, section
from handful.workflow.report_sight import sight

METRICS = {
    "q_loss": "Critic loss",
    "q_mean": "Mean Q of the batch",
    "target": "Mean target",
    "actor_loss": "Actor loss",
    "entropy": "Policy entropy [nat]",
    "alpha": "Temperature",
    "clone_loss": "Behaviour cloning loss",
    "contrast_loss": "Contrastive loss [nat]",
    "contrast_hits": "Contrastive hits (share)",
    "updates_per_s": "Updates per second",
    "env_steps_per_s": "Env steps per second",
    "intervention_rate": "Steps a person drove (share of each episode)",
}
TIMES = (
    ("collect_s", "demonstrations"),
    ("pretrain_s", "pre-training"),
    ("train_s", "training"),
    ("evaluate_s", "evaluation"),
    ("total_s", "everything"),
)


def run_page(run: RunData) -> str:
    """The report of one run as HTML text."""
    task = str(run.config.get("task_name", run.result.get("task", "task")))
    parts = [_header(run, task), _tiles(run)]
    parts += [_evaluation(run), _films(run), _learning(run), sight(run), _again(run)]
    parts.append(f"<footer>{_written(run)}</footer>")
    return page(f"handful: {task}, {run.name}", [part for part in parts if part])


def _header(run: RunData, task: str) -> str:
    r = run.result
    if r:
        title = f"{task.capitalize()}: {r['successes']} of {r['episodes']} unseen episodes succeed"
    else:
        title = f"{task.capitalize()}: not evaluated yet"
    lead = (
        f"A {escape(str(run.config.get('agent_name', '')))} agent learned this from "
        f"{run.config.get('train', {}).get('demos', '?')} scripted demonstrations, camera pixels "
        "and a reward that is 1 at success and 0 otherwise, in the twin of the cell."
    )
    return (
        f'<header><p class="eyebrow">handful &middot; {escape(run.name)}</p>'
        f'<h1>{escape(title)}</h1><p class="lead">{lead}</p></header>'
    )


def _tiles(run: RunData) -> str:
    r, tiles = run.result, []
    if r:
        between = f"{100 * r['success_low']:.1f} to {100 * r['success_high']:.1f} %"
        tiles.append((f"{100 * r['success_rate']:.1f} %", f"success, 95 % interval {between}"))
    last = run.curve[-1] if run.curve else {"env_steps": 0, "updates": 0, "wall_s": 0.0}
    rate_hz = float(run.config.get("rig", {}).get("control_rate_hz", 10.0))
    steps = int(r.get("env_steps", last["env_steps"]))
    tiles += [
        (f"{steps:,}", f"env steps, {duration(steps / rate_hz)} of arm time"),
        (duration(float(r.get("wall_s", last["wall_s"]))), "training, wall clock"),
        (f"{int(r.get('updates', last['updates'])):,}", "gradient updates"),
        (str(r.get("demos", run.config.get("train", {}).get("demos", "?"))), "demonstrations"),
    ]
    if r.get("length_median") is not None:
        seconds = float(r["length_median"]) / rate_hz
        tiles.append((f"{seconds:.1f} s", f"median success, {r['length_median']:.0f} steps"))
    cells = [
        f'<div class="tile{" first" if i == 0 and r else ""}"><b>{escape(value)}</b>'
        f"<span>{escape(label)}</span></div>"
        for i, (value, label) in enumerate(tiles)
    ]
    return f'<div class="tiles">{"".join(cells)}</div>'


def _evaluation(run: RunData) -> str:
    r = run.result
    if not r:
        return section("Evaluation", f"None yet: handful evaluate {run.folder} makes one.")
    horizon = float(r.get("horizon") or max(r["lengths"]))
    dots = charts.dot_chart(
        [float(n) for n in r["lengths"]],
        r["outcomes"],
        x_label="episode",
        y_label="steps",
        y_max=horizon,
        height=250,
        title="Episode lengths",
    )
    bar = charts.interval_bar(r["success_rate"], r["success_low"], r["success_high"])
    rows = "".join(
        f'<tr><td>{escape(name)}</td><td class="n">{escape(value)}</td></tr>'
        for name, value in _facts(r)
    )
    return section(
        "Evaluation",
        f"{r['episodes']} episodes of the deterministic policy in worlds it has never met "
        f"(seeds {r['seeds'][0]} to {r['seeds'][-1]}), judged by the success criterion alone.",
        '<div class="two">',
        "<div>",
        figure(bar, "Success rate", "Dot: measured. Band: 95 % Wilson interval."),
        f"<table style='margin-top:10px'>{rows}</table></div>",
        figure(
            dots,
            "Steps until the episode ended",
            f"Green dot: success. Red cross: failed. Time is up after {horizon:.0f} steps.",
        ),
        "</div>",
    )


def _facts(r: dict[str, Any]) -> list[tuple[str, str]]:
    """The evaluation in words: rate, interval, lengths, what the guard did."""
    low, high = 100 * r["success_low"], 100 * r["success_high"]
    facts = [
        ("succeeded", f"{r['successes']} of {r['episodes']}"),
        ("95 % interval", f"{low:.1f} to {high:.1f} %"),
    ]
    if r.get("length_median") is not None:
        middle, slow = r["length_median"], r["length_p90"]
        facts.append(("steps to success, median / p90", f"{middle:.0f} / {slow:.0f}"))
    verdicts = r.get("verdicts") or {}
    steps = sum(r["lengths"]) or 1
    said = ", ".join(
        f"{name.replace('_', ' ')} {100 * count / steps:.1f} %"
        for name, count in sorted(verdicts.items())
    )
    facts.append(("the guard stepped in", f"{said} of steps" if said else "never"))
    return facts


def _films(run: RunData) -> str:
    if not run.films:
        return ""
    rate_hz = float(run.result.get("control_rate_hz", 10.0))
    cells = []
    for entry, content in run.films:
        good = entry["label"] == "best"
        kind = "image/gif" if str(entry["file"]).endswith(".gif") else "image/webp"
        tag = '<span class="tag">success</span>' if good else '<span class="tag bad">failed</span>'
        cells.append(
            f'<figure><img class="film" alt="film of episode {entry["seed"]}" '
            f'src="{film.data_uri(content, kind)}"><figcaption>{tag} seed {entry["seed"]}, '
            f"{entry['length']} steps, {entry['length'] / rate_hz:.1f} s</figcaption></figure>"
        )
    failed = sum(entry["label"] != "best" for entry, _ in run.films)
    note = "The quickest successes" + (" and the first failures" if failed else "; none failed")
    return section(
        "Watch it",
        f"{note}, in real time. Right: what the policy sees.",
        f'<div class="three">{"".join(cells)}</div>',
    )


def _learning(run: RunData) -> str:
    if not run.curve:
        return ""
    shown = []
    for over, scale, label in (
        ("env_steps", 1.0, "env steps"),
        ("wall_s", 1 / 60, "wall clock [min]"),
    ):
        lines = [
            Series(
                "training, last 20 episodes",
                run.success(over, scale),
                PALETTE[0],
                2.4,
            ),
        ]
        checks = run.points("check", "success_rate", over, scale)
        if checks:
            lines.append(Series("check on other seeds", checks, GOOD, 1.6, dots=True))
        early = max((e["wall_s"] for e in run.events("start")), default=0.0) * scale
        svg = charts.line_chart(
            lines,
            x_label=label,
            y_label="success",
            y_range=(0.0, 1.0),
            percent=True,
            band=(early, "pre-training") if over == "wall_s" and early > 0 else None,
        )
        shown.append(figure(svg, f"Success over {label.split(' [')[0]}"))
    updates = run.events("update")
    names = {key for event in updates for key in event}
    names -= {"kind", "env_steps", "updates", "wall_s"}
    ordered = [k for k in METRICS if k in names] + sorted(names - set(METRICS))
    small = [
        figure(_small(updates, key, "env_steps", "env steps"), METRICS.get(key, key))
        for key in ordered
    ]
    driven = [e for e in run.events("episode") if "intervention_rate" in e]
    if driven:
        svg = _small(driven, "intervention_rate", "env_steps", "env steps")
        small.insert(0, figure(svg, METRICS["intervention_rate"]))
    early = _pretraining(run)
    return section(
        "How it learned",
        "Blue: success of the exploring policy over its last 20 training episodes. Green, where "
        "there are any: checks of the deterministic policy on seeds of their own.",
        f'<div class="two">{"".join(shown)}</div>',
        f'<details open><summary>Losses and rates</summary><div class="three">{"".join(small)}'
        "</div></details>"
        if small
        else "",
        early,
    )


def _pretraining(run: RunData) -> str:
    events = run.pretraining()
    names = {key for event in events for key in event}
    names -= {"kind", "env_steps", "updates", "wall_s", "done", "total"}
    if not names:
        return ""
    small = [
        figure(_small(events, key, "done", "updates"), METRICS.get(key, key))
        for key in sorted(names)
    ]
    inside = f'<div class="three">{"".join(small)}</div>'
    return (
        f"<details open><summary>Pre-training on demonstration frames</summary>{inside}</details>"
    )


def _small(events: list[dict[str, Any]], key: str, over: str, label: str) -> str:
    points = [(float(event[over]), event[key]) for event in events if key in event]
    line = Series(METRICS.get(key, key), points, PALETTE[0], 1.6)
    return charts.line_chart([line], x_label=label, y_label=key, width=340, height=190)


def _again(run: RunData) -> str:
    r = run.result
    versions, machine = r.get("versions", {}), r.get("machine", {})
    rows = [("commit", r.get("commit", "unknown")), ("evaluated by", r.get("command", ""))]
    rows += [(name.replace("_gib", " [GiB]"), str(value)) for name, value in machine.items()]
    rows.append(("versions", ", ".join(f"{k} {v}" for k, v in versions.items())))
    speed = [
        f"{r[key]:,.1f} {name}"
        for key, name in (("updates_per_s", "updates/s"), ("env_steps_per_s", "env steps/s"))
        if key in r
    ]
    rows.append(("speed in training", ", ".join(speed)))
    times = [f"{name} {duration(float(r[key]))}" for key, name in TIMES if r.get(key)]
    rows.append(("time", ", ".join(times)))
    table = "".join(
        f"<tr><td>{escape(name)}</td><td>{escape(str(value))}</td></tr>"
        for name, value in rows
        if value
    )
    text = yaml.safe_dump(run.config, sort_keys=False, default_flow_style=None, width=100)
    return section(
        "Exactly this, again",
        "Same commit, settings, seed and machine give the same run.",
        f"<table>{table}</table>",
        f"<details><summary>All settings</summary><pre>{escape(text)}</pre></details>",
    )


def _written(run: RunData) -> str:
    when = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    return f"Written {when} from {escape(str(run.folder))}."
