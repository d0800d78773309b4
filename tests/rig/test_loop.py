"""One tick from end to end on fakes whose every number can be predicted."""

import math

import numpy as np
import pytest
from fakes import CounterCamera, FakeClock, PerfectArm

from handful.rig.action import ActionError
from handful.rig.camera import StaleFrameError
from handful.rig.guard import Status
from handful.rig.loop import ControlLoop
from handful.rig.observe import Observer
from handful.rig.settings import (
    CameraSettings,
    GuardSettings,
    ObserveSettings,
    RigSettings,
)


class Cell:
    """A loop on fakes, begun."""

    def __init__(self, **groups: object) -> None:
        self.settings = RigSettings(cameras={"third": CameraSettings()}, **groups)
        self.clock = FakeClock()
        self.camera = CounterCamera(self.clock)
        self.camera.open()
        self.arm = PerfectArm(self.clock)
        self.loop = ControlLoop(self.settings, {"third": self.camera}, self.arm, self.clock)
        self.first = self.loop.begin()


def test_a_tick_takes_one_period_and_shows_what_came_after() -> None:
    cell = Cell()
    start_s = cell.clock.now_s()
    for number in range(1, 6):
        tick = cell.loop.tick([0.5, 0.0, 0.0, 1.0])
        assert cell.clock.now_s() == pytest.approx(start_s + 0.1 * number)
        assert tick.observation.stamp_s == pytest.approx(cell.clock.now_s())
        assert tick.observation.images["third"][0, 0, 1] == 1 + number
        assert cell.arm.state().p_BT_m[0] == pytest.approx(0.45 + 0.015 * number)
        assert tick.judged.status == Status.OK.value
    assert cell.loop.missed_beats == 0
    assert cell.loop.spec == Observer(cell.settings).spec


def test_the_action_returned_is_the_one_that_was_sent() -> None:
    cell = Cell(guard=GuardSettings(max_speed_m_s=0.15))
    tick = cell.loop.tick([1.0, 0.0, 0.0, -0.5])  # wants 3 cm, may take 1.5 cm
    assert tick.judged.status == Status.SLOWED.value
    assert tick.judged.executed == pytest.approx([0.5, 0.0, 0.0, -0.5])
    assert tick.judged.executed.dtype == np.float32
    assert cell.arm.sent[-1].p_BT_m == pytest.approx([0.465, 0.0, 0.2])


def test_deltas_are_integrated_on_the_target_of_an_arm_that_lags() -> None:
    cell = Cell()
    cell.arm.blocked = True
    for _ in range(3):
        cell.loop.tick([0.5, 0.0, 0.0, 1.0])
    assert cell.arm.sent[-1].p_BT_m[0] == pytest.approx(0.45 + 3 * 0.015)


def test_the_guard_knows_the_step_before() -> None:
    cell = Cell(guard=GuardSettings(max_accel_m_s2=1.0))  # 1 cm a tick per tick
    steps = [float(cell.loop.tick([1.0, 0, 0, 1.0]).judged.step_m[0]) for _ in range(4)]
    assert steps == pytest.approx([0.01, 0.02, 0.03, 0.03])
    cell.clock.advance(0.55)
    missed = cell.loop.missed_beats
    cell.loop.begin()
    assert cell.loop.tick([1.0, 0, 0, 1.0]).judged.step_m[0] == pytest.approx(0.01)
    assert cell.loop.missed_beats == missed, "a reset takes what it takes"


def test_an_action_on_an_old_observation_holds() -> None:
    cell = Cell()
    cell.arm.blocked = True
    cell.loop.tick([1.0, 0.0, 0.0, 1.0])
    cell.clock.advance(0.31)  # the policy thought for too long
    tick = cell.loop.tick([1.0, 0.0, 0.0, 1.0])
    assert tick.judged.status == Status.STALE.value
    assert cell.arm.sent[-1].p_BT_m == pytest.approx([0.45, 0.0, 0.2])
    back = [-1.0, 0.0, 0.0, 1.0]
    assert tick.judged.executed == pytest.approx(back), "the way back to the measured pose"
    assert cell.loop.missed_beats > 0
    assert cell.loop.tick([0.0, 0.0, 0.0, 1.0]).judged.status == Status.OK.value


def test_age_counts_from_the_oldest_capture() -> None:
    cell = Cell(observe=ObserveSettings(max_frame_age_s=1.0))
    cell.camera.lag_s = 0.25
    cell.clock.advance(1.0)
    cell.loop.begin()
    assert cell.loop.tick([0, 0, 0, 0]).judged.status == Status.OK.value
    cell.clock.advance(0.06)
    assert cell.loop.tick([0, 0, 0, 0]).judged.status == Status.STALE.value


@pytest.mark.parametrize("action", [[math.nan, 0, 0, 0], [0, 0, 0]])
def test_a_bad_action_stops_the_arm_and_is_an_error(action) -> None:
    cell = Cell(guard=GuardSettings(max_accel_m_s2=1.0))  # 1 cm a tick from standstill
    for _ in range(2):
        cell.loop.tick([1.0, 0, 0, 0])
    sent = len(cell.arm.sent)
    with pytest.raises(ActionError):
        cell.loop.tick(action)
    assert cell.arm.stops == 1 and len(cell.arm.sent) == sent
    assert cell.loop.tick([1.0, 0, 0, 0]).judged.step_m[0] == pytest.approx(0.01)


def test_a_camera_that_hangs_is_an_error_not_an_old_picture() -> None:
    cell = Cell()
    cell.camera.frozen = True
    cell.loop.tick([0, 0, 0, 0])
    cell.loop.tick([0, 0, 0, 0])
    with pytest.raises(StaleFrameError, match="third"):
        cell.loop.tick([0, 0, 0, 0])


def test_begin_clears_the_stack() -> None:
    cell = Cell(observe=ObserveSettings(frame_stack=3))
    assert cell.loop.tick([0, 0, 0, 0]).observation.images["third"][0, 0, 1::3].tolist() == [
        1,
        1,
        2,
    ]
    assert cell.loop.begin().images["third"][0, 0, 1::3].tolist() == [3, 3, 3]


def test_a_resumed_loop_repeats_itself() -> None:
    cell = Cell(observe=ObserveSettings(frame_stack=3), guard=GuardSettings(max_accel_m_s2=0.5))
    for _ in range(2):
        kept = cell.loop.tick([1.0, 0, 0, 1.0])
    ahead = [cell.loop.tick([1.0, 0, 0, 1.0]) for _ in range(2)]
    cell.clock.rewind(kept.observation.stamp_s)  # as a twin does that was put back
    cell.camera.rewind(3, kept.observation.stamp_s)
    cell.arm.send(cell.arm.sent[1])
    cell.loop.resume(kept.observation, kept.judged.step_m)
    again = [cell.loop.tick([1.0, 0, 0, 1.0]) for _ in range(2)]
    for before, after in zip(ahead, again, strict=True):
        assert np.array_equal(before.observation.images["third"], after.observation.images["third"])
        assert before.observation.stamp_s == pytest.approx(after.observation.stamp_s)
        assert before.judged.step_m == pytest.approx(after.judged.step_m)
        assert np.array_equal(before.judged.executed, after.judged.executed)


def test_a_tick_before_begin_is_refused() -> None:
    clock = FakeClock()
    settings = RigSettings(cameras={"third": CameraSettings()})
    loop = ControlLoop(settings, {"third": CounterCamera(clock)}, PerfectArm(clock), clock)
    with pytest.raises(RuntimeError, match="before begin"):
        loop.tick([0, 0, 0, 0])


def test_a_camera_of_the_settings_that_is_not_given_is_named() -> None:
    clock = FakeClock()
    with pytest.raises(ValueError, match="wrist"):
        ControlLoop(RigSettings(), {"third": CounterCamera(clock)}, PerfectArm(clock), clock)


def test_cameras_that_the_settings_leave_out_are_not_read() -> None:
    clock = FakeClock()
    third, extra = CounterCamera(clock, "third"), CounterCamera(clock, "extra")
    third.open()
    settings = RigSettings(cameras={"third": CameraSettings()})
    loop = ControlLoop(settings, {"third": third, "extra": extra}, PerfectArm(clock), clock)
    loop.begin()
    assert extra.count == 0
