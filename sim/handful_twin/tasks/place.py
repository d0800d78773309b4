"""Place: put a cube into a tray and leave it there."""

import numpy as np
from pydantic import Field

from handful_twin.bodies import Body, Fixture, Part
from handful_twin.tasks.base import CubeSettings, CubeTask, Start, Truth, Want, draw_apart, on_table
from handful_twin.tasks.moves import carry, let_go, pick

_TRAY_RGB = (0.24, 0.42, 0.70)
_FLOOR_M = 0.004  # thickness of the tray's floor
_WALL_M = 0.006  # and of its walls
_CARRY_M = 0.12  # height of the tip on the way
_AWAY_M = 0.16  # and after letting go
_NEAR_M = 0.02  # over the tray, when it may go down
_RESTS_M = 0.006  # above where it will lie, when it is let go


class PlaceSettings(CubeSettings):
    """Adds a tray: its edge and the height of its walls, where it may be, ``apart_m`` from the
    cube, and what counts [m]: the cube within ``within_m`` of its middle and below
    ``cube_below_m``, opening and tip above theirs."""

    tray_edge_m: float = Field(default=0.12, gt=0.0)
    tray_wall_m: float = Field(default=0.032, gt=0.0)
    tray_min_m: tuple[float, float]
    tray_max_m: tuple[float, float]
    apart_m: float = Field(default=0.14, ge=0.0)
    within_m: float = Field(default=0.05, gt=0.0)
    cube_below_m: float = Field(default=0.04, gt=0.0)
    open_above_m: float = Field(default=0.055, lt=0.08)
    tip_above_m: float = Field(default=0.10, gt=0.0)


class Place(CubeTask):
    """Cube in a tray, the hand away.

    ============ ==========================================================================
    geometry     a 4 cm cube of 100 g; a tray of 12 cm with walls of 3.2 cm
    reset        cube x .40-.56, y +-.16 m, yaw +-.5 rad; tray x .42-.54, y +-.14 m, middles
                 .14 m apart; tip in a 10 x 16 x 6 cm box above, any opening
    observations two pictures (uint8 RGB) and the arm's own state in [-1, 1]; no pose of things
    success      cube within .05 m of the tray's middle, z < .04, opening > .055, tip z > .10
                 m, held 5 steps (0.5 s)
    on a robot   opening, forward kinematics, and a tag or a scale under the tray
    horizon      80 steps (8 s)
    ============ ==========================================================================
    """

    name = "place"
    settings_class = PlaceSettings
    settings: PlaceSettings

    def bodies(self) -> dict[str, Body]:
        s = self.settings
        edge_m, high_m = s.tray_edge_m, s.tray_wall_m
        middle_m = 0.5 * (edge_m - _WALL_M)
        floor = Part((edge_m, edge_m, _FLOOR_M), _TRAY_RGB, (0.0, 0.0, 0.5 * _FLOOR_M))
        walls = [
            Part(
                (_WALL_M, edge_m, high_m) if x else (edge_m, _WALL_M, high_m),
                _TRAY_RGB,
                (x * middle_m, y * middle_m, 0.5 * high_m),
            )
            for x, y in ((-1, 0), (1, 0), (0, -1), (0, 1))
        ]
        return {"cube": self.cube(), "tray": Fixture((floor, *walls))}

    def sample(self, rng: np.random.Generator) -> Start:
        s, start = self.settings, super().sample(rng)
        cube_m = start.poses["cube"][0][:2]
        tray = on_table(draw_apart(rng, s.tray_min_m, s.tray_max_m, cube_m, s.apart_m))
        return Start(start.p_BT_m, 0.0, start.gripper_m, {**start.poses, "tray": tray})

    def success(self, truth: Truth) -> bool:
        s = self.settings
        return bool(
            self.distance_m(truth) <= s.within_m
            and self._over_m(truth) < s.cube_below_m
            and truth.gripper_m > s.open_above_m
            and truth.p_BT_m[2] > s.tip_above_m
        )

    def distance_m(self, truth: Truth) -> float:
        return float(np.linalg.norm((truth.p_m("cube") - truth.p_m("tray"))[:2]))

    def _over_m(self, truth: Truth) -> float:
        """Height of the cube's middle over what the tray stands on [m]."""
        return float(truth.p_m("cube")[2] - truth.p_m("tray")[2])

    def plan(self, truth: Truth, before: Truth) -> Want:
        """Pick it up, carry it over the tray, lower it, let go, away."""
        s = self.settings
        lies_m = _FLOOR_M + 0.5 * s.cube_edge_m
        if self.distance_m(truth) <= s.within_m and self._over_m(truth) < lies_m + _RESTS_M:
            return let_go(truth, s.open_above_m + 0.01, _AWAY_M)
        want = pick(truth, before, "cube", s.cube_edge_m)
        to_m = truth.p_m("tray") + [0.0, 0.0, lies_m]
        return want or carry(truth, "cube", to_m, _CARRY_M, _NEAR_M)
