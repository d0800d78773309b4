"""An action in [-1, 1] to an absolute command in metres and radians, and exactly back.

The only file that knows how far an action reaches. Steps are integrated on the arm's *target*,
never on the measurement: added to the measured pose, ten seconds of zero action drift by
centimetres.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from handful.contract import ArmState, Command
from handful.rig.settings import ActionSettings


class ActionError(ValueError):
    """An action that cannot be meant: wrong shape or not finite; the message gives both."""


class ActionScaler:
    """Actions (A,) in [-1, 1] <-> commands in B.

    The numbers of an action: x, y, z step of the tool tip in ``step_m``; yaw step in
    ``yaw_step_rad`` when that is above 0; last the gripper opening, -1 closed, +1 ``gripper_max_m``
    (absolute, not a step). In the tool frame the axes are those of R_BT = Rz(yaw) Rx(pi) at the
    target's yaw: z points down to the table, y along the finger opening. Yaw turns about B's z in
    either frame.
    """

    def __init__(self, settings: ActionSettings) -> None:
        self._settings = settings
        self._with_yaw = settings.yaw_step_rad > 0.0
        self._in_tool = settings.frame == "tool"
        self.dim = 5 if self._with_yaw else 4

    def to_command(self, action: ArrayLike, arm: ArmState) -> Command:
        """The command that ``action`` (A,) asks for, starting from the arm's target.

        Finite numbers outside [-1, 1] count as the nearest of the two.

        Raises:
            ActionError: the shape is not (A,), or a number is NaN or infinite.
        """
        try:
            values = np.asarray(action, dtype=np.float64)
        except (TypeError, ValueError):
            raise ActionError(f"action: expected {self.dim} numbers, got {action!r}") from None
        if values.shape != (self.dim,):
            raise ActionError(f"action: expected shape ({self.dim},), got {values.shape}")
        if not np.isfinite(values).all():
            raise ActionError(f"action: every number must be finite, got {values.tolist()}")
        values = np.clip(values, -1.0, 1.0)
        step_m = values[:3] * self._settings.step_m
        if self._in_tool:
            step_m = tool_axes(arm.target_yaw_rad) @ step_m
        yaw_step_rad = values[3] * self._settings.yaw_step_rad if self._with_yaw else 0.0
        return Command(
            p_BT_m=arm.target_p_BT_m + step_m,
            yaw_rad=float(arm.target_yaw_rad + yaw_step_rad),
            gripper_m=float(0.5 * (values[-1] + 1.0) * self._settings.gripper_max_m),
        )

    def to_action(self, command: Command, arm: ArmState) -> NDArray[np.float32]:
        """The action (A,) float32 that leads from the arm's target to ``command``.

        The inverse of ``to_command``, cut to [-1, 1] where the command is further than one action
        reaches (a hold far from the target). Demonstrations and verdicts become actions here.
        """
        step_m = command.p_BT_m - arm.target_p_BT_m
        if self._in_tool:
            step_m = tool_axes(arm.target_yaw_rad).T @ step_m
        values = np.empty(self.dim)
        values[:3] = step_m / self._settings.step_m
        if self._with_yaw:
            turn_rad = math.remainder(command.yaw_rad - arm.target_yaw_rad, math.tau)
            values[3] = turn_rad / self._settings.yaw_step_rad
        values[-1] = 2.0 * command.gripper_m / self._settings.gripper_max_m - 1.0
        return np.clip(values, -1.0, 1.0).astype(np.float32)


def tool_axes(yaw_rad: float) -> NDArray[np.float64]:
    """R_BT (3, 3) of a tool that points straight down and is turned by yaw about B's z."""
    c, s = math.cos(yaw_rad), math.sin(yaw_rad)
    return np.array([[c, s, 0.0], [s, -c, 0.0], [0.0, 0.0, -1.0]])
