"""What a camera device is to the rig: a source of shots that can be lost and opened again."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from handful.rig.calibration import Calibration
from handful.rig.camera import CameraError


class EndOfRecordingError(CameraError):
    """The file has been played to its end and is not to be repeated."""


class CameraSetupError(CameraError):
    """The settings do not say which device is meant, or one that cannot be: waiting is no use."""


@dataclass(frozen=True)
class Shot:
    """What a source delivers.

    pixels: (H, W, 3) uint8 RGB. depth_mm: (H, W) uint16 or None. device_s: stamp on the device's
    own clock [s]. age_s: how old the picture was when it was handed over, where device and machine
    share a clock, else None. number: the device's count, None where it has none.
    """

    pixels: NDArray[np.uint8]
    device_s: float | None
    age_s: float | None = None
    number: int | None = None
    depth_mm: NDArray[np.uint16] | None = None


@dataclass(frozen=True)
class Picture:
    """The newest picture of a camera, read-only and shared: (H, W, 3) uint8 RGB, (H, W) uint16
    [mm] or None, capture time on the cell's clock [s]."""

    pixels: NDArray[np.uint8]
    depth_mm: NDArray[np.uint16] | None
    stamp_s: float


@dataclass(frozen=True)
class Health:
    """How a camera is. problem: empty while it delivers. rate_hz: over the last second or so.
    age_s: of the newest picture, ``inf`` before the first. dropped: numbers the device skipped."""

    device: str
    problem: str
    frozen: bool
    rate_hz: float
    age_s: float
    pictures: int
    dropped: int
    reconnects: int
    clock_restarts: int
    temperature_c: float | None


class Source(Protocol):
    """A device or file that can be opened again after it was lost."""

    device: str  # how errors call it
    on_demand: bool  # a file that waits to be asked: as fast as it is consumed

    def open(self) -> None:
        """Raises ``CameraError`` naming the device when it cannot."""
        ...

    def read(self, timeout_s: float) -> Shot | None:
        """The next picture, or None when there was none in time. ``CameraError``: it is lost."""
        ...

    def close(self) -> None:
        """Twice is safe."""
        ...

    def calibration(self) -> Calibration | None:
        """Intrinsics of the whole picture, where the device knows them; once open."""
        ...

    def temperature_c(self) -> float | None:
        """Where the device offers it."""
        ...
