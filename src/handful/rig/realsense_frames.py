"""From librealsense's framesets to pictures, the same way for live, recorded and software devices.

Three ways lead to a frameset (a pipeline on a device, a pipeline on a file, a software device) and
one from there to a ``Shot``: ``Reader``. pyrealsense2 is imported when a camera is opened, so the
rig needs it only where there is one.
"""

import time
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from handful.rig.calibration import Calibration
from handful.rig.camera import CameraError
from handful.rig.source import CameraSetupError, Shot

_MAX_AGE_S = 2.0  # an older stamp on the host's clock was not made by this host's clock


def sdk() -> Any:
    """The module pyrealsense2. Raises ``CameraSetupError`` when it is not installed."""
    try:
        import pyrealsense2
    except ImportError as error:
        raise CameraSetupError(
            f"pyrealsense2 cannot be imported ({error}): pip install 'handful[realsense]' and "
            "apt install libusb-1.0-0"
        ) from None
    return pyrealsense2


class Reader:
    """Framesets to shots: copied out of librealsense's buffers, RGB, depth on the colour's pixels.

    Args:
        depth: whether a shot needs its depth; a frameset without it is passed over.
        stamps_of_now: stamps on the host's clock are of now, not of when a file was recorded.
    """

    def __init__(self, depth: bool, stamps_of_now: bool) -> None:
        self._rs = sdk()
        self._align = self._rs.align(self._rs.stream.color) if depth else None
        self._stamps_of_now = stamps_of_now
        self._last: tuple[int, float] | None = None

    def shot(self, frames: Any) -> Shot | None:
        """What is new in a frameset; None when its colour picture was there before or is missing.

        Raises:
            CameraError: a pixel format that is not a colour picture.
        """
        host_s = time.time()  # before the copies, which take time
        colour = frames.get_color_frame()
        if not colour:
            return None
        number, stamp_s = colour.get_frame_number(), 1e-3 * colour.get_timestamp()
        if (number, stamp_s) == self._last:  # the syncer shows it again beside a newer depth
            return None
        depth_mm = None
        if self._align is not None:
            if not frames.get_depth_frame():
                return None
            depth_mm = depth_in_mm(self._align.process(frames).get_depth_frame())
        self._last = (number, stamp_s)
        age_s = None
        if self._stamps_of_now and self._on_host_clock(colour):
            age_s = host_s - stamp_s
            age_s = max(0.0, age_s) if -0.1 < age_s < _MAX_AGE_S else None
        return Shot(rgb(colour), stamp_s, age_s, number, depth_mm)

    def _on_host_clock(self, frame: Any) -> bool:
        domains = self._rs.timestamp_domain
        domain = frame.get_frame_timestamp_domain()
        return domain in (domains.global_time, domains.system_time)


def rgb(frame: Any) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB, its own memory, of a colour frame.

    Raises:
        CameraError: a pixel format that is not one of colour.
    """
    pixels, form = np.asanyarray(frame.get_data()), sdk().format
    kind = frame.get_profile().format()
    if kind == form.rgb8:
        return pixels.copy()
    codes = {
        form.bgr8: cv2.COLOR_BGR2RGB,
        form.rgba8: cv2.COLOR_RGBA2RGB,
        form.bgra8: cv2.COLOR_BGRA2RGB,
        form.yuyv: cv2.COLOR_YUV2RGB_YUYV,
        form.uyvy: cv2.COLOR_YUV2RGB_UYVY,
    }
    if kind not in codes:
        raise CameraError(f"its colour pictures are in format {kind}; rgb8 is expected")
    if kind in (form.yuyv, form.uyvy):
        pixels = pixels.view(np.uint8).reshape(*pixels.shape[:2], 2)
    return np.asarray(cv2.cvtColor(pixels, codes[kind]), np.uint8)


def depth_in_mm(frame: Any) -> NDArray[np.uint16]:
    """(H, W) uint16 [mm], its own memory, 0 where nothing was measured; beyond 65 m is not."""
    units_m = frame.get_units()
    raw = np.asanyarray(frame.get_data())
    if abs(units_m - 1e-3) < 1e-9:
        return raw.copy()
    depth_mm = np.rint(raw * (1e3 * units_m))
    return np.where(depth_mm > 65535.0, 0.0, depth_mm).astype(np.uint16)


def intrinsics(profile: Any) -> Calibration:
    """What the device says about a video stream's lens.

    librealsense's inverse_brown_conrady is passed on as plumb_bob, as its ROS driver does; the
    coefficients of such a stream are zero on the D400 series.
    """
    values, rs = profile.as_video_stream_profile().get_intrinsics(), sdk()
    K = np.array(
        [[values.fx, 0.0, values.ppx], [0.0, values.fy, values.ppy], [0.0, 0.0, 1.0]], np.float64
    )
    fisheye = values.model == rs.distortion.kannala_brandt4
    D = np.array(values.coeffs[: 4 if fisheye else 5], np.float64)
    return Calibration(values.width, values.height, K, D, "equidistant" if fisheye else "plumb_bob")
