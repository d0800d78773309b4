"""Pictures of the board with the arm's joints at that moment, into a folder for ``calibrate``.

Whatever moves the arm between two pictures, a person or the twin, is not asked how. A picture is
kept only when the arm stood still while it was taken and the board is in it.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from handful.contract import ArmState
from handful.rig.board import LEAST_CORNERS, Board
from handful.rig.camera import Camera
from handful.workflow.calibrate import VIEWS
from handful.workflow.errors import RunError

_STILL_RAD = 1.0e-3  # a hand at arm's length moves less than a millimetre


class Reading(Protocol):
    """The half of ``rig.arm.Arm`` that is needed here."""

    def state(self) -> ArmState: ...


def capture(
    folder: Path,
    camera: Camera,
    arm: Reading | None,
    board: Board,
    move: Callable[[int], bool],
    say: Callable[[str], None],
    max_age_s: float = 0.5,
) -> int:
    """Take pictures as long as ``move`` says there is one more; how many are kept.

    Args:
        folder: made when missing; one that has pictures already is gone on with.
        camera: open, of the whole picture of the device. arm: None records no poses.
        move: called with the number of the next picture; returns when the arm stands there, False
            to end.
    Raises:
        RunError: the arm does not say its joints.
        CameraError, ArmError: as they report it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / VIEWS
    number = len(path.read_text(encoding="utf-8").splitlines()) if path.is_file() else 0
    kept = 0
    while move(number):
        before = None if arm is None else _joints(arm)
        frame = camera.latest(max_age_s)
        after = None if arm is None else _joints(arm)
        if before is not None and after is not None:
            moved_rad = float(np.abs(after - before).max())
            if moved_rad > _STILL_RAD:
                say(f"not kept: the arm moved by {moved_rad:.4f} rad meanwhile; let it rest")
                continue
        corners = len(board.find(frame.pixels))
        if corners < LEAST_CORNERS:
            say(f"not kept: {corners} corners of the board are seen, {LEAST_CORNERS} are needed")
            continue
        name = f"view_{number:03d}.png"
        cv2.imwrite(str(folder / name), frame.pixels[:, :, ::-1])
        line = {"picture": name}
        if after is not None:
            line["q_rad"] = [round(float(q), 7) for q in after]  # type: ignore[assignment]
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        say(f"{folder / name}: {corners} of {board.corner_count} corners")
        number, kept = number + 1, kept + 1
    return kept


def _joints(arm: Reading) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    q_rad = np.array(arm.state().q_rad, np.float64)
    if q_rad.size == 0:
        raise RunError(
            "the arm's state has no joints; its driver must report them for a calibration, or "
            "write the hand's poses into views.jsonl yourself (docs/calibration.md)"
        )
    return q_rad
