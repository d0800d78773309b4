"""Every task learned from pixels and a sparse reward, with the settings as they are shipped.

``handful demo`` once for every task and seed: 20 demonstrations, 3,000 environment steps, 100
unseen episodes, a check on 50 others every 500 steps. Then one JSON of all that is there and one
picture, a panel a task. A run whose ``result.json`` exists is not repeated; ``--steps`` may be
raised for a task of which more is to be known, in a folder of its own.

    .venv/bin/python benchmarks/bench_skills.py --out runs/skills
    .venv/bin/python benchmarks/bench_skills.py --out runs/skills --summary     # of what is there
"""

import argparse
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench_recipes import GOAL, run_one, summarise

from handful.workflow.results import write_json

TASKS = ("reach", "lift", "push", "pull", "place", "stack", "switch", "drawer", "peg")


def draw(tasks: dict[str, list[dict[str, Any]]], file: Path) -> None:
    """Success of the checks over environment steps; the dot is the 100 unseen episodes."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = -(-len(tasks) // 3)
    size = (9.6, 0.3 + 2.2 * rows)
    figure, panels = pyplot.subplots(rows, 3, figsize=size, dpi=110, sharey=True, squeeze=False)
    for axes in panels.flat[len(tasks) :]:
        axes.axis("off")
    for axes, task in zip(panels.flat, tasks, strict=False):
        axes.set_title(task, fontsize=10.5, loc="left")
        axes.axhline(GOAL, color="0.75", linewidth=0.8, linestyle="--")
        for index, run in enumerate(tasks[task]):
            colour = f"C{index}"
            axes.plot(*zip(*run["checks"], strict=True), color=colour, linewidth=1.4)
            spread = [[run["success_rate"] - run["success_low"]]]
            spread += [[run["success_high"] - run["success_rate"]]]
            end = (run["env_steps"], run["success_rate"])
            axes.errorbar(*end, yerr=spread, color=colour, marker="o", markersize=4, capsize=2)
            axes.annotate(
                f"{run['success_rate']:.2f}",
                end,
                (-8, -14),
                textcoords="offset points",
                fontsize=9,
                color=colour,
                ha="right",
            )
        axes.set_ylim(-0.03, 1.06)
        axes.set_xlim(left=0)
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in panels[:, 0]:
        axes.set_ylabel("success", fontsize=9)
    for axes in panels.flat[: len(tasks)][-3:]:
        axes.set_xlabel("environment steps (10 Hz)", fontsize=9)
    figure.tight_layout()
    figure.savefig(file)
    pyplot.close(figure)


def main() -> None:
    """Command line; see the first lines of this file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--tasks", nargs="+", default=[*TASKS], choices=TASKS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--demos", type=int, default=20)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--check-every", type=int, default=500, help="env steps between checks")
    parser.add_argument("--parallel", type=int, default=1, help="runs at a time, one thread each")
    parser.add_argument("--out", type=Path, default=Path("runs/skills"))
    parser.add_argument("--summary", action="store_true", help="only tell what is there")
    options = parser.parse_args()
    options.until_goal = False
    options.out.mkdir(parents=True, exist_ok=True)
    if not options.summary:
        with ThreadPoolExecutor(options.parallel) as pool:
            for seed in options.seeds:
                for task in options.tasks:
                    one = argparse.Namespace(**{**vars(options), "task": task})
                    pool.submit(run_one, one, "ours", seed)
    tasks = {task: summarise(options.out, task).get("ours", []) for task in TASKS}
    tasks = {task: runs for task, runs in tasks.items() if runs}
    write_json(options.out / "skills.json", {"demos": options.demos, "tasks": tasks})
    draw(tasks, options.out / "skills.png")
    for task, runs in tasks.items():
        for run in runs:
            told = {key: run[key] for key in ("seed", "success_rate", "env_steps", "steps_to_goal")}
            print(f"{task:8} {json.dumps(told)}")


if __name__ == "__main__":
    main()
