"""What a person beside the learner is worth: environment steps to 0.9, with and without help.

Runs ``handful train`` with the same demonstrations and seeds twice: alone, and with the scripted
person of ``handful.workflow.teleop_person``, who sees the scene and drives when the policy is lost.
Steps that the person drove count as environment steps. A check of 50 unseen worlds every 250 steps
is the policy's alone; a run ends at its first check of 0.9 or more. Runs that have ended are not
repeated and one that was killed goes on, so an interrupted evening costs nothing.

    .venv/bin/python benchmarks/bench_interventions.py --task lift --seeds 0 1 2 --out runs/helped
    .venv/bin/python benchmarks/bench_interventions.py --summary --out runs/helped
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

GOAL = 0.9
KINDS: dict[str, tuple[str, ...]] = {"alone": (), "helped": ("--teleop", "scripted")}


def run_one(options: argparse.Namespace, kind: str, seed: int) -> None:
    """One run of one kind and seed, taken up where it was."""
    name = f"{options.task}_{kind}_{seed}"
    run = options.out / name
    if events(run, "stop"):
        print(f"{name}: already there", flush=True)
        return
    words = [sys.executable, "-m", "handful.cli", "train", "--run", str(run)]
    words += ["--task", options.task, "--seed", str(seed), "--demos", str(options.demos)]
    words += ["--steps", str(options.steps), "--check-every", str(options.check_every)]
    if (run / "checkpoint.safetensors").exists() or list(run.glob("episodes/*.log")):
        words.append("--resume")
    sets = [f"train.check_episodes={options.check_episodes}", "train.min_steps=0"]
    sets += [f"train.stop_check_success={GOAL}", "agent.threads=1", *options.set]
    for setting in sets:
        words += ["--set", setting]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    print(f"{name}: running", flush=True)
    with (options.out / f"{name}.log").open("a", encoding="utf-8") as log:
        code = subprocess.call(
            [*words, *KINDS[kind]], stdout=log, stderr=subprocess.STDOUT, env=environment
        )
    print(f"{name}: {'done' if code == 0 else f'failed, see {name}.log'}", flush=True)


def events(run: Path, kind: str) -> list[dict[str, Any]]:
    """The whole events of one kind in a run's curve, oldest first."""
    path = run / "curve.jsonl"
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    found = [json.loads(line) for line in lines if line.endswith("}")]
    return [event for event in found if event["kind"] == kind]


def summarise(options: argparse.Namespace) -> dict[str, Any]:
    """Per kind: each seed's steps to GOAL (null: not reached), checks, and the person's share."""
    table: dict[str, Any] = {"task": options.task, "goal": GOAL}
    for kind in KINDS:
        runs = []
        for seed in options.seeds:
            run = options.out / f"{options.task}_{kind}_{seed}"
            checks, episodes = events(run, "check"), events(run, "episode")
            if not checks:
                continue
            reached = next((e for e in checks if e["success_rate"] >= GOAL), None)
            steps = sum(e["length"] for e in episodes)
            driven = sum(e.get("intervention_rate", 0.0) * e["length"] for e in episodes)
            runs.append(
                {
                    "seed": seed,
                    "steps_to_goal": reached and reached["env_steps"],
                    "checks": [(e["env_steps"], e["success_rate"]) for e in checks],
                    "driven_share": round(driven / steps, 4) if steps else None,
                    "intervention_rates": [e.get("intervention_rate", 0.0) for e in episodes],
                }
            )
        there = [r["steps_to_goal"] for r in runs if r["steps_to_goal"] is not None]
        table[kind] = {
            "runs": runs,
            "median_steps_to_goal": statistics.median(there) if there else None,
            "reached": f"{len(there)} of {len(runs)}",
        }
    return table


def main() -> None:
    """Command line; see the first lines of this file."""
    parser = argparse.ArgumentParser(description=__doc__)
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
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if not options.summary:
        with ThreadPoolExecutor(options.parallel) as pool:
            for seed in options.seeds:  # both kinds of one seed side by side
                for kind in KINDS:
                    pool.submit(run_one, options, kind, seed)
    table = summarise(options)
    file = options.out / f"{options.task}_interventions.json"
    file.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    for kind in KINDS:
        found = table[kind]
        print(f"{kind}: {found['median_steps_to_goal']} env steps, reached {found['reached']}")
    print(file)


if __name__ == "__main__":
    main()
