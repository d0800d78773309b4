"""The twin in the cell's place with a calibration board in it: hidden truth, pictures, arm states.

Whoever calibrates gets the rig's ``Camera`` and ``Arm`` and nothing else; what the lens and the
mount really are is known here only. The board is drawn by the twin's own rasteriser, one triangle
pair a run of equal modules, so it is lit, shadowed and hidden by the arm as everything else is. The
lens bends the picture, the sensor blurs and adds noise.
"""

import contextlib
from dataclasses import dataclass

import cv2
import numpy as np
from handful_twin.meshes import Mesh, look_at, smooth_mesh
from handful_twin.renderers import FastRenderer
from handful_twin.scene import BASE, Scene
from handful_twin.settings import TwinSettings
from handful_twin.twin_arm import TwinArm
from handful_twin.world import Motors, World
from numpy.typing import NDArray

from handful.config import load
from handful.contract import ArmState, Frame
from handful.rig.arm import ArmError
from handful.rig.board import Board, BoardSettings, project
from handful.rig.calibration import Calibration
from handful.rig.camera import CameraError
from handful.rig.chain import Chain, read_urdf
from handful.rig.geometry import apply, exp_so3, invert, pose

Array = NDArray[np.float64]

_INK_RGB, _PAPER_RGB = (0.04, 0.04, 0.045), (0.93, 0.93, 0.92)
_PAPER_M = 0.012
_FINER = 2  # samples a pixel each way
_SETTLE_S = 0.4
_TRIES = 2000
_SWING_RAD = 0.3  # of a joint about the middle pose
_WRIST_RAD = (0.5, 0.5, 0.9)  # and of the last three


@dataclass(frozen=True)
class HiddenCell:
    """What the calibration is to find out, and how badly the cell shows it.

    lens: the true intrinsics. X_PC: (4, 4) true place of the optical frame in the hand H (on_hand)
    or in B. blur_px, noise: of the picture [px, grey levels]. joint_offset_rad: by which readings
    of the joints are off, begun anew for an arm that has more.
    """

    lens: Calibration
    X_PC: Array
    on_hand: bool
    blur_px: float = 0.6
    noise: float = 3.0
    joint_offset_rad: tuple[float, ...] = (0.0,) * 7


def shipped(on_hand: bool) -> HiddenCell:
    """Cameras where ``config/twin.yaml`` has them, with the lens of a webcam and noisy joints."""
    K = np.array([[612.0, 0.0, 325.0], [0.0, 610.0, 236.0], [0.0, 0.0, 1.0]])
    lens = Calibration(640, 480, K, np.array([0.09, -0.19, 0.0012, -0.0008, 0.0]))
    if on_hand:
        X_PC = look_at([0.075, 0.0, 0.02], [0.033, 0.0, 0.2], [1.0, 0.0, 0.0])
    else:
        X_PC = look_at([1.2, 0.0, 0.6], [0.47, 0.0, 0.075], [0.0, 0.0, 1.0])
    X_PC = X_PC @ pose(exp_so3([0.02, -0.03, 0.015]), [0.006, -0.004, 0.005])
    offset = tuple(3e-4 * x for x in (1.0, -1.0, 0.5, 1.0, -0.5, 1.0, -1.0))
    return HiddenCell(lens, X_PC, on_hand, joint_offset_rad=offset)


class BoardCell:
    """A cell with a board on its table, or in the hand when the camera stands beside the arm.

    camera, arm: the rig's doors to it. chain: the arm's kinematics from its base's link to its
    hand's, which links names. X_LC: (4, 4) the optical frame in the link that carries the camera,
    as a ``mount`` says it. twin: whose arm it is; ``config/twin.yaml`` by default.
    """

    def __init__(
        self,
        hidden: HiddenCell,
        settings: BoardSettings,
        seed: int = 0,
        twin: TwinSettings | None = None,
    ) -> None:
        self.hidden, self.board = hidden, Board(settings)
        self._rng = np.random.default_rng([seed, 77])
        self._world = World(twin or load(TwinSettings, "twin"), {})
        self._reader = TwinArm(self._world)
        model = self._world.model
        self._home_rad = model.home_rad
        self.links = model.settings.base.link, model.settings.hand.link
        self.chain: Chain = read_urdf(
            model.physics.read_text(encoding="utf-8"), *self.links, self._home_rad
        )
        self._X_BL, self._X_LH = model.links[0].X_FL, model.X_LH
        self.X_LC = (self._X_LH if hidden.on_hand else invert(self._X_BL)) @ hidden.X_PC
        self._swing_rad = np.full(model.dof, _SWING_RAD)
        self._swing_rad[-3:] = _WRIST_RAD[-model.dof :]
        width_m, height_m = self.board.size_m
        down = exp_so3([np.pi, 0.0, 0.0])
        if hidden.on_hand:  # on the table, seen from above: its z points down
            self.X_PO = pose(down, [0.5 - 0.5 * width_m, 0.5 * height_m, 0.002])
        else:  # hangs from the hand like a sign, its face along the hand's x
            sign = np.array([[0.0, 0.0, -1.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
            self.X_PO = pose(sign, [0.02, 0.5 * width_m, 0.11])
        self._scene = Scene(self._world)
        frame, link = (BASE, self.links[0]) if hidden.on_hand else (self._scene.hand, self.links[1])
        self._scene.parts += [(frame, mesh) for mesh in board_meshes(self.board, self.X_PO, link)]
        self._renderer = FastRenderer(self._scene, _FINER)
        self._middle_rad: Array | None = None
        self._lens = _Bend(hidden.lens)
        self.camera, self.arm = _Eye(self), _Reading(self)

    def move(self, k: int) -> None:
        """Somebody guides the arm to another place from where the camera sees the board whole.

        Raises:
            ArmError: no such place was found; the board or the camera is out of the arm's reach.
        """
        if self._middle_rad is None:
            self._middle_rad = self._facing()
        for _ in range(_TRIES):
            q_rad = (
                self._middle_rad
                + self._rng.uniform(-1.0, 1.0, len(self._swing_rad)) * self._swing_rad
            )
            q_rad = np.clip(q_rad, self.chain.q_min, self.chain.q_max)
            if self._sees_it(q_rad):
                break
        else:
            raise ArmError(f"twin: no pose {k} of the hand shows the whole board to the camera")
        self._world.reset(q_rad, 0.04, {})
        self._world.command(Motors(q_rad, 0.04))
        self._world.advance(round(_SETTLE_S * self._world.settings.physics_rate_hz))

    def X_BH(self) -> Array:
        """The hand's true pose (4, 4), now."""
        return self._hand_at(self._world.joints()[0][: self._world.model.dof])

    def close(self) -> None:
        """Let the world go."""
        self._renderer.close()
        self._world.close()

    def picture(self) -> NDArray[np.uint8]:
        """What falls on the sensor, (H, W, 3) uint8."""
        self._scene.sync()
        lens, hidden = self._lens, self.hidden
        X_BC = self.X_BH() @ hidden.X_PC if hidden.on_hand else hidden.X_PC
        plain = self._renderer.render(lens.K, X_BC, lens.width_px, lens.height_px)
        pixels = lens.bend(plain).astype(np.float32)
        if hidden.blur_px:
            pixels = np.asarray(cv2.GaussianBlur(pixels, (0, 0), hidden.blur_px), np.float32)
        if hidden.noise:
            pixels += self._rng.normal(0.0, hidden.noise, pixels.shape).astype(np.float32)
        return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)

    def state(self) -> ArmState:
        """What the arm says, with its joints' offsets."""
        q, dq = self._world.joints()
        wrong, dof = q.copy(), self._world.model.dof
        wrong[:dof] += np.resize(self.hidden.joint_offset_rad, dof)
        return self._reader.measured(wrong, dq)

    @property
    def time_s(self) -> float:
        """The cell's time [s]."""
        return self._world.time_s

    def _facing(self) -> Array:
        """Joints (N,) at which camera and board look nearly straight at each other."""
        hidden, (width_m, height_m) = self.hidden, self.board.size_m
        for k in range(_TRIES // 20):
            tilt = exp_so3([*self._rng.uniform(-0.5, 0.5, 2) * min(1.0, k / 8.0), 0.0])
            tilt = tilt @ exp_so3([0.0, 0.0, 0.5 * np.pi * (k % 4)])
            away_m = self._rng.uniform(*((0.36, 0.48) if hidden.on_hand else (0.6, 0.8)))
            X_CO = pose(tilt, [0.0, 0.0, away_m])
            X_CO = X_CO @ pose(np.eye(3), [-0.5 * width_m, -0.5 * height_m, 0.0])
            if hidden.on_hand:
                X_BH = self.X_PO @ invert(X_CO) @ invert(hidden.X_PC)
            else:
                X_BH = hidden.X_PC @ X_CO @ invert(self.X_PO)
            with contextlib.suppress(ArmError):
                X_LL = invert(self._X_BL) @ X_BH @ invert(self._X_LH)
                q_rad = self.chain.solve(X_LL, self._home_rad, 4.0)
                if self._sees_it(q_rad):
                    return q_rad
        raise ArmError("twin: the arm cannot bring camera and board face to face")

    def _hand_at(self, q_rad: Array) -> Array:
        return self._X_BL @ self.chain.forward(q_rad) @ self._X_LH

    def _sees_it(self, q_rad: Array) -> bool:
        X_BH, hidden = self._hand_at(q_rad), self.hidden
        if X_BH[2, 3] < (0.15 if hidden.on_hand else 0.3):
            return False
        X_CO = (
            invert(X_BH @ hidden.X_PC) @ self.X_PO
            if hidden.on_hand
            else invert(hidden.X_PC) @ X_BH @ self.X_PO
        )
        width_m, height_m = self.board.size_m
        corners = np.array([[x, y, 0.0] for x in (0, width_m) for y in (0, height_m)])
        if apply(X_CO, corners)[:, 2].min() < 0.1 or X_CO[2, 2] < 0.5:
            return False
        px = project(corners, X_CO, hidden.lens)
        far = np.array([hidden.lens.width_px, hidden.lens.height_px]) - 5
        return bool((px > 4).all() and (px < far).all())


class _Eye:
    """The cell's one camera as ``rig.camera.Camera``; a picture is taken when it is asked for."""

    def __init__(self, cell: BoardCell) -> None:
        self.name, self._cell, self._open = "twin", cell, False

    def open(self) -> None:
        self._open = True

    def latest(self, max_age_s: float) -> Frame:
        if not self._open:
            raise CameraError(f"camera {self.name!r} is not open; call open() first")
        return Frame(self.name, self._cell.picture(), self._cell.time_s, "twin_optical")

    def close(self) -> None:
        self._open = False


class _Reading:
    """The cell's arm: its state can be read, its joints are moved by whoever guides it."""

    def __init__(self, cell: BoardCell) -> None:
        self._cell = cell

    def state(self) -> ArmState:
        return self._cell.state()


class _Bend:
    """A bent lens by way of a larger pinhole picture: every pixel looks up where it looks."""

    def __init__(self, lens: Calibration) -> None:
        v, u = np.mgrid[0 : lens.height_px, 0 : lens.width_px]
        pixels = np.column_stack([u.ravel(), v.ravel()]).astype(np.float64)[:, None]
        criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 40, 1e-10)
        rays = cv2.undistortPointsIter(pixels, lens.K, lens.D, np.eye(3), np.eye(3), criteria)
        at = rays.reshape(-1, 2) * [lens.K[0, 0], lens.K[1, 1]]
        low = np.floor(at.min(axis=0)) - 2
        self.width_px, self.height_px = (np.ceil(at.max(axis=0)) + 3 - low).astype(int).tolist()
        self.K = lens.K.copy()
        self.K[:2, 2] = -low
        maps = (at - low).astype(np.float32).reshape(lens.height_px, lens.width_px, 2)
        self._u, self._v = np.ascontiguousarray(maps[..., 0]), np.ascontiguousarray(maps[..., 1])

    def bend(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.asarray(cv2.remap(pixels, self._u, self._v, cv2.INTER_LINEAR), np.uint8)


def board_meshes(board: Board, X_PO: Array, link: str) -> list[Mesh]:
    """Ink and paper of a board at ``X_PO`` in the frame of ``link``, tiled without an overlap."""
    s = board.settings
    image, px_per_m = board.picture(4.0 / s.marker_m * 8)
    margin = round(_PAPER_M * px_per_m)
    image = np.pad(image, margin, constant_values=255)
    meshes = []
    for value, rgb in ((0, _INK_RGB), (255, _PAPER_RGB)):
        quads = np.array(_rectangles(image == value), np.float64)
        quads = (quads - margin) / px_per_m
        x0, y0, x1, y1 = quads.T
        corners = np.stack([x0, y0, x0, y1, x1, y1, x1, y0], axis=1).reshape(-1, 2)
        points = apply(X_PO, np.column_stack([corners, np.zeros(len(corners))]))
        first = 4 * np.arange(len(quads))[:, None]
        faces = np.concatenate([first + [0, 1, 2], first + [0, 2, 3]])
        meshes.append(smooth_mesh(link, points, faces, rgb))
    return meshes


def _rectangles(mask: NDArray[np.bool_]) -> list[tuple[int, int, int, int]]:
    """Disjoint rectangles (x0, y0, x1, y1) that cover a mask: runs of a row, grown downwards."""
    found: list[tuple[int, int, int, int]] = []
    open_runs: dict[tuple[int, int], int] = {}
    for y in range(mask.shape[0] + 1):
        runs = set()
        if y < mask.shape[0]:
            edges = np.flatnonzero(np.diff(np.concatenate([[False], mask[y], [False]]).astype(int)))
            runs = {(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)}
        for run in [r for r in open_runs if r not in runs]:
            found.append((run[0], open_runs.pop(run), run[1], y))
        for run in runs:
            open_runs.setdefault(run, y)
    return found
