"""The agent's source of reward: its parameters, its place on diagnostics, and when it counts."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rospy")

from std_msgs.msg import Bool

from handful.config import ConfigError
from handful.contract import ArmState, Observation
from handful.rig.calibration import Calibration
from handful.rig.cell import Said
from handful.rig.mount import camera_text
from handful.rig.observe import Observer
from handful.rig.reward import Scored
from handful.wire.agent_reward import AgentReward
from handful.wire.node import Level
from handful.wire.scene import EventJudge
from handful.workflow.recipe import Options, resolve
from handful.workflow.run_folder import RunFolder

RECIPE = resolve(Options(task="lift"))
SPEC = Observer(RECIPE.rig).spec
SEEN = Observation({}, np.zeros(8, np.float32), 0.0)


class Detector:
    at_goal = False

    def met(self) -> bool:
        return self.at_goal

    def said(self) -> Said:
        return Said()


def reward(mode: str, given: dict[str, Any] | None = None, recipe: Any = RECIPE) -> AgentReward:
    return AgentReward(recipe, mode, Detector(), {}, given, "parameter /agent/reward")


def arm(z_m: float, width_m: float) -> ArmState:
    p = np.array([0.5, 0.0, z_m])
    return ArmState(0.0, p, 0.0, width_m, np.zeros(3), np.zeros(7), p, 0.0, width_m)


GEOMETRIC = {
    "by": "geometric",
    "hold_s": 0.3,
    "geometric": {"tip_min_m": [0.0, -1.0, 0.14], "width_min_m": 0.03, "width_max_m": 0.06},
}


TAG = {"camera": "third", "calibration": "third.yaml", "size_m": 0.03, "thing": 3}
TAG |= {"relative_to": 0, "goal_m": [0.0, 0.0, 0.0], "tolerance_m": 0.01}


def test_without_parameters_it_is_the_detector() -> None:
    one = reward("learn")
    source, hold = one.of(SPEC)
    assert (source.name, hold.steps) == ("task", RECIPE.task_settings.hold_steps)  # type: ignore[attr-defined]
    assert source.look(SEEN, arm(0.2, 0.04)).score == 0.0
    assert one.report()[:2] == (Level.OK, "success is what task says, and people")


def test_parameters_lie_on_top_of_the_runs() -> None:
    source, hold = reward("learn", GEOMETRIC).of(SPEC)
    assert (source.name, hold.steps, hold.on) == ("geometric", 3, 1.0)
    assert source.look(SEEN, arm(0.2, 0.04)).score == 1.0
    assert source.look(SEEN, arm(0.2, 0.0)).score == 0.0


@pytest.mark.parametrize("mode", ["evaluate", "collect"])
def test_what_is_measured_is_the_tasks_own_rule(mode: str) -> None:
    assert reward(mode, GEOMETRIC).of(SPEC)[0].name == "task"


def test_a_misspelled_parameter_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="/agent/reward: bye: unknown key; did you mean 'by'"):
        reward("learn", {"bye": "learned"})


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({"by": "learned", "file": "success.safetensors"}, "file: success.safetensors"),
        ({"by": "geometric", "geometric": {"tag": TAG}}, "geometric.tag.calibration: third.yaml"),
    ],
)
def test_a_path_that_begins_nowhere_is_refused(given: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError, match=f"/agent/reward: {key}: give the path from the root"):
        reward("learn", given)


def test_a_tag_in_pictures_of_another_size_is_refused_at_start(tmp_path: Path) -> None:
    path = tmp_path / "third.yaml"
    K = np.array([[900.0, 0.0, 319.5], [0.0, 900.0, 239.5], [0.0, 0.0, 1.0]])
    path.write_text(camera_text("third", Calibration(640, 480, K, np.zeros(5)), None, []))
    tag = TAG | {"calibration": str(path)}
    one = reward("learn", {"by": "geometric", "geometric": {"tag": tag}})
    with pytest.raises(ConfigError, match="is of 640 x 480 px, third delivers 64 x 64; set rig"):
        one.of(SPEC)


def test_the_truth_is_noted_beside_a_source_while_somebody_says_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rospy.Subscriber", lambda *topic, **options: None)
    judge = EventJudge(max_age_s=30.0)
    assert judge.knows() is None and judge.met() is False, "nobody has said anything"
    judge._on_goal(Bool(True))
    assert judge.knows() is True
    judge._on_goal(Bool(False))
    assert judge.knows() is False
    judge._max_age_s = -1.0
    assert judge.knows() is None, "of late"
    one = reward("learn", GEOMETRIC)
    one.of(SPEC)
    assert one.truth(judge.knows) is not None
    assert reward("learn").truth(judge.knows) is None, "it would be beside itself"
    assert reward("evaluate", GEOMETRIC).truth(judge.knows) is None


def test_doubt_is_a_warning_on_diagnostics() -> None:
    one = reward("learn", {"by": "operator"})
    one.of(SPEC)
    assert "operator" in one.report()[1]
    drifting = Scored("learned", lambda seen: (0.1, 9.0), lambda distance: True)
    drifting.look(SEEN, arm(0.2, 0.04))
    one.source = drifting
    level, words, facts = one.report()
    assert level is Level.WARN and "no longer look like" in words
    assert facts["source"] == "learned" and facts["drift_distance"] == "9.00"


def test_the_runs_own_reward_is_taken() -> None:
    settings = RECIPE.reward.model_copy(update={"by": "operator"})
    assert reward("learn", recipe=replace(RECIPE, reward=settings)).of(SPEC)[0].name == "operator"


def test_the_node_reads_its_parameters_and_says_who_judges(ros: Any, tmp_path: Path) -> None:
    from cell_kit import PATIENT, Cell
    from diagnostic_msgs.msg import DiagnosticArray

    run = RunFolder(tmp_path / "judged")
    run.write_config(RECIPE)  # without weights it waits for a learner's, and reports already
    cell = Cell(ros, run, **PATIENT)
    told = ros.listen("/diagnostics", DiagnosticArray)
    try:
        everywhere = {"by": "geometric", "hold_steps": 3, "geometric": {"width_min_m": 0.01}}
        agent = cell.start_agent("learn", reward=everywhere)
        said = told.wait_for(
            lambda m: any("success is what geometric says" in s.message for s in m.status),
            timeout_s=90.0,
        )
        assert said
        assert "geometric says, held 3 steps" in agent.output()
    finally:
        cell.end()
