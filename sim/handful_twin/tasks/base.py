"""What a task is: boxes, a distribution of starts, and one pure predicate on the truth."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from handful.config import Settings
from handful_twin.world import Box

Array = NDArray[np.float64]
Vector = tuple[float, float, float]


class TaskSettings(Settings):
    """What every task has. Steps are ticks of the rig's control rate.

    start_min_m, start_max_m: the box in B the tool tip starts in, uniformly. start_gripper_m: the
    opening it starts with, uniformly between the two. cube_min_m, cube_max_m: (x, y) of the cube's
    middle, uniformly; its yaw is uniform in +-cube_yaw_rad.
    """

    horizon_steps: int = Field(ge=1)
    hold_steps: int = Field(default=5, ge=1)
    start_min_m: Vector
    start_max_m: Vector
    start_gripper_m: tuple[float, float] = (0.0, 0.08)
    cube_edge_m: float = Field(default=0.04, gt=0.005, lt=0.07)
    cube_mass_kg: float = Field(default=0.1, gt=0.0)
    cube_friction: float = Field(default=1.0, gt=0.0)
    cube_min_m: tuple[float, float]
    cube_max_m: tuple[float, float]
    cube_yaw_rad: float = Field(default=0.5, ge=0.0)

    @model_validator(mode="after")
    def _ordered(self) -> "TaskSettings":
        for low, high in (("start_min_m", "start_max_m"), ("cube_min_m", "cube_max_m")):
            pairs = zip(getattr(self, low), getattr(self, high), strict=True)
            if any(a > b for a, b in pairs):
                raise ValueError(f"{low} must not be above {high} on any axis")
        if not 0.0 <= self.start_gripper_m[0] <= self.start_gripper_m[1] <= 0.08:
            raise ValueError("start_gripper_m must be two openings in rising order within 0..0.08")
        if self.hold_steps > self.horizon_steps:
            raise ValueError("hold_steps must not be above horizon_steps")
        return self


@dataclass(frozen=True)
class Truth:
    """What only a simulator knows, and what success is judged on.

    p_BT_m: (3,) measured tip [m]. gripper_m: measured opening [m]. bodies: name -> (p_BO_m (3,),
    quat_xyzw (4,)).
    """

    p_BT_m: Array
    gripper_m: float
    bodies: Mapping[str, tuple[Array, Array]]


@dataclass(frozen=True)
class Start:
    """How an episode begins: tip [m], yaw [rad], opening [m], and where the bodies are."""

    p_BT_m: Array
    yaw_rad: float
    gripper_m: float
    poses: Mapping[str, tuple[Array, Array]] = field(default_factory=dict)


@dataclass(frozen=True)
class Want:
    """Where a demonstrator wants the tip (3,) [m], and its gripper action in [-1, 1]."""

    p_BT_m: Array
    gripper: float


class Task:
    """One task. Subclasses set ``name`` and ``settings_class`` and say what success is."""

    name: ClassVar[str]
    settings_class: ClassVar[type[TaskSettings]]

    def __init__(self, settings: Any) -> None:
        if not isinstance(settings, self.settings_class):
            raise TypeError(
                f"task {self.name!r} takes {self.settings_class.__name__}, "
                f"got {type(settings).__name__}"
            )
        self.settings = settings

    def boxes(self) -> dict[str, Box]:
        """The free bodies this task needs, by name."""
        s = self.settings
        return {
            "cube": Box((s.cube_edge_m,) * 3, s.cube_mass_kg, (0.80, 0.13, 0.11), s.cube_friction)
        }

    def sample(self, rng: np.random.Generator) -> Start:
        """Draw a start; all randomness of an episode comes from ``rng``."""
        s = self.settings
        tip_m = rng.uniform(s.start_min_m, s.start_max_m)
        xy_m = rng.uniform(s.cube_min_m, s.cube_max_m)
        half_yaw = 0.5 * rng.uniform(-s.cube_yaw_rad, s.cube_yaw_rad)
        cube_m = np.array([*xy_m, 0.5 * s.cube_edge_m])
        quat_xyzw = np.array([0.0, 0.0, np.sin(half_yaw), np.cos(half_yaw)])
        opening_m = float(rng.uniform(*s.start_gripper_m))
        return Start(tip_m, 0.0, opening_m, {"cube": (cube_m, quat_xyzw)})

    def success(self, truth: Truth) -> bool:
        """Is the goal met at this moment? Pure; holding it is the episode's business."""
        raise NotImplementedError

    def distance_m(self, truth: Truth) -> float:
        """How far from the goal [m]; for logs and curves, never for the reward."""
        raise NotImplementedError

    def plan(self, truth: Truth, before: Truth) -> Want:
        """What a demonstrator wants next, from the situation now and one step before.

        A pure function without a clock or phases, so that after a miss or a slip it tries again.
        """
        raise NotImplementedError
