"""The last step of a picture whose surfaces have patterns: samples to pixels, darkened by place.

A pixel's point is found from its depth and taken into the frame of what it lies on. The pattern is
looked up once for each face that a pixel sees, not for each of its samples: light and edges stay
anti-aliased. Most pixels see one face, and so do their neighbours: such runs go through short loops
without a branch, of which the compiler makes vectors; all others are done sample by sample.
"""

import math

import numpy as np
from numba import njit, uint64

from handful_twin.raster_kernels import IN_SHADOW

#: Where the backdrop's pattern is looked up: so far away [m], the same from everywhere.
BACKDROP_M = 2.0
_SIDE = 64  # cells of the noise block each way; it repeats
_CELLS = 8  # of them to a size


def _noise_block() -> np.ndarray:
    """(64 * 64 * 64,) uint8, smooth, periodic, every value as frequent as any other."""
    rng = np.random.default_rng(1985)
    waves = np.fft.fftfreq(_SIDE)
    square = waves[:, None, None] ** 2 + waves[None, :, None] ** 2 + waves[None, None, :] ** 2
    smooth = np.exp(-0.5 * square * (2.0 * math.pi * 0.4 * _CELLS) ** 2)
    field = np.fft.ifftn(np.fft.fftn(rng.standard_normal((_SIDE,) * 3)) * smooth).real
    ranks = np.empty(field.size, np.uint8)
    ranks[np.argsort(field, axis=None)] = np.linspace(0.0, 255.0, field.size).astype(np.uint8)
    return ranks


NOISE = _noise_block()


@njit(cache=True, nogil=True)
def _lattices(patterns, frames, poses, X_BC):  # type: ignore[no-untyped-def]
    """(N, 3, 4) from the optical frame C to each pattern's own lattice, in its sizes.

    frames: (N,) what each pattern is rigid in; the backdrop's, row 0, turns with B alone.
    """
    out = np.empty((len(patterns), 3, 4))
    X = np.empty((3, 4))
    for i in range(len(patterns)):
        m = frames[i]
        for k in range(3):
            for j in range(4):
                if i == 0:
                    X[k, j] = X_BC[k, j] if j < 3 else 0.0
                    continue
                X[k, j] = 0.0
                for r in range(3):
                    at = X_BC[r, j] - (poses[m, r, 3] if j == 3 else 0.0)
                    X[k, j] += poses[m, r, k] * at
        scale, cos, sin = patterns[i, 1], patterns[i, 3], patterns[i, 4]
        for j in range(4):
            out[i, 0, j] = (cos * X[0, j] + sin * X[1, j]) * scale
            out[i, 1, j] = (cos * X[1, j] - sin * X[0, j]) * scale
            out[i, 2, j] = X[2, j] * scale
        for k in range(3):
            out[i, k, 3] += patterns[i, 5 + k]
    return out


@njit(cache=True, nogil=True, inline="always")
def _light_left(patterns, M, i, x, y, z, noise):  # type: ignore[no-untyped-def]
    """What pattern ``i`` leaves of the light, z along the ray (x, y, 1) of the eye."""
    a = (M[i, 0, 0] * x + M[i, 0, 1] * y + M[i, 0, 2]) * z + M[i, 0, 3]
    b = (M[i, 1, 0] * x + M[i, 1, 1] * y + M[i, 1, 2]) * z + M[i, 1, 3]
    c = (M[i, 2, 0] * x + M[i, 2, 1] * y + M[i, 2, 2]) * z + M[i, 2, 3]
    kind = patterns[i, 0]
    if kind == 3.0:
        p = int(math.floor(a * _CELLS)) & (_SIDE - 1)
        q = int(math.floor(b * _CELLS)) & (_SIDE - 1)
        r = int(math.floor(c * _CELLS)) & (_SIDE - 1)
        dark = noise[(p * _SIDE + q) * _SIDE + r] * (1.0 / 255.0)
    elif kind == 4.0:  # a ramp up and down, four sizes long
        a = 0.25 * (a + 0.5 * c)
        dark = abs(2.0 * (a - math.floor(a)) - 1.0)
    else:
        cells = math.floor(a)
        if kind == 1.0:
            cells += math.floor(b) + math.floor(c)
        dark = float(int(cells) & 1)
    return 1.0 - patterns[i, 2] * dark


@njit(cache=True, nogil=True)
def _darken(patterns, M, i, light, depth_m, first, end, xs, y, noise):  # type: ignore[no-untyped-def]
    """Take pattern ``i`` from ``light`` (W,) of pixels first to end of row y, one loop a kind.

    depth_m: (W,) along the rays (xs, y, 1). The numbers are those of ``_light_left`` in the same
    order, so the bits are too; parities are taken as floats, exactly, where vectors have no whole
    numbers. first, end: unsigned, or numba looks at the sign of every index.
    """
    a0, a1, a2, a3 = M[i, 0, 0], M[i, 0, 1] * y, M[i, 0, 2], M[i, 0, 3]
    b0, b1, b2, b3 = M[i, 1, 0], M[i, 1, 1] * y, M[i, 1, 2], M[i, 1, 3]
    c0, c1, c2, c3 = M[i, 2, 0], M[i, 2, 1] * y, M[i, 2, 2], M[i, 2, 3]
    kind, depth = patterns[i, 0], patterns[i, 2]
    if kind == 3.0:
        for u in range(first, end):
            x, z = xs[u], depth_m[u]
            p = np.int64(np.floor(((a0 * x + a1 + a2) * z + a3) * _CELLS)) & (_SIDE - 1)
            q = np.int64(np.floor(((b0 * x + b1 + b2) * z + b3) * _CELLS)) & (_SIDE - 1)
            r = np.int64(np.floor(((c0 * x + c1 + c2) * z + c3) * _CELLS)) & (_SIDE - 1)
            dark = noise[uint64((p * _SIDE + q) * _SIDE + r)] * (1.0 / 255.0)
            light[u] *= 1.0 - depth * dark
    elif kind == 4.0:
        for u in range(first, end):
            x, z = xs[u], depth_m[u]
            a = (a0 * x + a1 + a2) * z + a3
            a = 0.25 * (a + 0.5 * ((c0 * x + c1 + c2) * z + c3))
            light[u] *= 1.0 - depth * abs(2.0 * (a - np.floor(a)) - 1.0)
    elif kind == 1.0:
        for u in range(first, end):
            x, z = xs[u], depth_m[u]
            cells = np.floor((a0 * x + a1 + a2) * z + a3) + np.floor((b0 * x + b1 + b2) * z + b3)
            cells += np.floor((c0 * x + c1 + c2) * z + c3)
            light[u] *= 1.0 - depth * (cells - 2.0 * np.floor(0.5 * cells))
    else:
        for u in range(first, end):
            cells = np.floor((a0 * xs[u] + a1 + a2) * depth_m[u] + a3)
            light[u] *= 1.0 - depth * (cells - 2.0 * np.floor(0.5 * cells))


@njit(cache=True, nogil=True, error_model="numpy")  # 1 / 0 where nothing is
def _look(shade, face_of, nearness, v, light, depth_m, face):  # type: ignore[no-untyped-def]
    """Row v of pixels: (W,) mean light, depth [m], and the face seen, -1 for more than one.

    shade, face_of, nearness: (H, n, W, n) samples.
    """
    n = shade.shape[1]
    if n == 2:  # as shipped; the loops cost more
        for u in range(len(light)):
            f = face_of[v, 0, u, 0]
            same = (
                (face_of[v, 0, u, 1] == f) & (face_of[v, 1, u, 0] == f) & (face_of[v, 1, u, 1] == f)
            )
            total = (
                float(shade[v, 0, u, 0])
                + float(shade[v, 0, u, 1])
                + float(shade[v, 1, u, 0])
                + float(shade[v, 1, u, 1])
            )
            light[u] = total * 0.25
            depth_m[u] = 1.0 / nearness[v, 0, u, 0]
            hidden = np.int32(IN_SHADOW) - f
            f = f if f > hidden else hidden
            face[u] = f if same else np.int32(-1)
        return
    mean = 1.0 / (n * n)
    for u in range(len(light)):
        f = face_of[v, 0, u, 0]
        total, same = 0.0, True
        for i in range(n):
            for j in range(n):
                same = same and face_of[v, i, u, j] == f
                total += shade[v, i, u, j]
        light[u] = total * mean
        depth_m[u] = 1.0 / nearness[v, 0, u, 0]
        face[u] = max(f, IN_SHADOW - f) if same else -1


@njit(cache=True, nogil=True, inline="always")
def _mix(  # type: ignore[no-untyped-def]
    out, v, u, shade, face_of, nearness, n, face_rgb, horizon, backdrop, face_pattern, patterns, M,
    x, y, noise,
):  # fmt: skip
    """One pixel sample by sample: an edge, or the backdrop."""
    width = out.shape[1]
    r = g = b = 0.0
    known, light = -2, 1.0
    for i in range(n):
        for j in range(n):
            at = (v * n + i) * width * n + u * n + j
            f = face_of[at]
            if f < -1:
                f = IN_SHADOW - f
            if f != known:
                known, light = f, 1.0
                if f == -1:
                    if patterns[0, 0] > 0.0:
                        far = BACKDROP_M / math.sqrt(x * x + y * y + 1.0)
                        light = _light_left(patterns, M, 0, x, y, far, noise)
                elif face_pattern[f] >= 0:
                    z = 1.0 / nearness[at]
                    light = _light_left(patterns, M, face_pattern[f], x, y, z, noise)
            if f == -1:
                du, dv = u + (j + 0.5) / n - 0.5, v + (i + 0.5) / n - 0.5
                side = 1 if horizon[0] * du + horizon[1] * dv + horizon[2] > 0.0 else 0
                r += light * backdrop[side, 0]
                g += light * backdrop[side, 1]
                b += light * backdrop[side, 2]
            else:
                s = shade[at] * light
                r += min(1.0, s * face_rgb[f, 0])
                g += min(1.0, s * face_rgb[f, 1])
                b += min(1.0, s * face_rgb[f, 2])
    scale = 255.0 / (n * n)
    out[v, u, 0] = np.uint8(r * scale + 0.5)
    out[v, u, 1] = np.uint8(g * scale + 0.5)
    out[v, u, 2] = np.uint8(b * scale + 0.5)


@njit(cache=True, nogil=True)
def resolve(  # type: ignore[no-untyped-def]
    out, shade, face_of, nearness, n, face_rgb, horizon, backdrop,
    face_pattern, pattern_frame, patterns, poses, X_BC, lens, noise,
):  # fmt: skip
    """``raster_kernels.resolve`` with patterns.

    face_pattern: (F,) row of ``patterns`` of each face, -1 for none; row 0 is the backdrop's.
    pattern_frame: (N,) what each is rigid in. lens: fx, fy, cx, cy in pixels.
    """
    height, width = out.shape[0], out.shape[1]
    M = _lattices(patterns, pattern_frame, poses, X_BC)
    light, depth_m, face = np.empty(width), np.empty(width), np.empty(width, np.int32)
    shades = shade.reshape((height, n, width, n))
    faces, nearnesses = face_of.reshape(shades.shape), nearness.reshape(shades.shape)
    per_fx, per_fy = 1.0 / lens[0], 1.0 / lens[1]
    xs = (np.arange(width) - lens[2]) * per_fx
    for v in range(height):
        y = (v - lens[3]) * per_fy
        _look(shades, faces, nearnesses, v, light, depth_m, face)
        end = 0
        while end < width:
            u, f = end, face[end]
            end += 1
            if f < 0:
                _mix(
                    out, v, u, shade, face_of, nearness, n, face_rgb, horizon, backdrop,
                    face_pattern, patterns, M, xs[u], y, noise,
                )  # fmt: skip
                continue
            while end < width and face[end] == f:
                end += 1
            first, last = uint64(u), uint64(end)
            if face_pattern[f] >= 0:
                _darken(patterns, M, face_pattern[f], light, depth_m, first, last, xs, y, noise)
            r, g, b = face_rgb[f, 0], face_rgb[f, 1], face_rgb[f, 2]
            for k in range(first, last):
                s = light[k]
                out[v, k, 0] = np.uint8(255.0 * min(1.0, s * r) + 0.5)
                out[v, k, 1] = np.uint8(255.0 * min(1.0, s * g) + 0.5)
                out[v, k, 2] = np.uint8(255.0 * min(1.0, s * b) + 0.5)
