"""The camera door: what every eye, real, recorded or simulated, must offer the rig."""

from typing import Protocol

from handful.contract import Frame


class CameraError(RuntimeError):
    """A camera that cannot deliver; the message names the camera and what is missing."""


class StaleFrameError(CameraError):
    """The newest frame is older than allowed; the message gives its age and the limit [s]."""


class Camera(Protocol):
    """One colour camera.

    The contract, held by ``tests/contracts.py`` for fake, twin and hardware alike: stamps never go
    back; two frames share no memory; ``latest`` raises ``StaleFrameError`` rather than return a
    frame older than ``max_age_s``; reading before ``open`` or after ``close`` raises
    ``CameraError``; ``close`` twice is safe.
    """

    name: str

    def open(self) -> None:
        """Start delivering. Raises ``CameraError`` naming the device when it cannot."""
        ...

    def latest(self, max_age_s: float) -> Frame:
        """The newest frame, no older than ``max_age_s`` [s] on the rig's clock."""
        ...

    def close(self) -> None:
        """Stop delivering and let the device go."""
        ...
