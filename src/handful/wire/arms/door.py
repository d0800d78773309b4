"""The door an adapter comes through: what moves, what grips, what is measured, what is wrong.

``handful.wire.arm`` calls all of it from one thread, at ``rate_hz``. An adapter only translates:
when to move, to hold and to give up is decided before it is asked (``rig.obey``). Messages arrive
on other threads, so their callbacks keep the newest and nothing else.
"""

from dataclasses import dataclass
from typing import Protocol

from handful.rig.chain import Chain
from handful.rig.geometry import Matrix
from handful.rig.obey import Measured


class Watch(Protocol):
    """Whatever can be wrong with a part."""

    def fault(self) -> str:
        """A complaint that only a person may end; empty: none. Latched by the caller."""
        ...

    def obstacle(self) -> str:
        """Why the arm must stand still as long as this lasts: nobody listens yet, say."""
        ...


class Source(Watch, Protocol):
    """Where the flange E is."""

    def read(self) -> Measured | None:
        """The newest measurement; None before the first."""
        ...


class Motion(Watch, Protocol):
    """The controller that moves the arm."""

    def begin(self, seen: Measured) -> None:
        """The arm is about to move from where it is, after standing still."""
        ...

    def follow(self, X_BE: Matrix, seen: Measured, now_s: float) -> None:
        """Go towards ``X_BE``; called at every beat. Raises ``ArmError`` when it cannot."""
        ...

    def halt(self, X_BE: Matrix | None, seen: Measured | None) -> None:
        """Stop in this controller's way, at the pose captured when standing still began.

        Called ``stop_repeats`` times running. X_BE: None when it is not known where the arm is.
        """
        ...


class Gripper(Watch, Protocol):
    """The fingers."""

    def opening_m(self) -> tuple[float, float]:
        """(opening [m], when it was heard [s, steady clock]); NaN before the first."""
        ...

    def send(self, goal_m: float) -> None:
        """Go to this opening; it takes the time it takes."""
        ...

    def busy(self) -> bool:
        """Whether it still works on the last goal."""
        ...


@dataclass(frozen=True)
class Cell:
    """What adapters share: names and joints of the arm they belong to."""

    base_frame: str
    chain: Chain | None
