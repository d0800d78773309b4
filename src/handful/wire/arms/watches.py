"""Complaints of robots that are not part of their pose: modes, errors, stops."""

from typing import Any

from std_msgs.msg import Bool

from handful.wire.arms import foreign
from handful.wire.arms.door import Cell
from handful.wire.arms.settings import FrankaWatch, UrWatch
from handful.wire.arms.sources import Slot, franka_fault


class Ur:
    """ur_robot_driver: latched topics robot_mode, safety_mode and robot_program_running."""

    def __init__(self, settings: UrWatch, cell: Cell) -> None:
        self._robot_kind = foreign.message("ur_dashboard_msgs", "RobotMode", "the ur watch")
        self._safety_kind = foreign.message("ur_dashboard_msgs", "SafetyMode", "the ur watch")
        self._robot = Slot(f"{settings.name}/robot_mode", self._robot_kind)
        self._safety = Slot(f"{settings.name}/safety_mode", self._safety_kind)
        self._program = Slot(f"{settings.name}/robot_program_running", Bool)

    def fault(self) -> str:
        """Anything but a running robot in normal or reduced safety mode."""
        robot, safety = self._robot.read(), self._safety.read()
        fine = (self._safety_kind.NORMAL, self._safety_kind.REDUCED)
        if safety is not None and safety[0].mode not in fine:
            return f"ur: safety mode is {_name(self._safety_kind, safety[0].mode)}"
        if robot is not None and robot[0].mode != self._robot_kind.RUNNING:
            return f"ur: robot mode is {_name(self._robot_kind, robot[0].mode)}"
        return ""

    def obstacle(self) -> str:
        """Not heard of yet, or the program on the pendant does not run."""
        silent = [
            slot.topic for slot in (self._robot, self._safety, self._program) if not slot.read()
        ]
        if silent:
            return f"ur: waiting for {', '.join(silent)}"
        program = self._program.read()
        running = program is not None and program[0].data
        return "" if running else "ur: the External Control program is not running on the pendant"


class FrankaErrors:
    """robot_mode and current_errors of FrankaState."""

    def __init__(self, settings: FrankaWatch, cell: Cell) -> None:
        self._kind = foreign.message("franka_msgs", "FrankaState", "the franka watch")
        self._slot = Slot(settings.topic, self._kind)

    def fault(self) -> str:
        """As the franka source says it."""
        newest = self._slot.read()
        return "" if newest is None else franka_fault(newest[0], self._kind)

    def obstacle(self) -> str:
        """Not heard of yet."""
        return "" if self._slot.read() else f"franka: waiting for {self._slot.topic}"


def _name(kind: Any, value: int) -> str:
    names = [n for n, v in vars(kind).items() if n.isupper() and v == value and n[0] != "_"]
    return names[0].lower().replace("_", " ") if names else str(value)
