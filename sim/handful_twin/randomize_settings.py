"""What of the twin may differ from episode to episode, and by how much.

The shipped choices are files in ``config/randomize``.

Every entry is a number or a distribution (``distributions``) and is drawn once an episode; what is
left out stays as it is. docs/twin.md explains each, with where the shipped ranges come from.
"""

from typing import Any, Literal

from pydantic import SerializerFunctionWrapHandler, model_serializer, model_validator

from handful.config import ConfigError, Settings, read
from handful_twin.distributions import Amount, Factor, Share, Shift, as_tuples

Texture = Literal["plain", "checker", "stripes", "noise", "gradient"]


class Sparse(Settings):
    """Settings that are written down without what was left out; true when anything is said."""

    def __bool__(self) -> bool:
        return any(
            bool(value) if isinstance(value, Sparse | tuple) else value is not None
            for value in vars(self).values()
        )

    @model_serializer(mode="wrap")
    def _said(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {
            key: value for key, value in handler(self).items() if value not in (None, {}, [], ())
        }


class DelaySettings(Sparse):
    """How late pictures arrive, and commands: [s], each a number or a distribution.

    frame_s, command_s: drawn once an episode. frame_jitter_s, command_jitter_s: drawn for each
    picture and each command, and added; negative sums are none. Nothing overtakes.
    """

    frame_s: Amount | None = None
    frame_jitter_s: Shift | None = None
    command_s: Amount | None = None
    command_jitter_s: Shift | None = None

    def __bool__(self) -> bool:
        """Is anything late?"""
        given = (self.frame_s, self.frame_jitter_s, self.command_s, self.command_jitter_s)
        return any(delay is not None and delay.high > 0.0 for delay in given)


class DelayVariation(DelaySettings):
    """The same, on top of ``twin.delay``. scale: factor on what ``twin.delay`` says."""

    scale: Factor | None = None

    def __bool__(self) -> bool:
        return super().__bool__() or self.scale is not None


class SurfaceVariation(Sparse):
    """The colour of one kind of surface.

    hue: shift, 1 being once round. saturation, value: shifts of HSV's numbers from 0 to 1, kept
    within. texture: patterns, each as likely as the others. texture_m: their size [m].
    texture_depth: how much darker they go, 1 being to black.
    """

    hue: Shift | None = None
    saturation: Shift | None = None
    value: Shift | None = None
    texture: tuple[Texture, ...] = ()
    texture_m: Factor | None = None
    texture_depth: Share | None = None


class ColourVariation(Sparse):
    """Surfaces by kind: table; objects, each thing of a task for itself; arm; background."""

    table: SurfaceVariation = SurfaceVariation()
    objects: SurfaceVariation = SurfaceVariation()
    arm: SurfaceVariation = SurfaceVariation()
    background: SurfaceVariation = SurfaceVariation()


class LightVariation(Sparse):
    """azimuth_rad, elevation_rad: where the light comes from, about B's z from x, and over the
    table. ambient, diffuse: factors. shadow: what is left of the light in a shadow, 0 to 1."""

    azimuth_rad: Shift | None = None
    elevation_rad: Shift | None = None
    ambient: Factor | None = None
    diffuse: Factor | None = None
    shadow: Share | None = None


class CameraVariation(Sparse):
    """Where a camera really is and what its lens really does; each camera and axis for itself.

    position_m, rotation_rad: shift and turn along and about x, y and z of its optical frame C.
    fov_deg: more of the full vertical field of view. centre_px: shift of the principal point.
    """

    position_m: Shift | None = None
    rotation_rad: Shift | None = None
    fov_deg: Shift | None = None
    centre_px: Shift | None = None


class PictureVariation(Sparse):
    """What the sensor makes of the light; each camera for itself.

    exposure: factor. contrast: factor about middle grey. gamma: exponent. white_balance: factor on
    red, its inverse on blue. noise: standard deviation of each pixel of each picture, in grey
    levels of 255.
    """

    exposure: Factor | None = None
    contrast: Factor | None = None
    gamma: Factor | None = None
    white_balance: Factor | None = None
    noise: Amount | None = None


class PhysicsVariation(Sparse):
    """Factors, but for the height.

    object_mass, object_friction: each thing of a task for itself. finger_friction,
    table_friction: contact friction is the product of both surfaces' (Bullet). position_gain,
    velocity_gain, grip_force: on the motors' numbers in ``config/twin.yaml``. table_height_m: of
    the table and what is put on it, above the z = 0 of B that everybody believes in.
    """

    object_mass: Factor | None = None
    object_friction: Factor | None = None
    finger_friction: Factor | None = None
    table_friction: Factor | None = None
    position_gain: Factor | None = None
    velocity_gain: Factor | None = None
    grip_force: Factor | None = None
    table_height_m: Shift | None = None


class EncoderVariation(Sparse):
    """What the arm says about itself. joint_offset_rad: each joint's zero is off by it, for
    measuring and for moving alike. joint_noise_rad, finger_noise_m: standard deviation of each
    reading."""

    joint_offset_rad: Shift | None = None
    joint_noise_rad: Amount | None = None
    finger_noise_m: Amount | None = None


class RandomizeSettings(Sparse):
    """What differs from episode to episode. Empty: nothing does.

    In YAML also the name of a shipped file (``none``, ``mild``, ``calibrated``, ``hard``), a path
    ending in ``.yaml``, or a mapping whose ``like`` names one of these and whose other keys go on
    top of it.
    """

    colour: ColourVariation = ColourVariation()
    light: LightVariation = LightVariation()
    camera: CameraVariation = CameraVariation()
    picture: PictureVariation = PictureVariation()
    physics: PhysicsVariation = PhysicsVariation()
    encoders: EncoderVariation = EncoderVariation()
    delay: DelayVariation = DelayVariation()

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, value: Any) -> Any:
        if value is None:
            return {}
        if isinstance(value, str):
            return as_tuples(_read(value))
        if isinstance(value, dict) and "like" in value:
            like = value["like"]
            if not isinstance(like, str):
                raise ValueError(f"like: must be the name of a file, got {like!r}")
            over = {key: item for key, item in value.items() if key != "like"}
            return as_tuples(on_top(_read(like), over))
        return as_tuples(value)


def _read(name: str) -> dict[str, Any]:
    try:
        return read(name if name.endswith((".yaml", ".yml")) else f"randomize/{name}")[0]
    except ConfigError as error:
        raise ValueError(str(error)) from None


def on_top(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """``over`` on ``base``: groups are merged, distributions replaced."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        both = isinstance(below, dict) and isinstance(value, dict)
        merged[key] = on_top(below, value) if both and _is_group(below) else value  # type: ignore[arg-type]
    return merged


def _is_group(value: Any) -> bool:
    names = {"uniform", "log_uniform", "normal", "choice", "constant"}
    return not names & set(value)
