"""A camera that still answers but no longer sees: the same picture, or the same time, again.

The noise of a real sensor makes two equal pictures rare and ten in a row impossible, so many equal
ones are a driver that repeats its last buffer, a hung sensor, or a covered lens that clips to
black. All of them are a picture of the past with a fresh stamp, which is why age alone is not
enough.
"""

import numpy as np
from numpy.typing import NDArray

_GLANCE = 37  # every so many bytes are compared first; odd, so that all columns and colours are


class FrozenDetector:
    """Counts pictures that bring nothing new.

    Args:
        limit: this many in a row that equal their predecessor, or whose device stamp did not
            advance, are a frozen camera; 0 looks at neither.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.reset()

    def reset(self) -> None:
        """Begin anew, with another camera or after a pause."""
        self._pixels: NDArray[np.uint8] | None = None
        self._device_s: float | None = None
        self._same_pixels = self._same_stamps = 0

    def reopened(self) -> None:
        """The device was opened again and its clock may start anew; what was frozen stays so until
        it shows something new, or a camera that hangs would seem well for a moment each time."""
        self._device_s = None

    def seen(self, pixels: NDArray[np.uint8], device_s: float | None) -> None:
        """The next picture (H, W, 3) uint8 and its device stamp [s]; the picture is kept, not
        copied, so it must not change afterwards."""
        if self._limit == 0:
            return
        same = self._pixels is not None and _equal(self._pixels, pixels)
        self._same_pixels = self._same_pixels + 1 if same else 0
        if device_s is not None and self._device_s is not None:
            stuck = device_s <= self._device_s
            self._same_stamps = self._same_stamps + 1 if stuck else 0
        self._pixels, self._device_s = pixels, device_s

    @property
    def reason(self) -> str:
        """Why the camera counts as frozen; empty while it does not."""
        if self._limit == 0:
            return ""
        if self._same_pixels >= self._limit:
            return f"its last {self._same_pixels + 1} pictures are identical"
        if self._same_stamps >= self._limit:
            return f"its clock did not advance over the last {self._same_stamps + 1} pictures"
        return ""


def _equal(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> bool:
    """Equal in every byte; pictures that differ, the usual case, are told by a glance."""
    if a.shape != b.shape:
        return False
    if not np.array_equal(a.reshape(-1)[::_GLANCE], b.reshape(-1)[::_GLANCE]):
        return False
    return np.array_equal(a, b)
