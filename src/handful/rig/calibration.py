"""What a lens does to a picture: intrinsics in pixels, read from camera_calibration's YAML.

Pixel centres lie at whole numbers, as in OpenCV: the middle of a picture of W columns is at
(W - 1) / 2. Cropping and resizing a picture changes its intrinsics; both are done here, so that
what is published always describes the picture beside it.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

from handful.config import ConfigError

_COEFFICIENTS = {"plumb_bob": (5,), "rational_polynomial": (8, 12, 14), "equidistant": (4,)}


def _none() -> NDArray[np.float64]:
    return np.empty((0, 0))


def _eye() -> NDArray[np.float64]:
    return np.eye(3)


@dataclass(frozen=True)
class Calibration:
    """Intrinsics of one picture size, in the words of ``sensor_msgs/CameraInfo``.

    K: (3, 3) camera matrix [px]. D: (5,) for plumb_bob (k1 k2 t1 t2 k3), (8,), (12,) or (14,) for
    rational_polynomial, (4,) for equidistant. R: (3, 3) rectifying rotation. P: (3, 4) projection
    of the rectified picture [px]; K and a zero column unless it is given.
    """

    width_px: int
    height_px: int
    K: NDArray[np.float64]
    D: NDArray[np.float64]
    model: str = "plumb_bob"
    R: NDArray[np.float64] = field(default_factory=_eye)
    P: NDArray[np.float64] = field(default_factory=_none)

    def __post_init__(self) -> None:
        if self.P.size == 0:
            object.__setattr__(self, "P", np.hstack([self.K, np.zeros((3, 1))]))

    def cropped(self, top: int, left: int, height_px: int, width_px: int) -> "Calibration":
        """Of the window of ``height_px`` x ``width_px`` whose first pixel is (top, left)."""
        shift = np.array([[1.0, 0.0, -left], [0.0, 1.0, -top], [0.0, 0.0, 1.0]])
        return replace(
            self, width_px=width_px, height_px=height_px, K=shift @ self.K, P=shift @ self.P
        )

    def resized(self, width_px: int, height_px: int) -> "Calibration":
        """Of the same view in another number of pixels; distortion needs no change."""
        sx, sy = width_px / self.width_px, height_px / self.height_px
        scale = np.array(
            [[sx, 0.0, 0.5 * (sx - 1.0)], [0.0, sy, 0.5 * (sy - 1.0)], [0.0, 0.0, 1.0]]
        )
        return replace(
            self, width_px=width_px, height_px=height_px, K=scale @ self.K, P=scale @ self.P
        )


@dataclass(frozen=True)
class View:
    """The part of a camera's picture that is delivered, and in how many pixels.

    crop_px: (top, left, height, width) or None for all of it. size_px: (width, height) or None for
    as many as the crop has.
    """

    crop_px: tuple[int, int, int, int] | None = None
    size_px: tuple[int, int] | None = None

    def trouble(self, width_px: int, height_px: int) -> str:
        """Why a picture of this size has no such view, as a sentence; empty when it has."""
        if self.crop_px is None:
            return ""
        top, left, height, width = self.crop_px
        if top + height <= height_px and left + width <= width_px:
            return ""
        return (
            f"crop_px (top, left, height, width) = {list(self.crop_px)} does not lie inside the "
            f"picture of {height_px} rows x {width_px} columns that the camera delivers"
        )

    def colour(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 to the view; area means when it shrinks."""
        part = self._crop(pixels)
        if self.size_px is None or self.size_px == (part.shape[1], part.shape[0]):
            return np.ascontiguousarray(part)
        shrinks = part.shape[1] > self.size_px[0] or part.shape[0] > self.size_px[1]
        method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(part, self.size_px, interpolation=method), np.uint8)

    def depth(self, depth_mm: NDArray[np.uint16]) -> NDArray[np.uint16]:
        """(H, W) uint16 to the view; the nearest measurement, never a mean over an edge."""
        part = self._crop(depth_mm)
        if self.size_px is None or self.size_px == (part.shape[1], part.shape[0]):
            return np.ascontiguousarray(part)
        nearest = cv2.INTER_NEAREST_EXACT
        return np.asarray(cv2.resize(part, self.size_px, interpolation=nearest), np.uint16)

    def calibration(self, whole: Calibration) -> Calibration:
        """Intrinsics of the view, from those of the whole picture."""
        part = whole.cropped(*self.crop_px) if self.crop_px is not None else whole
        return part.resized(*self.size_px) if self.size_px is not None else part

    def _crop(self, picture: NDArray[Any]) -> NDArray[Any]:
        if self.crop_px is None:
            return picture
        top, left, height, width = self.crop_px
        return picture[top : top + height, left : left + width]


def load_calibration(path: str | Path) -> Calibration:
    """Read the YAML that ROS' camera_calibration writes.

    Raises:
        ConfigError: no such file, not YAML, a key missing or of another shape, an unknown
            distortion model, a focal length that is not above 0.
    """
    path = Path(path)
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: the calibration cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    return parse_calibration(values, str(path))


def parse_calibration(values: Any, where: str) -> Calibration:
    """The same from what such a file holds. Raises ``ConfigError`` as ``load_calibration``."""
    if not isinstance(values, dict):
        raise ConfigError(f"{where}: expected the mapping that camera_calibration writes")
    width_px, height_px = (_size(where, values, f"image_{side}") for side in ("width", "height"))
    model = values.get("distortion_model", "plumb_bob")
    if model not in _COEFFICIENTS:
        raise ConfigError(
            f"{where}: distortion_model {model!r}; known are {', '.join(_COEFFICIENTS)}"
        )
    D = _matrix(where, values, "distortion_coefficients", None)
    if D.size not in _COEFFICIENTS[model]:
        wanted = " or ".join(map(str, _COEFFICIENTS[model]))
        raise ConfigError(
            f"{where}: distortion_coefficients: {D.size} numbers, {model} has {wanted}"
        )
    K = _matrix(where, values, "camera_matrix", (3, 3))
    if not (K[0, 0] > 0.0 and K[1, 1] > 0.0):
        raise ConfigError(
            f"{where}: camera_matrix: focal lengths must be above 0, got {K.tolist()}"
        )
    has_R, has_P = "rectification_matrix" in values, "projection_matrix" in values
    return Calibration(
        width_px=width_px,
        height_px=height_px,
        K=K,
        D=D.ravel(),
        model=model,
        R=_matrix(where, values, "rectification_matrix", (3, 3)) if has_R else np.eye(3),
        P=_matrix(where, values, "projection_matrix", (3, 4)) if has_P else _none(),
    )


def _size(where: str, values: dict[str, Any], key: str) -> int:
    value = values.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigError(f"{where}: {key}: expected a number of pixels above 0, got {value!r}")
    return value


def _matrix(
    where: str, values: dict[str, Any], key: str, shape: tuple[int, int] | None
) -> NDArray[np.float64]:
    """The matrix under ``key``: a mapping with rows, cols and data."""
    entry: Any = values.get(key)
    try:
        matrix = np.array(entry["data"], np.float64).reshape(entry["rows"], entry["cols"])
    except (TypeError, KeyError, ValueError):
        raise ConfigError(
            f"{where}: {key}: expected rows, cols and data with rows x cols numbers, got {entry!r}"
        ) from None
    if shape is not None and matrix.shape != shape:
        raise ConfigError(
            f"{where}: {key}: expected {shape[0]} x {shape[1]} numbers, got "
            f"{matrix.shape[0]} x {matrix.shape[1]}"
        )
    if not np.isfinite(matrix).all():
        raise ConfigError(f"{where}: {key}: a number is not finite: {matrix.tolist()}")
    return matrix
