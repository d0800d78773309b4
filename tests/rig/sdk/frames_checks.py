"""Framesets of librealsense to pictures: a device of software, every format, units and clocks."""

import time

import numpy as np
import pyrealsense2 as rs
import pytest
from camera_kit import HEIGHT, WIDTH, SoftwareCamera, painted

from handful.rig.camera import CameraError
from handful.rig.realsense_frames import Reader, depth_in_mm, rgb


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
