"""What all streaming cameras share, on a source fed by hand: stamps, ages, loss, freezing."""

import logging
import time

import numpy as np
import pytest
from camera_kit import FakeSource, painted
from contracts import CameraCell, CameraContract

from handful.config import ConfigError, load
from handful.rig.calibration import Calibration
from handful.rig.camera import CameraError, StaleFrameError
from handful.rig.camera_settings import KINDS, CameraNodeSettings
from handful.rig.clock import WallClock
from handful.rig.source import CameraSetupError
from handful.rig.streaming import StreamingCamera

QUICK = {"start_s": 0.5, "reconnect_s": 0.1, "silence_s": 0.3, "frozen_frames": 5}


def made(source: FakeSource, **settings) -> StreamingCamera:
    return StreamingCamera(
        "third", source, CameraNodeSettings(**{**QUICK, **settings}), WallClock()
    )


@pytest.fixture
def source() -> FakeSource:
    return FakeSource()


@pytest.fixture
def camera(source: FakeSource):
    source.feed()
    camera = made(source)
    camera.open()
    yield camera
    camera.close()


def come(camera: StreamingCamera, source: FakeSource) -> None:
    """Wait until everything fed was taken."""
    end_s = time.monotonic() + 2.0
    while (source.fed or camera.health().pictures < source.number) and time.monotonic() < end_s:
        time.sleep(0.001)


def eventually(true, timeout_s: float = 2.0) -> None:
    end_s = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < end_s
        time.sleep(0.002)


class Flowing(FakeSource):
    """Delivers a new picture every 10 ms."""

    def read(self, timeout_s: float):
        time.sleep(0.01)
        self.feed(device_s=time.monotonic())
        return super().read(timeout_s)


class TestStreamingCamera(CameraContract):
    def make_cell(self) -> CameraCell:
        return CameraCell(made(Flowing()), WallClock(), 48, 64)


def test_a_device_that_is_not_there_is_told_by_camera_and_device(source) -> None:
    source.lost = "it is not connected"
    with pytest.raises(CameraError, match=r"'third' \(fake device\): it is not connected"):
        made(source).open()


def test_a_device_that_sends_nothing_is_told(source) -> None:
    with pytest.raises(CameraError, match="no picture within 0.5 s"):
        made(source).open()


def test_a_frame_ages_and_turns_stale_but_is_kept(camera) -> None:
    assert camera.latest(1.0).pixels[0, 0, 0] == 1
    time.sleep(0.05)
    with pytest.raises(StaleFrameError, match=r"0\.0\d+ s old, allowed are 0.04 s"):
        camera.latest(0.04)
    assert camera.latest(1.0).pixels[0, 0, 0] == 1


def test_only_the_newest_is_kept_and_it_is_never_handed_out_itself(camera, source) -> None:
    for _ in range(5):
        source.feed()
    come(camera, source)
    frame = camera.latest(1.0)
    assert frame.pixels[0, 0, 0] == 6
    frame.pixels[:] = 0
    assert camera.latest(1.0).pixels[0, 0, 0] == 6


def test_the_age_a_device_knows_is_believed_and_stamps_never_go_back(camera, source) -> None:
    source.feed(age_s=0.05)
    come(camera, source)
    first = camera.wait_newer(0.0, 1.0)
    assert first is not None and 0.0 <= time.monotonic() - first.stamp_s < 0.5
    source.feed(age_s=10.0)  # would be before the last one
    come(camera, source)
    second = camera.wait_newer(0.0, 1.0)
    assert second is not None and first.stamp_s < second.stamp_s < first.stamp_s + 0.01


def test_waiting_for_a_newer_picture_ends_with_it_or_in_time(camera, source) -> None:
    old = camera.wait_newer(0.0, 1.0)
    began_s = time.monotonic()
    assert camera.wait_newer(old.stamp_s, 0.1) is None
    assert 0.1 <= time.monotonic() - began_s < 0.5
    source.feed()
    assert camera.wait_newer(old.stamp_s, 1.0).pixels[0, 0, 0] == 2


def test_a_lost_device_is_an_error_at_once_and_comes_back(camera, source, caplog) -> None:
    caplog.set_level(logging.INFO)
    source.lost = "it was unplugged"
    eventually(lambda: camera.health().problem)
    with pytest.raises(CameraError, match="it was unplugged; it is being looked for"):
        camera.latest(100.0)
    time.sleep(0.35)  # several attempts are one line
    source.lost = ""
    source.feed(painted(77))
    eventually(lambda: not camera.health().problem)
    come(camera, source)
    assert camera.latest(1.0).pixels[0, 0, 0] == 77
    assert camera.health().reconnects == 1
    said = [r.message for r in caplog.records]
    assert len([s for s in said if "trying again" in s]) == 1
    assert "it is back after" in said[-1] and "'third' (fake device)" in said[-1]


def test_a_device_that_falls_silent_is_opened_anew(camera, source) -> None:
    eventually(lambda: source.opened == 2)
    source.feed()
    eventually(lambda: camera.health().pictures == 2)
    assert camera.latest(1.0).pixels[0, 0, 0] == 2


def test_a_bug_in_a_source_does_not_end_the_thread(camera, source) -> None:
    source.fed.append("not a shot")
    eventually(lambda: "AttributeError" in camera.health().problem)
    source.feed()
    eventually(lambda: camera.health().pictures == 2)


def test_equal_pictures_are_a_frozen_camera_until_one_differs(camera, source) -> None:
    for _ in range(4):
        source.feed(painted(1))
    come(camera, source)
    camera.latest(1.0)
    source.feed(painted(1))
    come(camera, source)
    with pytest.raises(StaleFrameError, match="'third'.*frozen: its last 6 pictures are identical"):
        camera.latest(100.0)
    assert camera.health().frozen and "frozen" in camera.health().problem
    assert camera.wait_newer(0.0, 0.05) is None
    source.feed(painted(2))
    come(camera, source)
    assert camera.latest(1.0).pixels[0, 0, 0] == 2
    assert not camera.health().frozen


def test_a_clock_that_stands_still_is_a_frozen_camera(camera, source) -> None:
    for _ in range(6):
        source.feed(device_s=3.0)
    come(camera, source)
    with pytest.raises(StaleFrameError, match="clock did not advance over the last 6"):
        camera.latest(100.0)


def test_a_frozen_device_is_opened_anew_and_stays_frozen_until_it_sees(camera, source) -> None:
    def stuck(seconds_s: float) -> list[bool]:
        end_s, seen = time.monotonic() + seconds_s, []
        while time.monotonic() < end_s:
            source.feed(painted(9))
            come(camera, source)
            seen.append(camera.health().frozen)
            time.sleep(0.005)
        return seen

    stuck(0.1)
    assert all(stuck(0.6)), "it seemed well for a moment after it was opened anew"
    assert source.opened >= 2
    source.feed(painted(10))
    eventually(lambda: not camera.health().frozen and not camera.health().problem)


def test_frozen_frames_0_does_not_look(source) -> None:
    source.feed()
    camera = made(source, frozen_frames=0)
    camera.open()
    for _ in range(50):
        source.feed(painted(1), device_s=1.0)
    come(camera, source)
    camera.latest(1.0)
    camera.close()


def test_health_counts(camera, source) -> None:
    for number in (2, 3, 7, 8):
        source.feed(number=number)
        time.sleep(0.01)
    come(camera, source)
    health = camera.health()
    assert (health.pictures, health.dropped, health.temperature_c) == (5, 3, 41.5)
    assert 10.0 < health.rate_hz < 200.0 and 0.0 <= health.age_s < 1.0
    time.sleep(0.2)
    assert camera.health().rate_hz < health.rate_hz, "silence does not show in the rate"
    camera.close()
    assert "not open" in camera.health().problem


def test_what_is_delivered_is_cropped_and_resized_with_its_calibration(source) -> None:
    source.lens = Calibration(
        64, 48, np.array([[50.0, 0, 31.5], [0, 50.0, 23.5], [0, 0, 1]]), np.zeros(5)
    )
    source.feed(depth_mm=np.full((48, 64), 700, np.uint16))
    camera = made(source, crop_px=(0, 8, 48, 48), publish_px=(24, 24))
    camera.open()
    picture = camera.wait_newer(0.0, 1.0)
    assert picture.pixels.shape == (24, 24, 3) and picture.depth_mm.shape == (24, 24)
    lens = camera.calibration()
    assert pytest.approx(np.array([[25.0, 0, 11.5], [0, 25.0, 11.5], [0, 0, 1.0]])) == lens.K
    camera.close()


def test_settings_that_do_not_fit_the_device_are_told_and_not_retried(source) -> None:
    source.feed()
    with pytest.raises(CameraSetupError, match="48 rows x 64 columns"):
        made(source, crop_px=(0, 0, 49, 10)).open()
    source.feed()
    source.lens = Calibration(640, 480, np.eye(3), np.zeros(5))
    with pytest.raises(CameraSetupError, match="640 x 480 px, the camera delivers 64 x 48"):
        made(source).open()


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_shipped_settings_are_the_defaults_but_for_the_view(kind: str) -> None:
    shipped = load(KINDS[kind], f"node/camera/{kind}").model_dump()
    own = {"recording": {"path": "recording.db3"}, "webcam": {"fourcc": "MJPG"}}.get(kind, {})
    view = {"crop_px": (0, 80, 480, 480), "publish_px": (84, 84)}
    assert shipped == KINDS[kind](**own, **view).model_dump()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"crop_px": [0, 0, 10]}, "top, left, height, width"),
        ({"crop_px": [-1, 0, 10, 10]}, "top, left, height, width"),
        ({"publish_px": [84]}, "width, height"),
        ({"mount": {"quat_xyzw": [0.0, 0.0, 0.0, 2.0]}}, "length 1"),
        ({"serial": 1234}, "valid string"),
        ({"rate": 30}, "unknown key; did you mean 'rate_hz'"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_are_refused(values, said) -> None:
    with pytest.raises(ConfigError, match=said):
        load(KINDS["realsense"], "node/camera/realsense", values)
