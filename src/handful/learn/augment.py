"""Which window of the stored picture the network sees: offsets in learning, the middle in acting.

A view is an offset (dy, dx) per sample and picture; the pixels are cut by the replay's gather
kernel, so no augmented copy is ever made of a picture that is not needed. All frames of a stack
share the offset; observation, successor and contrastive positive draw theirs independently, unless
``augment.shared_window`` gives the successor the observation's. What changes the pixels themselves
(colours, holes, turns) is in ``learn.effects``.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from handful.learn.settings import AgentSettings


class Views:
    """Draws offsets for ``crop`` (inside the picture), ``shift``, ``translate`` (past its edge).

    Offsets are the top-left corner of the window in the stored picture, in pixels; a negative one
    reaches past the edge. There a shift repeats the edge (DrQ's pad-and-crop, Yarats et al. 2021)
    and a translation is black (RAD, Laskin et al. 2020: a 100 px picture somewhere on a 108 px
    canvas).
    """

    def __init__(self, settings: AgentSettings) -> None:
        self.size_px, self.stored_px = settings.encoder.input_px, settings.image_px
        pad, kind = settings.augment.pad_px, settings.augment.kind
        self.black = kind == "translate"
        if kind == "crop":
            # CURL's sampler never reaches the last offset (seed issue 11); kept as a switch.
            last = 2 * pad - 1 if settings.augment.official_crop_range else 2 * pad
            self.low, self.high, self.middle = 0, last, pad
        elif kind == "shift":
            self.low, self.high, self.middle = -pad, pad, 0
        elif kind == "translate":
            self.low, self.high, self.middle = -2 * pad, 0, -pad
        else:
            self.low = self.high = self.middle = 0

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.int64]:
        """Uniform offsets (count, 2)."""
        return rng.integers(self.low, self.high, size=(count, 2), endpoint=True)

    def centre(self, count: int) -> NDArray[np.int64]:
        """The offsets used in acting and evaluation, (count, 2)."""
        return np.full((count, 2), self.middle, dtype=np.int64)

    def blacken(self, windows: Tensor, offsets_px: NDArray[np.int64] | Tensor) -> Tensor:
        """Gathered windows (B, C, S, S) uint8, black where a translation left the picture.

        The gather kernel repeats edges; for the other kinds of view that is what is wanted, and the
        windows come back as they are.
        """
        if not self.black:
            return windows
        at = torch.as_tensor(offsets_px).to(windows.device)[:, :, None]
        at = at + torch.arange(self.size_px, device=windows.device)  # (B, 2, S), in the picture
        inside = (at >= 0) & (at < self.stored_px)
        return windows * (inside[:, 0, :, None] & inside[:, 1, None, :]).unsqueeze(1)

    def cut(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The acting window (S, S, C) of one picture (H, W, C), as a view when it lies inside."""
        top, size = self.middle, self.size_px
        if self.black:
            return np.pad(picture, ((-top, -top), (-top, -top), (0, 0)))
        return picture[top : top + size, top : top + size]
