"""What can be set about teleoperation; ``config/teleop.yaml`` is the manual."""

from enum import Enum
from typing import Literal

from pydantic import Field, model_validator

from handful.config import Settings
from handful.rig.operator import NAMED_KEYS, Intent

DEVICES = ("keyboard", "gamepad", "spacemouse", "page")
"""Devices of this machine; over ROS there are ``joy`` and ``spacenav`` besides."""


class Motion(Enum):
    """What a key can move, for as long as it is down. The value is the word in the YAML."""

    FORWARD = "forward"
    BACK = "back"
    LEFT = "left"
    RIGHT = "right"
    UP = "up"
    DOWN = "down"
    TURN_LEFT = "turn_left"
    TURN_RIGHT = "turn_right"
    OPEN = "open"
    CLOSE = "close"


class Stick(Enum):
    """What an axis can move; positive is away, left, up, counter-clockwise, open, closed."""

    FORWARD = "forward"
    LEFT = "left"
    UP = "up"
    TURN = "turn"
    OPEN = "open"
    CLOSE = "close"


ARROWS = ("up", "down", "left", "right", "pageup", "pagedown", "home", "end")
"""Names of keys that a terminal sends as an escape and more."""


class KeySettings(Settings):
    """motions: motion -> keys. hold_s: how long a key in a terminal counts as held. deadman, slow:
    keys of the page, where keys are known to go up again.
    """

    motions: dict[Motion, tuple[str, ...]] = Field(
        default={
            Motion.FORWARD: ("up",),
            Motion.BACK: ("down",),
            Motion.LEFT: ("left",),
            Motion.RIGHT: ("right",),
            Motion.UP: ("u", "pageup"),
            Motion.DOWN: ("d", "pagedown"),
            Motion.TURN_LEFT: ("n",),
            Motion.TURN_RIGHT: ("m",),
            Motion.OPEN: ("o",),
            Motion.CLOSE: ("c",),
        }
    )
    hold_s: float = Field(default=0.15, gt=0.0, le=1.0)
    deadman: str = "shift"
    slow: str = "v"

    @model_validator(mode="after")
    def _every_key_moves_one_thing(self) -> "KeySettings":
        used = [key for keys in self.motions.values() for key in keys]
        used += [self.deadman, self.slow]
        twice = sorted({key for key in used if used.count(key) > 1})
        if twice:
            raise ValueError(f"keys: {twice[0]} means two things; give it one meaning")
        for key in used:
            if len(key) != 1 and key not in (*ARROWS, *NAMED_KEYS, "shift", "control", "alt"):
                raise ValueError(f"keys: {key!r} is no key; one character, or {', '.join(ARROWS)}")
        return self


class Axis(Settings):
    """One axis: its index, and what it is multiplied with; -1 turns it round."""

    index: int = Field(ge=0, le=31)
    gain: float = Field(default=1.0, ge=-2.0, le=2.0)


class PadSettings(Settings):
    """Axes and buttons as Linux numbers them. full_scale: raw value of a full deflection."""

    axes: dict[Stick, Axis]
    full_scale: float = Field(gt=0.0)
    deadzone: float = Field(default=0.1, ge=0.0, lt=1.0)
    deadman: tuple[int, ...] = Field(min_length=1)
    slow: tuple[int, ...] = ()
    open: tuple[int, ...] = ()
    close: tuple[int, ...] = ()
    toggle: tuple[int, ...] = ()
    intents: dict[Intent, tuple[int, ...]] = Field(default={})

    @model_validator(mode="after")
    def _every_button_means_one_thing(self) -> "PadSettings":
        used = [*self.deadman, *self.slow, *self.open, *self.close, *self.toggle]
        used += [k for buttons in self.intents.values() for k in buttons]
        twice = sorted({k for k in used if used.count(k) > 1})
        if twice:
            raise ValueError(f"buttons: {twice[0]} means two things; give it one meaning")
        if any(k < 0 for k in used):
            raise ValueError("buttons: indices count from 0")
        return self


XBOX = PadSettings(
    axes={
        Stick.FORWARD: Axis(index=1, gain=-1.0),
        Stick.LEFT: Axis(index=0, gain=-1.0),
        Stick.UP: Axis(index=4, gain=-1.0),
        Stick.TURN: Axis(index=3, gain=-1.0),
        Stick.OPEN: Axis(index=2),
        Stick.CLOSE: Axis(index=5),
    },
    full_scale=32767.0,
    deadman=(4,),
    slow=(5,),
    intents={
        Intent.SUCCESS: (0,),
        Intent.STOP: (1,),
        Intent.FAILURE: (2,),
        Intent.REDO: (3,),
        Intent.END: (6,),
        Intent.BEGIN: (7,),
        Intent.RESUME: (8,),
    },
)
SPACEMOUSE = PadSettings(
    axes={
        Stick.FORWARD: Axis(index=1, gain=-1.0),
        Stick.LEFT: Axis(index=0, gain=-1.0),
        Stick.UP: Axis(index=2, gain=-1.0),
        Stick.TURN: Axis(index=5, gain=-1.0),
    },
    full_scale=350.0,
    deadzone=0.08,
    deadman=(0,),
    toggle=(1,),
)
SPACENAV = PadSettings(
    axes={
        Stick.FORWARD: Axis(index=0),
        Stick.LEFT: Axis(index=1),
        Stick.UP: Axis(index=2),
        Stick.TURN: Axis(index=5),
    },
    full_scale=1.0,
    deadzone=0.08,
    deadman=(0,),
    toggle=(1,),
)


class PageSettings(Settings):
    """host, port: where the page is served; port 0 takes a free one. picture_px, jpeg_quality: of
    the live view. seat_s: a page that says nothing for so long gives up its seat to the next one.
    """

    host: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=65535)
    picture_px: int = Field(default=320, ge=64, le=1024)
    jpeg_quality: int = Field(default=80, ge=10, le=100)
    seat_s: float = Field(default=3.0, gt=0.0, le=60.0)


class TeleopSettings(Settings):
    """device: what ``operator_node`` drives with, empty: nothing. path: device file, empty: the
    first that is found. scale, slow_scale: share of a full action at full deflection. frame: whose
    axes forward and left are. max_silence_s: a stream that is silent for so long was let go.
    """

    device: Literal["", "keyboard", "gamepad", "spacemouse", "page", "joy", "spacenav"] = ""
    path: str = ""
    scale: float = Field(default=1.0, gt=0.0, le=1.0)
    slow_scale: float = Field(default=0.3, gt=0.0, le=1.0)
    frame: Literal["base", "tool"] = "base"
    max_silence_s: float = Field(default=0.25, gt=0.0, le=2.0)
    keys: KeySettings = Field(default=KeySettings())
    gamepad: PadSettings = Field(default=XBOX)
    spacemouse: PadSettings = Field(default=SPACEMOUSE)
    spacenav: PadSettings = Field(default=SPACENAV)
    page: PageSettings = Field(default=PageSettings())
