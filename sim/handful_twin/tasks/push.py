"""Push: bring a cube onto a pad without lifting it."""

import numpy as np
from pydantic import Field

from handful_twin.bodies import Body, Fixture, Part
from handful_twin.tasks.base import Array, CubeSettings, CubeTask, Start, Truth, Want, on_table
from handful_twin.tasks.moves import CARE

_PAD_RGB = (0.22, 0.62, 0.32)
_LOW_M = 0.02  # height of the tip while it pushes
_HIGH_M = 0.075  # and on its way round the cube
_FINGERS_M = np.array([0.010, 0.016])  # half of the closed fingers along x and y
_GAP_M = 0.012  # between fingers and cube before they touch
_ASIDE_M = 0.016  # off the line through cube and pad, more than which it goes round again


class PushSettings(CubeSettings):
    """Adds a pad: its edge, where it may be (its y within ``pad_aside_m`` of the cube's), and how
    near to its middle counts [m]."""

    pad_edge_m: float = Field(default=0.10, gt=0.0)
    pad_min_m: tuple[float, float]
    pad_max_m: tuple[float, float]
    pad_aside_m: float = Field(default=0.05, ge=0.0)
    tolerance_m: float = Field(default=0.03, gt=0.0)


class Push(CubeTask):
    """Cube pushed onto a green pad.

    ============ ==========================================================================
    geometry     a 4 cm cube of 100 g, a flat pad of 10 cm further from the arm
    reset        cube x .38-.42, y +-.10 m, yaw +-.3 rad; pad x .50-.56 m, its y within .05 m
                 of the cube's; tip in a 10 x 16 x 6 cm box above, closed
    observations two pictures (uint8 RGB) and the arm's own state in [-1, 1]; no pose of things
    success      cube within .03 m of the pad's middle and on the table, held 5 steps (0.5 s)
    on a robot   a tag on the cube, or its colour, seen by a camera over the table
    horizon      60 steps (6 s)
    ============ ==========================================================================
    """

    name = "push"
    settings_class = PushSettings
    settings: PushSettings

    def bodies(self) -> dict[str, Body]:
        edge_m = self.settings.pad_edge_m
        pad = Part((edge_m, edge_m, 0.001), _PAD_RGB, (0.0, 0.0, 0.0005), solid=False)
        return {"cube": self.cube(), "pad": Fixture((pad,))}

    def sample(self, rng: np.random.Generator) -> Start:
        s, start = self.settings, super().sample(rng)
        x_m = rng.uniform(s.pad_min_m[0], s.pad_max_m[0])
        y_m = start.poses["cube"][0][1] + rng.uniform(-s.pad_aside_m, s.pad_aside_m)
        y_m = np.clip(y_m, s.pad_min_m[1], s.pad_max_m[1])
        pad = on_table(np.array([x_m, y_m]))
        return Start(start.p_BT_m, 0.0, start.gripper_m, {**start.poses, "pad": pad})

    def success(self, truth: Truth) -> bool:
        on_table = truth.p_m("cube")[2] < 0.75 * self.settings.cube_edge_m
        return bool(on_table and self.distance_m(truth) <= self.settings.tolerance_m)

    def distance_m(self, truth: Truth) -> float:
        return float(np.linalg.norm(self._way_m(truth)))

    def _way_m(self, truth: Truth) -> Array:
        return (truth.p_m("pad") - truth.p_m("cube"))[:2]

    def plan(self, truth: Truth, before: Truth) -> Want:
        """Behind the cube, down, and along the line through cube and pad; round it after a slip."""
        tip_m, cube_m, way_m = truth.p_BT_m, truth.p_m("cube"), self._way_m(truth)
        left_m = float(np.linalg.norm(way_m))
        if left_m < 0.4 * self.settings.tolerance_m:
            return Want(tip_m.copy(), -1.0)
        along = way_m / left_m
        touch_m = 0.55 * self.settings.cube_edge_m + float(np.abs(along) @ _FINGERS_M)
        rel_m = tip_m[:2] - cube_m[:2]
        ahead_m = float(rel_m @ along)
        aside_m = float(np.linalg.norm(rel_m - ahead_m * along))
        behind_m = cube_m[:2] - (touch_m + _GAP_M) * along
        if tip_m[2] < _LOW_M + 0.012 and aside_m < _ASIDE_M and ahead_m < 0.006 - 0.5 * touch_m:
            step_m = min(0.03, left_m + 0.004)
            to_m = cube_m[:2] - (touch_m - step_m) * along
            return Want(np.array([*to_m, _LOW_M]), -1.0, CARE)
        near_m = 0.012 if tip_m[2] > _HIGH_M - 0.015 else 0.02
        if float(np.linalg.norm(tip_m[:2] - behind_m)) < near_m:
            return Want(np.array([*behind_m, _LOW_M]), -1.0, CARE)
        if tip_m[2] < _HIGH_M - 0.025:
            return Want(np.array([*tip_m[:2], _HIGH_M]), -1.0)
        return Want(np.array([*behind_m, _HIGH_M]), -1.0)
