"""Pictures that come late, in a world whose time passes only while somebody waits.

A look at a known moment wants the picture that arrives by then. It was taken earlier by as much as
it takes, so the camera says beforehand when, and physics stops there for it: one picture a look, as
without delays, and none is drawn for nothing.
"""

import math
from dataclasses import replace

import numpy as np

from handful.contract import Frame
from handful.rig.camera import StaleFrameError
from handful_twin.delays import InFlight, Item, Latency
from handful_twin.twin_arm import TwinArm
from handful_twin.twin_camera import TwinCamera
from handful_twin.world import World

_EARLY = 1.001e-3  # of a physics step; a hair more than the world's own, or it would wait for ever

LateState = tuple[Latency, float, int, tuple[tuple[Item[Frame], ...], float], Frame | None, bool]


class LateCamera:
    """A camera behind ``Camera``'s door whose pictures take a while; looked at on a beat.

    Look ``k`` is at ``begin_s + k * period_s``, and its picture is taken ``latency.of(k)`` before,
    on the last physics step that is early enough; its stamp stays that moment. What would have been
    taken before the beginning shows the scene as it stood then, which is at rest.
    """

    def __init__(self, camera: TwinCamera, world: World, period_s: float) -> None:
        self.name = camera.name
        self._camera, self._world, self._period_s = camera, world, period_s
        self._dt_s = 1.0 / world.settings.physics_rate_hz
        self._line: InFlight[Frame] = InFlight()
        self._newest: Frame | None = None
        self._seen, self._delay_s = False, 0.0
        self.begin(Latency())

    def open(self) -> None:
        """Start delivering."""
        self._camera.open()

    def close(self) -> None:
        """Stop delivering; twice is safe."""
        self._camera.close()

    def begin(self, latency: Latency) -> None:
        """An episode begins now: nothing is on its way, and these are its delays."""
        self._latency, self._begin_s, self._next = latency, self._world.time_s, 0
        self._late = bool(latency)
        self._due_s = self._taken_s()
        self._line.clear()
        self._newest, self._seen = None, False

    def next_s(self) -> float:
        """When the next picture has to be taken [s]; infinity without any delay."""
        return self._due_s

    def take(self) -> None:
        """Take every picture that is due by now."""
        while self._due_s <= self._world.time_s + _EARLY * self._dt_s:
            now = self._camera.latest(0.0)
            frame = Frame(now.camera, now.pixels, self._due_s, now.frame_id)
            self._line.send(self._due_s, self._delay_s, frame)
            self._next += 1
            self._due_s = self._taken_s()

    def latest(self, max_age_s: float) -> Frame:
        """The newest picture that has arrived; see ``Camera``.

        Raises:
            CameraError: before ``open`` or after ``close``.
            StaleFrameError: it is older than ``max_age_s``.
        """
        if not self._late:
            return self._camera.latest(max_age_s)
        self.take()
        now_s = self._world.time_s
        while self._line.next_s() <= now_s + _EARLY * self._dt_s:
            self._newest, self._seen = self._line.pop().value, False
        if self._newest is None:
            self._camera.latest(0.0)  # closed, perhaps
            raise StaleFrameError(f"twin camera {self.name!r}: no picture has arrived yet")
        age_s = now_s - self._newest.stamp_s
        if not age_s <= max_age_s:
            raise StaleFrameError(
                f"twin camera {self.name!r}: frame is {age_s:.3f} s old, allowed are {max_age_s} s"
            )
        frame = self._newest
        if self._seen:  # nobody may find his picture written over through another
            frame = replace(frame, pixels=np.copy(frame.pixels))
        self._seen = True
        return frame

    def save(self) -> LateState:
        """This moment, for ``restore``."""
        return (
            self._latency, self._begin_s, self._next, self._line.snapshot(), self._newest,
            self._seen,
        )  # fmt: skip

    def restore(self, state: LateState) -> None:
        """Go back to a moment of ``save``; the world has gone there already."""
        self._latency, self._begin_s, self._next, line, self._newest, self._seen = state
        self._line.put_back(line)
        self._late = bool(self._latency)
        self._due_s = self._taken_s()

    def _taken_s(self) -> float:
        """When the next picture is taken: on a physics step, no later than it must."""
        if not self._late:
            return math.inf
        self._delay_s = self._latency.of(self._next)
        due_s = self._begin_s + self._next * self._period_s - self._delay_s
        return math.floor(due_s / self._dt_s + _EARLY) * self._dt_s


class LateClock:
    """The world's own time, in which commands arrive and pictures are taken on the way."""

    def __init__(self, world: World, arm: TwinArm, cameras: list[LateCamera]) -> None:
        self._world, self._arm, self._cameras = world, arm, cameras

    def now_s(self) -> float:
        """Simulated seconds since the last reset."""
        return self._world.time_s

    def sleep_until(self, stamp_s: float) -> None:
        """Step physics until ``stamp_s``; what is due in between happens where it is due."""
        while (due_s := self._due_s()) < stamp_s:
            self._world.advance_until(due_s)
            if self._arm.next_s() <= due_s:
                self._arm.arrive()
            for camera in self._cameras:
                if camera.next_s() <= due_s:
                    camera.take()
        self._world.advance_until(stamp_s)
        self._arm.arrive()

    def _due_s(self) -> float:
        return min([self._arm.next_s(), *(camera.next_s() for camera in self._cameras)])
