"""From CAD meshes of 10,000 triangles a link to a handful of convex hulls that look the same.

Per link: keep the faces that anybody can see from outside; hull every connected dark part (joint
caps, finger pads) on its own; take away the light faces that lie beneath those; cut what is left
into slabs along its longest axis and hull each. Hulls have no holes and no thin slivers, which is
where decimating these meshes fails: they are made of hundreds of small shells. The corners keep the
normals the CAD surface has there, so that slabs shade as one round body.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import ConvexHull, cKDTree

from handful_twin.meshes import DARK_RGB, SHELL_RGB, Mesh, look_at
from handful_twin.raster import Geometry, Look, Rasteriser

Points = NDArray[np.float64]
Faces = NDArray[np.int64]

_DIRECTIONS = 26  # support directions of a hull: at most 2 * (26 + 6) - 4 triangles
_JOIN_M = 0.012  # dark shells nearer than this are one part
_OVERLAP = 0.05  # of a slab's thickness, so that no light falls between slabs
_VIEWS = 48
_VIEW_PX = 160
_ROUND_COS = float(np.cos(np.radians(62.0)))


class Part(NamedTuple):
    """A link's faces of one colour. vertices_m (V, 3) in the link frame, faces (F, 3)."""

    link: str
    vertices_m: Points
    faces: Faces
    dark: bool


class Recipe(NamedTuple):
    """How to simplify a link.

    slabs: pieces the light surface is cut into. beneath_m: light faces this close under a dark
    hull are taken for covered by it. smallest_m: dark parts with a shorter diagonal, screws and
    letters, are left out.
    """

    slabs: int = 1
    beneath_m: float = 0.012
    smallest_m: float = 0.03


def simplify(parts: list[Part], recipe: Recipe) -> list[Mesh]:
    """The hulls of one link, dark ones first."""
    meshes: list[Mesh] = []
    walls: list[Points] = []
    for part in sorted(seen_from_outside(parts), key=lambda part: not part.dark):
        normals = _vertex_normals(part)
        if part.dark:
            pieces = [
                piece.vertices_m
                for piece in _connected(part)
                if np.linalg.norm(np.ptp(piece.vertices_m, axis=0)) >= recipe.smallest_m
            ]
        else:
            pieces = _slabs(_outside(part, walls, recipe.beneath_m), recipe.slabs)
        for points in pieces:
            corners, faces, equations = hull(support_points(points, _DIRECTIONS))
            if part.dark:
                walls.append(equations)
            # The ends of slabs stand out a little where the next one is thinner; they shade like
            # the surface around them too, or they would show as bright rings.
            round_cos = _ROUND_COS if len(pieces) == 1 or part.dark else -0.5
            meshes.append(_shaded(part, normals, corners, faces, equations, round_cos))
    return meshes


def seen_from_outside(parts: list[Part]) -> list[Part]:
    """The parts of one link without the faces that no view from around it shows."""
    vertices = np.concatenate([part.vertices_m for part in parts])
    starts = np.cumsum([0] + [len(part.vertices_m) for part in parts])
    faces = np.concatenate([p.faces + at for p, at in zip(parts, starts[:-1], strict=True)])
    count = len(faces)
    geometry = Geometry(
        vertices_m=vertices.astype(np.float32),
        normals=np.zeros_like(vertices, np.float32),
        frame_start=np.array([0, len(vertices)], np.int32),
        faces=faces.astype(np.int32),
        face_rgb=np.zeros((count, 3), np.float32),
        face_label=np.arange(count, dtype=np.int32),
        casts=np.zeros(count, np.uint8),
        catches=np.zeros(count, np.uint8),
    )
    raster = Rasteriser(geometry, Look(shadow=1.0), samples=1)
    middle = 0.5 * (vertices.min(axis=0) + vertices.max(axis=0))
    radius_m = float(np.linalg.norm(vertices - middle, axis=1).max())
    f_px, c_px = 6.0 * 0.475 * _VIEW_PX, 0.5 * (_VIEW_PX - 1)
    K = np.array([[f_px, 0.0, c_px], [0.0, f_px, c_px], [0.0, 0.0, 1.0]])
    seen = np.zeros(count, bool)
    for direction in sphere(_VIEWS):
        X = look_at(middle + 6.0 * radius_m * direction, middle, (0.31, 0.52, 0.79))
        labels = raster.layers(np.eye(3, 4)[None], K, X, _VIEW_PX, _VIEW_PX).labels
        seen[labels[labels >= 0]] = True
    ends = np.cumsum([len(part.faces) for part in parts])[:-1]
    kept = [p._replace(faces=p.faces[s]) for p, s in zip(parts, np.split(seen, ends), strict=True)]
    return [_compact(part) for part in kept if len(part.faces)]


def support_points(points: Points, directions: int) -> Points:
    """The outermost points along Fibonacci directions scaled by the extents, and along the axes."""
    extents = np.maximum(np.ptp(points, axis=0), 1e-4)
    along = np.vstack([sphere(directions), np.eye(3), -np.eye(3)]) / extents
    found = points[np.argmax(along @ points.T, axis=1)]
    return np.unique(np.round(found, 5), axis=0)  # shells repeat each other's corners


def hull(corners: Points) -> tuple[Points, Faces, Points]:
    """Convex hull: corners (V, 3), faces (F, 3) counter-clockwise from outside, planes (F, 4)."""
    found = ConvexHull(corners, qhull_options="Qt Pp")
    faces = found.simplices.astype(np.int64)
    # Qhull leaves the corners of a face in any order; its plane equations know the outside.
    a, b, c = corners[faces[:, 0]], corners[faces[:, 1]], corners[faces[:, 2]]
    inward = np.einsum("fk,fk->f", np.cross(b - a, c - a), found.equations[:, :3]) < 0.0
    faces[inward] = faces[inward][:, ::-1]
    return corners, faces, found.equations


def sphere(count: int) -> Points:
    """Nearly even directions (count, 3): the Fibonacci spiral."""
    i = np.arange(count) + 0.5
    polar, turn = np.arccos(1.0 - 2.0 * i / count), np.pi * (1.0 + 5.0**0.5) * i
    return np.column_stack(
        [np.cos(turn) * np.sin(polar), np.sin(turn) * np.sin(polar), np.cos(polar)]
    )


def _compact(part: Part) -> Part:
    """Without the vertices no face uses."""
    used, faces = np.unique(part.faces, return_inverse=True)
    return part._replace(vertices_m=part.vertices_m[used], faces=faces.reshape(-1, 3))


def _connected(part: Part) -> list[Part]:
    """The pieces whose shells come closer than a cell of ``_JOIN_M``."""
    cells = np.floor(part.vertices_m / _JOIN_M).astype(np.int64)
    _, cell = np.unique(cells, axis=0, return_inverse=True)
    cell = cell.ravel()
    pairs = cell[np.concatenate([part.faces[:, :2], part.faces[:, 1:]])]
    graph = coo_array((np.ones(len(pairs)), pairs.T), shape=(cell.max() + 1, cell.max() + 1))
    count, group = connected_components(graph, directed=False)
    of_face = group[cell[part.faces[:, 0]]]
    pieces = [part._replace(faces=part.faces[of_face == i]) for i in range(count)]
    return [_compact(piece) for piece in pieces if len(piece.faces)]


def _outside(part: Part, walls: list[Points], beneath_m: float) -> Part:
    """Without the faces that lie inside, or just beneath, one of the hulls given by its planes."""
    keep = np.ones(len(part.vertices_m), bool)
    for planes in walls:
        keep &= (part.vertices_m @ planes[:, :3].T + planes[:, 3]).max(axis=1) > beneath_m
    return _compact(part._replace(faces=part.faces[keep[part.faces].all(axis=1)]))


def _slabs(part: Part, count: int) -> list[Points]:
    """The surface's points slab by slab, with the points where a slab's ends cross the faces."""
    points = part.vertices_m
    axis = int(np.argmax(np.ptp(points, axis=0)))
    levels = np.linspace(points[:, axis].min(), points[:, axis].max(), count + 1)
    overlap_m = _OVERLAP * (levels[1] - levels[0])
    found = []
    for low, high in zip(levels[:-1] - overlap_m, levels[1:] + overlap_m, strict=True):
        inside = points[(points[:, axis] >= low) & (points[:, axis] <= high)]
        slab = np.vstack([inside, _section(part, axis, low), _section(part, axis, high)])
        if len(slab) >= 8 and np.ptp(slab, axis=0).min() > 1e-4:
            found.append(slab)
    return found


def _section(part: Part, axis: int, level: float) -> Points:
    """Where the edges pass the plane at ``level`` of an axis: (N, 3)."""
    a = part.vertices_m[part.faces].reshape(-1, 3)
    b = part.vertices_m[np.roll(part.faces, -1, axis=1)].reshape(-1, 3)
    through = (a[:, axis] - level) * (b[:, axis] - level) < 0.0
    a, b = a[through], b[through]
    t = (level - a[:, axis]) / (b[:, axis] - a[:, axis])
    return a + t[:, None] * (b - a)


def _vertex_normals(part: Part) -> Points:
    """(V, 3) area-weighted means of the faces around, not of unit length."""
    edges = part.vertices_m[part.faces[:, 1:]] - part.vertices_m[part.faces[:, :1]]
    weighted = np.cross(edges[:, 0], edges[:, 1])
    normals = np.zeros_like(part.vertices_m)
    for k in range(3):
        np.add.at(normals, part.faces[:, k], weighted)
    return normals


def _shaded(
    part: Part, normals: Points, corners: Points, faces: Faces, planes: Points, round_cos: float
) -> Mesh:
    """A hull whose corners shade like the surface there, or flat where it left the surface."""
    near = normals[cKDTree(part.vertices_m).query(corners)[1]]
    near /= np.maximum(np.linalg.norm(near, axis=1), 1e-12)[:, None]
    flat = np.repeat(planes[:, :3], 3, axis=0)
    corner = faces.ravel()
    follows = np.einsum("ck,ck->c", near[corner], flat) > round_cos
    chosen = np.round(np.where(follows[:, None], near[corner], flat), 4)
    _, first, index = np.unique(
        np.column_stack([corner, chosen]), axis=0, return_index=True, return_inverse=True
    )
    return Mesh(
        part.link,
        corners[corner[first]].astype(np.float32),
        chosen[first].astype(np.float32),
        index.reshape(-1, 3).astype(np.int32),
        DARK_RGB if part.dark else SHELL_RGB,
    )
