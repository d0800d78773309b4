"""A URDF link's shapes as triangles: OBJ and STL meshes, boxes, cylinders, spheres."""

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from handful_twin.meshes import Colour, MeshError, read_obj
from handful_twin.urdf import Urdf

_ROUND = 24  # corners of a circle
_DARK_BELOW = 0.35  # mean of a colour
Points = NDArray[np.float64]
Faces = NDArray[np.int64]


@dataclass(frozen=True)
class Shape:
    """vertices_m (V, 3) in the link's frame, faces (F, 3), dark (F,): which are of a dark material.

    rgb: of all of it, where the URDF says one that is not white; None: as the mesh's materials.
    """

    vertices_m: Points
    faces: Faces
    dark: NDArray[np.bool_]
    rgb: Colour | None


def read_shapes(urdf: Urdf, link: str, what: str) -> Iterator[Shape]:
    """The link's <visual> or <collision> elements.

    Raises:
        MeshError: a mesh is missing or of a kind that is not read here; the message names it.
    """
    colours = urdf.colours()
    for element in urdf.elements(link, what):
        geometry, origin = element.find("geometry"), element.find("origin")
        if geometry is None or not len(geometry):
            continue
        vertices, faces, dark = _triangles(urdf, geometry[0])
        if origin is not None:
            turn = Rotation.from_euler("xyz", _numbers(origin.get("rpy", "0 0 0")))
            vertices = turn.apply(vertices) + _numbers(origin.get("xyz", "0 0 0"))
        rgb = _colour(element, colours)
        if rgb is not None:
            dark = np.full(len(faces), sum(rgb) / 3.0 < _DARK_BELOW)
        yield Shape(vertices, faces, dark, rgb)


def read_stl(path: Path) -> tuple[Points, Faces]:
    """Vertices (V, 3) and triangles (F, 3) of a binary or ASCII STL; equal corners are one.

    Raises:
        MeshError: not an STL.
    """
    data = path.read_bytes()
    count = int.from_bytes(data[80:84], "little") if len(data) >= 84 else -1
    try:
        if len(data) == 84 + 50 * count:
            kind = np.dtype([("n", "<f4", 3), ("v", "<f4", (3, 3)), ("a", "<u2")])
            corners = np.frombuffer(data, kind, offset=84)["v"].reshape(-1, 3).astype(np.float64)
        else:
            lines = (line.split() for line in data.decode("ascii").splitlines())
            corners = np.array([w[1:4] for w in lines if w[:1] == ["vertex"]], np.float64)
            corners = corners.reshape(-1, 3)
        if not len(corners) or len(corners) % 3:
            raise ValueError("it has no triangles")
    except ValueError as error:
        raise MeshError(f"{path}: not a readable STL mesh: {error}") from None
    vertices, index = np.unique(corners, axis=0, return_inverse=True)
    return vertices, index.reshape(-1, 3).astype(np.int64)


def _triangles(urdf: Urdf, shape: ET.Element) -> tuple[Points, Faces, NDArray[np.bool_]]:
    dark = None
    if shape.tag == "mesh":
        path = urdf.mesh(str(shape.get("filename")))
        if path.suffix.lower() == ".obj":
            vertices, faces, dark = read_obj(path)
        elif path.suffix.lower() == ".stl":
            vertices, faces = read_stl(path)
        else:
            raise MeshError(
                f"{path}: OBJ and STL are drawn; convert it, or draw the arm's collision shapes "
                "(twin.arm.drawn=collision)"
            )
        vertices = vertices * _numbers(shape.get("scale", "1 1 1"))
    elif shape.tag == "box":
        vertices, faces = _hull_of(_BOX * _numbers(shape.get("size", "0 0 0")))
    elif shape.tag == "cylinder":
        radius, length = (float(shape.get(key, "0")) for key in ("radius", "length"))
        turn = np.linspace(0.0, 2.0 * np.pi, _ROUND, endpoint=False)
        ring = np.column_stack([radius * np.cos(turn), radius * np.sin(turn), 0.0 * turn])
        half = np.array([0.0, 0.0, 0.5 * length])
        vertices, faces = _hull_of(np.vstack([ring - half, ring + half]))
    elif shape.tag == "sphere":
        from handful_twin.hulls import sphere

        vertices, faces = _hull_of(float(shape.get("radius", "0")) * sphere(100))
    else:
        raise MeshError(f"{urdf.path}: a <{shape.tag}> cannot be drawn")
    return vertices, faces, np.zeros(len(faces), bool) if dark is None else dark


_BOX = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])


def _hull_of(corners: Points) -> tuple[Points, Faces]:
    from handful_twin.hulls import hull

    vertices, faces, _ = hull(corners)
    return vertices, faces


def _colour(element: ET.Element, colours: dict[str, str]) -> Colour | None:
    material = element.find("material")
    if material is None:
        return None
    own = material.find("color")
    words = colours.get(str(material.get("name"))) if own is None else own.get("rgba")
    if not words:
        return None
    rgb = [float(x) for x in words.split()[:3]]
    return None if min(rgb) > 0.99 else (rgb[0], rgb[1], rgb[2])


def _numbers(words: str) -> NDArray[np.float64]:
    return np.array(words.split(), np.float64)
