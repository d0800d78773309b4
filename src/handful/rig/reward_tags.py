"""Where AprilTags are in a calibrated camera's picture, and how far from where they should be.

Frames: C the camera's optical frame, O the tag on the thing, A what it is compared with (another
tag, or the arm's base B). A tag's frame: x right and y up in the tag as printed, z out of it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from handful.rig.calibration import Calibration, load_calibration
from handful.rig.geometry import invert, pose
from handful.rig.mount import load_mount, optical_pose
from handful.rig.reward import RewardError
from handful.rig.reward_settings import TagSettings
from handful.rig.tag_edges import sharpen

Matrix = NDArray[np.float64]
Look = Callable[[], NDArray[np.uint8]]
"""The camera's newest picture, (H, W, 3) uint8 RGB in the size it delivers."""

_FAMILIES = {
    "apriltag_16h5": cv2.aruco.DICT_APRILTAG_16h5,
    "apriltag_25h9": cv2.aruco.DICT_APRILTAG_25h9,
    "apriltag_36h10": cv2.aruco.DICT_APRILTAG_36h10,
    "apriltag_36h11": cv2.aruco.DICT_APRILTAG_36h11,
}


def tag_cells(family: str, tag: int) -> NDArray[np.bool_]:
    """Where a tag is inked, (n, n) its modules as printed, the black border included.

    Raises:
        RewardError: the family has no such tag.
    """
    dictionary = cv2.aruco.getPredefinedDictionary(_FAMILIES[family])
    count = len(dictionary.bytesList)
    if not 0 <= tag < count:
        raise RewardError(f"{family} has the tags 0 to {count - 1}, and no tag {tag}")
    side = dictionary.markerSize + 2
    ink: NDArray[np.bool_] = cv2.aruco.generateImageMarker(dictionary, tag, side) == 0
    return ink


class TagFinder:
    """Finds tags of one family and size; poses by IPPE for squares (Collins and Bartoli 2014)."""

    def __init__(self, family: str, size_m: float, lens: Calibration) -> None:
        if lens.model == "equidistant":
            raise RewardError("tags are not measured through a fisheye's model; use plumb_bob")
        dictionary = cv2.aruco.getPredefinedDictionary(_FAMILIES[family])
        self._detector = cv2.aruco.ArucoDetector(dictionary, cv2.aruco.DetectorParameters())
        self._modules = dictionary.markerSize + 2
        self._lens = lens
        half = 0.5 * size_m  # corners as detected: top left, then clockwise as printed
        self._corners_m = half * np.array(
            [[-1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [1.0, -1.0, 0.0], [-1.0, -1.0, 0.0]]
        )

    def find(self, pixels: NDArray[np.uint8]) -> dict[int, Matrix]:
        """X_CO (4, 4) of every tag in a picture (H, W, 3) uint8 RGB; one seen twice is left out.

        Raises:
            RewardError: the picture is not as large as the calibration's.
        """
        if pixels.shape[:2] != (self._lens.height_px, self._lens.width_px):
            raise RewardError(
                f"the picture has {pixels.shape[1]} x {pixels.shape[0]} px, its calibration is of "
                f"{self._lens.width_px} x {self._lens.height_px} px; calibrate what is delivered"
            )
        grey = np.asarray(cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY), np.uint8)
        corners, ids, _ = self._detector.detectMarkers(grey)
        if ids is None:
            return {}
        seen = [int(i) for i in np.asarray(ids).ravel()]
        return {
            tag: self._pose(sharpen(grey, np.asarray(px, np.float64).reshape(4, 2), self._modules))
            for tag, px in zip(seen, corners, strict=True)
            if seen.count(tag) == 1
        }

    def _pose(self, corners_px: Matrix) -> Matrix:
        K, D = self._lens.K, self._lens.D
        _, turns, shifts, _ = cv2.solvePnPGeneric(
            self._corners_m, corners_px, K, D, flags=cv2.SOLVEPNP_IPPE_SQUARE
        )
        # A tag seen exactly from the front is answered upside down (OpenCV 4.14): one more guess.
        found = [*zip(turns, shifts, strict=True)]
        found += [cv2.solvePnP(self._corners_m, corners_px, K, D)[1:]]
        turn, shift = min(found, key=lambda guess: self._miss_px(corners_px, *guess))
        return pose(cv2.Rodrigues(turn)[0], np.asarray(shift, np.float64).ravel())

    def _miss_px(self, corners_px: Matrix, turn: Any, shift: Any) -> float:
        px, _ = cv2.projectPoints(self._corners_m, turn, shift, self._lens.K, self._lens.D)
        return float(np.linalg.norm(px.reshape(4, 2) - corners_px, axis=1).mean())


@dataclass(frozen=True)
class TagGoal:
    """How far the thing's tag is from where it should be.

    X_BC: pose of the camera in the base; not needed where the goal is in another tag's frame.
    """

    settings: TagSettings
    finder: TagFinder
    look: Look
    X_BC: Matrix | None

    def __call__(self) -> tuple[float, str]:
        """Metres outside the tolerance (0: inside, infinite: not seen or tilted), and words."""
        s = self.settings
        found = self.finder.find(self.look())
        for tag in (s.thing, s.relative_to):
            if tag is not None and tag not in found:
                return np.inf, f"tag {tag} is not seen"
        X_CO = found[s.thing]
        if s.relative_to is not None:
            X_AO = invert(found[s.relative_to]) @ X_CO
        else:
            assert self.X_BC is not None
            X_AO = self.X_BC @ X_CO
        if s.max_tilt_rad is not None:
            tilt_rad = float(np.arccos(np.clip(X_AO[2, 2], -1.0, 1.0)))
            if tilt_rad > s.max_tilt_rad:
                return np.inf, f"tag {s.thing} is tilted by {tilt_rad:.2f} rad"
        away_m = float(np.linalg.norm(X_AO[:3, 3] - s.goal_m))
        return max(0.0, away_m - s.tolerance_m), f"tag {s.thing} is too far from its goal"


def tag_goal(settings: TagSettings, look: Look) -> TagGoal:
    """The goal these settings describe, with the camera's calibration read.

    Raises:
        RewardError: the goal is in the base and the camera's place is not known, or moves.
        ConfigError: the calibration cannot be read.
    """
    lens = load_calibration(settings.calibration)
    finder = TagFinder(settings.family, settings.size_m, lens)
    if settings.relative_to is not None:
        return TagGoal(settings, finder, look, None)
    mount = load_mount(settings.calibration)
    if mount is None or not mount.parent_frame:
        raise RewardError(
            f"{settings.calibration}: has no mount, so where the camera stands is not known; "
            "measure it (`handful calibrate camera`) or compare with another tag (relative_to)"
        )
    if mount.parent_frame != settings.base_frame:
        raise RewardError(
            f"{settings.calibration}: this camera is mounted on {mount.parent_frame}, not on the "
            f"base {settings.base_frame}; compare with another tag (relative_to), or set base_frame"
        )
    return TagGoal(settings, finder, look, optical_pose(mount))
