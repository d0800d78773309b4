"""The world is bit-identical, forgets what it must, restores what it promised, shares nothing."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pybullet
import pytest
from handful_twin.arm_model import arm_model
from handful_twin.settings import TwinSettings
from handful_twin.world import Box, Motors, World, WorldError

from handful.config import load

ARM = arm_model()
Q_HOME_RAD = ARM.home_rad

SETTINGS = load(TwinSettings, "twin")
CUBE = Box((0.04, 0.04, 0.04), 0.1, (0.8, 0.1, 0.1))
LEVEL = np.array([0.0, 0.0, 0.0, 1.0])
START_M = np.array([0.48, 0.0, 0.2])


def down_at(p_BT_m: np.ndarray, start: np.ndarray = Q_HOME_RAD) -> np.ndarray:
    q_rad, error = ARM.solve_down(start, np.asarray(p_BT_m), 0.0, 100, 1e-9)
    assert error < 1e-8
    return q_rad


def bits(world: World) -> bytes:
    poses = [np.concatenate(world.body_pose(name)) for name in world.bodies]
    return np.concatenate([*world.joints(), *poses]).tobytes()


def clutter() -> World:
    return World(SETTINGS, {f"box{i}": CUBE for i in range(8)})


def drop(world: World, seed: int, steps: int = 150) -> bytes:
    """Let boxes fall in a heap, where the order of contacts matters."""
    rng = np.random.default_rng(seed)
    poses = {
        name: (np.array([0.5, 0.0, 0.05 + 0.05 * i]) + rng.uniform(-0.02, 0.02, 3), LEVEL)
        for i, name in enumerate(world.bodies)
    }
    world.reset(down_at([0.35, 0.2, 0.35]), 0.08, poses)
    world.advance(steps)
    return bits(world)


def test_resets_are_bit_identical_whatever_happened_before() -> None:
    world, other = clutter(), clutter()
    first = drop(world, 1)
    drop(world, 2, steps=77)
    assert drop(world, 1) == first
    drop(other, 3)
    assert drop(other, 1) == first, "a second instance in the process differs"
    assert drop(world, 2) != first
    world.close()
    other.close()


def test_a_cube_that_lay_elsewhere_leaves_no_trace() -> None:
    world = World(SETTINGS, {"cube": CUBE})

    def settle(x_m: float, yaw_rad: float) -> bytes:
        turned = np.array([0.0, 0.0, np.sin(0.5 * yaw_rad), np.cos(0.5 * yaw_rad)])
        world.reset(Q_HOME_RAD, 0.08, {"cube": (np.array([x_m, 0.1, 0.02]), turned)})
        world.advance(12)
        return bits(world)

    first = settle(0.5, 0.3)
    settle(0.45, -0.4)
    assert settle(0.5, 0.3) == first
    world.close()


def test_another_process_gets_the_same_bits() -> None:
    code = (
        "import sys; sys.path[:0] = sys.argv[1:]; import test_world as t; "
        "print('bits', t.drop(t.clutter(), 1).hex())"
    )
    here = Path(__file__).parent
    out = subprocess.run(
        [sys.executable, "-c", code, str(here), str(here.parent)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout
    world = clutter()
    assert out.split("bits ")[1].strip() == drop(world, 1).hex()
    world.close()


def grasp(world: World) -> None:
    """Close the fingers on the cube and start to raise it."""
    low_m = np.array([0.5, 0.05, 0.02])
    q_rad = down_at(low_m)
    world.reset(q_rad, 0.08, {"cube": (low_m, LEVEL)})
    world.command(Motors(q_rad, 0.0))
    world.advance(100)
    world.command(Motors(down_at(low_m + [0.0, 0.0, 0.1], q_rad), 0.0))
    world.advance(30)


def test_a_restored_grasp_goes_on_bit_identically() -> None:
    world = World(SETTINGS, {"cube": CUBE})
    grasp(world)
    moment = world.save()
    world.advance(60)
    after = bits(world)
    assert world.body_pose("cube")[0][2] > 0.05, (
        "the cube was not lifted, so this test shows nothing"
    )
    world.reset(Q_HOME_RAD, 0.0, {})
    world.advance(20)
    for _ in range(2):
        world.restore(moment)
        assert world.steps == 130
        assert world.motors.gripper_m == 0.0
        world.advance(60)
        assert bits(world) == after
    world.close()


def test_the_gear_centres_a_cube_that_was_off_the_middle() -> None:
    world = World(SETTINGS, {"cube": CUBE})
    low_m = np.array([0.5, 0.05, 0.02])
    q_rad = down_at(low_m)
    world.reset(q_rad, 0.08, {"cube": (low_m + [0.0, 0.012, 0.0], LEVEL)})
    world.command(Motors(q_rad, 0.0))
    world.advance(240)
    left_m, right_m = world.joints()[0][7:]
    assert left_m == pytest.approx(right_m, abs=3e-3)
    assert left_m + right_m == pytest.approx(0.04, abs=2e-3)
    world.close()


def test_a_grasp_survives_shaking() -> None:
    world = World(SETTINGS, {"cube": CUBE})
    grasp(world)
    world.advance(100)
    frames = ARM.frames()

    def offset_m() -> np.ndarray:
        ARM.forward(world.joints()[0], frames)
        X = frames[ARM.tip]
        return X[:3, :3].T @ (world.body_pose("cube")[0] - X[:3, 3])

    held_m, q_rad, rng = offset_m(), world.motors.q_rad, np.random.default_rng(0)
    for _ in range(20):
        p_m = np.array([0.5, 0.05, 0.15]) + rng.uniform(-0.05, 0.05, 3)
        q_rad = down_at(p_m, q_rad)
        world.command(Motors(q_rad, 0.0))
        world.advance(24)
    assert offset_m() == pytest.approx(held_m, abs=0.004)
    world.close()


def test_time_counts_physics_steps_from_the_reset() -> None:
    world = World(SETTINGS, {})
    world.reset(Q_HOME_RAD, 0.08, {})
    assert world.time_s == 0.0
    for beat in range(1, 6):
        world.advance_until(0.1 * beat)
        assert world.steps == 24 * beat
    world.advance_until(0.2)
    assert world.steps == 120, "time went back"
    world.close()


def test_bodies_without_a_pose_are_out_of_sight() -> None:
    world = clutter()
    drop(world, 1)
    world.reset(Q_HOME_RAD, 0.08, {"box3": (np.array([0.5, 0.0, 0.02]), LEVEL)})
    heights_m = {name: world.body_pose(name)[0][2] for name in world.bodies}
    assert heights_m.pop("box3") == pytest.approx(0.02)
    assert max(heights_m.values()) < -1.0
    world.close()


def test_joints_are_read_once_a_moment_and_cannot_be_written() -> None:
    world = World(SETTINGS, {})
    world.reset(Q_HOME_RAD, 0.08, {})
    q_rad, _ = world.joints()
    assert world.joints()[0] is q_rad
    with pytest.raises(ValueError, match="read-only"):
        q_rad[0] = 1.0
    world.command(Motors(Q_HOME_RAD + 0.1, 0.0))
    world.advance(5)
    assert not np.array_equal(world.joints()[0], q_rad)
    world.close()


def test_a_dropped_state_is_removed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(SETTINGS, {})
    removed: list[int] = []
    real = pybullet.removeState
    monkeypatch.setattr(
        pybullet, "removeState", lambda i, **client: (removed.append(i), real(i, **client))
    )
    kept, dropped = world.save(), world.save()
    dropped.drop()
    dropped.drop()
    assert removed == [dropped.bullet_id]
    gone = kept.bullet_id
    del kept
    assert removed == [dropped.bullet_id, gone]
    world.close()


def test_only_a_state_of_this_world_that_was_kept_is_restored() -> None:
    world, other = World(SETTINGS, {}), World(SETTINGS, {})
    moment = world.save()
    with pytest.raises(WorldError, match="another world"):
        other.restore(moment)
    world.restore(moment)
    moment.drop()
    with pytest.raises(WorldError, match="was dropped"):
        world.restore(moment)
    world.close()
    other.close()


def test_what_a_closed_world_left_does_not_touch_the_next_one() -> None:
    old = World(SETTINGS, {})
    moment, number = old.save(), old.client
    old.close()
    new = World(SETTINGS, {})
    assert new.client == number, "PyBullet gave another number, so this test shows nothing"
    del moment, old
    new.reset(Q_HOME_RAD, 0.08, {})
    new.close()


def test_worlds_are_independent_and_close_twice() -> None:
    a, b = World(SETTINGS, {"cube": CUBE}), World(SETTINGS, {"cube": CUBE})
    grasp(a)
    state = bits(a)
    b.reset(Q_HOME_RAD, 0.08, {})
    b.advance(10)
    b.close()
    b.close()
    assert bits(a) == state
    a.advance(1)
    a.close()
