"""Lift: grasp a cube, raise it and hold it."""

import numpy as np
from pydantic import Field, model_validator

from handful_twin.tasks.base import CubeSettings, CubeTask, Truth, Want
from handful_twin.tasks.moves import pick

_CARRY_M = 0.20  # height of the tip to lift to


class LiftSettings(CubeSettings):
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


class Lift(CubeTask):
    """Cube held between the fingers, well above the table.

    ============ ==========================================================================
    geometry     a 4 cm cube of 100 g on the table
    reset        cube x .40-.58, y +-.18 m, yaw +-.5 rad; tip in a 10 x 16 x 6 cm box above,
                 any opening
    observations two pictures (uint8 RGB) and the arm's own state in [-1, 1]; no pose of things
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
        want = pick(truth, before, "cube", self.settings.cube_edge_m)
        return want or Want(np.array([*truth.p_BT_m[:2], _CARRY_M]), -1.0)
