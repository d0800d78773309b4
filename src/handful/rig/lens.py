"""A camera's intrinsics from pictures of a board: Zhang's method, and whether it could see enough.

``cv2.calibrateCameraExtended`` (Zhang 2000) fits focal lengths, middle and distortion. It always
answers. Whether the pictures said enough stands in the spread it estimates for the focal length;
but before boards that all face the camera it ends wherever it began and claims to be sure, so their
tilt is looked at first.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from handful.rig.board import LEAST_CORNERS, BoardError, Sighting, spans_a_plane
from handful.rig.calibration import Calibration

Array = NDArray[np.float64]

LEAST_VIEWS = 6
_WORST_FOCAL_SPREAD = 0.01  # of the focal length, one sigma: 1 % is 8 mm of depth at 0.8 m
_LEAST_TILT_RAD = 0.09  # root mean square angle between the boards and the picture's plane
_BAD_VIEW = 3.0  # times the median miss, and
_BAD_VIEW_PX = 0.5  # more than this, makes a view a bad one
_BETTER = 0.95  # of the plain model's miss
_MOST_DROPPED = 0.3  # of all views; more of them is no accident


@dataclass(frozen=True)
class LensFit:
    """What the pictures say about a lens.

    lens: the intrinsics. rms_px: root mean square of the corners' misses. views_px: the same of
    each view that was used, by name. dropped: name -> its miss [px], of those left out as bad.
    focal_sigma_px, middle_sigma_px: (2,) standard deviations of fx, fy and of cx, cy. tilt_rad:
    root mean square angle between the boards and the picture's plane.
    """

    lens: Calibration
    rms_px: float
    views_px: dict[str, float]
    dropped: dict[str, float]
    focal_sigma_px: Array
    middle_sigma_px: Array
    tilt_rad: float


def fit_lens(views: dict[str, Sighting], width_px: int, height_px: int) -> LensFit:
    """The lens that best explains where the board's corners were seen.

    A view that misses by three times the median and by half a pixel is left out, the worst first:
    a smeared picture, or a board that bent.

    Args:
        views: name of a picture -> what was seen in it; those of too few corners are passed over.
    Raises:
        BoardError: too few views, too many bad ones, or views that leave the lens open.
    """
    good = {k: v for k, v in views.items() if len(v) >= LEAST_CORNERS and spans_a_plane(v)}
    if len(good) < LEAST_VIEWS:
        raise BoardError(
            f"{len(good)} of {len(views)} pictures show enough of the board "
            f"({LEAST_CORNERS} corners), {LEAST_VIEWS} are needed; take 15 or more, near and far, "
            "with the board tilted to all sides and in every corner of the picture"
        )
    dropped: dict[str, float] = {}
    allowed = int(_MOST_DROPPED * len(good))
    while True:
        fit = _fit(good, width_px, height_px)
        worst = max(fit.views_px, key=lambda name: fit.views_px[name])
        limit_px = max(_BAD_VIEW_PX, _BAD_VIEW * float(np.median(list(fit.views_px.values()))))
        if fit.views_px[worst] <= limit_px or len(good) <= LEAST_VIEWS:
            break
        if len(dropped) >= allowed:
            raise BoardError(
                f"more than {allowed} of {len(views)} pictures do not fit the others, {worst} by "
                f"{fit.views_px[worst]:.1f} px; is the board flat, its size as in the settings, "
                "and every picture of the same camera and zoom?"
            )
        dropped[worst] = fit.views_px[worst]
        del good[worst]
    if fit.tilt_rad < _LEAST_TILT_RAD:
        raise BoardError(
            f"in {len(good)} views the board faces the camera but for "
            f"{np.degrees(fit.tilt_rad):.1f} degrees, which leaves the focal "
            "length open: near and small looks like far and large; tilt the board by 20 to 40 "
            "degrees to all sides"
        )
    spread = float((fit.focal_sigma_px / np.diag(fit.lens.K)[:2]).max())
    if not spread <= _WORST_FOCAL_SPREAD:
        raise BoardError(
            f"the {len(good)} views leave the focal length open by {100.0 * spread:.1f} % (one "
            f"sigma, allowed {100.0 * _WORST_FOCAL_SPREAD:.0f} %); tilt the board by 20 to 40 "
            "degrees to all sides, and come nearer"
        )
    return replace(fit, dropped=dropped)


def _fit(views: dict[str, Sighting], width_px: int, height_px: int) -> LensFit:
    """Without k3, which ordinary lenses do not need and few views cannot tell; with it if that
    explains the corners better by a twentieth."""
    plain = _fit_with(views, width_px, height_px, cv2.CALIB_FIX_K3)
    bent = _fit_with(views, width_px, height_px, 0)
    return bent if bent.rms_px < _BETTER * plain.rms_px else plain


def _fit_with(views: dict[str, Sighting], width_px: int, height_px: int, flags: int) -> LensFit:
    points = [view.points_m.astype(np.float32) for view in views.values()]
    pixels = [view.corners_px.astype(np.float32) for view in views.values()]
    try:
        rms, K, D, turns, _, spread, _, each = cv2.calibrateCameraExtended(
            points, pixels, (width_px, height_px), np.eye(3), np.zeros(5), flags=flags
        )
    except cv2.error as error:
        raise BoardError(
            f"these {len(views)} views determine no lens ({' '.join(str(error.err).split())}); "
            "tilt the board to all sides"
        ) from None
    sigma = np.asarray(spread, np.float64).ravel()
    lens = Calibration(width_px, height_px, np.asarray(K), np.asarray(D, np.float64).ravel()[:5])
    return LensFit(
        lens,
        float(rms),
        {name: float(px) for name, px in zip(views, np.ravel(each), strict=True)},
        {},
        sigma[:2],
        sigma[2:4],
        _tilt_rad([np.asarray(turn, np.float64) for turn in turns]),
    )


def _tilt_rad(turns: list[Array]) -> float:
    cosines = [abs(float(cv2.Rodrigues(turn)[0][2, 2])) for turn in turns]
    return float(np.sqrt(np.mean(np.arccos(np.clip(cosines, 0.0, 1.0)) ** 2)))
