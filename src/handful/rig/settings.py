"""What can be set about the rig: rates, cameras, observation, action and the guard's limits.

``config/rig.yaml`` is the manual: it repeats every key with its unit and what it does. The defaults
here are the same numbers, so that ``RigSettings()`` is the shipped cell.
"""

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from handful.config import Settings

Proprioception = Literal[
    "position", "yaw", "gripper", "velocity", "target_offset", "target_gripper", "joints"
]

_CAMERA_NAME = re.compile(r"[a-z][a-z0-9_]*")


class CameraSettings(Settings):
    """One camera: the size it delivers and the part of it that is looked at [px]."""

    width_px: int = Field(default=84, ge=8)
    height_px: int = Field(default=84, ge=8)
    crop_px: tuple[int, int, int, int] | None = None

    @model_validator(mode="after")
    def _crop_lies_inside(self) -> "CameraSettings":
        if self.crop_px is None:
            return self
        top, left, height, width = self.crop_px
        inside = min(top, left) >= 0 and min(height, width) >= 1
        if not inside or top + height > self.height_px or left + width > self.width_px:
            raise ValueError(
                f"crop_px (top, left, height, width) = {list(self.crop_px)} does not lie "
                f"inside the picture of {self.height_px} rows x {self.width_px} columns"
            )
        return self


class ObserveSettings(Settings):
    """How frames and the arm's state become an observation."""

    image_px: int = Field(default=84, ge=8)
    frame_stack: int = Field(default=1, ge=1, le=16)
    max_frame_age_s: float = Field(default=0.2, gt=0.0)
    max_arm_age_s: float = Field(default=0.1, gt=0.0)
    proprioception: tuple[Proprioception, ...] = (
        "position",
        "gripper",
        "target_offset",
        "target_gripper",
    )
    joint_count: int = Field(default=7, ge=1)

    @field_validator("proprioception")
    @classmethod
    def _named_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if not names or len(set(names)) != len(names):
            raise ValueError("name at least one quantity, and each only once")
        return names


class ActionSettings(Settings):
    """What an action in [-1, 1] means: a step of the target [m, rad] and an opening [m]."""

    step_m: float = Field(default=0.03, gt=0.0)
    yaw_step_rad: float = Field(default=0.0, ge=0.0, lt=3.14)
    gripper_max_m: float = Field(default=0.08, gt=0.0)
    frame: Literal["base", "tool"] = "base"


class GuardSettings(Settings):
    """The limits nothing gets past: box [m], speeds [m/s, rad/s], acceleration [m/s^2], age [s]."""

    workspace_min_m: tuple[float, float, float] = (0.30, -0.25, 0.005)
    workspace_max_m: tuple[float, float, float] = (0.62, 0.25, 0.40)
    max_speed_m_s: float = Field(default=0.6, gt=0.0)
    max_accel_m_s2: float = Field(default=12.0, gt=0.0)
    max_yaw_rate_rad_s: float = Field(default=2.0, gt=0.0)
    max_gripper_m: float = Field(default=0.08, gt=0.0)
    max_age_s: float = Field(default=0.3, gt=0.0)

    @model_validator(mode="after")
    def _box_has_an_inside(self) -> "GuardSettings":
        for axis, low_m, high_m in zip(
            "xyz", self.workspace_min_m, self.workspace_max_m, strict=True
        ):
            if not low_m < high_m:
                raise ValueError(
                    f"workspace_min_m must be below workspace_max_m on every axis; "
                    f"on {axis} they are {low_m} and {high_m}"
                )
        return self


class RigSettings(Settings):
    """The whole rig: one control rate, the cameras by name, and a group for each file it feeds."""

    control_rate_hz: float = Field(default=10.0, gt=0.0, le=1000.0)
    cameras: dict[str, CameraSettings] = Field(
        default_factory=lambda: {"third": CameraSettings(), "wrist": CameraSettings()}
    )
    observe: ObserveSettings = ObserveSettings()
    action: ActionSettings = ActionSettings()
    guard: GuardSettings = GuardSettings()

    @property
    def period_s(self) -> float:
        """Time between two ticks [s]."""
        return 1.0 / self.control_rate_hz

    @field_validator("cameras")
    @classmethod
    def _plain_names(cls, cameras: dict[str, CameraSettings]) -> dict[str, CameraSettings]:
        if not cameras:
            raise ValueError("the rig needs at least one camera")
        for name in cameras:
            if not _CAMERA_NAME.fullmatch(name):
                raise ValueError(
                    f"camera name {name!r}: small letters, digits and _ only, a letter first "
                    "(it becomes a topic and a file key)"
                )
        return cameras

    @model_validator(mode="after")
    def _gripper_limits_agree(self) -> "RigSettings":
        if self.action.gripper_max_m > self.guard.max_gripper_m:
            raise ValueError(
                f"action.gripper_max_m {self.action.gripper_max_m} is above "
                f"guard.max_gripper_m {self.guard.max_gripper_m}: the guard would never let it open"
            )
        return self
