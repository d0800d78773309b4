"""Webcams through OpenCV; a video file stands in, as this kernel has no video loopback."""

import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from camera_kit import HEIGHT, RATE_HZ, WIDTH, film, painted
from contracts import CameraCell, CameraContract

from handful.rig.camera import CameraError, StaleFrameError
from handful.rig.camera_settings import WebcamSettings
from handful.rig.cameras import make_camera
from handful.rig.clock import WallClock
from handful.rig.source import CameraSetupError
from handful.rig.webcam import WebcamSource


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Path:
    return film(tmp_path_factory.mktemp("films") / "v.avi", 90)


def settings(device, **more) -> WebcamSettings:
    values = {"width_px": WIDTH, "height_px": HEIGHT, "start_s": 3.0, "reconnect_s": 0.1}
    return WebcamSettings(device=str(device), **{**values, **more})


def made(device, **more):
    return make_camera("third", settings(device, **more), WallClock())


class TestWebcam(CameraContract):
    @pytest.fixture(autouse=True)
    def _video(self, video) -> None:
        self.video = video

    def make_cell(self) -> CameraCell:
        return CameraCell(made(self.video), WallClock(), HEIGHT, WIDTH)


def test_pictures_are_rgb_and_come_at_their_pace(video) -> None:
    camera = made(video)
    camera.open()
    picture, stamps_s = camera.wait_newer(0.0, 1.0), []
    for _ in range(20):
        stamps_s.append(picture.stamp_s)
        number = round(int(picture.pixels[0, 0, 0]) / 5)
        assert np.abs(picture.pixels.astype(int) - painted(5 * number).astype(int)).max() <= 3
        picture = camera.wait_newer(picture.stamp_s, 1.0)
    assert np.median(np.diff(stamps_s)) == pytest.approx(1 / RATE_HZ, rel=0.2)
    assert camera.calibration() is None
    camera.close()


def test_the_end_is_like_a_pulled_cable_and_it_comes_back(tmp_path, video) -> None:
    path = tmp_path / "short.avi"
    path.write_bytes(film(tmp_path / "s.avi", 8).read_bytes())
    camera = made(path, reconnect_s=0.2)
    camera.open()
    path.unlink()
    end_s = time.monotonic() + 3.0
    while not camera.health().problem and time.monotonic() < end_s:
        time.sleep(0.005)
    with pytest.raises(
        CameraError, match="'third' .*(ended|there is no .*short.avi); it is being looked for"
    ):
        camera.latest(100.0)
    path.write_bytes(video.read_bytes())
    end_s = time.monotonic() + 3.0
    while camera.health().problem and time.monotonic() < end_s:
        time.sleep(0.01)
    time.sleep(0.1)
    camera.latest(1.0)
    assert camera.health().reconnects == 1
    camera.close()


def test_a_frozen_picture_is_noticed(tmp_path) -> None:
    camera = made(film(tmp_path / "f.avi", 60, frozen_from=5), frozen_frames=6, reconnect_s=5.0)
    camera.open()
    end_s = time.monotonic() + 2.0
    while not camera.health().frozen and time.monotonic() < end_s:
        time.sleep(0.01)
    with pytest.raises(StaleFrameError, match="frozen: its last 7 pictures are identical"):
        camera.latest(100.0)
    camera.close()


def test_a_device_that_is_not_there_or_cannot_be_read_is_named(tmp_path) -> None:
    with pytest.raises(CameraError, match=r"webcam /dev/video97\): it is not connected"):
        make_camera("third", WebcamSettings(device=97), WallClock()).open()
    path = tmp_path / "text.avi"
    path.write_text("nothing to see")
    with pytest.raises(CameraError, match=r"text\.avi\): it cannot be opened"):
        made(path).open()


def test_another_size_than_was_asked_for_is_refused(video) -> None:
    with pytest.raises(CameraSetupError, match="delivers 64 x 48 px, not 640 x 480"):
        made(video, width_px=640, height_px=480).open()


class Kernel:
    """OpenCV's view of a V4L2 device: stamps of the monotonic clock, size and rate as granted."""

    def __init__(self) -> None:
        self.asked: dict[int, float] = {}
        self.age_s, self.well = 0.015, True

    def isOpened(self) -> bool:
        return True

    def set(self, what: int, value: float) -> bool:
        self.asked[what] = value
        return True

    def get(self, what: int) -> float:
        if what == cv2.CAP_PROP_POS_MSEC:
            return 1e3 * (time.monotonic() - self.age_s)
        return self.asked.get(what, 0.0)

    def read(self):
        return self.well, painted(3)[..., ::-1] if self.well else None

    def release(self) -> None:
        pass


def test_a_device_is_set_up_and_its_kernel_stamps_give_the_age(monkeypatch) -> None:
    kernel = Kernel()
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: kernel)
    monkeypatch.setattr(Path, "exists", lambda _: True)
    source = WebcamSource(settings("/dev/v4l/by-id/cam", fourcc="MJPG", rate_hz=15.0))
    source.open()
    assert kernel.asked[cv2.CAP_PROP_FOURCC] == cv2.VideoWriter.fourcc(*"MJPG")
    assert kernel.asked[cv2.CAP_PROP_FPS] == 15.0 and kernel.asked[cv2.CAP_PROP_BUFFERSIZE] == 1
    shot = source.read(0.1)
    assert np.array_equal(shot.pixels, painted(3)) and 0.015 <= shot.age_s < 0.1
    kernel.age_s = -50.0  # a driver with a clock of its own
    assert source.read(0.1).age_s is None
    kernel.well = False
    with pytest.raises(CameraError, match="sends no pictures"):
        source.read(0.1)
