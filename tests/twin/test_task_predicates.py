"""Success is decided on the right side of every boundary, task by task."""

from typing import Any

import numpy as np
import pytest
from handful_twin.tasks import Truth, make_task

LEVEL = np.array([0.0, 0.0, 0.0, 1.0])
CUBE_M = np.array([0.5, -0.1, 0.02])
Bodies = dict[str, Any]


def about(axis: int, angle_rad: float) -> np.ndarray:
    quat = np.zeros(4)
    quat[axis], quat[3] = np.sin(angle_rad / 2), np.cos(angle_rad / 2)
    return quat


def moment(bodies: Bodies, tip_m: Any = (0.5, 0.0, 0.2), gripper_m: float = 0.08) -> Truth:
    """Bodies by name: a position, or a position and a quaternion."""
    posed = {}
    for name, where in bodies.items():
        p_m, quat = where if isinstance(where, tuple) else (where, LEVEL)
        posed[name] = (np.asarray(p_m, float), quat)
    return Truth(np.asarray(tip_m, float), gripper_m, posed)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_reach_ends_two_centimetres_around_its_goal(axis: int, sign: float) -> None:
    task, away = make_task("reach"), sign * np.eye(3)[axis]
    goal_m = CUBE_M + [0.0, 0.0, 0.05]
    assert task.success(moment({"cube": CUBE_M}, goal_m + 0.0199 * away))
    assert not task.success(moment({"cube": CUBE_M}, goal_m + 0.0201 * away))
    assert task.distance_m(moment({"cube": CUBE_M}, goal_m + 0.03 * away)) == pytest.approx(0.03)


def test_reach_goes_where_the_cube_is() -> None:
    tip_m = CUBE_M + [0.0, 0.0, 0.05]
    assert not make_task("reach").success(moment({"cube": CUBE_M + [0.03, 0.0, 0.0]}, tip_m))


LIFTED = {"tip": [0.5, 0.0, 0.16], "gripper": 0.04, "cube": [0.5, 0.0, 0.16]}
PLACED = {"tip": [0.5, 0.0, 0.11], "gripper": 0.06, "cube": [0.545, 0.1, 0.024]}
STACKED = {"tip": [0.5, 0.0, 0.11], "gripper": 0.06, "cube": [0.5, 0.1, 0.07]}
CASES = [
    ("lift", LIFTED, {}, True),
    ("lift", LIFTED, {"tip": [0.5, 0.0, 0.141]}, True),
    ("lift", LIFTED, {"tip": [0.5, 0.0, 0.139]}, False),
    ("lift", LIFTED, {"cube": [0.5, 0.0, 0.101]}, True),
    ("lift", LIFTED, {"cube": [0.5, 0.0, 0.099]}, False),
    ("lift", LIFTED, {"gripper": 0.031}, True),
    ("lift", LIFTED, {"gripper": 0.029}, False),
    ("lift", LIFTED, {"gripper": 0.059}, True),
    ("lift", LIFTED, {"gripper": 0.061}, False),
    ("place", PLACED, {}, True),
    ("place", PLACED, {"cube": [0.449, 0.1, 0.024]}, False),
    ("place", PLACED, {"cube": [0.451, 0.1, 0.024]}, True),
    ("place", PLACED, {"cube": [0.5, 0.151, 0.024]}, False),
    ("place", PLACED, {"cube": [0.54, 0.14, 0.024]}, False),
    ("place", PLACED, {"cube": [0.5, 0.1, 0.041]}, False),
    ("place", PLACED, {"gripper": 0.054}, False),
    ("place", PLACED, {"tip": [0.5, 0.0, 0.099]}, False),
    ("stack", STACKED, {}, True),
    ("stack", STACKED, {"cube": [0.519, 0.1, 0.07]}, True),
    ("stack", STACKED, {"cube": [0.521, 0.1, 0.07]}, False),
    ("stack", STACKED, {"cube": [0.5, 0.079, 0.07]}, False),
    ("stack", STACKED, {"cube": [0.5, 0.1, 0.0759]}, True),
    ("stack", STACKED, {"cube": [0.5, 0.1, 0.0761]}, False),
    ("stack", STACKED, {"cube": [0.5, 0.1, 0.0639]}, False),
    ("stack", STACKED, {"gripper": 0.054}, False),
    ("stack", STACKED, {"tip": [0.5, 0.0, 0.099]}, False),
]


@pytest.mark.parametrize(("name", "good", "change", "expected"), CASES)
def test_grasped_things(name: str, good: Any, change: Any, expected: bool) -> None:
    now = {**good, **change}
    bodies = {"cube": now["cube"], "tray": [0.5, 0.1, 0.0], "base": [0.5, 0.1, 0.025]}
    assert make_task(name).success(moment(bodies, now["tip"], now["gripper"])) is expected


@pytest.mark.parametrize("way", [[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.6, -0.8]])
def test_push_ends_on_the_pad_and_on_the_table(way: list[float]) -> None:
    task, pad_m = make_task("push"), np.array([0.53, 0.04, 0.0])

    def at(away_m: float, height_m: float = 0.02) -> Truth:
        return moment({"pad": pad_m, "cube": pad_m + [*(away_m * np.array(way)), height_m]})

    assert task.success(at(0.0299)) and not task.success(at(0.0301))
    assert not task.success(at(0.0, height_m=0.05)), "carried over it is not pushed"
    assert task.distance_m(at(0.07)) == pytest.approx(0.07)


def test_pull_ends_at_the_line_upright() -> None:
    task = make_task("pull")
    assert task.success(moment({"box": [0.399, 0.1, 0.035]}))
    assert not task.success(moment({"box": [0.401, 0.1, 0.035]}))
    assert not task.success(moment({"box": [0.39, 0.1, 0.05]})), "it fell over"
    assert task.distance_m(moment({"box": [0.47, 0.0, 0.035]})) == pytest.approx(0.07)


@pytest.mark.parametrize("turned_rad", [0.0, 1.0])
def test_switch_is_on_from_its_angle(turned_rad: float) -> None:
    task, base = make_task("switch"), about(2, turned_rad)

    def lever(angle_rad: float) -> Truth:
        # Towards the switch's own +y is a negative turn about its x.
        half = about(0, -angle_rad)
        c, s = base[3], base[2]
        quat = np.array([c * half[0], s * half[0], s * half[3], c * half[3]])
        return moment({"switch": ([0.5, 0.0, 0.0], base), "lever": ([0.5, 0.0, 0.04], quat)})

    assert task.success(lever(0.201)) and not task.success(lever(0.199))
    assert not task.success(lever(-0.35))
    assert task.distance_m(lever(0.25)) == 0.0


@pytest.mark.parametrize("turned_rad", [0.0, 0.5, -2.0])
def test_drawer_is_open_along_its_own_axis(turned_rad: float) -> None:
    task, quat = make_task("drawer"), about(2, turned_rad)
    out = np.array([np.cos(turned_rad), np.sin(turned_rad), 0.0])

    def opened(by_m: float) -> Truth:
        cabinet_m = np.array([0.35, 0.05, 0.0])
        drawer_m = cabinet_m + (0.07 + by_m) * out
        return moment({"cabinet": (cabinet_m, quat), "drawer": (drawer_m, quat)})

    assert task.success(opened(0.1001)) and not task.success(opened(0.0999))
    assert task.distance_m(opened(0.03)) == pytest.approx(0.07)


def test_peg_is_in_when_its_end_is() -> None:
    task, block_m = make_task("peg"), np.array([0.48, 0.02, 0.0])

    def peg(deep_m: float, aside_m: float = 0.0, tilt_rad: float = 0.0) -> Truth:
        middle_m = block_m + [aside_m, 0.0, 0.04 - deep_m + 0.04]
        return moment({"block": block_m, "peg": (middle_m, about(1, tilt_rad))})

    assert task.success(peg(0.0251)) and not task.success(peg(0.0249))
    assert task.success(peg(0.03, aside_m=0.0039)) and not task.success(peg(0.03, aside_m=-0.0041))
    assert not task.success(peg(0.03, tilt_rad=0.3)), "its end is somewhere else"
    assert task.distance_m(peg(-0.035)) == pytest.approx(0.06)
