"""The last step of a picture whose surfaces have patterns: samples to pixels, darkened by place.

A pixel's point is found from its depth and taken into the frame of what it lies on. The pattern is
looked up once for each face that a pixel sees, not for each of its samples: light and edges stay
anti-aliased, and a whole picture costs a fifth more instead of four times as much.
"""

import math

import numpy as np
from numba import njit

from handful_twin.raster_kernels import IN_SHADOW

#: Where the backdrop's pattern is looked up: so far away [m], the same from everywhere.
BACKDROP_M = 2.0
_SIDE = 64  # cells of the noise block each way; it repeats
_CELLS = 8  # of them to a size


def _noise_block() -> np.ndarray:
    """(64, 64, 64) uint8, smooth, periodic, every value as frequent as any other."""
    rng = np.random.default_rng(1985)
    waves = np.fft.fftfreq(_SIDE)
    square = waves[:, None, None] ** 2 + waves[None, :, None] ** 2 + waves[None, None, :] ** 2
    smooth = np.exp(-0.5 * square * (2.0 * math.pi * 0.4 * _CELLS) ** 2)
    field = np.fft.ifftn(np.fft.fftn(rng.standard_normal((_SIDE,) * 3)) * smooth).real
    ranks = np.empty(field.size, np.uint8)
    ranks[np.argsort(field, axis=None)] = np.linspace(0.0, 255.0, field.size).astype(np.uint8)
    return ranks.reshape(field.shape)


NOISE = _noise_block()


@njit(cache=True, nogil=True)
def light_left(patterns, i, x, y, z, noise):  # type: ignore[no-untyped-def]
    """What pattern ``i`` leaves of the light at a point (x, y, z) [m]; see ``paint.Pattern``."""
    scale, cos, sin = patterns[i, 1], patterns[i, 3], patterns[i, 4]
    a = (cos * x + sin * y) * scale + patterns[i, 5]
    b = (cos * y - sin * x) * scale + patterns[i, 6]
    c = z * scale + patterns[i, 7]
    return 1.0 - patterns[i, 2] * _darkness(patterns[i, 0], a, b, c, noise)


@njit(cache=True, nogil=True)
def _darkness(kind, a, b, c, noise):  # type: ignore[no-untyped-def]
    """0 to 1: checker, stripes, noise, gradient, in sizes of the pattern."""
    if kind == 1.0:
        return float((int(math.floor(a)) + int(math.floor(b)) + int(math.floor(c))) & 1)
    if kind == 2.0:
        return float(int(math.floor(a)) & 1)
    if kind == 3.0:
        i = int(math.floor(a * _CELLS)) & (_SIDE - 1)
        j = int(math.floor(b * _CELLS)) & (_SIDE - 1)
        k = int(math.floor(c * _CELLS)) & (_SIDE - 1)
        return noise[i, j, k] / 255.0
    a = 0.25 * (a + 0.5 * c)
    return abs(2.0 * (a - math.floor(a)) - 1.0)


@njit(cache=True, nogil=True)
def resolve(  # type: ignore[no-untyped-def]
    out, shade, face_of, nearness, n, face_rgb, horizon, backdrop,
    face_pattern, face_frame, patterns, poses, X_BC, lens, noise,
):  # fmt: skip
    """``raster_kernels.resolve`` with patterns.

    face_pattern, face_frame: (F,) row of ``patterns``, -1 for none, and frame of each face; row 0
    is the backdrop's. lens: fx, fy, cx, cy in pixels.
    """
    height, width = out.shape[0], out.shape[1]
    R = np.empty((len(poses), 3, 4))  # from C to each frame
    for f in range(len(poses)):
        for k in range(3):
            for j in range(3):
                R[f, k, j] = (
                    poses[f, 0, k] * X_BC[0, j]
                    + poses[f, 1, k] * X_BC[1, j]
                    + poses[f, 2, k] * X_BC[2, j]
                )
            R[f, k, 3] = (
                poses[f, 0, k] * (X_BC[0, 3] - poses[f, 0, 3])
                + poses[f, 1, k] * (X_BC[1, 3] - poses[f, 1, 3])
                + poses[f, 2, k] * (X_BC[2, 3] - poses[f, 2, 3])
            )
    per_fx, per_fy = 1.0 / lens[0], 1.0 / lens[1]
    samples = n * n
    for v in range(height):
        y = (v - lens[3]) * per_fy
        for u in range(width):
            x = (u - lens[2]) * per_fx
            first = face_of[v * n * width * n + u * n]
            total, same = 0.0, True
            for i in range(n):
                at = (v * n + i) * width * n + u * n
                for j in range(n):
                    same = same and face_of[at + j] == first
                    total += shade[at + j]
            if same and first != -1:  # one face all over: most pixels
                f = first if first >= 0 else IN_SHADOW - first
                s = total / samples
                if face_pattern[f] >= 0:
                    z = 1.0 / nearness[v * n * width * n + u * n]
                    s *= _on_face(patterns, face_pattern[f], R, face_frame[f], x, y, z, noise)
                r, g, b = face_rgb[f, 0], face_rgb[f, 1], face_rgb[f, 2]
                out[v, u, 0] = np.uint8(255.0 * min(1.0, s * r) + 0.5)
                out[v, u, 1] = np.uint8(255.0 * min(1.0, s * g) + 0.5)
                out[v, u, 2] = np.uint8(255.0 * min(1.0, s * b) + 0.5)
                continue
            r = g = b = 0.0
            known, light = -2, 1.0
            for i in range(n):
                at = (v * n + i) * width * n + u * n
                for j in range(n):
                    f = face_of[at + j]
                    if f < -1:
                        f = IN_SHADOW - f
                    if f != known:
                        known, light = f, 1.0
                        if f == -1:
                            if patterns[0, 0] > 0.0:
                                far = BACKDROP_M / math.sqrt(x * x + y * y + 1.0)
                                p = far * (X_BC[0, 0] * x + X_BC[0, 1] * y + X_BC[0, 2])
                                q = far * (X_BC[1, 0] * x + X_BC[1, 1] * y + X_BC[1, 2])
                                s = far * (X_BC[2, 0] * x + X_BC[2, 1] * y + X_BC[2, 2])
                                light = light_left(patterns, 0, p, q, s, noise)
                        elif face_pattern[f] >= 0:
                            z = 1.0 / nearness[at + j]
                            light = _on_face(
                                patterns, face_pattern[f], R, face_frame[f], x, y, z, noise
                            )
                    if f == -1:
                        du, dv = u + (j + 0.5) / n - 0.5, v + (i + 0.5) / n - 0.5
                        side = 1 if horizon[0] * du + horizon[1] * dv + horizon[2] > 0.0 else 0
                        r += light * backdrop[side, 0]
                        g += light * backdrop[side, 1]
                        b += light * backdrop[side, 2]
                    else:
                        s = shade[at + j] * light
                        r += min(1.0, s * face_rgb[f, 0])
                        g += min(1.0, s * face_rgb[f, 1])
                        b += min(1.0, s * face_rgb[f, 2])
            scale = 255.0 / samples
            out[v, u, 0] = np.uint8(r * scale + 0.5)
            out[v, u, 1] = np.uint8(g * scale + 0.5)
            out[v, u, 2] = np.uint8(b * scale + 0.5)


@njit(cache=True, nogil=True)
def _on_face(patterns, i, R, m, x, y, z, noise):  # type: ignore[no-untyped-def]
    """``light_left`` on something in frame ``m``, z along the ray x, y, 1 of the eye."""
    p = (R[m, 0, 0] * x + R[m, 0, 1] * y + R[m, 0, 2]) * z + R[m, 0, 3]
    q = (R[m, 1, 0] * x + R[m, 1, 1] * y + R[m, 1, 2]) * z + R[m, 1, 3]
    s = (R[m, 2, 0] * x + R[m, 2, 1] * y + R[m, 2, 2]) * z + R[m, 2, 3]
    return light_left(patterns, i, p, q, s, noise)
