"""Every task put to the test: its scripted demonstrator, a random policy, and what a step costs.

    python benchmarks/bench_tasks.py --episodes 100 --json docs/results/tasks.json
    python benchmarks/bench_tasks.py --randomize hard --episodes 50 --speed-seconds 0 \\
        --json docs/results/tasks_hard.json
    python benchmarks/bench_tasks.py --pictures docs/media      # task_<name>.png, nothing else

Episode seeds are 0 to N-1. ``env_steps_per_cpu_s`` is steps a second of processor time with one
84 x 84 camera and a random policy, resets included; on a machine that does other things too it is a
lower bound, and ``load`` says so. With ``--tasks`` the others of an existing ``--json`` are kept.
With ``--randomize`` every episode is drawn from that range (docs/twin.md), and speed is of it too.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from handful_twin import TwinTaskEnv, make_env
from handful_twin.demonstrate import Demonstrator
from handful_twin.settings import TwinSettings
from handful_twin.tasks import TASKS

from handful.config import load
from handful.rig.settings import RigSettings
from handful.workflow import film
from handful.workflow.results import (
    commit,
    machine,
    quantile,
    read_json,
    versions,
    wilson,
    write_json,
)

GOAL, AT_MOST = 0.95, 0.05  # demonstrators at least, random policies less
RANDOMISED_GOAL = 0.9  # demonstrators at least, where ranges are those of --randomize
FILM_PX = 384
Policy = Callable[[Any], Any]


def run_tasks_bench(
    episodes: int = 100,
    names: list[str] | None = None,
    speed_s: float = 5.0,
    progress: Callable[[str], None] | None = None,
    randomize: str = "none",
) -> dict[str, Any]:
    """Measure every task (or those named).

    Args:
        episodes: of the demonstrator, without and with the noise of ``handful collect``, and of
            the random policy.
        speed_s: processor time [s] for the speed of each task; 0 leaves speed out.
        randomize: ``twin.randomize``, a shipped file of ranges or one of yours.
    Returns:
        ``tasks``: name -> ``demonstrator`` and ``demonstrator_noisy`` (``success_rate``,
        ``interval_95``, ``steps_median``, ``steps_p95``), ``random``, ``horizon_steps``, with
        ``speed_s`` also ``env_steps_per_cpu_s``, and the ``commit``; and where all was measured.
    """
    say = progress or (lambda line: print(line, file=sys.stderr))
    twin = load(TwinSettings, "twin", {"randomize": randomize})
    noise = twin.demo_noise
    found: dict[str, Any] = {}
    for name in names or list(TASKS):
        env = make_env(name, rig=_rig(8), twin=twin)
        exact, noisy = Demonstrator(env, 0.0, seed=1), Demonstrator(env, noise, seed=1)
        rng = np.random.default_rng(0)
        found[name] = {
            "horizon_steps": env.horizon,
            "demonstrator": _outcomes(env, exact.act, exact.reset, episodes),
            "demonstrator_noisy": _outcomes(env, noisy.act, noisy.reset, episodes),
            "random": _outcomes(env, lambda _: rng.uniform(-1.0, 1.0, 4), lambda: None, episodes),  # noqa: B023
        }
        env.close()
        if speed_s > 0.0:
            found[name]["env_steps_per_cpu_s"] = _speed(name, speed_s, twin)
        found[name] |= {"episodes": episodes, "load": round(os.getloadavg()[0], 2)}
        found[name]["commit"] = commit()
        say(_line(name, found[name]))
    return {
        "tasks": found,
        "demo_noise": noise,
        "randomize": randomize,
        "machine": machine(),
        "versions": versions(),
    }


def _rig(size_px: int) -> RigSettings:
    """One camera; tiny where nobody looks at its pictures."""
    camera = {"width_px": size_px, "height_px": size_px}
    return load(RigSettings, "rig", {"cameras": {"third": camera}, "observe.image_px": size_px})


def _outcomes(
    env: TwinTaskEnv, act: Policy, begin: Callable[[], None], episodes: int
) -> dict[str, Any]:
    wins, lengths, failed = 0, [], []
    for seed in range(episodes):
        observation, steps = env.reset(seed), 0
        begin()
        while True:
            transition = env.step(act(observation))
            observation, steps = transition.next_observation, steps + 1
            if transition.last:
                break
        if transition.reward > 0.0:
            wins += 1
            lengths.append(steps)
        else:
            failed.append(seed)
    numbers: dict[str, Any] = {
        "success_rate": wins / episodes,
        "interval_95": [round(edge, 4) for edge in wilson(wins, episodes)],
    }
    if wins >= 0.5 * episodes:
        numbers["steps_median"] = quantile(lengths, 0.5)
        numbers["steps_p95"] = quantile(lengths, 0.95)
        numbers["failed_seeds"] = failed
    return numbers


def _speed(name: str, seconds: float, twin: TwinSettings) -> float:
    env = make_env(name, rig=_rig(84), twin=twin)
    rng, seed, steps = np.random.default_rng(0), 0, 0
    env.reset(seed)
    env.step(np.zeros(4))  # what is compiled is compiled now
    began_s = time.process_time()
    while time.process_time() - began_s < seconds:
        steps += 1
        if env.step(rng.uniform(-1.0, 1.0, 4)).last:
            seed += 1
            env.reset(seed)
    rate = steps / (time.process_time() - began_s)
    env.close()
    return round(rate, 1)


def _line(name: str, numbers: dict[str, Any]) -> str:
    exact, noisy = numbers["demonstrator"], numbers["demonstrator_noisy"]
    chance, speed = numbers["random"]["success_rate"], numbers.get("env_steps_per_cpu_s")
    return (
        f"{name:8} demonstrator {exact['success_rate']:.2f}, with noise {noisy['success_rate']:.2f}"
        f" in {noisy.get('steps_median', '-')}/{noisy.get('steps_p95', '-')} steps"
        f" (median/p95) of {numbers['horizon_steps']}, random {chance:.2f}"
        + ("" if speed is None else f", {speed:.0f} env steps/cpu s")
    )


def draw(folder: Path, names: list[str] | None = None, seed: int = 1) -> list[Path]:
    """A picture of every task: the film camera well into a demonstration, and beside it what
    the policy sees then; written as ``task_<name>.png``."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name in names or list(TASKS):
        env = make_env(name)
        expert, moment = Demonstrator(env, 0.0), 0
        for played in range(2):
            observation, step, last = env.reset(seed), 0, False
            expert.reset()
            while not last and not (played and step == moment):
                transition = env.step(expert.act(observation))
                observation, last, step = transition.next_observation, transition.last, step + 1
            moment = max(1, round(0.8 * (step - env.hold_steps)))
        wide = env.render("film", (FILM_PX, FILM_PX))
        path = folder / f"task_{name}.png"
        path.write_bytes(film.png(film.compose(wide, film.policy_views(observation))))
        written.append(path)
        env.close()
    return written


def main() -> None:
    """Command line; see the first lines of this file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), help="all by default")
    parser.add_argument("--speed-seconds", type=float, default=5.0, help="0: leave speed out")
    parser.add_argument(
        "--randomize", default="none", help="none, mild, calibrated, hard, or a file of ranges"
    )
    parser.add_argument("--json", help="write the numbers here too")
    parser.add_argument("--pictures", type=Path, help="only draw task_<name>.png into this folder")
    options = parser.parse_args()
    if options.pictures:
        for path in draw(options.pictures, options.tasks):
            print(path)
        return
    before = None
    if options.tasks and options.json not in (None, "-"):
        before = read_json(Path(options.json))
    if before and (had := before.get("randomize", "none")) != options.randomize:
        sys.exit(f"{options.json} is of --randomize {had}, not {options.randomize}; name another")
    numbers = run_tasks_bench(
        options.episodes, options.tasks, options.speed_seconds, None, options.randomize
    )
    if options.json:
        kept = {**(before or {}).get("tasks", {}), **numbers["tasks"]}
        write_json(options.json, {**numbers, "tasks": kept})
    goal, who = GOAL, "demonstrator"
    if options.randomize != "none":  # what `handful collect` records there
        goal, who = RANDOMISED_GOAL, "demonstrator_noisy"
    for name, values in numbers["tasks"].items():
        weak = values[who]["success_rate"] < goal
        if weak or values["random"]["success_rate"] >= AT_MOST:
            sys.exit(f"{_line(name, values)}; wanted {goal} and less than {AT_MOST}")


if __name__ == "__main__":
    main()
