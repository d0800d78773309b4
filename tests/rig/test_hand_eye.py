"""Hand-eye: AX = XB in closed form, the refinement, bad views, and motions that cannot tell."""

import numpy as np
import pytest
from numpy.typing import NDArray

from handful.config import load
from handful.rig.board import Board, BoardError, BoardSettings, Sighting, board_pose, project
from handful.rig.calibration import Calibration
from handful.rig.geometry import apply, exp, exp_so3, invert, log_so3, pose
from handful.rig.hand_eye import View, park_martin, second_turn_rad, solve

Array = NDArray[np.float64]

LENS = Calibration(
    640, 480, np.array([[612.0, 0, 320.0], [0, 610.0, 240.0], [0, 0, 1.0]]), np.zeros(5)
)
BOARD = Board(load(BoardSettings, "board"))
POINTS = np.column_stack(
    [np.mgrid[1:5, 1:7].reshape(2, -1)[::-1].T * BOARD.settings.square_m, np.zeros(24)]
)
X_HC = pose(exp_so3([0.1, -0.2, 1.5]), [0.07, 0.01, 0.03])
X_BO = pose(exp_so3([np.pi, 0.0, 0.3]), [0.45, 0.05, 0.0])


def views(
    count: int, seed: int = 0, arm: float = 0.0, px: float = 0.0, about: str = "xyz"
) -> list[View]:
    """Pictures from above the board. arm: noise of the hand's pose [m, rad]; px: of the corners."""
    rng = np.random.default_rng(seed)
    found: list[View] = []
    middle = apply(X_BO, [0.5 * BOARD.size_m[0], 0.5 * BOARD.size_m[1], 0.0])
    while len(found) < count:
        turn = rng.uniform(-1.0, 1.0, 3) * [0.5, 0.5, 0.9] * [axis in about for axis in "xyz"]
        R = X_BO[:3, :3] @ exp_so3(turn)
        X_BC = pose(R, middle - R @ [*rng.uniform(-0.03, 0.03, 2), rng.uniform(0.35, 0.55)])
        X_CO = invert(X_BC) @ X_BO
        at = project(POINTS, X_CO, LENS) + px * rng.standard_normal((24, 2))
        inside = ((at > 0) & (at < [640, 480])).all(axis=1)
        seen = Sighting(np.flatnonzero(inside).astype(np.int32), at[inside], POINTS[inside])
        if len(seen) < 12:
            continue
        X_BH = X_BC @ invert(X_HC) @ exp(arm * rng.standard_normal(6))
        found.append(View(f"{len(found)}.png", X_BH, board_pose(seen, LENS)[0], seen))
    return found


def apart(X: Array, Y: Array) -> tuple[float, float]:
    """Distance [m] and angle [rad] between two poses."""
    Z = invert(X) @ Y
    return float(np.linalg.norm(Z[:3, 3])), float(np.linalg.norm(log_so3(Z[:3, :3])))


def test_the_closed_form_is_exact_without_noise() -> None:
    rng = np.random.default_rng(1)
    B = [exp(rng.uniform(-0.8, 0.8, 6)) for _ in range(4)]
    A = [X_HC @ b @ invert(X_HC) for b in B]
    assert max(apart(park_martin(A, B), X_HC)) < 1e-12


def test_a_perfect_cell_is_found_to_a_micrometre() -> None:
    found = solve(views(8), LENS)
    assert max(apart(found.X_HC, X_HC)) < 1e-6 and max(apart(found.X_BO, X_BO)) < 1e-6
    assert found.bad == []


def test_noise_of_arm_and_corners_costs_a_millimetre_and_the_spread_says_so() -> None:
    misses, claims = [], []
    for seed in range(3):
        found = solve(views(15, seed, arm=5e-4, px=0.1), LENS)
        misses.append(apart(found.X_HC, X_HC))
        claims.append((found.sigma_m, found.sigma_rad))
    rms = np.sqrt(np.mean(np.square(misses), axis=0))
    said = np.mean(claims, axis=0)
    assert rms[0] < 0.0012 and rms[1] < np.radians(0.12)
    assert np.all(rms < 1.8 * said) and np.all(said < 2.5 * rms)


def test_the_refinement_is_better_than_the_closed_form() -> None:
    closed, refined = [], []
    for seed in range(4):
        shots = views(12, seed, arm=5e-4, px=0.1)
        A = [invert(b.X_BH) @ a.X_BH for a in shots for b in shots if a is not b]
        B = [b.X_CO @ invert(a.X_CO) for a in shots for b in shots if a is not b]
        closed.append(apart(park_martin(A, B), X_HC)[0])
        refined.append(apart(solve(shots, LENS).X_HC, X_HC)[0])
    assert np.mean(refined) < np.mean(closed)


def test_bad_views_are_named_and_cost_nothing() -> None:
    shots = views(14, 2, arm=3e-4, px=0.1)
    for k in (3, 9):  # the arm moved on before its joints were read
        wrong = shots[k].X_BH @ exp([0.05, 0.0, 0.02, 0.1, -0.1, 0.2])
        shots[k] = View(shots[k].name, wrong, shots[k].X_CO, shots[k].seen)
    found = solve(shots, LENS)
    assert found.bad == ["3.png", "9.png"]
    assert apart(found.X_HC, X_HC)[0] < 0.0015
    assert found.views_m["3.png"] > 0.03 > found.views_m["1.png"]


def test_a_camera_beside_the_arm_is_the_same_with_the_hand_turned_round() -> None:
    turned = [View(v.name, invert(v.X_BH), v.X_CO, v.seen) for v in views(8, 5)]
    X_BC, X_HO = pose(exp_so3([0.4, 2.0, 0.1]), [1.2, 0.1, 0.6]), pose(np.eye(3), [0, 0.1, 0.1])
    shots = []
    for v in turned:  # where the hand must be for camera and board to see each other like this
        X_HB = X_HO @ invert(v.X_CO) @ invert(X_BC)
        shots.append(View(v.name, X_HB, v.X_CO, v.seen))
    found = solve(shots, LENS)
    assert max(apart(found.X_HC, X_BC)) < 1e-5 and max(apart(found.X_BO, X_HO)) < 1e-5


def test_turning_about_one_axis_is_refused() -> None:
    shots = views(12, 4, about="z")
    assert second_turn_rad([v.X_BH for v in shots]) < 0.02
    with pytest.raises(BoardError, match="second axis.*tilt the hand by 20 degrees"):
        solve(shots, LENS)


def test_too_few_views_and_mixed_up_poses_are_refused() -> None:
    with pytest.raises(BoardError, match="5 views show the board, 6 are needed"):
        solve(views(5), LENS)
    shots = views(12, 6)
    mixed = [
        View(a.name, b.X_BH, a.X_CO, a.seen)
        for a, b in zip(shots, shots[5:] + shots[:5], strict=True)
    ]
    with pytest.raises(BoardError, match="pictures and poses belong together"):
        solve(mixed, LENS)
