"""Pull: reach behind a large box and draw it over a line towards the arm."""

import numpy as np
from pydantic import Field

from handful_twin.bodies import Body, Box, Fixture, Part, Vector
from handful_twin.tasks.base import Start, Task, TaskSettings, Truth, Want, on_table
from handful_twin.tasks.moves import hook

_BOX_RGB = (0.20, 0.38, 0.72)
_LINE_RGB = (0.93, 0.78, 0.20)
_GAP_M = 0.028  # from the box's far face to the tip behind it
_LOW_M = 0.045  # height of the tip while it pulls: the hand stays above the box
_HIGH_M = 0.13  # and on its way over it
_BEYOND_M = 0.015  # past the line, so that it has surely crossed


class PullSettings(TaskSettings):
    """Adds a box, and the x of the line [m]. Its yaw is uniform in +-box_yaw_rad."""

    box_size_m: Vector
    box_mass_kg: float = Field(default=0.3, gt=0.0)
    box_friction: float = Field(default=0.5, gt=0.0)
    box_min_m: tuple[float, float]
    box_max_m: tuple[float, float]
    box_yaw_rad: float = Field(default=0.15, ge=0.0)
    line_x_m: float = Field(default=0.40, gt=0.0)


class Pull(Task):
    """A large box drawn over a line towards the arm, hooked from behind.

    ============ ==========================================================================
    geometry     an 8 x 16 x 7 cm box of 300 g, too wide for the fingers; a line on the table
    reset        box x .47-.51, y +-.08 m, yaw +-.15 rad; line at x .40 m; tip in a
                 10 x 16 x 6 cm box above, any opening
    observations two pictures (uint8 RGB) and the arm's own state in [-1, 1]; no pose of things
    success      the box's middle at x <= .40 m, upright, held 5 steps (0.5 s): 7 to 11 cm
    on a robot   a tag on the box, or a light barrier along the line
    horizon      40 steps (4 s)
    ============ ==========================================================================
    """

    name = "pull"
    settings_class = PullSettings
    settings: PullSettings

    def bodies(self) -> dict[str, Body]:
        s = self.settings
        box = Box(s.box_size_m, s.box_mass_kg, _BOX_RGB, s.box_friction)
        line = Part((0.012, 0.40, 0.001), _LINE_RGB, (0.0, 0.0, 0.0005), solid=False)
        return {"box": box, "line": Fixture((line,))}

    def sample(self, rng: np.random.Generator) -> Start:
        s = self.settings
        tip_m = rng.uniform(s.start_min_m, s.start_max_m)
        xy_m = rng.uniform(s.box_min_m, s.box_max_m)
        yaw_rad = float(rng.uniform(-s.box_yaw_rad, s.box_yaw_rad))
        opening_m = float(rng.uniform(*s.start_gripper_m))
        poses = {
            "box": on_table(xy_m, 0.5 * s.box_size_m[2], yaw_rad),
            "line": on_table(np.array([s.line_x_m, 0.0])),
        }
        return Start(tip_m, 0.0, opening_m, poses)

    def success(self, truth: Truth) -> bool:
        upright = abs(truth.p_m("box")[2] - 0.5 * self.settings.box_size_m[2]) < 0.01
        return bool(upright and self.distance_m(truth) <= 0.0)

    def distance_m(self, truth: Truth) -> float:
        return max(0.0, float(truth.p_m("box")[0]) - self.settings.line_x_m)

    def plan(self, truth: Truth, before: Truth) -> Want:
        """Over the box, down behind it, and towards the arm."""
        box_m = truth.p_m("box")
        if box_m[0] < self.settings.line_x_m - _BEYOND_M:
            return Want(truth.p_BT_m.copy(), -1.0)
        behind_m = np.array(
            [box_m[0] + 0.5 * self.settings.box_size_m[0] + _GAP_M, box_m[1], _LOW_M]
        )
        to_m = behind_m - [box_m[0] - self.settings.line_x_m + _GAP_M + _BEYOND_M, 0.0, 0.0]
        return hook(truth, behind_m, to_m, _HIGH_M, wide_m=0.04)
