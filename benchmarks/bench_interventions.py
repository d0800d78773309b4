"""What a person beside the learner is worth: environment steps to 0.9, with and without help.

Runs ``handful train`` with the same demonstrations and seeds twice: alone, and with the scripted
person of ``handful.workflow.teleop_person``, who sees the scene and drives when the policy is lost.
Steps that the person drove count as environment steps. A check of 50 unseen worlds every 250 steps
is the policy's alone; a run ends at its first check of 0.9 or more.

    .venv/bin/python benchmarks/bench_interventions.py --task lift --seeds 0 1 2 --parallel 1
    .venv/bin/python benchmarks/bench_interventions.py --task lift --summary --svg lift.svg

Each run is one process on one thread, ``--parallel`` of them at a time, and leaves one JSON when it
has ended, whole or not at all. Runs that have theirs are not repeated and one that was stopped or
killed goes on from its checkpoint and log, so the same command again costs only what is missing.
"""

import argparse
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from html import escape
from pathlib import Path
from typing import Any

from handful.workflow.charts import INK, PALETTE, Series, line_chart
from handful.workflow.curves import read_curve
from handful.workflow.results import commit, machine, read_json, versions, write_json, write_text

GOAL = 0.9
KINDS: dict[str, tuple[str, ...]] = {"alone": (), "helped": ("--teleop", "scripted")}
LABELS = {"alone": "alone", "helped": "with a scripted person beside it"}
ENDED = ("check", "steps", "minutes")  # why a run is over; stopped by a person, it is not
_STYLE = (
    "<style>text{font-family:sans-serif;font-size:11px;fill:#6b7480}"
    ".axis{font-size:12px;fill:#1f2733}.name{font-size:12px}</style>"
    '<rect width="100%" height="100%" fill="#fff"/>'
)


def run_one(options: argparse.Namespace, kind: str, seed: int) -> None:
    """One run of one kind and seed, taken up where it was; its JSON when it has ended."""
    name = f"{options.task}_{kind}_{seed}"
    run, file = options.out / name, options.out / f"{name}.json"
    if file.is_file():
        print(f"{name}: already there", flush=True)
        return
    if not over(run):
        words = [sys.executable, "-m", "handful.cli", "train", "--run", str(run)]
        words += ["--task", options.task, "--seed", str(seed), "--demos", str(options.demos)]
        words += ["--steps", str(options.steps), "--check-every", str(options.check_every)]
        if (run / "checkpoint.safetensors").exists() or list(run.glob("episodes/*.log")):
            words.append("--resume")
        sets = [f"train.check_episodes={options.check_episodes}", "train.min_steps=0"]
        sets += [f"train.stop_check_success={GOAL}", "agent.threads=1", *options.set]
        for setting in sets:
            words += ["--set", setting]
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        print(f"{name}: running", flush=True)
        with (options.out / f"{name}.log").open("a", encoding="utf-8") as log:
            code = subprocess.call(
                [*words, *KINDS[kind]],
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **threads},
            )
        if code or not over(run):
            print(f"{name}: not over, see {name}.log; the same command goes on", flush=True)
            return
    write_json(file, told(options, kind, seed, run))
    print(f"{name}: done", flush=True)


def over(run: Path) -> bool:
    """Whether a run has come to its end."""
    stops = [e for e in read_curve(run / "curve.jsonl") if e["kind"] == "stop"]
    return bool(stops) and stops[-1].get("reason") in ENDED


def told(options: argparse.Namespace, kind: str, seed: int, run: Path) -> dict[str, Any]:
    """What came of a run: steps to GOAL (null: not reached), every check, the person's share."""
    curve = read_curve(run / "curve.jsonl")
    checks = [e for e in curve if e["kind"] == "check"]
    episodes = [e for e in curve if e["kind"] == "episode"]
    reached = next((e for e in checks if e["success_rate"] >= GOAL), None)
    steps = sum(e["length"] for e in episodes)
    driven = sum(e.get("intervention_rate", 0.0) * e["length"] for e in episodes)
    return {
        "task": options.task,
        "kind": kind,
        "seed": seed,
        "demos": options.demos,
        "goal": GOAL,
        "steps_to_goal": reached and reached["env_steps"],
        "checks": [(e["env_steps"], e["success_rate"]) for e in checks],
        "driven_share": round(driven / steps, 4) if steps else None,
        "intervention_rates": [
            (e["env_steps"], round(e.get("intervention_rate", 0.0), 4)) for e in episodes
        ],
        "train_s": round(max((e["wall_s"] for e in curve), default=0.0), 1),
        "settings": list(options.set),
        "commit": commit(),
        "versions": versions(),
        "machine": machine(),
    }


def summarise(options: argparse.Namespace) -> dict[str, Any]:
    """Per kind: its runs that have ended, the median of their steps to GOAL, how many got there.

    A run that did not get there counts as later than all others; a median among those is null.
    """
    table: dict[str, Any] = {"task": options.task, "goal": GOAL, "demos": options.demos}
    for kind in KINDS:
        files = [options.out / f"{options.task}_{kind}_{seed}.json" for seed in options.seeds]
        runs = [found for file in files if (found := read_json(file)) is not None]
        there = [r["steps_to_goal"] for r in runs if r["steps_to_goal"] is not None]
        late = [math.inf] * (len(runs) - len(there))
        median = statistics.median(there + late) if there else math.inf
        table[kind] = {
            "runs": runs,
            "median_steps_to_goal": median if math.isfinite(median) else None,
            "reached": f"{len(there)} of {len(runs)}",
        }
    return table


def lines(table: dict[str, Any]) -> list[str]:
    """The table for people: a line a run, then one a kind."""
    found = [f"{'':8} seed  steps to {GOAL:g}  last check  driven"]
    for kind in KINDS:
        for run in table[kind]["runs"]:
            steps, share = run["steps_to_goal"], run["driven_share"]
            last = f"{run['checks'][-1][1]:.2f}" if run["checks"] else "none"
            found.append(
                f"{kind:8} {run['seed']:4}  {'not' if steps is None else steps:>12}  {last:>10}  "
                f"{'' if share is None else f'{share:.0%}':>6}"
            )
    for kind in KINDS:
        median, reached = table[kind]["median_steps_to_goal"], table[kind]["reached"]
        found.append(f"{kind}: median {median} environment steps, reached by {reached}")
    return found


def drawing(table: dict[str, Any]) -> str:
    """Checks of every run over environment steps, and the share of each episode that was driven."""
    series, words = [], [f"{table['task']}, {table['demos']} demonstrations"]
    colours = [INK]
    for kind, colour in zip(KINDS, PALETTE, strict=False):
        for run in table[kind]["runs"]:
            series.append(Series(kind, run["checks"], colour, width=1.8, dots=True))
        words.append(f"success of the policy, {LABELS[kind]}")
        colours.append(colour)
    for run in table["helped"]["runs"]:
        rates = smoothed(run["intervention_rates"])
        series.append(Series("driven", rates, PALETTE[2], width=1.0, opacity=0.7))
    words.append("share the person drove (mean of 10 episodes)")
    colours.append(PALETTE[2])
    chart = line_chart(
        series,
        x_label="environment steps, the person's included",
        y_label="share",
        y_range=(0.0, 1.0),
        percent=True,
        width=640,
        height=380,
        title=f"What help is worth on {table['task']}",
    )
    chart = chart.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    first = chart.index(">") + 1
    legend = "".join(
        f'<text class="name" x="300" y="{272 + 15 * i}" style="fill:{colour}">{escape(line)}</text>'
        for i, (line, colour) in enumerate(zip(words, colours, strict=True))
    )
    return f"{chart[:first]}{_STYLE}{chart[first:].replace('</svg>', legend + '</svg>')}\n"


def smoothed(points: Sequence[Sequence[float]], over: int = 10) -> list[tuple[float, float | None]]:
    """Means of so many episodes each."""
    groups = [points[k : k + over] for k in range(0, len(points), over)]
    return [(g[-1][0], statistics.fmean(y for _, y in g)) for g in groups if len(g) == over]


def main() -> None:
    """Command line; see the first lines of this file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", default="lift")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--demos", type=int, default=5, help="few, so that help can show")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--check-every", type=int, default=250, help="env steps between checks")
    parser.add_argument("--check-episodes", type=int, default=50)
    parser.add_argument("--set", action="append", default=[], metavar="GROUP.KEY=VALUE")
    parser.add_argument("--parallel", type=int, default=max(1, os.cpu_count() or 2))
    parser.add_argument("--out", type=Path, default=Path("runs/helped"))
    parser.add_argument("--summary", action="store_true", help="only summarise what is there")
    parser.add_argument("--json", type=Path, help="of the summary; default: in --out")
    parser.add_argument("--svg", type=Path, help="of the curves; default: in --out")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if not options.summary:
        with ThreadPoolExecutor(options.parallel) as pool:
            jobs = [
                pool.submit(run_one, options, kind, seed)
                for seed in options.seeds  # both kinds of one seed side by side
                for kind in KINDS
            ]
        for job in jobs:
            job.result()
    table, name = summarise(options), f"{options.task}_interventions"
    write_json(options.json or options.out / f"{name}.json", table)
    svg = options.svg or options.out / f"{name}.svg"
    if any(table[kind]["runs"] for kind in KINDS):
        write_text(svg, drawing(table))
        print(svg)
    print("\n".join(lines(table)))


if __name__ == "__main__":
    main()
