"""Stack: put a small cube on a larger one and leave it there."""

import numpy as np
from pydantic import Field

from handful_twin.bodies import Body, Box
from handful_twin.tasks.base import CubeSettings, CubeTask, Start, Truth, Want, draw_apart, on_table
from handful_twin.tasks.moves import carry, let_go, pick

_BASE_RGB = (0.20, 0.38, 0.72)
_CARRY_M = 0.14  # height of the tip on the way
_AWAY_M = 0.16  # and after letting go
_NEAR_M = 0.005  # over the other cube, when it may go down
_RESTS_M = 0.003  # above where it will lie, when it is let go


class StackSettings(CubeSettings):
    """Adds the cube below: edge, mass, where it may be, ``apart_m`` from the other; and what counts
    [m]: middles within ``within_m`` sideways, one above the other to ``height_tolerance_m``,
    opening and tip above theirs."""

    base_edge_m: float = Field(default=0.05, gt=0.0)
    base_mass_kg: float = Field(default=0.2, gt=0.0)
    base_min_m: tuple[float, float]
    base_max_m: tuple[float, float]
    base_yaw_rad: float = Field(default=0.3, ge=0.0)
    apart_m: float = Field(default=0.12, ge=0.0)
    within_m: float = Field(default=0.02, gt=0.0)
    height_tolerance_m: float = Field(default=0.006, gt=0.0)
    open_above_m: float = Field(default=0.055, lt=0.08)
    tip_above_m: float = Field(default=0.10, gt=0.0)


class Stack(CubeTask):
    """A red cube on a blue one, the hand away.

    ============ ==========================================================================
    geometry     a 4 cm cube of 100 g; a 5 cm cube of 200 g
    reset        both x .40-.56, y +-.16 m, .12 m apart; yaw +-.5 and +-.3 rad; tip in a
                 10 x 16 x 6 cm box above, any opening
    observations two pictures (uint8 RGB) and the arm's own state in [-1, 1]; no pose of things
    success      middles within .02 m sideways, one .045 +- .006 m above the other, opening >
                 .055, tip z > .10 m, held 5 steps (0.5 s)
    on a robot   two tags, opening and forward kinematics
    horizon      80 steps (8 s)
    ============ ==========================================================================
    """

    name = "stack"
    settings_class = StackSettings
    settings: StackSettings

    def bodies(self) -> dict[str, Body]:
        s = self.settings
        base = Box((s.base_edge_m,) * 3, s.base_mass_kg, _BASE_RGB, s.cube_friction)
        return {"cube": self.cube(), "base": base}

    def sample(self, rng: np.random.Generator) -> Start:
        s, start = self.settings, super().sample(rng)
        cube_m = start.poses["cube"][0][:2]
        xy_m = draw_apart(rng, s.base_min_m, s.base_max_m, cube_m, s.apart_m)
        yaw_rad = float(rng.uniform(-s.base_yaw_rad, s.base_yaw_rad))
        base = on_table(xy_m, 0.5 * s.base_edge_m, yaw_rad)
        return Start(start.p_BT_m, 0.0, start.gripper_m, {**start.poses, "base": base})

    def off_m(self, truth: Truth) -> float:
        """How far the cube is too high or too low to lie on the other [m]."""
        lies_m = 0.5 * (self.settings.base_edge_m + self.settings.cube_edge_m)
        return float(abs(truth.p_m("cube")[2] - truth.p_m("base")[2] - lies_m))

    def success(self, truth: Truth) -> bool:
        s = self.settings
        return bool(
            self.distance_m(truth) <= s.within_m
            and self.off_m(truth) <= s.height_tolerance_m
            and truth.gripper_m > s.open_above_m
            and truth.p_BT_m[2] > s.tip_above_m
        )

    def distance_m(self, truth: Truth) -> float:
        return float(np.linalg.norm((truth.p_m("cube") - truth.p_m("base"))[:2]))

    def plan(self, truth: Truth, before: Truth) -> Want:
        """Pick it up, carry it over the other, lower it, let go, away."""
        s = self.settings
        if self.distance_m(truth) <= 0.75 * s.within_m and self.off_m(truth) < _RESTS_M:
            return let_go(truth, s.open_above_m + 0.01, _AWAY_M)
        want = pick(truth, before, "cube", s.cube_edge_m)
        to_m = truth.p_m("base") + [0.0, 0.0, 0.5 * (s.base_edge_m + s.cube_edge_m)]
        return want or carry(truth, "cube", to_m, _CARRY_M, _NEAR_M)
