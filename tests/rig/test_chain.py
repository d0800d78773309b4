"""The chain of a URDF: against the twin's own kinematics, finite differences, and odd URDFs."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from handful.rig.arm import ArmError
from handful.rig.chain import Chain, read_urdf
from handful.rig.geometry import Matrix, from_quat_xyzw, log_so3, pose

DOWN = np.diag([1.0, -1.0, -1.0])


def planar(*joints: str, lower: float = -3.0, upper: float = 3.0) -> str:
    """Links of half a metre along x; each joint of the given type turns about or slides along z."""
    names = ["base", *(f"l{k}" for k in range(len(joints))), "tip"]
    text = "".join(f'<link name="{name}"/>' for name in names)
    for k, kind in enumerate([*joints, "fixed"]):
        text += (
            f'<joint name="j{k}" type="{kind}"><parent link="{names[k]}"/>'
            f'<child link="{names[k + 1]}"/><origin xyz="{0.5 if k else 0.0} 0 0"/>'
            f'<axis xyz="0 0 2"/><limit lower="{lower}" upper="{upper}" velocity="1.5"/></joint>'
        )
    return f'<robot name="planar">{text}</robot>'


@pytest.fixture(scope="module")
def panda() -> Chain:
    pytest.importorskip("pybullet_data")
    from handful_twin.arm_model import arm_model

    text = arm_model().urdf.path.read_text()
    return read_urdf(text, "panda_link0", "panda_grasptarget", arm_model().home_rad)


def random_q(chain: Chain, rng: np.random.Generator, share: float = 1.0) -> Matrix:
    middle, half = 0.5 * (chain.q_min + chain.q_max), 0.5 * (chain.q_max - chain.q_min)
    return middle + share * half * rng.uniform(-1.0, 1.0, chain.dof)


def test_the_pandas_joints_and_limits_are_the_twins(panda: Chain) -> None:
    from handful_twin.arm_model import arm_model

    model = arm_model()
    assert panda.names == model.joints
    assert panda.names == tuple(f"panda_joint{k}" for k in range(1, 8))
    assert panda.q_min == pytest.approx(model.limits[0])
    assert panda.q_max == pytest.approx(model.limits[1])
    assert panda.speed_max == pytest.approx(model.speed)


def test_forward_and_jacobian_are_the_twins(panda: Chain) -> None:
    from handful_twin.arm_model import arm_model

    rng, model = np.random.default_rng(0), arm_model()
    frames, jacobian = model.frames(), np.empty((6, 7))
    for _ in range(50):
        q_rad = random_q(panda, rng)
        model.forward(q_rad, frames)
        model.jacobian(frames, jacobian)
        assert panda.forward(q_rad) == pytest.approx(frames[model.tip], abs=1e-9)
        assert panda.jacobian(q_rad) == pytest.approx(jacobian, abs=1e-9)


@pytest.mark.parametrize("kinds", [("revolute", "prismatic", "continuous"), ("revolute",) * 4])
def test_the_jacobian_is_what_finite_differences_say(kinds: tuple[str, ...]) -> None:
    chain = read_urdf(planar(*kinds), "base", "tip")
    rng, h = np.random.default_rng(1), 1e-6
    for _ in range(20):
        q_rad = rng.uniform(-2.0, 2.0, chain.dof)
        J = chain.jacobian(q_rad)
        for k in range(chain.dof):
            step = h * np.eye(chain.dof)[k]
            X_1, X_0 = chain.forward(q_rad + step), chain.forward(q_rad - step)
            assert J[:3, k] == pytest.approx((X_1[:3, 3] - X_0[:3, 3]) / (2 * h), abs=1e-6)
            turn = log_so3(X_1[:3, :3] @ X_0[:3, :3].T) / (2 * h)
            assert J[3:, k] == pytest.approx(turn, abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(step_rad=arrays(np.float64, 7, elements=st.floats(-0.05, 0.05)), seed=st.integers(0, 10**6))
def test_the_inverse_of_a_pose_nearby_is_nearby(panda: Chain, step_rad: Matrix, seed: int) -> None:
    start = random_q(panda, np.random.default_rng(seed), 0.9)
    X_BE = panda.forward(start + step_rad)
    q_rad = panda.solve(X_BE, start, 0.6)
    assert panda.forward(q_rad) == pytest.approx(X_BE, abs=2e-3)
    assert (q_rad >= panda.q_min).all() and (q_rad <= panda.q_max).all()
    assert np.abs(q_rad - start).max() <= 0.6


def test_a_straight_line_is_followed_without_a_jump(panda: Chain) -> None:
    from handful_twin.arm_model import arm_model

    home_rad = arm_model().home_rad
    q_rad, widest = np.array(home_rad), 0.0
    start = panda.forward(q_rad)[:3, 3]
    for share in np.linspace(0.0, 1.0, 100):
        X_BE = pose(DOWN, start + share * np.array([0.1, 0.2, -0.15]))
        found = panda.solve(X_BE, q_rad, 0.3)
        assert panda.forward(found) == pytest.approx(X_BE, abs=1e-4)
        if share:
            widest = max(widest, float(np.abs(found - q_rad).max()))
        q_rad = found
    assert widest < 0.05


def test_the_elbow_is_drawn_to_its_posture_while_the_tip_stays(panda: Chain) -> None:
    from handful_twin.arm_model import arm_model

    home_rad = arm_model().home_rad
    goal = panda.forward(home_rad)
    home = np.array(home_rad)
    q_rad = panda.solve(goal, home + np.array([0.3, 0.0, -0.3, 0.0, 0.0, 0.0, 0.0]), 1.0)
    before = float(np.abs(q_rad - home).max())
    for _ in range(200):
        q_rad = panda.solve(goal, q_rad, 0.1)
        assert panda.forward(q_rad) == pytest.approx(goal, abs=1e-5)
    assert np.abs(q_rad - home).max() < 0.1 * before


def test_a_joint_at_its_limit_leaves_the_work_to_the_others() -> None:
    chain = read_urdf(planar("revolute", "revolute", "revolute", "revolute"), "base", "tip")
    start = np.array([0.2, 0.4, 0.6, 2.999])
    goal = chain.forward(start + np.array([0.05, 0.05, 0.05, -0.2]))
    q_rad = chain.solve(goal, np.minimum(start, 3.0), 1.0)
    assert chain.forward(q_rad) == pytest.approx(goal, abs=1e-4)
    assert q_rad[3] <= 3.0


@pytest.mark.parametrize("far_m", [1.2, 5.0])
def test_out_of_reach_is_refused_by_name(panda: Chain, far_m: float) -> None:
    from handful_twin.arm_model import arm_model

    home_rad = arm_model().home_rad
    with pytest.raises(ArmError, match=rf"\[{far_m}, 0.0, 0.3\] m is out of reach, missed by"):
        panda.solve(pose(DOWN, [far_m, 0.0, 0.3]), home_rad, 10.0)


def test_out_of_reach_names_the_joint_that_is_at_its_limit() -> None:
    chain = read_urdf(planar("revolute", "revolute", lower=-0.5, upper=0.5), "base", "tip")
    beyond = read_urdf(planar("revolute", "revolute"), "base", "tip").forward([0.0, 1.0])
    with pytest.raises(ArmError, match=r"out of reach.*j1 at its limit"):
        chain.solve(beyond, [0.0, 0.0], 10.0)


def test_a_joint_that_would_jump_is_refused_by_name() -> None:
    chain = read_urdf(planar("revolute", "revolute"), "base", "tip")
    goal = chain.forward([0.1, 0.9])
    with pytest.raises(ArmError, match=r"would turn j1 by 0.[345]\d* rad at once, allowed are 0.2"):
        chain.solve(goal, [0.1, 0.5], 0.2)
    assert chain.solve(goal, [0.1, 0.5], 0.5) == pytest.approx([0.1, 0.9], abs=1e-3)


@pytest.mark.parametrize(
    "q_rad", [[0.0], [0.0, math.nan], [0.0, math.inf], [0.0, 0.0, 0.0], [[0.0, 0.0]]]
)
def test_joints_that_cannot_be_meant_are_refused(q_rad: list[float]) -> None:
    chain = read_urdf(planar("revolute", "revolute"), "base", "tip")
    for use in (chain.forward, chain.jacobian, lambda q: chain.solve(np.eye(4), q, 1.0)):
        with pytest.raises(ArmError, match=r"must be 2 finite numbers \(j0, j1\)"):
            use(q_rad)
    with pytest.raises(ArmError, match="must be a finite pose"):
        chain.solve(np.full((4, 4), math.nan), [0.0, 0.0], 1.0)


def test_origins_are_fixed_axis_roll_pitch_yaw() -> None:
    text = planar("revolute").replace('xyz="0.5 0 0"', 'xyz="0 0 1" rpy="0.3 -0.4 1.2"')
    R = read_urdf(text, "base", "tip").forward([0.0])[:3, :3]

    def about(axis: int, angle: float) -> Matrix:
        quat = np.zeros(4)
        quat[axis], quat[3] = math.sin(angle / 2), math.cos(angle / 2)
        return from_quat_xyzw(quat)

    want = about(2, 1.2) @ about(1, -0.4) @ about(0, 0.3)
    assert np.abs(R - want).max() < 1e-12


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("<robot", "<robbot <"), "is not XML"),
        (('type="revolute"', 'type="planar"'), "joint 'j0' is planar"),
        (('<axis xyz="0 0 2"/>', '<axis xyz="0 0 0"/>'), "joint 'j0' has an axis of no length"),
        (('<axis xyz="0 0 2"/>', '<axis xyz="0 2"/>'), "joint 'j.': xyz cannot be '0 2'"),
        (('lower="-3.0"', 'lower="nan"'), "joint 'j0': lower cannot be 'nan'"),
        (('lower="-3.0"', 'lower="4.0"'), "joint 'j0' has limits 4.0 > 3.0"),
        (("</joint>", '<mimic joint="x"/></joint>'), "mimics another"),
        (('<limit lower="-3.0" upper="3.0" velocity="1.5"/>', ""), "'j0' is revolute and has no"),
        (('<child link="tip"/>', '<child link="l0"/>'), "'tip' does not hang below 'base'"),
        (('<parent link="base"/>', '<parent link="tip"/>'), "'tip' does not hang below 'base'"),
        (('<link name="tip"/>', ""), "no link 'tip'; it has base, l0"),
        (('type="revolute"', 'type="fixed"'), "no joint between base and tip moves"),
    ],
)
def test_a_urdf_that_is_no_serial_chain_is_refused_by_name(
    change: tuple[str, str], sentence: str
) -> None:
    text = planar("revolute")
    assert change[0] in text
    with pytest.raises(ArmError, match=sentence):
        read_urdf(text.replace(*change), "base", "tip")


def test_posture_must_fit_the_joints() -> None:
    with pytest.raises(ArmError, match="posture must be 1 finite numbers"):
        read_urdf(planar("revolute"), "base", "tip", [0.0, 0.0])
