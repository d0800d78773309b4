"""Which arm the twin has, as ``config/arm/NAME.yaml`` says it: a URDF and what that leaves out."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from handful.config import ConfigError, Settings, read
from handful_twin.distributions import as_tuples
from handful_twin.randomize_settings import on_top

Vector = tuple[float, float, float]

#: Before the path of a URDF that the installed ``pybullet_data`` brings.
SHIPPED = "pybullet_data:"


class BaseSettings(Settings):
    """link: the arm's first link. position_m, yaw_rad: where it stands in B, which is the cell's
    frame: table top at z = 0, the tasks' things at x 0.36 to 0.62 m."""

    link: str
    position_m: Vector = (0.0, 0.0, 0.0)
    yaw_rad: float = 0.0


class HandSettings(Settings):
    """The hand's frame H and the tool tip T.

    link: what carries them. position_m, rpy_rad: H in that link (fixed-axis roll, pitch, yaw), with
    z from the wrist towards the finger tips and y along the opening. tip_m: T beyond H along z.
    ``attach: hand`` of a camera means H.
    """

    link: str
    position_m: Vector = (0.0, 0.0, 0.0)
    rpy_rad: Vector = (0.0, 0.0, 0.0)
    tip_m: float = Field(default=0.0, ge=0.0)


class PadSettings(Settings):
    """A box in place of a finger's collision meshes. centre_m: of it, in the finger's link."""

    size_m: Vector
    centre_m: Vector


class GripperSettings(Settings):
    """Two fingers that move alike.

    joints: those that move them, all below the hand when empty. closed, opened: their positions
    [m, or rad], one number for all or one for each; in between the opening is taken for linear.
    opening_m: between the pads when opened. pads: link -> box, which makes grasps hold.
    """

    joints: tuple[str, ...] = ()
    closed: float | tuple[float, ...] = 0.0
    opened: float | tuple[float, ...]
    opening_m: float = Field(gt=0.0, le=0.3)
    pads: dict[str, PadSettings] = {}


class ArmSettings(Settings):
    """An arm. In YAML also the name of a shipped one, a path ending in ``.yaml``, or a mapping
    whose ``like`` names one of these and whose other keys go on top of it.

    urdf: its path, beside the YAML when it is not absolute; ``pybullet_data:`` before it means the
    installed package's folder. home_rad: (N,) a posture with the hand down and the limits far;
    looked for when it is empty. effort, speed_rad_s: (N,) in place of the URDF's. hold_yaw: false
    for an arm that cannot choose its hand's yaw, as one of five joints. gripper: None for a bare
    tool. drawn: from which of a link's shapes it is drawn.
    """

    urdf: str
    base: BaseSettings
    hand: HandSettings
    home_rad: tuple[float, ...] = ()
    effort: tuple[float, ...] = ()
    speed_rad_s: tuple[float, ...] = ()
    hold_yaw: bool = True
    gripper: GripperSettings | None = None
    drawn: Literal["visual", "collision"] = "visual"

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, value: Any) -> Any:
        if isinstance(value, str):
            return as_tuples(_read(value))
        if isinstance(value, dict) and "like" in value:
            like = value["like"]
            if not isinstance(like, str):
                raise ValueError(f"like: must be the name of an arm, got {like!r}")
            over = {key: item for key, item in value.items() if key != "like"}
            return as_tuples(on_top(_read(like), over))
        return as_tuples(value)


def panda() -> ArmSettings:
    """The shipped one."""
    return ArmSettings.model_validate("panda")


def _read(name: str) -> dict[str, Any]:
    own = name.endswith((".yaml", ".yml"))
    try:
        values = read(name if own else f"arm/{name}")[0]
    except ConfigError as error:
        raise ValueError(str(error)) from None
    urdf = values.get("urdf")
    if own and isinstance(urdf, str) and not urdf.startswith(SHIPPED):
        values["urdf"] = str((Path(name).parent / Path(urdf).expanduser()).resolve())
    return values
