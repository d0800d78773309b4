"""What can be set about where reward comes from; ``config/reward.yaml`` is the manual."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from handful.config import Settings

Vector = tuple[float, float, float]
Family = Literal["apriltag_16h5", "apriltag_25h9", "apriltag_36h10", "apriltag_36h11"]


class TagSettings(Settings):
    """An AprilTag on the thing that is moved, and where it must be; poses as in docs/frames.md.

    camera: name in the rig. calibration: its file, with a mount unless ``relative_to`` names a tag.
    family: of both tags. size_m: edge of the black square. thing: id of the tag on the thing.
    relative_to: id of another tag, in whose frame the goal is given; null: the arm's base B.
    base_frame: what the mount's parent is called where the camera stands.
    goal_m: where the thing's tag must be. tolerance_m: how near. max_tilt_rad: between the axes
    that come out of the tag and out of what it is compared with; null: any.
    """

    camera: str = Field(min_length=1)
    calibration: str = Field(min_length=1)
    family: Family = "apriltag_36h11"
    size_m: float = Field(gt=0.002, lt=1.0)
    thing: int = Field(ge=0)
    relative_to: int | None = Field(default=None, ge=0)
    base_frame: str = "panda_link0"
    goal_m: Vector
    tolerance_m: float = Field(gt=0.0)
    max_tilt_rad: float | None = Field(default=None, gt=0.0, le=3.15)

    @model_validator(mode="after")
    def _two_tags(self) -> "TagSettings":
        if self.thing == self.relative_to:
            raise ValueError(f"thing and relative_to are both tag {self.thing}; name two tags")
        return self


class GeometricSettings(Settings):
    """Success as geometry: all that is given must hold.

    tip_min_m, tip_max_m: box of the tip in B. width_min_m, width_max_m: opening between the pads.
    squeeze_min_m: how much wider they are than they were told to be, so that something is between
    them. tag: where a thing must be. slack_m: how far outside the score has fallen to nought.
    """

    tip_min_m: tuple[float | None, float | None, float | None] = (None, None, None)
    tip_max_m: tuple[float | None, float | None, float | None] = (None, None, None)
    width_min_m: float | None = Field(default=None, ge=0.0)
    width_max_m: float | None = Field(default=None, ge=0.0)
    squeeze_min_m: float | None = Field(default=None, gt=0.0)
    tag: TagSettings | None = None
    slack_m: float = Field(default=0.005, gt=0.0)

    @property
    def empty(self) -> bool:
        """Whether nothing is asked for."""
        widths = (self.width_min_m, self.width_max_m, self.squeeze_min_m)
        bounds = (*self.tip_min_m, *self.tip_max_m, *widths)
        return self.tag is None and all(bound is None for bound in bounds)

    @model_validator(mode="after")
    def _ordered(self) -> "GeometricSettings":
        pairs = [("tip", *pair) for pair in zip(self.tip_min_m, self.tip_max_m, strict=True)]
        for name, low, high in (*pairs, ("width", self.width_min_m, self.width_max_m)):
            if low is not None and high is not None and low > high:
                raise ValueError(f"{name}_min_m {low} is above {name}_max_m {high}")
        return self


class RewardSettings(Settings):
    """Who says that the goal is met while learning. Evaluation always asks the task's own rule.

    by: task (the twin's truth; over ROS ``judge/at_goal``), operator, geometric, or learned (the
    classifier in ``file``). hold_steps, hold_s: how long a claim must stand, one of them; neither:
    what the classifier's file says, or the task. claim_at, drop_below: the score at which a claim
    rises, and below which it falls; null: the source's own.
    """

    by: Literal["task", "operator", "geometric", "learned"] = "task"
    file: str = ""
    hold_steps: int | None = Field(default=None, ge=1)
    hold_s: float | None = Field(default=None, gt=0.0)
    claim_at: float | None = Field(default=None, gt=0.0, le=1.0)
    drop_below: float | None = Field(default=None, gt=0.0, le=1.0)
    geometric: GeometricSettings = GeometricSettings()

    def anchored(self, folder: Path) -> "RewardSettings":
        """The same with files whole from ``folder``, so that they are found from anywhere else."""
        tag = self.geometric.tag
        if tag is not None:
            path = str(folder / tag.calibration)
            tag = tag.model_copy(update={"calibration": path})
        geometric = self.geometric.model_copy(update={"tag": tag})
        file = str(folder / self.file) if self.file else ""
        return self.model_copy(update={"file": file, "geometric": geometric})

    @model_validator(mode="after")
    def _whole(self) -> "RewardSettings":
        if self.by == "learned" and not self.file:
            raise ValueError("by: learned needs file, which `handful reward train` writes")
        if self.by == "geometric" and self.geometric.empty:
            raise ValueError("by: geometric needs a box, an opening or a tag under geometric")
        if self.hold_steps is not None and self.hold_s is not None:
            raise ValueError("hold_steps and hold_s say the same thing; set one of them")
        rise, fall = self.claim_at, self.drop_below
        if rise is not None and fall is not None and fall > rise:
            raise ValueError(f"drop_below {fall} is above claim_at {rise}: what rose would fall")
        return self
