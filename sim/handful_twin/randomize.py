"""One episode's draw from ``twin.randomize`` and ``twin.delay``: all that is different this time.

A draw is a record and a pure function of settings and generator; ``Stage`` puts it on, and takes it
off again for the next. Every setting uses up one number of the generator whether it is given or
not (see ``distributions``), in the order written here: what one of them is drawn as depends on the
seed alone, not on which others are switched on, nor on the task.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from handful.rig.geometry import exp_so3, pose
from handful_twin import noise
from handful_twin.delays import Latency
from handful_twin.distributions import Distribution
from handful_twin.paint import ARM, BACKGROUND, TABLE, Dress, Pattern, Surface, Tint
from handful_twin.randomize_settings import (
    DelaySettings,
    DelayVariation,
    LightVariation,
    RandomizeSettings,
    SurfaceVariation,
)
from handful_twin.raster import Look
from handful_twin.sensor import Encoders, Sensor, tone
from handful_twin.tuning import Tuning

_SIZE_M, _DEPTH = 0.05, 0.4  # of patterns of which only the kind is given
_AXES = "xyz"
_STREAM = 2  # of an episode's seed; its scene is drawn from the seed itself


@dataclass(frozen=True)
class Eye:
    """How far a camera is from where, and what, it is believed to be.

    X_CC: (4, 4) the real optical frame in the one believed in. fov_deg: more of the full vertical
    field of view. centre_px: (2,) shift of the principal point.
    """

    X_CC: NDArray[np.float64]
    fov_deg: float = 0.0
    centre_px: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Draw:
    """What is different in one episode; a part that is None or missing is as it always is.

    values: every number drawn, by the dotted name of its setting, for logs and for asking what a
    failure had to do with. frames: camera -> how late its pictures are. commands: how late those.
    """

    values: dict[str, float | str] = field(default_factory=dict)
    tuning: Tuning = field(default_factory=Tuning)
    dress: Dress | None = None
    eyes: dict[str, Eye] = field(default_factory=dict)
    sensors: dict[str, Sensor] = field(default_factory=dict)
    encoders: Encoders | None = None
    frames: dict[str, Latency] = field(default_factory=dict)
    commands: Latency = Latency()


def episode_rng(seed: int) -> np.random.Generator:
    """The generator of an episode's draw."""
    return np.random.default_rng([seed, _STREAM])


def draw(
    settings: RandomizeSettings,
    delay: DelaySettings,
    rng: np.random.Generator,
    cameras: Sequence[str],
    things: Sequence[str],
    joints: int = 7,
    look: Look | None = None,
) -> Draw:
    """Draw one episode.

    cameras: names of all the twin's. things: names of ``Scene.names`` that are a task's. joints:
    of the arm, how many. look: what the light is a change of.
    """
    one = _Drawer(rng)
    key = int(rng.integers(2**62))
    light = one.light(settings.light, look or Look())
    p = settings.physics
    tuning = Tuning(
        finger_friction=one.of("physics.finger_friction", p.finger_friction, 1.0),
        table_friction=one.of("physics.table_friction", p.table_friction, 1.0),
        position_gain=one.of("physics.position_gain", p.position_gain, 1.0),
        velocity_gain=one.of("physics.velocity_gain", p.velocity_gain, 1.0),
        grip_force=one.of("physics.grip_force", p.grip_force, 1.0),
        table_height_m=one.of("physics.table_height_m", p.table_height_m, 0.0),
    )
    encoders = one.encoders(settings, noise.key(key, 1), joints)
    surfaces = {
        BACKGROUND: one.surface("colour.background", settings.colour.background),
        TABLE: one.surface("colour.table", settings.colour.table),
        ARM: one.surface("colour.arm", settings.colour.arm),
    }
    commands = one.latency("command", delay, settings.delay, noise.key(key, 2))
    eyes, sensors, frames = {}, {}, {}
    for i, name in enumerate(sorted(cameras)):
        eyes[name] = one.eye(name, settings)
        sensors[name] = one.sensor(name, settings, noise.key(key, 3, i))
        frames[name] = one.latency("frame", delay, settings.delay, noise.key(key, 4, i), name)
    mass, friction = {}, {}
    for name in things:
        mass[name] = one.of("physics.object_mass", p.object_mass, 1.0, name)
        friction[name] = one.of("physics.object_friction", p.object_friction, 1.0, name)
        surfaces[name] = one.surface(f"colour.objects.{name}", settings.colour.objects)
    dressed = bool(settings.colour or settings.light or p.table_height_m)
    return Draw(
        values=one.values,
        tuning=Tuning(**{**vars(tuning), "mass": mass, "friction": friction}),
        dress=Dress(light, surfaces, tuning.table_height_m) if dressed else None,
        eyes=eyes if settings.camera else {},
        sensors=sensors if settings.picture else {},
        encoders=encoders if settings.encoders else None,
        frames={name: latency for name, latency in frames.items() if latency},
        commands=commands,
    )


class _Drawer:
    """Turns settings into numbers, one of the generator's for each, and writes them down."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._ranks: Iterator[float] = iter(())
        self.values: dict[str, float | str] = {}

    def of(self, name: str, given: Distribution | None, otherwise: float, whose: str = "") -> float:
        rank = self._rank()
        if given is None:
            return otherwise
        value = given.at(rank)
        self.values[f"{name}.{whose}" if whose else name] = value
        return value

    def _rank(self) -> float:
        for rank in self._ranks:
            return rank
        self._ranks = iter(self._rng.random(64).tolist())
        return next(self._ranks)

    def light(self, given: LightVariation, look: Look) -> Look:
        x, y, z = look.to_light
        azimuth = self.of("light.azimuth_rad", given.azimuth_rad, math.atan2(y, x))
        elevation = self.of(
            "light.elevation_rad", given.elevation_rad, math.atan2(z, math.hypot(x, y))
        )
        ambient = self.of("light.ambient", given.ambient, 1.0)
        diffuse = self.of("light.diffuse", given.diffuse, 1.0)
        shadow = self.of("light.shadow", given.shadow, look.shadow)
        across = math.cos(elevation)
        to_light = (across * math.cos(azimuth), across * math.sin(azimuth), math.sin(elevation))
        turned = given.azimuth_rad is not None or given.elevation_rad is not None
        return Look(
            **{
                **vars(look),
                "to_light": to_light if turned else look.to_light,
                "ambient": ambient * look.ambient,
                "sky": ambient * look.sky,
                "diffuse": diffuse * look.diffuse,
                "shadow": shadow,
            }
        )

    def surface(self, name: str, given: SurfaceVariation) -> Surface:
        tint = Tint(
            self.of(f"{name}.hue", given.hue, 0.0),
            self.of(f"{name}.saturation", given.saturation, 0.0),
            self.of(f"{name}.value", given.value, 0.0),
        )
        which, turn, *phase = (self._rank() for _ in range(5))
        size_m = self.of(f"{name}.texture_m", given.texture_m, _SIZE_M)
        depth = self.of(f"{name}.texture_depth", given.texture_depth, _DEPTH)
        if not given.texture:
            return Surface(tint)
        kind = given.texture[int(which * len(given.texture))]
        self.values[f"{name}.texture"] = kind
        if kind == "plain":
            return Surface(tint)
        # In the middle half of a cell: a plane that lies in the lattice would flicker.
        begin = [0.25 + 0.5 * x for x in phase]
        at = (begin[0], begin[1], begin[2])
        return Surface(tint, Pattern(kind, size_m, depth, math.tau * turn, at))

    def eye(self, camera: str, settings: RandomizeSettings) -> Eye:
        c = settings.camera
        p_m = [self.of(f"camera.position_m.{a}", c.position_m, 0.0, camera) for a in _AXES]
        w_rad = [self.of(f"camera.rotation_rad.{a}", c.rotation_rad, 0.0, camera) for a in _AXES]
        fov_deg = self.of("camera.fov_deg", c.fov_deg, 0.0, camera)
        u, v = (self.of(f"camera.centre_px.{a}", c.centre_px, 0.0, camera) for a in "uv")
        return Eye(pose(exp_so3(w_rad), p_m), fov_deg, (u, v))

    def sensor(self, camera: str, settings: RandomizeSettings, key: int) -> Sensor:
        p = settings.picture
        curve = tone(
            self.of("picture.exposure", p.exposure, 1.0, camera),
            self.of("picture.contrast", p.contrast, 1.0, camera),
            self.of("picture.gamma", p.gamma, 1.0, camera),
            self.of("picture.white_balance", p.white_balance, 1.0, camera),
        )
        return Sensor(curve, self.of("picture.noise", p.noise, 0.0, camera), key)

    def encoders(self, settings: RandomizeSettings, key: int, joints: int) -> Encoders:
        e = settings.encoders
        offset = [
            self.of("encoders.joint_offset_rad", e.joint_offset_rad, 0.0, str(j))
            for j in range(1, joints + 1)
        ]
        joint = self.of("encoders.joint_noise_rad", e.joint_noise_rad, 0.0)
        finger = self.of("encoders.finger_noise_m", e.finger_noise_m, 0.0)
        return Encoders(np.array(offset), joint, finger, key)

    def latency(
        self, what: str, base: DelaySettings, more: DelayVariation, key: int, whose: str = ""
    ) -> Latency:
        scale = self.of("delay.scale", more.scale, 1.0, f"{what}.{whose}" if whose else what)
        own = self.of(f"twin.delay.{what}_s", getattr(base, f"{what}_s"), 0.0, whose)
        added = self.of(f"delay.{what}_s", getattr(more, f"{what}_s"), 0.0, whose)
        jitters = [getattr(base, f"{what}_jitter_s"), getattr(more, f"{what}_jitter_s")]
        given = tuple(j for j in jitters if j is not None and (j.low or j.high))
        return Latency(scale * own + added, given, key)
