"""What a task is: things, a distribution of starts, and one pure predicate on the truth."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from handful.config import ConfigError, Settings
from handful.rig.geometry import from_quat_xyzw, invert, pose
from handful.rig.places import told_places
from handful_twin.bodies import Body, Box, Pose

Array = NDArray[np.float64]
Vector = tuple[float, float, float]
Plane = tuple[float, float]
CUBE_RGB: Vector = (0.80, 0.13, 0.11)
_DRAWS = 1000


class TaskSettings(Settings):
    """What every task has. Steps are ticks of the rig's control rate.

    start_min_m, start_max_m: the box in B the tool tip starts in, uniformly. start_gripper_m: the
    opening it starts with, uniformly between the two.
    """

    horizon_steps: int = Field(ge=1)
    hold_steps: int = Field(default=5, ge=1)
    start_min_m: Vector
    start_max_m: Vector
    start_gripper_m: tuple[float, float] = (0.0, 0.08)

    @model_validator(mode="after")
    def _ordered(self) -> "TaskSettings":
        names = type(self).model_fields
        for low in (name for name in names if name.endswith("_min_m")):
            high = low.removesuffix("_min_m") + "_max_m"
            below, above = getattr(self, low), getattr(self, high, None)
            if not (isinstance(below, tuple) and isinstance(above, tuple)):
                continue
            if any(a > b for a, b in zip(below, above, strict=True)):
                raise ValueError(f"{low} must not be above {high} on any axis")
        if not 0.0 <= self.start_gripper_m[0] <= self.start_gripper_m[1] <= 0.08:
            raise ValueError("start_gripper_m must be two openings in rising order within 0..0.08")
        if self.hold_steps > self.horizon_steps:
            raise ValueError("hold_steps must not be above horizon_steps")
        return self


class CubeSettings(TaskSettings):
    """Adds a cube. cube_min_m, cube_max_m: (x, y) of its middle, uniformly; its yaw is uniform in
    +-cube_yaw_rad."""

    cube_edge_m: float = Field(default=0.04, gt=0.005, lt=0.07)
    cube_mass_kg: float = Field(default=0.1, gt=0.0)
    cube_friction: float = Field(default=1.0, gt=0.0)
    cube_min_m: tuple[float, float]
    cube_max_m: tuple[float, float]
    cube_yaw_rad: float = Field(default=0.5, ge=0.0)


@dataclass(frozen=True)
class Truth:
    """What only a simulator knows, and what success is judged on.

    p_BT_m: (3,) measured tip [m]. gripper_m: measured opening [m]. bodies: name -> (p_BO_m (3,),
    quat_xyzw (4,)) of every thing and of every moving part.
    """

    p_BT_m: Array
    gripper_m: float
    bodies: Mapping[str, Pose]

    def p_m(self, name: str) -> Array:
        """Where a thing is: p_BO (3,) [m]."""
        return self.bodies[name][0]

    def told(self) -> dict[str, float]:
        """Where every thing is, for an episode's log: see ``handful.rig.places``."""
        return told_places({name: p_BO_m for name, (p_BO_m, _) in self.bodies.items()})

    def pose_in(self, thing: str, name: str) -> Array:
        """X_AO (4, 4): a thing O seen from another, A; a drawer from its cabinet, say."""
        (p_BA_m, quat_A), (p_BO_m, quat_O) = self.bodies[name], self.bodies[thing]
        X_BA = pose(from_quat_xyzw(quat_A), p_BA_m)
        return invert(X_BA) @ pose(from_quat_xyzw(quat_O), p_BO_m)


@dataclass(frozen=True)
class Start:
    """How an episode begins: tip [m], yaw [rad], opening [m], and where the things are.

    joints: moving part -> its position [rad] or [m]. grip_m: the opening that is commanded when it
    is not the one the fingers have, because something is held between them.
    """

    p_BT_m: Array
    yaw_rad: float
    gripper_m: float
    poses: Mapping[str, Pose] = field(default_factory=dict)
    joints: Mapping[str, float] = field(default_factory=dict)
    grip_m: float | None = None


@dataclass(frozen=True)
class Want:
    """Where a demonstrator wants the tip (3,) [m], and its gripper action in [-1, 1].

    noise: how much of its noise it can afford here; less where a person would take care.
    """

    p_BT_m: Array
    gripper: float
    noise: float = 1.0


class Task:
    """One task. Subclasses set ``name`` and ``settings_class`` and say what success is.

    profile: where its settings come from, a shipped profile or a path ending in ``.yaml``;
    ``task/<name>`` when it is empty.
    """

    name: ClassVar[str]
    settings_class: ClassVar[type[TaskSettings]]
    profile: ClassVar[str] = ""

    def __init__(self, settings: Any) -> None:
        if not isinstance(settings, self.settings_class):
            raise TypeError(
                f"task {self.name!r} takes {self.settings_class.__name__}, "
                f"got {type(settings).__name__}"
            )
        self.settings = settings

    @classmethod
    def source(cls) -> str:
        """What ``handful.config.load`` reads the settings from."""
        return cls.profile or f"task/{cls.name}"

    def bodies(self) -> dict[str, Body]:
        """What this task puts on the table, by name."""
        raise NotImplementedError

    def sample(self, rng: np.random.Generator) -> Start:
        """Draw a start; all randomness of an episode comes from ``rng``."""
        raise NotImplementedError

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


class CubeTask(Task):
    """A task whose only thing is a cube on the table."""

    settings: CubeSettings

    def bodies(self) -> dict[str, Body]:
        return {"cube": self.cube()}

    def cube(self) -> Box:
        """The cube, red."""
        s = self.settings
        return Box((s.cube_edge_m,) * 3, s.cube_mass_kg, CUBE_RGB, s.cube_friction)

    def sample(self, rng: np.random.Generator) -> Start:
        s = self.settings
        tip_m = rng.uniform(s.start_min_m, s.start_max_m)
        cube = self.cube_pose(rng)
        opening_m = float(rng.uniform(*s.start_gripper_m))
        return Start(tip_m, 0.0, opening_m, {"cube": cube})

    def cube_pose(self, rng: np.random.Generator) -> Pose:
        """A place for the cube, flat on the table."""
        s = self.settings
        xy_m = rng.uniform(s.cube_min_m, s.cube_max_m)
        yaw_rad = float(rng.uniform(-s.cube_yaw_rad, s.cube_yaw_rad))
        return on_table(xy_m, 0.5 * s.cube_edge_m, yaw_rad)


def on_table(xy_m: Array, z_m: float = 0.0, yaw_rad: float = 0.0) -> Pose:
    """The pose of a thing that stands upright, turned about B's z."""
    quat_xyzw = np.array([0.0, 0.0, np.sin(0.5 * yaw_rad), np.cos(0.5 * yaw_rad)])
    return np.array([*xy_m, z_m]), quat_xyzw


def draw_apart(
    rng: np.random.Generator, low_m: Plane, high_m: Plane, from_m: Array, apart_m: float
) -> Array:
    """An (x, y) of a box, uniform among those at least ``apart_m`` from another.

    Raises:
        ConfigError: there is hardly such a place.
    """
    for _ in range(_DRAWS):
        xy_m = rng.uniform(low_m, high_m)
        if np.linalg.norm(xy_m - from_m) >= apart_m:
            return xy_m
    raise ConfigError(
        f"no place {apart_m} m away from {np.round(from_m, 3).tolist()} within "
        f"{low_m} to {high_m}; make apart_m smaller or the box larger"
    )
