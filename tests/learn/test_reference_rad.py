"""The RAD peer is what it says: CURL's peer without the contrast, with RAD's crops and passes."""

import copy
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

_FOLDER = str(Path(__file__).parents[2] / "benchmarks")


@pytest.fixture
def peers() -> Iterator[tuple]:
    sys.path.insert(0, _FOLDER)
    try:
        import reference_curl
        import reference_rad

        yield reference_curl, reference_rad
    finally:
        sys.path.remove(_FOLDER)


def batch(rng: np.random.Generator) -> dict[str, torch.Tensor]:
    def pictures() -> torch.Tensor:
        return torch.from_numpy(rng.integers(0, 256, (2, 9, 84, 84), np.uint8)).float()

    def column() -> torch.Tensor:
        return torch.from_numpy(rng.uniform(-1, 1, (2, 1)).astype(np.float32))

    return {
        "obs": pictures(),
        "next_obs": pictures(),
        "positive": pictures(),
        "action": column(),
        "reward": column(),
        "mask": torch.ones(2, 1),
    }


def test_it_is_the_other_peer_without_the_contrast(peers, monkeypatch):
    curl, rad = peers
    monkeypatch.setattr(curl, "_initialise", lambda module: None)  # slow, and not in question
    torch.manual_seed(3)
    ours = rad.ReferenceRad(1)
    theirs = copy.deepcopy(ours)
    for module in (theirs.actor, theirs.critic, theirs.critic_target):
        module.encoder.__class__ = curl.Encoder
    seen = batch(np.random.default_rng(0))
    shares = {k: v / 255.0 if "obs" in k else v for k, v in seen.items()}
    noises = (torch.full((2, 1), 0.3), torch.full((2, 1), -0.2))
    passes: list[str] = []
    forward = curl.Encoder.forward
    monkeypatch.setattr(
        curl.Encoder, "forward", lambda *given: passes.append("") or forward(*given)
    )
    bilinear = ours.W.detach().clone()
    for step, expected in ((1, 3), (2, 5)):
        passes.clear()
        losses = ours.update(shares, step, noises)
        assert len(passes) == expected
        assert set(losses) == ({"critic"} if step == 1 else {"critic", "actor", "alpha"})
        theirs_critic = theirs.step_critic(seen, noises[0])
        assert losses["critic"].item() == pytest.approx(theirs_critic.item(), rel=1e-4)
        if step == 2:
            after = theirs.step_actor_and_targets(seen, noises[1])
            assert losses["actor"].item() == pytest.approx(after["actor"].item(), rel=1e-3)
    assert torch.equal(ours.W, bilinear)


def test_crops_reach_both_ends_and_are_cut_where_they_say(peers):
    _, rad = peers
    rows, columns = np.meshgrid(np.arange(100), np.arange(100), indexing="ij")
    pictures = np.stack([rows, columns]).astype(np.uint8)[None].repeat(2000, 0)
    cut = rad.crop_one_by_one(pictures, np.random.default_rng(0))
    assert cut.shape == (2000, 2, 84, 84)
    corners = cut[:, :, 0, 0]
    assert set(corners[:, 0]) == set(corners[:, 1]) == set(range(17))
    assert np.array_equal(cut[7, 0, :, 0], corners[7, 0] + np.arange(84))
