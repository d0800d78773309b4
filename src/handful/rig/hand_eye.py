"""Where a camera sits on the arm's hand, or beside the arm: AX = XB, then the corners themselves.

The hand H moves, the camera C sees a board O, and nothing but what is bolted together is constant:

    eye in hand:  X_BH @ X_HC @ X_CO = X_BO     camera on the hand, board on the table
    eye to hand:  X_HB @ X_BC @ X_CO = X_HO     camera beside the arm, board on the hand

which is one equation, ``X_BH`` having been turned round for the second. First in closed form (Park
and Martin, "Robot sensor calibration: solving AX=XB on the Euclidean group", 1994), over the pairs
of views that can be true; then Gauss-Newton on all corners [px], with the weights of Huber (1964)
for each view, so that a bad view or two cost nothing. A lens that was fitted to the same pictures
is fitted on: the arm knows how far it went, which pictures of a board alone tell badly, and half a
percent of focal length is a quarter of a centimetre of distance.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from handful.rig.board import BoardError, Sighting, board_pose, project
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
_STEP = 1.0e-6  # of the numeric derivative [m, rad, _LENS_UNITS]
_LENS_UNITS = np.array([1e3, 1e3, 1e3, 1e3, 1.0, 1.0, 1.0, 1.0])  # f, middle [px]; k1 k2 t1 t2


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

    lens: as it was given, or fitted on. X_HC: (4, 4) camera in hand (or in base). X_BO: (4, 4)
    board in base (or in hand).
    views_px, views_m, views_rad: name -> root mean square miss of the corners, and how far the
    board is from where the others say it is. bad: names of views that were left out. sigma_m,
    sigma_rad: standard deviation of the camera's position and rotation, by leaving one view out at
    a time (jackknife), so arm, board and corners all speak.
    """

    lens: Calibration
    X_HC: Array
    X_BO: Array
    views_px: dict[str, float]
    views_m: dict[str, float]
    views_rad: dict[str, float]
    bad: list[str]
    sigma_m: float
    sigma_rad: float


def solve(views: list[View], lens: Calibration, free_lens: bool = False) -> HandEye:
    """The camera's place from at least ``LEAST_VIEWS`` views.

    Args:
        free_lens: fit focal lengths, middle and four coefficients of distortion too, from here.

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
    state = _refine(views, _State(X_HC, X_BO, lens, free_lens))
    miss = {v.name: _miss_px(v, state) for v in views}
    limit_px = max(_BAD_VIEW_PX, _BAD_VIEW * float(np.median(list(miss.values()))))
    bad = [v.name for v in views if miss[v.name] > limit_px]
    kept = [v for v in views if v.name not in bad]
    if len(bad) > _MOST_BAD * len(views) or len(kept) < LEAST_VIEWS:
        raise BoardError(
            f"{len(bad)} of {len(views)} views contradict the others ({', '.join(bad[:5])}); do "
            "pictures and poses belong together, was the arm still, and did nothing slip?"
        )
    _check_turns(kept)
    state = _refine(kept, state)
    sigma_m, sigma_rad = _jackknife(kept, state)
    X_HC, X_BO = state.X_HC, state.X_BO
    apart = {v.name: invert(X_BO) @ v.X_BH @ X_HC @ _board(v, state) for v in views}
    return HandEye(
        lens=state.lens,
        X_HC=X_HC,
        X_BO=X_BO,
        views_px={v.name: _miss_px(v, state) for v in views},
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


@dataclass(frozen=True)
class _State:
    """All that is sought."""

    X_HC: Array
    X_BO: Array
    lens: Calibration
    free_lens: bool

    @property
    def size(self) -> int:
        return 20 if self.free_lens else 12

    def moved(self, step: Array) -> "_State":
        """A step (size,): two twists [m, rad], then the lens in units of ``_LENS_UNITS``."""
        lens = self.lens
        if self.free_lens:
            own = step[12:] * _LENS_UNITS
            K, D = lens.K.copy(), lens.D.copy()
            K[[0, 1, 0, 1], [0, 1, 2, 2]] += own[:4]
            D[:4] += own[4:]
            lens = replace(lens, K=K, D=D, P=np.hstack([K, np.zeros((3, 1))]))
        X_HC, X_BO = self.X_HC @ exp(step[:6]), self.X_BO @ exp(step[6:12])
        return _State(X_HC, X_BO, lens, self.free_lens)


def _refine(views: list[View], state: _State) -> _State:
    """Gauss-Newton on the corners of all views, everything at once, a view's weight by its miss."""
    for _ in range(_ITERATIONS):
        normal, gradient = np.zeros((state.size, state.size)), np.zeros(state.size)
        parts = [_linear(view, state) for view in views]
        miss = np.array([np.sqrt((r @ r) / len(r)) for r, _ in parts])
        knee = max(0.5, 2.0 * float(np.median(miss)))
        for (r, J), size in zip(parts, miss, strict=True):
            weight = min(1.0, knee / size)
            normal += weight * J.T @ J
            gradient += weight * J.T @ r
        step = np.asarray(-np.linalg.solve(normal, gradient), np.float64)
        state = state.moved(step)
        if float(np.abs(step[:12]).max()) < 1e-8:
            break
    return state


def _linear(view: View, state: _State) -> tuple[Array, Array]:
    """Misses (2 N,) of one view and how they change (2 N, size) with what is sought, whitened.

    The arm's own error moves all corners of a view together, so a view is divided by the root of
    its covariance, corner noise plus the arm's noise as the camera sees it.
    """
    here = _px(view, state)
    J, noise = np.empty((here.size, state.size)), np.empty((here.size, 6))
    for k in range(state.size):
        step = np.zeros(state.size)
        step[k] = _STEP
        J[:, k] = (_px(view, state.moved(step)) - here) / _STEP
    sigma = np.repeat([_ARM_SIGMA_M, _ARM_SIGMA_RAD], 3)
    for k in range(6):
        step = np.zeros(6)
        step[k] = _STEP
        noise[:, k] = sigma[k] * (_px(view, state, exp(step)) - here) / _STEP
    covariance = noise @ noise.T + _CORNER_SIGMA_PX**2 * np.eye(here.size)
    root = np.linalg.cholesky(covariance)
    both = np.linalg.solve(root, np.column_stack([here - view.seen.corners_px.ravel(), J]))
    return both[:, 0], both[:, 1:]


def _px(view: View, state: _State, arm: Array | None = None) -> Array:
    """Where the corners should be (2 N,), the arm being off by ``arm`` (4, 4)."""
    X_BH = view.X_BH if arm is None else view.X_BH @ arm
    X_CO = invert(X_BH @ state.X_HC) @ state.X_BO
    return project(view.seen.points_m, X_CO, state.lens).ravel()


def _board(view: View, state: _State) -> Array:
    """X_CO by the picture alone; through a lens that has changed it is looked for again."""
    return board_pose(view.seen, state.lens)[0] if state.free_lens else view.X_CO


def _miss_px(view: View, state: _State) -> float:
    apart = (_px(view, state) - view.seen.corners_px.ravel()).reshape(-1, 2)
    return float(np.sqrt((apart**2).sum(axis=1).mean()))


def _jackknife(views: list[View], state: _State) -> tuple[float, float]:
    """Standard deviation of position [m] and rotation [rad] (Efron and Stein 1981).

    Without one view the solution moves by one Gauss-Newton step from here, to first order.
    """
    n = len(views)
    parts = [_linear(view, state) for view in views]
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
