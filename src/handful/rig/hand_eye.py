"""Where a camera sits on the arm's hand, or beside the arm: AX = XB, then the corners themselves.

The hand H moves, the camera C sees a board O, and nothing but what is bolted together is constant:

    eye in hand:  X_BH @ X_HC @ X_CO = X_BO     camera on the hand, board on the table
    eye to hand:  X_HB @ X_BC @ X_CO = X_HO     camera beside the arm, board on the hand

which is one equation, ``X_BH`` having been turned round for the second. First in closed form (Park
and Martin, "Robot sensor calibration: solving AX=XB on the Euclidean group", 1994), over the pairs
of views that can be true; then Gauss-Newton on all corners [px], with the weights of Huber (1964)
for each view, so that a bad view or two cost nothing.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handful.rig.board import BoardError, Sighting, project
from handful.rig.calibration import Calibration
from handful.rig.geometry import exp, invert, log_so3, pose

Array = NDArray[np.float64]

LEAST_VIEWS = 6
_LEAST_TURN_RAD = 0.1  # mean turn about a second axis, below which nothing is known along the first
_PAIR_TURN_RAD = 0.1  # a pair of views that turns less says little about the rotation
_PAIR_MISMATCH_RAD = 0.02  # hand and camera must turn alike; noise of a good arm is a tenth of this
_BAD_VIEW = 4.0  # times the median miss, and
_BAD_VIEW_PX = 2.0  # more than this, makes a view a bad one
_MOST_BAD = 0.34
_ITERATIONS = 20
# What else a view's misses are made of; only the proportion matters. An arm repeats to 0.1 mm but
# is off by about this, and a corner is found to a fifth of a pixel.
_ARM_SIGMA_M = 1.0e-3
_ARM_SIGMA_RAD = 1.0e-3
_CORNER_SIGMA_PX = 0.2
_STEP = 1.0e-6  # of the numeric derivative [m, rad]


@dataclass(frozen=True)
class View:
    """One picture of the board. X_BH: (4, 4) hand in base (or base in hand, for an eye beside the
    arm). X_CO: (4, 4) board in camera. seen: its corners."""

    name: str
    X_BH: Array
    X_CO: Array
    seen: Sighting


@dataclass(frozen=True)
class HandEye:
    """Where the camera is.

    X_HC: (4, 4) camera in hand (or in base). X_BO: (4, 4) board in base (or in hand).
    views_px, views_m, views_rad: name -> root mean square miss of the corners, and how far the
    board is from where the others say it is. bad: names of views that were left out. sigma_m,
    sigma_rad: standard deviation of the camera's position and rotation, by leaving one view out at
    a time (jackknife), so arm, board and corners all speak.
    """

    X_HC: Array
    X_BO: Array
    views_px: dict[str, float]
    views_m: dict[str, float]
    views_rad: dict[str, float]
    bad: list[str]
    sigma_m: float
    sigma_rad: float


def solve(views: list[View], lens: Calibration) -> HandEye:
    """The camera's place from at least ``LEAST_VIEWS`` views.

    Raises:
        BoardError: too few views, a hand that turned about one axis only, or too many views that
            contradict each other; the message says which and what to do.
    """
    if len(views) < LEAST_VIEWS:
        raise BoardError(
            f"{len(views)} views show the board, {LEAST_VIEWS} are needed and 15 are good"
        )
    _check_turns(views)
    X_HC = _closed_form(views)
    X_BO = _middle([v.X_BH @ X_HC @ v.X_CO for v in views])
    X_HC, X_BO = _refine(views, lens, X_HC, X_BO)
    miss = {v.name: _miss_px(v, lens, X_HC, X_BO) for v in views}
    limit_px = max(_BAD_VIEW_PX, _BAD_VIEW * float(np.median(list(miss.values()))))
    bad = [v.name for v in views if miss[v.name] > limit_px]
    kept = [v for v in views if v.name not in bad]
    if len(bad) > _MOST_BAD * len(views) or len(kept) < LEAST_VIEWS:
        raise BoardError(
            f"{len(bad)} of {len(views)} views contradict the others ({', '.join(bad[:5])}); do "
            "pictures and poses belong together, was the arm still, and did nothing slip?"
        )
    _check_turns(kept)
    X_HC, X_BO = _refine(kept, lens, X_HC, X_BO)
    sigma_m, sigma_rad = _jackknife(kept, lens, X_HC, X_BO)
    apart = {v.name: invert(X_BO) @ v.X_BH @ X_HC @ v.X_CO for v in views}
    return HandEye(
        X_HC=X_HC,
        X_BO=X_BO,
        views_px={v.name: _miss_px(v, lens, X_HC, X_BO) for v in views},
        views_m={name: float(np.linalg.norm(X[:3, 3])) for name, X in apart.items()},
        views_rad={name: float(np.linalg.norm(log_so3(X[:3, :3]))) for name, X in apart.items()},
        bad=bad,
        sigma_m=sigma_m,
        sigma_rad=sigma_rad,
    )


def park_martin(A: list[Array], B: list[Array]) -> Array:
    """X (4, 4) that best solves ``A_i @ X = X @ B_i`` for relative motions (4, 4) of both sides.

    Rotation: their equation 19, the polar factor of the sum of beta alpha^T over the rotations'
    logarithms, here by a singular value decomposition, so that it is a rotation for noisy data
    too. Translation: least squares of (R_A - 1) t = R_X t_B - t_A.
    """
    M = np.zeros((3, 3))
    for a, b in zip(A, B, strict=True):
        M += np.outer(log_so3(a[:3, :3]), log_so3(b[:3, :3]))
    U, _, Vt = np.linalg.svd(M)
    R = U @ np.diag([1.0, 1.0, float(np.sign(np.linalg.det(U @ Vt)))]) @ Vt
    left = np.concatenate([a[:3, :3] - np.eye(3) for a in A])
    right = np.concatenate([R @ b[:3, 3] - a[:3, 3] for a, b in zip(A, B, strict=True)])
    return pose(R, np.linalg.lstsq(left, right, rcond=None)[0])


def second_turn_rad(hands: list[Array]) -> float:
    """How far the hand turned about a second axis: root mean square over all pairs of poses [rad].

    Turned about one axis only, the camera may sit anywhere along it and nothing would be seen.
    """
    turns = np.array(
        [log_so3(a[:3, :3].T @ b[:3, :3]) for i, a in enumerate(hands) for b in hands[i + 1 :]]
    )
    if len(turns) == 0:
        return 0.0
    return float(np.sqrt(np.linalg.eigvalsh(turns.T @ turns / len(turns))[1]))


def _check_turns(views: list[View]) -> None:
    second = second_turn_rad([v.X_BH for v in views])
    if second < _LEAST_TURN_RAD:
        raise BoardError(
            f"between the {len(views)} views the hand turned by {np.degrees(second):.1f} degrees "
            f"about a second axis, {np.degrees(_LEAST_TURN_RAD):.0f} are needed: where the camera "
            "is along the first cannot be known; tilt the hand by 20 degrees or more to two sides, "
            "guided by hand if the arm's driver keeps the tool upright"
        )


def _closed_form(views: list[View]) -> Array:
    """Park and Martin over pairs whose hand and camera turned by the same angle.

    For a true pair the two angles are equal whatever X is, so false ones show before anything is
    known; the median of what is left is then taken view by view.
    """
    A, B = [], []
    for i, one in enumerate(views):
        for two in views[i + 1 :]:
            a = invert(two.X_BH) @ one.X_BH
            b = two.X_CO @ invert(one.X_CO)
            turn_a, turn_b = (float(np.linalg.norm(log_so3(X[:3, :3]))) for X in (a, b))
            if turn_a > _PAIR_TURN_RAD and abs(turn_a - turn_b) < _PAIR_MISMATCH_RAD:
                A.append(a)
                B.append(b)
    if len(A) < len(views) // 2:
        raise BoardError(
            f"hand and camera did not turn alike between the views ({len(A)} pairs of "
            f"{len(views) * (len(views) - 1) // 2} agree); do pictures and poses belong together?"
        )
    X = park_martin(A, B)
    for _ in range(5):  # pairs that agree in angle by chance do not agree in where the hand went
        miss = [
            float(np.linalg.norm((invert(a @ X) @ X @ b)[:3, 3])) for a, b in zip(A, B, strict=True)
        ]
        limit = max(0.005, 3.0 * float(np.median(miss)))
        keep = [k for k, m in enumerate(miss) if m <= limit]
        if len(keep) == len(A) or len(keep) < 4:
            break
        A, B = [A[k] for k in keep], [B[k] for k in keep]
        X = park_martin(A, B)
    return X


def _middle(poses: list[Array]) -> Array:
    """A pose in the middle of several, by medians, which a bad one does not move."""
    centre = poses[len(poses) // 2]
    for _ in range(10):
        apart = [invert(centre) @ X for X in poses]
        turn = np.median([log_so3(X[:3, :3]) for X in apart], axis=0)
        shift = np.median([X[:3, 3] for X in apart], axis=0)
        centre = centre @ exp(np.concatenate([shift, turn]))
    return centre


def _refine(views: list[View], lens: Calibration, X_HC: Array, X_BO: Array) -> tuple[Array, Array]:
    """Gauss-Newton on the corners of all views, both poses at once, a view's weight by its miss."""
    for _ in range(_ITERATIONS):
        normal, gradient = np.zeros((12, 12)), np.zeros(12)
        parts = [_linear(view, lens, X_HC, X_BO) for view in views]
        miss = np.array([np.sqrt((r @ r) / len(r)) for r, _ in parts])
        knee = max(0.5, 2.0 * float(np.median(miss)))
        for (r, J), size in zip(parts, miss, strict=True):
            weight = min(1.0, knee / size)
            normal += weight * J.T @ J
            gradient += weight * J.T @ r
        step = -np.linalg.solve(normal, gradient)
        X_HC, X_BO = X_HC @ exp(step[:6]), X_BO @ exp(step[6:])
        if float(np.abs(step).max()) < 1e-8:
            break
    return X_HC, X_BO


def _linear(view: View, lens: Calibration, X_HC: Array, X_BO: Array) -> tuple[Array, Array]:
    """Misses (2 N,) of one view and how they change (2 N, 12) with the two poses, both whitened.

    The arm's own error moves all corners of a view together, so a view is divided by the root of
    its covariance, corner noise plus the arm's noise as the camera sees it.
    """

    def px(hand: Array, board: Array, arm: Array) -> Array:
        return project(view.seen.points_m, invert(view.X_BH @ arm @ hand) @ board, lens).ravel()

    still = np.eye(4)

    here = px(X_HC, X_BO, still)
    J, noise = np.empty((here.size, 12)), np.empty((here.size, 6))
    sigma = np.repeat([_ARM_SIGMA_M, _ARM_SIGMA_RAD], 3)
    for k in range(6):
        step = np.zeros(6)
        step[k] = _STEP
        J[:, k] = (px(X_HC @ exp(step), X_BO, still) - here) / _STEP
        J[:, 6 + k] = (px(X_HC, X_BO @ exp(step), still) - here) / _STEP
        noise[:, k] = sigma[k] * (px(X_HC, X_BO, exp(step)) - here) / _STEP
    covariance = noise @ noise.T + _CORNER_SIGMA_PX**2 * np.eye(here.size)
    root = np.linalg.cholesky(covariance)
    both = np.linalg.solve(root, np.column_stack([here - view.seen.corners_px.ravel(), J]))
    return both[:, 0], both[:, 1:]


def _miss_px(view: View, lens: Calibration, X_HC: Array, X_BO: Array) -> float:
    px = project(view.seen.points_m, invert(view.X_BH @ X_HC) @ X_BO, lens)
    return float(np.sqrt(((px - view.seen.corners_px) ** 2).sum(axis=1).mean()))


def _jackknife(
    views: list[View], lens: Calibration, X_HC: Array, X_BO: Array
) -> tuple[float, float]:
    """Standard deviation of position [m] and rotation [rad] (Efron and Stein 1981).

    Without one view the solution moves by one Gauss-Newton step from here, to first order.
    """
    n = len(views)
    parts = [_linear(view, lens, X_HC, X_BO) for view in views]
    normals = [J.T @ J for _, J in parts]
    gradients = [J.T @ r for r, J in parts]
    normal, gradient = np.sum(normals, axis=0), np.sum(gradients, axis=0)
    steps = np.array(
        [
            -np.linalg.solve(normal - one, gradient - own)[:6]
            for one, own in zip(normals, gradients, strict=True)
        ]
    )
    spread = (n - 1) / n * ((steps - steps.mean(axis=0)) ** 2).sum(axis=0)
    return float(np.sqrt(spread[:3].sum())), float(np.sqrt(spread[3:].sum()))
