"""What sensors make of the truth in one episode: a camera's light and grain, an arm's encoders."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handful_twin import noise

Array = NDArray[np.float64]
Pixels = NDArray[np.uint8]


def tone(
    exposure: float = 1.0, contrast: float = 1.0, gamma: float = 1.0, white_balance: float = 1.0
) -> Array:
    """The curve (3, 256) from grey levels to grey levels, for red, green and blue.

    Light first (exposure and white balance are factors on it, red times and blue over the latter),
    then contrast about the middle, then gamma, each kept within 0 and 255.
    """
    light = np.arange(256.0) / 255.0 * exposure
    curve = light * np.array([[white_balance], [1.0], [1.0 / white_balance]])
    curve = np.clip(0.5 + contrast * (np.clip(curve, 0.0, 1.0) - 0.5), 0.0, 1.0)
    toned: Array = 255.0 * curve**gamma
    return toned


@dataclass(frozen=True)
class Sensor:
    """One camera's sensor. curve: of ``tone``; sigma: of its noise, in grey levels."""

    curve: Array
    sigma: float
    key: int

    def see(self, pixels: Pixels, moment: int) -> Pixels:
        """(H, W, 3) uint8 as this sensor delivers it; ``moment`` is what its noise hangs on."""
        return noise.expose(pixels, self.curve, self.sigma, self.key, moment)


@dataclass(frozen=True)
class Encoders:
    """What an arm's encoders read. offset_rad: (N,) how far each joint's zero is off.

    joint_noise_rad, finger_noise_m: standard deviation of each reading.
    """

    offset_rad: Array
    joint_noise_rad: float
    finger_noise_m: float
    key: int

    def read(self, q: Array, moment: int) -> Array:
        """(N + M,) joints [rad] and fingers [m] as they are read at physics step ``moment``."""
        grain = noise.normals(self.key, moment, len(q))
        joints = len(self.offset_rad)
        grain[:joints] *= self.joint_noise_rad
        grain[:joints] += self.offset_rad
        grain[joints:] *= self.finger_noise_m
        read: Array = q + grain
        return read


def plain_sensor(sigma: float, key: int) -> Sensor:
    """Nothing but noise."""
    return Sensor(tone(), sigma, key)


def plain_encoders(
    joint_noise_rad: float, finger_noise_m: float, key: int, joints: int = 7
) -> Encoders:
    """Nothing but noise."""
    return Encoders(np.zeros(joints), joint_noise_rad, finger_noise_m, key)
