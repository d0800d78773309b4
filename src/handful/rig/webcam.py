"""Any camera that Linux shows as a video device, through OpenCV; or a video file in its place."""

import logging
import time
from pathlib import Path

import cv2
import numpy as np

from handful.rig.calibration import Calibration
from handful.rig.camera import CameraError
from handful.rig.camera_settings import WebcamSettings
from handful.rig.source import CameraSetupError, Shot

_log = logging.getLogger(__name__)
_MAX_AGE_S = 2.0  # an older stamp is not of the machine's monotonic clock


class WebcamSource:
    """A V4L2 device by number or path (``/dev/v4l/by-id/...`` stays the same over replugging).

    Its stamps are the kernel's, of the moment the picture began to be transferred. A video file is
    played at its own pace; its end is like a cable that was pulled.
    """

    on_demand = False

    def __init__(self, settings: WebcamSettings) -> None:
        self._settings = settings
        named = settings.device if isinstance(settings.device, int) else settings.device.strip()
        self._path = f"/dev/video{named}" if isinstance(named, int) else named
        self._is_file = not self._path.startswith("/dev/")
        self.device = f"{'video' if self._is_file else 'webcam'} {self._path}"
        self._capture: cv2.VideoCapture | None = None
        self._began_s = 0.0

    def open(self) -> None:
        """Start the device.

        Raises:
            CameraSetupError: it delivers another size than is set.
            CameraError: it is not there, or cannot be opened.
        """
        settings = self._settings
        if not Path(self._path).exists():
            raise CameraError(f"it is not connected: there is no {self._path}")
        backend = cv2.CAP_ANY if self._is_file else cv2.CAP_V4L2
        capture = cv2.VideoCapture(self._path, backend)
        if not capture.isOpened():
            capture.release()
            raise CameraError("it cannot be opened: another program has it, or no right to read it")
        self._capture = capture
        if not self._is_file:
            if settings.fourcc:
                capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*settings.fourcc))
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, settings.width_px)
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, settings.height_px)
            capture.set(cv2.CAP_PROP_FPS, settings.rate_hz)
            capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # older pictures are of no use
        width_px = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH))
        height_px = int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        if (width_px, height_px) != (settings.width_px, settings.height_px):
            raise CameraSetupError(
                f"it delivers {width_px} x {height_px} px, not {settings.width_px} x "
                f"{settings.height_px}: set width_px and height_px to what it has "
                "(v4l2-ctl --list-formats-ext)"
            )
        rate_hz = capture.get(cv2.CAP_PROP_FPS)
        if rate_hz > 0.0 and abs(rate_hz - settings.rate_hz) > 0.05 * settings.rate_hz:
            _log.warning("%s: runs at %.1f Hz, not %.1f", self.device, rate_hz, settings.rate_hz)
        self._began_s = time.monotonic()

    def read(self, timeout_s: float) -> Shot | None:
        """The next shot; waits as long as the driver does. Raises ``CameraError`` at its end."""
        assert self._capture is not None
        came, bgr = self._capture.read()
        if not came or bgr is None:
            raise CameraError("the video has ended" if self._is_file else "it sends no pictures")
        position_s = 1e-3 * self._capture.get(cv2.CAP_PROP_POS_MSEC)
        age_s: float | None = None
        if self._is_file:
            rest_s = self._began_s + position_s - time.monotonic()
            if rest_s > 0.0:
                time.sleep(rest_s)
        else:
            age_s = time.monotonic() - position_s
            age_s = age_s if 0.0 <= age_s < _MAX_AGE_S else None
        pixels = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
        return Shot(pixels, position_s if position_s > 0.0 or self._is_file else None, age_s)

    def close(self) -> None:
        """Let the device go; twice is safe."""
        if self._capture is not None:
            self._capture.release()
        self._capture = None

    def calibration(self) -> Calibration | None:
        """A webcam does not know its lens; a calibration file does."""
        return None

    def temperature_c(self) -> float | None:
        """A webcam does not say."""
        return None
