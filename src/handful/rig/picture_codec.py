"""Pictures in the episode log: as they are, or as PNG, which gives every bit back.

``raw`` costs the processor nothing and the disk everything; ``png`` costs some milliseconds a
picture and a third to a half of the bytes. A reader takes either, in one file or another.
"""

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from handful.rig.records import Arrays

Pictures = Literal["raw", "png"]
_FAST = [cv2.IMWRITE_PNG_COMPRESSION, 1]
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


class PictureError(ValueError):
    """Bytes that are not the picture they should be; the message says what was found."""


def encode_png(picture: NDArray[np.uint8]) -> bytes:
    """A (H, W, 3) uint8 RGB picture as PNG."""
    done, coded = cv2.imencode(".png", np.ascontiguousarray(picture[:, :, ::-1]), _FAST)
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
    picture = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    if picture is None:
        raise PictureError(f"a PNG of {coded.size} bytes cannot be decoded")
    return np.ascontiguousarray(picture[:, :, ::-1])


def to_arrays(name: str, stack: NDArray[np.uint8], pictures: Pictures) -> Arrays:
    """What a record holds of one camera's stack (H, W, 3*K) uint8; PNGs stand one below another."""
    if pictures == "raw":
        return {f"image.{name}": stack}
    frames = np.concatenate(np.split(stack, stack.shape[2] // 3, 2), 0)
    return {f"png.{name}": np.frombuffer(encode_png(frames), np.uint8)}


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
    return np.concatenate(np.split(frames, frames.shape[0] // height_px, 0), 2)
