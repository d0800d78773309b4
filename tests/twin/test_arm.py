"""The twin's arm keeps the arm contract, and its kinematics agree with Bullet's."""

import numpy as np
import pybullet
import pytest
from contracts import ArmCell, ArmContract
from handful_twin.arm_model import arm_model
from handful_twin.settings import TwinSettings
from handful_twin.twin_arm import TwinArm, TwinClock
from handful_twin.world import World

from handful.config import load
from handful.contract import Command
from handful.rig.arm import ArmError
from handful.rig.clock import Rate

ARM = arm_model()
Q_HOME_RAD = ARM.home_rad

MIDDLE_M = np.array([0.48, 0.03, 0.2])


@pytest.fixture(scope="module")
def world():
    world = World(load(TwinSettings, "twin"), {})
    yield world
    world.close()


def at(world: World, p_BT_m: np.ndarray, yaw_rad: float = 0.0) -> TwinArm:
    q_rad, error = ARM.solve_down(Q_HOME_RAD, p_BT_m, yaw_rad, 100, 1e-9)
    assert error < 1e-8
    world.reset(q_rad, 0.08, {})
    arm = TwinArm(world)
    arm.target = Command(p_BT_m.copy(), yaw_rad, 0.08)
    return arm


class TestTwinArmKeepsTheContract(ArmContract):
    def make_cell(self) -> ArmCell:
        world = World(load(TwinSettings, "twin"), {})
        return ArmCell(at(world, MIDDLE_M), TwinClock(world), 2.0, 1.5e-3, world.close)


def test_link_frames_agree_with_bullet(world: World) -> None:
    rng = np.random.default_rng(0)
    frames = ARM.frames()
    names = [*(f"panda_link{i}" for i in range(1, 8)), "panda_hand"]
    for _ in range(20):
        q_rad = rng.uniform(ARM.limits[0], ARM.limits[1])
        world.reset(q_rad, 0.03, {})
        ARM.forward(q_rad, frames)
        for name, X in zip(names, frames, strict=False):
            link = pybullet.getLinkState(
                world.arm,
                world.links[name],
                computeForwardKinematics=1,
                physicsClientId=world.client,
            )
            R = np.reshape(pybullet.getMatrixFromQuaternion(link[5]), (3, 3))
            assert X[:3, 3] == pytest.approx(np.array(link[4]), abs=1e-6), name
            assert X[:3, :3] == pytest.approx(R, abs=1e-5), name
        hand = frames[ARM.hand]
        for side, name in ((1.0, "panda_leftfinger"), (-1.0, "panda_rightfinger")):
            link = pybullet.getLinkState(
                world.arm,
                world.links[name],
                computeForwardKinematics=1,
                physicsClientId=world.client,
            )
            p_m = hand[:3, 3] + hand[:3, :3] @ [0.0, side * 0.015, 0.0584]
            assert p_m == pytest.approx(np.array(link[4]), abs=1e-6), name


def test_the_jacobian_is_the_slope_of_forward() -> None:
    rng = np.random.default_rng(1)
    frames, nudged = ARM.frames(), ARM.frames()
    jacobian = np.empty((6, ARM.dof))
    for _ in range(10):
        q_rad = rng.uniform(ARM.limits[0], ARM.limits[1])
        ARM.forward(q_rad, frames)
        ARM.jacobian(frames, jacobian)
        R = frames[ARM.tip, :3, :3]
        for i in range(ARM.dof):
            step = np.eye(ARM.dof)[i] * 1e-6
            ARM.forward(q_rad + step, nudged)
            slope = (nudged[ARM.tip, :3, 3] - frames[ARM.tip, :3, 3]) / 1e-6
            spin = (nudged[ARM.tip, :3, :3] - R) / 1e-6 @ R.T
            turn = [spin[2, 1], spin[0, 2], spin[1, 0]]
            assert jacobian[:, i] == pytest.approx([*slope, *turn], abs=1e-5)


def test_every_corner_of_the_workspace_is_in_reach_within_the_limits() -> None:
    frames = ARM.frames()
    for x in (0.30, 0.46, 0.62):
        for y in (-0.25, 0.0, 0.25):
            for z in (0.005, 0.2, 0.40):
                for yaw_rad in (-0.7, 0.0, 0.7):
                    p_m = np.array([x, y, z])
                    q_rad, error = ARM.solve_down(Q_HOME_RAD, p_m, yaw_rad, 100, 1e-9)
                    ARM.forward(q_rad, frames)
                    assert error < 1e-6, (x, y, z, yaw_rad)
                    assert frames[ARM.tip, :3, 3] == pytest.approx(p_m, abs=1e-6)
                    assert frames[ARM.tip, 2, 2] == pytest.approx(-1.0, abs=1e-6)
                    assert frames[ARM.tip, 0, 1] == pytest.approx(np.sin(yaw_rad), abs=1e-6)
                    assert (q_rad >= ARM.limits[0]).all() and (q_rad <= ARM.limits[1]).all()


def test_the_elbow_does_not_wander() -> None:
    rng = np.random.default_rng(2)
    home_rad, _ = ARM.solve_down(Q_HOME_RAD, MIDDLE_M, 0.0, 200, 1e-9)
    q_rad, p_m = home_rad, MIDDLE_M
    for _ in range(2000):
        p_m = np.clip(p_m + rng.uniform(-0.03, 0.03, 3), [0.3, -0.25, 0.005], [0.62, 0.25, 0.4])
        q_rad, error = ARM.solve_down(q_rad, p_m, 0.0, 30, 1e-7)
        assert error < 1e-3
    while np.linalg.norm(p_m - MIDDLE_M) > 1e-9:
        p_m = p_m + np.clip(MIDDLE_M - p_m, -0.03, 0.03)
        q_rad, _ = ARM.solve_down(q_rad, p_m, 0.0, 30, 1e-7)
    assert q_rad == pytest.approx(home_rad, abs=0.15)


def test_a_target_out_of_reach_is_refused_and_changes_nothing(world: World) -> None:
    arm = at(world, MIDDLE_M)
    before = arm.state()
    with pytest.raises(ArmError, match="out of reach"):
        arm.send(Command(np.array([1.2, 0.0, 0.2]), 0.0, 0.08))
    assert np.array_equal(arm.state().target_p_BT_m, before.target_p_BT_m)
    assert world.motors.q_rad == pytest.approx(before.q_rad, abs=1e-9)


def test_it_does_not_drift_when_told_to_stay(world: World) -> None:
    arm, clock = at(world, MIDDLE_M), TwinClock(world)
    rate, seen_m = Rate(clock, 0.1), []
    for _ in range(100):
        state = arm.state()
        seen_m.append(state.p_BT_m)
        arm.send(Command(state.target_p_BT_m, state.target_yaw_rad, 0.08))
        rate.sleep()
    assert clock.now_s() == pytest.approx(10.0, abs=0.01)
    assert seen_m[-1] == pytest.approx(MIDDLE_M, abs=1e-3)
    assert seen_m[-1] == pytest.approx(seen_m[10], abs=1e-4)


def test_it_follows_random_steps(world: World) -> None:
    arm, clock, rng = at(world, MIDDLE_M), TwinClock(world), np.random.default_rng(3)
    rate, errors_m = Rate(clock, 0.1), []
    for _ in range(60):
        p_m = arm.state().target_p_BT_m + rng.uniform(-0.03, 0.03, 3)
        p_m = np.clip(p_m, [0.32, -0.2, 0.05], [0.6, 0.2, 0.38])
        arm.send(Command(p_m, 0.0, 0.08))
        rate.sleep()
        errors_m.append(np.linalg.norm(arm.state().p_BT_m - p_m))
    assert np.median(errors_m) < 0.005
    assert np.max(errors_m) < 0.02


def test_the_velocity_is_the_slope_of_the_position(world: World) -> None:
    arm = at(world, MIDDLE_M)
    arm.send(Command(MIDDLE_M + [0.03, -0.02, 0.01], 0.0, 0.08))
    world.advance(6)
    before = arm.state()
    world.advance(1)
    after = arm.state()
    slope_m_s = (after.p_BT_m - before.p_BT_m) * world.settings.physics_rate_hz
    assert np.linalg.norm(slope_m_s) > 0.1
    # Bullet steps velocity first, so the new velocity is the slope up to the curve of one step.
    assert after.v_BT_m_s == pytest.approx(slope_m_s, abs=0.01)


def test_the_fingers_open_and_close_together(world: World) -> None:
    arm = at(world, MIDDLE_M)
    for opening_m in (0.0, 0.05, 0.02, 0.08):
        arm.send(Command(MIDDLE_M, 0.0, opening_m))
        world.advance(240)
        assert arm.state().gripper_m == pytest.approx(opening_m, abs=1e-3)
        left, right = world.joints()[0][7:]
        assert left == pytest.approx(right, abs=1e-3)
