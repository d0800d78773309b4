"""A RealSense that is connected: found by its serial, set up, started, lost and found again."""

import contextlib
import threading
from typing import Any

from handful.rig.calibration import Calibration
from handful.rig.camera import CameraError
from handful.rig.camera_settings import RealSenseSettings
from handful.rig.realsense_frames import Reader, intrinsics, sdk
from handful.rig.source import CameraSetupError, Shot


class RealSenseSource:
    """One connected RealSense.

    Args:
        context: a librealsense context to look for devices in; a new one each time by default.
    """

    on_demand = False

    def __init__(self, settings: RealSenseSettings, context: Any = None) -> None:
        self._settings, self._given = settings, context
        self._serial = settings.serial
        self.device = f"RealSense {settings.serial}".strip()
        self._context: Any = None
        self._pipeline: Any = None
        self._sensor: Any = None
        self._calibration: Calibration | None = None
        self._gone = threading.Event()

    def open(self) -> None:
        """Start the device of the serial, or the only one; later always the same one.

        Raises:
            CameraSetupError: pyrealsense2 is missing, several devices and no serial, a resolution,
                rate or option that the device does not have.
            CameraError: the device is not connected, or does not start.
        """
        rs = sdk()
        self._context = self._given or rs.context()
        device = self._choose()
        self._gone.clear()
        gone = self._gone

        def changed(what: Any) -> None:
            if what.was_removed(device):
                gone.set()

        self._context.set_devices_changed_callback(changed)
        settings, config = self._settings, rs.config()
        config.enable_device(self._serial)
        size = (settings.width_px, settings.height_px)
        config.enable_stream(rs.stream.color, *size, rs.format.rgb8, settings.rate_hz)
        if settings.depth:
            config.enable_stream(rs.stream.depth, rs.format.z16, settings.rate_hz)
        pipeline = rs.pipeline(self._context)
        try:
            if not config.can_resolve(pipeline):
                raise CameraSetupError(self._no_such_stream(device))
            self._set_options(device)
            profile = pipeline.start(config)
        except RuntimeError as error:
            if isinstance(error, CameraError):
                raise
            raise CameraError(f"it does not start: {error}") from None
        self._pipeline = pipeline
        self._calibration = intrinsics(profile.get_stream(rs.stream.color))
        self._reader = Reader(settings.depth, settings.global_time)

    def read(self, timeout_s: float) -> Shot | None:
        """The next shot. Raises ``CameraError`` when the device was unplugged."""
        if self._gone.is_set():
            raise CameraError("it was unplugged")
        try:
            came, frames = self._pipeline.try_wait_for_frames(max(1, int(1e3 * timeout_s)))
        except RuntimeError as error:
            raise CameraError(f"reading failed: {error}") from None
        return self._reader.shot(frames) if came else None

    def close(self) -> None:
        """Stop the device; twice is safe, and so is a device that is gone."""
        if self._pipeline is not None:
            with contextlib.suppress(RuntimeError):  # it is gone
                self._pipeline.stop()
            if self._context is not None:
                self._context.set_devices_changed_callback(_nothing)
        self._pipeline = self._context = self._sensor = None

    def calibration(self) -> Calibration | None:
        """Intrinsics of the colour stream, as the device has them."""
        return self._calibration

    def temperature_c(self) -> float | None:
        """Of the device's ASIC, where it offers it."""
        sensor = self._sensor
        try:
            return (
                None if sensor is None else float(sensor.get_option(sdk().option.asic_temperature))
            )
        except RuntimeError:
            return None

    def _choose(self) -> Any:
        """The device that is meant; remembers its serial, so that it is the same one next time."""
        rs = sdk()
        found = {}
        for device in self._context.query_devices():
            if device.supports(rs.camera_info.serial_number):
                found[device.get_info(rs.camera_info.serial_number)] = device
        there = ", ".join(sorted(found)) or "none"
        if not self._serial and len(found) > 1:
            raise CameraSetupError(f"several are connected: {there}; say which one by its serial")
        if not found or (self._serial and self._serial not in found):
            raise CameraError(f"it is not connected; connected: {there}")
        self._serial = self._serial or next(iter(found))
        device = found[self._serial]
        self.device = f"RealSense {self._serial}, {_info(device, rs.camera_info.name)}"
        usb = _info(device, rs.camera_info.usb_type_descriptor)
        if usb:
            self.device += f", USB {usb}"
        return device

    def _set_options(self, device: Any) -> None:
        """Exposure, gain, white balance and the time base of the colour sensor."""
        option, settings = sdk().option, self._settings
        for sensor in device.query_sensors():
            if sensor.supports(option.asic_temperature):
                self._sensor = sensor
            if sensor.supports(option.global_time_enabled):
                _put(sensor, option.global_time_enabled, float(settings.global_time))
        sensor = _colour_sensor(device)
        if settings.exposure_us:
            _put(sensor, option.enable_auto_exposure, 0.0)
            # A colour sensor of its own counts in 100 us, the stereo module (D405) in 1 us.
            own = _info(sensor, sdk().camera_info.name) == "RGB Camera"
            units = settings.exposure_us / (100.0 if own else 1.0)
            _put(sensor, option.exposure, max(1.0, round(units)))
        elif sensor.supports(option.enable_auto_exposure):
            _put(sensor, option.enable_auto_exposure, 1.0)
        if settings.gain:
            _put(sensor, option.gain, settings.gain)
        if settings.white_balance_k:
            _put(sensor, option.enable_auto_white_balance, 0.0)
            _put(sensor, option.white_balance, settings.white_balance_k)
        elif sensor.supports(option.enable_auto_white_balance):
            _put(sensor, option.enable_auto_white_balance, 1.0)

    def _no_such_stream(self, device: Any) -> str:
        settings, rs = self._settings, sdk()
        asked = f"{settings.width_px} x {settings.height_px} px at {settings.rate_hz} Hz"
        asked += " with depth" if settings.depth else ""
        videos = [p.as_video_stream_profile() for p in _colour_sensor(device).get_stream_profiles()]
        colour = {
            (v.width(), v.height(), v.fps()) for v in videos if v.stream_type() == rs.stream.color
        }
        offers = ", ".join(f"{w} x {h} at {hz}" for w, h, hz in sorted(colour)) or "none"
        return f"it has no colour stream of {asked}; it has: {offers}"


def _nothing(_: Any) -> None:
    """Nobody listens any more."""


def _info(device: Any, what: Any) -> str:
    return device.get_info(what) if device.supports(what) else ""


def _colour_sensor(device: Any) -> Any:
    """The sensor with the colour stream; on a D405 that is the stereo module itself."""
    rs = sdk()
    for sensor in device.query_sensors():
        if any(p.stream_type() == rs.stream.color for p in sensor.get_stream_profiles()):
            return sensor
    raise CameraSetupError("it has no colour sensor")


def _put(sensor: Any, option: Any, value: float) -> None:
    if not sensor.supports(option):
        raise CameraSetupError(f"it has no setting {option}; leave it at 0")
    limits = sensor.get_option_range(option)
    if not limits.min <= value <= limits.max:
        raise CameraSetupError(
            f"{option} can be {limits.min:g} to {limits.max:g} in the device's units, not {value:g}"
        )
    sensor.set_option(option, value)
