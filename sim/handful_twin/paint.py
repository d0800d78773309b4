"""How a scene looks in one episode: tints, patterns and light, as renderers wear them.

Patterns are solid (Peachey, "Solid texturing of complex surfaces", 1985; Perlin, "An image
synthesizer", 1985): a function of the point in the frame of what it is on, so nothing needs texture
coordinates, and they stick to what moves. They only darken; colour is the tint's.
"""

import colorsys
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handful_twin.raster import Coat, Geometry, Look

Colour = tuple[float, float, float]

#: Pattern kinds as the kernel knows them.
KINDS = {"plain": 0, "checker": 1, "stripes": 2, "noise": 3, "gradient": 4}
BACKGROUND = "background"
TABLE = "table"
ARM = "(arm)"  # all its links, whatever they are called
TAG, TAG_ON_TABLE = "(tag)", "(tag on the table)"  # printed AprilTags (``tags``)
ON_TABLE = (TABLE, TAG_ON_TABLE)  # what lies in the plane of the table and is as high as it


@dataclass(frozen=True)
class Tint:
    """Shifts of hue (1 is once round), saturation and value, the last two kept within 0..1."""

    hue: float = 0.0
    saturation: float = 0.0
    value: float = 0.0

    def of(self, rgb: Colour) -> Colour:
        """The colour (3,) in 0..1, shifted."""
        if not (self.hue or self.saturation or self.value):
            return rgb
        hue, saturation, value = colorsys.rgb_to_hsv(*rgb)
        return colorsys.hsv_to_rgb(
            (hue + self.hue) % 1.0,
            min(max(saturation + self.saturation, 0.0), 1.0),
            min(max(value + self.value, 0.0), 1.0),
        )


@dataclass(frozen=True)
class Pattern:
    """kind: of ``KINDS``. size_m: of a square, a stripe, a blob. depth: how much darker it goes, 1
    being to black. turn_rad: about its frame's z. phase: (3,) where it begins, in sizes."""

    kind: str
    size_m: float
    depth: float
    turn_rad: float = 0.0
    phase: Colour = (0.5, 0.5, 0.5)

    def row(self) -> list[float]:
        """The numbers of ``Coat.patterns``."""
        return [
            float(KINDS[self.kind]), 1.0 / self.size_m, self.depth,
            np.cos(self.turn_rad), np.sin(self.turn_rad), *self.phase,
        ]  # fmt: skip


@dataclass(frozen=True)
class Surface:
    """The tint and the pattern of one thing."""

    tint: Tint = Tint()
    pattern: Pattern | None = None


@dataclass(frozen=True)
class Dress:
    """Everything about an episode's looks.

    surfaces: by the names of ``Scene.names``, ``background``, and ``ARM`` for all others.
    look: light and backdrop, not yet tinted. table_height_m: how far the table is above z = 0.
    """

    look: Look
    surfaces: Mapping[str, Surface]
    table_height_m: float = 0.0

    def surface(self, name: str) -> Surface:
        """Of a thing; unchanged for one that is not named, and for what is printed."""
        if name in (TAG, TAG_ON_TABLE):
            return Surface()
        return self.surfaces.get(name) or self.surfaces.get(ARM, Surface())

    def lit(self) -> Look:
        """The look with its backdrop tinted and its shadows on the table."""
        look, tint = self.look, self.surface(BACKGROUND).tint
        return Look(
            **{
                **vars(look),
                "floor_rgb": tint.of(look.floor_rgb),
                "wall_rgb": tint.of(look.wall_rgb),
                "shadow_plane_m": look.shadow_plane_m + self.table_height_m,
            }
        )

    def coat(self, geometry: Geometry, names: list[str], groups: "Groups") -> Coat:
        """For the rasteriser: colours and patterns of every face of ``geometry``."""
        face_rgb = geometry.face_rgb.copy()
        pattern_of = np.full(len(names), -1, np.int32)
        rows = [[0.0] * 8]
        for label, name in enumerate(names):
            pattern = self.surface(name).pattern
            if pattern is not None:
                pattern_of[label] = len(rows)
                rows.append(pattern.row())
        for label, rgb, faces in groups.colours:
            tint = self.surface(names[label]).tint
            if tint != Tint():
                face_rgb[faces] = tint.of(rgb)
        backdrop = self.surface(BACKGROUND).pattern
        if backdrop is not None:
            rows[0] = backdrop.row()
        vertices = geometry.vertices_m
        if self.table_height_m:
            vertices = vertices.copy()
            vertices[groups.table, 2] += np.float32(self.table_height_m)
        patterned = len(rows) > 1 or backdrop is not None
        return Coat(
            look=self.lit(),
            face_rgb=face_rgb,
            vertices_m=vertices,
            face_pattern=pattern_of[geometry.face_label] if patterned else None,
            patterns=np.array(rows),
        )


class Groups:
    """Which faces of a geometry have one colour and label, and which vertices are the table's."""

    def __init__(self, geometry: Geometry, names: list[str]) -> None:
        label, rgb = geometry.face_label, geometry.face_rgb
        keys = np.column_stack([label.astype(np.float64), rgb.astype(np.float64)])
        found, index = np.unique(keys, axis=0, return_inverse=True)
        self.colours: list[tuple[int, Colour, NDArray[np.intp]]] = [
            (int(row[0]), (row[1], row[2], row[3]), np.flatnonzero(index.ravel() == i))
            for i, row in enumerate(found)
        ]
        table = np.isin(label, [i for i, name in enumerate(names) if name in ON_TABLE])
        self.table: NDArray[np.intp] = np.unique(geometry.faces[table])
