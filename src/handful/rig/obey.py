"""What an arm does this beat: follow the guard's command, or stand still and say why.

The last decision before the motors, and the only one that is made on the arm's side: it follows a
command that is fresh, near and allowed, and holds at the pose measured once otherwise. A fault is
latched until a person clears it; everything else ends with the next command that starts where the
arm is. Time is injected and must be a steady clock [s]; poses are X_BT.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handful.contract import Command
from handful.rig.approach import distance
from handful.rig.arm_settings import ObeySettings
from handful.rig.geometry import Matrix, exp_so3, pose

_DOWN = np.diag([1.0, -1.0, -1.0])


@dataclass(frozen=True)
class Measured:
    """The arm as its source last reported it: E in B, in joints, and when.

    stamp_s: on the source's clock [s]. heard_s: on ours, steady [s]. velocity: (6,) of E in B
    [m/s, rad/s]. q_rad: (N,), empty when the source does not know.
    """

    stamp_s: float
    heard_s: float
    X_BE: Matrix
    velocity: Matrix
    q_rad: NDArray[np.float64]


@dataclass(frozen=True)
class Told:
    """One command as it was heard. sender: the node it came from."""

    sequence: int
    goal: Command
    hold: bool
    valid_s: float
    reason: str
    frame_id: str
    sender: str


@dataclass(frozen=True)
class Duty:
    """The decision of one beat.

    goal_X_BT: where to go, or where to stand; None when that has never been measured.
    gripper_m: the opening to go to; None while standing. began: the first beat of standing still.
    reason: why it stands, for people; empty while it follows. fault: the same, when it is one.
    """

    follow: bool
    goal_X_BT: Matrix | None
    gripper_m: float | None
    began: bool
    reason: str
    fault: str


class Obey:
    """Hear commands, decide each beat. Not thread-safe: one thread calls everything."""

    def __init__(self, settings: ObeySettings, base_frame: str) -> None:
        self._s, self._base_frame = settings, base_frame
        self._told: Told | None = None
        self._heard_s = -math.inf
        self._senders: dict[str, float] = {}
        self._following = False
        self._started = False
        self._goal: Matrix | None = None
        self._hold: Matrix | None = None
        self._latched = ""
        self._refused: tuple[Matrix, str] | None = None
        #: Sequence of the last command obeyed, holds included; 0 before the first.
        self.sequence = 0
        #: The opening last asked for [m]; None before the first.
        self.gripper_m: float | None = None

    def hear(self, told: Told, now_s: float) -> None:
        """A command has arrived."""
        self._told, self._heard_s = told, now_s
        self._senders[told.sender] = now_s

    def refuse(self, reason: str) -> None:
        """The arm could not follow the last goal: stand still until it is another one."""
        if self._goal is not None:
            self._refused = (self._goal, reason)

    def clear(self, arm_fault: str) -> str:
        """A person says the fault is dealt with. Returns what forbids it; empty: it is cleared."""
        if arm_fault:
            return f"the arm still reports: {arm_fault}"
        self._latched = ""
        return ""

    def beat(
        self, X_BT: Matrix | None, age_s: float, arm_fault: str, obstacle: str, now_s: float
    ) -> Duty:
        """Decide. X_BT: measured, None when never; age_s: how long ago.

        arm_fault: what the arm complains of, latched. obstacle: why it cannot move right now, as
        long as that lasts.
        """
        self._latched = self._latched or arm_fault
        fresh = X_BT is not None and age_s <= self._s.max_state_age_s
        reason, fault = self._why_not(X_BT if fresh else None, age_s, obstacle, now_s)
        if fault or reason:
            began = self._following or not self._started
            if began:
                self._hold = X_BT.copy() if fresh and X_BT is not None else None
                self._started, self._following = True, False
            elif self._hold is None and fresh and X_BT is not None:
                self._hold = X_BT.copy()
            return Duty(False, self._hold, None, began, reason or fault, fault)
        assert self._told is not None
        self._goal = pose_down(self._told.goal)
        self._following = True
        self.sequence, self.gripper_m = self._told.sequence, self._told.goal.gripper_m
        return Duty(True, self._goal, self.gripper_m, False, "", "")

    def _why_not(
        self, X_BT: Matrix | None, age_s: float, obstacle: str, now_s: float
    ) -> tuple[str, str]:
        """(reason, fault): both empty when the newest command may be followed."""
        if self._latched:
            return self._latched, self._latched
        if X_BT is None:
            if math.isinf(age_s):
                return "", "the arm's state was never heard of"
            return "", f"the arm's state is silent for more than {self._s.max_state_age_s} s"
        if obstacle:
            return "", obstacle
        told = self._told
        if told is None:
            return "no command was heard yet", ""
        wrong = _malformed(told, self._base_frame)
        if wrong:
            return "", f"guard/command {told.sequence} from {told.sender}: {wrong}"
        allowed_s = min(told.valid_s, self._s.max_silence_s)
        silent_s = now_s - self._heard_s
        if silent_s > allowed_s:
            return "", f"guard/command is silent for more than {allowed_s} s"
        talking = sorted(s for s, at in self._senders.items() if now_s - at <= allowed_s)
        if len(talking) > 1:
            return "", f"two nodes publish guard/command: {' and '.join(talking)}"
        if told.hold:
            self._refused, self.sequence = None, told.sequence
            return told.reason or "the guard holds", ""
        goal = pose_down(told.goal)
        if self._refused is not None:
            if np.array_equal(self._refused[0], goal):
                return "", self._refused[1]
            self._refused = None
        return "", self._jump(goal, X_BT)

    def _jump(self, goal: Matrix, X_BT: Matrix) -> str:
        """Why the goal is too far: from the last goal when following, else from where it stands."""
        following = self._following and self._goal is not None
        start = self._goal if following and self._goal is not None else X_BT
        far_m, far_rad = distance(start, goal)
        if far_m <= self._s.max_jump_m and far_rad <= self._s.max_jump_rad:
            return ""
        return (
            f"refused a goal {far_m:.3f} m and {far_rad:.2f} rad from "
            f"{'the last one' if following else 'the measured pose'}, allowed are "
            f"{self._s.max_jump_m} m and {self._s.max_jump_rad} rad"
        )


def pose_down(command: Command) -> Matrix:
    """X_BT of a tool that points straight down: R_BT = Rz(yaw) Rx(pi)."""
    return pose(exp_so3([0.0, 0.0, command.yaw_rad]) @ _DOWN, command.p_BT_m)


def _malformed(told: Told, base_frame: str) -> str:
    numbers = [*told.goal.p_BT_m, told.goal.yaw_rad, told.goal.gripper_m, told.valid_s]
    if not np.isfinite(numbers).all():
        return f"every number must be finite, got {[float(n) for n in numbers]}"
    if told.valid_s <= 0.0:
        return f"valid_s must be above 0, got {told.valid_s}"
    if told.frame_id and told.frame_id.lstrip("/") != base_frame:
        return f"its frame is {told.frame_id!r}, expected {base_frame!r}"
    return ""
