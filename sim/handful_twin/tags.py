"""Printed AprilTags in the twin: paper and ink as flat meshes on a thing or on the table.

A cell that is to be rewarded by tags can so be tried before it is built. They are drawn as
everything else is, lit and hidden by the arm; physics knows nothing of them, and randomised colours
leave them alone: ink is ink. What a module of ink is, the detector's own dictionary says.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from handful.config import ConfigError
from handful.rig.geometry import apply, exp_so3, pose
from handful.rig.reward import RewardError
from handful.rig.reward_tags import tag_cells
from handful_twin.bodies import Part
from handful_twin.meshes import Colour, Mesh, smooth_mesh
from handful_twin.paint import TAG, TAG_ON_TABLE
from handful_twin.tag_settings import TABLE, PrintedTag, TagsSettings

Array = NDArray[np.float64]
Shapes = Mapping[str, Sequence[Part]]

_INK_RGB, _PAPER_RGB = (0.04, 0.04, 0.045), (0.93, 0.93, 0.92)
_PAPER_M = 0.0003  # how far paper is above what it is stuck to
_INK_M = 0.0001  # and ink above paper: the depth buffer tells them apart from 30 m
_BORDER = 1  # white modules around the black square; the detector wants some
_LEVEL = 0.999  # cosine


def tag_meshes(tags: TagsSettings, shapes: Shapes) -> list[tuple[str, Mesh]]:
    """(what carries it: ``table`` or a frame of ``shapes``, mesh in that frame) of paper and ink.

    Raises:
        ConfigError: no such thing, no such tag, or it is larger than what carries it.
    """
    found = []
    for tag in tags.printed:
        X_AO = tag_pose(tag, shapes)
        link = TAG_ON_TABLE if tag.carrier == TABLE else TAG
        cells = _cells(tag)
        edge_m = tag.size_m / len(cells)
        side_m = tag.size_m + 2.0 * _BORDER * edge_m
        paper = np.array([[-0.5, -0.5, 0.5, 0.5]]) * side_m
        found.append((tag.carrier, _squares(link, X_AO, paper, 0.0, _PAPER_RGB)))
        row, column = np.nonzero(cells)
        left_m = column * edge_m - 0.5 * tag.size_m
        low_m = 0.5 * tag.size_m - (row + 1) * edge_m
        ink = np.column_stack([left_m, low_m, left_m + edge_m, low_m + edge_m])
        found.append((tag.carrier, _squares(link, X_AO, ink, _INK_M, _INK_RGB)))
    return found


def tag_pose(tag: PrintedTag, shapes: Shapes) -> Array:
    """X_AO (4, 4): the tag's frame O (x right and y up as printed, z out of it) in what carries it.

    Raises:
        ConfigError: as ``tag_meshes``.
    """
    turn = exp_so3([0.0, 0.0, tag.turn_rad])
    if tag.carrier == TABLE:
        return pose(turn, [*tag.at_m, _PAPER_M])
    if tag.carrier not in shapes:
        raise ConfigError(
            f"twin.tags: tag {tag.id} is on {tag.carrier!r}, which this task has not; it has "
            f"{', '.join([TABLE, *shapes])}"
        )
    level = [part for part in shapes[tag.carrier] if _is_level(part)]
    if not level:
        raise ConfigError(f"twin.tags: {tag.carrier} has no level face for tag {tag.id}")
    part = max(level, key=_top_m)
    _check_fit(tag, part)
    x_m, y_m = part.centre_m[:2]
    return pose(turn, [x_m + tag.at_m[0], y_m + tag.at_m[1], _top_m(part) + _PAPER_M])


def _check_fit(tag: PrintedTag, part: Part) -> None:
    """Paper does not hang over a solid edge; beside paint it lies on the table, as that does."""
    if not part.solid:
        return
    modules = len(_cells(tag))
    side_m = tag.size_m * (modules + 2 * _BORDER) / modules
    half_m = 0.5 * side_m * (abs(np.cos(tag.turn_rad)) + abs(np.sin(tag.turn_rad)))
    for at_m, edge_m in zip(tag.at_m, part.size_m, strict=False):
        if abs(at_m) + half_m > 0.5 * edge_m + 1e-9:
            raise ConfigError(
                f"twin.tags: tag {tag.id} with its white border is {1000.0 * side_m:.1f} mm wide "
                f"and hangs over the edge of {tag.carrier}, whose top is "
                f"{1000.0 * part.size_m[0]:.0f} x {1000.0 * part.size_m[1]:.0f} mm; "
                "take a smaller size_m or other at_m"
            )


def _cells(tag: PrintedTag) -> NDArray[np.bool_]:
    try:
        return tag_cells(tag.family, tag.id)
    except RewardError as error:
        raise ConfigError(f"twin.tags: {error}") from None


def _is_level(part: Part) -> bool:
    x, y, _, _ = part.quat_xyzw
    return 1.0 - 2.0 * (x * x + y * y) > _LEVEL


def _top_m(part: Part) -> float:
    return part.centre_m[2] + 0.5 * part.size_m[2]


def _squares(link: str, X_AO: Array, boxes_m: Array, up_m: float, rgb: Colour) -> Mesh:
    """Flat rectangles (N, 4) of x, y, x, y; neighbours meet in whole edges, so without a crack."""
    x0, y0, x1, y1 = boxes_m.T
    flat = np.stack([x0, y0, x1, y0, x1, y1, x0, y1], axis=1).reshape(-1, 2)
    points = apply(X_AO, np.column_stack([flat, np.full(len(flat), up_m)]))
    first = 4 * np.arange(len(boxes_m))[:, None]
    faces = np.concatenate([first + [0, 1, 2], first + [0, 2, 3]])
    return smooth_mesh(link, points, faces, rgb)
