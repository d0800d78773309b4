"""What every camera, arm and teleoperation device must do, as tests to inherit.

Fake, simulated and real alike.

A test class names its device by overriding ``make_cell`` and gets the rest::

    class TestMyCamera(CameraContract):
        def make_cell(self) -> CameraCell: ...
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest

from handful.contract import ArmState, Command
from handful.rig.arm import Arm, ArmError
from handful.rig.camera import Camera, CameraError, StaleFrameError
from handful.rig.clock import Clock
from handful.rig.operator import Intent
from handful.rig.teleop.device import Device, DeviceError


def nothing() -> None:
    """There is nothing to put away."""


@dataclass
class CameraCell:
    """A camera that was not opened yet, its clock, the size it delivers, and how to clear up."""

    camera: Camera
    clock: Clock
    height_px: int
    width_px: int
    dispose: Callable[[], None] = nothing


@dataclass
class ArmCell:
    """An arm at rest with 3 cm of free room on every side, its clock, and how to clear up.

    settle_s: how long a 2 cm move may take. tolerance_m: how near the tip must come to the target.
    """

    arm: Arm
    clock: Clock
    settle_s: float = 2.0
    tolerance_m: float = 0.003
    dispose: Callable[[], None] = nothing


class CameraContract:
    """Inherit and override ``make_cell``."""

    max_age_s = 1.0

    def make_cell(self) -> CameraCell:
        raise NotImplementedError

    @pytest.fixture
    def cell(self) -> Iterator[CameraCell]:
        cell = self.make_cell()
        yield cell
        cell.camera.close()
        cell.dispose()

    def test_reading_before_open_is_refused_by_name(self, cell: CameraCell) -> None:
        with pytest.raises(CameraError, match=cell.camera.name):
            cell.camera.latest(self.max_age_s)

    def test_reading_after_close_is_refused_and_close_twice_is_safe(self, cell: CameraCell) -> None:
        cell.camera.open()
        cell.camera.latest(self.max_age_s)
        cell.camera.close()
        cell.camera.close()
        with pytest.raises(CameraError, match=cell.camera.name):
            cell.camera.latest(self.max_age_s)

    def test_a_closed_camera_opens_again(self, cell: CameraCell) -> None:
        cell.camera.open()
        cell.camera.close()
        cell.camera.open()
        cell.camera.latest(self.max_age_s)

    def test_a_frame_is_what_the_contract_says(self, cell: CameraCell) -> None:
        cell.camera.open()
        frame = cell.camera.latest(self.max_age_s)
        assert frame.camera == cell.camera.name
        assert frame.frame_id
        assert frame.pixels.shape == (cell.height_px, cell.width_px, 3)
        assert frame.pixels.dtype == np.uint8

    def test_stamps_rise_with_time_and_never_run_ahead_of_it(self, cell: CameraCell) -> None:
        cell.camera.open()
        stamps = []
        for _ in range(5):
            stamps.append(cell.camera.latest(self.max_age_s).stamp_s)
            stamps.append(cell.camera.latest(self.max_age_s).stamp_s)
            assert stamps[-1] <= cell.clock.now_s() + 1e-9
            cell.clock.sleep_until(cell.clock.now_s() + 0.1)
        assert all(map(math.isfinite, stamps))
        assert stamps == sorted(stamps)
        assert stamps[-1] > stamps[0]

    def test_two_frames_share_no_memory(self, cell: CameraCell) -> None:
        cell.camera.open()
        first = cell.camera.latest(self.max_age_s)
        kept = first.pixels.copy()
        second = cell.camera.latest(self.max_age_s)
        cell.clock.sleep_until(cell.clock.now_s() + 0.1)
        third = cell.camera.latest(self.max_age_s)
        assert not np.shares_memory(first.pixels, second.pixels)
        assert not np.shares_memory(second.pixels, third.pixels)
        assert np.array_equal(first.pixels, kept), "a frame changed after it was handed out"

    def test_a_frame_older_than_allowed_is_not_returned(self, cell: CameraCell) -> None:
        cell.camera.open()
        with pytest.raises(StaleFrameError, match=cell.camera.name):
            cell.camera.latest(-1.0)  # every frame is older than one second from now

    def test_a_frame_is_as_young_as_was_asked_for(self, cell: CameraCell) -> None:
        cell.camera.open()
        for max_age_s in (self.max_age_s, 0.5 * self.max_age_s):
            frame = cell.camera.latest(max_age_s)
            assert cell.clock.now_s() - frame.stamp_s <= max_age_s


class ArmContract:
    """Inherit and override ``make_cell``."""

    def make_cell(self) -> ArmCell:
        raise NotImplementedError

    @pytest.fixture
    def cell(self) -> Iterator[ArmCell]:
        cell = self.make_cell()
        yield cell
        cell.arm.stop()
        cell.dispose()

    def test_a_state_is_what_the_contract_says(self, cell: ArmCell) -> None:
        state = cell.arm.state()
        for name in ("p_BT_m", "v_BT_m_s", "target_p_BT_m"):
            value = getattr(state, name)
            assert value.shape == (3,) and value.dtype == np.float64, name
            assert np.isfinite(value).all(), name
        assert state.q_rad.ndim == 1 and np.isfinite(state.q_rad).all()
        for name in ("yaw_rad", "gripper_m", "target_yaw_rad", "target_gripper_m", "stamp_s"):
            assert math.isfinite(getattr(state, name)), name
        assert state.gripper_m > -1e-3

    def test_stamps_rise_with_time_and_never_run_ahead_of_it(self, cell: ArmCell) -> None:
        before = cell.arm.state().stamp_s
        cell.clock.sleep_until(cell.clock.now_s() + 0.2)
        after = cell.arm.state().stamp_s
        assert before < after <= cell.clock.now_s() + 1e-9

    def test_a_sent_command_is_the_next_target_before_anything_moved(self, cell: ArmCell) -> None:
        state = cell.arm.state()
        command = Command(
            p_BT_m=state.target_p_BT_m + [0.01, -0.02, 0.015],
            yaw_rad=state.target_yaw_rad + 0.1,
            gripper_m=0.5 * state.target_gripper_m,
        )
        cell.arm.send(command)
        seen = cell.arm.state()
        assert seen.target_p_BT_m == pytest.approx(command.p_BT_m, abs=1e-9)
        assert seen.target_yaw_rad == pytest.approx(command.yaw_rad, abs=1e-9)
        assert seen.target_gripper_m == pytest.approx(command.gripper_m, abs=1e-9)

    def test_a_command_is_copied(self, cell: ArmCell) -> None:
        command = _same_target(cell.arm.state())
        kept = command.p_BT_m.copy()
        cell.arm.send(command)
        command.p_BT_m[:] += 1.0
        assert cell.arm.state().target_p_BT_m == pytest.approx(kept, abs=1e-9)

    def test_a_state_is_a_snapshot_of_its_own(self, cell: ArmCell) -> None:
        state = cell.arm.state()
        kept = {k: np.copy(v) for k, v in vars(state).items()}
        cell.arm.send(replace(_same_target(state), p_BT_m=state.target_p_BT_m + [0.02, 0.0, 0.0]))
        cell.clock.sleep_until(cell.clock.now_s() + 0.3)
        assert all(np.array_equal(getattr(state, k), v) for k, v in kept.items())
        seen = cell.arm.state()
        for name in ("p_BT_m", "v_BT_m_s", "q_rad", "target_p_BT_m"):
            before = getattr(seen, name).copy()
            getattr(seen, name)[:] += 1.0
            assert getattr(cell.arm.state(), name) == pytest.approx(before, abs=1e-9), name

    @pytest.mark.parametrize("axis", [0, 1, 2])
    @pytest.mark.parametrize("step_m", [0.02, -0.02])
    def test_it_gets_there_on_every_axis_both_ways(
        self, cell: ArmCell, axis: int, step_m: float
    ) -> None:
        goal = _same_target(cell.arm.state())
        goal.p_BT_m[axis] += step_m
        cell.arm.send(goal)
        cell.clock.sleep_until(cell.clock.now_s() + cell.settle_s)
        assert cell.arm.state().p_BT_m == pytest.approx(goal.p_BT_m, abs=cell.tolerance_m)

    def test_it_stays_where_it_is_told_to(self, cell: ArmCell) -> None:
        goal = _same_target(cell.arm.state())
        for _ in range(10):
            cell.arm.send(goal)
            cell.clock.sleep_until(cell.clock.now_s() + 0.1)
        assert cell.arm.state().p_BT_m == pytest.approx(goal.p_BT_m, abs=cell.tolerance_m)

    @pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf])
    @pytest.mark.parametrize("field", ["x", "y", "z", "yaw_rad", "gripper_m"])
    def test_a_command_that_is_not_finite_changes_nothing(
        self, cell: ArmCell, field: str, poison: float
    ) -> None:
        before = cell.arm.state()
        command = _same_target(before)
        if field in "xyz":
            command.p_BT_m["xyz".index(field)] = poison
        else:
            command = replace(command, **{field: poison})
        with pytest.raises(ArmError):
            cell.arm.send(command)
        after = cell.arm.state()
        assert np.array_equal(after.target_p_BT_m, before.target_p_BT_m)
        assert after.target_yaw_rad == before.target_yaw_rad
        assert after.target_gripper_m == before.target_gripper_m

    def test_stop_holds_at_the_measured_pose_and_twice_is_once(self, cell: ArmCell) -> None:
        goal = _same_target(cell.arm.state())
        goal.p_BT_m[0] += 0.02
        cell.arm.send(goal)
        cell.arm.stop()
        once = cell.arm.state()
        assert once.target_p_BT_m == pytest.approx(once.p_BT_m, abs=1e-6)
        assert once.target_yaw_rad == pytest.approx(once.yaw_rad, abs=1e-6)
        cell.arm.stop()
        twice = cell.arm.state()
        assert twice.target_p_BT_m == pytest.approx(once.target_p_BT_m, abs=1e-9)
        assert twice.target_yaw_rad == pytest.approx(once.target_yaw_rad, abs=1e-9)


def _same_target(state: ArmState) -> Command:
    return Command(state.target_p_BT_m.copy(), state.target_yaw_rad, state.target_gripper_m)


@dataclass
class DeviceCell:
    """A teleoperation device that was not opened yet, and a person's hands on it.

    deadman: press or let go of it. push: full deflection away from the base, or back to rest.
    press: success, once. unplug, plug: the device is gone, and is back. wait: until what was done
    must have been seen.
    """

    device: Device
    deadman: Callable[[bool], None]
    push: Callable[[bool], None]
    press: Callable[[], None]
    unplug: Callable[[], None]
    plug: Callable[[], None]
    wait: Callable[[], None] = nothing
    dispose: Callable[[], None] = nothing
    own_deadman: bool = True  # False: a motion key is its own (a terminal knows no held keys)
    told_at_rest: bool = True  # False: it says nothing at rest, so what is down then is unknown


class DeviceContract:
    """Inherit and override ``make_cell``."""

    def make_cell(self) -> DeviceCell:
        raise NotImplementedError

    @pytest.fixture
    def cell(self) -> Iterator[DeviceCell]:
        cell = self.make_cell()
        yield cell
        cell.device.close()
        cell.dispose()

    def test_reading_before_open_and_after_close_is_refused_by_name(self, cell: DeviceCell) -> None:
        with pytest.raises(DeviceError, match=cell.device.name):
            cell.device.read()
        cell.device.open()
        cell.device.read()
        cell.device.close()
        cell.device.close()
        with pytest.raises(DeviceError, match=cell.device.name):
            cell.device.read()

    def test_at_rest_nothing_is_wished(self, cell: DeviceCell) -> None:
        cell.device.open()
        cell.wait()
        wish = cell.device.read()
        assert not wish.held and not wish.pressed and wish.grip is None
        assert not wish.move.any() and wish.turn == 0.0

    def test_pushed_with_the_deadman_held_it_goes_that_way_and_no_other(
        self, cell: DeviceCell
    ) -> None:
        cell.device.open()
        cell.device.read()
        cell.deadman(True)
        cell.push(True)
        cell.wait()
        wish = cell.device.read()
        assert wish.held and wish.move == pytest.approx([1.0, 0.0, 0.0], abs=0.02)
        assert wish.move.shape == (3,) and wish.move.dtype == np.float64
        cell.push(False)
        cell.deadman(False)
        cell.wait()
        assert not cell.device.read().held

    def test_without_the_deadman_it_holds(self, cell: DeviceCell) -> None:
        if not cell.own_deadman:
            return
        cell.device.open()
        cell.device.read()
        cell.push(True)
        cell.wait()
        assert not cell.device.read().held

    def test_a_deadman_that_is_down_at_first_sight_must_be_let_go(self, cell: DeviceCell) -> None:
        if not (cell.own_deadman and cell.told_at_rest):
            return
        cell.deadman(True)
        cell.device.open()
        cell.deadman(True)
        cell.wait()
        assert not cell.device.read().held
        cell.deadman(False)
        cell.wait()
        cell.device.read()
        cell.deadman(True)
        cell.wait()
        assert cell.device.read().held

    def test_a_press_is_told_once(self, cell: DeviceCell) -> None:
        cell.device.open()
        cell.device.read()
        cell.press()
        cell.wait()
        assert cell.device.read().pressed == (Intent.SUCCESS,)
        assert cell.device.read().pressed == ()

    def test_unplugged_in_motion_it_lets_go_says_so_and_comes_back(self, cell: DeviceCell) -> None:
        cell.device.open()
        cell.device.read()
        cell.deadman(True)
        cell.push(True)
        cell.wait()
        assert cell.device.read().held
        cell.unplug()
        for _ in range(3):
            cell.wait()
            wish = cell.device.read()
            assert not wish.held and cell.device.name in wish.note
        cell.plug()
        cell.wait()
        assert not cell.device.read().held, "it went on by itself"
        cell.deadman(False)
        cell.push(False)
        cell.wait()
        cell.device.read()
        cell.deadman(True)
        cell.push(True)
        cell.wait()
        assert cell.device.read().held
