"""A z-buffer rasteriser in numba: triangles in moving frames to one RGB picture, in under a ms.

Camera: any pinhole K in OpenCV's convention (pixel centres at integers, z forward, x right, y down)
and the pose X_BC of the optical frame C in the arm base frame B. Lengths in metres. Shading is
Gouraud with one directional light over a sky term; shadows are the light-facing triangles projected
on the table plane. The loops themselves are in ``raster_kernels``.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from handful_twin import raster_kernels as kernels
from handful_twin import raster_patterns as patterns

NEAR_M = 0.01  # nearer than this is cut away, if nothing else is said

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I32 = NDArray[np.int32]
U8 = NDArray[np.uint8]


@dataclass(frozen=True)
class Geometry:
    """All triangles of a scene, each vertex rigid in one frame.

    vertices_m, normals: (V, 3) float32 in the vertex's frame, sorted by frame. frame_start: (P+1,)
    int32, the vertices of frame i are rows frame_start[i] to frame_start[i+1]. faces: (F, 3) int32,
    counter-clockwise seen from outside. face_rgb: (F, 3) float32 in 0..1. face_label: (F,) int32
    >= 0 for segmentation. casts, catches: (F,) uint8, 1 where the face throws a shadow, and where
    it lies in ``Look.shadow_plane_m`` and shows one.
    """

    vertices_m: F32
    normals: F32
    frame_start: I32
    faces: I32
    face_rgb: F32
    face_label: I32
    casts: U8
    catches: U8


@dataclass(frozen=True)
class Look:
    """Light and backdrop. Directions and heights in B; colours (3,) in 0..1."""

    to_light: tuple[float, float, float] = (0.45, -0.35, 1.0)
    ambient: float = 0.42
    diffuse: float = 0.48
    sky: float = 0.18
    shadow: float = 0.68  # what is left of the light in a shadow; 1 switches shadows off
    shadow_plane_m: float = 0.0
    floor_rgb: tuple[float, float, float] = (0.47, 0.46, 0.45)
    wall_rgb: tuple[float, float, float] = (0.74, 0.77, 0.79)


@dataclass(frozen=True)
class Coat:
    """What a rasteriser wears over its geometry, of the same faces and vertices.

    face_pattern: (F,) int32 row of ``patterns`` or -1 for none; None: no pattern anywhere.
    patterns: (N, 8) float64, see ``paint.Pattern``; row 0 is the backdrop's.
    """

    look: Look
    face_rgb: F32
    vertices_m: F32
    face_pattern: I32 | None = None
    patterns: F64 = field(default_factory=lambda: np.zeros((1, 8)))


class Picture(NamedTuple):
    """rgb: (H, W, 3) uint8. depth_m: (H, W) float32 along z of C, inf where empty. labels: (H, W)
    int32 from ``Geometry.face_label``, -1 where empty."""

    rgb: U8
    depth_m: F32
    labels: I32


class Rasteriser:
    """Draws one geometry again and again. Keeps scratch memory, so use one instance per thread."""

    def __init__(self, geometry: Geometry, look: Look | None = None, samples: int = 2) -> None:
        """samples: sub-samples per pixel side for anti-aliasing, 1 (off) to 4."""
        if not 1 <= samples <= 4:
            raise ValueError(f"samples must be 1 to 4 per pixel side, got {samples}")
        self.geometry, self.samples = geometry, samples
        self._plain = Coat(look or Look(), geometry.face_rgb, geometry.vertices_m)
        self._coat = self._plain
        first = np.searchsorted(geometry.frame_start, geometry.faces[:, 0], side="right") - 1
        self._face_frame = first.astype(np.int32)
        self._casters = np.ascontiguousarray(geometry.faces[geometry.casts != 0])
        count = len(geometry.vertices_m)
        self._scratch = (np.empty((count, 3)), np.empty((count, 3)), np.empty(count))
        self._buffers: dict[tuple[int, int], tuple[F32, F32, I32]] = {}

    @property
    def look(self) -> Look:
        """Light and backdrop as of now."""
        return self._coat.look

    def wear(self, coat: Coat | None) -> None:
        """Draw with these colours, patterns and light from now on; None: with its own again."""
        self._coat = self._plain if coat is None else coat
        if coat is not None and coat.face_pattern is not None:
            some = coat.face_pattern >= 0
            self._pattern_frame = np.zeros(len(coat.patterns), np.int32)
            self._pattern_frame[coat.face_pattern[some]] = self._face_frame[some]

    def rgb(
        self, poses: F64, K: F64, X_BC: F64, width_px: int, height_px: int, near_m: float = NEAR_M
    ) -> U8:
        """A fresh (H, W, 3) uint8 picture. poses: (P, 3, 4) frames in B; K (3, 3); X_BC (4, 4).

        Nothing is too far; what is nearer than ``near_m`` [m] is cut away.
        """
        out = np.empty((height_px, width_px, 3), np.uint8)
        n = self.samples
        nearness, shade, face_of = self._draw(poses, K, X_BC, width_px, height_px, n, near_m)
        coat = self._coat
        backdrop = np.array([coat.look.floor_rgb, coat.look.wall_rgb])
        horizon = _horizon(K, X_BC)
        if coat.face_pattern is None:
            kernels.resolve(out, shade, face_of, n, coat.face_rgb, horizon, backdrop)
        else:
            patterns.resolve(
                out, shade, face_of, nearness, n, coat.face_rgb, horizon, backdrop,
                coat.face_pattern, self._pattern_frame, coat.patterns,
                np.ascontiguousarray(poses, np.float64), np.ascontiguousarray(X_BC, np.float64),
                np.array([K[0, 0], K[1, 1], K[0, 2], K[1, 2]]), patterns.NOISE,
            )  # fmt: skip
        return out

    def layers(
        self, poses: F64, K: F64, X_BC: F64, width_px: int, height_px: int, near_m: float = NEAR_M
    ) -> Picture:
        """``rgb`` with depth and labels, which are taken at the pixel centres (one sample)."""
        rgb = self.rgb(poses, K, X_BC, width_px, height_px, near_m)
        nearness, _, face = self._draw(poses, K, X_BC, width_px, height_px, 1, near_m)
        with np.errstate(divide="ignore"):
            depth_m = np.float32(1.0) / nearness
        face = np.where(face < -1, kernels.IN_SHADOW - face, face)
        labels = np.where(face < 0, np.int32(-1), self.geometry.face_label[face])
        shape = height_px, width_px
        return Picture(rgb, depth_m.reshape(shape), labels.astype(np.int32).reshape(shape))

    def _draw(
        self, poses: F64, K: F64, X_BC: F64, width_px: int, height_px: int, n: int, near_m: float
    ) -> tuple[F32, F32, I32]:
        """Visibility buffers of n x n samples a pixel."""
        rows, columns = height_px * n, width_px * n
        buffers = self._buffers.get((rows, columns))
        if buffers is None:
            size = rows * columns
            buffers = (
                np.empty(size, np.float32),
                np.empty(size, np.float32),
                np.empty(size, np.int32),
            )
            self._buffers[rows, columns] = buffers
        g, look, vertices_m = self.geometry, self.look, self._coat.vertices_m
        poses = np.ascontiguousarray(poses, np.float64)
        R_CB = X_BC[:3, :3].T
        X_CB = np.empty((3, 4))
        X_CB[:, :3] = R_CB
        X_CB[:, 3] = -R_CB @ X_BC[:3, 3]
        # A pixel centre u becomes n samples around n*(u + 1/2) - 1/2 of the finer grid.
        lens = np.array(
            [K[0, 0] * n, K[1, 1] * n, (K[0, 2] + 0.5) * n - 0.5, (K[1, 2] + 0.5) * n - 0.5, near_m]
        )
        x, y, z = look.to_light
        length = (x * x + y * y + z * z) ** 0.5
        x, y, z = x / length, y / length, z / length
        kernels.rasterise(
            vertices_m, g.normals, g.frame_start, g.faces, poses, X_CB, lens,
            np.array([x, y, z, look.ambient, look.diffuse, look.sky]), columns, rows,
            *self._scratch, *buffers,
        )  # fmt: skip
        if look.shadow < 1.0 and z > 0.0 and len(self._casters):
            kernels.cast_shadows(
                vertices_m, g.normals, g.frame_start, self._casters, g.catches, poses, X_CB, lens,
                np.array([x, y, z, look.shadow]), look.shadow_plane_m, columns, rows,
                *self._scratch, *buffers[1:],
            )  # fmt: skip
        return buffers


def _horizon(K: F64, X_BC: F64) -> F64:
    """(3,) a, b, c so that a*u + b*v + c is how far the ray through pixel (u, v) climbs in B."""
    a, b = X_BC[2, 0] / K[0, 0], X_BC[2, 1] / K[1, 1]
    return np.array([a, b, X_BC[2, 2] - a * K[0, 2] - b * K[1, 2]])
