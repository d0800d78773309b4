"""Which window of the stored picture the network sees: offsets in learning, the middle in acting.

A view is an offset (dy, dx) per sample and picture; the pixels are cut by the replay's gather
kernel, so no augmented copy is ever made of a picture that is not needed. All frames of a stack
share the offset; observation, successor and contrastive positive draw theirs independently.
"""

import numpy as np
from numpy.typing import NDArray

from handful.learn.settings import AgentSettings


class Views:
    """Draws offsets for ``crop`` (inside the picture) or ``shift`` (beyond its edge, replicated).

    Offsets are the top-left corner of the window in the stored picture, in pixels; a negative one
    reaches past the edge and is clamped there (DrQ's pad-and-crop, Yarats et al. 2021).
    """

    def __init__(self, settings: AgentSettings) -> None:
        self.size_px = settings.encoder.input_px
        pad, kind = settings.augment.pad_px, settings.augment.kind
        if kind == "crop":
            # CURL's sampler never reaches the last offset (seed issue 11); kept as a switch.
            last = 2 * pad - 1 if settings.augment.official_crop_range else 2 * pad
            self.low, self.high, self.middle = 0, last, pad
        elif kind == "shift":
            self.low, self.high, self.middle = -pad, pad, 0
        else:
            self.low = self.high = self.middle = 0

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.int64]:
        """Uniform offsets (count, 2)."""
        return rng.integers(self.low, self.high, size=(count, 2), endpoint=True)

    def centre(self, count: int) -> NDArray[np.int64]:
        """The offsets used in acting and evaluation, (count, 2)."""
        return np.full((count, 2), self.middle, dtype=np.int64)

    def cut(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The acting window (S, S, C) of one picture (H, W, C), as a view when it lies inside."""
        top, size = self.middle, self.size_px
        return picture[top : top + size, top : top + size]
