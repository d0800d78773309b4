"""Poses form a group, and the exponential and logarithm undo each other."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handful.rig import geometry as g

metre = st.floats(-2.0, 2.0)
positions = st.tuples(metre, metre, metre).map(np.array)
turns = (
    st.tuples(metre, metre, metre)
    .map(np.array)
    .filter(lambda w: np.linalg.norm(w) < math.pi - 1e-3)
)
quats = (
    st.tuples(*[st.floats(-1.0, 1.0)] * 4).map(np.array).filter(lambda q: np.linalg.norm(q) > 1e-3)
)
poses = st.builds(lambda w, p: g.pose(g.exp_so3(w), p), turns, positions)
I4 = np.eye(4)


@given(poses, poses, poses)
def test_composition_is_associative(X_AB, X_BC, X_CD) -> None:
    left_first, right_first = (X_AB @ X_BC) @ X_CD, X_AB @ (X_BC @ X_CD)
    assert left_first == pytest.approx(right_first, abs=1e-12)


@given(poses)
def test_the_inverse_is_one_on_both_sides_and_its_own_inverse(X_AB) -> None:
    assert X_AB @ g.invert(X_AB) == pytest.approx(I4, abs=1e-12)
    assert g.invert(X_AB) @ X_AB == pytest.approx(I4, abs=1e-12)
    assert g.invert(g.invert(X_AB)) == pytest.approx(X_AB, abs=1e-12)


@given(poses, poses)
def test_inversion_turns_composition_round(X_AB, X_BC) -> None:
    assert g.invert(X_AB @ X_BC) == pytest.approx(g.invert(X_BC) @ g.invert(X_AB), abs=1e-12)


@given(poses, poses, positions)
def test_points_travel_by_matching_letters(X_AB, X_BC, p_C_m) -> None:
    there = g.apply(X_AB, g.apply(X_BC, p_C_m))
    assert g.apply(X_AB @ X_BC, p_C_m) == pytest.approx(there, abs=1e-11)
    assert g.apply(g.invert(X_BC), g.apply(X_BC, p_C_m)) == pytest.approx(p_C_m, abs=1e-11)


def test_apply_takes_many_points() -> None:
    X_AB = g.pose(g.exp_so3([0, 0, math.pi / 2]), [1.0, 0.0, 0.0])
    points = np.array([[[1.0, 0, 0], [0, 1.0, 0]]])
    assert g.apply(X_AB, points) == pytest.approx(np.array([[[1.0, 1.0, 0], [0.0, 0, 0]]]))


@given(poses)
def test_poses_stay_rigid(X_AB) -> None:
    R_AB = X_AB[:3, :3]
    square = R_AB @ R_AB.T
    assert square == pytest.approx(np.eye(3), abs=1e-12)
    assert np.linalg.det(R_AB) == pytest.approx(1.0)


@given(turns, positions)
def test_log_undoes_exp(w, v) -> None:
    twist = np.concatenate([v, w])
    assert g.log(g.exp(twist)) == pytest.approx(twist, abs=1e-6)


@given(poses)
def test_exp_undoes_log(X_AB) -> None:
    assert g.exp(g.log(X_AB)) == pytest.approx(X_AB, abs=1e-7)


@given(turns, positions, st.floats(0.0, 0.5), st.floats(0.0, 0.5))
def test_one_twist_followed_twice_is_followed_longer(w, v, s, t) -> None:
    twist = np.concatenate([v, w])
    assert g.exp(s * twist) @ g.exp(t * twist) == pytest.approx(g.exp((s + t) * twist), abs=1e-9)


@pytest.mark.parametrize("angle_rad", [0.0, 1e-12, 1e-7, 1e-6, 1e-3, 3.0, math.pi - 1e-9, math.pi])
@pytest.mark.parametrize("axis", [(1, 0, 0), (0, -1, 0), (0, 0, 1), (1, 2, -3)])
def test_the_logarithm_is_exact_at_both_ends(axis, angle_rad) -> None:
    w = angle_rad * np.array(axis) / np.linalg.norm(axis)
    found = g.log_so3(g.exp_so3(w))
    if angle_rad == math.pi:  # half a turn either way is the same rotation
        found *= np.sign(found @ w)
    assert found == pytest.approx(w, rel=1e-7, abs=1e-14)


@given(quats)
def test_quaternions_go_there_and_back(quat_xyzw) -> None:
    unit = quat_xyzw / np.linalg.norm(quat_xyzw)
    found = g.to_quat_xyzw(g.from_quat_xyzw(quat_xyzw))
    assert found[3] >= 0.0
    assert min(np.abs(found - unit).max(), np.abs(found + unit).max()) < 1e-9


@pytest.mark.parametrize(
    ("quat_xyzw", "image_of_x"),
    [((0, 0, 0, 1), (1, 0, 0)), ((0, 0, 1, 1), (0, 1, 0)), ((0, 1, 0, 1), (0, 0, -1))],
)
def test_the_order_is_xyzw(quat_xyzw, image_of_x) -> None:
    assert g.from_quat_xyzw(quat_xyzw) @ [1.0, 0, 0] == pytest.approx(image_of_x)


@pytest.mark.parametrize("quat", [(0, 0, 0, 0), (0, 0, 0, math.nan), (math.inf, 0, 0, 0)])
def test_a_quaternion_that_is_none_is_refused(quat) -> None:
    with pytest.raises(ValueError, match="finite quaternion other than zero"):
        g.from_quat_xyzw(quat)


@given(positions, positions)
def test_hat_is_the_cross_product(w, p) -> None:
    assert g.hat(w) @ p == pytest.approx(np.cross(w, p), abs=1e-12)


def test_a_quarter_turn_while_driving_forward_is_a_quarter_circle() -> None:
    X = g.exp([math.pi / 2, 0, 0, 0, 0, math.pi / 2])
    assert X[:3, 3] == pytest.approx([1.0, 1.0, 0.0])
