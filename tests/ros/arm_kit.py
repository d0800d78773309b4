"""The arm node before a controller that stands in for the real one, and what every arm must do.

A test class says what to start and inherits the rest::

    from arm_kit import ArmNodeContract, Driven, arm, foreign

    class TestMyArm(ArmNodeContract):
        def start(self, ros: Graph) -> Driven: ...
"""

import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graph import Graph, Process, need_ros
from stand_ins import body, messages
from std_msgs.msg import String

from handful.config import load
from handful.contract import Command
from handful.msg import ArmState
from handful.msg import Command as CommandMessage
from handful.srv import Resume
from handful.wire.arms.settings import ArmNodeSettings
from handful.wire.messages import position_m, to_command

STAND_INS = Path(__file__).parent / "stand_ins"
VALID_S = 0.2
#: A stop must have been said this soon after the guard fell silent; a slow machine is forgiven.
SOON_S = VALID_S + 0.15


@pytest.fixture(scope="session")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where stand-in message packages are; importable here, too."""
    need_ros()
    folder = str(messages.make(tmp_path_factory.getbasetemp() / "stand_in_messages"))
    if folder not in sys.path:
        sys.path.append(folder)
    return folder


class Driven:
    """One arm node with its stand-ins; says what a guard would, hears what it answers.

    told: the topic the adapter speaks to the controller on, if it has one.
    """

    def __init__(
        self, ros: Graph, profile: str, stand_ins: dict[str, dict[str, Any]],
        told: tuple[str, Any] | None = None, **changes: Any,
    ) -> None:  # fmt: skip
        self.ros = ros
        settings = load(ArmNodeSettings, f"node/arm/{profile}", changes)
        self.settings = settings.model_dump(mode="json", exclude_none=True)
        self.frame_id = settings.base_frame
        self._sequence = 100
        self.state = ros.listen("arm/state", ArmState)
        self.do = ros.talk("stand_in/do", String)
        self.told = ros.listen(*told) if told else None
        ros.set_param("/robot_description", body.urdf())
        self.stand_ins = [
            ros.start_script(STAND_INS / f"{name.partition('-')[0]}.py", name=name, **parameters)
            for name, parameters in stand_ins.items()
        ]
        self.node: Process = self.start_node()
        self.guard = ros.talk("guard/command", CommandMessage, listeners=1)
        self.home = self.rest()

    def start_node(self) -> Process:
        return self.ros.start("arm_node", arm=self.settings)

    def close(self) -> None:
        self.guard.hush()
        for process in (self.node, *self.stand_ins):
            process.kill() if process.running else None
        for ear in (self.state, self.told):
            if ear is not None:
                ear.close()

    def order(self, what: str) -> None:
        """An ill for the stand-ins, or the end of all."""
        self.do.say(String(what))

    def command(self, goal: Command, hold: bool = False, valid_s: float = VALID_S) -> Any:
        self._sequence += 1
        return to_command(
            goal, stamp_s=time.time(), sequence=self._sequence, valid_s=valid_s, hold=hold,
            reason="rest" if hold else "", frame_id=self.frame_id,
        )  # fmt: skip

    def here(self) -> Command:
        """Where the arm is."""
        state = self.state.wait_new()
        return Command(position_m(state.tool.position), state.yaw_rad, state.gripper_m)

    def rest(self) -> Command:
        """Let the guard hold until the arm does, without complaint; returns where that is."""
        self.order("free")
        self.guard.repeat(self.command(Command(np.zeros(3), 0.0, 0.0), hold=True), 50.0)
        self.until(lambda s: s.holding and not s.fault, "the arm to hold without a fault", 15.0)
        self.still()
        return self.here()

    def go(
        self, start: Command, step_m: Any, turn_rad: float = 0.0, grip_m: float | None = None
    ) -> Command:
        """Have the guard ask for a goal a step away from ``start``, 50 times a second."""
        grip_m = start.gripper_m if grip_m is None else grip_m
        goal = Command(start.p_BT_m + step_m, start.yaw_rad + turn_rad, grip_m)
        self.guard.repeat(self.command(goal), 50.0)
        return goal

    def step_m(self, start: Command, share: float = 1.0) -> Any:
        """A step within one jump, and a while away; there or back, whichever is nearer home."""
        step_m = share * np.array([0.05, -0.04, 0.03])
        return step_m if (start.p_BT_m - self.home.p_BT_m) @ step_m <= 0.0 else -step_m

    def until(self, wanted: Any, what: str, timeout_s: float = 8.0) -> Any:
        """The first state from now on that is as wanted."""
        seen = len(self.state.messages)

        def look() -> Any:
            return next((m for m in self.state.messages[seen:] if wanted(m)), None)

        return self.ros.wait_until(look, f"{what}; last was {self._last()}", timeout_s)

    def still(self) -> None:
        """Wait until it stands; an arm that turns round is slow for a moment, too."""
        seen = len(self.state.messages)

        def look() -> bool:
            newest = self.state.messages[seen:][-8:]
            return len(newest) == 8 and all(speed(m) < 2e-3 for m in newest)

        self.ros.wait_until(look, "the arm to stand")

    def _last(self) -> str:
        if not self.state.messages:
            return "nothing"
        m = self.state.last
        return f"{position_m(m.tool.position).round(3)} holding={m.holding} fault={m.fault!r}"


@pytest.fixture(scope="class")
def arm(request: pytest.FixtureRequest, ros: Graph, foreign: str) -> Iterator[Driven]:
    """What the test class starts, once for all of its tests."""
    ros.env["PYTHONPATH"] = foreign
    arm = request.cls().start(ros)
    yield arm
    arm.close()


def speed(state: Any) -> float:
    return float(np.linalg.norm(position_m(state.velocity)))


def near(state: Any, goal: Command, tolerance_m: float, tolerance_rad: float = 0.02) -> bool:
    off_rad = math.remainder(state.yaw_rad - goal.yaw_rad, math.tau)
    off_m = np.linalg.norm(position_m(state.tool.position) - goal.p_BT_m)
    return bool(off_m < tolerance_m) and abs(off_rad) < tolerance_rad


def apart_m(a: Command, b: Command) -> float:
    return float(np.linalg.norm(a.p_BT_m - b.p_BT_m))


class ArmNodeContract:
    """Inherit, override ``start`` and ``stopped``, and say how close is there."""

    tolerance_m = 0.002

    def start(self, ros: Graph) -> Driven:
        raise NotImplementedError

    def stopped(self, arm: Driven) -> bool:
        """Whether what was said to the controller ends with this arm's own stop, ten times."""
        return True

    def must_have_stopped(self, arm: Driven) -> None:
        arm.ros.wait_until(lambda: self.stopped(arm), "the controller to be told to stop", 2.0)

    def test_it_goes_where_the_guard_says_and_turns(self, arm: Driven) -> None:
        start = arm.rest()
        goal = arm.go(start, arm.step_m(start), turn_rad=-0.15)
        state = arm.until(lambda s: near(s, goal, self.tolerance_m), f"the arm at {goal}")
        assert not state.holding and not state.fault
        assert state.command == arm._sequence
        assert position_m(state.target.position) == pytest.approx(goal.p_BT_m, abs=1e-6)
        assert state.target_yaw_rad == pytest.approx(goal.yaw_rad, abs=1e-6)
        assert state.header.frame_id == arm.frame_id
        arm.still()
        assert near(arm.state.wait_new(), goal, self.tolerance_m)

    def test_a_hold_is_at_the_measured_pose_captured_once(self, arm: Driven) -> None:
        start = arm.rest()
        goal = arm.go(start, arm.step_m(start))
        arm.until(lambda s: speed(s) > 0.02, "the arm to move")
        arm.guard.repeat(arm.command(goal, hold=True), 50.0)
        held = arm.until(lambda s: s.holding, "the arm to hold")
        assert not held.fault
        assert position_m(held.target.position) == pytest.approx(
            position_m(held.tool.position), abs=0.01
        )
        arm.still()
        assert apart_m(arm.here(), goal) > 0.005
        late = arm.state.wait_new()
        assert late.target == held.target
        self.must_have_stopped(arm)

    def test_silence_of_the_guard_stops_it_until_it_is_heard_again(self, arm: Driven) -> None:
        start = arm.rest()
        goal = arm.go(start, arm.step_m(start))
        arm.until(lambda s: speed(s) > 0.02, "the arm to move")
        arm.guard.hush()
        silent_s = time.monotonic()
        held = arm.until(lambda s: s.holding, "the arm to hold")
        assert time.monotonic() - silent_s < SOON_S
        assert "guard/command is silent" in held.fault
        arm.still()
        self.must_have_stopped(arm)
        here = arm.here()
        time.sleep(0.3)
        assert apart_m(arm.here(), here) < 0.002
        goal = arm.go(here, arm.step_m(here, 0.5))
        arm.until(lambda s: near(s, goal, self.tolerance_m), "the arm to go on")

    def test_a_guard_that_is_killed_leaves_an_arm_that_stands(self, arm: Driven) -> None:
        start = arm.rest()
        arm.guard.hush()
        guard = arm.ros.start_script(
            STAND_INS / "guard.py", name=f"guard_{arm.node.pid}",
            p_BT_m=(start.p_BT_m + arm.step_m(start)).tolist(), yaw_rad=start.yaw_rad,
            frame_id=arm.frame_id,
        )  # fmt: skip
        arm.until(lambda s: speed(s) > 0.02, "the arm to move")
        guard.kill()
        killed_s = time.monotonic()
        held = arm.until(lambda s: s.holding, "the arm to hold")
        assert time.monotonic() - killed_s < SOON_S
        assert "guard/command is silent" in held.fault
        arm.still()
        self.must_have_stopped(arm)

    def test_a_goal_far_away_is_refused_from_rest(self, arm: Driven) -> None:
        start = arm.rest()
        arm.go(start, [0.0, 0.0, 0.2])
        state = arm.until(lambda s: s.fault, "the arm to refuse")
        assert state.holding and "0.200 m" in state.fault and "measured pose" in state.fault
        time.sleep(0.2)
        assert apart_m(arm.here(), start) < 0.002
        goal = arm.go(start, [0.01, 0.0, 0.0])
        arm.until(lambda s: near(s, goal, self.tolerance_m), "the arm to go where it may")

    def test_a_stop_of_the_node_stops_the_arm(self, arm: Driven) -> None:
        start = arm.rest()
        goal = arm.go(start, arm.step_m(start))
        arm.until(lambda s: speed(s) > 0.02, "the arm to move")
        assert arm.node.stop() == 0, arm.node.output()
        self.must_have_stopped(arm)
        arm.node = arm.start_node()
        arm.guard = arm.ros.talk("guard/command", CommandMessage, listeners=1)
        arm.rest()
        assert apart_m(arm.here(), goal) > 0.005

    def clear(self, arm: Driven) -> Any:
        return arm.ros.call("arm/clear_fault", Resume, "tester")


class SourceContract(ArmNodeContract):
    """And what depends on where the state comes from, not on the controller."""

    def test_it_tells_where_it_is_fifty_times_a_second(self, arm: Driven) -> None:
        arm.rest()
        arm.state.forget()
        heard = arm.state.wait(51)
        stamps_s = [m.header.stamp.to_sec() for m in heard]
        assert all(a <= b for a, b in zip(stamps_s, stamps_s[1:], strict=False))
        assert np.ptp(arm.state.arrived_s[:51]) == pytest.approx(1.0, rel=0.3)
        assert 0.0 <= time.time() - stamps_s[-1] < 0.5

    def test_a_goal_that_jumps_in_motion_is_refused(self, arm: Driven) -> None:
        start = arm.rest()
        arm.go(start, [0.02, 0.0, 0.0])
        arm.until(lambda s: not s.holding, "the arm to follow")
        arm.go(start, [-0.15, 0.0, 0.0])
        state = arm.until(lambda s: s.fault, "the arm to refuse")
        assert state.holding and "refused a goal" in state.fault

    @pytest.mark.parametrize("ill", ["mute", "hang"])
    def test_it_holds_when_its_state_is_old(self, arm: Driven, ill: str) -> None:
        arm.go(arm.rest(), [0.01, 0.0, 0.0])
        arm.until(lambda s: not s.holding, "the arm to follow")
        arm.order(ill)
        state = arm.until(lambda s: "the arm's state is silent" in s.fault, "it to miss the state")
        assert state.holding
