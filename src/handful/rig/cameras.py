"""From a camera's settings to the camera: which source it has, and whose calibration counts."""

from handful.config import ConfigError
from handful.rig.calibration import load_calibration
from handful.rig.camera_settings import (
    CameraNodeSettings,
    RealSenseSettings,
    RecordingSettings,
    WebcamSettings,
)
from handful.rig.clock import Clock
from handful.rig.realsense import RealSenseSource
from handful.rig.recording import RecordingSource
from handful.rig.source import Source
from handful.rig.streaming import StreamingCamera
from handful.rig.webcam import WebcamSource


def make_camera(name: str, settings: CameraNodeSettings, clock: Clock) -> StreamingCamera:
    """The camera of these settings, not yet open. name: as in the rig's settings.

    Raises:
        ConfigError: the calibration file cannot be read, or settings of no known kind.
    """
    calibration = load_calibration(settings.calibration) if settings.calibration else None
    return StreamingCamera(name, _source(settings), settings, clock, calibration)


def _source(settings: CameraNodeSettings) -> Source:
    if isinstance(settings, RealSenseSettings):
        return RealSenseSource(settings)
    if isinstance(settings, WebcamSettings):
        return WebcamSource(settings)
    if isinstance(settings, RecordingSettings):
        return RecordingSource(settings)
    raise ConfigError(f"{type(settings).__name__}: no kind of camera")
