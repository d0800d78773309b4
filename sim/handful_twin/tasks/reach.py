"""Reach: bring the tool tip to a point above a cube and stay there."""

import numpy as np
from pydantic import Field

from handful_twin.tasks.base import Array, CubeSettings, CubeTask, Truth, Want


class ReachSettings(CubeSettings):
    """Adds: how high above the cube's middle the goal is, and how near counts [m]."""

    goal_above_m: float = Field(default=0.05, gt=0.0)
    tolerance_m: float = Field(default=0.02, gt=0.0)


class Reach(CubeTask):
    """Tip within 2 cm of a point 5 cm above the cube.

    ============ ==========================================================================
    geometry     a 4 cm cube on the table
    reset        cube x .40-.58, y +-.18 m, yaw +-.5 rad; tip in a 10 x 16 x 6 cm box above,
                 any opening
    observations two pictures (uint8 RGB) and the arm's own state in [-1, 1]; no pose of things
    success      ``|p_BT - (p_BO + (0, 0, .05))| <= .02`` m, held 5 steps (0.5 s)
    on a robot   forward kinematics and a tag on the cube
    horizon      30 steps (3 s)
    ============ ==========================================================================
    """

    name = "reach"
    settings_class = ReachSettings
    settings: ReachSettings

    def goal_m(self, truth: Truth) -> Array:
        """The point to reach (3,) [m] in B."""
        return truth.bodies["cube"][0] + np.array([0.0, 0.0, self.settings.goal_above_m])

    def success(self, truth: Truth) -> bool:
        return self.distance_m(truth) <= self.settings.tolerance_m

    def distance_m(self, truth: Truth) -> float:
        return float(np.linalg.norm(truth.p_BT_m - self.goal_m(truth)))

    def plan(self, truth: Truth, before: Truth) -> Want:
        return Want(self.goal_m(truth), 1.0)
