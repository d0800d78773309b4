"""A connected RealSense, by the genuine SDK without hardware: recordings stand in for devices.

A context of librealsense lists a recording that was loaded into it as a device, with its serial,
streams and intrinsics, starts it through a pipeline, and tells when it is unloaded: an unplugging.
"""

import threading
import time
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyrealsense2 as rs
import pytest
from camera_kit import COEFFICIENTS, HEIGHT, WIDTH, painted, record
from contracts import CameraCell, CameraContract

from handful.rig.camera import CameraError
from handful.rig.camera_settings import RealSenseSettings
from handful.rig.clock import WallClock
from handful.rig.realsense import RealSenseSource
from handful.rig.source import CameraSetupError
from handful.rig.streaming import StreamingCamera


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    """A recording of four seconds for each of two cameras; both are made at once."""
    folder = tmp_path_factory.mktemp("recordings")
    paths = {serial: folder / f"{serial}.db3" for serial in ("S1", "S2")}
    makers = [
        threading.Thread(target=record, args=(p, 120, s, s == "S1")) for s, p in paths.items()
    ]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    return paths


class Port:
    """A context with devices that can be plugged in and out."""

    kept: ClassVar[list] = []  # the SDK does not survive that a device is let go while it plays

    def __init__(self, files: dict[str, Path], *serials: str) -> None:
        self.context, self._files = rs.context(), files
        self.kept.append(self.context)
        for serial in serials:
            self.plug(serial)

    def plug(self, serial: str) -> None:
        self.kept.append(self.context.load_device(str(self._files[serial])))

    def unplug(self, serial: str) -> None:
        self.context.unload_device(str(self._files[serial]))


def made(port: Port, **settings) -> StreamingCamera:
    values = {"width_px": WIDTH, "height_px": HEIGHT, "reconnect_s": 0.2, "start_s": 3.0}
    checked = RealSenseSettings(**{**values, **settings})
    return StreamingCamera("third", RealSenseSource(checked, port.context), checked, WallClock())


class TestLiveRealSense(CameraContract):
    @pytest.fixture(autouse=True)
    def _files(self, files) -> None:
        self.files = files

    def make_cell(self) -> CameraCell:
        return CameraCell(made(Port(self.files, "S1")), WallClock(), HEIGHT, WIDTH)


def opened(camera: StreamingCamera):
    camera.open()
    return camera


def test_colour_depth_and_lens_come_from_the_device(files) -> None:
    port = Port(files, "S1", "S2")
    camera = opened(made(port, serial="S1", depth=True))
    picture, apart = camera.wait_newer(0.0, 2.0), []
    for _ in range(10):
        number = int(picture.pixels[0, 0, 0])
        assert np.array_equal(picture.pixels, painted(number))
        assert picture.depth_mm.dtype == np.uint16 and picture.depth_mm.shape == (HEIGHT, WIDTH)
        apart.append(np.median(picture.depth_mm) - 500 - number)  # aligning leaves gaps
        picture = camera.wait_newer(picture.stamp_s, 2.0)
    # A live device on a busy machine may bring the newest of each: one frame apart now and then.
    assert 0.0 in apart and np.abs(apart).max() <= 2.0
    lens = camera.calibration()
    assert (lens.width_px, lens.height_px, lens.model) == (WIDTH, HEIGHT, "plumb_bob")
    assert lens.K.tolist() == [[50.0, 0.0, 31.5], [0.0, 50.0, 23.5], [0.0, 0.0, 1.0]]
    assert pytest.approx(COEFFICIENTS) == lens.D
    assert "S1" in camera.health().device and "D435" in camera.health().device
    camera.close()


def test_several_devices_and_no_serial_lists_them(files) -> None:
    with pytest.raises(CameraSetupError, match=r"several are connected: S1, S2; say which one"):
        made(Port(files, "S1", "S2")).open()


def test_a_serial_that_is_not_there_lists_those_that_are(files) -> None:
    with pytest.raises(CameraError, match=r"'third' \(RealSense X9\): it is not connected; .*: S2"):
        made(Port(files, "S2"), serial="X9").open()
    with pytest.raises(CameraError, match="connected: none"):
        made(Port(files)).open()


def test_a_size_the_device_does_not_have_lists_what_it_has(files) -> None:
    with pytest.raises(CameraSetupError, match=r"640 x 480 px at 30 Hz; it has: 64 x 48 at 30"):
        made(Port(files, "S2"), width_px=640, height_px=480).open()


def test_a_setting_the_device_does_not_have_is_named(files) -> None:
    with pytest.raises(CameraSetupError, match="no setting Gain"):
        made(Port(files, "S2"), gain=16.0).open()


def test_unplugged_is_an_error_at_once_and_the_same_serial_is_taken_again(files) -> None:
    port = Port(files, "S2")
    camera = opened(made(port))
    camera.latest(1.0)
    port.unplug("S2")
    began_s = time.monotonic()
    while not camera.health().problem:
        assert time.monotonic() - began_s < 1.0
        time.sleep(0.005)
    with pytest.raises(CameraError, match=r"'third' \(RealSense S2.*unplugged; .*looked for"):
        camera.latest(100.0)
    port.plug("S1")  # another camera is not the one that was lost
    time.sleep(0.5)
    assert "not connected" in camera.health().problem or "unplugged" in camera.health().problem
    port.plug("S2")
    began_s = time.monotonic()
    while camera.health().problem or camera.health().pictures < 10:
        assert time.monotonic() - began_s < 3.0
        time.sleep(0.01)
    camera.latest(1.0)
    assert camera.health().reconnects == 1
    camera.close()


class Sensor:
    """What the set-up asks of an SDK sensor; recordings have no options to set."""

    def __init__(self, name: str, stream, **limits: tuple[float, float]) -> None:
        self._name, self._stream = name, stream
        self._limits = {getattr(rs.option, key): value for key, value in limits.items()}
        self.put: dict[str, float] = {}

    def supports(self, what) -> bool:
        return what == rs.camera_info.name or what in self._limits

    def get_info(self, what) -> str:
        return self._name

    def get_stream_profiles(self):
        return [self]

    def stream_type(self):
        return self._stream

    def get_option_range(self, option):
        limits = rs.option_range()
        limits.min, limits.max = self._limits[option]
        return limits

    def set_option(self, option, value: float) -> None:
        self.put[option.name] = value


class Device:
    def __init__(self, *sensors: Sensor) -> None:
        self._sensors = sensors

    def query_sensors(self):
        return self._sensors


EYE = {"enable_auto_exposure": (0, 1), "exposure": (1, 10000), "gain": (0, 128)}
EYE |= {"enable_auto_white_balance": (0, 1), "white_balance": (2800, 6500)}
EYE |= {"global_time_enabled": (0, 1)}


def set_up(device: Device, **settings) -> None:
    RealSenseSource(RealSenseSettings(**settings))._set_options(device)


def test_exposure_and_the_rest_are_set_in_the_sensors_own_units() -> None:
    eye = Sensor("RGB Camera", rs.stream.color, **EYE)
    stereo = Sensor("Stereo Module", rs.stream.depth, **EYE)
    set_up(Device(stereo, eye), exposure_us=15600.0, gain=64.0, white_balance_k=4600.0)
    assert eye.put == {
        "global_time_enabled": 1.0, "enable_auto_exposure": 0.0, "exposure": 156.0, "gain": 64.0,
        "enable_auto_white_balance": 0.0, "white_balance": 4600.0,
    }  # fmt: skip
    assert stereo.put == {"global_time_enabled": 1.0}
    both = Sensor("Stereo Module", rs.stream.color, **EYE)  # a D405
    set_up(Device(both), exposure_us=5000.0, global_time=False)
    assert (both.put["exposure"], both.put["global_time_enabled"]) == (5000.0, 0.0)


def test_0_is_automatic_and_leaves_the_gain() -> None:
    eye = Sensor("RGB Camera", rs.stream.color, **EYE)
    set_up(Device(eye))
    assert eye.put["enable_auto_exposure"] == 1.0 and eye.put["enable_auto_white_balance"] == 1.0
    assert not {"exposure", "gain", "white_balance"} & set(eye.put)


def test_a_value_outside_the_sensors_range_names_the_range() -> None:
    eye = Sensor("RGB Camera", rs.stream.color, **EYE)
    with pytest.raises(CameraSetupError, match="can be 0 to 128 in the device's units, not 500"):
        set_up(Device(eye), gain=500.0)
