"""The inner loops of the rasteriser: place vertices, fill triangles, dim shadows, resolve samples.

Compiled by numba without the GIL and without ``fastmath``: nothing is reordered or fused, so the
same scene is the same bytes on every run. Scalars instead of array views throughout: a view costs
numba a reference count, which at a thousand triangles is most of the picture.

Screen coordinates are (u, v) in samples, centres at integers; w = 1/z [1/m], 0 where nothing is;
s is the light that falls on a point, 1 being full.
"""

import numpy as np
from numba import njit

IN_SHADOW = -2  # a face index f in a shadow is kept as IN_SHADOW - f; -1 is an empty sample


@njit(cache=True, nogil=True)
def rasterise(  # type: ignore[no-untyped-def]
    vertices, normals, frame_start, faces, poses, X_CB, lens, light, columns, rows,
    xyz, uvw, s, nearness, shade, face_of,
):  # fmt: skip
    """Fill the visibility buffers: nearness 1/z, shade and face of what each sample sees.

    vertices, normals: (V, 3), rows frame_start[i]:frame_start[i+1] rigid in frame i. faces (F, 3),
     poses (P, 3, 4) in B. lens: fx, fy, cx, cy in samples and
    the near plane [m], where everything is cut.
    light: unit direction to the light in B, ambient, diffuse, sky. xyz, uvw (V, 3) and s (V,) are
    scratch; nearness, shade, face_of (rows*columns,) come out.
    """
    nearness[:] = 0.0
    face_of[:] = -1
    place(vertices, normals, frame_start, poses, X_CB, lens, light, xyz, uvw, s)
    clipped = np.empty((4, 4))
    for f in range(len(faces)):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        if xyz[a, 2] > lens[4] and xyz[b, 2] > lens[4] and xyz[c, 2] > lens[4]:
            au, av, bu, bv, cu, cv = (
                uvw[a, 0],
                uvw[a, 1],
                uvw[b, 0],
                uvw[b, 1],
                uvw[c, 0],
                uvw[c, 1],
            )
            if (bu - au) * (cv - av) - (bv - av) * (cu - au) > 0.0:  # the eye sees its inside
                continue
            fill(
                au, av, uvw[a, 2], s[a], bu, bv, uvw[b, 2], s[b], cu, cv, uvw[c, 2], s[c],
                columns, rows, nearness, shade, face_of, f,
            )  # fmt: skip
        elif not _seen_from_inside(xyz, a, b, c):
            for k in range(2, clip(xyz, s, a, b, c, lens, clipped)):
                o, p, q = clipped[0], clipped[k - 1], clipped[k]
                fill(
                    o[0], o[1], o[2], o[3], p[0], p[1], p[2], p[3], q[0], q[1], q[2], q[3],
                    columns, rows, nearness, shade, face_of, f,
                )  # fmt: skip


@njit(cache=True, nogil=True)
def cast_shadows(  # type: ignore[no-untyped-def]
    vertices, normals, frame_start, faces, catches, poses, X_CB, lens, light, plane_m, columns,
    rows, xyz, uvw, s, shade, face_of,
):  # fmt: skip
    """Dim every catching sample under the given faces, flattened along the light onto z = plane_m.

    No depth test: a sample that shows the plane lies on the plane, where the flattened faces are.
    light: unit direction to the light, factor that is left in the shadow.
    """
    flat = np.empty((len(poses), 3, 4))
    for i in range(len(poses)):  # p - l/lz * (pz - plane) as a matrix
        for k in range(4):
            z = poses[i, 2, k] - (plane_m if k == 3 else 0.0)
            flat[i, 0, k] = poses[i, 0, k] - light[0] / light[2] * z
            flat[i, 1, k] = poses[i, 1, k] - light[1] / light[2] * z
            flat[i, 2, k] = plane_m if k == 3 else 0.0
    no_light = np.zeros(6)
    place(vertices, normals, frame_start, flat, X_CB, lens, no_light, xyz, uvw, s)
    # Only faces turned to the light are drawn, their far halves cover the same ground. Seen from
    # above the plane these run like faces that are turned to the eye, from below like the others.
    side = (
        1.0
        if X_CB[0, 2] * X_CB[0, 3] + X_CB[1, 2] * X_CB[1, 3] + X_CB[2, 2] * X_CB[2, 3] < -plane_m
        else -1.0
    )
    clipped = np.empty((4, 4))
    for f in range(len(faces)):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        if xyz[a, 2] > lens[4] and xyz[b, 2] > lens[4] and xyz[c, 2] > lens[4]:
            au, av, bu, bv, cu, cv = (
                uvw[a, 0],
                uvw[a, 1],
                uvw[b, 0],
                uvw[b, 1],
                uvw[c, 0],
                uvw[c, 1],
            )
            if side * ((bu - au) * (cv - av) - (bv - av) * (cu - au)) < 0.0:
                dim(au, av, bu, bv, cu, cv, columns, rows, shade, face_of, catches, light[3])
        else:
            for k in range(2, clip(xyz, s, a, b, c, lens, clipped)):
                o, p, q = clipped[0], clipped[k - 1], clipped[k]
                dim(
                    o[0],
                    o[1],
                    p[0],
                    p[1],
                    q[0],
                    q[1],
                    columns,
                    rows,
                    shade,
                    face_of,
                    catches,
                    light[3],
                )


@njit(cache=True, nogil=True)
def place(vertices, normals, frame_start, poses, X_CB, lens, light, xyz, uvw, s):  # type: ignore[no-untyped-def]
    """Per vertex: position in C, projection, and ambient + diffuse * max(0, n.l) + sky * n_z."""
    for i in range(len(poses)):
        first, end = frame_start[i], frame_start[i + 1]
        if first == end:
            continue
        X = np.empty((3, 4))
        for k in range(3):
            for j in range(4):
                X[k, j] = (
                    X_CB[k, 0] * poses[i, 0, j]
                    + X_CB[k, 1] * poses[i, 1, j]
                    + X_CB[k, 2] * poses[i, 2, j]
                )
            X[k, 3] += X_CB[k, 3]
        lx = light[0] * poses[i, 0, 0] + light[1] * poses[i, 1, 0] + light[2] * poses[i, 2, 0]
        ly = light[0] * poses[i, 0, 1] + light[1] * poses[i, 1, 1] + light[2] * poses[i, 2, 1]
        lz = light[0] * poses[i, 0, 2] + light[1] * poses[i, 1, 2] + light[2] * poses[i, 2, 2]
        ux, uy, uz = poses[i, 2, 0], poses[i, 2, 1], poses[i, 2, 2]
        for v in range(first, end):
            x, y, z = float(vertices[v, 0]), float(vertices[v, 1]), float(vertices[v, 2])
            cx = X[0, 0] * x + X[0, 1] * y + X[0, 2] * z + X[0, 3]
            cy = X[1, 0] * x + X[1, 1] * y + X[1, 2] * z + X[1, 3]
            cz = X[2, 0] * x + X[2, 1] * y + X[2, 2] * z + X[2, 3]
            xyz[v, 0], xyz[v, 1], xyz[v, 2] = cx, cy, cz
            w = 1.0 / cz if cz > lens[4] else 0.0
            uvw[v, 0], uvw[v, 1], uvw[v, 2] = (
                lens[0] * cx * w + lens[2],
                lens[1] * cy * w + lens[3],
                w,
            )
            x, y, z = float(normals[v, 0]), float(normals[v, 1]), float(normals[v, 2])
            s[v] = (
                light[3]
                + light[4] * max(0.0, x * lx + y * ly + z * lz)
                + light[5] * (x * ux + y * uy + z * uz)
            )


@njit(cache=True, nogil=True)
def _seen_from_inside(xyz, a, b, c):  # type: ignore[no-untyped-def]
    """Does the eye, the origin of C, lie below the plane of the face?"""
    ex, ey, ez = xyz[b, 0] - xyz[a, 0], xyz[b, 1] - xyz[a, 1], xyz[b, 2] - xyz[a, 2]
    fx, fy, fz = xyz[c, 0] - xyz[a, 0], xyz[c, 1] - xyz[a, 1], xyz[c, 2] - xyz[a, 2]
    nx, ny, nz = ey * fz - ez * fy, ez * fx - ex * fz, ex * fy - ey * fx
    return nx * xyz[a, 0] + ny * xyz[a, 1] + nz * xyz[a, 2] >= 0.0


@njit(cache=True, nogil=True)
def clip(xyz, s, a, b, c, lens, out):  # type: ignore[no-untyped-def]
    """Cut a triangle at the near plane; returns 0, 3 or 4 corners as rows (u, v, w, s)."""
    count = 0
    for k in range(3):
        p = a if k == 0 else (b if k == 1 else c)
        q = b if k == 0 else (c if k == 1 else a)
        if xyz[p, 2] > lens[4]:
            w = 1.0 / xyz[p, 2]
            out[count, 0], out[count, 1] = (
                lens[0] * xyz[p, 0] * w + lens[2],
                lens[1] * xyz[p, 1] * w + lens[3],
            )
            out[count, 2], out[count, 3] = w, s[p]
            count += 1
        if (xyz[p, 2] > lens[4]) != (xyz[q, 2] > lens[4]):
            t, w = (lens[4] - xyz[p, 2]) / (xyz[q, 2] - xyz[p, 2]), 1.0 / lens[4]
            x, y = xyz[p, 0] + t * (xyz[q, 0] - xyz[p, 0]), xyz[p, 1] + t * (xyz[q, 1] - xyz[p, 1])
            out[count, 0], out[count, 1] = lens[0] * x * w + lens[2], lens[1] * y * w + lens[3]
            out[count, 2], out[count, 3] = w, s[p] + t * (s[q] - s[p])
            count += 1
    return count


@njit(cache=True, nogil=True)
def fill(  # type: ignore[no-untyped-def]
    au, av, aw, as_, bu, bv, bw, bs, cu, cv, cw, cs, columns, rows, nearness, shade, face_of, f
):
    """Write a triangle where it is nearest. w is linear on the screen; s is taken to be."""
    if (
        max(au, bu, cu) <= 0.0
        or min(au, bu, cu) >= columns
        or max(av, bv, cv) <= 0.0
        or min(av, bv, cv) >= rows
    ):
        return
    area = (bu - au) * (cv - av) - (cu - au) * (bv - av)
    if area == 0.0:
        return
    dw_du = ((bw - aw) * (cv - av) - (cw - aw) * (bv - av)) / area
    dw_dv = ((cw - aw) * (bu - au) - (bw - aw) * (cu - au)) / area
    ds_du = ((bs - as_) * (cv - av) - (cs - as_) * (bv - av)) / area
    ds_dv = ((cs - as_) * (bu - au) - (bs - as_) * (cu - au)) / area
    w0, s0 = aw - av * dw_dv - au * dw_du, as_ - av * ds_dv - au * ds_du
    # Rising v: an edge is walked the same way for both its triangles, so they meet without a crack.
    if bv < av:
        au, av, bu, bv = bu, bv, au, av
    if cv < bv:
        bu, bv, cu, cv = cu, cv, bu, bv
        if bv < av:
            au, av, bu, bv = bu, bv, au, av
    slope_ac = (cu - au) / (cv - av)
    slope_ab = (bu - au) / (bv - av) if bv > av else 0.0
    slope_bc = (cu - bu) / (cv - bv) if cv > bv else 0.0
    for v in range(int(np.ceil(max(av, 0.0))), int(np.ceil(min(cv, float(rows))))):
        left = au + (v - av) * slope_ac
        right = au + (v - av) * slope_ab if v < bv else bu + (v - bv) * slope_bc
        if right < left:
            left, right = right, left
        first, end = int(np.ceil(max(left, 0.0))), int(np.ceil(min(right, float(columns))))
        row = v * columns
        for u in range(first, end):
            w = np.float32(w0 + v * dw_dv + u * dw_du)
            if w > nearness[row + u]:
                nearness[row + u] = w
                shade[row + u] = s0 + v * ds_dv + u * ds_du
                face_of[row + u] = f


@njit(cache=True, nogil=True)
def dim(au, av, bu, bv, cu, cv, columns, rows, shade, face_of, catches, factor):  # type: ignore[no-untyped-def]
    """Darken, once, the catching samples inside a triangle."""
    if (
        max(au, bu, cu) <= 0.0
        or min(au, bu, cu) >= columns
        or max(av, bv, cv) <= 0.0
        or min(av, bv, cv) >= rows
    ):
        return
    if bv < av:
        au, av, bu, bv = bu, bv, au, av
    if cv < bv:
        bu, bv, cu, cv = cu, cv, bu, bv
        if bv < av:
            au, av, bu, bv = bu, bv, au, av
    if cv <= av:
        return
    slope_ac = (cu - au) / (cv - av)
    slope_ab = (bu - au) / (bv - av) if bv > av else 0.0
    slope_bc = (cu - bu) / (cv - bv) if cv > bv else 0.0
    for v in range(int(np.ceil(max(av, 0.0))), int(np.ceil(min(cv, float(rows))))):
        left = au + (v - av) * slope_ac
        right = au + (v - av) * slope_ab if v < bv else bu + (v - bv) * slope_bc
        if right < left:
            left, right = right, left
        first, end = int(np.ceil(max(left, 0.0))), int(np.ceil(min(right, float(columns))))
        for at in range(v * columns + first, v * columns + end):
            f = face_of[at]
            if f >= 0 and catches[f] != 0:
                shade[at] *= factor
                face_of[at] = IN_SHADOW - f


@njit(cache=True, nogil=True)
def resolve(out, shade, face_of, n, face_rgb, horizon, backdrop):  # type: ignore[no-untyped-def]
    """Average n x n samples to a pixel; empty ones show backdrop[0] below, [1] above the horizon.

    out (H, W, 3) uint8. horizon: a, b, c with a*u + b*v + c > 0 where a ray climbs in B.
    """
    height, width = out.shape[0], out.shape[1]
    scale = 255.0 / (n * n)
    for v in range(height):
        for u in range(width):
            r = g = b = 0.0
            for i in range(n):
                at = (v * n + i) * width * n + u * n
                for j in range(n):
                    f = face_of[at + j]
                    if f == -1:
                        x, y = u + (j + 0.5) / n - 0.5, v + (i + 0.5) / n - 0.5
                        side = 1 if horizon[0] * x + horizon[1] * y + horizon[2] > 0.0 else 0
                        r, g, b = (
                            r + backdrop[side, 0],
                            g + backdrop[side, 1],
                            b + backdrop[side, 2],
                        )
                    else:
                        f = f if f >= 0 else IN_SHADOW - f
                        s = shade[at + j]
                        r += min(1.0, s * face_rgb[f, 0])
                        g += min(1.0, s * face_rgb[f, 1])
                        b += min(1.0, s * face_rgb[f, 2])
            out[v, u, 0] = np.uint8(r * scale + 0.5)
            out[v, u, 1] = np.uint8(g * scale + 0.5)
            out[v, u, 2] = np.uint8(b * scale + 0.5)
