"""How fast is the twin on every task, with one camera and with two, and what randomisation costs.

    python benchmarks/bench_task_speed.py --seconds 5 --json docs/results/task_speed.json

A random policy, 84 x 84 pictures, resets included. The four cases of a task take turns in short
slices, so that a machine that slows down slows them all: ``steps_per_s`` are medians over the
rounds by the wall clock (alone on the machine they are the claim), ``steps_per_cpu_s`` the same a
second of processor time, ``hard_costs`` one minus the median over the rounds of hard over nominal,
by processor time. ``resets`` says which share of that time went into resets.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from handful_twin import make_env
from handful_twin.settings import TwinSettings
from handful_twin.tasks import TASKS

from handful.config import load
from handful.rig.settings import RigSettings
from handful.workflow.results import commit, machine, write_json

ROUNDS = 8
#: Steps a second by the wall clock at least, and the largest share that ``hard`` may cost.
ONE_CAMERA, TWO_CAMERAS, HARD = 250.0, 120.0, 0.20
CASES = {"one": (1, "none"), "one_hard": (1, "hard"), "two": (2, "none"), "two_hard": (2, "hard")}


class Runner:
    """One case of one task, ready to step."""

    def __init__(self, task: str, cameras: int, randomize: str) -> None:
        rig = load(RigSettings, "rig")
        names = list(rig.cameras)[:cameras]
        rig = rig.model_copy(update={"cameras": {name: rig.cameras[name] for name in names}})
        self.env = make_env(task, rig, load(TwinSettings, "twin", {"randomize": randomize}))
        self._rng, self._seed = np.random.default_rng(0), 0
        self.env.reset(0)
        self.run(0.02)  # what is compiled is compiled now

    def run(self, seconds: float) -> tuple[float, float, float]:
        """Step for so long: steps a second by the wall, a second of processor, resets' share."""
        wall_s, cpu_s, steps, resets_s = time.perf_counter(), time.process_time(), 0, 0.0
        while time.perf_counter() - wall_s < seconds or not steps:
            steps += 1
            if self.env.step(self._rng.uniform(-1.0, 1.0, self.env.spec.action_dim)).last:
                began_s = time.process_time()
                self._seed += 1
                self.env.reset(self._seed)
                resets_s += time.process_time() - began_s
        used_s = time.process_time() - cpu_s
        return steps / (time.perf_counter() - wall_s), steps / used_s, resets_s / used_s


def run_speed_bench(
    seconds: float = 5.0,
    names: list[str] | None = None,
    rounds: int = ROUNDS,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Measure every task (or those named), ``seconds`` a case, all rounds together.

    Returns:
        ``tasks``: name -> case -> ``steps_per_s``, ``steps_per_cpu_s``, ``resets``; and
        ``hard_costs_one``, ``hard_costs_two``; beside it where and when all was measured.
    """
    say = progress or (lambda line: print(line, file=sys.stderr))
    found: dict[str, Any] = {}
    for name in names or list(TASKS):
        runners = {case: Runner(name, *what) for case, what in CASES.items()}
        told: dict[str, list[tuple[float, float, float]]] = {case: [] for case in CASES}
        for _ in range(rounds):
            for case, runner in runners.items():
                told[case].append(runner.run(seconds / rounds))
        for runner in runners.values():
            runner.env.close()
        found[name] = {
            case: {
                "steps_per_s": round(statistics.median(row[0] for row in rows), 1),
                "steps_per_cpu_s": round(statistics.median(row[1] for row in rows), 1),
                "resets": round(statistics.median(row[2] for row in rows), 3),
            }
            for case, rows in told.items()
        }
        for eyes in ("one", "two"):
            pairs = zip(told[eyes], told[f"{eyes}_hard"], strict=True)
            found[name][f"hard_costs_{eyes}"] = round(
                1.0 - statistics.median(hard[1] / plain[1] for plain, hard in pairs), 3
            )
        found[name]["load"] = round(os.getloadavg()[0], 2)
        say(line(name, found[name]))
    return {"tasks": found, "rounds": rounds, "seconds": seconds, "commit": commit(),
            "machine": machine()}  # fmt: skip


def line(name: str, numbers: dict[str, Any]) -> str:
    """A task's row."""
    one, two = numbers["one"]["steps_per_s"], numbers["two"]["steps_per_s"]
    return (
        f"| {name} | {one:.0f} | {two:.0f} | {100 * numbers['hard_costs_one']:.0f} % | "
        f"{100 * numbers['hard_costs_two']:.0f} % |"
    )


def short(tasks: dict[str, Any]) -> list[str]:
    """The rows that miss a bar."""
    return [
        line(name, row)
        for name, row in tasks.items()
        if row["one"]["steps_per_s"] < ONE_CAMERA
        or row["two"]["steps_per_s"] < TWO_CAMERAS
        or max(row["hard_costs_one"], row["hard_costs_two"]) > HARD
    ]


def main() -> None:
    """Command line; see the first lines of this file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="a case, four cases a task")
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), help="all by default")
    parser.add_argument("--json", help="write the numbers here too")
    options = parser.parse_args()
    print("| task | one camera [steps/s] | two | hard costs, one | two |\n|---|---|---|---|---|")
    numbers = run_speed_bench(options.seconds, options.tasks, progress=print)
    if options.json:
        write_json(options.json, numbers)
    if weak := short(numbers["tasks"]):
        sys.exit("\n".join(["below the bars (250, 120 steps/s; 20 %):", *weak]))


if __name__ == "__main__":
    main()
