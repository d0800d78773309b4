"""Recordings of librealsense as cameras: real time, on demand, looped, frozen, at their end."""

import time
from pathlib import Path

import numpy as np
import pytest
from camera_kit import HEIGHT, RATE_HZ, WIDTH, painted, record
from contracts import CameraCell, CameraContract

from handful.rig.camera import CameraError, StaleFrameError
from handful.rig.camera_settings import RecordingSettings
from handful.rig.cameras import make_camera
from handful.rig.clock import WallClock
from handful.rig.source import CameraSetupError

COUNT = 45


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    return record(tmp_path_factory.mktemp("recordings") / "r.db3", COUNT)


def made(file: Path, **settings):
    checked = RecordingSettings(path=str(file), **{"start_s": 3.0, "silence_s": 0.5, **settings})
    return make_camera("wrist", checked, WallClock())


class Recorded(CameraContract):
    real_time = True

    @pytest.fixture(autouse=True)
    def _file(self, file) -> None:
        self.file = file

    def make_cell(self) -> CameraCell:
        camera = made(self.file, real_time=self.real_time)
        return CameraCell(camera, WallClock(), HEIGHT, WIDTH)


class TestRecordingInRealTime(Recorded):
    pass


class TestRecordingOnDemand(Recorded):
    real_time = False


@pytest.mark.parametrize("depth", [False, True])
def test_on_demand_every_picture_comes_once_exactly(file, depth: bool) -> None:
    camera = made(file, real_time=False, loop=False, depth=depth)
    camera.open()
    for number in range(1, COUNT + 1):
        assert np.array_equal(camera.latest(0.5).pixels, painted(number))
        if number == 5:
            time.sleep(0.6)  # a slow consumer loses nothing
    with pytest.raises(CameraError, match=r"'wrist' .*r\.db3.*come to its end; loop: true"):
        camera.latest(0.5)
    assert "come to its end" in camera.health().problem
    camera.close()


def test_in_real_time_it_keeps_the_recorded_pace_and_begins_again(file) -> None:
    camera = made(file)
    camera.open()
    stamps_s, numbers, picture = [], [], camera.wait_newer(0.0, 1.0)
    end_s = time.monotonic() + 2.5 * COUNT / RATE_HZ
    while time.monotonic() < end_s:
        stamps_s.append(picture.stamp_s)
        numbers.append(int(picture.pixels[0, 0, 0]))
        picture = camera.wait_newer(picture.stamp_s, 1.0)
    assert numbers.count(20) >= 2, "it did not begin again"
    steps_s = np.diff(stamps_s)
    assert np.all(steps_s > 0.0) and np.median(steps_s) == pytest.approx(1 / RATE_HZ, rel=0.1)
    assert camera.health().rate_hz == pytest.approx(RATE_HZ, rel=0.5)  # a busy machine is late
    camera.close()


def test_real_time_ends_where_it_ends(file) -> None:
    camera = made(file, loop=False)
    camera.open()
    end_s = time.monotonic() + COUNT / RATE_HZ + 3.0
    while not camera.health().problem and time.monotonic() < end_s:
        time.sleep(0.05)
    with pytest.raises(CameraError, match="come to its end"):
        camera.latest(100.0)
    camera.close()


def test_a_recording_of_a_frozen_camera_is_frozen(tmp_path) -> None:
    camera = made(record(tmp_path / "f.db3", 40, frozen_from=10), frozen_frames=8, loop=False)
    camera.open()
    end_s = time.monotonic() + 2.0
    while not camera.health().frozen and time.monotonic() < end_s:
        time.sleep(0.01)
    with pytest.raises(StaleFrameError, match="'wrist'.*frozen: its last 9 pictures are identical"):
        camera.latest(100.0)
    camera.close()


def test_depth_in_other_units_is_delivered_in_millimetres(tmp_path) -> None:
    file = record(tmp_path / "d405.db3", 10, depth_units_m=1e-4)
    camera = made(file, depth=True, real_time=False)
    camera.open()
    picture = camera.wait_newer(0.0, 1.0)
    # The median, as aligning leaves gaps in a picture this small.
    assert np.median(picture.depth_mm) == round((int(picture.pixels[0, 0, 0]) + 500) / 10)
    camera.close()


def test_what_cannot_be_played_is_refused_in_words(tmp_path, file) -> None:
    with pytest.raises(CameraSetupError, match=r"no\.db3\): there is no such file"):
        made(tmp_path / "no.db3").open()
    movie = tmp_path / "a.mp4"
    movie.write_bytes(b"x")
    with pytest.raises(CameraSetupError, match=r"end in \.db3 or \.bag"):
        made(movie).open()
    garbage = tmp_path / "bad.db3"
    garbage.write_bytes(b"not a recording")
    with pytest.raises(CameraError, match=r"bad\.db3\): it cannot be played"):
        made(garbage).open()
    bare = record(tmp_path / "bare.db3", 5, depth=False)
    with pytest.raises(CameraSetupError, match="not have a colour and a depth stream; set depth"):
        made(bare, depth=True).open()
