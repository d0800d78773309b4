"""What a success classifier looks with: a frozen encoder, and how unusual a picture is to it.

The eye is a learner's own convolutions and visual latent, copied; nothing here trains them. What
is coarse about a picture (colours of its sixteenths) stands beside the latent where drift is asked
for, because an encoder may well be blind to a lamp that has gone out.
"""

import hashlib

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from handful.contract import Spec
from handful.learn.agent import Agent
from handful.learn.augment import Views
from handful.learn.encoder import Encoder, Latent
from handful.learn.settings import AgentSettings

Pictures = dict[str, NDArray[np.uint8]]
_BLOCKS = 4
_CHUNK = 256


class Eye(nn.Module):
    """Pictures (N, H, W, 3K) uint8 a camera to visual latents (N, Z) float32.

    Args:
        settings: of the agent the eye belongs to. spec: cameras and sizes it was made for.
    """

    def __init__(self, settings: AgentSettings, spec: Spec) -> None:
        super().__init__()
        self.settings, self.spec = settings, spec
        self.views = Views(settings)
        self.encoder = Encoder(spec, settings.encoder)
        self.latent = Latent(spec, settings.encoder, self.encoder.feature_dim, use_state=False)
        self.requires_grad_(False).eval()

    @classmethod
    def of(cls, agent: Agent, spec: Spec) -> "Eye":
        """A copy of an agent's eye."""
        eye = cls(agent.settings, spec)
        eye.encoder.load_state_dict(agent.encoder.state_dict())
        own = eye.latent.state_dict()
        theirs = agent.critic.latent.state_dict()
        eye.latent.load_state_dict({name: theirs[name] for name in own})
        return eye

    @property
    def dim(self) -> int:
        """How many numbers a latent has."""
        return self.latent.visual_dim

    def digest(self) -> str:
        """SHA-256 of the eye's weights, 64 hexadecimal digits."""
        total = hashlib.sha256()
        for name, tensor in sorted(self.state_dict().items()):
            total.update(name.encode())
            total.update(tensor.cpu().contiguous().numpy().tobytes())
        return total.hexdigest()

    @torch.inference_mode()
    def see(self, pictures: Pictures, offsets: NDArray[np.int64] | None = None) -> Tensor:
        """Latents (N, Z); ``offsets`` (N, 2) of the windows, the acting one when not given."""
        count = len(next(iter(pictures.values())))
        if offsets is None:
            offsets = self.views.centre(count)
        parts = []
        for start in range(0, count, _CHUNK):
            part = slice(start, start + _CHUNK)
            seen = {
                name: self._window(pictures[name][part], offsets[part])
                for name in self.spec.cameras
            }
            parts.append(self.latent.visual(self.encoder(seen)))
        return torch.cat(parts)

    def _window(self, pictures: NDArray[np.uint8], offsets: NDArray[np.int64]) -> Tensor:
        """Windows (N, 3K, S, S) of pictures (N, H, W, 3K); past the edge it is repeated."""
        size = np.arange(self.views.size_px)
        rows = np.clip(offsets[:, :1] + size, 0, pictures.shape[1] - 1)
        columns = np.clip(offsets[:, 1:] + size, 0, pictures.shape[2] - 1)
        at = np.arange(len(pictures))[:, None, None]
        cut = pictures[at, rows[:, :, None], columns[:, None, :]]
        windows = torch.from_numpy(cut).permute(0, 3, 1, 2)
        return self.views.blacken(windows, offsets)


def colours(pictures: Pictures) -> NDArray[np.float32]:
    """Mean colour of the 4 x 4 parts of each camera's newest picture: (N, 48 a camera)."""
    parts = []
    for picture in pictures.values():
        newest = picture[..., -3:]
        n, height, width, _ = newest.shape
        tall, wide = height // _BLOCKS * _BLOCKS, width // _BLOCKS * _BLOCKS
        blocks = newest[:, :tall, :wide].reshape(
            n, _BLOCKS, tall // _BLOCKS, _BLOCKS, wide // _BLOCKS, 3
        )
        parts.append(blocks.mean(axis=(2, 4), dtype=np.float32).reshape(n, -1))
    return np.concatenate(parts, axis=1)
