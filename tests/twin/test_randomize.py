"""Draws: one seed is one set of bits, off is as it was, restored is put on again, all acts."""

from collections.abc import Iterator

import numpy as np
import pybullet
import pytest
from handful_twin import TwinTaskEnv, make_env
from handful_twin.contact_sheet import contact_sheet
from handful_twin.live import LiveTwin
from handful_twin.raster import Look
from handful_twin.sensor import tone
from handful_twin.settings import LiveSettings, TwinSettings
from handful_twin.stage import Stage
from handful_twin.tasks import make_task

from handful.config import load
from handful.contract import Frame, Observation
from handful.rig.settings import RigSettings

RIG = load(RigSettings, "rig")


def twin(**randomize: object) -> TwinSettings:
    return load(TwinSettings, "twin", {"randomize": randomize})


def env_of(task: str = "lift", **randomize: object) -> TwinTaskEnv:
    return make_env(task, RIG, twin(**randomize))


@pytest.fixture(scope="module")
def hard() -> Iterator[TwinTaskEnv]:
    env = env_of(like="hard")
    yield env
    env.close()


@pytest.fixture(scope="module")
def plain() -> Iterator[TwinTaskEnv]:
    env = make_env("lift", RIG)
    yield env
    env.close()


def bits(observation: Observation) -> bytes:
    pictures = b"".join(observation.images[name].tobytes() for name in observation.images)
    return observation.state.tobytes() + pictures + repr(observation.parts_s).encode()


def play(env: TwinTaskEnv, count: int, seed: int = 0) -> list[bytes]:
    actions = np.random.default_rng(seed).uniform(-1.0, 1.0, (count, 4))
    return [bits(env.step(action).next_observation) for action in actions]


def test_a_seed_fixes_a_randomised_episode_to_the_last_bit(hard: TwinTaskEnv) -> None:
    first = [bits(hard.reset(5)), *play(hard, 6)]
    drawn = dict(hard.draw.values)
    hard.reset(6)
    ranged = [key for key in drawn if "texture" not in key and not key.startswith("twin.delay")]
    assert all(hard.draw.values[key] != drawn[key] for key in ranged)
    play(hard, 3)
    assert [bits(hard.reset(5)), *play(hard, 6)] == first, "an episode before left a trace"
    assert hard.draw.values == drawn
    other = env_of(like="hard")
    assert [bits(other.reset(5)), *play(other, 6)] == first, "a second instance differs"
    assert bits(other.reset(6)) != first[0]
    other.close()


def test_switched_off_is_as_it_was_before_there_was_a_switch(plain: TwinTaskEnv) -> None:
    """Numbers of the commit before: the first observations of two seeds, and after 15 steps.

    There the very bits were compared; here to rounding, as processors differ in the last of them.
    """
    for seed, (pictures, position, end, end_position) in BEFORE.items():
        observation = plain.reset(seed)
        means = [float(observation.images[name].mean()) for name in ("third", "wrist")]
        assert means == pytest.approx(pictures, abs=2e-3)
        assert observation.state[:4] == pytest.approx(position, abs=1e-5)
        rng = np.random.default_rng(seed)
        for _ in range(15):
            observation = plain.step(rng.uniform(-1, 1, 4).astype(np.float32)).next_observation
        means = [float(observation.images[name].mean()) for name in ("third", "wrist")]
        assert means == pytest.approx(end, abs=0.05)
        assert observation.state[:4] == pytest.approx(end_position, abs=1e-4)
    assert plain.draw.values == {}


BEFORE = {
    0: (
        [130.0286, 132.0063],
        [0.270425, -0.147568, -0.102858, 0.212603],
        [131.4348, 132.1509],
        [0.475740, 0.056274, 0.204378, -0.878061],
    ),
    1: (
        [132.3202, 130.9023],
        [0.192429, 0.287693, -0.071468, 0.655092],
        [136.8494, 132.3648],
        [0.010021, 0.814190, -0.021121, -0.055042],
    ),
}


def test_taking_it_off_leaves_nothing_behind(hard: TwinTaskEnv, plain: TwinTaskEnv) -> None:
    hard.reset(3)
    play(hard, 3)
    hard.stage.wear(type(hard.draw)())
    hard.stage._varies = False
    try:
        seen = [bits(hard.reset(8)), *play(hard, 8)]
    finally:
        hard.stage._varies = True
    assert seen == [bits(plain.reset(8)), *play(plain, 8)]


@pytest.mark.parametrize("task", ["lift", "drawer"])
def test_a_moment_of_another_episode_is_restored_with_its_draw(task: str) -> None:
    env = env_of(task, like="hard")
    env.reset(1)
    play(env, 4)
    moment, drawn = env.save(), env.draw
    after = play(env, 6, seed=1)
    env.reset(2)
    play(env, 2)
    for _ in range(2):
        env.restore(moment)
        assert env.draw is drawn
        assert play(env, 6, seed=1) == after
        env.reset(3)
    env.close()


def test_masses_friction_and_gains_are_what_was_drawn_and_go_back() -> None:
    env = env_of(like="hard", physics={"object_mass": 2.0, "object_friction": 0.5})
    world, cube = env.world, env.world.bodies["cube"]
    made = pybullet.getDynamicsInfo(cube, -1, physicsClientId=world.client)
    env.reset(0)
    values = env.draw.values
    now = pybullet.getDynamicsInfo(cube, -1, physicsClientId=world.client)
    assert now[0] == pytest.approx(2.0 * made[0]) and now[1] == pytest.approx(0.5 * made[1])
    assert np.array(now[2]) == pytest.approx(2.0 * np.array(made[2])), "inertia"
    finger = pybullet.getDynamicsInfo(world.arm, 9, physicsClientId=world.client)
    assert finger[1] == pytest.approx(values["physics.finger_friction"])
    table = pybullet.getBasePositionAndOrientation(world.table, physicsClientId=world.client)
    height_m = values["physics.table_height_m"]
    assert table[0][2] == pytest.approx(-0.025 + float(height_m))
    assert world.body_pose("cube")[0][2] == pytest.approx(0.02 + float(height_m), abs=5e-4)
    moment = env.save()
    env.stage.wear(type(env.draw)())
    env.world.reset(world.motors.q_rad, 0.08, {})
    for body, link in ((cube, -1), (world.arm, 9)):
        again = pybullet.getDynamicsInfo(body, link, physicsClientId=world.client)
        assert again[:2] == pytest.approx(made[:2] if body == cube else (again[0], 1.0))
    table = pybullet.getBasePositionAndOrientation(world.table, physicsClientId=world.client)
    assert table[0][2] == pytest.approx(-0.025)
    env.restore(moment)  # restoreState alone would bring back neither
    assert pybullet.getDynamicsInfo(cube, -1, physicsClientId=world.client)[0] == now[0]
    env.close()


@pytest.mark.parametrize(
    ("group", "what", "arm_differs"),
    [
        ("physics", {"position_gain": 0.5}, True),
        ("physics", {"velocity_gain": 0.6}, True),
        ("encoders", {"joint_offset_rad": {"uniform": [-0.01, 0.01]}}, True),
        ("encoders", {"joint_noise_rad": 0.001}, True),
        ("encoders", {"finger_noise_m": 0.001}, True),
        ("light", {"azimuth_rad": 2.0}, False),
        ("light", {"elevation_rad": 0.7}, False),
        ("light", {"ambient": 1.2}, False),
        ("light", {"diffuse": 0.7}, False),
        ("light", {"shadow": 0.9}, False),
        ("camera", {"position_m": 0.02}, False),
        ("camera", {"rotation_rad": 0.03}, False),
        ("camera", {"fov_deg": 2.0}, False),
        ("camera", {"centre_px": 1.5}, False),
        ("picture", {"exposure": 0.8}, False),
        ("picture", {"contrast": 0.8}, False),
        ("picture", {"gamma": 1.3}, False),
        ("picture", {"white_balance": 1.1}, False),
        ("picture", {"noise": 4.0}, False),
        ("colour", {"table": {"hue": 0.3}}, False),
        ("colour", {"objects": {"value": -0.2}}, False),
        ("colour", {"arm": {"saturation": 0.3}}, False),
        ("colour", {"table": {"texture": ["checker"]}}, False),
        ("colour", {"table": {"texture": ["noise"]}}, False),
    ],
)
def test_every_setting_alone_changes_what_it_says_and_nothing_else(
    plain: TwinTaskEnv, group: str, what: dict, arm_differs: bool
) -> None:
    stage = plain.stage
    before_arm, before = _moved(stage, None)
    drawn = Stage.drawn(_Like(stage, twin(**{group: what})), 4)  # type: ignore[arg-type]
    after_arm, after = _moved(stage, drawn)
    changed = {name: not np.array_equal(before[name], after[name]) for name in before}
    assert (not np.array_equal(before_arm, after_arm)) == arm_differs
    if not arm_differs:
        assert any(changed.values()), "no picture changed"
    if group == "picture" and "noise" not in what:
        one = {key: float(value) for key, value in what.items()}
        expected = np.floor(tone(**one)[np.arange(3), before["third"]] + 0.5)
        assert np.array_equal(after["third"], expected.astype(np.uint8))


class _Like:
    """A stage's world and cameras with other settings, to draw from."""

    def __init__(self, stage: Stage, settings: TwinSettings) -> None:
        self.world, self.twin = stage.world, settings


def _moved(stage: Stage, drawn: object) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The arm's state a little after a command, and the cameras' pictures."""
    stage.put_up(4, drawn if drawn is not None else type(stage.draw)())  # type: ignore[arg-type]
    stage.arm.send(type(stage.arm.target)(np.array([0.5, 0.05, 0.15]), 0.0, 0.04))
    stage.world.advance(20)
    state = stage.arm.state()
    pictures = {name: eye.latest(0.0).pixels for name, eye in stage.cameras.items()}
    return np.array([*state.p_BT_m, state.gripper_m, *state.q_rad]), pictures


def test_the_judge_sees_through_the_encoders() -> None:
    env = env_of(encoders={"joint_offset_rad": 0.01, "finger_noise_m": 0.002})
    env.reset(0)
    truth, said = env.truth(), env.arm_state()
    exact = env.arm.measured(*env.world.joints())
    assert np.array_equal(truth.p_BT_m, exact.p_BT_m) and truth.gripper_m == exact.gripper_m
    assert np.linalg.norm(said.p_BT_m - truth.p_BT_m) > 2e-3
    assert said.q_rad == pytest.approx(exact.q_rad + 0.01)
    assert np.linalg.norm(said.p_BT_m - said.target_p_BT_m) < 1e-3, "it believes to be on target"
    assert np.array_equal(env.arm_state().p_BT_m, said.p_BT_m), "read twice, it says the same"
    env.step(np.zeros(4))
    assert np.linalg.norm(env.arm_state().p_BT_m - env.arm_state().target_p_BT_m) < 1e-3
    env.close()


def test_noise_has_the_size_that_was_asked_for_and_is_new_in_each_picture(
    plain: TwinTaskEnv,
) -> None:
    stage = plain.stage
    clean = _moved(stage, type(stage.draw)())[1]["third"].astype(int)
    drawn = Stage.drawn(_Like(stage, twin(picture={"noise": 5.0})), 1)  # type: ignore[arg-type]
    noisy = _moved(stage, drawn)[1]["third"].astype(int)
    parted = (noisy - clean)[np.abs(clean - 128) < 100]
    assert parted.std() == pytest.approx(5.0, rel=0.03) and abs(parted.mean()) < 0.2
    stage.world.advance(1)
    again = stage.cameras["third"].latest(0.0).pixels.astype(int)
    assert np.corrcoef((again - clean).ravel(), (noisy - clean).ravel())[0, 1] < 0.2


def test_beside_a_clock_a_seed_looks_as_it_does_in_process(hard: TwinTaskEnv) -> None:
    looks = {"like": "hard", "delay": {"frame_s": 0.0, "frame_jitter_s": 0.0}}
    env = env_of(**looks)
    live = LiveTwin(Stage(make_task("lift"), RIG, twin(**looks)), LiveSettings())
    live.reset(7)
    observation = env.reset(7)
    frames = [thing for thing in live.advance(live.now_s, 0.0) if isinstance(thing, Frame)]
    assert len(frames) == 2
    for frame in frames:
        assert np.array_equal(frame.pixels, observation.images[frame.camera])
    assert live.report().arm.q_rad == pytest.approx(env.arm_state().q_rad)
    live.close()
    env.close()


def test_bullets_renderers_wear_tints_and_light_too() -> None:
    settings = twin(colour={"table": {"hue": 0.4, "saturation": 0.3}}, light={"ambient": 1.3})
    settings = settings.model_copy(update={"renderer": "tiny", "antialias": 1})
    env = make_env("lift", RIG, settings)
    dressed = env.reset(0).images["third"]
    env.stage.put_up(0, type(env.draw)())
    bare = env.stage.cameras["third"].latest(0.0).pixels
    assert env.stage.renderer._look == Look()  # type: ignore[attr-defined]
    table = (
        dressed[70:, :10].reshape(-1, 3).mean(axis=0),
        bare[70:, :10].reshape(-1, 3).mean(axis=0),
    )
    assert np.argmax(table[0]) != np.argmax(table[1]), "the table has its old colour"
    env.close()


def test_a_sheet_shows_the_twin_as_it_is_first_and_then_draw_after_draw() -> None:
    sheet = contact_sheet("reach", "hard", draws=3, scale=1, columns=3)
    assert sheet.shape == (84 * 2 + 2, 84 * 3 + 8, 3)
    first, second = sheet[:, :84], sheet[:, 88:172]
    assert not np.array_equal(first, second)
    env = make_env("reach", RIG)
    assert np.array_equal(first[:84], env.reset(0).images["third"])
    env.close()
