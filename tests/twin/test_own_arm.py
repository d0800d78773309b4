"""Arms that are not the Panda: the shipped two, one of this file's own, and what is refused."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pybullet
import pytest
from handful_twin import make_env
from handful_twin.arm_model import ArmModel, arm_model
from handful_twin.arm_settings import ArmSettings
from handful_twin.demonstrate import Demonstrator
from handful_twin.settings import TwinSettings
from handful_twin.world import World

from handful.config import ConfigError, load

PAGE = (Path(__file__).parents[2] / "docs" / "own_arm.md").read_text("utf-8")


def block(language: str, first: str) -> str:
    found = re.search(rf"```{language}\n({re.escape(first)}.*?)```", PAGE, re.DOTALL)
    assert found is not None, f"docs/own_arm.md has no {language} block that begins with {first}"
    return found.group(1)


@pytest.fixture
def gantry(tmp_path: Path) -> Path:
    """The page's own arm, as its reader would save it."""
    (tmp_path / "gantry.urdf").write_text(block("xml", '<robot name="gantry">'))
    path = tmp_path / "gantry.yaml"
    path.write_text(block("yaml", "# gantry.yaml"))
    return path


def successes(arm: str, task: str, episodes: int) -> int:
    env = make_env(task, twin=load(TwinSettings, "twin", {"arm": arm}))
    demonstrator, won = Demonstrator(env, seed=1), 0
    try:
        for seed in range(episodes):
            observation = env.reset(seed)
            demonstrator.reset()
            while True:
                step = env.step(demonstrator.act(observation))
                observation = step.next_observation
                if step.last:
                    break
            won += bool(step.info["success"])
        assert env.render("film", (64, 64)).std() > 10.0
    finally:
        env.close()
    return won


@pytest.mark.parametrize(
    ("arm", "task"), [("xarm6", "lift"), ("xarm6", "reach"), ("iiwa", "reach")]
)
def test_the_demonstrator_does_it_with_a_shipped_arm(arm: str, task: str) -> None:
    assert successes(arm, task, 3) == 3


def test_the_page_s_own_arm_lifts(gantry: Path) -> None:
    assert successes(str(gantry), "lift", 3) == 3


def bullet_says(world: World, link: str) -> tuple[np.ndarray, np.ndarray]:
    state = pybullet.getLinkState(
        world.arm, world.links[link], computeForwardKinematics=1, physicsClientId=world.client
    )
    return np.array(state[4]), np.reshape(pybullet.getMatrixFromQuaternion(state[5]), (3, 3))


@pytest.mark.parametrize("arm", ["xarm6", "iiwa", "gantry"])
def test_every_link_is_where_bullet_has_it(arm: str, gantry: Path) -> None:
    """With the base moved and turned, too."""
    over: dict[str, Any] = {"like": str(gantry) if arm == "gantry" else arm}
    over |= {"base": {"position_m": [-0.1, -0.05, 0.02], "yaw_rad": 0.4}, "hold_yaw": False}
    world = World(load(TwinSettings, "twin", {"arm": over}), {})
    model, rng = world.model, np.random.default_rng(0)
    frames, jacobian = model.frames(), np.empty((6, model.dof))
    for _ in range(5):
        q = rng.uniform(*np.clip(model.limits[:2], -2.0, 2.0))
        world.reset(q, 0.03, {})
        everything, _ = world.joints()
        model.forward(everything, frames)
        for link in model.links[1:]:
            carrier = np.eye(4) if link.frame < 0 else frames[link.frame]
            p_m, R = bullet_says(world, link.name)
            X = carrier @ link.X_FL
            assert X[:3, 3] == pytest.approx(p_m, abs=2e-5), link.name
            assert X[:3, :3] == pytest.approx(R, abs=2e-5), link.name
        model.jacobian(frames, jacobian)
        tip = frames[model.tip, :3, 3].copy()
        for i in range(model.dof):
            nudged = everything.copy()
            nudged[i] += 1e-6
            model.forward(nudged, frames)
            slope = (frames[model.tip, :3, 3] - tip) / 1e-6
            assert jacobian[:3, i] == pytest.approx(slope, abs=1e-5)
    world.close()


def test_openings_are_the_fingers_and_back(gantry: Path) -> None:
    for arm in ("panda", "xarm6", str(gantry)):
        model = arm_model(ArmSettings.model_validate(arm))
        for opening_m in (0.0, 0.03, model.opening_m):
            q = np.concatenate([model.home_rad, model.finger_positions(opening_m)])
            assert model.opening(q) == pytest.approx(opening_m, abs=1e-12)
    bare = arm_model(ArmSettings.model_validate("iiwa"))
    assert bare.opening(bare.home_rad) == 0.0 and bare.fingers == ()


def test_a_found_posture_points_down_far_from_the_limits() -> None:
    for arm in ("xarm6", "iiwa"):
        model = arm_model(ArmSettings.model_validate(arm))
        frames = model.frames()
        model.forward(model.home_rad, frames)
        assert frames[model.tip, :3, 2] == pytest.approx([0.0, 0.0, -1.0], abs=1e-4)
        away = np.minimum(model.home_rad - model.limits[0], model.limits[1] - model.home_rad)
        assert away.min() > 0.1


def of_five(model: ArmModel, hold_yaw: bool) -> float:
    """The error left after asking for a pose that needs all six numbers."""
    settings = model.settings.model_copy(update={"hold_yaw": hold_yaw})
    import dataclasses

    bent = dataclasses.replace(model, settings=settings)
    return float(bent.solve_down(model.home_rad, np.array([0.45, 0.2, 0.2]), 0.0, 200, 1e-9)[1])


def test_an_arm_of_five_joints_lets_its_yaw_go(tmp_path: Path) -> None:
    """An xArm without its last: five are left."""
    text = arm_model(ArmSettings.model_validate("xarm6")).physics.read_text()
    joint = re.search(r'<joint name="joint6" type="revolute">', text)
    assert joint is not None
    (tmp_path / "five.urdf").write_text(
        text.replace(joint[0], '<joint name="joint6" type="fixed">')
    )
    model = arm_model(
        ArmSettings.model_validate(
            {"like": "xarm6", "urdf": str(tmp_path / "five.urdf"), "hold_yaw": False}
        )
    )
    assert model.dof == 5
    assert of_five(model, hold_yaw=False) < 1e-6 < 0.01 < of_five(model, hold_yaw=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("robot", "no arm/robot|arm/robot"),
        ({"like": "panda", "urdf": "nowhere.urdf"}, "there is no file nowhere.urdf"),
        ({"like": "panda", "hand": {"link": "hand"}}, "has no link 'hand'; it has panda_link0"),
        ({"like": "panda", "base": {"link": "panda_hand"}, "hand": {"link": "panda_link3"}},
         "'panda_link3' does not hang below 'panda_hand'"),
        ({"like": "panda", "home_rad": [0.0]}, "home_rad: must be 7 numbers, of panda_joint1"),
        ({"like": "panda", "home_rad": [9.0] * 7}, "beyond the limits"),
        ({"like": "panda", "gripper": {"joints": ["thumb"]}}, "thumb below 'panda_hand'"),
        ({"like": "panda", "gripper": {"opened": 0.0}}, "must differ for every joint"),
        ({"like": "xarm6", "base": {"position_m": [-2.0, 0.0, 0.0]}}, "no joints put the tip at"),
    ],
)  # fmt: skip
def test_what_cannot_be_an_arm_is_refused_by_name(change: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        World(load(TwinSettings, "twin", {"arm": change}), {})
