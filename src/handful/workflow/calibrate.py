"""A camera's lens and place from a folder of pictures and arm poses, for rig and twin.

The folder holds pictures and ``views.jsonl``, one JSON object a line::

    {"picture": "view_000.png", "q_rad": [0.0, -0.15, 0.0, -2.35, 0.0, 2.2, 0.785]}
    {"picture": "view_001.png", "p_BH_m": [0.5, 0.0, 0.4], "quat_xyzw": [1.0, 0.0, 0.0, 0.0]}

with the arm's joints, or the pose of its hand in its base, at the moment of each picture. A line
without either serves the lens alone. ``handful calibrate capture`` writes such folders.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from handful.rig.arm import ArmError
from handful.rig.board import LEAST_CORNERS, Board, BoardError, Sighting, board_pose
from handful.rig.calibration import Calibration
from handful.rig.camera_settings import MountSettings
from handful.rig.chain import Chain
from handful.rig.geometry import from_quat_xyzw, invert, pose
from handful.rig.hand_eye import HandEye, View, solve
from handful.rig.lens import LensFit, fit_lens
from handful.rig.mount import camera_text, mount_of
from handful.workflow.errors import RunError
from handful.workflow.results import commit, write_text

Array = NDArray[np.float64]
Picture = NDArray[np.uint8]

VIEWS = "views.jsonl"
_SHOWN = 6  # views in the picture of what was seen
_SHOWN_WIDTH_PX = 480


@dataclass(frozen=True)
class Taken:
    """One line of ``views.jsonl``, read: the picture (H, W, 3) and X_BH (4, 4), if it says one."""

    name: str
    pixels: Picture
    X_BH: Array | None


@dataclass(frozen=True)
class Measured:
    """What a folder says about a camera.

    lens: the fit; None when the lens was given. mount: None without arm poses. unseen: pictures
    without enough of the board.
    """

    calibration: Calibration
    lens: LensFit | None
    hand_eye: HandEye | None
    mount: MountSettings | None
    unseen: list[str]
    views: int

    def numbers(self) -> dict[str, Any]:
        """The same for JSON: lengths in metres, angles in radians, misses in pixels."""
        values: dict[str, Any] = {
            "views": self.views,
            "unseen": self.unseen,
            "K": self.calibration.K.tolist(),
            "D": self.calibration.D.tolist(),
        }
        if self.lens is not None:
            values["lens"] = {
                "rms_px": self.lens.rms_px,
                "dropped_px": self.lens.dropped,
                "focal_sigma_px": self.lens.focal_sigma_px.tolist(),
                "middle_sigma_px": self.lens.middle_sigma_px.tolist(),
            }
        if self.hand_eye is not None and self.mount is not None:
            good = [name for name in self.hand_eye.views_px if name not in self.hand_eye.bad]
            values["mount"] = {
                **self.mount.model_dump(mode="json"),
                "sigma_m": self.hand_eye.sigma_m,
                "sigma_rad": self.hand_eye.sigma_rad,
                "bad": self.hand_eye.bad,
                "rms_px": _rms([self.hand_eye.views_px[k] for k in good]),
                "rms_m": _rms([self.hand_eye.views_m[k] for k in good]),
                "rms_rad": _rms([self.hand_eye.views_rad[k] for k in good]),
            }
        return values


def read_views(folder: Path, chain: Chain | None) -> list[Taken]:
    """The pictures of a folder with the poses that belong to them.

    Args:
        chain: the arm's joints to its hand; needed where lines say ``q_rad``.
    Raises:
        RunError: no such folder or file, a line that cannot be read, a picture that is missing or
            of another size than the first; the message names file and line.
    """
    path = folder / VIEWS
    if not path.is_file():
        raise RunError(
            f"{path}: no such file; `handful calibrate capture {folder}` takes pictures, "
            "docs/calibration.md describes the format"
        )
    taken: list[Taken] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        where = f"{path}: line {number}"
        try:
            values = json.loads(line)
            name = str(values["picture"])
        except (ValueError, KeyError, TypeError):
            raise RunError(f'{where}: expected a JSON object with "picture"') from None
        pixels = cv2.imread(str(folder / name), cv2.IMREAD_COLOR)
        if pixels is None:
            raise RunError(f"{where}: {folder / name} is not a picture that can be read")
        if taken and pixels.shape != taken[0].pixels.shape:
            raise RunError(
                f"{where}: {name} has {pixels.shape[1]} x {pixels.shape[0]} px, "
                f"{taken[0].name} has {taken[0].pixels.shape[1]} x {taken[0].pixels.shape[0]}; "
                "one camera at one size makes one folder"
            )
        rgb = np.asarray(pixels[:, :, ::-1], np.uint8, order="C")
        taken.append(Taken(name, rgb, _pose(values, chain, where)))
    if not taken:
        raise RunError(f"{path}: no line in it")
    return taken


def measure(
    taken: list[Taken],
    board: Board,
    on_hand: bool,
    frames: tuple[str, str],
    lens: Calibration | None = None,
) -> Measured:
    """Lens and place of the camera that took these pictures.

    Args:
        on_hand: the camera rides on the hand and the board lies still; otherwise the reverse.
        frames: names of the arm's base and hand, one of which the mount is in.
        lens: intrinsics that are known already; they are then not fitted.
    Raises:
        BoardError: too little was seen, or the arm moved too little (``rig.hand_eye``).
    """
    seen = {view.name: board.find(view.pixels) for view in taken}
    unseen = [name for name, sight in seen.items() if len(sight) < LEAST_CORNERS]
    if len(unseen) == len(taken):
        raise BoardError(
            f"none of the {len(taken)} pictures shows the board ({board.settings.columns} x "
            f"{board.settings.rows}, {board.settings.dictionary}); is it the one that was printed, "
            "sharp, lit and whole in the picture?"
        )
    height_px, width_px = taken[0].pixels.shape[:2]
    fit = fit_lens(seen, width_px, height_px) if lens is None else None
    known = fit.lens if fit is not None else lens
    assert known is not None
    if (known.width_px, known.height_px) != (width_px, height_px):
        raise BoardError(
            f"the lens is known for {known.width_px} x {known.height_px} px, the pictures have "
            f"{width_px} x {height_px}"
        )
    views = _views(taken, seen, known, on_hand, set(fit.dropped) if fit is not None else set())
    if not any(view.X_BH is not None for view in taken):
        return Measured(known, fit, None, None, unseen, len(taken))
    place = solve(views, known, free_lens=fit is not None)
    mount = mount_of(frames[1] if on_hand else frames[0], place.X_HC)
    return Measured(place.lens, fit, place, mount, unseen, len(taken))


def write_camera(measured: Measured, name: str, path: Path) -> None:
    """The YAML that twin, camera node and ROS' own tools read, with its misses as comments."""
    notes = [f"{name}: measured by handful calibrate camera, commit {commit()}", *words(measured)]
    write_text(path, camera_text(name, measured.calibration, measured.mount, notes))


def words(measured: Measured) -> list[str]:
    """What was found, a line each, for people."""
    lines = []
    K = measured.calibration.K
    if measured.lens is not None:
        fit = measured.lens
        lines.append(
            f"lens: f {K[0, 0]:.1f}, {K[1, 1]:.1f} px (+- {fit.focal_sigma_px.max():.1f}), middle "
            f"{K[0, 2]:.1f}, {K[1, 2]:.1f}; corners missed by {fit.rms_px:.3f} px (rms) in "
            f"{len(fit.views_px)} of {measured.views} views"
        )
    place = measured.hand_eye
    if place is not None and measured.mount is not None:
        numbers = measured.numbers()["mount"]
        x, y, z = place.X_HC[:3, 3]
        lines.append(
            f"place: optical frame at {x:.4f}, {y:.4f}, {z:.4f} m of "
            f"{measured.mount.parent_frame}, +- {1000.0 * place.sigma_m:.1f} mm and "
            f"{np.degrees(place.sigma_rad):.2f} deg (one sigma, jackknife)"
        )
        lines.append(
            f"misses: {numbers['rms_px']:.2f} px, {1000.0 * numbers['rms_m']:.1f} mm, "
            f"{np.degrees(numbers['rms_rad']):.2f} deg (rms over "
            f"{len(place.views_px) - len(place.bad)} views)"
        )
    bad = [] if place is None else place.bad
    dropped = [] if measured.lens is None else list(measured.lens.dropped)
    for what, names in (("board not seen", measured.unseen), ("left out as bad", dropped + bad)):
        if names:
            lines.append(f"{what}: {', '.join(names[:8])}{' ...' if len(names) > 8 else ''}")
    return lines


def overview(taken: list[Taken], board: Board, measured: Measured) -> Picture:
    """Some of the views with what was found in them: corners, and the board's axes by the lens."""
    names = [view for view in taken if view.name not in measured.unseen][:: max(1, len(taken) // 6)]
    lens, tiles = measured.calibration, []
    for view in names[:_SHOWN]:
        canvas, seen = view.pixels.copy(), board.find(view.pixels)
        size = max(1, canvas.shape[1] // 320)
        for u, v in seen.corners_px:
            cv2.circle(canvas, (round(u), round(v)), 2 * size, (255, 90, 40), size, cv2.LINE_AA)
        X_CO, _ = board_pose(seen, lens)
        turn = cv2.Rodrigues(X_CO[:3, :3])[0]
        axes_m = 2.0 * board.settings.square_m
        bgr = np.ascontiguousarray(canvas[:, :, ::-1])
        cv2.drawFrameAxes(bgr, lens.K, lens.D, turn, X_CO[:3, 3], axes_m, 2 * size)
        rows = round(canvas.shape[0] * _SHOWN_WIDTH_PX / canvas.shape[1])
        small = cv2.resize(bgr[:, :, ::-1], (_SHOWN_WIDTH_PX, rows), interpolation=cv2.INTER_AREA)
        tiles.append(np.asarray(small, np.uint8))
    while len(tiles) % 3:
        tiles.append(np.full_like(tiles[0], 255))
    return np.vstack([np.hstack(tiles[k : k + 3]) for k in range(0, len(tiles), 3)])


def _views(
    taken: list[Taken],
    seen: dict[str, Sighting],
    lens: Calibration,
    on_hand: bool,
    leave_out: set[str],
) -> list[View]:
    views = []
    for view in taken:
        if view.X_BH is None or view.name in leave_out:
            continue
        try:
            X_CO, _ = board_pose(seen[view.name], lens)
        except BoardError:
            continue  # too little of it; it is in ``unseen`` or lies on a line
        hand = view.X_BH if on_hand else invert(view.X_BH)
        views.append(View(view.name, hand, X_CO, seen[view.name]))
    return views


def _pose(values: dict[str, Any], chain: Chain | None, where: str) -> Array | None:
    if "q_rad" in values:
        if chain is None:
            raise RunError(f"{where}: q_rad needs the arm's description; give --urdf")
        try:
            return chain.forward(values["q_rad"])
        except (ArmError, ValueError, TypeError) as error:
            raise RunError(f"{where}: q_rad: {error}") from None
    if "p_BH_m" not in values and "quat_xyzw" not in values:
        return None
    try:
        p_BH_m = np.array(values["p_BH_m"], np.float64).reshape(3)
        X_BH = pose(from_quat_xyzw(np.array(values["quat_xyzw"], np.float64).reshape(4)), p_BH_m)
    except (KeyError, ValueError, TypeError):
        raise RunError(f"{where}: a pose is p_BH_m (3 numbers) and quat_xyzw (4 numbers)") from None
    if not np.isfinite(X_BH).all():
        raise RunError(f"{where}: a number of the pose is not finite")
    return X_BH


def _rms(values: list[float]) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if values else 0.0
