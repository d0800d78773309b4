"""Push in the twin judged by two printed tags alone, against the truth that goes along unseen."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from handful_twin import tag_check

from handful.contract import Transition
from handful.workflow.parts import Parts
from handful.workflow.recipe import Options, resolve
from handful.workflow.reward_sources import rates_of

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from bench_measured import CASES, measured


@pytest.fixture(scope="module")
def parts(tmp_path_factory: Any) -> Parts:
    """As docs/rewards.md has it: the check writes the calibration, two settings do the rest."""
    folder = tmp_path_factory.mktemp("tags")
    assert tag_check.main(["--out", str(folder), "--episodes", "1"]) == 0
    sets = ("twin.tags=push", "task.horizon_steps=30")
    sets += (f"reward.geometric.tag.calibration={folder / 'third.yaml'}",)
    return Parts(resolve(Options("push", reward="reward/push_tags", sets=sets)), "cpu")


@pytest.fixture(scope="module")
def played(parts: Parts) -> dict[str, list[Transition]]:
    """Episodes by what was done in them."""
    env: Any = parts.learning_environment()
    found = {}
    try:
        for seed in range(4):
            found[f"pushed {seed}"] = _episode(env, parts.demonstrator(env.env, seed), seed)
        found["left alone"] = _episode(env, None, 0)
    finally:
        env.close()
    return found


def _episode(env: Any, actor: Any, seed: int) -> list[Transition]:
    seen = env.reset(seed)
    if actor is not None:
        actor.reset()
    steps: list[Transition] = []
    while not steps or not steps[-1].last:
        action = np.zeros(4) if actor is None else actor.act(seen)
        steps.append(env.step(action))
        seen = steps[-1].next_observation
    return steps


def test_tags_and_truth_agree_on_every_episode(played: dict[str, list[Transition]]) -> None:
    for name, steps in played.items():
        last = steps[-1]
        assert last.info["judge"] == "geometric"
        assert last.reward == float(name.startswith("pushed")), name
        rates = rates_of(last)
        assert rates["false_success"] == rates["missed_success"] == 0.0, name


def test_and_on_nearly_every_picture(played: dict[str, list[Transition]]) -> None:
    ends = [steps[-1].info for steps in played.values()]
    frames = sum(end["frames"] for end in ends)
    wrong = sum(end["false_frames"] + end["missed_frames"] for end in ends)
    assert wrong <= 0.05 * frames, "only where the cube crosses the tolerance"
    scores = [step.info["score"] for step in played["left alone"]]
    assert max(scores) == 0.0


def test_a_tag_that_is_not_there_is_no_success(parts: Parts) -> None:
    values = parts.recipe.to_dict()
    values["twin"]["tags"] = {}
    bare = Parts(resolve(Options(sets=("task.horizon_steps=6",)), values), "cpu")
    env: Any = bare.learning_environment()
    env.reset(0)
    step = env.step(np.zeros(4))
    said = env.source.facts()["geometric"]
    env.close()
    assert step.info["score"] == 0.0 and said == "tag 3 is not seen"


def test_the_benchmark_counts_what_a_source_had_wrong(parts: Parts) -> None:
    tag = parts.recipe.reward.geometric.tag
    assert tag is not None and set(CASES) > {"push by two tags"}
    found = measured("push by two tags", Path(tag.calibration), {"demo": 1})
    assert (found["episodes"], found["true"], found["false_success"]) == (1, 1, 0)
    assert found["missed_success"] == 1, "in this world the hand stands before the tag at the goal"
    assert 0 < found["missed_frames"] < found["frames"] <= 60 and not found["false_frames"]
