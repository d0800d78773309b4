"""Success against the number of demonstrations, with and without pre-training, at a fixed budget.

One run for every task, number, kind and seed: demonstrations, pre-training (or none: the eye stays
as it was drawn, the clone is fitted all the same), ``--steps`` environment steps, ``--episodes``
unseen ones. With no demonstration nothing is cloned: the eye learns from ``--play`` episodes of
wandering, or from nothing, and the first steps are random. One JSON a run, written whole: runs that
have ended are not repeated, one that was killed goes on, so an interrupted night costs nothing.

    .venv/bin/python benchmarks/bench_demos.py --tasks lift --out runs/demos
    .venv/bin/python benchmarks/bench_demos.py --summary --out runs/demos
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from handful.workflow.charts import PALETTE, Series, line_chart
from handful.workflow.results import commit, machine, wilson, write_text

KINDS = {"with": "pre-trained", "without": "eye as it was drawn"}
BARE = ("agent.pretrain.updates=0", "agent.pretrain.refresh_steps=[]")
NOTHING_SHOWN = (
    *("agent.start_policy=random", "agent.clone.proposal=false", "agent.clone.init_actor=false"),
    *("agent.clone.weight=0.0", "agent.clone.final_weight=0.0", "agent.pretrain.clone_weight=0.0"),
)
STYLE = (
    "<style>text{font-family:sans-serif;fill:#5b6572}.tick{font-size:11.5px}"
    ".axis{font-size:12.5px}</style>"
)


def name_of(task: str, demos: int, kind: str, seed: int) -> str:
    """What a run's folder, log and JSON are called."""
    return f"{task}_{demos:02d}_{kind}_{seed}"


def handful(words: list[str], log: Path, options: argparse.Namespace) -> int:
    """One command of ours, its words appended to ``log``; its exit status."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads)}
    with log.open("a", encoding="utf-8") as file:
        command = [sys.executable, "-m", "handful.cli", *words]
        return subprocess.call(command, stdout=file, stderr=subprocess.STDOUT, env=environment)


def run_one(options: argparse.Namespace, task: str, demos: int, kind: str, seed: int) -> None:
    """One cell of the grid, taken up where it was."""
    name = name_of(task, demos, kind, seed)
    file, run, log = (options.out / f"{name}{end}" for end in (".json", "", ".log"))
    if file.is_file():
        print(f"{name}: already there", flush=True)
        return
    sets = [f"agent.threads={options.threads}", *options.set]
    sets += BARE if kind == "without" else ()
    sets += NOTHING_SHOWN if demos == 0 else ()
    which = ["--run", str(run), "--task", task, "--seed", str(seed), "--agent", options.agent]
    which += ["--demos", str(demos), *(word for s in sets for word in ("--set", s))]
    began_s, before_s = time.monotonic(), _children_s()
    print(f"{name}: running", flush=True)
    steps = []
    if demos == 0 and kind == "with":
        steps.append(["collect", *which, "--play", str(options.play)])
    train = ["train", *which, "--steps", str(options.steps)]
    if (run / "checkpoint.safetensors").exists() or list(run.glob("episodes/*.log")):
        train.append("--resume")
    steps += [train, ["evaluate", str(run), "--episodes", str(options.episodes), "--no-films"]]
    for words in steps:
        if handful(words, log, options):
            print(f"{name}: failed, see {log}", flush=True)
            return
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    told = ("success_rate", "successes", "episodes", "env_steps", "updates", "wall_s")
    values = {
        **{"task": task, "demos": demos, "kind": kind, "seed": seed, "agent": options.agent},
        **{key: result[key] for key in told},
        "all_wall_s": round(time.monotonic() - began_s, 1),
        "cpu_s": round(_children_s() - before_s, 1) if options.parallel == 1 else None,
        "commit": commit(),
        "machine": machine(),
    }
    write_text(file, json.dumps(values, indent=1) + "\n")
    print(f"{name}: {values['success_rate']:.2f}, {values['all_wall_s']} s", flush=True)


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def read_all(out: Path) -> list[dict[str, Any]]:
    """Every run that has ended, by task, kind, number and seed."""
    files = list(out.glob("*_*_*_*.json"))
    found = [json.loads(path.read_text(encoding="utf-8")) for path in files]
    return sorted(found, key=lambda r: (r["task"], r["kind"], r["demos"], r["seed"]))


def curves(runs: list[dict[str, Any]], kind: str) -> dict[int, list[dict[str, Any]]]:
    """Number of demonstrations -> the runs of one kind, in order of seeds."""
    mine = [r for r in runs if r["kind"] == kind]
    return {n: [r for r in mine if r["demos"] == n] for n in sorted({r["demos"] for r in mine})}


def draw(runs: list[dict[str, Any]]) -> str:
    """One task's curves as an SVG document: a dot a seed, a line through their means."""
    lines = []
    for index, (kind, label) in enumerate(KINDS.items()):
        found, colour = curves(runs, kind), PALETTE[index]
        dots = [(float(n), r["success_rate"]) for n, here in found.items() for r in here]
        means = [
            (float(n), statistics.fmean(r["success_rate"] for r in here))
            for n, here in found.items()
        ]
        lines.append(Series(f"{label}, seeds", dots, colour, 1.4, 0.6, dots=True, line=False))
        lines.append(Series(label, means, colour, 2.4))
    svg = line_chart(
        lines, x_label="demonstrations", y_label="success", y_range=(0.0, 1.0), percent=True
    )
    key = "".join(
        f'<text x="70" y="{70 + 18 * i}" style="fill:{PALETTE[i]}" class="axis">{label}</text>'
        for i, label in enumerate(KINDS.values())
    )
    key += f'<text x="70" y="52" class="axis">{runs[0]["task"]}</text>'
    svg = svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    return svg.replace(">", f">{STYLE}", 1).replace("</svg>", f"{key}</svg>") + "\n"


def table(runs: list[dict[str, Any]]) -> str:
    """One task's numbers as Markdown: mean over seeds, each seed, Wilson over all episodes."""
    numbers = sorted({r["demos"] for r in runs})
    shown = " | ".join(f"{n} demo{'s' * (n != 1)}" for n in numbers)
    head = f"| {runs[0]['task']} | {shown} |"
    rows = [head, f"|{'---|' * (len(numbers) + 1)}"]
    for kind, label in KINDS.items():
        found, cells = curves(runs, kind), []
        for n in numbers:
            here = found.get(n, [])
            if not here:
                cells.append("not run")
                continue
            wins, of = (sum(r[key] for r in here) for key in ("successes", "episodes"))
            low, high = wilson(wins, of)
            each = ", ".join(f"{r['success_rate']:.2f}" for r in here)
            cells.append(f"**{wins / of:.2f}** ({each}; {low:.2f} … {high:.2f})")
        rows.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(rows)


def main() -> None:
    """Command line; see the first lines of this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="+", default=["lift", "place"])
    parser.add_argument("--demos", nargs="+", type=int, default=[0, 1, 5, 10, 20])
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=1000, help="env steps of each run")
    parser.add_argument("--episodes", type=int, default=50, help="unseen ones, at the end")
    parser.add_argument("--play", type=int, default=10, help="episodes, where nothing is shown")
    parser.add_argument("--agent", default="frozen")
    parser.add_argument("--set", action="append", default=[], metavar="GROUP.KEY=VALUE")
    parser.add_argument("--threads", type=int, default=1, help="of each run")
    parser.add_argument("--parallel", type=int, default=1, help="runs at a time")
    parser.add_argument("--out", type=Path, default=Path("runs/demos"))
    parser.add_argument("--summary", action="store_true", help="only tell and draw what is there")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if not options.summary:
        grid = [
            (task, demos, kind, seed)
            for task in options.tasks
            for seed in options.seeds  # a whole curve of one seed before the next
            for demos in options.demos
            for kind in options.kinds
        ]
        with ThreadPoolExecutor(options.parallel) as pool:
            for cell in grid:
                pool.submit(run_one, options, *cell)
    found = read_all(options.out)
    if not found:
        sys.exit(f"{options.out}: no finished run there")
    for task in dict.fromkeys(r["task"] for r in found):
        runs = [r for r in found if r["task"] == task]
        write_text(options.out / f"demos_{task}.svg", draw(runs))
        print(f"\n{table(runs)}")
    write_text(options.out / "demos.json", json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
