"""A wish to an action in [-1, 1]: scaled, in the axes of the rig, and with a grip that never jumps.

The guard stands behind it like behind everybody: speed, acceleration and walls are its business.
"""

import math

import numpy as np
from numpy.typing import NDArray

from handful.contract import ArmState
from handful.rig.action import tool_axes
from handful.rig.settings import ActionSettings
from handful.rig.teleop.device import Wish, clipped
from handful.rig.teleop.settings import TeleopSettings


class Drive:
    """One person at the wheel.

    Args:
        settings: scaling, and whose axes the person thinks in. action: the rig's actions.
    """

    def __init__(self, settings: TeleopSettings, action: ActionSettings) -> None:
        self._settings, self._action = settings, action
        self._with_yaw = action.yaw_step_rad > 0.0
        self._grip: float | None = None

    def action(self, wish: Wish, arm: ArmState) -> NDArray[np.float32] | None:
        """The action (A,) float32 that ``wish`` asks for; None while the deadman is not held.

        The grip begins at what the arm was told last, whoever told it: taking over opens no hand.
        """
        if not wish.held:
            self._grip = None
            return None
        if wish.grip is not None:
            self._grip = float(clipped([wish.grip])[0])
        elif self._grip is None:
            self._grip = self._told_grip(arm)
        scale = self._settings.scale * (self._settings.slow_scale if wish.slow else 1.0)
        move = scale * clipped(wish.move)
        if self._settings.frame == "tool":  # forward and left turn with the tool, up stays up
            c, s = math.cos(arm.target_yaw_rad), math.sin(arm.target_yaw_rad)
            move = np.array([c * move[0] - s * move[1], s * move[0] + c * move[1], move[2]])
        if self._action.frame == "tool":
            move = tool_axes(arm.target_yaw_rad).T @ move
        turn = [scale * float(clipped([wish.turn])[0])] if self._with_yaw else []
        return np.clip([*move, *turn, self._grip], -1.0, 1.0).astype(np.float32)

    def still(self, arm: ArmState) -> NDArray[np.float32]:
        """The action (A,) that moves nothing and keeps the grip."""
        return np.array([0.0] * (4 if self._with_yaw else 3) + [self._told_grip(arm)], np.float32)

    def _told_grip(self, arm: ArmState) -> float:
        told = 2.0 * arm.target_gripper_m / self._action.gripper_max_m - 1.0
        return float(clipped([told])[0])
