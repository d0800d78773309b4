"""RAD's augmentations against slow NumPy, one frame at a time; what is drawn, and for whom."""

import colorsys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from handful.config import load
from handful.contract import Observation, Spec, Transition
from handful.learn.amplitude import augment_state
from handful.learn.effects import Drawn, Effects
from handful.learn.learner import Learner
from handful.learn.settings import AgentSettings, AugmentSettings, StateAugmentSettings

SIDE, COUNT, STACK = 24, 40, 3
BYTES = ["window", "grayscale", "cutout", "cutout_colour", "flip", "rotate"]
ALL = [*BYTES, "convolution", "jitter"]


def effects(*names: str, **changes: object) -> Effects:
    values = {"kind": "none", "effects": names, "cutout_px": (3, 8)} | changes
    return Effects(AugmentSettings.model_validate(values), SIDE)


def pictures(count: int = COUNT, stack: int = STACK, seed: int = 0) -> Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.integers(0, 256, (count, 3 * stack, SIDE, SIDE), dtype=np.uint8))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# One frame (S, S, 3) in float64, sample i of what was drawn.


def window(frame: np.ndarray, drawn: Drawn, i: int) -> np.ndarray:
    top, left, side = (int(drawn[name][i]) for name in ("top", "left", "side"))
    out = np.zeros_like(frame)
    out[top : top + side, left : left + side] = frame[top : top + side, left : left + side]
    return out


def grayscale(frame: np.ndarray, drawn: Drawn, i: int) -> np.ndarray:
    if not drawn["on"][i]:
        return frame
    luma = 0.2989 * frame[..., 0] + 0.587 * frame[..., 1] + 0.114 * frame[..., 2]
    return np.repeat(np.floor(luma)[..., None], 3, 2)


def cutout(frame: np.ndarray, drawn: Drawn, i: int) -> np.ndarray:
    height, width = int(drawn["height"][i]), int(drawn["width"][i])
    out = frame.copy()
    out[height : 2 * height, width : 2 * width] = drawn["colour"][i].numpy()
    return out


def flip(frame: np.ndarray, drawn: Drawn, i: int) -> np.ndarray:
    return frame[:, ::-1] if drawn["on"][i] else frame


def rotate(frame: np.ndarray, drawn: Drawn, i: int) -> np.ndarray:
    return np.rot90(frame, int(drawn["turns"][i]))


def convolution(frame: np.ndarray, drawn: Drawn, i: int) -> np.ndarray:
    weight, padded = drawn["weight"][i].numpy(), np.pad(frame, ((1, 1), (1, 1), (0, 0)))
    out = np.zeros_like(frame)
    for dy in range(3):
        for dx in range(3):
            out += padded[dy : dy + SIDE, dx : dx + SIDE] @ weight[:, :, dy, dx].T
    return out


def jitter(frame: np.ndarray, drawn: Drawn, i: int) -> np.ndarray:
    def contrast(x: np.ndarray) -> np.ndarray:
        mean = x.mean((0, 1))
        return ((x - mean) * float(drawn["contrast"][i]) + mean).clip(0, 1)

    x = frame / 255.0
    if drawn["contrast_first"][0]:
        x = contrast(x)
    out = np.empty_like(x)
    for row in range(SIDE):
        for column in range(SIDE):
            h, s, v = colorsys.rgb_to_hsv(*x[row, column])
            v = min(v * float(drawn["brightness"][i]), 1.0)
            h = (h + float(drawn["hue"][i])) % 1.0
            s = min(s * float(drawn["saturation"][i]), 1.0)
            out[row, column] = colorsys.hsv_to_rgb(h, s, v)
    return 255.0 * (out if drawn["contrast_first"][0] else contrast(out))


SLOW = {
    "window": window,
    "grayscale": grayscale,
    "cutout": cutout,
    "cutout_colour": cutout,
    "flip": flip,
    "rotate": rotate,
    "convolution": convolution,
    "jitter": jitter,
}


@pytest.mark.parametrize("seed", [0, 3])  # both sides of jitter's coin
@pytest.mark.parametrize("name", ALL)
def test_an_effect_is_the_one_of_a_slow_loop_over_single_frames(name: str, seed: int) -> None:
    of = effects(name)
    count = 4 if name == "jitter" else COUNT
    seen = pictures(count)
    drawn = of.draw(count, generator(seed))
    changed = of.apply(seen, drawn)
    assert changed.shape == seen.shape
    assert changed.dtype == (torch.uint8 if name in BYTES else torch.float32)
    for i in range(count):
        for k in range(STACK):
            frame = seen[i, 3 * k : 3 * k + 3].permute(1, 2, 0).numpy().astype(np.float64)
            ours = changed[i, 3 * k : 3 * k + 3].permute(1, 2, 0).numpy()
            slow = SLOW[name](frame, drawn[0], i)
            # Grey is cut to whole numbers: the last bit of a float may tip it by one.
            atol = {"grayscale": 1.0, "convolution": 1e-3, "jitter": 2e-2}.get(name, 0.0)
            np.testing.assert_allclose(ours, slow, rtol=0, atol=atol)


def test_jitters_seeds_above_cover_both_orders() -> None:
    coins = {bool(effects("jitter").draw(4, generator(s))[0]["contrast_first"]) for s in (0, 3)}
    assert coins == {True, False}


@pytest.mark.parametrize("name", ALL)
def test_every_frame_of_a_stack_is_changed_alike_and_every_sample_by_itself(name: str) -> None:
    frame = pictures(1, 1)
    of = effects(name)
    stacked = frame.expand(COUNT, 3, SIDE, SIDE).repeat(1, STACK, 1, 1)
    changed = of.apply(stacked, of.draw(COUNT, generator(3)))
    for k in range(1, STACK):
        assert torch.equal(changed[:, :3], changed[:, 3 * k : 3 * k + 3])
    assert len(changed[:, :3].float().flatten(1).unique(dim=0)) > 1
    assert torch.equal(stacked, frame.expand(COUNT, 3, SIDE, SIDE).repeat(1, STACK, 1, 1))


def test_what_is_drawn_has_the_published_ranges_and_probabilities() -> None:
    published = Effects(AugmentSettings(kind="none", effects=tuple(ALL)), 84)
    count = 8000
    by = dict(zip(ALL, published.draw(count, generator()), strict=True))
    assert float(by["grayscale"]["on"].float().mean()) == pytest.approx(0.3, abs=0.02)
    assert float(by["flip"]["on"].float().mean()) == pytest.approx(0.2, abs=0.02)
    turns = torch.bincount(by["rotate"]["turns"]) / count
    assert turns.tolist() == pytest.approx([0.7, 0.1, 0.1, 0.1], abs=0.02)
    for name in ("height", "width"):
        for cut in ("cutout", "cutout_colour"):
            assert set(by[cut][name].tolist()) == set(range(10, 30))
    assert not by["cutout"]["colour"].any()
    assert (by["cutout_colour"]["colour"].min(), by["cutout_colour"]["colour"].max()) == (0, 254)
    weight = by["convolution"]["weight"]
    assert float(weight.std()) == pytest.approx(np.sqrt(2.0 / 54.0), rel=0.01)
    for name in ("brightness", "contrast", "saturation"):
        factor = by["jitter"][name]
        assert float(factor.min()) == pytest.approx(0.6, abs=0.01)
        assert float(factor.max()) == pytest.approx(1.4, abs=0.01)
    hue = by["jitter"]["hue"]
    assert float(hue.abs().max()) == pytest.approx(0.5 * 255 / 360, abs=0.005)
    assert by["jitter"]["contrast_first"].shape == (1,)
    assert set(by["window"]["side"].tolist()) == {71}
    assert set(by["window"]["top"].tolist()) == set(range(84 - 71 + 1))


def test_effects_are_applied_in_the_order_of_the_list() -> None:
    seen, one = pictures(), {"flip_probability": 1.0}
    there = effects("flip", "cutout", **one)
    back = effects("cutout", "flip", **one)
    changed = there.apply(seen, there.draw(COUNT, generator()))
    assert not torch.equal(changed, back.apply(seen, back.draw(COUNT, generator())))
    first, second = there.draw(COUNT, generator())
    by_hand = effects("cutout").apply(effects("flip", **one).apply(seen, [first]), [second])
    assert torch.equal(changed, by_hand)


# In the learner.

SMALL = {
    "encoder.input_px": SIDE,
    "encoder.filters": 4,
    "encoder.strides": [2, 2],
    "encoder.latent_dim": 8,
    "critic.hidden_dim": 8,
    "actor.hidden_dim": 8,
    "augment.pad_px": 2,
    "augment.cutout_px": [3, 8],
    "batch_size": 32,
    "replay.capacity": 200,
    "start_steps": 0,
}


def learner_of(*names: str, profile: str = "rad", **changes: object) -> Learner:
    overrides = SMALL | {"augment.effects": list(names)}
    overrides |= {key.replace("__", "."): value for key, value in changes.items()}
    of = load(AgentSettings, f"agent/{profile}", overrides)
    spec = Spec(("eye", "wrist"), of.image_px, of.image_px, of.frame_stack, 3, 1)
    return Learner(of, spec, seed=0, device="cpu")


def live(learner: Learner, steps: int = 6) -> None:
    """The same picture from first to last, so that any difference is the augmentation's."""
    s = learner.spec
    rng = np.random.default_rng(7)
    frame = rng.integers(0, 256, (s.height_px, s.width_px, 3), np.uint8)
    picture = np.tile(frame, (1, 1, s.frame_stack))
    seen = Observation(dict.fromkeys(s.cameras, picture), np.ones(3, np.float32), 0.0)
    learner.begin(seen)
    for step in range(steps):
        learner.add(Transition(np.zeros(1, np.float32), 0.0, 1.0, seen, step == steps - 1))


@pytest.mark.parametrize("name", ALL)
def test_successor_draws_its_own_and_cameras_do_not(name: str) -> None:
    learner = learner_of(name, augment__kind="none")
    live(learner)
    batch = learner.sample()
    assert not torch.equal(batch.obs["eye"], batch.next_obs["eye"])
    assert torch.equal(batch.obs["eye"], batch.obs["wrist"])


def test_acting_sees_no_effect() -> None:
    plain, changed = learner_of(), learner_of(*ALL)
    live(plain)
    seen = Observation(
        {name: np.full((28, 28, 9), 90, np.uint8) for name in plain.spec.cameras},
        np.ones(3, np.float32),
        0.0,
    )
    assert np.array_equal(plain.act(seen, False), changed.act(seen, False))


@pytest.mark.parametrize(
    ("profile", "names"), [("rad", ALL), ("curl", ["jitter", "convolution"]), ("drq", ["cutout"])]
)
def test_a_resume_draws_the_same_effects(profile: str, names: list[str], tmp_path: Path) -> None:
    first = learner_of(*names, profile=profile)
    live(first)
    first.update()
    assert first.updates > 0
    first.save(tmp_path / "c.safetensors", {})
    again = Learner.load(tmp_path / "c.safetensors", device="cpu")
    for learner in (again, first):
        if learner is again:
            live(learner)
        batch = learner.sample()
        learner.agent.update(batch, learner.env_steps)
    pairs = zip(first.agent.parameters(), again.agent.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_a_frozen_eye_keeps_changed_views_beside_the_plain_one() -> None:
    still = {"augment__kind": "none", "pretrain__updates": 1, "clone__updates": 1}
    learner = learner_of("jitter", profile="frozen", **still)
    live(learner)
    learner.sample()
    assert learner.cache is not None
    views = learner.cache.store["eye"][learner.replay.online._first].astype(np.float32)
    picture = torch.from_numpy(learner.replay.store.frames[learner.replay.online._first, 0].copy())
    with torch.no_grad():
        plain = learner.agent.encoder.towers["eye"](picture.permute(2, 0, 1)[None])[0].numpy()
    assert np.allclose(views[0], plain, atol=2e-3)
    assert all(np.abs(view - views[0]).max() > 1e-3 for view in views[1:])


# States.


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("per_dimension", [True, False])
def test_amplitude_scales_by_one_number_a_sample_or_a_dimension(
    shared: bool, per_dimension: bool
) -> None:
    of = StateAugmentSettings(kind="amplitude", shared=shared, per_dimension=per_dimension)
    state, after = torch.full((4000, 3), 2.0), torch.full((4000, 3), -4.0)
    scaled, scaled_after = augment_state(of, state, after, generator())
    z, z_after = scaled / 2.0, scaled_after / -4.0
    assert float(z.min()) == pytest.approx(0.5, abs=0.01)
    assert float(z.max()) == pytest.approx(1.5, abs=0.01)
    assert torch.allclose(z, z_after) == shared
    assert torch.equal(z[:, 0], z[:, 1]) != per_dimension


def test_the_noise_to_compare_with_disturbs_half_of_the_numbers() -> None:
    state = torch.zeros(4000, 3)
    noisy, after = augment_state(StateAugmentSettings(kind="gaussian"), state, state, generator())
    hit = noisy != 0.0
    assert float(hit.float().mean()) == pytest.approx(0.5, abs=0.02)
    assert float(noisy[hit].std()) == pytest.approx(1.0, abs=0.03)
    assert not torch.equal(noisy, after)


def test_a_state_is_changed_in_batches_and_not_in_acting() -> None:
    learner = learner_of(profile="lean", state_augment__kind="amplitude")
    live(learner)
    batch = learner.sample()
    assert len(batch.state.unique()) > 10
    assert torch.equal(batch.state, batch.next_state)
    assert (learner.replay.store.state[learner.replay.online._first] == 1.0).all()
