"""What can be set about one physical or recorded camera: device, picture, patience, mount.

The YAML files under ``config/node/camera`` repeat every key with its unit and meaning. ``kind``
says which of the three they are. Nothing here is null, as ROS' parameter server has none: an empty
text or list, or a zero, leaves the matter to the device.
"""

import math
from typing import Literal

from pydantic import Field, field_validator

from handful.config import Settings
from handful.rig.calibration import View


class MountSettings(Settings):
    """Where the camera's link sits, from a hand-eye calibration: pose of ``<camera>_link`` in
    ``parent_frame``; without a parent somebody else says it. The link is the colour sensor, x
    forward (REP 103)."""

    parent_frame: str = ""
    position_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    quat_xyzw: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 1.0)

    @field_validator("quat_xyzw")
    @classmethod
    def _of_length_one(
        cls, quat: tuple[float, float, float, float]
    ) -> tuple[float, float, float, float]:
        if abs(math.hypot(*quat) - 1.0) > 1e-3:
            raise ValueError(
                f"a rotation has a quaternion x, y, z, w of length 1, this one has "
                f"{math.hypot(*quat):.4f}"
            )
        return quat


class CameraNodeSettings(Settings):
    """What every kind of camera has in common."""

    calibration: str = ""
    crop_px: tuple[int, ...] = ()
    publish_px: tuple[int, ...] = ()
    jpeg_quality: int = Field(default=0, ge=0, le=100)
    frozen_frames: int = Field(default=10, ge=0)
    silence_s: float = Field(default=1.0, gt=0.0)
    start_s: float = Field(default=10.0, gt=0.0)
    reconnect_s: float = Field(default=2.0, gt=0.0)
    mount: MountSettings = MountSettings()

    @property
    def view(self) -> View:
        """The part of the device's picture that is delivered."""
        return View(self.crop_px or None, self.publish_px or None)  # type: ignore[arg-type]

    @field_validator("crop_px")
    @classmethod
    def _a_window(cls, crop_px: tuple[int, ...]) -> tuple[int, ...]:
        wrong = len(crop_px) != 4 or min(crop_px[:2]) < 0 or min(crop_px[2:]) < 1
        if crop_px and wrong:
            raise ValueError("expected [top, left, height, width] with a size above 0, or []")
        return crop_px

    @field_validator("publish_px")
    @classmethod
    def _a_size(cls, publish_px: tuple[int, ...]) -> tuple[int, ...]:
        if publish_px and (len(publish_px) != 2 or min(publish_px) < 1):
            raise ValueError("expected [width, height], both above 0, or []")
        return publish_px


class RealSenseSettings(CameraNodeSettings):
    """A RealSense camera through librealsense."""

    kind: Literal["realsense"] = "realsense"
    serial: str = ""
    width_px: int = Field(default=640, ge=8)
    height_px: int = Field(default=480, ge=8)
    rate_hz: int = Field(default=30, ge=1)
    exposure_us: float = Field(default=0.0, ge=0.0)
    gain: float = Field(default=0.0, ge=0.0)
    white_balance_k: float = Field(default=0.0, ge=0.0)
    depth: bool = False
    global_time: bool = True


class WebcamSettings(CameraNodeSettings):
    """A V4L2 camera, or a video file in its place, through OpenCV."""

    kind: Literal["webcam"] = "webcam"
    device: int | str = 0
    fourcc: str = ""
    width_px: int = Field(default=640, ge=8)
    height_px: int = Field(default=480, ge=8)
    rate_hz: float = Field(default=30.0, gt=0.0)

    @field_validator("fourcc")
    @classmethod
    def _four_letters(cls, fourcc: str) -> str:
        if fourcc and len(fourcc) != 4:
            raise ValueError(f"a pixel format has four letters, such as MJPG or YUYV, not {fourcc}")
        return fourcc


class RecordingSettings(CameraNodeSettings):
    """A file that librealsense recorded, played through librealsense."""

    kind: Literal["recording"] = "recording"
    path: str = Field(min_length=1)
    loop: bool = True
    real_time: bool = True
    depth: bool = False


KINDS: dict[str, type[CameraNodeSettings]] = {
    "realsense": RealSenseSettings,
    "webcam": WebcamSettings,
    "recording": RecordingSettings,
}
