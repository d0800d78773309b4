"""Switch: throw the lever of a light switch."""

import numpy as np
from pydantic import Field, model_validator

from handful_twin.bodies import Body, Fixture, Moving, Part
from handful_twin.tasks.base import Start, Task, TaskSettings, Truth, Want, on_table
from handful_twin.tasks.moves import hook

_BASE_RGB = (0.90, 0.88, 0.84)
_LEVER_RGB = (0.85, 0.33, 0.10)
_BASE_M = (0.08, 0.12, 0.04)
_LEVER_M = (0.025, 0.02, 0.06)
_LOW_M = 0.07  # height of the tip while it sweeps: the hand stays above the lever
_HIGH_M = 0.125  # and before
_BESIDE_M = 0.078  # from the hinge, where the fingers go down
_THROUGH_M = 0.05  # and where the sweep ends


class SwitchSettings(TaskSettings):
    """Adds where the switch may be [m], and its lever: it stands at ``off_rad``, its hinge goes to
    +-``stop_rad``, and from ``on_rad`` on the light is on."""

    switch_min_m: tuple[float, float]
    switch_max_m: tuple[float, float]
    off_rad: float = Field(default=-0.35)
    on_rad: float = Field(default=0.2)
    stop_rad: float = Field(default=0.4, gt=0.0)
    lever_friction_nm: float = Field(default=0.08, gt=0.0)
    lever_mass_kg: float = Field(default=0.05, gt=0.0)

    @model_validator(mode="after")
    def _can_be_thrown(self) -> "SwitchSettings":
        if not -self.stop_rad <= self.off_rad < self.on_rad < self.stop_rad:
            raise ValueError("off_rad must be below on_rad, and both within +-stop_rad")
        return self


class Switch(Task):
    """A light switch on the table, its lever thrown over.

    ============ ==========================================================================
    geometry     a base of 8 x 12 x 4 cm, a lever of 6 cm that turns about x with .08 Nm of dry
                 friction and stays where it is left
    reset        switch x .44-.54, y +-.12 m, lever at -.35 rad; tip in a 10 x 16 x 6 cm box
                 above, any opening
    observations two pictures (uint8 RGB) and the arm's own state in [-1, 1]; no angle
    success      lever angle >= .2 rad, held 5 steps (0.5 s)
    on a robot   the switch's own contact
    horizon      40 steps (4 s)
    ============ ==========================================================================
    """

    name = "switch"
    settings_class = SwitchSettings
    settings: SwitchSettings

    def bodies(self) -> dict[str, Body]:
        s = self.settings
        base = Part(_BASE_M, _BASE_RGB, (0.0, 0.0, 0.5 * _BASE_M[2]))
        lever = Moving(
            name="lever",
            kind="hinge",
            parts=(Part(_LEVER_M, _LEVER_RGB, (0.0, 0.0, 0.5 * _LEVER_M[2])),),
            axis=(-1.0, 0.0, 0.0),  # so that a positive angle leans towards +y
            origin_m=(0.0, 0.0, _BASE_M[2]),
            lower=-s.stop_rad,
            upper=s.stop_rad,
            friction=s.lever_friction_nm,
            mass_kg=s.lever_mass_kg,
        )
        return {"switch": Fixture((base,), moving=lever)}

    def sample(self, rng: np.random.Generator) -> Start:
        s = self.settings
        tip_m = rng.uniform(s.start_min_m, s.start_max_m)
        switch = on_table(rng.uniform(s.switch_min_m, s.switch_max_m))
        opening_m = float(rng.uniform(*s.start_gripper_m))
        return Start(tip_m, 0.0, opening_m, {"switch": switch}, {"lever": s.off_rad})

    def angle_rad(self, truth: Truth) -> float:
        """How far the lever leans towards +y."""
        R = truth.pose_in("lever", "switch")[:3, :3]
        return float(np.arctan2(R[1, 2], R[2, 2]))

    def success(self, truth: Truth) -> bool:
        return self.angle_rad(truth) >= self.settings.on_rad

    def distance_m(self, truth: Truth) -> float:
        return max(0.0, self.settings.on_rad - self.angle_rad(truth)) * _LEVER_M[2]

    def plan(self, truth: Truth, before: Truth) -> Want:
        """Down beside the lever, and across."""
        switch_m = truth.p_m("switch")
        if self.angle_rad(truth) > self.settings.on_rad + 0.1:
            return Want(truth.p_BT_m.copy(), -1.0)
        beside_m = np.array([switch_m[0], switch_m[1] - _BESIDE_M, _LOW_M])
        to_m = beside_m + [0.0, _BESIDE_M + _THROUGH_M, 0.0]
        return hook(truth, beside_m, to_m, _HIGH_M, wide_m=0.018)
