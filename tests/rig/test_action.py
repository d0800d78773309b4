"""Actions to commands and back: by hand in both frames, and round trips on arbitrary numbers."""

import math
from dataclasses import replace

import numpy as np
import pytest
from fakes import FakeClock, PerfectArm
from hypothesis import given
from hypothesis import strategies as st

from handful.rig.action import ActionError, ActionScaler
from handful.rig.settings import ActionSettings

STILL = PerfectArm(FakeClock()).state()
AT_M = np.array([0.5, -0.1, 0.3])

unit = st.floats(-1.0, 1.0, width=32) | st.sampled_from([-1.0, 0.0, 1.0])
angle = st.floats(-6.0, 6.0)
scalers = st.builds(
    ActionSettings,
    step_m=st.floats(0.001, 0.1),
    yaw_step_rad=st.sampled_from([0.0, 0.1, 1.5]),
    gripper_max_m=st.floats(0.02, 0.2),
    frame=st.sampled_from(["base", "tool"]),
).map(ActionScaler)


def arm(yaw_rad: float = 0.0):
    # Measured elsewhere than commanded, so that using the wrong one shows.
    return replace(
        STILL, target_p_BT_m=AT_M.copy(), target_yaw_rad=yaw_rad, p_BT_m=AT_M + 0.05, yaw_rad=2.0
    )


def test_base_frame_by_hand() -> None:
    scaler = ActionScaler(ActionSettings(step_m=0.03))
    assert scaler.dim == 4
    command = scaler.to_command([1.0, -0.5, 0.0, 1.0], arm(0.7))
    assert command.p_BT_m == pytest.approx([0.53, -0.115, 0.3])
    assert (command.yaw_rad, command.gripper_m) == (0.7, 0.08)


@pytest.mark.parametrize(("value", "opening_m"), [(-1.0, 0.0), (0.0, 0.03), (1.0, 0.06)])
def test_the_gripper_is_an_opening_not_a_step(value, opening_m) -> None:
    scaler = ActionScaler(ActionSettings(gripper_max_m=0.06))
    assert scaler.to_command([0, 0, 0, value], arm()).gripper_m == pytest.approx(opening_m)


def test_yaw_adds_a_number_before_the_gripper() -> None:
    scaler = ActionScaler(ActionSettings(yaw_step_rad=0.2))
    assert scaler.dim == 5
    command = scaler.to_command([0, 0, 0, -0.5, -1.0], arm(0.7))
    assert command.yaw_rad == pytest.approx(0.6)
    assert command.gripper_m == 0.0


def test_tool_frame_points_down_and_turns_with_yaw() -> None:
    scaler = ActionScaler(ActionSettings(step_m=0.03, frame="tool"))
    forward = scaler.to_command([0, 0, 1.0, 0], arm(0.4)).p_BT_m - AT_M
    assert forward == pytest.approx([0, 0, -0.03])
    along_x = scaler.to_command([1.0, 0, 0, 0], arm(math.pi / 2)).p_BT_m - AT_M
    assert along_x == pytest.approx([0, 0.03, 0])
    along_y = scaler.to_command([0, 1.0, 0, 0], arm(math.pi / 2)).p_BT_m - AT_M
    assert along_y == pytest.approx([0.03, 0, 0])


@given(scaler=scalers, values=st.lists(unit, min_size=5, max_size=5), yaw_rad=angle)
def test_to_action_undoes_to_command(scaler, values, yaw_rad) -> None:
    action = np.array(values[: scaler.dim], np.float32)
    state = arm(yaw_rad)
    back = scaler.to_action(scaler.to_command(action, state), state)
    assert back.dtype == np.float32 and back.shape == (scaler.dim,)
    assert back == pytest.approx(action, abs=1e-6)


@given(scaler=scalers, values=st.lists(unit, min_size=5, max_size=5), yaw_rad=angle)
def test_to_command_undoes_to_action_where_an_action_reaches(scaler, values, yaw_rad) -> None:
    state = arm(yaw_rad)
    command = scaler.to_command(values[: scaler.dim], state)
    again = scaler.to_command(scaler.to_action(command, state), state)
    assert again.p_BT_m == pytest.approx(command.p_BT_m, abs=1e-7)
    assert again.yaw_rad == pytest.approx(command.yaw_rad, abs=1e-6)
    assert again.gripper_m == pytest.approx(command.gripper_m, abs=1e-7)


@given(scaler=scalers, values=st.lists(st.floats(-9, 9), min_size=5, max_size=5), yaw_rad=angle)
def test_beyond_one_is_one(scaler, values, yaw_rad) -> None:
    asked = np.array(values[: scaler.dim])
    state = arm(yaw_rad)
    wide = scaler.to_command(asked, state)
    cut = scaler.to_command(np.clip(asked, -1, 1), state)
    assert np.array_equal(wide.p_BT_m, cut.p_BT_m)
    assert (wide.yaw_rad, wide.gripper_m) == (cut.yaw_rad, cut.gripper_m)


def test_a_command_out_of_reach_becomes_the_nearest_action() -> None:
    scaler = ActionScaler(ActionSettings(step_m=0.03, gripper_max_m=0.06))
    state = arm()
    far = replace(scaler.to_command(np.zeros(4), state), p_BT_m=AT_M + [1.0, -1.0, 0.015])
    far = replace(far, gripper_m=0.08)
    assert scaler.to_action(far, state) == pytest.approx([1.0, -1.0, 0.5, 1.0])


def test_yaw_comes_back_by_the_short_way() -> None:
    scaler = ActionScaler(ActionSettings(yaw_step_rad=0.2))
    state = arm(math.pi - 0.05)
    command = replace(scaler.to_command(np.zeros(5), state), yaw_rad=-math.pi + 0.05)
    assert scaler.to_action(command, state)[3] == pytest.approx(0.5)


@pytest.mark.parametrize(
    "action",
    [
        np.zeros(3),
        np.zeros(5),
        np.zeros((1, 4)),
        0.0,
        [],
        "left",
        [[0, 0], [0, 0]],
        [0, 0, 0, None],
    ],
)
def test_another_shape_is_refused(action) -> None:
    with pytest.raises(ActionError, match="action: e"):
        ActionScaler(ActionSettings()).to_command(action, arm())


@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", range(4))
def test_a_number_that_is_not_finite_is_refused(place, poison) -> None:
    action = np.zeros(4)
    action[place] = poison
    with pytest.raises(ActionError, match="finite, got"):
        ActionScaler(ActionSettings()).to_command(action, arm())


@given(scaler=scalers, values=st.lists(unit, min_size=5, max_size=5))
def test_nothing_handed_in_is_changed_or_kept(scaler, values) -> None:
    action = np.array(values[: scaler.dim])
    state = arm(0.3)
    kept = action.copy(), state.target_p_BT_m.copy()
    command = scaler.to_command(action, state)
    command.p_BT_m[:] += 1.0
    assert np.array_equal(action, kept[0])
    assert np.array_equal(state.target_p_BT_m, kept[1])
