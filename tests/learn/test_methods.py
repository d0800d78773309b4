"""Methods as settings: what each profile is, what cannot work, and an agent without pictures."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handful.config import ConfigError, load, profiles
from handful.contract import Observation, Spec, Transition
from handful.learn.handout import Receiver, hand_out
from handful.learn.learner import Learner
from handful.learn.settings import AgentSettings

QUICK = {"batch_size": 16, "replay.capacity": 500, "start_steps": 10, "critic.hidden_dim": 16}


def settings(profile: str, **changes: Any) -> AgentSettings:
    overrides = {key.replace("__", "."): value for key, value in changes.items()}
    return load(AgentSettings, f"agent/{profile}", overrides)


def differences(one: Any, other: Any, prefix: str = "") -> set[str]:
    """Dotted keys whose values differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = one.keys() | other.keys()
        return set().union(*(differences(one.get(k), other.get(k), f"{prefix}{k}.") for k in keys))
    return set() if one == other else {prefix.rstrip(".")}


@pytest.mark.parametrize(
    ("profile", "base", "keys"),
    [
        ("rad", "curl", {"contrast.weight"}),
        ("sac", "curl", {"contrast.weight", "augment.kind", "augment.pad_px"}),
        (
            "rad_translate",
            "rad",
            {"augment.kind", "augment.pad_px", "augment.shared_window"}
            | {"encoder.input_px", "encoder.latent_dim"},
        ),
        (
            "drq",
            "rad",
            {"augment.kind", "augment.pad_px", "augment.target_views", "augment.loss_views"}
            | {"encoder.tanh", "encoder.delta_orthogonal", "encoder.orthogonal"}
            | {"critic.encoder_tau", "temperature.lr", "temperature.beta1"},
        ),
        ("state_ras", "state", {"state_augment.kind"}),
        ("state_gaussian", "state", {"state_augment.kind"}),
    ],
)
def test_a_method_differs_from_its_neighbour_in_its_method_alone(
    profile: str, base: str, keys: set[str]
) -> None:
    one, other = (settings(name).model_dump() for name in (profile, base))
    assert differences(one, other) == keys


def test_every_shipped_profile_can_be_built() -> None:
    for name in profiles("agent"):
        of = load(AgentSettings, name)
        assert of.from_state == name.startswith("agent/state")
        assert of.image_px == 0 if of.from_state else of.image_px >= 64


@pytest.mark.parametrize(
    ("profile", "changes", "message"),
    [
        (
            "curl",
            {"batch_size": 512, "replay__capacity": 500},
            "batch_size 512 is more than replay",
        ),
        ("drq", {"augment__target_views": 0}, r"target_views: must be greater than or equal to 1"),
        ("drq", {"augment__loss_views": -1}, r"loss_views: must be greater than or equal to 1"),
        ("drq", {"augment__kind": "none"}, "views that are all the same picture"),
        ("drq", {"augment__shared_window": True}, "target_views and loss_views must be 1"),
        ("rad_translate", {"augment__pad_px": 54}, "leaves no picture inside a canvas"),
        ("rad", {"augment__effects": ["blur"]}, "must be 'window', 'grayscale', 'cutout'"),
        (
            "rad",
            {"augment__effects": ["cutout"], "augment__cutout_px": [90, 99]},
            "begin beyond the 84 px",
        ),
        ("rad", {"augment__cutout_px": [9, 3]}, "1 <= least <= most"),
        (
            "curl",
            {"augment__official_crop_range": True, "augment__pad_px": 0},
            "leaves no offset",
        ),
        ("rad", {"encoder__trained_by": "contrast"}, "needs contrast.weight above 0"),
        ("curl", {"contrast__double_step": True}, "needs contrast.sequential: true"),
        ("curl", {"contrast__own_step": True, "contrast__sequential": True}, "step of its own"),
        ("drq", {"encoder__delta_orthogonal": True}, "two ways to start one weight"),
        ("curl", {"state_augment__kind": "amplitude"}, "needs proprioception: true"),
        ("curl", {"cameras": []}, "contrast.weight, augment.kind needs pictures; see config/agent"),
        ("state", {"proprioception": False}, "leaves nothing to learn from"),
        ("state", {"augment__effects": ["flip"]}, "augment.effects needs pictures"),
        ("state_ras", {"state_augment__low": 2.0}, r"low 2.0 is above high 1.5"),
    ],
)
def test_what_cannot_work_together_is_refused_by_the_settings(
    profile: str, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        settings(profile, **changes)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("profile", "spec", "message"),
    [
        ("curl", Spec(("eye",), 100, 100, 3, 0, 0), "discrete actions need another agent"),
        (
            "rad",
            Spec((), 0, 0, 1, 4, 2),
            r"learns from pixels, .* take a profile with cameras: \[\]",
        ),
        (
            "rad",
            Spec(("eye",), 84, 84, 3, 0, 2),
            r"wants 100x100 px .* crop cuts 84 px out of them\), the environment gives 84x84",
        ),
        (
            "rad_translate",
            Spec(("eye",), 108, 108, 3, 0, 2),
            r"wants 100x100 px .* translate moves them about a canvas of 108 px",
        ),
        ("drq", Spec(("eye",), 100, 100, 3, 0, 2), r"wants 84x84 px pictures in stacks of 3, the"),
        ("state", Spec(("eye",), 84, 84, 1, 4, 2), r"from the state alone .* pictures of eye"),
        ("state", Spec((), 0, 0, 1, 0, 2), "delivers no state"),
    ],
)
def test_what_does_not_fit_the_environment_is_refused_at_the_start(
    profile: str, spec: Spec, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Learner(settings(profile), spec, seed=0, device="cpu")


def test_amplitudes_need_a_state_to_scale() -> None:
    of = settings("lean", state_augment__kind="amplitude")
    spec = Spec(("eye",), of.image_px, of.image_px, 1, 0, 2)
    with pytest.raises(ValueError, match="delivers no state"):
        Learner(of, spec, seed=0, device="cpu")


# Without pictures.

STATE = Spec((), 0, 0, 1, 3, 2)


def live(learner: Learner, steps: int, seed: int = 0) -> None:
    """Episodes of five steps in a world of random numbers."""
    rng = np.random.default_rng(seed)

    def look() -> Observation:
        return Observation({}, rng.normal(size=3).astype(np.float32), 0.0)

    seen = look()
    learner.begin(seen)
    for step in range(1, steps + 1):
        over = step % 5 == 0
        action = learner.act(seen, explore=True)
        seen = look()
        learner.add(Transition(action, float(action[0]), 1.0, seen, over))
        learner.update()
        if over:
            learner.begin(seen)


@pytest.mark.parametrize("profile", ["state", "state_ras", "state_gaussian"])
def test_an_agent_without_cameras_learns_is_saved_and_goes_on(profile: str, tmp_path: Path) -> None:
    of = settings(profile, **{key.replace(".", "__"): value for key, value in QUICK.items()})
    learner = Learner(of, STATE, seed=3, device="cpu")
    live(learner, 30)
    assert learner.updates == 20
    assert learner.embed(Observation({}, np.zeros(3, np.float32), 0.0)).shape == (0,)
    learner.save(tmp_path / "c.safetensors", {})
    again = Learner.load(tmp_path / "c.safetensors", device="cpu", spec=STATE)
    again.replay, again.env_steps = learner.replay, learner.env_steps
    for one in (learner, again):
        before = one.rng.bit_generator.state, one.agent.generator.get_state()
        metrics = one.agent.update(one.sample(), one.env_steps)
        assert {"q_loss", "actor_loss"} <= set(metrics) and "contrast_loss" not in metrics
        assert before[0] != one.rng.bit_generator.state
    seen = Observation({}, np.ones(3, np.float32), 0.0)
    assert np.array_equal(learner.act(seen, True), again.act(seen, True))


def test_a_handed_out_policy_without_cameras_acts_traced(tmp_path: Path) -> None:
    learner = Learner(settings("state"), STATE, seed=3, device="cpu")
    hand_out(learner, tmp_path / "policy.safetensors", {})
    receiver = Receiver(tmp_path / "policy.safetensors", STATE)
    seen = Observation({}, np.ones(3, np.float32), 0.0)
    assert receiver.act(seen, False, 0) == pytest.approx(learner.act(seen, False), abs=1e-6)
    assert "jit" in type(receiver.current.acting._traces["mean"]).__module__


def test_a_stored_state_takes_no_picture() -> None:
    learner = Learner(settings("state"), STATE, seed=3, device="cpu")
    assert learner.replay.store.frames.nbytes == 0
    assert learner.bytes_needed() < 1_250_000 * 60
