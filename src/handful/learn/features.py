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
from handful.learn.encoder import Encoder, Pictures


class FeatureCache:
    """Features by replay slot: per camera (slots, views, F) float16, view 0 the acting window."""

    def __init__(self, encoder: Encoder, views: Views, slots: int, count: int) -> None:
        self.encoder, self.views, self.count = encoder, views, count
        shape = (slots, count, encoder.feature_dim)
        self.store = {name: np.zeros(shape, dtype=np.float16) for name in encoder.cameras}

    def bytes(self) -> int:
        """Memory of the whole cache [bytes]."""
        return sum(store.nbytes for store in self.store.values())

    @torch.no_grad()
    def put(
        self,
        slots: NDArray[np.int64],
        pictures: dict[str, NDArray[np.uint8]],
        rng: np.random.Generator,
        device: torch.device,
    ) -> None:
        """Encode pictures (N, H, W, 3K) under the middle and ``count - 1`` random offsets."""
        size = self.views.size_px
        for name, batch in pictures.items():
            n, pad = len(batch), max(0, -self.views.low)
            offsets = np.concatenate(
                [self.views.centre(n), self.views.draw(rng, n * (self.count - 1))]
            )
            padded = np.pad(batch, ((0, 0), (pad, pad), (pad, pad), (0, 0)), mode="edge")
            rows = np.tile(np.arange(n), self.count)
            cut = np.stack(
                [
                    padded[i, y + pad : y + pad + size, x + pad : x + pad + size]
                    for i, (y, x) in zip(rows, offsets, strict=True)
                ]
            )
            tensor = torch.from_numpy(cut).to(device).permute(0, 3, 1, 2)
            features = self.encoder.towers[name](tensor).half().cpu().numpy()
            self.store[name][slots] = features.reshape(self.count, n, -1).swapaxes(0, 1)

    def get(
        self, slots: NDArray[np.int64], rng: np.random.Generator, device: torch.device
    ) -> Pictures:
        """One random view of each slot: per camera (B, F) float32; cameras draw independently."""
        out: dict[str, Tensor] = {}
        for name, store in self.store.items():
            view = rng.integers(0, self.count, size=len(slots))
            out[name] = torch.from_numpy(store[slots, view]).to(device, torch.float32)
        return out
