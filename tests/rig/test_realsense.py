"""A connected RealSense, by the genuine SDK without hardware: recordings stand in for devices.

A context of librealsense lists a recording that was loaded into it as a device, with its serial,
streams and intrinsics, starts it through a pipeline, and tells when it is unloaded: an unplugging.
"""

import threading
import time
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

pytest.importorskip("pyrealsense2", reason="NO SDK OF REALSENSE; to test it: make test on x86_64")

import pyrealsense2 as rs
from camera_kit import COEFFICIENTS, HEIGHT, WIDTH, SoftwareCamera, painted, record
from contracts import CameraCell, CameraContract

from handful.rig.camera import CameraError
from handful.rig.camera_settings import RealSenseSettings
from handful.rig.clock import WallClock
from handful.rig.realsense import RealSenseSource
from handful.rig.realsense_frames import Reader, depth_in_mm, rgb
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
    picture = camera.wait_newer(0.0, 2.0)
    number = int(picture.pixels[0, 0, 0])
    assert np.array_equal(picture.pixels, painted(number))
    assert picture.depth_mm.dtype == np.uint16 and picture.depth_mm.shape == (HEIGHT, WIDTH)
    assert np.median(picture.depth_mm) == number + 500  # aligning leaves gaps in one this small
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


class Framesets:
    """The converter on a device of software, without a pipeline."""

    def __init__(self, depth: bool = False, stamps_of_now: bool = True, units_m: float = 1e-3):
        self.camera = SoftwareCamera("S3", depth, units_m)
        self._syncer = rs.syncer()
        self._sensors = self.camera.device.query_sensors()
        if depth:
            self.camera.device.create_matcher(rs.matchers.default)
        for sensor in self._sensors:
            sensor.open(sensor.get_stream_profiles())
            sensor.start(self._syncer)
        self.reader = Reader(depth, stamps_of_now)

    def shot(self, number: int, stamp_ms: float, domain: str = "hardware_clock", depth=None):
        self.camera.push(number, painted(number), stamp_ms, depth, domain)
        for _ in range(10):
            came, frames = self._syncer.try_wait_for_frames(200)
            shot = self.reader.shot(frames) if came else None
            if shot is not None and shot.number == number:
                return shot
        return None


def test_a_picture_is_copied_out_of_the_sdks_buffer() -> None:
    source = Framesets()
    first = source.shot(1, 100.0)
    kept = first.pixels.copy()
    for number in range(2, 40):
        source.shot(number, 100.0 * number)
    assert np.array_equal(first.pixels, kept) and first.pixels.base is None


def test_a_stamp_of_this_hosts_clock_gives_the_age_and_one_of_another_does_not() -> None:
    source = Framesets()
    for number, domain in enumerate(("global_time", "system_time"), 1):
        shot = source.shot(number, 1e3 * (time.time() - 0.020), domain)
        assert 0.020 <= shot.age_s < 0.2, domain
    assert source.shot(3, 1e3 * time.time(), "hardware_clock").age_s is None
    assert source.shot(4, 1e3 * (time.time() - 3600.0), "global_time").age_s is None, "recorded"
    assert source.shot(5, 1e3 * (time.time() + 60.0), "global_time").age_s is None, "the future"
    assert source.shot(6, 1e3 * (time.time() + 0.01), "global_time").age_s == 0.0
    then = Framesets(stamps_of_now=False)
    assert then.shot(1, 1e3 * time.time(), "global_time").age_s is None


def test_a_device_stamp_is_in_seconds() -> None:
    assert Framesets().shot(7, 1234.5).device_s == pytest.approx(1.2345)


class Frame:
    """What the converter asks of an SDK frame; the software device takes but one format."""

    def __init__(self, data, kind=None, units_m: float = 1e-3) -> None:
        self._data, self._kind, self._units_m = data, kind, units_m

    def get_data(self):
        return self._data

    def get_profile(self):
        return self

    def format(self):
        return self._kind

    def get_units(self) -> float:
        return self._units_m


def test_every_colour_format_becomes_rgb() -> None:
    pixels = painted(200)
    assert np.array_equal(rgb(Frame(pixels, rs.format.rgb8)), pixels)
    assert np.array_equal(rgb(Frame(pixels[..., ::-1], rs.format.bgr8)), pixels)
    alpha = np.full((HEIGHT, WIDTH, 1), 255, np.uint8)
    assert np.array_equal(rgb(Frame(np.dstack([pixels, alpha]), rs.format.rgba8)), pixels)
    grey = np.full((HEIGHT, WIDTH), 128 | 128 << 8, np.uint16)  # Y and a chroma, both in the middle
    assert np.abs(rgb(Frame(grey, rs.format.yuyv)).astype(int) - 130).max() <= 3
    with pytest.raises(CameraError, match="format.y8; rgb8 is expected"):
        rgb(Frame(pixels, rs.format.y8))


def test_depth_is_in_millimetres_whatever_the_devices_unit() -> None:
    raw = np.array([[0, 1000, 5000, 65535]], np.uint16)
    assert depth_in_mm(Frame(raw)).tolist() == raw.tolist()
    assert depth_in_mm(Frame(raw, units_m=1e-4)).tolist() == [[0, 100, 500, 6554]]  # a D405
    assert depth_in_mm(Frame(raw, units_m=2e-3)).tolist() == [[0, 2000, 10000, 0]]  # too far to say
