"""What a frozen eye sees, computed once: several shifted views of every picture, kept as features.

An update that gathers 0.5 kB of features instead of pictures is 25 to 160 times cheaper on a CPU
(docs/performance.md); augmentation survives because each picture is encoded under ``cached_views``
offsets, the middle one first, and every draw picks one of them.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from handful.learn.augment import Views
from handful.learn.effects import Effects
from handful.learn.encoder import Encoder, Pictures
from handful.learn.store import Store


class FeatureCache:
    """Features by replay slot: per camera (slots, views, F) float16, view 0 the acting window."""

    def __init__(
        self,
        encoder: Encoder,
        views: Views,
        replay: Store,
        count: int,
        effects: Effects,
        generator: torch.Generator,
    ) -> None:
        self.encoder, self.views, self.replay, self.count = encoder, views, replay, count
        self.effects, self.generator = effects, generator
        shape = (len(replay.frames), count, encoder.feature_dim)
        self.store = {name: np.zeros(shape, dtype=np.float16) for name in encoder.cameras}

    def bytes(self) -> int:
        """Memory of the whole cache [bytes]."""
        return sum(store.nbytes for store in self.store.values())

    @torch.no_grad()
    def put(self, slots: NDArray[np.int64], rng: np.random.Generator, device: torch.device) -> None:
        """Encode observations ``slots`` (N,): the middle view and ``count - 1`` random ones."""
        n, size = len(slots), self.views.size_px
        stacks = np.tile(self.replay.stack(slots), (self.count, 1))
        channels = 3 * stacks.shape[1]
        changes = self.effects.draw(n * (self.count - 1), self.generator)
        for index, (name, store) in enumerate(self.store.items()):
            drawn = self.views.draw(rng, n * (self.count - 1))
            offsets = np.concatenate([self.views.centre(n), drawn])
            cut = np.empty((n * self.count, size, size, channels), np.uint8)
            self.replay.pictures(stacks, offsets, cut, (index, index + 1))
            tensor = torch.from_numpy(cut).to(device).permute(0, 3, 1, 2)
            tensor = self.views.blacken(tensor, offsets)
            if self.effects and self.count > 1:  # the middle view stays what acting sees
                tensor = torch.cat([tensor[:n], self.effects.apply(tensor[n:], changes)])
            features = self.encoder.towers[name](tensor).half().cpu().numpy()
            store[slots] = features.reshape(self.count, n, -1).swapaxes(0, 1)

    def get(
        self, slots: NDArray[np.int64], rng: np.random.Generator, device: torch.device
    ) -> Pictures:
        """One random view of each slot: per camera (B, F) float32; cameras draw independently."""
        out: dict[str, Tensor] = {}
        for name, store in self.store.items():
            view = rng.integers(0, self.count, size=len(slots))
            out[name] = torch.from_numpy(store[slots, view]).to(device, torch.float32)
        return out
