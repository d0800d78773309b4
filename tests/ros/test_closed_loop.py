"""The loop closed over ROS: evaluating, a bag that tells what was seen, learning beside acting."""

import json
import signal
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graph import NO_ROS, Graph

pytest.importorskip("handful.msg", reason=NO_ROS)

from cell_kit import PATIENT, Cell, quick_run
from handful_twin import make_env
from sensor_msgs.msg import Joy
from std_msgs.msg import String

from handful.config import load
from handful.msg import Action, Episode, GuardState, LearnerStatus, Verdict
from handful.rig.calibration import parse_calibration
from handful.rig.episodes import read
from handful.rig.mount import parse_mount
from handful.rig.settings import RigSettings
from handful.workflow.curves import read_curve
from handful.workflow.data.check import check_session
from handful.workflow.parts import load_learner
from handful.workflow.robot import steps_in
from handful.workflow.run_folder import RunFolder
from handful.workflow.teleop_oversee import is_intervention

BAGGED = ("third/color/image_raw", "wrist/color/image_raw", "arm/state", "agent/action")
PLACES = {f"true_cube_{axis}_m" for axis in "xyz"}

RIG = load(RigSettings, "rig")
ACCEL_M_S2 = 2.0  # less than the rig's, so that a hand-over that jumps would be seen


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return quick_run(tmp_path_factory.mktemp("runs") / "quick")


@pytest.fixture
def cell(ros: Graph, run: RunFolder) -> Iterator[Cell]:
    cell = Cell(ros, run, **PATIENT)
    yield cell
    cell.end()


def test_an_evaluation_is_recorded_told_and_played_back_from_a_bag(
    ros: Graph, cell: Cell, tmp_path: Path
) -> None:
    bag = tmp_path / "run.bag"
    topics = [*BAGGED, "guard/verdict", "episode", "judge/places"]
    recorder = ros.run("rosbag", ["/usr/bin/rosbag", "record", "-O", str(bag), *topics])
    ros.wait_until(lambda: any("/record" in n for n in ros.nodes()), "rosbag to listen", 20.0)
    time.sleep(1.0)
    agent = cell.start_agent("evaluate", episodes=2)
    assert agent.wait(90.0) == 0, agent.output()
    recorder.signal(signal.SIGINT)
    recorder.wait(10.0)

    result = json.loads((cell.run.path / "ros_result.json").read_text())
    assert result["episodes"] == 2 and result["faults"] == []
    assert 0.0 < result["latency_median_ms"] <= result["latency_p99_ms"] < 300.0
    acted = list(read(cell.run.path / "ros_episodes"))
    assert [e.complete for e in acted] == [True, True]
    assert sum(len(e.transitions) for e in acted) == result["steps"]
    phases = [m.phase for m in cell.episodes.messages]
    ends = {Episode.SUCCEEDED, Episode.TIMED_OUT}
    assert phases[:2] == [Episode.RESETTING, Episode.RUNNING]
    assert len([p for p in phases if p in ends]) == 2
    moves = [m for m in cell.verdicts.messages if m.reason != "rests"]
    assert len(moves) == result["steps"]
    assert all(m.status <= Verdict.AT_WALL for m in moves)

    cell.end()
    ros.set_param("/use_sim_time", True)
    try:
        listener = ros.start("agent_node", name="listener", run=str(cell.run), mode="listen")
        ros.wait_until(lambda: "listening" in listener.output(), "the listener", 30.0)
        ros.run("play", ["/usr/bin/rosbag", "play", "--clock", "-q", str(bag)]).wait(60.0)
        time.sleep(1.0)
        listener.stop()
    finally:
        ros.set_param("/use_sim_time", False)
    heard = list(read(cell.run.path / "heard"))
    assert [len(e.transitions) for e in heard] == [len(e.transitions) for e in acted]
    for ours, theirs in zip(acted, heard, strict=True):
        assert np.array_equal(ours.observation.state, theirs.observation.state)
        for a, b in zip(ours.transitions, theirs.transitions, strict=True):
            assert np.array_equal(a.action, b.action)
            assert (a.reward, a.discount, a.last) == (b.reward, b.discount, b.last)
            assert {k: a.info[k] for k in PLACES} == {k: b.info[k] for k in PLACES}
            assert np.array_equal(a.next_observation.state, b.next_observation.state)
            for name, picture in a.next_observation.images.items():
                assert np.array_equal(picture, b.next_observation.images[name])


@pytest.fixture(scope="class")
def learning(ros: Graph, run: RunFolder) -> Iterator[Cell]:
    ros.set_param("/guard_node/rig/guard/max_accel_m_s2", ACCEL_M_S2)
    cell = Cell(ros, run, **PATIENT)
    cell.start_agent("learn")
    cell.start_learner()
    yield cell
    cell.end()
    ros.master("deleteParam", "/guard_node/rig")


class TestLearning:
    """One cell that learns, for both."""

    def test_it_learns_beside_acting_with_exact_updates_a_step(
        self, ros: Graph, learning: Cell
    ) -> None:
        standing = ros.listen("learner/status", LearnerStatus)
        learning.moving(80, 120.0)
        first = standing.wait_for(lambda m: m.updates > 0, timeout_s=60.0)
        last = ros.wait_until(
            lambda: standing.last if standing.last.env_steps >= 60 else None, "60 steps", 60.0
        )
        assert last.updates > first.updates or last.owed == 0
        ratio, start_steps = 4.0, 10  # agent.update_to_data, agent.start_steps
        due = ratio * (last.env_steps - start_steps)
        assert abs(last.updates + last.owed - due) <= ratio
        policy = learning.status.wait_for(lambda m: m.policy > 0, "newer weights", 60.0)
        assert policy.mode == "learn"
        ages = [
            1e3 * (m.header.stamp - m.observed).to_sec()
            for m in learning.verdicts.messages
            if m.reason != "rests"
        ]
        assert np.median(ages) < 100.0
        assert steps_in(learning.run.episodes) >= 60
        parts = [m for m in ros.listen("agent/action", Action).wait(3) if not m.rest]
        assert all(len(m.parts) == 3 and min(m.parts) == m.header.stamp for m in parts)
        standing.close()

    def test_a_person_takes_over_in_mid_episode_and_gives_back(
        self, ros: Graph, learning: Cell
    ) -> None:
        group = {"device": "joy", "max_silence_s": 2.0}
        operator = ros.start("operator_node", teleop=group)
        hand = ros.talk("joy", Joy, listeners=1)
        hand.repeat(pad(), 20.0)
        learning.phase(Episode.RUNNING, 60.0)
        learning.moving(4, 30.0)
        begun = len(learning.verdicts.messages)

        def ruled(source: str) -> list[Verdict]:
            heard = list(learning.verdicts.messages[begun:])
            return [m for m in heard if m.source == source and m.status <= Verdict.AT_WALL]

        hand.repeat(pad(4, forward=-1.0), 20.0)
        ros.wait_until(lambda: len(ruled("teleop")) >= 8, "the person's steps", 30.0)
        hand.repeat(pad(), 20.0)
        ros.wait_until(lambda: ruled("teleop")[-1].reason == "rests", "the rest", 10.0)
        given_back = ruled("teleop")[-1].header.stamp
        ros.wait_until(
            lambda: sum(m.header.stamp > given_back for m in ruled("agent")) >= 4, "the agent", 30.0
        )
        ros.talk("operator/key", String, listeners=1).say(String("e"))
        rates = ros.wait_until(
            lambda: [
                e["intervention_rate"]
                for e in read_curve(learning.run.curve)
                if e.get("intervention_rate")
            ],
            "the learner to have taken it in",
            60.0,
        )
        assert operator.stop() == 0

        assert all(m.mode == GuardState.READY for m in learning.states.messages[-3:])
        smooth([m for m in learning.verdicts.messages if m.source in ("agent", "teleop")])
        episode = next(e for e in read(learning.run.episodes) if any(marks(e)))
        driven = marks(episode)
        assert [t.demo for t in episode.transitions] == driven
        assert 6 <= sum(driven) <= len(driven) - 4 and not driven[0] and not driven[-1]
        assert rates[0] == pytest.approx(sum(driven) / len(driven))
        mine = np.array([t.action for t, m in zip(episode.transitions, driven, strict=True) if m])
        sent = np.array([m.executed for m in ruled("teleop") if m.reason != "rests"])
        assert all(np.abs(sent - action).max(1).min() < 1e-6 for action in mine)
        assert mine[:, 0].min() < -0.5, "back, towards the base"

        learner, _ = load_learner(learning.run.pretrained, "cpu")
        learner.begin(episode.observation)
        before = len(learner.replay.online), len(learner.replay.demo)
        for step in episode.transitions:
            learner.add(step)
        grown = len(learner.replay.online) - before[0], len(learner.replay.demo) - before[1]
        assert grown == (len(driven) - sum(driven), sum(driven)), "the person's half of the batch"


def marks(episode: Any) -> list[bool]:
    """Which steps of an episode a person drove."""
    return [is_intervention(t) for t in episode.transitions]


def pad(*down: int, forward: float = 0.0) -> Joy:
    """As joy_node says it: up is positive, a trigger rests at +1."""
    axes = [0.0, forward, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0]
    return Joy(axes=axes, buttons=[int(k in down) for k in range(11)])


def smooth(verdicts: list[Verdict]) -> None:
    """No step beyond the guard's limits, whoever took it, and after whom.

    A step may go on along the one before it, or turn away from it by no more than the acceleration
    allows in a period; both hands change within this.
    """
    steps = [(m.source, np.array(m.step_m)) for m in verdicts if m.status <= Verdict.AT_WALL]
    changes = 0
    for (before, was_m), (now, step_m) in pairwise(steps):
        assert np.linalg.norm(step_m) <= RIG.guard.max_speed_m_s * RIG.period_s + 1e-6
        along = np.clip(was_m @ step_m / max(was_m @ was_m, 1e-12), 0.0, 3.0)
        turned_m = np.linalg.norm(step_m - along * was_m)
        assert turned_m <= ACCEL_M_S2 * RIG.period_s**2 + 1e-6, f"{before} to {now}: {turned_m} m"
        changes += before != now
    assert changes >= 2, "taken over, and given back"


def test_demonstrations_are_collected_over_ros(ros: Graph, run: RunFolder, tmp_path: Path) -> None:
    fresh = RunFolder(tmp_path / "demos_over_ros")
    fresh.path.mkdir()
    fresh.config.write_text(run.config.read_text())
    ros.set_param("/operator/person", "Ada")
    cell = Cell(ros, fresh, demonstrate=True, **PATIENT)
    try:
        agent = cell.start_agent("collect", demos=2)
        assert agent.wait(90.0) == 0, agent.output()
        demos = list(read(fresh.demos))
        assert len(demos) == 2 and all(e.demo and e.complete for e in demos)
        assert all(e.transitions[-1].reward == 1.0 for e in demos)
        told = [m for m in cell.verdicts.messages if m.source == "script" and m.reason != "rests"]
        assert sum(len(e.transitions) for e in demos) <= len(told)
        moved = np.abs(np.concatenate([t.action for e in demos for t in e.transitions])).max()
        assert moved > 0.5, "what the guard has let through, not what the recorder did"
        lifted_where_it_stood(demos)
        meta = demos[0].meta
        assert (meta["task"], meta["source"], meta["operator"]) == ("lift", "demonstration", "Ada")
        assert meta["rig"] == fresh.read_config()["rig"]  # type: ignore[index]
        assert demos[0].recorded["handful"], "by which software"
        for name, parent in (("third", "panda_link0"), ("wrist", "panda_hand")):
            lens = parse_calibration(meta["calibration"][name], name)
            mount = parse_mount(meta["calibration"][name], name)
            size = meta["rig"]["cameras"][name]
            assert (lens.width_px, lens.height_px) == (size["width_px"], size["height_px"])
            assert mount is not None and mount.parent_frame == parent
        assert not check_session(fresh.demos).problems
    finally:
        cell.end()


def lifted_where_it_stood(demos: list[Any]) -> None:
    """The log says where the cube is, as it does in process: from where its seed has put it, up."""
    env = make_env("lift")
    for demo in demos:
        env.reset(int(demo.info["seed"]))
        told_m = np.array([[step.info[k] for k in sorted(PLACES)] for step in demo.transitions])
        assert told_m[0] == pytest.approx(env.truth().p_m("cube"), abs=1e-3)
        assert told_m[-1, 2] > 0.1, "in the hand, at the end"
    env.close()
