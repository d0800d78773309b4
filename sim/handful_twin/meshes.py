"""Triangle meshes for drawing: boxes, joins, smooth normals, OBJ files, and where to look from."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from handful.rig.geometry import from_quat_xyzw, pose

Colour = tuple[float, float, float]

SHELL_RGB: Colour = (0.93, 0.94, 0.95)
DARK_RGB: Colour = (0.24, 0.245, 0.26)

_CREASE_COS = np.cos(np.radians(40.0))  # flatter edges than this are shaded round
_DARK_BELOW = 0.5  # mean of a material's diffuse colour


@dataclass(frozen=True)
class Mesh:
    """One rigid surface of one colour.

    link: what it belongs to. vertices_m, normals: (V, 3) float32 in the link frame, a vertex for
    every smooth side of an edge. faces: (F, 3) int32, counter-clockwise from outside. rgb: in 0..1.
    """

    link: str
    vertices_m: NDArray[np.float32]
    normals: NDArray[np.float32]
    faces: NDArray[np.int32]
    rgb: Colour


class MeshError(RuntimeError):
    """Meshes that cannot be read; the message names the file."""


def smooth_mesh(
    link: str, vertices_m: NDArray[np.float64], faces: NDArray[np.integer], rgb: Colour
) -> Mesh:
    """A mesh whose corners have the mean normal of the faces they meet below the crease angle.

    Faces without area are left out.
    """
    edges = vertices_m[faces[:, 1:]] - vertices_m[faces[:, :1]]
    weighted = np.cross(edges[:, 0], edges[:, 1])  # as long as twice the face is wide
    length = np.linalg.norm(weighted, axis=1)
    keep = length > 1e-12
    faces, weighted = faces[keep], weighted[keep]
    unit = weighted / length[keep][:, None]
    # Every pair (face corner, face around that corner), as the non-zeros of corner x face.
    corner = faces.ravel()
    face = np.repeat(np.arange(len(faces)), 3)
    around = csr_array(
        (np.ones(len(corner), np.int8), (corner, face)), shape=(len(vertices_m), len(faces))
    )
    counts = np.diff(around.indptr)[corner]
    mine = np.repeat(np.arange(len(corner)), counts)
    starts = np.repeat(around.indptr[corner] - np.cumsum(counts) + counts, counts)
    other = around.indices[starts + np.arange(len(mine))]
    gentle = np.einsum("pk,pk->p", unit[face[mine]], unit[other]) > _CREASE_COS
    normals = np.zeros((len(corner), 3))
    np.add.at(normals, mine[gentle], weighted[other[gentle]])
    normals = np.round(normals / np.linalg.norm(normals, axis=1)[:, None], 4)
    _, first, index = np.unique(
        np.column_stack([corner, normals]), axis=0, return_index=True, return_inverse=True
    )
    return Mesh(
        link,
        vertices_m[corner[first]].astype(np.float32),
        normals[first].astype(np.float32),
        index.reshape(-1, 3).astype(np.int32),
        rgb,
    )


def box_mesh(
    link: str,
    size_m: Colour,
    rgb: Colour,
    centre_m: Colour = (0.0, 0.0, 0.0),
    quat_xyzw: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 1.0),
) -> Mesh:
    """A box of full edge lengths ``size_m``, its middle at ``centre_m`` of its frame, turned."""
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = np.array([t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))])
    turned = corners * np.array(size_m) / 2.0 @ from_quat_xyzw(quat_xyzw).T
    return smooth_mesh(link, turned + centre_m, faces, rgb)


def join_meshes(meshes: list[Mesh]) -> Mesh:
    """Meshes of one frame and colour as one, called after the first."""
    starts = np.cumsum([0] + [len(mesh.vertices_m) for mesh in meshes[:-1]])
    faces = [mesh.faces + at for mesh, at in zip(meshes, starts, strict=True)]
    return Mesh(
        meshes[0].link,
        np.concatenate([mesh.vertices_m for mesh in meshes]),
        np.concatenate([mesh.normals for mesh in meshes]),
        np.concatenate(faces).astype(np.int32),
        meshes[0].rgb,
    )


def read_obj(path: Path) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.bool_]]:
    """Vertices (V, 3), triangles (F, 3) and which of them are of a dark material (F,).

    Raises ``MeshError`` naming the file when it is missing or not an OBJ.
    """
    vertices: list[list[float]] = []
    faces: list[tuple[int, int, int]] = []
    dark: list[bool] = []
    materials: dict[str, bool] = {}
    current = False
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            kind, _, rest = line.partition(" ")
            if kind == "v":
                vertices.append([float(x) for x in rest.split()[:3]])
            elif kind == "f":
                corners = [int(word.partition("/")[0]) - 1 for word in rest.split()]
                for second, third in zip(corners[1:-1], corners[2:], strict=True):
                    faces.append((corners[0], second, third))
                    dark.append(current)
            elif kind == "mtllib":
                materials = _read_mtl(path.with_name(rest.strip()))
            elif kind == "usemtl":
                current = materials.get(rest.strip(), False)
    except (OSError, ValueError) as error:
        raise MeshError(f"{path}: not a readable OBJ mesh: {error}") from None
    if not faces:
        raise MeshError(f"{path}: not a readable OBJ mesh: it has no faces")
    return np.array(vertices), np.array(faces), np.array(dark, bool)


def write_obj(path: Path, mesh: Mesh) -> None:
    """The mesh with its normals, without its colour."""
    rows = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in mesh.vertices_m]
    rows += [f"vn {x:.4f} {y:.4f} {z:.4f}" for x, y, z in mesh.normals]
    rows += [f"f {a}//{a} {b}//{b} {c}//{c}" for a, b, c in mesh.faces + 1]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")


def _read_mtl(path: Path) -> dict[str, bool]:
    """Material name -> is its diffuse colour dark; empty when the file is missing."""
    if not path.is_file():
        return {}
    name, dark = "", {}
    for line in path.read_text(encoding="utf-8").splitlines():
        words = line.split()
        if words[:1] == ["newmtl"]:
            name = words[1]
        elif words[:1] == ["Kd"]:
            dark[name] = sum(map(float, words[1:4])) / 3.0 < _DARK_BELOW
    return dark


def look_at(position_m: ArrayLike, target_m: ArrayLike, up: ArrayLike) -> NDArray[np.float64]:
    """X_AC (4, 4) of an optical frame at ``position_m`` that looks at ``target_m``; ``up`` is up.

    Raises:
        ValueError: position and target coincide, or ``up`` points along the view.
    """
    position = np.asarray(position_m, np.float64)
    forward = np.asarray(target_m, np.float64) - position
    right = np.cross(forward, np.asarray(up, np.float64))
    if np.linalg.norm(right) < 1e-9 * max(1.0, float(np.linalg.norm(forward))):
        raise ValueError(
            f"a camera at {position.tolist()} looking at {np.asarray(target_m).tolist()} needs an "
            f"up that is across its view, got {np.asarray(up).tolist()}"
        )
    forward /= np.linalg.norm(forward)
    right /= np.linalg.norm(right)
    return pose(np.column_stack([right, np.cross(forward, right), forward]), position)
