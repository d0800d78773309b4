"""What every task must be: honest starts, things at rest and in sight, nothing won for free."""

import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import handful_twin.tasks
import numpy as np
import pytest
from handful_twin import TwinTaskEnv, make_env
from handful_twin.demonstrate import Demonstrator
from handful_twin.raster import Rasteriser
from handful_twin.tasks import TASKS, Start, Truth, make_task
from handful_twin.tasks.base import draw_apart
from handful_twin.tasks.lift import Lift, LiftSettings
from handful_twin.tasks.reach import Reach

from handful.config import ConfigError, load, profiles
from handful.rig.settings import RigSettings

SHIPPED = {"reach", "lift", "push", "pull", "place", "stack", "switch", "drawer", "peg"}
SEEN_PX = 12  # of 84 x 84: the least that is seen of every thing, from the camera over the table


@pytest.fixture(scope="module", params=sorted(TASKS))
def env(request: pytest.FixtureRequest) -> Iterator[TwinTaskEnv]:
    """Nobody looks at pictures here, so they are tiny."""
    size = {"width_px": 8, "height_px": 8}
    rig = load(RigSettings, "rig", {"cameras": {"third": size}, "observe.image_px": 8})
    env = make_env(request.param, rig=rig)
    yield env
    env.close()


def test_the_nine_are_there() -> None:
    assert set(TASKS) == SHIPPED
    folder = Path(handful_twin.tasks.__path__[0])
    assert {path.stem for path in folder.glob("*.py")} >= SHIPPED, "a task is one small file"


@pytest.mark.parametrize("name", sorted(TASKS))
def test_every_task_has_a_sentence_and_a_table(name: str) -> None:
    text = str(TASKS[name].__doc__)
    rows = [line[:17].strip() for line in text.splitlines()]
    for word in ("geometry", "reset", "observations", "success", "on a robot", "horizon"):
        assert word in rows, f"{name}: the table has no row {word!r}"
    task = make_task(name)
    assert f"{task.settings.horizon_steps} steps ({task.settings.horizon_steps / 10:g} s)" in text
    assert f"held {task.settings.hold_steps} steps (0.5 s)" in " ".join(text.split())


@pytest.mark.parametrize("name", sorted(TASKS))
def test_every_setting_is_a_key_of_the_profile(name: str) -> None:
    assert f"task/{name}" in profiles("task")
    text = resources.files("handful_config").joinpath(f"task/{name}.yaml").read_text("utf-8")
    keys = set(re.findall(r"^(\w+):", text, re.MULTILINE))
    assert keys == set(TASKS[name].settings_class.model_fields) - _as_the_class(name, keys)
    assert text.startswith(f"# {name.capitalize()}: ")


def _as_the_class(name: str, keys: set[str]) -> set[str]:
    """What a profile may leave out: the opening, where the task itself decides it."""
    return {"start_gripper_m"} - keys if name == "peg" else set()


def drawn(start: Start) -> dict[str, np.ndarray]:
    return {name: p_m for name, (p_m, _) in start.poses.items()}


@pytest.mark.parametrize("name", sorted(TASKS))
def test_starts_fill_their_boxes_and_stay_in_them(name: str) -> None:
    task = make_task(name)
    s: Any = task.settings
    starts = [task.sample(np.random.default_rng(seed)) for seed in range(300)]
    boxes = {"start": np.array([start.p_BT_m for start in starts])}
    for thing in drawn(starts[0]):
        boxes[thing] = np.array([drawn(start)[thing][:2] for start in starts])
    bounded = [key.removesuffix("_min_m") for key in type(s).model_fields if key.endswith("_min_m")]
    for key in (key for key in bounded if isinstance(getattr(s, f"{key}_min_m"), tuple)):
        low, high = np.array(getattr(s, f"{key}_min_m")), np.array(getattr(s, f"{key}_max_m"))
        assert (boxes[key] >= low - 1e-12).all() and (boxes[key] <= high + 1e-12).all(), key
        assert (np.ptp(boxes[key], axis=0) >= 0.85 * (high - low)).all(), f"{key} hardly varies"
    for key in (key for key in type(s).model_fields if key.endswith("_yaw_rad")):
        quats = np.array([start.poses[key.removesuffix("_yaw_rad")][1] for start in starts])
        yaws_rad = 2.0 * np.arctan2(quats[:, 2], quats[:, 3])
        most_rad = getattr(s, key)
        assert np.abs(yaws_rad).max() <= most_rad + 1e-12 and np.ptp(yaws_rad) >= 1.8 * most_rad
    if name != "peg":
        narrow_m, wide_m = s.start_gripper_m
        openings_m = np.array([start.gripper_m for start in starts])
        assert openings_m.min() >= narrow_m and openings_m.max() <= wide_m
        assert np.ptp(openings_m) >= 0.9 * (wide_m - narrow_m)
    again = task.sample(np.random.default_rng(7))
    assert all(np.array_equal(a, drawn(starts[7])[k]) for k, a in drawn(again).items())


def test_things_rest_and_nothing_is_won_when_nobody_moves(env: TwinTaskEnv) -> None:
    stay = np.zeros(env.spec.action_dim)
    for seed in range(12):
        env.reset(seed)
        stay[-1] = env.arm_state().target_gripper_m / 0.04 - 1.0
        before = env.truth()
        assert not env.task.success(before)
        for _ in range(8):
            assert env.step(stay).reward == 0.0
        after = env.truth()
        for thing, (p_m, quat) in before.bodies.items():
            assert after.p_m(thing) == pytest.approx(p_m, abs=0.002), f"{thing} is not at rest"
            assert abs(quat @ after.bodies[thing][1]) > 0.9998, f"{thing} turns"


def test_success_and_plan_are_pure(env: TwinTaskEnv) -> None:
    env.reset(3)
    truth = env.truth()
    kept = {name: (p_m.copy(), q.copy()) for name, (p_m, q) in truth.bodies.items()}
    tip_m = truth.p_BT_m.copy()
    task = env.task
    assert len({(task.success(truth), task.distance_m(truth)) for _ in range(3)}) == 1
    first, second = task.plan(truth, truth), task.plan(truth, truth)
    assert np.array_equal(first.p_BT_m, second.p_BT_m) and first.gripper == second.gripper
    first.p_BT_m[:] = 9.0
    assert np.array_equal(truth.p_BT_m, tip_m), "a plan handed out the truth itself"
    for name, (p_m, quat) in kept.items():
        assert np.array_equal(truth.p_m(name), p_m)
        assert np.array_equal(truth.bodies[name][1], quat)


def test_the_distance_shrinks_to_success(env: TwinTaskEnv) -> None:
    """And demonstrations stay inside the guard's box: it corrects hardly any of their actions."""
    expert = Demonstrator(env, 0.0)
    observation = env.reset(50)
    far_m = env.task.distance_m(env.truth())
    verdicts = []
    while True:
        transition = env.step(expert.act(observation))
        observation = transition.next_observation
        verdicts.append(transition.info["verdict"])
        if transition.last:
            break
    assert transition.info["success"]
    assert transition.info["distance_m"] < far_m
    assert verdicts.count("ok") >= 0.9 * len(verdicts), verdicts


def test_a_random_policy_hardly_succeeds(env: TwinTaskEnv) -> None:
    """The full number is benchmarks/bench_tasks.py's: below 5 of 100 on every task."""
    rng, wins = np.random.default_rng(0), 0
    for seed in range(8):
        env.reset(seed)
        for _ in range(env.horizon):
            transition = env.step(rng.uniform(-1.0, 1.0, env.spec.action_dim))
            if transition.last:
                break
        wins += transition.reward > 0.0
    assert wins <= 1


def test_every_thing_is_in_sight_at_the_start(env: TwinTaskEnv) -> None:
    """From the camera over the table always; from the wrist's something nearly always."""
    geometry = env.scene.geometry()
    raster = Rasteriser(geometry, samples=1)
    labels = {name: env.scene.names.index(name) for name in env.truth().bodies}
    seen_by_wrist = 0
    for seed in range(12):
        env.reset(seed)
        env.scene.sync()
        for camera in ("third", "wrist"):
            eye = env.stage.eyes[camera]
            f_px = 42.0 / np.tan(np.radians(0.5 * env.twin.cameras[camera].fov_y_deg))
            K = np.array([[f_px, 0.0, 41.5], [0.0, f_px, 41.5], [0.0, 0.0, 1.0]])
            picture = raster.layers(env.scene.poses, K, eye.X_BC(), 84, 84).labels
            counts = {name: int((picture == label).sum()) for name, label in labels.items()}
            if camera == "third":
                assert min(counts.values()) >= SEEN_PX, f"seed {seed}: {counts}"
            else:
                seen_by_wrist += max(counts.values()) >= SEEN_PX
    assert seen_by_wrist >= 11


def test_what_cannot_be_a_task_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"no task 'lfit'.*lift, peg"):
        make_task("lfit")
    with pytest.raises(ConfigError, match="did you mean 'horizon_steps'"):
        make_task("lift", {"horizon_step": 3})
    with pytest.raises(ConfigError, match="cube_min_m must not be above cube_max_m"):
        make_task("reach", {"cube_min_m": [0.6, 0.0]})
    with pytest.raises(ConfigError, match="tray_min_m must not be above tray_max_m"):
        make_task("place", {"tray_max_m": [0.5, -0.2]})
    with pytest.raises(ConfigError, match="start_gripper_m must be two openings"):
        make_task("reach", {"start_gripper_m": [0.05, 0.02]})
    with pytest.raises(ConfigError, match="hold_steps must not be above horizon_steps"):
        make_task("reach", {"hold_steps": 31})
    with pytest.raises(ConfigError, match="cube_edge_m must lie between"):
        make_task("lift", {"cube_edge_m": 0.065})
    with pytest.raises(ConfigError, match="off_rad must be below on_rad"):
        make_task("switch", {"on_rad": -0.36})
    with pytest.raises(ConfigError, match="open_m must be below travel_m"):
        make_task("drawer", {"open_m": 0.13})
    with pytest.raises(ConfigError, match="depth_m must be below block_height_m"):
        make_task("peg", {"depth_m": 0.05})
    with pytest.raises(TypeError, match="'reach' takes ReachSettings, got LiftSettings"):
        Reach(Lift(make_task("lift").settings).settings)


def test_two_things_find_room_or_say_that_there_is_none() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        xy_m = draw_apart(rng, (0.4, -0.1), (0.5, 0.1), np.array([0.45, 0.0]), 0.08)
        assert np.linalg.norm(xy_m - [0.45, 0.0]) >= 0.08
    with pytest.raises(ConfigError, match="no place 0.5 m away"):
        draw_apart(rng, (0.4, -0.1), (0.5, 0.1), np.array([0.45, 0.0]), 0.5)


def test_settings_are_frozen() -> None:
    settings = make_task("lift").settings
    assert isinstance(settings, LiftSettings)
    with pytest.raises(ValueError, match="frozen"):
        settings.hold_steps = 1  # type: ignore[misc]


def test_truth_of_a_thing_seen_from_another() -> None:
    quarter = np.array([0.0, 0.0, np.sqrt(0.5), np.sqrt(0.5)])
    level = np.array([0.0, 0.0, 0.0, 1.0])
    a, b = np.array([1.0, 0.0, 0.0]), np.array([1.0, 2.0, 0.5])
    truth = Truth(np.zeros(3), 0.0, {"a": (a, quarter), "b": (b, level)})
    X_AO = truth.pose_in("b", "a")
    assert X_AO[:3, 3] == pytest.approx([2.0, 0.0, 0.5])  # a's x is B's y
    assert X_AO[:3, 0] == pytest.approx([0.0, -1.0, 0.0])
