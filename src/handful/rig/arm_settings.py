"""What can be set about how an arm obeys, and about a gripper that is slow to change its mind.

The YAML files under ``config/node/arm`` are the manual.
"""

from typing import Literal

from pydantic import Field, model_validator

from handful.config import Settings


class ObeySettings(Settings):
    """When an arm follows a command and when it stands still by itself (``rig.obey``)."""

    max_jump_m: float = Field(default=0.10, gt=0.0)
    max_jump_rad: float = Field(default=0.3, gt=0.0)
    max_silence_s: float = Field(default=0.2, gt=0.0)
    max_state_age_s: float = Field(default=0.15, gt=0.0)
    stop_repeats: int = Field(default=10, ge=1)


class GripSettings(Settings):
    """When a wish for an opening becomes a goal for the gripper (``rig.grip``)."""

    mode: Literal["binary", "continuous"] = "binary"
    open_m: float = Field(default=0.08, gt=0.0)
    closed_m: float = Field(default=0.0, ge=0.0)
    close_below_m: float = Field(default=0.03, ge=0.0)
    open_above_m: float = Field(default=0.05, ge=0.0)
    min_change_m: float = Field(default=0.002, gt=0.0)
    min_interval_s: float = Field(default=0.1, ge=0.0)
    give_up_s: float = Field(default=5.0, gt=0.0)

    @model_validator(mode="after")
    def _in_order(self) -> "GripSettings":
        if not self.closed_m <= self.close_below_m < self.open_above_m <= self.open_m:
            raise ValueError(
                "closed_m <= close_below_m < open_above_m <= open_m must hold, got "
                f"{self.closed_m}, {self.close_below_m}, {self.open_above_m}, {self.open_m}"
            )
        return self
