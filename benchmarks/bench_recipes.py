"""Recipes side by side on one task: several settings and seeds, same demonstrations and network.

Runs ``handful demo`` once for every recipe and seed (one thread each, ``--parallel`` at a time),
with a check on unseen worlds every 250 environment steps, then writes one JSON summary and one
figure. A run whose ``result.json`` exists is not repeated, so an interrupted evening goes on.
``--until-goal`` ends a run at its first check of 0.9 or more: enough for steps to the goal.

    .venv/bin/python benchmarks/bench_recipes.py --task lift --seeds 0 1 2 --out runs/recipes
    .venv/bin/python benchmarks/bench_recipes.py --summary --out runs/recipes
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

RECIPES: dict[str, tuple[str, ...]] = {
    "ours": (),
    "nocontrast": ("--set", "agent.pretrain.contrast_weight=0.0"),
    "noclone": ("--set", "agent.pretrain.clone_weight=0.0"),
    "timepos": ("--set", "agent.pretrain.positive_offset=3"),
    "lean": ("--agent", "lean"),
    "leanbare": (
        *("--agent", "lean", "--set", "agent.contrast.weight=0.0"),
        *("--set", "agent.pretrain.contrast_weight=0.0"),
    ),
    "serl": ("--agent", "serl"),
    "ferm": ("--agent", "ferm"),
}
LABELS = {
    "ours": "handful (frozen profile)",
    "nocontrast": "without the contrastive term",
    "noclone": "contrast alone shapes the eye",
    "timepos": "positives up to 3 steps apart",
    "lean": "end to end (lean profile)",
    "leanbare": "end to end, no contrast before or in training",
    "serl": "SERL's recipe, same network",
    "ferm": "FERM's recipe, same network",
}
GOAL = 0.9


def run_one(options: argparse.Namespace, recipe: str, seed: int) -> None:
    """One recipe, one seed: a run folder under ``options.out`` and its log beside it."""
    task, out = options.task, options.out
    name = f"{task}_{recipe}_{seed}"
    if (out / name / "result.json").is_file():
        print(f"{name}: already there", flush=True)
        return
    command = [sys.executable, "-c", "from handful.cli import main; main()", "demo"]
    command += ["--task", task, "--seed", str(seed), "--steps", str(options.steps)]
    command += ["--demos", str(options.demos), "--episodes", str(options.episodes)]
    command += ["--run", str(out / name), *RECIPES[recipe]]
    sets = [f"train.check_every_steps={options.check_every}", "train.check_episodes=50"]
    sets += ["agent.threads=1"]
    if options.until_goal:
        sets.append(f"train.stop_check_success={GOAL}")
    for setting in sets:
        command += ["--set", setting]
    print(f"{name}: running", flush=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with (out / f"{name}.log").open("w", encoding="utf-8") as log:
        code = subprocess.call(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
    print(f"{name}: {'done' if code == 0 else f'failed, see {out / name}.log'}", flush=True)


def events(run: Path) -> list[dict[str, Any]]:
    """The run's curve, one mapping an event."""
    text = (run / "curve.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines() if line]


def summarise(out: Path, task: str) -> dict[str, Any]:
    """Per recipe: checks by env steps, first env step and second at which a check reached GOAL."""
    table: dict[str, Any] = {}
    for recipe in RECIPES:
        runs = []
        for run in sorted(out.glob(f"{task}_{recipe}_*")):
            if not (run / "result.json").is_file():
                continue
            result = json.loads((run / "result.json").read_text(encoding="utf-8"))
            checks = [e for e in events(run) if e["kind"] == "check"]
            reached = next((e for e in checks if e["success_rate"] >= GOAL), None)
            runs.append(
                {
                    "seed": result["seed"],
                    "success_rate": result["success_rate"],
                    "success_low": result["success_low"],
                    "success_high": result["success_high"],
                    "episodes": result["episodes"],
                    "env_steps": result["env_steps"],
                    "updates": result["updates"],
                    "wall_s": result["wall_s"],
                    "commit": result["commit"],
                    "machine": result["machine"],
                    "steps_to_goal": reached and reached["env_steps"],
                    "wall_s_to_goal": reached and reached["wall_s"],
                    "checks": [(e["env_steps"], e["success_rate"]) for e in checks],
                }
            )
        if runs:
            table[recipe] = runs
    return table


def draw(table: dict[str, Any], task: str, demos: int, file: Path) -> None:
    """Success on 50 unseen episodes over env steps: a thin line a seed, a thick one their mean."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7.5, 4.2), dpi=110)
    for index, (recipe, runs) in enumerate(table.items()):
        colour = f"C{index}"
        for run in runs:
            axes.plot(*zip(*run["checks"], strict=True), color=colour, linewidth=0.6, alpha=0.5)
        shared = min(len(run["checks"]) for run in runs)
        steps = [statistics.fmean(run["checks"][i][0] for run in runs) for i in range(shared)]
        means = [statistics.fmean(run["checks"][i][1] for run in runs) for i in range(shared)]
        axes.plot(steps, means, color=colour, linewidth=2.2, label=LABELS[recipe])
    axes.axhline(GOAL, color="0.7", linewidth=0.8, linestyle="--")
    axes.set(xlabel="environment steps (10 Hz)", ylabel="success", ylim=(-0.02, 1.02))
    axes.set_title(f"{task}: {demos} demonstrations, pixels, sparse reward", fontsize=11)
    axes.legend(fontsize=8, loc="lower right", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(file)


def main() -> None:
    """Command line; see the first lines of this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", default="lift", help="any task; docs/tasks.md has the list")
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES), choices=list(RECIPES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--demos", type=int, default=10)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--check-every", type=int, default=250, help="env steps between checks")
    parser.add_argument("--until-goal", action="store_true", help=f"end at a check >= {GOAL}")
    parser.add_argument("--parallel", type=int, default=max(1, (os.cpu_count() or 2)))
    parser.add_argument("--out", type=Path, default=Path("runs/recipes"))
    parser.add_argument("--summary", action="store_true", help="only summarise what is there")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if not options.summary:
        with ThreadPoolExecutor(options.parallel) as pool:
            for seed in options.seeds:
                for recipe in options.recipes:
                    pool.submit(run_one, options, recipe, seed)
    table = summarise(options.out, options.task)
    if not table:
        sys.exit(f"{options.out}: no finished run of {options.task} there")
    summary = options.out / f"{options.task}.json"
    summary.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    draw(table, options.task, options.demos, options.out / f"{options.task}.png")
    for recipe, runs in table.items():
        rates = ", ".join(f"{run['success_rate']:.2f}" for run in runs)
        goal = ", ".join(str(run["steps_to_goal"] or f"> {run['env_steps']}") for run in runs)
        print(f"{LABELS[recipe]:32} success {rates}   env steps to {GOAL}: {goal}")


if __name__ == "__main__":
    main()
