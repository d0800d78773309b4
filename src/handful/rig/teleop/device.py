"""The door every teleoperation device comes through: what a person wishes now, and if they mean it.

A device is read, never waited for. It never raises once it is open: a cable that is pulled, a page
that is closed, a stream that falls silent are all the same as a hand that lets go, with a sentence
that says so. ``tests/contracts.py`` has the tests that every device must pass.
"""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from handful.rig.operator import Intent


class DeviceError(RuntimeError):
    """A device that cannot be opened, or is used before; the message names it and the remedy."""


def _still() -> NDArray[np.float64]:
    return np.zeros(3)


@dataclass(frozen=True)
class Wish:
    """What a person wants at one moment.

    held: the deadman is held, so the rest counts. move: (3,) in [-1, 1]: away from the arm's base,
    to the left of it, up. turn: yaw in [-1, 1], counter-clockwise as seen from above. grip: opening
    in [-1, 1], -1 closed; None: as it is. slow: the fine gear. pressed: what was pressed since the
    last reading, in order; it counts whether or not the deadman is held. note: why nothing can be
    wished, such as "gamepad: unplugged"; empty: all is well.
    """

    held: bool = False
    move: NDArray[np.float64] = field(default_factory=_still)
    turn: float = 0.0
    grip: float | None = None
    slow: bool = False
    pressed: tuple[Intent, ...] = ()
    note: str = ""


class Device(Protocol):
    """Anything a person can drive with."""

    @property
    def name(self) -> str:
        """One word: keyboard, gamepad, spacemouse, page, ..."""
        ...

    def open(self) -> None:
        """Take the device; it can be read from now on.

        Raises:
            DeviceError: it is not there, or may not be read.
        """
        ...

    def read(self) -> Wish:
        """The newest wish, at once.

        Raises:
            DeviceError: before ``open`` or after ``close``; never because the device has gone.
        """
        ...

    def close(self) -> None:
        """Let it go; twice is safe."""
        ...


class Deadman:
    """A deadman that must have been seen let go before it counts.

    Whoever finds one that is down already (at the start, or after a cable was plugged in again)
    cannot know that a person means it: a book may lie on the pad.
    """

    def __init__(self) -> None:
        self._armed = False

    def held(self, down: bool) -> bool:
        """Is it held, given that it is ``down`` now?"""
        if not down:
            self._armed = True
        return down and self._armed

    def forget(self) -> None:
        """The device was lost: it must be let go anew."""
        self._armed = False


def clipped(values: object) -> NDArray[np.float64]:
    """Three finite numbers in [-1, 1] from three of any kind; what is not finite is 0."""
    array = np.nan_to_num(np.asarray(values, np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    return np.clip(array, -1.0, 1.0)


def beyond(value: float, deadzone: float) -> float:
    """A stick's deflection without its dead middle, still in [-1, 1] and without a jump."""
    if not np.isfinite(value) or abs(value) <= deadzone:
        return 0.0
    return float(np.sign(value) * min(1.0, (abs(value) - deadzone) / (1.0 - deadzone)))
