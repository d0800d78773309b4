"""Fixtures: where their parts are, how the moving one moves, that nothing of it is forgotten."""

import numpy as np
import pybullet
import pytest
from handful_twin.arm_model import arm_model
from handful_twin.bodies import Box, Fixture, Moving, Part, placed, shapes
from handful_twin.raster import Rasteriser
from handful_twin.scene import Scene
from handful_twin.settings import TwinSettings
from handful_twin.world import World

from handful.config import load
from handful.rig.geometry import from_quat_xyzw

ARM = arm_model()
Q_HOME_RAD = ARM.home_rad

SETTINGS = load(TwinSettings, "twin")
LEVEL = np.array([0.0, 0.0, 0.0, 1.0])
HERE = (np.array([0.5, 0.1, 0.0]), np.array([0.0, 0.0, np.sin(0.2), np.cos(0.2)]))
GREY, RED = (0.5, 0.5, 0.5), (0.8, 0.1, 0.1)


def slide(friction: float = 1.0, axis: tuple[float, float, float] = (1.0, 0.0, 0.0)) -> Fixture:
    moving = Moving(
        "tray", "slide", (Part((0.04, 0.04, 0.02), RED, (0.03, 0.0, 0.0)),), axis,
        (0.05, 0.0, 0.06), 0.0, 0.1, friction, 0.2,
    )  # fmt: skip
    return Fixture((Part((0.1, 0.1, 0.04), GREY, (0.0, 0.0, 0.02)),), moving=moving)


def hinge(friction: float) -> Fixture:
    moving = Moving(
        "flap", "hinge", (Part((0.02, 0.02, 0.06), RED, (0.0, 0.0, 0.03)),), (1.0, 0.0, 0.0),
        (0.0, 0.0, 0.04), -0.4, 0.4, friction, 0.05,
    )  # fmt: skip
    return Fixture((Part((0.08, 0.08, 0.04), GREY, (0.0, 0.0, 0.02)),), moving=moving)


def put_up(things: dict[str, Box | Fixture], **joints: float) -> World:
    world = World(SETTINGS, things)
    world.reset(Q_HOME_RAD, 0.04, dict.fromkeys(things, HERE), joints)
    return world


def angle_rad(world: World) -> float:
    R = from_quat_xyzw(HERE[1]).T @ from_quat_xyzw(world.body_pose("flap")[1])
    return float(np.arctan2(-R[1, 2], R[2, 2]))


def test_a_moving_part_starts_where_it_is_told() -> None:
    world = put_up({"box": slide()}, tray=0.03)
    p_m, quat = world.body_pose("tray")
    assert p_m == pytest.approx(HERE[0] + from_quat_xyzw(HERE[1]) @ [0.08, 0.0, 0.06], abs=1e-6)
    assert abs(quat @ HERE[1]) == pytest.approx(1.0)
    world.reset(Q_HOME_RAD, 0.04, {"box": HERE})
    at_zero = HERE[0] + from_quat_xyzw(HERE[1]) @ [0.05, 0.0, 0.06]
    assert world.body_pose("tray")[0] == pytest.approx(at_zero, abs=1e-6), "it was not forgotten"
    world.close()


def test_friction_holds_a_lever_and_its_end_stops_it() -> None:
    held, loose = put_up({"lamp": hinge(0.08)}, flap=0.2), put_up({"lamp": hinge(0.0)}, flap=0.2)
    for world in (held, loose):
        world.advance(240)
    assert angle_rad(held) == pytest.approx(0.2, abs=1e-3)
    assert angle_rad(loose) == pytest.approx(0.4, abs=0.01), "gravity lays it against its end"
    held.close()
    loose.close()


def test_a_slide_gives_way_only_beyond_its_friction() -> None:
    upright = (0.0, 0.0, 1.0)  # gravity pulls a tray of 0.2 kg down by 2 N
    moved_m = []
    for friction_n in (1.0, 3.0):
        world = put_up({"box": slide(friction_n, upright)}, tray=0.05)
        before = world.body_pose("tray")[0][2]
        world.advance(24)
        moved_m.append(before - world.body_pose("tray")[0][2])
        world.close()
    assert moved_m[0] > 0.01 and abs(moved_m[1]) < 1e-4


def test_a_fixture_does_not_give_way_and_touches_nothing_it_stands_on() -> None:
    world = put_up({"box": slide()}, tray=0.02)
    before = [world.body_pose(name) for name in world.frames]
    world.advance(120)
    for name, (p_m, quat) in zip(world.frames, before, strict=True):
        assert world.body_pose(name)[0] == pytest.approx(p_m, abs=1e-6)
        assert abs(world.body_pose(name)[1] @ quat) == pytest.approx(1.0)
    body = world.frames["box"].body
    assert not pybullet.getContactPoints(body, world.table, physicsClientId=world.client)
    world.close()


def test_a_saved_moment_has_the_moving_part_in_it() -> None:
    things = {"box": slide(0.2, (0.0, 0.0, 1.0)), "cube": Box((0.03,) * 3, 0.1, RED)}
    world = World(SETTINGS, things)
    poses = {"box": HERE, "cube": (HERE[0] + [0.0, 0.0, 0.3], LEVEL)}

    def readings() -> bytes:
        world.advance(7)
        seen = [np.concatenate(world.body_pose(name)).tobytes() for name in world.frames]
        return b"".join(seen)

    world.reset(Q_HOME_RAD, 0.04, poses, {"tray": 0.08})
    readings()
    moment = world.save()
    after = [readings() for _ in range(10)]
    assert after[0] != after[-1]
    for _ in range(3):
        world.restore(moment)
        assert [readings() for _ in range(10)] == after
        world.reset(Q_HOME_RAD, 0.0, poses, {"tray": 0.01})
        readings()
    world.close()


def test_parts_are_drawn_where_physics_has_them() -> None:
    world = put_up({"box": slide()}, tray=0.02)
    scene = Scene(world)
    raster = Rasteriser(scene.geometry(), samples=1)
    label = scene.names.index("tray")
    # A camera 40 cm straight above the tray's part: y of B is to the left, x upwards.
    X_BC = np.eye(4)
    X_BC[:3, :3] = np.array([[0.0, -1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])
    K = np.array([[200.0, 0.0, 31.5], [0.0, 200.0, 31.5], [0.0, 0.0, 1.0]])

    def middle_px() -> np.ndarray:
        scene.sync()
        rows, columns = np.nonzero(raster.layers(scene.poses, K, X_BC, 64, 64).labels == label)
        return np.array([columns.mean(), rows.mean()])

    part = world.shapes["tray"][0]
    X_BC[:3, 3] = placed(part, world.body_pose("tray"))[0] + [0.0, 0.0, 0.4]
    assert middle_px() == pytest.approx([31.5, 31.5], abs=0.7)
    world.reset(Q_HOME_RAD, 0.04, {"box": HERE}, {"tray": 0.06})
    moved = from_quat_xyzw(HERE[1]) @ [0.04, 0.0, 0.0]
    f_px = 200.0 / 0.39  # the part's upper side is a centimetre nearer
    expected = [31.5 - f_px * moved[1], 31.5 - f_px * moved[0]]
    assert middle_px() == pytest.approx(expected, abs=0.7)
    world.close()


def test_a_part_is_placed_by_its_frame() -> None:
    quarter = np.array([0.0, 0.0, np.sqrt(0.5), np.sqrt(0.5)])
    part = Part((0.1, 0.2, 0.3), GREY, (0.1, 0.0, 0.05), tuple(quarter))
    p_m, quat = placed(part, (np.array([1.0, 2.0, 3.0]), quarter))
    assert p_m == pytest.approx([1.0, 2.1, 3.05])
    assert abs(quat @ [0.0, 0.0, 1.0, 0.0]) == pytest.approx(1.0)


def test_painted_parts_are_seen_and_not_felt() -> None:
    paint = Fixture((Part((0.1, 0.1, 0.05), GREY, (0.0, 0.0, 0.025), solid=False),))
    cube = Box((0.04,) * 3, 0.1, RED)
    world = World(SETTINGS, {"pad": paint, "cube": cube})
    poses = {"pad": HERE, "cube": (HERE[0] + [0.0, 0.0, 0.03], HERE[1])}
    world.reset(Q_HOME_RAD, 0.04, poses)
    world.advance(120)
    assert world.body_pose("cube")[0][2] == pytest.approx(0.02, abs=1e-3)
    assert len(Scene(world).geometry().faces) > 24
    world.close()


def test_two_things_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two things of a task are called 'tray'"):
        shapes({"box": slide(), "tray": Box((0.1,) * 3, 0.1, RED)})
