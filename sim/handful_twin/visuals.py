"""What the arm looks like: the Panda of the installed PyBullet, as light hulls or as it is.

The stock Panda has 102,759 visual triangles, most of them screws no 84-pixel picture can show;
``hulls`` keeps silhouette and colours at a fiftieth of them. Nothing is shipped: the meshes are
read from ``pybullet_data`` (Apache-2.0) on first use, simplified, and cached.
"""

import hashlib
import os
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from handful_twin.hulls import Part, Recipe, simplify
from handful_twin.meshes import DARK_RGB, SHELL_RGB, Mesh, MeshError, read_obj, smooth_mesh

Detail = Literal["hulls", "full"]

_VERSION = 7  # raise when meshes come out differently, so that older caches are not read
_FINGER = Recipe(slabs=3, beneath_m=0.0, smallest_m=0.008)  # the wrist camera is near it
_RECIPES = {
    "panda_link1": Recipe(slabs=5),
    "panda_link2": Recipe(slabs=5),
    "panda_link3": Recipe(slabs=4),
    "panda_link4": Recipe(slabs=4),
    "panda_link5": Recipe(slabs=6, beneath_m=0.004),
    "panda_link6": Recipe(slabs=4),
    "panda_leftfinger": _FINGER,
    "panda_rightfinger": _FINGER,
}


def panda_folder() -> Path:
    """Where the installed ``pybullet_data`` keeps the Panda. Raises ``MeshError`` if nowhere."""
    import pybullet_data

    folder = Path(pybullet_data.getDataPath()) / "franka_panda"
    if not (folder / "panda.urdf").is_file():
        raise MeshError(f"{folder / 'panda.urdf'}: not there; reinstall pybullet, which brings it")
    return folder


def panda_meshes(detail: Detail = "hulls") -> list[Mesh]:
    """The arm, hand and fingers, by URDF link. ``hulls``: about 2,000 triangles; ``full``: all."""
    folder = panda_folder()
    path = cache_folder() / f"panda-{detail}-{_fingerprint(folder)}.npz"
    meshes = _load(path)
    if meshes is None:
        meshes = list(_build(folder, detail))
        _save(path, meshes)
    return meshes


def cache_folder() -> Path:
    """``$XDG_CACHE_HOME/handful`` or ``~/.cache/handful``; a temporary one if not writable."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        folder = Path(base).expanduser() / "handful"
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    except (OSError, RuntimeError):
        pass
    # Not a fixed name: in a folder that everybody may write to, somebody else may own it.
    return _temporary_folder()


_temporary: list[Path] = []


def _temporary_folder() -> Path:
    if not _temporary:
        _temporary.append(Path(tempfile.mkdtemp(prefix="handful-")))
    return _temporary[0]


def _build(folder: Path, detail: Detail) -> Iterator[Mesh]:
    for link, parts in _read_links(folder):
        if detail == "full":
            for part in parts:
                rgb = DARK_RGB if part.dark else SHELL_RGB
                yield smooth_mesh(link, part.vertices_m, part.faces, rgb)
        else:
            yield from simplify(parts, _RECIPES.get(link, Recipe()))


def _read_links(folder: Path) -> Iterator[tuple[str, list[Part]]]:
    """Every link of panda.urdf that has visuals, with its light faces and its dark ones."""
    for link in ET.parse(folder / "panda.urdf").getroot().iter("link"):
        name, parts = str(link.get("name")), []
        for visual in link.iter("visual"):
            mesh, origin = visual.find("geometry/mesh"), visual.find("origin")
            if mesh is None:
                continue
            file = str(mesh.get("filename")).removeprefix("package://")
            vertices, faces, dark = read_obj(folder / file)
            if origin is not None:
                rpy = np.array(origin.get("rpy", "0 0 0").split(), float)
                xyz = np.array(origin.get("xyz", "0 0 0").split(), float)
                vertices = Rotation.from_euler("xyz", rpy).apply(vertices) + xyz
            for is_dark in (False, True):
                if (dark == is_dark).any():
                    parts.append(Part(name, vertices, faces[dark == is_dark], is_dark))
        if parts:
            yield name, parts


def _fingerprint(folder: Path) -> str:
    """Changes with the recipe and with the installed meshes (by name and size)."""
    files = sorted(p for p in folder.rglob("*") if p.suffix in {".obj", ".mtl", ".urdf"})
    listing = "".join(f"{p.relative_to(folder)}:{p.stat().st_size}\n" for p in files)
    return f"{_VERSION}-{hashlib.sha256(listing.encode()).hexdigest()[:12]}"


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
    """Write whole or not at all; a cache that cannot be written only costs time, so no error."""
    arrays: dict[str, NDArray[np.generic]] = {"count": np.array(len(meshes))}
    for i, mesh in enumerate(meshes):
        arrays |= {f"{i}.{key}": np.asarray(value) for key, value in vars(mesh).items()}
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".npz")
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]
            os.replace(temporary, path)
        except OSError:
            Path(temporary).unlink(missing_ok=True)
    except OSError:
        return
