"""The board: true size, corners where they are, poses, lenses, and sets that say too little."""

import re
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from handful.config import ConfigError, load
from handful.rig.board import (
    Board,
    BoardError,
    BoardSettings,
    Sighting,
    board_pose,
    project,
    spans_a_plane,
)
from handful.rig.calibration import Calibration, load_calibration
from handful.rig.geometry import exp_so3, from_quat_xyzw, invert, log_so3, pose
from handful.rig.lens import fit_lens
from handful.rig.mount import camera_text, load_mount, mount_of, optical_pose

Array = NDArray[np.float64]

LENS = Calibration(
    640,
    480,
    np.array([[612.0, 0.0, 325.0], [0.0, 610.0, 236.0], [0.0, 0.0, 1.0]]),
    np.array([0.09, -0.19, 0.0012, -0.0008, 0.0]),
)


@pytest.fixture(scope="module")
def board() -> Board:
    return Board(load(BoardSettings, "board"))


def corners(board: Board) -> Array:
    s = board.settings
    grid = np.mgrid[1 : s.rows, 1 : s.columns].reshape(2, -1)[::-1].T * s.square_m
    return np.column_stack([grid, np.zeros(len(grid))])


def sight(board: Board, X_CO: Array, noise_px: float = 0.0, seed: int = 0) -> Sighting:
    """What an ideal detector would say."""
    points = corners(board)
    px = project(points, X_CO, LENS)
    px = px + noise_px * np.random.default_rng(seed).standard_normal(px.shape)
    inside = ((px > 0) & (px < [640, 480])).all(axis=1)
    return Sighting(np.flatnonzero(inside).astype(np.int32), px[inside], points[inside])


def tilted(board: Board, rng: np.random.Generator, tilt_rad: float = 0.6) -> Array:
    """X_CO of a board in the middle of the view, tilted by up to so much."""
    width_m, height_m = board.size_m
    R = exp_so3([0.0, 0.0, rng.uniform(-1, 1)]) @ exp_so3([*rng.uniform(-1, 1, 2) * tilt_rad, 0.0])
    at = np.array([*rng.uniform(-0.05, 0.05, 2), rng.uniform(0.35, 0.6)])
    return pose(R, at - R @ [0.5 * width_m, 0.5 * height_m, 0.0])


@pytest.mark.parametrize("dictionary", ["aruco_4x4_50", "aruco_5x5_100", "apriltag_36h11"])
def test_every_corner_of_a_drawn_board_is_found_where_it_is(dictionary: str) -> None:
    board = Board(BoardSettings(dictionary=dictionary))  # type: ignore[arg-type]
    picture, px_per_m = board.picture(2500.0)
    assert picture.shape[1] / px_per_m == pytest.approx(board.size_m[0])
    seen = board.find(np.pad(picture, 40, constant_values=255))
    assert len(seen) == board.corner_count
    # Pixel centres at whole numbers: an edge at x metres lies half a pixel before x * scale.
    expected = seen.points_m[:, :2] * px_per_m + 40 - 0.5
    assert np.abs(seen.corners_px - expected).max() < 0.05
    assert np.abs(seen.points_m - corners(board)[seen.ids]).max() < 1e-7


def test_a_print_is_as_large_as_the_board(board: Board, tmp_path: Path) -> None:
    board.save(tmp_path / "board.png", 300.0)
    with Image.open(tmp_path / "board.png") as image:
        width_m = image.size[0] / image.info["dpi"][0] * 0.0254
    assert width_m == pytest.approx(board.size_m[0] + 2 * 0.012, abs=2e-4)
    board.save(tmp_path / "board.pdf", 300.0)
    box = re.search(rb"/MediaBox \[ ?0 0 ([\d.]+) ([\d.]+)", (tmp_path / "board.pdf").read_bytes())
    assert box is not None
    points = np.array([float(box[1]), float(box[2])])
    assert points / 72 * 0.0254 == pytest.approx(np.array(board.size_m) + 2 * 0.012, abs=4e-4)
    with pytest.raises(BoardError, match=r"\.png or a \.pdf"):
        board.save(tmp_path / "board.jpg")


def test_a_board_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(ConfigError, match="white rim"):
        load(BoardSettings, "board", {"marker_m": 0.035})
    with pytest.raises(ConfigError, match="has 50"):
        load(BoardSettings, "board", {"columns": 12, "rows": 10})


def test_a_pose_is_found_through_a_bent_lens(board: Board) -> None:
    X_CO = tilted(board, np.random.default_rng(3))
    found, miss_px = board_pose(sight(board, X_CO), LENS)
    apart = invert(X_CO) @ found
    assert np.linalg.norm(apart[:3, 3]) < 1e-5 and np.linalg.norm(log_so3(apart[:3, :3])) < 1e-4
    assert miss_px < 1e-3


def test_corners_on_a_line_are_no_pose(board: Board) -> None:
    whole = sight(board, tilted(board, np.random.default_rng(3)))
    row = Sighting(whole.ids[:6], whole.corners_px[:6], whole.points_m[:6])
    assert not spans_a_plane(row)
    with pytest.raises(BoardError, match="on a line"):
        board_pose(row, LENS)
    few = Sighting(whole.ids[:4], whole.corners_px[:4], whole.points_m[:4])
    with pytest.raises(BoardError, match="4 corners"):
        board_pose(few, LENS)


def test_a_lens_is_measured_and_bad_views_do_not_bend_it(board: Board) -> None:
    rng = np.random.default_rng(0)
    views = {f"{k}.png": sight(board, tilted(board, rng), 0.1, k) for k in range(14)}
    smeared = views["5.png"]
    px = smeared.corners_px + np.random.default_rng(9).normal(0, 4.0, smeared.corners_px.shape)
    views["5.png"] = Sighting(smeared.ids, px, smeared.points_m)
    fit = fit_lens(views, 640, 480)
    assert list(fit.dropped) == ["5.png"]
    assert np.abs(np.diag(fit.lens.K)[:2] - [612.0, 610.0]).max() < 4.0
    # What counts: where points of the working volume come to lie.
    points = rng.uniform([-0.15, -0.1, 0.4], [0.15, 0.1, 0.8], (200, 3))
    off = project(points, np.eye(4), fit.lens) - project(points, np.eye(4), LENS)
    assert np.abs(off - off.mean(axis=0)).max() < 1.5
    assert fit.rms_px < 0.2


def test_frontal_views_leave_the_focal_length_open(board: Board) -> None:
    rng = np.random.default_rng(0)
    flat = {f"{k}.png": sight(board, tilted(board, rng, 0.02), 0.1, k) for k in range(8)}
    with pytest.raises(BoardError, match="faces the camera"):
        fit_lens(flat, 640, 480)
    hardly = {f"{k}.png": sight(board, tilted(board, rng, 0.15), 0.5, k) for k in range(6)}
    with pytest.raises(BoardError, match=r"open by .* %|faces the camera"):
        fit_lens(hardly, 640, 480)
    with pytest.raises(BoardError, match="3 of 3 pictures"):
        fit_lens(dict(list(flat.items())[:3]), 640, 480)


def test_lens_and_place_go_through_a_file(tmp_path: Path) -> None:
    X_HC = pose(exp_so3([0.3, -0.2, 1.4]), [0.07, 0.01, 0.03])
    mount = mount_of("panda_hand", X_HC)
    path = tmp_path / "wrist.yaml"
    path.write_text(camera_text("wrist", LENS, mount, ["measured today"]), encoding="utf-8")
    again, there = load_calibration(path), load_mount(path)
    assert there is not None and there.parent_frame == "panda_hand"
    assert np.abs(optical_pose(there) - X_HC).max() < 2e-6
    assert np.abs(again.K - LENS.K).max() < 1e-3 and np.abs(again.D - LENS.D).max() < 1e-6
    # REP 103: the link's x is where the optical frame's z looks.
    link = from_quat_xyzw(there.quat_xyzw)
    assert np.allclose(link[:, 0], X_HC[:3, 2], atol=1e-5)
    path.write_text(path.read_text().replace("quat_xyzw: [", "quat_xyzw: [9.0, "), encoding="utf-8")
    with pytest.raises(ConfigError, match="mount"):
        load_mount(path)
    path.write_text("image_width: 3\n", encoding="utf-8")
    assert load_mount(path) is None
