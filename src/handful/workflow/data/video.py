"""Pictures as video and back: FFV1 gives back every bit, what H.264 loses is measured."""

import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from handful.workflow.data.sessions import DataError

CODECS = {"ffv1": "ffv1", "h264": "libx264"}
_WHITE = 255.0
_OPTIONS = {
    # A key frame every second picture, so that a random one is soon decoded; 18 is taken for
    # visually lossless (trac.ffmpeg.org/wiki/Encode/H.264).
    "h264": {"crf": "18", "g": "2", "preset": "medium"},
    "ffv1": {"level": "3", "g": "1"},
}


def write_video(
    path: Path, pictures: NDArray[np.uint8], rate_hz: float, codec: str
) -> dict[str, object]:
    """Write (N, H, W, 3) uint8 RGB as MP4, frame k at k / rate_hz.

    Args:
        codec: ``ffv1`` or ``h264``.
    Returns:
        codec and pixel format, as players call them.
    Raises:
        DataError: the codec is not there, or the file cannot be written.
    """
    height, width = pictures.shape[1:3]
    even = height % 2 == 0 and width % 2 == 0
    pixels = "bgr0" if codec == "ffv1" else "yuv420p" if even else "yuv444p"
    rate = Fraction(rate_hz).limit_denominator(1001)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with av.open(str(path), "w", format="mp4") as container:
            stream: Any = container.add_stream(CODECS[codec], rate=rate, options=_OPTIONS[codec])
            stream.width, stream.height, stream.pix_fmt = width, height, pixels
            stream.thread_count = 1
            for k, picture in enumerate(pictures):
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
                frame.pts, frame.time_base = k, 1 / rate
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    except (av.FFmpegError, ValueError) as error:
        raise DataError(f"{path}: the video cannot be written: {error}") from None
    return {"video.codec": codec, "video.pix_fmt": pixels, "video.height": height,
            "video.width": width, "video.fps": rate_hz, "video.channels": 3,
            "has_audio": False, "video.is_depth_map": False}  # fmt: skip


def read_video(path: Path, from_s: float = 0.0, count: int | None = None) -> NDArray[np.uint8]:
    """(N, H, W, 3) uint8 RGB of a video file, from a moment on.

    Raises:
        DataError: not a video, or it has fewer pictures.
    """
    found: list[NDArray[np.uint8]] = []
    try:
        for at_s, picture in _pictures(path, from_s):
            if at_s < from_s - 1e-3:
                continue
            found.append(picture)
            if len(found) == count:
                break
    except (av.FFmpegError, ValueError, IndexError) as error:
        raise DataError(f"{path}: cannot be read as a video: {error}") from None
    if not found or (count is not None and len(found) < count):
        raise DataError(f"{path}: has {len(found)} pictures from {from_s:g} s on, expected {count}")
    return np.stack(found)


def _pictures(path: Path, from_s: float) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_count = 1
        if from_s > 0.0 and stream.time_base is not None:
            container.seek(int(from_s / stream.time_base), stream=stream)
        for frame in container.decode(stream):
            yield float(frame.time or 0.0), np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)


def psnr_db(ours: NDArray[np.uint8], theirs: NDArray[np.uint8]) -> float:
    """The lowest peak signal-to-noise ratio of any picture (N, H, W, 3) [dB]; inf when equal."""
    lowest = math.inf
    for a, b in zip(ours, theirs, strict=True):
        error = float(np.mean(np.square(a.astype(np.float64) - b)))
        if error > 0.0:
            lowest = min(lowest, 10.0 * math.log10(_WHITE**2 / error))
    return lowest
