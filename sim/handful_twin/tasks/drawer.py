"""Drawer: pull a drawer open by its handle."""

import numpy as np
from pydantic import Field, model_validator

from handful_twin.bodies import Body, Fixture, Moving, Part
from handful_twin.tasks.base import Start, Task, TaskSettings, Truth, Want, on_table
from handful_twin.tasks.moves import hook

_WOOD_RGB = (0.45, 0.47, 0.50)
_FRONT_RGB = (0.88, 0.84, 0.76)
_HANDLE_RGB = (0.80, 0.13, 0.11)
_INSIDE_RGB = (0.62, 0.52, 0.38)
_DEEP_M, _WIDE_M, _TALL_M, _WALL_M = 0.14, 0.18, 0.11, 0.008  # of the cabinet
_FRONT_M = 0.01  # thickness of the drawer's front
_BAR_OUT_M = 0.045  # middle of the bar before the front
_BAR_M = (0.010, 0.10, 0.014)
_BAR_Z_M = 0.088
_LOW_M = 0.086  # height of the tip behind the bar: the hand stays above the cabinet
_HIGH_M = 0.15


class DrawerSettings(TaskSettings):
    """Adds where the cabinet may be [m], how far the drawer slides, how far is open [m], and its
    dry friction [N]."""

    cabinet_min_m: tuple[float, float]
    cabinet_max_m: tuple[float, float]
    travel_m: float = Field(default=0.13, gt=0.0)
    open_m: float = Field(default=0.10, gt=0.0)
    drawer_friction_n: float = Field(default=1.5, gt=0.0)
    drawer_mass_kg: float = Field(default=0.3, gt=0.0)

    @model_validator(mode="after")
    def _can_be_opened(self) -> "DrawerSettings":
        if self.open_m >= self.travel_m:
            raise ValueError("open_m must be below travel_m")
        return self


class Drawer(Task):
    """A drawer pulled out of its cabinet, away from the arm and towards the camera.

    ============ ==========================================================================
    geometry     a cabinet of 14 x 18 x 11 cm whose drawer slides 13 cm along +x against 1.5 N
                 of dry friction; a bar handle 4.5 cm before its front
    reset        cabinet x .32-.37, y +-.10 m, drawer closed; tip in a 10 x 16 x 6 cm box
                 above, any opening
    observations two pictures (uint8 RGB) and the arm's own state in [-1, 1]; no pose of things
    success      drawer open by .10 m or more, held 5 steps (0.5 s)
    on a robot   a string potentiometer, or tags on cabinet and drawer
    horizon      40 steps (4 s)
    ============ ==========================================================================
    """

    name = "drawer"
    settings_class = DrawerSettings
    settings: DrawerSettings

    def bodies(self) -> dict[str, Body]:
        s = self.settings
        side_m = 0.5 * (_WIDE_M - _WALL_M)
        cabinet = (
            Part((_DEEP_M, _WIDE_M, _WALL_M), _WOOD_RGB, (0.0, 0.0, _TALL_M - 0.5 * _WALL_M)),
            Part((_DEEP_M, _WALL_M, _TALL_M), _WOOD_RGB, (0.0, side_m, 0.5 * _TALL_M)),
            Part((_DEEP_M, _WALL_M, _TALL_M), _WOOD_RGB, (0.0, -side_m, 0.5 * _TALL_M)),
            Part((_WALL_M, _WIDE_M, _TALL_M), _WOOD_RGB, (-0.5 * _DEEP_M, 0.0, 0.5 * _TALL_M)),
        )
        moving = Moving(
            name="drawer",
            kind="slide",
            parts=self._drawer(),
            axis=(1.0, 0.0, 0.0),
            origin_m=(0.5 * _DEEP_M, 0.0, 0.0),
            lower=0.0,
            upper=s.travel_m,
            friction=s.drawer_friction_n,
            mass_kg=s.drawer_mass_kg,
        )
        return {"cabinet": Fixture(cabinet, moving=moving)}

    def _drawer(self) -> tuple[Part, ...]:
        """Front, bar and its two posts are felt; the tray behind them is only seen."""
        wide_m, tall_m = _WIDE_M - 2.5 * _WALL_M, _TALL_M - 2.0 * _WALL_M
        post_m, deep_m = 0.5 * _BAR_M[1] - 0.005, _DEEP_M - 2.0 * _WALL_M
        posts = [
            Part(
                (_BAR_OUT_M, 0.010, _BAR_M[2]),
                _HANDLE_RGB,
                (_FRONT_M + 0.5 * _BAR_OUT_M, y_m, _BAR_Z_M),
            )
            for y_m in (-post_m, post_m)
        ]
        sides = [
            Part(
                (deep_m, 0.006, 0.6 * tall_m),
                _INSIDE_RGB,
                (-0.5 * deep_m, side * 0.5 * (wide_m - 0.006), 0.4 * tall_m),
                solid=False,
            )
            for side in (-1.0, 1.0)
        ]
        floor = Part((deep_m, wide_m, 0.006), _INSIDE_RGB, (-0.5 * deep_m, 0.0, 0.012), solid=False)
        front = Part(
            (_FRONT_M, _WIDE_M, _TALL_M - 0.002),
            _FRONT_RGB,
            (0.5 * _FRONT_M, 0.0, 0.5 * _TALL_M),
        )
        bar = Part(_BAR_M, _HANDLE_RGB, (_FRONT_M + _BAR_OUT_M, 0.0, _BAR_Z_M))
        return (front, bar, *posts, floor, *sides)

    def sample(self, rng: np.random.Generator) -> Start:
        s = self.settings
        tip_m = rng.uniform(s.start_min_m, s.start_max_m)
        cabinet = on_table(rng.uniform(s.cabinet_min_m, s.cabinet_max_m))
        opening_m = float(rng.uniform(*s.start_gripper_m))
        return Start(tip_m, 0.0, opening_m, {"cabinet": cabinet})

    def opened_m(self, truth: Truth) -> float:
        """How far the drawer is out [m]."""
        return float(truth.pose_in("drawer", "cabinet")[0, 3]) - 0.5 * _DEEP_M

    def success(self, truth: Truth) -> bool:
        return self.opened_m(truth) >= self.settings.open_m

    def distance_m(self, truth: Truth) -> float:
        return max(0.0, self.settings.open_m - self.opened_m(truth))

    def plan(self, truth: Truth, before: Truth) -> Want:
        """Down between front and bar, and along."""
        left_m = self.settings.open_m + 0.02 - self.opened_m(truth)
        if left_m < 0.0:
            return Want(truth.p_BT_m.copy(), -1.0)
        gap_m = _FRONT_M + 0.5 * (_BAR_OUT_M - 0.5 * _BAR_M[0])
        between_m = truth.p_m("drawer") + [gap_m, 0.0, _LOW_M]
        to_m = between_m + [left_m + 0.02, 0.0, 0.0]
        return hook(truth, between_m, to_m, _HIGH_M, wide_m=0.02)
