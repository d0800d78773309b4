"""Corners of a printed square to a tenth of a pixel: a line along each side, where they meet.

A tag of thirty pixels has modules of three, so a search for corners in the picture finds the code's
as well as the square's, and a pose from such corners is off by centimetres, or mirrored. The sides
are long and have white outside and black inside, whatever the code is: as in AprilTag 2 (Wang and
Olson, 2016) each is fitted to where the picture brightens across it.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_POINTS = 24  # of a side, leaving out its ends, where the next side is near
_FROM, _TO = 0.1, 0.9
_STEP_PX = 0.25  # across a side
_FEWEST = 6  # points of a side that must brighten
_LEAST = 20.0  # grey levels from black to white, in all
_FARTHEST_PX = 4.0  # from where the corners were thought to be
_ROUNDS = 2


def sharpen(grey: NDArray[np.uint8], corners_px: Array, modules: int) -> Array:
    """Corners (4, 2) [px] of a black square on white in a picture (H, W) uint8, better than given.

    Args:
        corners_px: clockwise as seen, to about a pixel. modules: of the square's side; the search
            across a side stays within one, which is as much white as there is around a tag.
    Returns:
        The corners that were given where a side cannot be seen well enough.
    """
    picture, now = grey.astype(np.float32), np.asarray(corners_px, np.float64)
    for _ in range(_ROUNDS):
        sides_px = np.linalg.norm(now - np.roll(now, -1, axis=0), axis=1)
        reach_px = float(np.clip(0.75 * sides_px.min() / modules, 1.0, _FARTHEST_PX))
        lines = [_side(picture, now[k], now[(k + 1) % 4], reach_px) for k in range(4)]
        points = [line[0] for line in lines if line is not None]
        along = [line[1] for line in lines if line is not None]
        if len(points) < 4:
            return corners_px
        now = np.array([_meet(points[k - 1], along[k - 1], points[k], along[k]) for k in range(4)])
        if not np.abs(now - corners_px).max() <= _FARTHEST_PX:
            return corners_px
    return now


def _side(
    picture: NDArray[np.float32], a: Array, b: Array, reach_px: float
) -> tuple[Array, Array] | None:
    """A point and the direction of the side from near ``a`` to near ``b``; None: not to be seen."""
    length = float(np.linalg.norm(b - a))
    if length < 1.0:
        return None
    along = (b - a) / length
    outward = np.array([along[1], -along[0]])  # of a side walked clockwise, y down
    at = np.linspace(_FROM, _TO, _POINTS) * length
    across = np.arange(-reach_px - 0.5, reach_px + 0.51, _STEP_PX)
    where = (a + at[:, None] * along)[:, None] + across[None, :, None] * outward
    where = where.astype(np.float32)
    seen = cv2.remap(
        picture, where[..., 0], where[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    brighter = np.clip(np.diff(np.asarray(seen, np.float64), axis=1), 0.0, None)
    middle = 0.5 * (across[1:] + across[:-1])
    weight = brighter.sum(axis=1)
    good = weight > _LEAST
    if good.sum() < _FEWEST:
        return None
    weight = weight[good]
    edge = (brighter[good] * middle).sum(axis=1) / weight
    terms = np.column_stack([np.ones(len(edge)), at[good] - 0.5 * length])
    (shift, slope), *_ = np.linalg.lstsq(terms * weight[:, None], edge * weight, rcond=None)
    return a + 0.5 * length * along + shift * outward, along + slope * outward


def _meet(p: Array, along_p: Array, q: Array, along_q: Array) -> Array:
    """Where two lines cross; not finite where they do not."""
    turn = along_p[0] * along_q[1] - along_p[1] * along_q[0]
    if abs(turn) < 1e-6:
        return np.full(2, np.nan)
    to = q - p
    return p + (to[0] * along_q[1] - to[1] * along_q[0]) / turn * along_p
