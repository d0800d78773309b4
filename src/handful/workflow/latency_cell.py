"""The live twin behind the rig's doors, in virtual time: a cell whose delays only it knows.

``LiveTwin`` lives by itself and obeys late; here its clock is moved by whoever sleeps on it, so a
measurement of minutes takes seconds and comes out the same every time.
"""

import numpy as np
from handful_twin.live import LiveTwin, Order, Report
from handful_twin.settings import LiveSettings
from handful_twin.stage import Stage

from handful.contract import ArmState, Command, Frame
from handful.rig.camera import CameraError, StaleFrameError

_VALID_S = 1.0  # an order holds until the next, which comes 20 ms later


class LiveCell:
    """arm, cameras, clock: the rig's doors to one live twin, all on the cell's time."""

    def __init__(self, stage: Stage, settings: LiveSettings) -> None:
        self._twin = LiveTwin(stage, settings)
        self._frames: dict[str, Frame] = {}
        self._report: Report | None = None
        self._orders = 0
        self._target: Command | None = None
        self.clock, self.arm = _Clock(self), _Arm(self)
        self.cameras = {name: _Camera(name, self) for name in stage.cameras}
        self.live_until(0.1)

    def live_until(self, stamp_s: float) -> None:
        """Let the cell live until ``stamp_s`` [s] and keep the newest of what it delivers."""
        for thing in self._twin.advance(stamp_s, stamp_s):
            if isinstance(thing, Frame):
                self._frames[thing.camera] = thing
            else:
                self._report = thing
        self._now_s = stamp_s

    @property
    def now_s(self) -> float:
        """The cell's time [s]."""
        return self._now_s

    def state(self) -> ArmState:
        """What the arm said last, with the newest target that was sent."""
        if self._report is None:
            raise CameraError("the twin has not said anything yet")
        state = self._report.arm
        if self._target is None:
            return state
        values = {
            **state.__dict__,
            "target_p_BT_m": self._target.p_BT_m.copy(),
            "target_yaw_rad": self._target.yaw_rad,
            "target_gripper_m": self._target.gripper_m,
        }
        return ArmState(**values)

    def send(self, command: Command) -> None:
        """An order on its way to the arm."""
        self._orders += 1
        self._target = Command(
            np.array(command.p_BT_m, np.float64), command.yaw_rad, command.gripper_m
        )
        order = Order(self._orders, self._now_s, self._target, False, _VALID_S)
        self._twin.receive(order, self._now_s)

    def hold(self) -> None:
        """Stand still."""
        self._orders += 1
        state = self.state()
        here = Command(state.p_BT_m, state.yaw_rad, state.gripper_m)
        self._target = here
        self._twin.receive(Order(self._orders, self._now_s, here, True, _VALID_S), self._now_s)

    def frame(self, name: str, max_age_s: float) -> Frame:
        """The newest picture that has arrived."""
        frame = self._frames.get(name)
        if frame is None:
            raise CameraError(f"camera {name!r}: no picture has arrived yet")
        if not self._now_s - frame.stamp_s <= max_age_s:
            raise StaleFrameError(
                f"camera {name!r}: frame is {self._now_s - frame.stamp_s:.3f} s old, "
                f"allowed are {max_age_s} s"
            )
        return frame

    def close(self) -> None:
        """Let the twin go."""
        self._twin.close()


class _Clock:
    def __init__(self, cell: LiveCell) -> None:
        self._cell = cell

    def now_s(self) -> float:
        return self._cell.now_s

    def sleep_until(self, stamp_s: float) -> None:
        if stamp_s > self._cell.now_s:
            self._cell.live_until(stamp_s)


class _Arm:
    def __init__(self, cell: LiveCell) -> None:
        self._cell = cell

    def state(self) -> ArmState:
        return self._cell.state()

    def send(self, command: Command) -> None:
        self._cell.send(command)

    def stop(self) -> None:
        self._cell.hold()


class _Camera:
    def __init__(self, name: str, cell: LiveCell) -> None:
        self.name, self._cell = name, cell

    def open(self) -> None:
        """Pictures come by themselves."""

    def latest(self, max_age_s: float) -> Frame:
        return self._cell.frame(self.name, max_age_s)

    def close(self) -> None:
        """Nothing to let go; the cell belongs to the caller."""
