"""``record_demos.launch teleop:=joy``: a hand on a pad drives the twin and demonstrates."""

import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from graph import NO_ROS, ROOT, Graph

pytest.importorskip("handful.msg", reason=NO_ROS)

from cell_kit import PATIENT
from sensor_msgs.msg import Joy

from handful.cli import cli
from handful.msg import Episode, Verdict
from handful.rig.episodes import read
from handful.workflow.recipe import Options, resolve
from handful.workflow.run_folder import RunFolder


def pad(*down: int, forward: float = 0.0) -> Joy:
    """As joy_node says it: up is positive, a trigger rests at +1."""
    axes = [0.0, forward, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0]
    return Joy(axes=axes, buttons=[int(k in down) for k in range(11)])


def test_a_hand_on_a_pad_records_a_demonstration_over_ros(ros: Graph, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "by_hand")
    run.path.mkdir()
    run.write_config(resolve(Options(task="reach", sets=("train.demos=1",))))
    for name, seconds in PATIENT.items():
        ros.set_param(f"/guard/{name}", seconds)
    ros.set_param("/teleop/max_silence_s", 2.0)  # a loaded machine's hiccup is no hand that lets go
    given = [f"run:={run}", "demonstrate:=false", "teleop:=joy", "person:=Ada"]
    cell = ros.launch(ROOT / "launch/record_demos.launch", *given)
    hand = ros.talk("joy", Joy)
    episodes, verdicts = ros.listen("episode", Episode), ros.listen("guard/verdict", Verdict)
    hand.repeat(pad(), 20.0)
    episodes.wait_for(lambda m: m.phase == Episode.RUNNING, "an episode to begin", 90.0)

    def driven() -> list[Verdict]:
        return [m for m in list(verdicts.messages) if m.source == "teleop" and m.reason != "rests"]

    hand.repeat(pad(forward=1.0), 20.0)
    time.sleep(0.5)
    assert not driven(), "it moved without the deadman"
    hand.repeat(pad(4, forward=1.0), 20.0)
    ros.wait_until(lambda: len(driven()) >= 6, "a few steps", 20.0)
    hand.repeat(pad(), 20.0)  # a look at what came of it
    verdicts.wait_for(lambda m: m.source == "teleop" and m.reason == "rests", "a rest", 10.0)
    time.sleep(1.0)
    assert cell.running and episodes.last.phase == Episode.RUNNING, "a pause is no end"
    steps = len(driven())
    hand.repeat(pad(0), 20.0)
    assert cell.wait(60.0) == 0, "when it has its demonstrations, everything ends"
    hand.hush()

    (demo,) = read(run.demos)
    assert demo.complete and demo.demo and all(t.demo for t in demo.transitions)
    assert (demo.meta["operator"], demo.meta["device"]) == ("Ada", "joy")
    assert set(demo.meta["calibration"]) == {"third", "wrist"}
    last = demo.transitions[-1]
    assert (last.info["said_by"], last.reward, last.discount) == ("joy", 1.0, 0.0)
    assert len(demo.transitions) == steps + 1, "every step that was sent, and the one of the word"
    assert np.array_equal(last.action[:3], np.zeros(3))
    sent = np.array([m.executed for m in driven()])
    assert np.allclose([t.action for t in demo.transitions[:-1]], sent)
    assert sent[:, 0].max() > 0.5, "away from the base"
    told = CliRunner().invoke(cli, ["data", "check", str(run.path)])
    assert told.exit_code == 0 and "nothing wrong" in told.output, told.output
    for ear in (episodes, verdicts):
        ear.close()
