"""Rewards by measuring: how often forward kinematics and tags are wrong, beside the twin's truth.

For each case demonstrations, as many attempts of a demonstrator that is mistaken by 3 to 7 cm, and
random episodes, all in worlds that nothing else uses; the source ends them, the task's own rule is
noted. ``lift`` is judged by the tool's height and the opening, with and without a squeeze; ``push``
by two printed tags of 27 px and nothing else (docs/rewards.md), once more in the colours, light and
cameras of ``hard``; a tag's picture is without the sensor's noise.

    .venv/bin/python benchmarks/bench_measured.py --json docs/results/measured.json

Needs two minutes of one core.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from bench_reward import MISTAKE_M, Mistaken
from handful_twin import tag_check
from handful_twin.demonstrate import Demonstrator

from handful.contract import Transition
from handful.workflow.parts import Parts
from handful.workflow.recipe import Options, resolve
from handful.workflow.results import commit, machine, versions, write_json
from handful.workflow.reward_sources import rates_of

COUNTS = {"demo": 20, "mistaken": 20, "random": 10}
FIRST_SEED = 7_500_000
LIFT = (
    "reward.by=geometric",
    "reward.geometric.tip_min_m=[null, null, 0.14]",
    "reward.geometric.width_min_m=0.03",
    "reward.geometric.width_max_m=0.06",
)
SQUEEZE = ("reward.geometric.squeeze_min_m=0.02",)
TAGS = ("twin.tags=push",)
CASES: dict[str, tuple[str, str | None, tuple[str, ...]]] = {
    "lift by tool and opening": ("lift", None, (*LIFT, *SQUEEZE)),
    "lift without the squeeze": ("lift", None, LIFT),
    "push by two tags": ("push", "reward/push_tags", TAGS),
    "push by two tags, hard": ("push", "reward/push_tags", (*TAGS, "twin.randomize=hard")),
}


def episodes(parts: Parts, counts: dict[str, int]) -> Iterator[tuple[str, Transition]]:
    """(kind, last step) of every episode."""
    env: Any = parts.learning_environment()
    seed = FIRST_SEED
    for kind, count in counts.items():
        for _ in range(count):
            yield kind, _play(parts, env, kind, seed)
            seed += 1
    env.close()


def _play(parts: Parts, env: Any, kind: str, seed: int) -> Transition:
    rng, seen = np.random.default_rng(seed), env.reset(seed)
    angle, far_m = rng.uniform(0.0, 2.0 * np.pi), rng.uniform(*MISTAKE_M)
    offset_m = far_m * np.array([np.cos(angle), np.sin(angle), 0.0]) * (kind == "mistaken")
    noise = parts.recipe.twin.demo_noise  # type: ignore[attr-defined]
    actor = Demonstrator(Mistaken(env.env, offset_m), noise, seed)  # type: ignore[arg-type]
    actor.reset()
    while True:
        wild = rng.uniform(-1.0, 1.0, env.spec.action_dim).astype(np.float32)
        step: Transition = env.step(wild if kind == "random" else actor.act(seen))
        seen = step.next_observation
        if step.last:
            return step


def measured(name: str, calibration: Path, counts: dict[str, int]) -> dict[str, Any]:
    """One case: frames and episodes, and how many of them the source had wrong."""
    task, reward, sets = CASES[name]
    if reward is not None:
        sets += (f"reward.geometric.tag.calibration={calibration}",)
    parts = Parts(resolve(Options(task, reward=reward, sets=sets)), "cpu")
    found = dict.fromkeys(
        ("episodes", "true", "false_success", "missed_success", "frames", "false_frames"), 0
    )
    found["missed_frames"] = 0
    for _, last in episodes(parts, counts):
        rates = rates_of(last)
        found["episodes"] += 1
        found["true"] += int(rates["true_success"])
        for key in ("false_success", "missed_success"):
            found[key] += int(rates[key])
        for key in ("frames", "false_frames", "missed_frames"):
            found[key] += int(last.info[key])
    return found


def run_measured(cases: list[str], counts: dict[str, int]) -> dict[str, Any]:
    """All of it, JSON-ready."""
    with tempfile.TemporaryDirectory(prefix="handful-tags-") as folder:
        tag_check.main(["--task", "push", "--tags", "push", "--out", folder, "--episodes", "1"])
        found = {name: measured(name, Path(folder) / "third.yaml", counts) for name in cases}
    return {"counts": counts, "cases": found}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", default="-")
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--share", type=float, default=1.0, help="of the episodes: 0.1 is a try")
    asked = parser.parse_args()
    wanted = {kind: max(1, round(asked.share * count)) for kind, count in COUNTS.items()}
    values = run_measured(asked.cases, wanted)
    about = {"commit": commit(), "versions": versions(), "machine": machine()}
    command = "python benchmarks/bench_measured.py"
    write_json(asked.json, {"command": command, **values, **about})
