"""Moving pictures for people: a wide view and what the policy sees, as WebP, GIF or MP4."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from handful.contract import Observation
from handful.workflow.errors import RunError

Picture = NDArray[np.uint8]


def policy_views(observation: Observation) -> list[Picture]:
    """The newest picture of every camera, (H, W, 3) uint8, in the order the networks see them."""
    return [image[:, :, -3:] for image in observation.images.values()]


def compose(wide: Picture, views: Sequence[Picture]) -> Picture:
    """One film frame: ``wide`` (H, H, 3) with the policy's views stacked to its right.

    The column is H / max(2, number of views) wide; a thin light gap separates the pictures.
    """
    height = wide.shape[0]
    if not views:
        return wide
    gap = 4
    rows = max(2, len(views))
    side = (height - gap * (rows - 1)) // rows
    column = np.full((height, side, 3), 245, np.uint8)
    for row, view in enumerate(views):
        top = row * (side + gap)
        column[top : top + side] = resized(view, side, side)
    return np.hstack([wide, np.full((height, gap, 3), 245, np.uint8), column])


def resized(picture: Picture, height: int, width: int) -> Picture:
    """Area-averaged when shrinking, bilinear when growing."""
    import cv2

    smaller = height < picture.shape[0]
    how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, (width, height), interpolation=how), np.uint8)


def save(frames: Sequence[Picture], path: Path, rate_hz: float, hold_s: float = 1.0) -> Path:
    """Write frames (H, W, 3) uint8 RGB as a looping film; the last one is held ``hold_s``.

    Args:
        path: the ending decides: ``.webp`` (any browser, also embedded), ``.gif``, ``.mp4``.
        rate_hz: frames a second.
    Raises:
        RunError: no frames, or an ending that is none of these.
    """
    if not frames:
        raise RunError(f"{path}: a film needs at least one frame")
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix in {".webp", ".gif"}:
        path.write_bytes(_animated(frames, path.suffix[1:], rate_hz, hold_s))
    elif path.suffix == ".mp4":
        _mp4(frames, path, rate_hz)
    else:
        raise RunError(f"{path}: films end in .webp, .gif or .mp4")
    return path


def png(picture: Picture) -> bytes:
    """A (H, W, 3) uint8 RGB picture as PNG bytes."""
    from PIL import Image

    with io.BytesIO() as out:
        Image.fromarray(np.ascontiguousarray(picture)).save(out, "png", optimize=True)
        return out.getvalue()


def data_uri(content: bytes, kind: str) -> str:
    """Bytes as a ``data:`` address, so that a page needs no other file; kind: ``image/png``..."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _animated(frames: Sequence[Picture], kind: str, rate_hz: float, hold_s: float) -> bytes:
    from PIL import Image

    images = [Image.fromarray(np.ascontiguousarray(frame)) for frame in frames]
    beat_ms = round(1000.0 / rate_hz)
    durations = [beat_ms] * (len(images) - 1) + [round(1000.0 * hold_s)]
    options = {"quality": 72, "method": 3} if kind == "webp" else {"disposal": 1}
    with io.BytesIO() as out:
        images[0].save(
            out,
            kind,
            save_all=True,
            append_images=images[1:],
            duration=durations,
            loop=0,
            **options,
        )
        return out.getvalue()


def _mp4(frames: Sequence[Picture], path: Path, rate_hz: float) -> None:
    import cv2

    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), rate_hz, (width, height))
    if not writer.isOpened():
        raise RunError(f"{path}: OpenCV cannot write MP4 here; use a .webp or .gif ending")
    for frame in frames:
        writer.write(np.ascontiguousarray(frame[:, :, ::-1]))
    writer.release()
