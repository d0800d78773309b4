"""Words to messages and back: everything survives the wire, and what is wrong says what it is."""

import io
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

pytest.importorskip("genpy", reason="NO ROS HERE; to test it: make test on Debian 12")
pytest.importorskip("handful.msg", reason="NO ROS HERE; to test it: make test on Debian 12")

from handful.contract import ArmState, Command, Observation
from handful.rig.geometry import exp_so3, from_quat_xyzw
from handful.rig.guard import Status
from handful.wire import messages as m
from handful.wire.places import Places, to_places

metres = st.floats(-2.0, 2.0)
points = hnp.arrays(np.float64, 3, elements=metres)
yaws = st.floats(-math.pi, math.pi)
times_s = st.floats(0.0, 4e9)
numbers = st.integers(0, 2**32 - 1)
words = st.text(max_size=20)
pictures = hnp.arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12), st.just(3)))
depths = hnp.arrays(np.uint16, st.tuples(st.integers(1, 12), st.integers(1, 12)))
actions = hnp.arrays(np.float32, st.integers(0, 6), elements=st.floats(-1, 1, width=32))
commands = st.builds(Command, points, yaws, st.floats(0.0, 0.1))


def over_the_wire(message):
    """The message as its receiver has it: through bytes, as rospy does it."""
    buffer = io.BytesIO()
    message.serialize(buffer)
    return type(message)().deserialize(buffer.getvalue())


def alike(one, other) -> None:
    """Two records of the contract hold the same values; stamps to the wire's resolution."""
    assert type(one) is type(other)
    for name, value in vars(one).items():
        theirs = getattr(other, name)
        if name.endswith("stamp_s") or name == "observed_s":
            assert theirs == pytest.approx(value, abs=1e-6)
        elif isinstance(value, Command):
            alike(value, theirs)
        elif isinstance(value, np.ndarray):
            assert value.dtype == theirs.dtype
            np.testing.assert_array_equal(value, theirs, name)
        else:
            assert value == theirs, name


@given(times_s)
def test_a_time_survives_to_half_a_microsecond(time_s: float) -> None:
    assert abs(m.seconds(m.stamp(time_s)) - time_s) <= 1e-9 + np.spacing(time_s)


@pytest.mark.parametrize("time_s", [-1e-9, math.nan, math.inf, 2.0**32])
def test_a_time_that_ros_cannot_hold_is_refused(time_s: float) -> None:
    with pytest.raises(ValueError, match="a ROS time holds 0 to"):
        m.stamp(time_s)


def test_a_time_just_below_a_second_carries_over() -> None:
    time = m.stamp(2.0 - 1e-12)
    assert (time.secs, time.nsecs) == (2, 0)


@given(points, st.floats(-20.0, 20.0))
def test_a_pose_survives_and_points_down(p_m: np.ndarray, yaw_rad: float) -> None:
    message = m.pose(p_m, yaw_rad)
    back_m, back_rad = m.position_yaw(message)
    np.testing.assert_array_equal(back_m, p_m)
    assert abs(math.remainder(back_rad - yaw_rad, math.tau)) < 1e-9
    q = message.orientation
    R = from_quat_xyzw([q.x, q.y, q.z, q.w])
    down = exp_so3([0, 0, yaw_rad]) @ exp_so3([math.pi, 0, 0])
    np.testing.assert_allclose(R, down, atol=1e-9)


def test_no_orientation_is_no_pose() -> None:
    message = m.pose(np.zeros(3), 0.0)
    message.orientation.x = 0.0
    with pytest.raises(ValueError, match="quaternion other than zero"):
        m.position_yaw(message)
    message.orientation.y = message.orientation.w = math.sqrt(0.5)  # x points down
    with pytest.raises(ValueError, match="no yaw"):
        m.position_yaw(message)


@given(
    st.builds(
        ArmState, times_s, points, yaws, metres, points, points, points, yaws, st.floats(0.0, 0.1)
    ),
    numbers,
    st.booleans(),
    words,
)
def test_an_arm_state_survives(state: ArmState, sequence: int, holding: bool, fault: str) -> None:
    message = over_the_wire(
        m.to_arm_state(state, command=sequence, holding=holding, fault=fault, frame_id="base")
    )
    alike(m.arm_state(message), state)
    assert (message.command, message.holding, message.fault) == (sequence, holding, fault)
    assert message.header.frame_id == "base"


@given(commands, times_s, numbers, st.booleans(), words)
def test_a_command_survives(
    goal: Command, stamp_s: float, sequence: int, hold: bool, reason: str
) -> None:
    message = over_the_wire(
        m.to_command(
            goal, stamp_s=stamp_s, sequence=sequence, valid_s=0.2, hold=hold, reason=reason
        )
    )
    alike(m.command(message), goal)
    assert (message.sequence, message.hold, message.reason) == (sequence, hold, reason)


@given(actions, times_s, numbers, words)
def test_an_action_survives(values: np.ndarray, stamp_s: float, sequence: int, source: str) -> None:
    message = over_the_wire(m.to_action(values, stamp_s=stamp_s, sequence=sequence, source=source))
    np.testing.assert_array_equal(m.action(message), values)
    assert m.action(message).dtype == np.float32
    assert (message.sequence, message.source, message.rest) == (sequence, source, False)


def test_a_rest_has_no_values() -> None:
    message = m.to_action([0.5, 0.5], stamp_s=1.0, sequence=1, source="agent", rest=True)
    assert m.action(over_the_wire(message)).shape == (0,)


@given(
    st.builds(
        m.Judged, numbers, words, st.sampled_from(sorted(m.STATUS)), words, actions, commands,
        points, times_s, times_s,
    )
)  # fmt: skip
def test_a_verdict_survives(judged: m.Judged) -> None:
    alike(m.verdict(over_the_wire(m.to_verdict(judged))), judged)


def test_every_status_of_the_guard_has_its_number() -> None:
    assert {status.value for status in Status} | {"held", "refused"} == set(m.STATUS)
    assert sorted(m.STATUS.values()) == list(range(len(m.STATUS)))


def test_a_status_that_does_not_exist_is_refused_both_ways() -> None:
    judged = m.Judged(
        7, "agent", "fine", "", np.zeros(4), Command(np.zeros(3), 0, 0), np.zeros(3), 1, 1
    )
    with pytest.raises(ValueError, match="'fine' does not exist; there are ok, slowed"):
        m.to_verdict(judged)
    message = m.to_verdict(m.Judged(**{**vars(judged), "status": "ok"}))
    message.status = 99
    with pytest.raises(ValueError, match="guard/verdict 7: status 99"):
        m.verdict(message)


@given(pictures, times_s)
def test_a_picture_survives_and_is_our_own(pixels: np.ndarray, stamp_s: float) -> None:
    message = over_the_wire(m.array_to_image(pixels, stamp_s, "third_color_optical_frame"))
    seen = m.frame(message, "third")
    np.testing.assert_array_equal(seen.pixels, pixels)
    assert seen.camera == "third" and seen.frame_id == "third_color_optical_frame"
    assert seen.stamp_s == pytest.approx(stamp_s, abs=1e-6)
    seen.pixels[...] = 0  # its own memory, so writable
    np.testing.assert_array_equal(m.image_to_array(message), pixels)


@given(pictures, st.integers(0, 5))
def test_padded_rows_and_blue_first_are_understood(pixels: np.ndarray, padding: int) -> None:
    message = m.array_to_image(np.ascontiguousarray(pixels[..., ::-1]), 1.0, "")
    message.encoding, message.step = "bgr8", message.step + padding
    rows = np.pad(pixels[..., ::-1].reshape(len(pixels), -1), ((0, 0), (0, padding)))
    message.data = rows.tobytes()
    np.testing.assert_array_equal(m.image_to_array(message), pixels)


@given(depths, st.booleans())
def test_a_depth_picture_survives_in_either_byte_order(depth_mm: np.ndarray, big: bool) -> None:
    message = m.depth_to_image(depth_mm, 1.0, "wrist_color_optical_frame")
    if big:
        message.data, message.is_bigendian = depth_mm.astype(">u2").tobytes(), 1
    back_mm = m.image_to_depth(over_the_wire(message))
    np.testing.assert_array_equal(back_mm, depth_mm)
    assert back_mm.dtype == np.uint16 and back_mm.flags.writeable


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"encoding": "mono8"}, "encoding 'mono8', expected rgb8 or bgr8"),
        ({"encoding": ""}, "encoding '', expected rgb8 or bgr8"),
        ({"step": 11}, "a row of 11 bytes for 4 pixels, expected 12 or more"),
        ({"step": 13}, r"36 bytes, expected 39 \(3 rows of 13\)"),
        ({"data": b"\0" * 35}, r"35 bytes, expected 36 \(3 rows of 12\)"),
        ({"height": 2}, r"36 bytes, expected 24 \(2 rows of 12\)"),
        ({"width": 5}, "a row of 12 bytes for 5 pixels, expected 15 or more"),
        ({"width": 0}, "no pixels, expected at least one"),
    ],
)
def test_a_picture_that_is_not_what_it_says_is_refused_by_name(change: dict, said: str) -> None:
    message = m.array_to_image(np.zeros((3, 4, 3), np.uint8), 1.0, "optical")
    for name, value in change.items():
        setattr(message, name, value)
    with pytest.raises(ValueError, match=said) as error:
        m.image_to_array(message, "third/color/image_raw")
    assert "third/color/image_raw (optical, " in str(error.value)
    with pytest.raises(ValueError, match="wrist/color/image_raw"):
        m.frame(message, "wrist")


def test_pictures_of_the_wrong_kind_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected \(H, W, 3\) uint8, got \(3, 4\) uint8"):
        m.array_to_image(np.zeros((3, 4), np.uint8), 1.0, "optical")
    with pytest.raises(ValueError, match="float64"):
        m.array_to_image(np.zeros((3, 4, 3)), 1.0, "optical")
    with pytest.raises(ValueError, match="uint16 in millimetres"):
        m.depth_to_image(np.zeros((3, 4), np.float32), 1.0, "optical")
    with pytest.raises(ValueError, match=r"'rgb8', expected 16UC1 \[mm\]"):
        m.image_to_depth(m.array_to_image(np.zeros((3, 4, 3), np.uint8), 1.0, "optical"))


def test_a_calibration_survives_and_follows_rep_104() -> None:
    said = m.pinhole(640, 480, 600.0)
    message = over_the_wire(m.camera_info(said, 2.0, "optical"))
    seen = m.intrinsics(message)
    np.testing.assert_array_equal(seen.K, said.K)
    np.testing.assert_array_equal(seen.D, np.zeros(5))
    assert (seen.width_px, seen.height_px) == (640, 480)
    assert (len(message.P), len(message.R), message.P[3]) == (12, 9, 0.0)
    assert message.header.frame_id == "optical" and message.header.stamp.secs == 2


def test_a_calibration_that_is_none_is_refused() -> None:
    message = m.camera_info(m.pinhole(4, 3, 2.0), 1.0, "optical")
    message.distortion_model = "equidistant"
    with pytest.raises(ValueError, match="equidistant"):
        m.intrinsics(message)
    message.distortion_model, message.K = "plumb_bob", [0.0] * 9
    with pytest.raises(ValueError, match="not calibrated"):
        m.intrinsics(message, "third/color/camera_info")
    with pytest.raises(ValueError, match=r"K \(3, 3\) and D \(5,\)"):
        m.camera_info(m.Intrinsics(np.eye(3), np.zeros(4), 4, 3), 1.0, "optical")


def seen(arm_s: float) -> Observation:
    """An observation of which the arm's part is of that moment."""
    return Observation({}, np.zeros(0, np.float32), arm_s - 0.05, (arm_s - 0.05, arm_s))


def cube_at(x_m: float, stamp_s: float):
    there = np.array([x_m, 0.1, 0.02]), np.array([0.0, 0.0, 0.0, 1.0])
    return over_the_wire(to_places({"cube": there}, stamp_s))


class TestPlaces:
    """Where the twin's things are, for the log."""

    def test_what_is_told_is_of_the_moment_the_arm_was_read(self) -> None:
        places = Places()
        assert places.told(seen(100.0)) == {}, "an arm's cell: nobody has said anything"
        for k in range(5):
            places.hear(cube_at(0.4 + 0.01 * k, 100.0 + 0.02 * k))
        told = places.told(seen(100.06))
        assert told == {"true_cube_x_m": 0.43, "true_cube_y_m": 0.1, "true_cube_z_m": 0.02}
        assert places.told(seen(100.045))["true_cube_x_m"] == 0.42
        assert places.told(seen(100.17))["true_cube_x_m"] == 0.44
        assert places.told(seen(100.19)) == places.told(seen(99.8)) == {}, "of another moment"
        assert places.told(Observation({}, np.zeros(0, np.float32), 100.06)) == {}

    def test_it_forgets_what_is_old_and_a_time_that_went_back(self) -> None:
        places = Places(kept_s=1.0)
        for stamp_s in (100.0, 100.5, 101.2):
            places.hear(cube_at(stamp_s - 100.0, stamp_s))
        assert places.told(seen(100.0)) == {}
        assert places.told(seen(100.5))["true_cube_x_m"] == 0.5
        places.hear(cube_at(0.3, 40.0))
        assert places.told(seen(100.5)) == {}
        assert places.told(seen(40.0))["true_cube_x_m"] == 0.3
        places.hear(to_places({}, 50.0))
        assert places.told(seen(40.0))["true_cube_x_m"] == 0.3, "a table with nothing on it"
