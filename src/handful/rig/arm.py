"""The arm door: what every manipulator, real, faked or simulated, must offer the rig."""

from typing import Protocol

from handful.contract import ArmState, Command


class ArmError(RuntimeError):
    """An arm that cannot be read or moved; the message names the arm and the reason."""


class Arm(Protocol):
    """One arm with a gripper, commanded by absolute tool poses in its base frame B.

    The contract, held by ``tests/contracts.py`` for fake, twin and hardware alike: ``state`` is a
    snapshot that later motion does not change; a sent command appears as ``target_*`` in the next
    state; a non-finite command raises ``ArmError`` and changes nothing; ``stop`` makes the measured
    pose the target, and is idempotent.
    """

    def state(self) -> ArmState:
        """What is measured now, and the last accepted target."""
        ...

    def send(self, command: Command) -> None:
        """Accept a new goal and return at once; motion takes the time it takes."""
        ...

    def stop(self) -> None:
        """Hold at the measured pose."""
        ...
