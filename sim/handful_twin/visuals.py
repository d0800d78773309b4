"""What the arm looks like, as light hulls or as its URDF has it.

The stock Panda has 102,759 visual triangles, most of them screws no 84-pixel picture can show;
``hulls`` keeps silhouette and colours at a fiftieth of them. Nothing is shipped: the meshes are
read where the URDF lies, the Panda's from ``pybullet_data`` (Apache-2.0), on first use,
simplified, and cached.
"""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from handful_twin.arm_model import ArmModel
from handful_twin.cache import cache_folder
from handful_twin.hulls import Part, Recipe, simplify
from handful_twin.meshes import DARK_RGB, SHELL_RGB, Mesh, smooth_mesh
from handful_twin.shapes import read_shapes
from handful_twin.urdf import Urdf

Detail = Literal["hulls", "full"]

_VERSION = 8  # raise when meshes come out differently, so that older caches are not read
_FINGER = Recipe(slabs=3, beneath_m=0.0, smallest_m=0.008)  # the wrist camera is near it
_OTHERS = Recipe(slabs=4)
_FEW = 300  # triangles of a link that are drawn as they are
_RECIPES = {
    "panda_link0": Recipe(),
    "panda_link1": Recipe(slabs=5),
    "panda_link2": Recipe(slabs=5),
    "panda_link3": Recipe(slabs=4),
    "panda_link4": Recipe(slabs=4),
    "panda_link5": Recipe(slabs=6, beneath_m=0.004),
    "panda_link6": Recipe(slabs=4),
    "panda_link7": Recipe(),
    "panda_hand": Recipe(),
    "panda_leftfinger": _FINGER,
    "panda_rightfinger": _FINGER,
}


def arm_meshes(model: ArmModel, detail: Detail = "hulls") -> list[Mesh]:
    """Every link that is to be seen, each in its own frame. ``hulls``: about a fiftieth of the
    triangles; ``full``: all.

    Raises:
        MeshError: a link has shapes that cannot be read; the message names the file.
    """
    urdf, drawn = model.urdf, model.settings.drawn
    path = cache_folder() / f"{urdf.path.stem}-{detail}-{_fingerprint(urdf, drawn)}.npz"
    meshes = _load(path)
    if meshes is None:
        meshes = [mesh for link in model.links for mesh in _build(urdf, link.name, drawn, detail)]
        _save(path, meshes)
    return meshes


def _build(urdf: Urdf, link: str, drawn: str, detail: Detail) -> Iterator[Mesh]:
    parts: list[Part] = []
    colours = {False: SHELL_RGB, True: DARK_RGB}
    for shape in read_shapes(urdf, link, drawn):
        if shape.rgb is not None:
            colours[bool(shape.dark[0])] = shape.rgb
        for is_dark in (False, True):
            if (shape.dark == is_dark).any():
                faces = shape.faces[shape.dark == is_dark]
                parts.append(Part(link, shape.vertices_m, faces, is_dark))
    few = link not in _RECIPES and sum(len(part.faces) for part in parts) <= _FEW
    if detail == "full" or few:
        for part in parts:
            yield smooth_mesh(link, part.vertices_m, part.faces, colours[part.dark])
    else:
        for mesh in simplify(parts, _RECIPES.get(link, _OTHERS)):
            yield replace(mesh, rgb=colours[mesh.rgb == DARK_RGB])


def _fingerprint(urdf: Urdf, drawn: str) -> str:
    """Changes with the recipe, with the URDF and with its meshes (by name and size)."""
    told = [urdf.path.read_text(encoding="utf-8", errors="replace"), drawn]
    for link in urdf.links:
        for what in ("visual", "collision"):
            for element in urdf.elements(link, what):
                mesh = element.find("geometry/mesh")
                if mesh is not None:
                    path = urdf.mesh(str(mesh.get("filename")))
                    told.append(f"{mesh.get('filename')}:{path.stat().st_size}")
    return f"{_VERSION}-{hashlib.sha256(chr(10).join(told).encode()).hexdigest()[:12]}"


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
