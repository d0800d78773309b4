"""A flat board that a camera can measure itself with: drawn in its true size, found in a picture.

ChArUco: a chessboard, whose corners are found to a fraction of a pixel, with a marker in every
white square, which says which corner is which; so a board that is half seen counts for half.
Frame O of the board: origin at the outer corner of its first square, x along the columns, y along
the rows, z away from whoever looks at it. Pixel centres lie at whole numbers.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from handful.config import Settings
from handful.rig.calibration import Calibration
from handful.rig.geometry import pose

Array = NDArray[np.float64]

_DICTIONARIES = {
    "aruco_4x4_50": cv2.aruco.DICT_4X4_50,
    "aruco_5x5_100": cv2.aruco.DICT_5X5_100,
    "apriltag_36h11": cv2.aruco.DICT_APRILTAG_36h11,
}
_MODULES = {"aruco_4x4_50": 6, "aruco_5x5_100": 7, "apriltag_36h11": 8}
_MARGIN_M = 0.012  # of white paper around the board; what is left of A4 around the shipped one
_RULER_M = 0.1
#: A view of fewer corners than this says too little about where the board is.
LEAST_CORNERS = 6


class BoardError(ValueError):
    """A board that cannot be drawn or a picture that is no use; the message says which and why."""


class BoardSettings(Settings):
    """What is printed; ``config/board.yaml`` is the manual."""

    columns: int = Field(default=7, ge=3, le=20)
    rows: int = Field(default=5, ge=3, le=20)
    square_m: float = Field(default=0.036, gt=0.005, lt=0.5)
    marker_m: float = Field(default=0.027, gt=0.003, lt=0.5)
    dictionary: Literal["aruco_4x4_50", "aruco_5x5_100", "apriltag_36h11"] = "aruco_4x4_50"

    @model_validator(mode="after")
    def _markers_fit(self) -> "BoardSettings":
        if not 0.5 * self.square_m <= self.marker_m <= 0.9 * self.square_m:
            raise ValueError(
                f"marker_m {self.marker_m} must be 0.5 to 0.9 of square_m {self.square_m}, "
                "or it is too small to read, or has no white rim"
            )
        markers = self.columns * self.rows // 2
        known = cv2.aruco.getPredefinedDictionary(_DICTIONARIES[self.dictionary]).bytesList.shape[0]
        if markers > known:
            raise ValueError(
                f"{self.columns} x {self.rows} squares need {markers} markers, "
                f"{self.dictionary} has {known}"
            )
        return self


@dataclass(frozen=True)
class Sighting:
    """The corners of a board in one picture.

    ids: (N,) int. corners_px: (N, 2) columns and rows. points_m: (N, 3) the same corners in O.
    """

    ids: NDArray[np.int32]
    corners_px: Array
    points_m: Array

    def __len__(self) -> int:
        return len(self.ids)


class Board:
    """One board: what it looks like, and where its corners are in a picture."""

    def __init__(self, settings: BoardSettings) -> None:
        self.settings = settings
        self._board = cv2.aruco.CharucoBoard(
            (settings.columns, settings.rows),
            settings.square_m,
            settings.marker_m,
            cv2.aruco.getPredefinedDictionary(_DICTIONARIES[settings.dictionary]),
        )
        self._points_m = np.asarray(self._board.getChessboardCorners(), np.float64)
        self._detector = cv2.aruco.CharucoDetector(self._board)

    @property
    def size_m(self) -> tuple[float, float]:
        """Width and height of the squares together."""
        s = self.settings
        return s.columns * s.square_m, s.rows * s.square_m

    @property
    def corner_count(self) -> int:
        """How many inner corners there are."""
        return len(self._points_m)

    def picture(self, px_per_m: float) -> tuple[NDArray[np.uint8], float]:
        """The squares (H, W) uint8, 0 or 255, without a margin, and their true scale [px/m].

        The scale is the nearest to the one asked for at which a marker has whole pixels a module:
        between, OpenCV draws uneven ones, and its 5.0 refuses some sizes.
        """
        s = self.settings
        module_px = max(1, round(s.marker_m * px_per_m / _MODULES[s.dictionary]))
        marker_px = module_px * _MODULES[s.dictionary]
        square_px = round(marker_px * s.square_m / s.marker_m)
        if (square_px - marker_px) % 2:  # an even rim, the same on both sides
            square_px += 1
        size = s.columns * square_px, s.rows * square_px
        exact = cv2.aruco.CharucoBoard(
            (s.columns, s.rows), float(square_px), float(marker_px), self._board.getDictionary()
        )
        picture = np.asarray(exact.generateImage(size, marginSize=0), np.uint8)
        return np.where(picture < 128, 0, 255).astype(np.uint8), square_px / s.square_m

    def find(self, pixels: NDArray[np.uint8]) -> Sighting:
        """The corners seen in a picture (H, W) or (H, W, 3) uint8 RGB; there may be none."""
        grey = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
        corners, ids, _, _ = self._detector.detectBoard(np.ascontiguousarray(grey))
        if ids is None or corners is None or len(ids) == 0:
            return Sighting(np.empty(0, np.int32), np.empty((0, 2)), np.empty((0, 3)))
        found = np.asarray(ids, np.int32).ravel()
        px = np.asarray(corners, np.float64).reshape(-1, 2)
        return Sighting(found, px, self._points_m[found])

    def save(self, path: str | Path, dpi: float = 600.0) -> float:
        """Print it to a ``.png`` or ``.pdf`` that is as large as the board is, margin included.

        Below the squares stand what it is and a ruler of 100 mm, by which a print is checked.

        Returns:
            What was drawn per metre [px/m]; in a PDF that is the size of the page.
        Raises:
            BoardError: another ending.
            OSError: the file cannot be written.
        """
        from PIL import Image  # here, so that a rig that never prints needs no Pillow

        path = Path(path)
        if path.suffix not in {".png", ".pdf"}:
            raise BoardError(f"{path}: a board is a .png or a .pdf, for its size in metres")
        squares, px_per_m = self.picture(dpi / 0.0254)
        margin = round(_MARGIN_M * px_per_m)
        sheet = np.pad(squares, margin, constant_values=255)
        self._label(sheet, margin, px_per_m)
        true_dpi = px_per_m * 0.0254
        page = Image.fromarray(sheet).convert("1", dither=Image.Dither.NONE)
        if path.suffix == ".png":
            page.save(path, dpi=(true_dpi, true_dpi))
        else:
            page.save(path, resolution=true_dpi)
        return px_per_m

    def _label(self, sheet: NDArray[np.uint8], margin: int, px_per_m: float) -> None:
        s, mm = self.settings, px_per_m / 1000.0
        top, left = sheet.shape[0] - margin + round(3.0 * mm), margin
        right = left + round(_RULER_M * px_per_m)
        if right < sheet.shape[1]:
            thick = max(1, round(0.3 * mm))
            sheet[top : top + thick, left:right] = 0
            for end in (left, right - thick):
                sheet[top : top + round(2.0 * mm), end : end + thick] = 0
        words = (
            f"{1000.0 * _RULER_M:.0f} mm   handful: {s.columns} x {s.rows} squares of "
            f"{1000.0 * s.square_m:g} mm, markers {1000.0 * s.marker_m:g} mm, {s.dictionary}"
        )
        font, scale = cv2.FONT_HERSHEY_SIMPLEX, 0.11 * mm
        thick = max(1, round(0.25 * mm))
        width = cv2.getTextSize(words, font, scale, thick)[0][0]
        scale *= min(1.0, (sheet.shape[1] - 2 * margin) / max(width, 1))
        cv2.putText(sheet, words, (left, top + round(6.0 * mm)), font, scale, 0, thick, cv2.LINE_8)


def board_pose(seen: Sighting, lens: Calibration) -> tuple[Array, float]:
    """X_CO (4, 4), where the board is in the camera, and the mean miss of its corners [px].

    The closed form for planes (IPPE, Collins and Bartoli 2014), of its two answers the one that
    fits better, then Levenberg-Marquardt on the corners.

    Raises:
        BoardError: fewer than ``LEAST_CORNERS`` corners, all on a line, or a fisheye's model.
    """
    if lens.model == "equidistant":
        raise BoardError("a lens of the model equidistant is not measured here; use plumb_bob")
    if len(seen) < LEAST_CORNERS:
        raise BoardError(f"{len(seen)} corners of the board are seen, {LEAST_CORNERS} are needed")
    if not spans_a_plane(seen):
        raise BoardError("the corners that are seen lie on a line; show more of the board")
    points, px = seen.points_m, seen.corners_px
    _, turns, shifts, _ = cv2.solvePnPGeneric(points, px, lens.K, lens.D, flags=cv2.SOLVEPNP_IPPE)
    best, least = np.eye(4), np.inf
    for turn, shift in zip(turns, shifts, strict=True):
        turn, shift = cv2.solvePnPRefineLM(points, px, lens.K, lens.D, turn, shift)
        X_CO = pose(cv2.Rodrigues(turn)[0], shift.ravel())
        miss_px = float(np.linalg.norm(project(points, X_CO, lens) - px, axis=1).mean())
        if miss_px < least:
            best, least = X_CO, miss_px
    return best, least


def project(points_m: Array, X_CO: Array, lens: Calibration) -> Array:
    """Where points (N, 3) given in O come to lie in the picture, (N, 2) [px]."""
    turn = cv2.Rodrigues(X_CO[:3, :3])[0]
    px, _ = cv2.projectPoints(np.asarray(points_m, np.float64), turn, X_CO[:3, 3], lens.K, lens.D)
    return np.asarray(px, np.float64).reshape(-1, 2)


def spans_a_plane(seen: Sighting) -> bool:
    """Are there corners off the line through most of them, by half a square of the board or so?"""
    if len(seen) < 4:
        return False
    centred = seen.points_m[:, :2] - seen.points_m[:, :2].mean(axis=0)
    wide, narrow = np.linalg.svd(centred, compute_uv=False)
    return bool(narrow > 0.15 * wide)
