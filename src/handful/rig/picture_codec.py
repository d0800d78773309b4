"""Pictures in the episode log: as they are, or as PNG, which gives every bit back.

``raw`` costs the processor next to nothing and the disk everything; ``png`` costs some milliseconds
a picture and a tenth to a half of the bytes. A reader takes either, in one file or another.
"""

from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cache
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from handful.rig.records import Arrays

Pictures = Literal["raw", "png"]
WITHIN = 0.3
"""Share of a control period that a recorder in real time waits for a step's PNGs."""
# Run lengths alone: half the time of deflate's fastest level, and on a camera's noise fewer bytes
# too (640 x 480: 9.6 ms and 0.46 of the raw bytes against 20.4 ms and 0.53).
_FAST = [cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
RAW_STEPS = 20
"""Steps that are stored raw after one whose PNGs were not ready in time: 2 s at 10 Hz."""
_LARGE_BYTES = 500_000  # pictures of a step that are worth threads of their own
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


class PictureError(ValueError):
    """Bytes that are not the picture they should be; the message says what was found."""


def encode_png(picture: NDArray[np.uint8]) -> bytes:
    """A (H, W, 3) uint8 RGB picture as PNG."""
    done, coded = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), _FAST)
    if not done:
        raise PictureError(f"a picture of shape {picture.shape} cannot be written as PNG")
    return coded.tobytes()


def decode_png(data: bytes | NDArray[np.uint8]) -> NDArray[np.uint8]:
    """PNG to (H, W, 3) uint8 RGB.

    Raises:
        PictureError: not a PNG, or a damaged one.
    """
    coded = np.frombuffer(data, np.uint8)
    if coded[:8].tobytes() != _SIGNATURE:
        raise PictureError(f"expected a PNG, found the bytes {coded[:8].tobytes()!r}")
    picture = cv2.imdecode(coded, cv2.IMREAD_COLOR_RGB)
    if picture is None:
        raise PictureError(f"a PNG of {coded.size} bytes cannot be decoded")
    return np.asarray(picture, np.uint8)


def to_arrays(name: str, stack: NDArray[np.uint8], pictures: Pictures) -> Arrays:
    """What a record holds of one camera's stack (H, W, 3*K) uint8; PNGs stand one below another."""
    if pictures == "raw":
        return {f"image.{name}": stack}
    frames = np.ascontiguousarray(stack)
    if stack.shape[2] > 3:
        frames = np.concatenate(np.split(stack, stack.shape[2] // 3, 2), 0)
    return {f"png.{name}": np.frombuffer(encode_png(frames), np.uint8)}


class Coder:
    """Pictures to what a record holds, as one recorder wants them stored.

    Args:
        within_s: a control loop waits no longer than this for a step's PNGs [s]; a step whose
            pictures take longer is stored raw, and so are the next ``RAW_STEPS``: a processor that
            is busy is not made busier for a smaller file. None: as long as it takes.
    Attributes:
        hurried: steps that were stored raw for that reason.
    """

    def __init__(self, pictures: Pictures, within_s: float | None = None) -> None:
        self._pictures, self._within_s = pictures, within_s
        self._working: list[Future[Arrays]] = []
        self._raw_steps = 0
        self.hurried = 0

    def arrays(self, stacks: Mapping[str, NDArray[np.uint8]]) -> Arrays:
        """Camera -> stack (H, W, 3*K) uint8; large ones are compressed side by side."""
        large = sum(stack.nbytes for stack in stacks.values()) > _LARGE_BYTES
        if self._pictures == "raw" or not large:
            return _joined(to_arrays(n, stack, self._pictures) for n, stack in stacks.items())
        self._raw_steps -= 1
        if self._raw_steps < 0 and all(work.done() for work in self._working):
            self._working = [_pool().submit(to_arrays, n, s, "png") for n, s in stacks.items()]
            _, late = wait(self._working, self._within_s)
            if not late:
                return _joined(work.result() for work in self._working)
            self._raw_steps = RAW_STEPS
        self.hurried += 1
        return _joined(to_arrays(name, stack, "raw") for name, stack in stacks.items())


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(4, "png")  # OpenCV lets the others run while it compresses


def _joined(parts: Iterable[Arrays]) -> Arrays:
    return {name: array for part in parts for name, array in part.items()}


def from_arrays(name: str, arrays: Arrays, height_px: int) -> NDArray[np.uint8]:
    """The stack (H, W, 3*K) uint8 in a record.

    Raises:
        KeyError: the record has no picture of this camera. PictureError: it cannot be decoded.
    """
    if f"png.{name}" not in arrays:
        return arrays[f"image.{name}"]
    frames = decode_png(arrays[f"png.{name}"])
    if frames.shape[0] % height_px:
        raise PictureError(f"camera {name!r}: {frames.shape[0]} rows are no frames of {height_px}")
    if frames.shape[0] == height_px:
        return frames
    return np.concatenate(np.split(frames, frames.shape[0] // height_px, 0), 2)
