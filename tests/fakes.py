"""Fakes one can do sums with: a clock that moves when told, a counting camera, an arm that obeys.

They check what they are handed, so a test that feeds them nonsense fails where it is born.
"""

import math

import numpy as np
from numpy.typing import NDArray

from handful.contract import ArmState, Command, Frame
from handful.rig.arm import ArmError
from handful.rig.camera import CameraError, StaleFrameError


class FakeClock:
    """A clock that stands still until someone sleeps on it or moves it."""

    def __init__(self, start_s: float = 100.0) -> None:
        self._now_s = start_s

    def now_s(self) -> float:
        return self._now_s

    def sleep_until(self, stamp_s: float) -> None:
        assert math.isfinite(stamp_s)
        self._now_s = max(self._now_s, stamp_s)

    def advance(self, seconds_s: float) -> None:
        assert seconds_s >= 0.0
        self._now_s += seconds_s

    def rewind(self, stamp_s: float) -> None:
        """Back to an earlier moment, as the clock of a twin that was put back to then."""
        assert stamp_s <= self._now_s
        self._now_s = stamp_s


class CounterCamera:
    """Paints its frame number into every pixel: frame n is all n % 256, red + 1, blue + 2.

    A frame is taken at each ``latest``; ``lag_s`` is how old it is by then. Set ``frozen`` and the
    camera hangs: it has only the last frame to offer.
    """

    def __init__(
        self, clock: FakeClock, name: str = "third", height: int = 84, width: int = 84
    ) -> None:
        self.name, self.lag_s, self.frozen, self.count = name, 0.0, False, 0
        self._clock, self._shape = clock, (height, width, 3)
        self._open = False
        self._last_stamp_s = -math.inf

    def open(self) -> None:
        self._open = True

    def latest(self, max_age_s: float) -> Frame:
        if not self._open:
            raise CameraError(f"camera {self.name!r} is not open")
        if not self.frozen:
            self.count += 1
            self._last_stamp_s = max(self._last_stamp_s, self._clock.now_s() - self.lag_s)
        age_s = self._clock.now_s() - self._last_stamp_s
        if not age_s <= max_age_s:
            raise StaleFrameError(
                f"camera {self.name!r}: frame is {age_s:.3f} s old, allowed are {max_age_s} s"
            )
        return Frame(self.name, self.paint(self.count), self._last_stamp_s, f"{self.name}_optical")

    def close(self) -> None:
        self._open = False

    def rewind(self, count: int, stamp_s: float) -> None:
        """Back to the frame ``count`` that was taken at ``stamp_s``."""
        assert count <= self.count
        self.count, self._last_stamp_s = count, stamp_s

    def paint(self, number: int) -> NDArray[np.uint8]:
        pixels = np.empty(self._shape, np.uint8)
        pixels[:] = np.array([number + 1, number, number + 2]) % 256
        return pixels


class PerfectArm:
    """Is where it was told to be at once, and remembers every command in ``sent``.

    Set ``blocked`` and it accepts targets without moving. ``lag_s`` ages its stamps.
    """

    def __init__(self, clock: FakeClock, p_BT_m: tuple[float, ...] = (0.45, 0.0, 0.2)) -> None:
        self._clock, self.lag_s, self.blocked = clock, 0.0, False
        self.sent: list[Command] = []
        self.stops = 0
        self._p_m = np.array(p_BT_m)
        self._yaw_rad, self._grip_m = 0.0, 0.08
        self._target = Command(self._p_m.copy(), 0.0, 0.08)

    def state(self) -> ArmState:
        return ArmState(
            stamp_s=self._clock.now_s() - self.lag_s,
            p_BT_m=self._p_m.copy(),
            yaw_rad=self._yaw_rad,
            gripper_m=self._grip_m,
            v_BT_m_s=np.zeros(3),
            q_rad=np.zeros(7),
            target_p_BT_m=self._target.p_BT_m.copy(),
            target_yaw_rad=self._target.yaw_rad,
            target_gripper_m=self._target.gripper_m,
        )

    def send(self, command: Command) -> None:
        numbers = (*np.asarray(command.p_BT_m), command.yaw_rad, command.gripper_m)
        if not all(map(math.isfinite, numbers)):
            raise ArmError(f"fake arm: command is not finite: {command}")
        assert np.asarray(command.p_BT_m).shape == (3,)
        self.sent.append(command)
        self._target = Command(command.p_BT_m.copy(), command.yaw_rad, command.gripper_m)
        if not self.blocked:
            self._p_m = command.p_BT_m.copy()
            self._yaw_rad, self._grip_m = command.yaw_rad, command.gripper_m

    def stop(self) -> None:
        self.stops += 1
        self._target = Command(self._p_m.copy(), self._yaw_rad, self._target.gripper_m)
