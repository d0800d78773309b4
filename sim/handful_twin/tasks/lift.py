"""Lift: grasp a cube, raise it and hold it."""

import numpy as np
from pydantic import Field, model_validator

from handful_twin.tasks.base import Task, TaskSettings, Truth, Want

_ABOVE_M = 0.07  # tip over the cube's middle before going down
_NEAR_M = 0.012  # miss, sideways and in height, with which the fingers close
_LOST_M = 0.03  # sideways miss, on the way down, that needs going up again
_BETWEEN_M = 0.02  # miss with which closed fingers have the cube between them
_CARRY_M = 0.20  # height of the tip to lift to
_STILL_M = 0.001  # change of opening in a step below which the fingers have closed on something


class LiftSettings(TaskSettings):
    """Adds the heights [m] and the opening [m] between which something is held."""

    tip_above_m: float = Field(default=0.14, gt=0.0)
    cube_above_m: float = Field(default=0.10, gt=0.0)
    width_min_m: float = Field(default=0.03, ge=0.0)
    width_max_m: float = Field(default=0.06, le=0.08)

    @model_validator(mode="after")
    def _cube_fits(self) -> "LiftSettings":
        if not self.width_min_m < self.cube_edge_m < self.width_max_m:
            raise ValueError("cube_edge_m must lie between width_min_m and width_max_m")
        return self


class Lift(Task):
    """Cube held between the fingers, well above the table.

    ============ ==========================================================================
    geometry     a 4 cm cube of 100 g on the table
    reset        cube x .40-.58, y +-.18 m, yaw +-.5 rad; tip in a 10 x 16 x 6 cm box above,
                 any opening
    success      tip z > .14, opening 3-6 cm, cube z > .10 m, held 5 steps (0.5 s)
    on a robot   opening and forward kinematics alone
    horizon      60 steps (6 s)
    ============ ==========================================================================
    """

    name = "lift"
    settings_class = LiftSettings
    settings: LiftSettings

    def success(self, truth: Truth) -> bool:
        s = self.settings
        return bool(
            truth.p_BT_m[2] > s.tip_above_m
            and s.width_min_m < truth.gripper_m < s.width_max_m
            and truth.bodies["cube"][0][2] > s.cube_above_m
        )

    def distance_m(self, truth: Truth) -> float:
        return float(max(0.0, self.settings.cube_above_m - truth.bodies["cube"][0][2]))

    def plan(self, truth: Truth, before: Truth) -> Want:
        """Above the cube, down, close until the fingers stand still, up."""
        tip_m, cube_m = truth.p_BT_m, truth.bodies["cube"][0]
        edge_m = self.settings.cube_edge_m
        beside_m = float(np.linalg.norm((tip_m - cube_m)[:2]))
        over_m = float(tip_m[2] - cube_m[2])
        if max(beside_m, abs(over_m)) < _BETWEEN_M and truth.gripper_m < 1.4 * edge_m:
            off_table = cube_m[2] > 0.75 * edge_m
            if off_table or abs(truth.gripper_m - before.gripper_m) < _STILL_M:
                return Want(np.array([*tip_m[:2], _CARRY_M]), -1.0)
            return Want(tip_m.copy(), -1.0)
        if max(beside_m, abs(over_m)) < _NEAR_M:
            return Want(cube_m.copy(), -1.0)
        on_the_way_m = _LOST_M if over_m < _ABOVE_M - _NEAR_M else _NEAR_M
        if beside_m < on_the_way_m:
            return Want(cube_m.copy(), 1.0)
        return Want(cube_m + np.array([0.0, 0.0, _ABOVE_M]), 1.0)
