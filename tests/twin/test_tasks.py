"""Success is decided on the right side of every boundary; starts stay where the settings say."""

from pathlib import Path

import numpy as np
import pytest
from handful_twin.tasks import TASKS, Truth, make_task
from handful_twin.tasks.lift import Lift, LiftSettings
from handful_twin.tasks.reach import Reach

from handful.config import ConfigError, profiles

LEVEL = np.array([0.0, 0.0, 0.0, 1.0])
CUBE_M = np.array([0.5, -0.1, 0.02])


def truth(tip_m: np.ndarray, gripper_m: float = 0.08, cube_m: np.ndarray = CUBE_M) -> Truth:
    return Truth(np.asarray(tip_m, float), gripper_m, {"cube": (np.asarray(cube_m, float), LEVEL)})


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_reach_ends_two_centimetres_around_its_goal(axis: int, sign: float) -> None:
    task = make_task("reach")
    away = sign * np.eye(3)[axis]
    goal_m = CUBE_M + [0.0, 0.0, 0.05]
    assert task.success(truth(goal_m + 0.0199 * away))
    assert not task.success(truth(goal_m + 0.0201 * away))
    assert task.distance_m(truth(goal_m + 0.03 * away)) == pytest.approx(0.03)


def test_reach_goes_where_the_cube_is() -> None:
    task = make_task("reach")
    tip_m = CUBE_M + [0.0, 0.0, 0.05]
    assert not task.success(truth(tip_m, cube_m=CUBE_M + [0.03, 0.0, 0.0]))


LIFTED = {"tip_m": [0.5, 0.0, 0.16], "gripper_m": 0.04, "cube_m": [0.5, 0.0, 0.16]}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, True),
        ({"tip_m": [0.5, 0.0, 0.141]}, True),
        ({"tip_m": [0.5, 0.0, 0.139]}, False),
        ({"cube_m": [0.5, 0.0, 0.101]}, True),
        ({"cube_m": [0.5, 0.0, 0.099]}, False),
        ({"gripper_m": 0.031}, True),
        ({"gripper_m": 0.029}, False),
        ({"gripper_m": 0.059}, True),
        ({"gripper_m": 0.061}, False),
    ],
)
def test_lift_needs_tip_cube_and_grip(change: dict[str, object], expected: bool) -> None:
    task = make_task("lift")
    assert task.success(truth(**{**LIFTED, **change})) is expected


@pytest.mark.parametrize("name", sorted(TASKS))
def test_success_is_pure(name: str) -> None:
    task = make_task(name)
    moment = truth([0.5, -0.1, 0.07])
    before = [moment.p_BT_m.copy(), moment.bodies["cube"][0].copy()]
    answers = {(task.success(moment), task.distance_m(moment)) for _ in range(3)}
    assert len(answers) == 1
    assert np.array_equal(moment.p_BT_m, before[0])
    assert np.array_equal(moment.bodies["cube"][0], before[1])


@pytest.mark.parametrize("name", sorted(TASKS))
def test_starts_fill_their_box_and_stay_in_it(name: str) -> None:
    task = make_task(name)
    s = task.settings
    starts = [task.sample(np.random.default_rng(seed)) for seed in range(300)]
    tips_m = np.array([start.p_BT_m for start in starts])
    cubes_m = np.array([start.poses["cube"][0] for start in starts])
    quats = np.array([start.poses["cube"][1] for start in starts])
    yaws_rad = 2.0 * np.arctan2(quats[:, 2], quats[:, 3])
    openings_m = [start.gripper_m for start in starts]
    narrow_m, wide_m = s.start_gripper_m
    low = np.array([*s.start_min_m, *s.cube_min_m, -s.cube_yaw_rad, narrow_m])
    high = np.array([*s.start_max_m, *s.cube_max_m, s.cube_yaw_rad, wide_m])
    drawn = np.column_stack([tips_m, cubes_m[:, :2], yaws_rad, openings_m])
    assert (drawn >= low - 1e-12).all() and (drawn <= high + 1e-12).all()
    assert (np.ptp(drawn, axis=0) >= 0.9 * (high - low)).all(), "a part of the start hardly varies"
    assert cubes_m[:, 2] == pytest.approx(0.5 * s.cube_edge_m)
    assert np.linalg.norm(quats, axis=1) == pytest.approx(1.0)


@pytest.mark.parametrize("name", sorted(TASKS))
def test_every_task_has_a_profile_a_sentence_and_a_table(name: str) -> None:
    assert f"task/{name}" in profiles("task")
    text = str(TASKS[name].__doc__)
    for word in ("geometry", "reset", "success", "on a robot", "horizon"):
        assert word in text


def test_what_cannot_be_a_task_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"no task 'lfit'.*lift, reach"):
        make_task("lfit")
    with pytest.raises(ConfigError, match="did you mean 'horizon_steps'"):
        make_task("lift", {"horizon_step": 3})
    with pytest.raises(ConfigError, match="cube_min_m must not be above cube_max_m"):
        make_task("reach", {"cube_min_m": [0.6, 0.0]})
    with pytest.raises(ConfigError, match="start_gripper_m must be two openings"):
        make_task("reach", {"start_gripper_m": [0.05, 0.02]})
    with pytest.raises(ConfigError, match="hold_steps must not be above horizon_steps"):
        make_task("reach", {"hold_steps": 31})
    with pytest.raises(ConfigError, match="cube_edge_m must lie between"):
        make_task("lift", {"cube_edge_m": 0.065})
    with pytest.raises(TypeError, match="'reach' takes ReachSettings, got LiftSettings"):
        Reach(Lift(make_task("lift").settings).settings)


def test_settings_are_frozen() -> None:
    settings = make_task("lift").settings
    assert isinstance(settings, LiftSettings)
    with pytest.raises(ValueError, match="frozen"):
        settings.hold_steps = 1  # type: ignore[misc]


def test_a_task_is_one_small_file() -> None:
    import handful_twin.tasks

    folder = Path(handful_twin.tasks.__path__[0])
    assert {path.stem for path in folder.glob("*.py")} >= set(TASKS)
