"""Which window of a picture a method sees: ranges, what is shared, what is drawn anew."""

from collections import Counter

import numpy as np
import pytest
import torch

from handful.config import load
from handful.contract import Observation, Spec, Transition
from handful.learn.acting import Acting
from handful.learn.augment import Views
from handful.learn.learner import Learner
from handful.learn.settings import AgentSettings

SMALL = {
    "encoder.input_px": 20,
    "encoder.filters": 4,
    "encoder.strides": [2, 1],
    "encoder.latent_dim": 8,
    "critic.hidden_dim": 8,
    "actor.hidden_dim": 8,
    "augment.pad_px": 3,
    "batch_size": 64,
    "replay.capacity": 200,
    "start_steps": 0,
}


def settings(profile: str, **changes: object) -> AgentSettings:
    overrides = SMALL | {key.replace("__", "."): value for key, value in changes.items()}
    return load(AgentSettings, f"agent/{profile}", overrides)


def learner_of(of: AgentSettings, cameras: tuple[str, ...] = ("eye",)) -> Learner:
    """One transition of coordinates: each pixel's first colour is its row, its second its column.

    The third is 0 before and 1 after, plus ten times the frame's place in the stack.
    """
    side, stack = of.image_px, of.frame_stack
    learner = Learner(of, Spec(cameras, side, side, stack, 0, 1), seed=0, device="cpu")

    def look(after: int) -> Observation:
        frames = []
        for k in range(stack):
            frame = np.zeros((side, side, 3), np.uint8)
            frame[..., 0], frame[..., 1] = np.mgrid[1 : side + 1, 1 : side + 1]
            frame[..., 2] = after + 10 * k
            frames.append(frame)
        picture = np.concatenate(frames, 2)
        return Observation(dict.fromkeys(cameras, picture), np.zeros(0, np.float32), 0.0)

    learner.begin(look(0))
    learner.add(Transition(np.zeros(1, np.float32), 0.0, 1.0, look(1), last=True))
    return learner


def corners(pictures: torch.Tensor, channel: int = 0) -> np.ndarray:
    """Where in the stored picture the middle of each window (B, 3K, S, S) lies, (B, 2)."""
    middle = pictures[:, channel : channel + 2, 10, 10].int().numpy()
    return middle - 11  # coordinates count from one, black is nowhere


@pytest.mark.parametrize(
    ("profile", "changes", "low", "high"),
    [
        ("curl", {}, 0, 16),
        ("curl", {"augment.official_crop_range": True}, 0, 15),
        ("rad", {}, 0, 16),
        ("drq", {}, -4, 4),
        ("rad_translate", {}, -8, 0),
        ("sac", {}, 0, 0),
    ],
)
def test_offsets_are_uniform_over_the_published_range(profile, changes, low, high) -> None:
    views = Views(load(AgentSettings, f"agent/{profile}", changes))
    drawn = views.draw(np.random.default_rng(0), 20_000)
    for axis in (0, 1):
        counts = Counter(drawn[:, axis].tolist())
        assert sorted(counts) == list(range(low, high + 1))
        expected = 20_000 / (high - low + 1)
        chi_square = sum((n - expected) ** 2 / expected for n in counts.values())
        assert chi_square < 40.0  # 16 degrees of freedom: once in 1,000 by chance
    if high > low:
        assert abs(np.corrcoef(drawn.T)[0, 1]) < 0.03


@pytest.mark.parametrize(
    ("profile", "rendered", "seen"),
    [("curl", 100, 84), ("rad", 100, 84), ("rad_translate", 100, 108), ("drq", 84, 84)],
)
def test_a_profile_says_what_must_be_rendered(profile: str, rendered: int, seen: int) -> None:
    of = load(AgentSettings, f"agent/{profile}")
    assert (of.image_px, of.encoder.input_px) == (rendered, seen)


@pytest.mark.parametrize("profile", ["curl", "drq", "rad_translate"])
def test_a_stack_shares_its_offset_and_samples_draw_their_own(profile: str) -> None:
    learner = learner_of(settings(profile))
    seen = learner.sample().obs["eye"]
    first = corners(seen)
    for k in range(1, learner.spec.frame_stack):
        assert np.array_equal(corners(seen, 3 * k), first)
    assert len({tuple(at) for at in first}) > 20


def test_cameras_share_their_samples_offset() -> None:
    seen = learner_of(settings("rad"), ("eye", "wrist")).sample().obs
    assert np.array_equal(corners(seen["eye"]), corners(seen["wrist"]))


@pytest.mark.parametrize("shared", [False, True])
def test_successor_and_positive_draw_their_own_unless_the_window_is_shared(shared: bool) -> None:
    learner = learner_of(settings("curl", augment__shared_window=shared))
    batch = learner.sample()
    assert batch.positive is not None
    obs, then = corners(batch.obs["eye"]), corners(batch.next_obs["eye"])
    assert np.array_equal(obs, then) == shared
    positive = corners(batch.positive["eye"])
    assert not np.array_equal(obs, positive) and not np.array_equal(then, positive)
    for a, b in ((obs, positive), (then, positive)):
        assert abs(np.corrcoef(a[:, 0], b[:, 0])[0, 1]) < 0.4
    assert (batch.next_obs["eye"][:, -1] == batch.obs["eye"][:, -1] + 1).all()


def test_drqs_views_are_drawn_one_by_one() -> None:
    batch = learner_of(settings("drq")).sample()
    assert len(batch.obs["eye"]) == len(batch.next_obs["eye"]) == 2 * len(batch.action)
    for pictures in (batch.obs["eye"], batch.next_obs["eye"]):
        one, two = corners(pictures).reshape(2, -1, 2)
        assert not np.array_equal(one, two)


def test_translation_places_the_picture_on_black() -> None:
    """Against NumPy, one sample at a time."""
    learner = learner_of(settings("rad_translate"))
    offsets = np.array([[0, 0], [-6, 0], [0, -6], [-6, -6], [-3, -2]])
    store = learner.replay.store
    slot = learner.replay.sample_indices(1, 0.0, learner.rng)
    frames = np.repeat(store.stack(slot), len(offsets), 0)
    seen = learner.pictures(frames, "obs", offsets)["eye"]
    assert seen.dtype == torch.uint8
    stack = np.concatenate([store.frames[s, 0] for s in frames[0]], 2)
    for window, (dy, dx) in zip(seen.numpy(), offsets, strict=True):
        canvas = np.zeros((20, 20, stack.shape[2]), np.uint8)
        canvas[-dy : 14 - dy, -dx : 14 - dx] = stack
        np.testing.assert_array_equal(window.transpose(1, 2, 0), canvas)


@pytest.mark.parametrize("profile", ["curl", "drq", "rad_translate", "sac"])
def test_acting_looks_at_the_middle(profile: str) -> None:
    """The traced action is the one of a batch of one whose window is the middle one."""
    learner = learner_of(settings(profile))
    rng = np.random.default_rng(1)
    side, stack = learner.settings.image_px, learner.spec.frame_stack
    picture = rng.integers(0, 256, (side, side, 3 * stack), np.uint8)
    window = learner.views.cut(picture)
    assert window.shape == (20, 20, 3 * stack)
    margin = abs(side - 20) // 2
    if profile == "rad_translate":
        assert not window[:margin].any() and not window[:, -margin:].any()
        np.testing.assert_array_equal(window[margin:-margin, margin:-margin], picture)
    else:
        np.testing.assert_array_equal(window, picture[margin : margin + 20, margin : margin + 20])
    acting = Acting(learner.agent, learner.views)
    action = acting.mean(Observation({"eye": picture}, np.zeros(0, np.float32), 0.0))
    with torch.no_grad():
        tensor = torch.from_numpy(np.ascontiguousarray(window)).permute(2, 0, 1)[None]
        features = learner.agent.encoder({"eye": tensor})
        expected = learner.agent.act(features, torch.zeros(1, 0), None)[0].numpy()
    assert action == pytest.approx(expected, abs=1e-6)
    assert "jit" in type(acting._traces["mean"]).__module__
