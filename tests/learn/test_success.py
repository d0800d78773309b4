"""A success classifier: its eye, its heads, its file, and the alarm when pictures drift."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from handful.config import load
from handful.learn import checkpoint, success
from handful.learn.agent import Agent
from handful.learn.checkpoint import CheckpointError
from handful.learn.settings import AgentSettings
from handful.learn.success import Bank, SuccessClassifier
from handful.learn.success_drift import DriftAlarm, Usual
from handful.learn.success_eye import Eye, colours
from handful.learn.success_fit import NothingToLearn, encode, fit
from handful.learn.success_settings import SuccessSettings
from tests.success_kit import SPEC, frames, observation, profile

SETTINGS = SuccessSettings(heads=2, hidden_dim=16, updates=60, batch_size=16, views=2)
KINDS = ["won"] * 6 + ["lost"] * 6


@pytest.fixture(scope="module")
def eye(tmp_path_factory: Any) -> Eye:
    settings = load(AgentSettings, profile(tmp_path_factory.mktemp("eye")))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Eye.of(Agent(SPEC, settings, torch.device("cpu"), 0), SPEC)


def bank(eye: Eye, kinds: list[str] = KINDS, first_seed: int = 0) -> Bank:
    pictures = np.concatenate([frames(kind, first_seed + k) for k, kind in enumerate(kinds)])
    latents, colour = encode(eye, {"third": pictures}, 2, np.random.default_rng(0))
    said = [[0] * 10 + [-1] * 2 + [1] * 4 if kind == "won" else [0] * 16 for kind in kinds]
    episodes = np.repeat(np.arange(len(kinds), dtype=np.int32), 16)
    return Bank(
        latents, colour, np.concatenate(said).astype(np.int8), episodes,
        np.isin(episodes, (0, 1, len(kinds) - 1)), np.ones(len(episodes), np.float32),
        [str(k) for k in range(len(kinds))], [kind == "won" for kind in kinds],
    )  # fmt: skip


@pytest.fixture(scope="module")
def classifier(eye: Eye) -> SuccessClassifier:
    return fit(SETTINGS, eye, bank(eye), 0)


def test_the_manual_is_the_defaults() -> None:
    assert load(SuccessSettings, "success") == SuccessSettings()


class TestEye:
    def test_it_is_a_copy_that_does_not_learn(self, eye: Eye) -> None:
        assert not any(p.requires_grad for p in eye.parameters())
        assert len(eye.digest()) == 64

    def test_the_acting_window_is_the_agents(self, eye: Eye) -> None:
        settings = eye.settings
        agent = Agent(SPEC, settings, torch.device("cpu"), 1)
        mine = Eye.of(agent, SPEC)
        pictures = np.stack(frames("won", 3))
        theirs = agent.critic.latent.visual(
            agent.encoder({"third": torch.from_numpy(pictures).permute(0, 3, 1, 2)})
        )
        assert torch.allclose(mine.see({"third": pictures}), theirs, atol=1e-5)

    def test_a_shift_repeats_the_edge(self, eye: Eye) -> None:
        pictures = np.stack(frames("won", 3))[:1]
        window = eye._window(pictures, np.array([[-1, 1]]))[0].permute(1, 2, 0).numpy()
        padded = np.pad(pictures[0], ((1, 1), (1, 1), (0, 0)), mode="edge")
        assert np.array_equal(window, padded[0:16, 2:18])

    def test_colours_by_hand(self) -> None:
        picture = np.zeros((1, 8, 8, 3), np.uint8)
        picture[0, :2, 2:4, 1] = 100
        found = colours({"third": picture}).reshape(4, 4, 3)
        assert found[0, 1].tolist() == [0.0, 100.0, 0.0] and found.sum() == 100.0


class TestHeads:
    def test_they_tell_held_out_frames_apart(self, classifier: SuccessClassifier) -> None:
        held = classifier.bank.where(classifier.bank.held_out)
        scores = classifier.scores(held.latents[:, 0])
        assert scores[held.labels == 1].min() > scores[held.labels == 0].max()

    def test_the_least_convinced_one_speaks(self, classifier: SuccessClassifier) -> None:
        x = classifier.bank.latents[:, 0].astype(np.float32)
        normal = torch.from_numpy((x - classifier.mean) / classifier.scale)
        with torch.no_grad():
            each = np.stack([torch.sigmoid(head(normal)).numpy() for head in classifier.heads])
        assert np.allclose(classifier.scores(x), each.min(axis=0), atol=1e-6)

    def test_looking_is_scoring(self, classifier: SuccessClassifier) -> None:
        won = frames("won", 50)
        assert classifier.look(observation(won[-1], 15))[0] > 0.5
        assert classifier.look(observation(won[2], 2))[0] < 0.5

    def test_a_seed_is_a_classifier(self, eye: Eye, classifier: SuccessClassifier) -> None:
        again = fit(SETTINGS, eye, bank(eye), 0)
        x = classifier.bank.latents[:, 0]
        assert np.array_equal(classifier.scores(x), again.scores(x))
        assert not np.array_equal(classifier.scores(x), fit(SETTINGS, eye, bank(eye), 1).scores(x))

    @pytest.mark.parametrize(
        ("label", "said"), [(0, "shows success; record successful"), (1, "anything but success")]
    )
    def test_one_kind_alone_teaches_nothing(self, eye: Eye, label: int, said: str) -> None:
        one = bank(eye)
        one.labels[:] = label
        with pytest.raises(NothingToLearn, match=said):
            fit(SETTINGS, eye, one, 0)

    def test_what_was_mined_is_learned(self, eye: Eye) -> None:
        one = SETTINGS.model_copy(update={"updates": 200, "heads": 1})
        fooled = bank(eye, ["fooled"] * 4, 100)
        fooled.held_out[:] = False
        before = fit(one, eye, bank(eye), 0).scores(fooled.latents[:, 0])
        hard = fooled.where(before > 0.5)
        assert len(hard), "the heads must be fooled for this to say anything"
        hard.weights = np.full(len(hard), 5.0, np.float32)
        after = fit(one, eye, bank(eye).joined(hard), 0).scores(hard.latents[:, 0])
        assert after.mean() < before[before > 0.5].mean() - 0.2


class TestFile:
    def test_there_and_back(self, classifier: SuccessClassifier, tmp_path: Path) -> None:
        path = tmp_path / "success.safetensors"
        classifier.threshold, classifier.about = 0.7, {"tasks": ["lamp"]}
        classifier.save(path)
        back = success.load(path)
        seen = observation(frames("won", 7)[-1], 0)
        assert back.look(seen) == pytest.approx(classifier.look(seen), abs=1e-6)
        assert (back.threshold, back.about, back.settings) == (0.7, {"tasks": ["lamp"]}, SETTINGS)
        assert back.bank.names == classifier.bank.names and len(back.bank) == len(classifier.bank)
        assert back.usual.limit == pytest.approx(classifier.usual.limit)

    def test_another_eye_is_refused(self, classifier: SuccessClassifier, tmp_path: Path) -> None:
        path = tmp_path / "success.safetensors"
        classifier.save(path)
        tensors, meta = checkpoint.load(path)
        name = next(n for n in tensors if n.startswith("eye/encoder"))
        checkpoint.save(path, {**tensors, name: tensors[name] + 0.01}, meta)
        with pytest.raises(CheckpointError, match="encoder is not the one its heads"):
            success.load(path)

    def test_what_is_no_classifier_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "other.safetensors"
        checkpoint.save(path, {"a": torch.zeros(1)}, {"settings": {}})
        with pytest.raises(CheckpointError, match="holds no success classifier"):
            success.load(path)


class TestDrift:
    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            (lambda seen: seen, False),
            (lambda seen: (seen * 0.5).astype(np.uint8), True),  # a lamp went out
            (lambda seen: np.roll(seen, 5, axis=0), True),  # the camera was bumped
        ],
        ids=["as it was", "dark", "shifted"],
    )
    def test_pictures_of_another_cell_are_noticed(
        self, classifier: SuccessClassifier, change: Any, expected: bool
    ) -> None:
        alarm = DriftAlarm(classifier.usual.limit, 16, classifier.settings.drift_share)
        rung = False
        for k, seen in enumerate(frames("won", 60)):
            rung |= alarm.add(classifier.look(observation(change(seen), k))[1])
        assert rung is expected

    def test_one_odd_picture_is_not_drift(self) -> None:
        alarm = DriftAlarm(1.0, 4, 0.5)
        assert [alarm.add(d) for d in (9.0, 0.5, 0.5, 0.5)] == [False] * 4
        assert [alarm.add(d) for d in (9.0, float("nan"), 9.0)] == [False, False, True]
        assert not alarm.add(0.1) or not alarm.add(0.1)

    def test_the_usual_is_about_one(self) -> None:
        rng = np.random.default_rng(0)
        seen = (rng.normal(size=(4000, 5)) * [1, 2, 3, 4, 5] + 7).astype(np.float32)
        usual = Usual.of(seen)
        assert usual.distance(seen).mean() == pytest.approx(1.0, abs=0.1)
        assert usual.distance(seen[:1] + 100)[0] > 10
        assert usual.calibrated(seen, 0.5, 2.0).limit == pytest.approx(2.0, abs=0.2)
