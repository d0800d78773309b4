"""Peg: bring a square peg into a hole with two millimetres to spare."""

import math

import numpy as np
from pydantic import Field, model_validator

from handful_twin.bodies import Body, Box, Fixture, Part
from handful_twin.tasks.base import Array, Start, Task, TaskSettings, Truth, Want, on_table

_PEG_RGB = (0.80, 0.13, 0.11)
_BLOCK_RGB = (0.86, 0.70, 0.24)
_FUNNEL_RGB = (0.95, 0.86, 0.55)
_HOLE_RGB = (0.10, 0.10, 0.12)
_PLATE_M = 0.002  # thickness of the funnel's plates
_GRIPPED_M = 0.02  # of the peg above the tip
_OVER_M = 0.03  # of the peg's end over the block on the way
_NEAR_M = 0.0015  # sideways miss with which it goes down
_SLOW_M = 0.012  # a step down, inside the funnel and the hole
_CARE = 0.1  # 0.6 mm a step; with twice that, one randomised peg in twenty met the rim of the hole


class PegSettings(TaskSettings):
    """Adds peg and block [m]. The hole is ``clearance_m`` wider than the peg, with a funnel of
    ``funnel_m`` around it; the peg's end must be ``depth_m`` below the block's top."""

    peg_width_m: float = Field(default=0.03, gt=0.005, lt=0.07)
    peg_length_m: float = Field(default=0.08, gt=0.0)
    peg_mass_kg: float = Field(default=0.1, gt=0.0)
    clearance_m: float = Field(default=0.002, gt=0.0)
    funnel_m: float = Field(default=0.006, gt=0.0)
    block_edge_m: float = Field(default=0.12, gt=0.0)
    block_height_m: float = Field(default=0.04, gt=0.0)
    block_friction: float = Field(default=0.2, gt=0.0)
    block_min_m: tuple[float, float]
    block_max_m: tuple[float, float]
    depth_m: float = Field(default=0.025, gt=0.0)

    @model_validator(mode="after")
    def _fits(self) -> "PegSettings":
        if self.depth_m >= self.block_height_m:
            raise ValueError("depth_m must be below block_height_m")
        return self


class Peg(Task):
    """A peg that the hand already holds, pushed into a hole; the hard one.

    ============ ==========================================================================
    geometry     a square peg of 3 x 3 x 8 cm between the fingers; a block of 12 x 12 x 4 cm
                 with a hole 2 mm wider than the peg and a 6 mm funnel around it
    reset        block x .43-.53, y +-.10 m; tip in a 10 x 16 x 5 cm box above
    observations two pictures (uint8 RGB) and the arm's own state in [-1, 1]; no pose of things
    success      the peg's end 2.5 cm or more below the block's top, inside the hole, held 5
                 steps (0.5 s)
    on a robot   forward kinematics and opening (the peg is held), a tag on the block; or a
                 contact at the bottom of the hole
    horizon      50 steps (5 s)
    ============ ==========================================================================
    """

    name = "peg"
    settings_class = PegSettings
    settings: PegSettings

    def bodies(self) -> dict[str, Body]:
        s = self.settings
        peg = Box((s.peg_width_m, s.peg_width_m, s.peg_length_m), s.peg_mass_kg, _PEG_RGB)
        return {"peg": peg, "block": Fixture(self._block(), s.block_friction)}

    def _block(self) -> tuple[Part, ...]:
        s = self.settings
        hole_m, edge_m, high_m = s.peg_width_m + s.clearance_m, s.block_edge_m, s.block_height_m
        thick_m, off_m = 0.5 * (edge_m - hole_m), 0.25 * (edge_m + hole_m)
        # The plates' upper faces run from the hole's edge outwards and up, at 45 degrees.
        wide_m, sunk_m = math.sqrt(2.0) * s.funnel_m, 0.5 * _PLATE_M / math.sqrt(2.0)
        up_m = high_m + 0.5 * s.funnel_m - sunk_m
        slope_m = 0.5 * (hole_m + s.funnel_m) + sunk_m
        long_m = hole_m + 2.0 * s.funnel_m
        sine, cosine = math.sin(math.pi / 8), math.cos(math.pi / 8)
        parts = [Part((hole_m, hole_m, 0.001), _HOLE_RGB, (0.0, 0.0, 0.0005), solid=False)]
        for side in (-1.0, 1.0):
            parts += [
                Part((edge_m, thick_m, high_m), _BLOCK_RGB, (0.0, side * off_m, 0.5 * high_m)),
                Part((thick_m, hole_m, high_m), _BLOCK_RGB, (side * off_m, 0.0, 0.5 * high_m)),
                Part(
                    (long_m, wide_m, _PLATE_M),
                    _FUNNEL_RGB,
                    (0.0, side * slope_m, up_m),
                    (side * sine, 0.0, 0.0, cosine),
                ),
                Part(
                    (wide_m, long_m, _PLATE_M),
                    _FUNNEL_RGB,
                    (side * slope_m, 0.0, up_m),
                    (0.0, -side * sine, 0.0, cosine),
                ),
            ]
        return tuple(parts)

    def sample(self, rng: np.random.Generator) -> Start:
        s = self.settings
        tip_m = rng.uniform(s.start_min_m, s.start_max_m)
        block = on_table(rng.uniform(s.block_min_m, s.block_max_m))
        peg = on_table(tip_m[:2], tip_m[2] + _GRIPPED_M - 0.5 * s.peg_length_m)
        return Start(tip_m, 0.0, s.peg_width_m, {"peg": peg, "block": block}, grip_m=0.0)

    def end_m(self, truth: Truth) -> tuple[float, float]:
        """The peg's end, seen from the hole: how far aside, and how deep below the top [m]."""
        end_m = self._end_m(truth)
        return float(np.abs(end_m[:2]).max()), float(self.settings.block_height_m - end_m[2])

    def _end_m(self, truth: Truth) -> Array:
        """Where the peg's end is, seen from the block (3,) [m]."""
        X = truth.pose_in("peg", "block")
        end_m: Array = X[:3, 3] - 0.5 * self.settings.peg_length_m * X[:3, 2]
        return end_m

    def success(self, truth: Truth) -> bool:
        aside_m, deep_m = self.end_m(truth)
        return aside_m <= 2.0 * self.settings.clearance_m and deep_m >= self.settings.depth_m

    def distance_m(self, truth: Truth) -> float:
        aside_m, deep_m = self.end_m(truth)
        return max(aside_m, self.settings.depth_m - deep_m, 0.0)

    def plan(self, truth: Truth, before: Truth) -> Want:
        """Its end over the hole, and down; not its middle, for it may lean in the fingers."""
        s, tip_m = self.settings, truth.p_BT_m
        over_m = tip_m[:2] - self._end_m(truth)[:2]  # the block stands square to B
        aside_m, deep_m = self.end_m(truth)
        high_m = tip_m[2] + _OVER_M + deep_m
        if aside_m > 0.02:
            risen = deep_m < 0.01 - _OVER_M
            return Want(np.array([*(over_m if risen else tip_m[:2]), high_m]), -1.0)
        if aside_m > _NEAR_M and deep_m < -0.004:
            return Want(np.array([*over_m, min(tip_m[2], high_m)]), -1.0, _CARE)
        # Slowly once it may touch: at full speed it is knocked out of the fingers.
        left_m = s.depth_m + 0.008 - deep_m
        down_m = min(left_m, max(_SLOW_M, -0.008 - deep_m))
        return Want(np.array([*over_m, tip_m[2] - down_m]), -1.0, _CARE)
