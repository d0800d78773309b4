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
    """Features by replay slot: per camera (slots, views, F) float16, view 0 the acting window.

    They lie in ``store`` on the host; or, with ``on_device``, in ``tensors`` where they are used.
    """

    def __init__(
        self,
        encoder: Encoder,
        views: Views,
        replay: Store,
        count: int,
        effects: Effects,
        generator: torch.Generator,
        on_device: torch.device | None = None,
    ) -> None:
        self.encoder, self.views, self.replay, self.count = encoder, views, replay, count
        self.effects, self.generator = effects, generator
        shape = (len(replay.frames), count, encoder.feature_dim)
        host = encoder.cameras if on_device is None else ()
        self.store = {name: np.zeros(shape, dtype=np.float16) for name in host}
        self.tensors: dict[str, Tensor] = {}
        self._on_device, self._shape = on_device, shape

    @staticmethod
    def bytes_needed(encoder: Encoder, slots: int, count: int) -> int:
        """Memory of ``count`` views of ``slots`` observations [bytes]."""
        return len(encoder.cameras) * slots * count * encoder.feature_dim * 2

    def bytes(self) -> int:
        """Memory of the whole cache [bytes]."""
        return self.bytes_needed(self.encoder, len(self.replay.frames), self.count)

    @torch.no_grad()
    def put(self, slots: NDArray[np.int64], rng: np.random.Generator, device: torch.device) -> None:
        """Encode observations ``slots`` (N,): the middle view and ``count - 1`` random ones."""
        if self._on_device is not None and not self.tensors:
            # Not before it is needed: a device's memory is taken at once, unlike the host's.
            self.tensors = {
                name: torch.zeros(self._shape, dtype=torch.float16, device=self._on_device)
                for name in self.encoder.cameras
            }
        n, size = len(slots), self.views.size_px
        stacks = np.tile(self.replay.stack(slots), (self.count, 1))
        channels = 3 * stacks.shape[1]
        changes = self.effects.draw(n * (self.count - 1), self.generator)
        for index, name in enumerate(self.encoder.cameras):
            drawn = self.views.draw(rng, n * (self.count - 1))
            offsets = np.concatenate([self.views.centre(n), drawn])
            cut = np.empty((n * self.count, size, size, channels), np.uint8)
            self.replay.pictures(stacks, offsets, cut, (index, index + 1))
            tensor = torch.from_numpy(cut).to(device).permute(0, 3, 1, 2)
            tensor = self.views.blacken(tensor, offsets)
            if self.effects and self.count > 1:  # the middle view stays what acting sees
                tensor = torch.cat([tensor[:n], self.effects.apply(tensor[n:], changes)])
            features = self.encoder.towers[name](tensor).half()
            features = features.unflatten(0, (self.count, n)).transpose(0, 1)
            if self.tensors:
                self.tensors[name].index_copy_(0, torch.from_numpy(slots).to(device), features)
            else:
                self.store[name][slots] = features.cpu().numpy()

    def get(
        self, slots: NDArray[np.int64], rng: np.random.Generator, device: torch.device
    ) -> Pictures:
        """One random view of each slot: per camera (B, F) float32; cameras draw independently."""
        out: dict[str, Tensor] = {}
        for name in self.encoder.cameras:
            view = rng.integers(0, self.count, size=len(slots))
            if self.tensors:
                at = (torch.from_numpy(slots).to(device), torch.from_numpy(view).to(device))
                out[name] = self.tensors[name][at].float()
            else:
                out[name] = torch.from_numpy(self.store[name][slots, view]).to(device).float()
        return out
