"""Lenses that bend: a pinhole picture with a margin, looked up where each real pixel looks.

Models and coefficients are OpenCV's, as ``handful.rig.calibration`` reads them. For every output
pixel the distortion is inverted once; drawing then costs one larger pinhole picture and a remap.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from handful.config import ConfigError
from handful.rig.calibration import Calibration

Array = NDArray[np.float64]

_MARGIN_PX = 2  # for the remap's neighbours
_WIDEST = math.tan(math.radians(80.0))  # a pinhole of more than 160 degrees is all margin
_TRUE_PX = 0.02  # an inverse that misses by more has not converged: the lens does not see there
_ITERATIONS = 50


@dataclass(frozen=True)
class Pinhole:
    """The picture to draw: K (3, 3) and its size."""

    K: Array
    width_px: int
    height_px: int


class Lens:
    """A distorted view on a pinhole one.

    Raises:
        ConfigError: the lens sees further to the side than a pinhole can show.
    """

    def __init__(self, calibration: Calibration, name: str = "camera") -> None:
        K, width, height = calibration.K, calibration.width_px, calibration.height_px
        v, u = np.mgrid[0:height, 0:width]
        pixels = np.column_stack([u.ravel(), v.ravel()]).astype(np.float64)
        rays, seen = undistort(pixels, calibration)
        if not seen.any() or np.abs(rays[seen]).max() > _WIDEST:
            raise ConfigError(
                f"{name}: with model {calibration.model} and distortion "
                f"{calibration.D.round(4).tolist()} its corners look more than 80 degrees aside; "
                "crop the picture, or check the calibration"
            )
        focal = np.array([K[0, 0], K[1, 1]])
        low = np.floor(rays[seen].min(axis=0) * focal) - _MARGIN_PX
        high = np.ceil(rays[seen].max(axis=0) * focal) + _MARGIN_PX
        columns, rows = (high - low).astype(int) + 1
        drawn = np.array([[focal[0], 0.0, -low[0]], [0.0, focal[1], -low[1]], [0.0, 0.0, 1.0]])
        self.pinhole = Pinhole(drawn, int(columns), int(rows))
        maps = np.where(seen[:, None], rays * focal - low, -1.0e4).astype(np.float32)
        shape = height, width
        self._u, self._v = maps[:, 0].reshape(shape), maps[:, 1].reshape(shape)

    def bend(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The picture through the lens, from one of ``pinhole``; black where the lens is blind."""
        return np.asarray(cv2.remap(pixels, self._u, self._v, cv2.INTER_LINEAR), np.uint8)


def undistort(pixels: Array, calibration: Calibration) -> tuple[Array, NDArray[np.bool_]]:
    """Rays (N, 2) x/z, y/z of pixels (N, 2), and which of them the lens has (N,)."""
    points = np.ascontiguousarray(pixels).reshape(-1, 1, 2)
    K, D = calibration.K, calibration.D
    if calibration.model == "equidistant":
        rays = cv2.fisheye.undistortPoints(points, K, D)
    else:
        criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, _ITERATIONS, 1e-12)
        rays = cv2.undistortPointsIter(points, K, D, np.eye(3), np.eye(3), criteria)
    found: Array = np.asarray(rays, np.float64).reshape(-1, 2)
    finite = np.isfinite(found).all(axis=1) & (np.abs(found).max(axis=1) < 100.0)
    again = distort(np.where(finite[:, None], found, 0.0), calibration)
    true: NDArray[np.bool_] = np.linalg.norm(again - pixels, axis=1) < _TRUE_PX
    return found, finite & true


def distort(rays: Array, calibration: Calibration) -> Array:
    """Pixels (N, 2) of rays (N, 2) x/z, y/z, by OpenCV's own projection."""
    points = np.column_stack([rays, np.ones(len(rays))]).reshape(-1, 1, 3)
    none = np.zeros(3)
    if calibration.model == "equidistant":
        found, _ = cv2.fisheye.projectPoints(points, none, none, calibration.K, calibration.D)
    else:
        found, _ = cv2.projectPoints(points, none, none, calibration.K, calibration.D)
    return np.asarray(found, np.float64).reshape(-1, 2)
