"""What ``TopicCamera`` must do, over a real master; run in a process of its own by its test file.

rospy starts once a process, so these are not collected with the others.
"""

import threading
import time
from collections.abc import Callable

import numpy as np
import pytest
import rospy
from contracts import CameraCell, CameraContract
from sensor_msgs.msg import Image

from handful.rig.camera import CameraError, StaleFrameError
from handful.rig.settings import CameraSettings
from handful.wire.clock import RosClock
from handful.wire.pictures import array_to_image
from handful.wire.topic_camera import TopicCamera

TOPIC = "third/color/image_raw"
SIZE = CameraSettings(width_px=32, height_px=24)


@pytest.fixture(scope="session", autouse=True)
def _node():
    rospy.init_node("checks", disable_signals=True)
    yield
    rospy.signal_shutdown("done")


class Lens:
    """Publishes counted pictures, one by one or at 30 Hz."""

    def __init__(self) -> None:
        self._out = rospy.Publisher(TOPIC, Image, queue_size=1, tcp_nodelay=True)
        self._on, self.number = threading.Event(), 0

    def show(self, stamp_s: float | None = None, pixels=None) -> float:
        """Publish one; returns its stamp."""
        stamp_s = rospy.get_time() if stamp_s is None else stamp_s
        self.number += 1
        pixels = np.full((24, 32, 3), self.number % 256, np.uint8) if pixels is None else pixels
        self._out.publish(array_to_image(pixels, stamp_s, "third_color_optical_frame"))
        return stamp_s

    def send(self, message: Image) -> None:
        self._out.publish(message)

    def run(self) -> None:
        self._on.set()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while self._on.is_set():
            self.show()
            time.sleep(1 / 30)

    def close(self) -> None:
        if self._on.is_set():
            self._on.clear()
            self._thread.join()
        self._out.unregister()

    def wait_heard(self) -> None:
        until(self._out.get_num_connections)


def until(true: Callable[[], object]) -> None:
    end_s = time.monotonic() + 5.0
    while not true():
        assert time.monotonic() < end_s
        time.sleep(0.002)


@pytest.fixture
def lens():
    lens = Lens()
    yield lens
    lens.close()


@pytest.fixture
def camera(lens: Lens):
    camera = TopicCamera("third", TOPIC, RosClock(), SIZE)
    camera.open()
    lens.wait_heard()
    yield camera
    camera.close()


class TestTopicCamera(CameraContract):
    def make_cell(self) -> CameraCell:
        lens, clock = Lens(), RosClock()
        lens.run()
        camera = TopicCamera("third", TOPIC, clock, SIZE, start_s=5.0)
        return CameraCell(camera, clock, 24, 32, lens.close)


def test_a_topic_nobody_publishes_is_named_when_waited_for() -> None:
    camera = TopicCamera("third", "nowhere/image_raw", RosClock(), start_s=0.2)
    with pytest.raises(CameraError, match="'third': nothing on /nowhere/image_raw within 0.2 s"):
        camera.open()
    camera = TopicCamera("third", "nowhere/image_raw", RosClock())
    camera.open()
    with pytest.raises(CameraError, match="'third': nothing on /nowhere/image_raw yet"):
        camera.latest(1.0)
    camera.close()


def test_arrivals_are_told_and_waited_for(lens, camera) -> None:
    told = []
    camera.subscribe(lambda name, stamp_s: told.append((name, stamp_s)))
    assert camera.stamp_s == -np.inf and not camera.wait_newer(0.0, 0.05)
    first_s = lens.show()
    assert camera.wait_newer(0.0, 2.0)
    threading.Timer(0.1, lens.show).start()
    began_s = time.monotonic()
    assert camera.wait_newer(camera.stamp_s, 2.0) and 0.05 < time.monotonic() - began_s < 1.0
    until(lambda: len(told) == 2)
    assert told[0] == ("third", pytest.approx(first_s, abs=1e-6)) and told[1][1] == camera.stamp_s


def test_a_stamp_that_is_not_newer_is_dropped_and_counted(lens, camera) -> None:
    stamp_s = lens.show()
    assert camera.wait_newer(0.0, 2.0)
    lens.show(stamp_s - 0.05)
    lens.show(stamp_s)
    time.sleep(0.1)
    frame = camera.latest(1.0)
    assert frame.pixels[0, 0, 0] == 1 and frame.stamp_s == pytest.approx(stamp_s, abs=1e-6)
    assert 1 <= camera.dropped <= 2  # the queue holds one


def test_a_clock_that_went_back_begins_anew(lens, camera) -> None:
    stamp_s = lens.show()
    assert camera.wait_newer(0.0, 2.0)
    for callback in camera._clock._callbacks:
        callback(100.0)
    with pytest.raises(CameraError, match="nothing on"):
        camera.latest(1e9)
    lens.show(stamp_s - 0.05)
    assert camera.wait_newer(0.0, 2.0)
    assert camera.latest(10.0).pixels[0, 0, 0] == 2


def test_a_picture_of_before_the_jump_does_not_bar_those_after_it(lens, camera) -> None:
    lens.show(rospy.get_time() + 500.0)
    assert camera.wait_newer(0.0, 2.0)
    with pytest.raises(CameraError, match=r"/third/color/image_raw is (4\d\d|500).* future"):
        camera.latest(1.0)
    lens.show()
    until(lambda: camera.stamp_s < rospy.get_time() + 1.0)
    assert camera.latest(1.0).pixels[0, 0, 0] == 2


def test_another_size_is_refused_with_topic_got_and_expected(lens, camera) -> None:
    lens.show(pixels=np.zeros((48, 64, 3), np.uint8))
    assert camera.wait_newer(0.0, 2.0)
    with pytest.raises(CameraError, match="/third/color/image_raw brings 64 x 48 px.*32 x 24"):
        camera.latest(1.0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"encoding": "mono8"}, "'mono8', expected rgb8 or bgr8"),
        ({"step": 90}, "row of 90 bytes for 32 pixels, expected 96"),
        ({"data": b"\0" * 100}, "100 bytes, expected 2304"),
        ({"height": 0}, "no pixels|32 x 0"),
    ],
)  # fmt: skip
def test_another_encoding_or_a_torn_picture_is_refused(lens, camera, change, said) -> None:
    message = array_to_image(np.zeros((24, 32, 3), np.uint8), rospy.get_time(), "frame")
    for key, value in change.items():
        setattr(message, key, value)
    lens.send(message)
    assert camera.wait_newer(0.0, 2.0)
    with pytest.raises(CameraError, match=said) as error:
        camera.latest(1.0)
    assert "'third'" in str(error.value) and "/third/color/image_raw" in str(error.value)


def test_equal_pictures_are_frozen_only_where_it_was_asked_to_look(lens, camera) -> None:
    looking = TopicCamera("third", TOPIC, RosClock(), SIZE, frozen_frames=5)
    looking.open()
    for _ in range(7):
        stamp_s = lens.show(pixels=np.full((24, 32, 3), 9, np.uint8))
        assert looking.wait_newer(stamp_s - 1e-5, 2.0) and camera.wait_newer(stamp_s - 1e-5, 2.0)
    camera.latest(1.0)
    with pytest.raises(StaleFrameError, match="/third/color/image_raw is frozen: its last"):
        looking.latest(1.0)
    stamp_s = lens.show()
    assert looking.wait_newer(stamp_s - 1e-5, 2.0)
    looking.latest(1.0)
    looking.close()
