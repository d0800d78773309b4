"""A picture of many draws: one state of a task, draw after draw, as the policy's cameras see it.

``python -m handful_twin.contact_sheet --randomize hard docs/media/randomized.png`` made the one in
docs/twin.md.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from handful.config import load
from handful.rig.settings import RigSettings
from handful_twin.settings import TwinSettings
from handful_twin.stage import Stage
from handful_twin.tasks import make_task

_GAP_PX = 4
_WHITE = 255
_SMALL = [cv2.IMWRITE_PNG_COMPRESSION, 9]


def contact_sheet(
    task: str, randomize: str, draws: int = 12, scale: int = 2, seed: int = 0, columns: int = 6
) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB: the start of ``seed`` under the draws of seeds 0, 1, ...

    Each column of a row shows one draw, the rig's cameras above each other, every pixel ``scale``
    times as large. The first draw is none: the twin as it is without.
    """
    twin = load(TwinSettings, "twin", {"randomize": randomize})
    stage = Stage(make_task(task), load(RigSettings, "rig"), twin)
    try:
        cells = [_cell(stage, seed, k, scale) for k in range(draws)]
    finally:
        stage.close()
    rows = [_beside(cells[k : k + columns], 1) for k in range(0, len(cells), columns)]
    return _beside(rows, 0)


def _cell(stage: Stage, seed: int, k: int, scale: int) -> NDArray[np.uint8]:
    draw = stage.drawn(k) if k else type(stage.draw)()
    stage.put_up(seed, draw)
    pictures = [camera.latest(0.0).pixels for camera in stage.cameras.values()]
    cell = _beside(pictures, 0, _GAP_PX // 2)
    return np.asarray(np.repeat(np.repeat(cell, scale, 0), scale, 1), np.uint8)


def _beside(
    pictures: list[NDArray[np.uint8]], axis: int, gap_px: int = _GAP_PX
) -> NDArray[np.uint8]:
    """Pictures in a row (axis 1) or a column (0) with white between; short ones are filled up."""
    across = max(picture.shape[1 - axis] for picture in pictures)
    shape = [gap_px, gap_px, 3]
    shape[1 - axis] = across
    parts: list[NDArray[np.uint8]] = []
    for picture in pictures:
        margin = [(0, 0), (0, 0), (0, 0)]
        margin[1 - axis] = (0, across - picture.shape[1 - axis])
        parts += [
            np.full(shape, _WHITE, np.uint8),
            np.pad(picture, margin, constant_values=_WHITE),
        ]
    return np.concatenate(parts[1:], axis=axis)


def main(arguments: list[str] | None = None) -> None:
    """Write the sheet as PNG."""
    parser = argparse.ArgumentParser(prog="handful_twin.contact_sheet", description=__doc__)
    parser.add_argument("path", type=Path, help="PNG to write")
    parser.add_argument("--task", default="lift")
    parser.add_argument("--randomize", default="hard", help="a shipped file, or one of yours")
    parser.add_argument("--draws", type=int, default=12)
    parser.add_argument("--scale", type=int, default=2, help="screen pixels a pixel")
    options = parser.parse_args(arguments)
    sheet = contact_sheet(options.task, options.randomize, options.draws, options.scale)
    if not cv2.imwrite(str(options.path), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR), _SMALL):
        parser.error(f"{options.path}: cannot be written")


if __name__ == "__main__":
    main()
