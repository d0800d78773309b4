"""A PEER, NOT HANDFUL: the published RAD update with random crops, written plainly from its paper.

Laskin, Lee, Stooke, Pinto, Abbeel, Srinivas: "Reinforcement Learning with Augmented Data", NeurIPS
2020 (arXiv:2004.14990), with the constants and the structure of its released implementation:

* replay and networks are CURL's (``reference_curl.py``); there is no contrast, so no positives;
* observation and successor are cropped once each, by a loop over the samples, offsets 0..16;
* pictures become floats in [0, 1] before the encoder, and every pass of the encoder asks whether
  the largest value exceeds 1 before it believes that;
* five encoder passes an update that moves the actor, three in one that does not, one backward pass
  into the encoder; NCHW; targets move parameter by parameter.
"""

from typing import Any

import numpy as np
import torch
from reference_curl import EVERY, SEEN_PX, Encoder, ReferenceCurl, StackedReplay
from torch import Tensor


class RadEncoder(Encoder):
    """CURL's encoder, which finds out by itself whether it is given bytes or shares."""

    def scaled(self, obs: Tensor) -> Tensor:
        return obs / 255.0 if obs.max() > 1.0 else obs


class RadReplay(StackedReplay):
    """CURL's replay with RAD's way of drawing a batch."""

    def sample(self, batch: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """A batch as float tensors in [0, 1]: two independent random crops."""
        index = rng.integers(0, self.filled, batch)
        obs = crop_one_by_one(self.obs[index], rng)
        next_obs = crop_one_by_one(self.next_obs[index], rng)
        return {
            "obs": torch.as_tensor(obs, device=self.device).float() / 255.0,
            "action": torch.as_tensor(self.action[index], device=self.device),
            "reward": torch.as_tensor(self.reward[index], device=self.device),
            "next_obs": torch.as_tensor(next_obs, device=self.device).float() / 255.0,
            "mask": torch.as_tensor(self.mask[index], device=self.device),
        }


def crop_one_by_one(pictures: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(B, C, 100, 100) to (B, C, 84, 84), offsets 0..16 in each axis."""
    batch, channels, side, _ = pictures.shape
    reach = side - SEEN_PX + 1
    left, top = rng.integers(0, reach, batch), rng.integers(0, reach, batch)
    cut = np.empty((batch, channels, SEEN_PX, SEEN_PX), pictures.dtype)
    for i, (picture, x, y) in enumerate(zip(pictures, left, top, strict=True)):
        cut[i] = picture[:, y : y + SEEN_PX, x : x + SEEN_PX]
    return cut


class ReferenceRad(ReferenceCurl):
    """SAC on augmented pictures: CURL's update without its last part."""

    encoder = RadEncoder

    def update(
        self, batch: dict[str, Tensor], step: int, noises: tuple[Tensor, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """One published update; the actor and the targets move on every second ``step``."""
        if noises is None:
            noises = (torch.randn_like(batch["action"]), torch.randn_like(batch["action"]))
        losses: dict[str, Any] = {"critic": self.step_critic(batch, noises[0])}
        if step % EVERY == 0:
            losses |= self.step_actor_and_targets(batch, noises[1])
        return losses
