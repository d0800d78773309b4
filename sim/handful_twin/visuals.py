"""What the arm looks like: convex hulls per link and colour, made on first use from PyBullet's Panda.

The stock Panda has 102,759 visual triangles, most of them screws no 84-pixel picture can show. Each
link's light and dark faces are cut into a few slabs along the longest axis and each slab is hulled,
which keeps silhouette and colours at a hundredth of the triangles. Nothing is shipped: the hulls are
computed from the installed ``pybullet_data`` (Panda meshes: Apache-2.0) and cached.
"""

import hashlib
import os
import tempfile
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull
from scipy.spatial.transform import Rotation

Detail = Literal["hulls", "full"]

SHELL_RGB = (0.93, 0.94, 0.95)
DARK_RGB = (0.24, 0.245, 0.26)
_RECIPE = 1  # raise when the hulls below come out differently, so that old caches are not read
_DARK_BELOW = 0.5
_CREASE_COS = np.cos(np.radians(40.0))


@dataclass(frozen=True)
class Mesh:
    """One rigid surface of one colour.

    link: URDF link name. vertices_m, normals: (V, 3) float32 in the link frame, a vertex for every
    smooth side of an edge. faces: (F, 3) int32, counter-clockwise from outside. rgb: (3,) in 0..1.
    """

    link: str
    vertices_m: NDArray[np.float32]
    normals: NDArray[np.float32]
    faces: NDArray[np.int32]
    rgb: tuple[float, float, float]


class VisualsError(RuntimeError):
    """Meshes that cannot be read; the message names the file."""


def panda_folder() -> Path:
    """Where the installed ``pybullet_data`` keeps the Panda. Raises ``VisualsError`` if nowhere."""
    import pybullet_data

    folder = Path(pybullet_data.getDataPath()) / "franka_panda"
    if not (folder / "panda.urdf").is_file():
        raise VisualsError(
            f"{folder / 'panda.urdf'}: not there; reinstall pybullet, which brings it"
        )
    return folder


def panda_meshes(detail: Detail = "hulls") -> list[Mesh]:
    """The arm and hand with its fingers, by link. ``hulls``: about 1,000 triangles; ``full``: all."""
    folder = panda_folder()
    if detail == "full":
        return _read_links(folder)
    path = cache_folder() / f"panda-hulls-{_fingerprint(folder)}.npz"
    cached = _load(path)
    if cached is None:
        cached = [hull for mesh in _read_links(folder) for hull in _hulls(mesh)]
        _save(path, cached)
    return cached


def box_mesh(
    link: str,
    size_m: tuple[float, float, float],
    rgb: tuple[float, float, float],
    centre_m: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Mesh:
    """A box of full edge lengths ``size_m`` with its middle at ``centre_m`` of its frame."""
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = np.array([t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))])
    return _mesh(link, corners * np.array(size_m) / 2.0 + centre_m, faces, rgb)


def join_meshes(meshes: list[Mesh]) -> Mesh:
    """Meshes of one frame and colour as one, called after the first."""
    starts = np.cumsum([0] + [len(mesh.vertices_m) for mesh in meshes[:-1]])
    return Mesh(
        meshes[0].link,
        np.concatenate([mesh.vertices_m for mesh in meshes]),
        np.concatenate([mesh.normals for mesh in meshes]),
        np.concatenate([m.faces + at for m, at in zip(meshes, starts, strict=True)]).astype(
            np.int32
        ),
        meshes[0].rgb,
    )


def cache_folder() -> Path:
    """``$XDG_CACHE_HOME/handful`` or ``~/.cache/handful``, else a temporary folder; it is writable."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    for folder in (Path(base).expanduser() / "handful", Path(tempfile.gettempdir()) / "handful"):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (OSError, RuntimeError):
            continue
        if os.access(folder, os.W_OK):
            return folder
    return Path(tempfile.mkdtemp(prefix="handful-"))


def _mesh(
    link: str,
    vertices: NDArray[np.float64],
    faces: NDArray[np.int64],
    rgb: tuple[float, float, float],
) -> Mesh:
    """Give every face corner the mean normal of the faces it meets at less than the crease angle."""
    edges = vertices[faces[:, 1:]] - vertices[faces[:, :1]]
    weighted = np.cross(edges[:, 0], edges[:, 1])  # as long as twice the face is wide
    length = np.linalg.norm(weighted, axis=1)
    keep = length > 1e-12
    faces, weighted, unit = faces[keep], weighted[keep], (weighted[keep].T / length[keep]).T
    around: list[list[int]] = [[] for _ in vertices]
    for f, face in enumerate(faces):
        for corner in face:
            around[corner].append(f)
    split: dict[tuple[int, bytes], int] = {}
    out_vertices, out_normals, out_faces = [], [], np.empty_like(faces)
    for f, face in enumerate(faces):
        for k, corner in enumerate(face):
            near = [g for g in around[corner] if unit[g] @ unit[f] > _CREASE_COS]
            normal = weighted[near].sum(axis=0)
            normal = np.round(normal / np.linalg.norm(normal), 4)
            key = (int(corner), normal.tobytes())
            if key not in split:
                split[key] = len(out_vertices)
                out_vertices.append(vertices[corner])
                out_normals.append(normal)
            out_faces[f, k] = split[key]
    return Mesh(
        link,
        np.array(out_vertices, np.float32).reshape(-1, 3),
        np.array(out_normals, np.float32).reshape(-1, 3),
        out_faces.astype(np.int32),
        rgb,
    )


def _hulls(mesh: Mesh) -> list[Mesh]:
    """Hull a mesh slab by slab; a slab has the crossing points of its cuts too, so slabs meet."""
    slabs, directions = _CUTS.get(mesh.link, (1, 40))
    points = mesh.vertices_m.astype(np.float64)
    axis = int(np.argmax(np.ptp(points, axis=0)))
    cuts = np.linspace(points[:, axis].min(), points[:, axis].max(), slabs + 1)
    hulls = []
    for low, high in zip(cuts[:-1], cuts[1:], strict=True):
        inside = points[(points[:, axis] >= low) & (points[:, axis] <= high)]
        slab = np.vstack([inside, _crossings(points, mesh.faces, axis, low, high)])
        if len(slab) >= 4:
            hulls.append(_hull(mesh, slab, directions))
    return hulls


# link name -> slabs along its longest axis, support directions per slab
_CUTS = {
    "panda_link1": (3, 40),
    "panda_link2": (3, 40),
    "panda_link3": (3, 40),
    "panda_link4": (3, 40),
    "panda_link5": (4, 40),
    "panda_link6": (3, 40),
    "panda_hand": (1, 48),
    "panda_leftfinger": (3, 20),
    "panda_rightfinger": (3, 20),
}


def _crossings(
    points: NDArray[np.float64], faces: NDArray[np.int32], axis: int, low: float, high: float
) -> NDArray[np.float64]:
    """Where the mesh's edges pass the planes ``low`` and ``high`` of an axis."""
    a = points[faces].reshape(-1, 3)
    b = points[np.roll(faces, -1, axis=1)].reshape(-1, 3)
    found = []
    for level in (low, high):
        through = (a[:, axis] - level) * (b[:, axis] - level) < 0.0
        p, q = a[through], b[through]
        found.append(p + ((level - p[:, axis]) / (q[:, axis] - p[:, axis]))[:, None] * (q - p))
    return np.vstack(found)


def _hull(mesh: Mesh, points: NDArray[np.float64], directions: int) -> Mesh:
    """Hull of the support points along Fibonacci directions, scaled by the extents of the points."""
    i = np.arange(directions) + 0.5
    polar, turn = np.arccos(1.0 - 2.0 * i / directions), np.pi * (1.0 + 5.0**0.5) * i
    sphere = np.column_stack(
        (np.cos(turn) * np.sin(polar), np.sin(turn) * np.sin(polar), np.cos(polar))
    )
    axes = np.vstack([np.eye(3), -np.eye(3)])
    extents = np.maximum(np.ptp(points, axis=0), 1e-4)
    support = np.unique(np.argmax(np.vstack([sphere, axes]) / extents @ points.T, axis=1))
    corners = points[support]
    hull = ConvexHull(corners, qhull_options="QJ Pp")
    faces = hull.simplices.copy()
    # Qhull's triangles are unordered; its plane equations know the outside.
    a, b, c = corners[faces[:, 0]], corners[faces[:, 1]], corners[faces[:, 2]]
    inward = np.einsum("fk,fk->f", np.cross(b - a, c - a), hull.equations[:, :3]) < 0.0
    faces[inward] = faces[inward][:, ::-1]
    return _mesh(mesh.link, corners, faces, mesh.rgb)


def _read_links(folder: Path) -> list[Mesh]:
    """Every visual of panda.urdf as one light and one dark mesh in its link frame."""
    meshes = []
    for link in ET.parse(folder / "panda.urdf").getroot().iter("link"):
        for visual in link.iter("visual"):
            name = visual.find("geometry/mesh").get("filename")  # type: ignore[union-attr]
            path = folder / str(name).removeprefix("package://")
            origin = visual.find("origin")
            rpy, xyz = np.zeros(3), np.zeros(3)
            if origin is not None:
                rpy = np.array(origin.get("rpy", "0 0 0").split(), float)
                xyz = np.array(origin.get("xyz", "0 0 0").split(), float)
            vertices, faces, dark = _read_obj(path)
            vertices = Rotation.from_euler("xyz", rpy).apply(vertices) + xyz
            for rgb, chosen in ((SHELL_RGB, faces[~dark]), (DARK_RGB, faces[dark])):
                if len(chosen):
                    used, compact = np.unique(chosen, return_inverse=True)
                    meshes.append(
                        _mesh(str(link.get("name")), vertices[used], compact.reshape(-1, 3), rgb)
                    )
    return meshes


def _read_obj(path: Path) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.bool_]]:
    """Vertices (V, 3), triangles (F, 3) and which of them are of a dark material (F,)."""
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
        raise VisualsError(f"{path}: not a readable OBJ mesh: {error}") from None
    return np.array(vertices), np.array(faces), np.array(dark, bool)


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


def _fingerprint(folder: Path) -> str:
    """Changes with the recipe and with the installed meshes (by name and size)."""
    files = sorted(p for p in folder.rglob("*") if p.suffix in {".obj", ".mtl", ".urdf"})
    listing = "".join(f"{p.relative_to(folder)}:{p.stat().st_size}\n" for p in files)
    return f"{_RECIPE}-{hashlib.sha256(listing.encode()).hexdigest()[:12]}"


def _load(path: Path) -> list[Mesh] | None:
    """A cache written by ``_save``, or None when there is none that can be read."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return [
                Mesh(
                    str(file[f"{i}.link"]),
                    file[f"{i}.vertices_m"],
                    file[f"{i}.normals"],
                    file[f"{i}.faces"],
                    tuple(float(c) for c in file[f"{i}.rgb"]),  # type: ignore[arg-type]
                )
                for i in range(int(file["count"]))
            ]
    except Exception:  # whatever is wrong with a cache, the cure is to make it anew
        return None


def _save(path: Path, meshes: list[Mesh]) -> None:
    """Write whole or not at all; a cache that cannot be written is only slower, so no error."""
    arrays: dict[str, object] = {"count": len(meshes)}
    for i, mesh in enumerate(meshes):
        arrays |= {f"{i}.{key}": np.asarray(value) for key, value in mesh.__dict__.items()}
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".npz")
        with os.fdopen(handle, "wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        os.replace(temporary, path)
    except OSError:
        return
