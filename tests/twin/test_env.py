"""What every task's environment must do: one suite over all of them, and the Gymnasium door.

What the tasks themselves must be is in ``test_tasks``.
"""

import warnings
from collections.abc import Iterator

import gymnasium
import handful_twin
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from handful_twin import TwinTaskEnv, make_env
from handful_twin.demonstrate import Demonstrator
from handful_twin.tasks import TASKS

from handful.config import ConfigError, load
from handful.contract import Observation, Transition
from handful.rig.action import ActionError
from handful.rig.episode import EpisodeError
from handful.rig.settings import RigSettings


@pytest.fixture(scope="module", params=sorted(TASKS))
def env(request: pytest.FixtureRequest) -> Iterator[TwinTaskEnv]:
    env = make_env(request.param)
    yield env
    env.close()


def bits(observation: Observation) -> bytes:
    pictures = b"".join(observation.images[name].tobytes() for name in observation.images)
    return observation.state.tobytes() + pictures + np.float64(observation.stamp_s).tobytes()


def play(env: TwinTaskEnv, actions: np.ndarray) -> list[bytes]:
    seen = []
    for action in actions:
        transition = env.step(action)
        seen.append(bits(transition.next_observation) + transition.action.tobytes())
        if transition.last:
            break
    return seen


def random_actions(env: TwinTaskEnv, seed: int, count: int) -> np.ndarray:
    shape = count, env.spec.action_dim
    return np.random.default_rng(seed).uniform(-1.0, 1.0, shape).astype(np.float32)


def demonstrate(env: TwinTaskEnv, seed: int) -> list[Transition]:
    expert = Demonstrator(env, noise=0.0)
    observation, episode = env.reset(seed), []
    while not episode or not episode[-1].last:
        episode.append(env.step(expert.act(observation)))
        observation = episode[-1].next_observation
    return episode


def test_observations_have_the_shapes_of_the_spec(env: TwinTaskEnv) -> None:
    spec = env.spec
    seen = [env.reset(3), env.step(np.zeros(spec.action_dim)).next_observation]
    for observation in seen:
        assert tuple(observation.images) == spec.cameras == ("third", "wrist")
        for picture in observation.images.values():
            assert picture.shape == (spec.height_px, spec.width_px, 3 * spec.frame_stack)
            assert picture.dtype == np.uint8
        assert observation.state.shape == (spec.state_dim,)
        assert observation.state.dtype == np.float32
        assert np.abs(observation.state).max() < 1.5


def test_a_seed_fixes_an_episode_to_the_last_bit(env: TwinTaskEnv) -> None:
    actions = random_actions(env, 0, 12)
    first = [bits(env.reset(5)), *play(env, actions)]
    env.reset(6)
    play(env, random_actions(env, 1, 7))
    assert [bits(env.reset(5)), *play(env, actions)] == first, "an episode before left a trace"
    other = make_env(env.task.name)
    assert [bits(other.reset(5)), *play(other, actions)] == first, "a second instance differs"
    assert bits(other.reset(6)) != first[0]
    other.close()


def test_a_restored_moment_goes_on_bit_identically(env: TwinTaskEnv) -> None:
    expert = Demonstrator(env, noise=0.2, seed=4)
    observation, actions, moments, seen = env.reset(9), [], [], []
    while True:
        moments.append(env.save())
        actions.append(expert.act(observation))
        transition = env.step(actions[-1])
        observation = transition.next_observation
        seen.append(bits(observation) + transition.action.tobytes())
        if transition.last:
            break
    for k in range(0, len(actions), 6):
        env.reset(100 + k)
        play(env, random_actions(env, k, 3))
        before = env.restore(moments[k])
        assert before.stamp_s == pytest.approx(0.1 * k + 0.05)
        assert play(env, np.array(actions[k:])) == seen[k:], f"differs when restored at step {k}"
        env.restore(moments[k])
        assert play(env, np.array(actions[k:])) == seen[k:], "a moment can be restored only once"


def test_a_stack_of_frames_is_restored_too() -> None:
    rig = load(RigSettings, "rig", {"observe.frame_stack": 3})
    env = make_env("lift", rig=rig)
    actions = random_actions(env, 2, 10)
    env.reset(1)
    play(env, actions[:5])
    moment = env.save()
    after = play(env, actions[5:])
    env.reset(2)
    assert env.restore(moment).images["third"].shape[-1] == 9
    assert play(env, actions[5:]) == after
    env.close()


def test_no_part_of_an_observation_is_constant(env: TwinTaskEnv) -> None:
    observations = [env.reset(1)]
    for action in random_actions(env, 0, 25):
        observations.append(env.step(action).next_observation)
    states = np.array([observation.state for observation in observations])
    assert (np.ptp(states, axis=0) > 0.05).all()
    for name in env.spec.cameras:
        pictures = np.array([observation.images[name] for observation in observations])
        assert (pictures[1:] != pictures[:-1]).any(axis=(1, 2, 3)).all(), f"{name} stood still"


def test_observations_share_no_memory(env: TwinTaskEnv) -> None:
    first = env.reset(1)
    kept = bits(first)
    second = env.step(random_actions(env, 0, 1)[0]).next_observation
    third = env.reset(2)
    assert bits(first) == kept
    for a, b in ((first, second), (second, third), (first, third)):
        assert not np.shares_memory(a.state, b.state)
        for name in env.spec.cameras:
            assert not np.shares_memory(a.images[name], b.images[name])


def test_success_is_not_there_at_reset(env: TwinTaskEnv) -> None:
    for seed in range(20):
        env.reset(seed)
        assert not env.task.success(env.truth())
        assert env.task.distance_m(env.truth()) > 0.0


def test_the_demonstrator_is_rewarded_once_at_the_end(env: TwinTaskEnv) -> None:
    for seed in range(3):
        episode = demonstrate(env, seed)
        end = episode[-1]
        assert (end.reward, end.discount, end.last, end.info["success"]) == (1.0, 0.0, True, True)
        assert len(episode) < env.horizon
        for transition in episode[:-1]:
            assert (transition.reward, transition.discount, transition.last) == (0.0, 1.0, False)
            assert transition.info["success"] is False
        held = [bool(transition.info["at_goal"]) for transition in episode[-env.hold_steps - 1 :]]
        assert held == [False] + [True] * env.hold_steps, "success was not held long enough"


def test_out_of_time_is_not_failure(env: TwinTaskEnv) -> None:
    env.reset(0)
    for step in range(1, env.horizon + 1):
        transition = env.step(np.zeros(env.spec.action_dim))
        assert transition.last == (step == env.horizon)
    assert (transition.reward, transition.discount) == (0.0, 1.0)
    with pytest.raises(EpisodeError, match=r"timed_out; call reset"):
        env.step(np.zeros(env.spec.action_dim))


def test_the_action_that_was_sent_is_returned(env: TwinTaskEnv) -> None:
    env.reset(0)
    wish = np.array([0.4, -0.3, 0.2, 0.5], np.float32)
    assert env.step(wish).action == pytest.approx(wish, abs=1e-6)
    for _ in range(12):
        transition = env.step([1.0, 0.0, 0.0, 1.0])
    assert transition.info["verdict"] == "at_wall"
    assert transition.action[0] < 0.5, "the wall took something off, and that must be told"
    assert env.arm_state().p_BT_m[0] < env.rig.guard.workspace_max_m[0] + 0.005


@pytest.mark.parametrize(
    ("action", "complaint"),
    [
        (np.zeros(3), r"\(4,\)"),
        (np.zeros((1, 4)), r"\(4,\)"),
        (np.array([0.0, np.nan, 0.0, 0.0]), "finite|nan"),
        (np.array([0.0, np.inf, 0.0, 0.0]), "finite|inf"),
    ],
)
def test_a_bad_action_is_named_and_the_episode_stands(
    env: TwinTaskEnv, action: np.ndarray, complaint: str
) -> None:
    env.reset(0)
    with pytest.raises(ActionError, match=complaint):
        env.step(action)
    assert not env.step(np.zeros(4)).last


def test_an_arm_that_cannot_follow_ends_the_episode_as_a_fault() -> None:
    env = make_env("lift", rig=load(RigSettings, "rig", {"action.yaw_step_rad": 0.2}))
    env.reset(0)
    spin, verdicts = [0.0, 0.0, 0.0, 1.0, 0.0], []
    for _ in range(env.horizon):
        transition = env.step(spin)
        verdicts.append(str(transition.info["verdict"]))
        if transition.last:
            break
    assert (transition.reward, transition.discount, transition.last) == (0.0, 0.0, True)
    assert "out of reach" in verdicts[-1]
    assert not any("out of reach" in verdict for verdict in verdicts[:-1])
    assert transition.action[3] == pytest.approx(0.0), "the arm held, so the action sent was none"
    env.reset(1)
    assert not env.step(np.zeros(5)).last
    env.close()


def test_a_step_before_the_first_reset_is_refused() -> None:
    env = make_env("reach")
    with pytest.raises(EpisodeError, match=r"idle; call reset\(seed\)"):
        env.step(np.zeros(4))
    with pytest.raises(EpisodeError, match=r"call reset\(seed\)"):
        env.save()
    env.close()


def test_render_shows_any_camera_at_any_size(env: TwinTaskEnv) -> None:
    env.reset(0)
    assert env.render().shape == (256, 256, 3)
    assert env.render("wrist", (60, 80)).shape == (60, 80, 3)
    assert np.array_equal(env.render("third"), env.render())
    with pytest.raises(ConfigError, match=r"no camera 'left'.*third, wrist"):
        env.render("left")


def test_a_rig_with_a_camera_the_twin_lacks_is_refused() -> None:
    rig = load(RigSettings, "rig", {"cameras.side": {}})
    with pytest.raises(ConfigError, match=r"side.*third, wrist"):
        make_env("reach", rig=rig)


@pytest.mark.parametrize("name", sorted(TASKS))
def test_gymnasium_finds_nothing_to_complain_about(name: str) -> None:
    env = gymnasium.make(f"handful/{name.capitalize()}-v0", render_mode="rgb_array")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped)
    env.close()


def test_gymnasium_sees_the_same_world() -> None:
    env = gymnasium.make("handful/Reach-v0", render_mode="rgb_array", render_size_px=64)
    first, info = env.reset(seed=7)
    inner = make_env("reach")
    observation = inner.reset(info["episode_seed"])
    assert sorted(first) == ["state", "third", "wrist"]
    assert np.array_equal(first["third"], observation.images["third"])
    assert env.render().shape == (64, 64, 3)
    rng, ended = np.random.default_rng(0), False
    for _ in range(inner.horizon):
        action = rng.uniform(-1.0, 1.0, 4).astype(np.float32)
        values, reward, terminated, truncated, info = env.step(action)
        transition = inner.step(action)
        assert np.array_equal(values["state"], transition.next_observation.state)
        assert reward == transition.reward
        assert (terminated or truncated) == transition.last
        assert np.array_equal(info["executed"], transition.action)
        ended = truncated and not terminated
    assert ended, "out of time is truncation"
    again, _ = env.reset(seed=7)
    assert all(np.array_equal(first[key], again[key]) for key in first)
    other, _ = env.reset()
    assert not np.array_equal(first["third"], other["third"])
    inner.close()
    env.close()
    env.close()


def test_gymnasium_refuses_a_render_mode_it_does_not_have() -> None:
    with pytest.raises(ValueError, match="render_mode must be 'rgb_array' or None, got 'human'"):
        handful_twin.HandfulEnv("reach", render_mode="human")
