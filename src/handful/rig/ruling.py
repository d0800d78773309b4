"""What the guard's process says: about one action, to the arm, and about itself.

The contents of ``Verdict.msg``, ``Command.msg`` and ``GuardState.msg``, in words that know no ROS.
"""

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from handful.contract import Command
from handful.rig.guard import Status

#: What a ruling may say beyond ``rig.guard.Status``: nothing moves until a person resumes; the
#: sender may not move the arm, or sent something that is no action.
HELD, REFUSED = "held", "refused"
#: The rulings after which the arm follows the target.
MOVES = frozenset({Status.OK.value, Status.SLOWED.value, Status.AT_WALL.value})


class Mode(Enum):
    """Whether anything may move."""

    READY = "ready"
    HELD = "held"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Ruling:
    """What became of one action: ``Verdict.msg`` without its header.

    status: of ``rig.guard.Status``, or held, or refused. executed: (A,) float32, what was sent, as
    an action. step_m: (3,) how far the target moved [m]. command: the target now; None before the
    arm was first heard.
    """

    status: str
    reason: str
    executed: NDArray[np.float32]
    step_m: NDArray[np.float64]
    command: Command | None


@dataclass(frozen=True)
class Order:
    """What the arm is told now: ``Command.msg`` without its header.

    decided_s: when it was decided, on the cell's clock [s]; stays while the order is repeated.
    """

    command: Command
    hold: bool
    reason: str
    decided_s: float


@dataclass(frozen=True)
class Standing:
    """``GuardState.msg``: may anything move, why not, and who does."""

    mode: Mode
    reason: str
    source: str
    judged: int
    refused: int
