"""What there is to draw in a world, and where it is now: meshes in frames, poses from the joints.

The frames in order: the base B (with the table), those of the arm's model (joints, hand, tip,
fingers), and then those of the task's things. Their poses come from the joint positions through
``kinematics``: one cheap call, where asking PyBullet for link poses is one slow one per camera.
"""

import math
from dataclasses import replace

import numpy as np
from numba import njit
from numpy.typing import NDArray

from handful.rig.geometry import apply
from handful_twin.meshes import Colour, Mesh, box_mesh, join_meshes
from handful_twin.paint import ON_TABLE, TABLE, TAG, TAG_ON_TABLE
from handful_twin.raster import Geometry
from handful_twin.tag_settings import TagsSettings
from handful_twin.tags import tag_meshes
from handful_twin.visuals import Detail, arm_meshes
from handful_twin.world import TABLE_CENTRE_M, TABLE_SIZE_M, World

BASE = 0
_TABLE_BACK_M = -0.3  # x of the edge behind the arm
_TABLE_RGB = (0.64, 0.54, 0.44)


class Scene:
    """The meshes of one world and their poses as of the last ``sync``.

    parts: (frame index, mesh) of everything. poses: (P, 3, 4) float64, the
    frames in B; the array is rewritten in place by ``sync``. names: label -> what it is called.
    hand: the hand's place among the frames.

    tags: what is printed and stuck on things and table.

    Raises:
        ConfigError: a tag that cannot be where it is said to be.
    """

    def __init__(
        self, world: World, detail: Detail = "hulls", tags: TagsSettings | None = None
    ) -> None:
        self._world, model = world, world.model
        self.hand = 1 + model.hand
        self._bodies = 1 + len(model.fixed)
        meshes = arm_meshes(model, detail)
        seen = {mesh.link for mesh in meshes}
        self.names = [
            *(link.name for link in model.links if link.name in seen), *world.frames, TABLE
        ]  # fmt: skip
        size_m, centre_m = _drawn_table()
        table = box_mesh(TABLE, size_m, _TABLE_RGB, centre_m)
        links = {link.name: link for link in model.links}
        self.parts: list[tuple[int, Mesh]] = [
            (1 + links[mesh.link].frame, _moved(mesh, links[mesh.link].X_FL)) for mesh in meshes
        ]
        for i, name in enumerate(world.frames):
            for part in world.shapes[name]:
                mesh = box_mesh(name, part.size_m, part.rgb, part.centre_m, part.quat_xyzw)
                self.parts.append((self._bodies + i, mesh))
        self.parts.append((BASE, table))
        if tags:
            carriers = {name: self._bodies + i for i, name in enumerate(world.frames)}
            printed = tag_meshes(tags, world.shapes)
            self.parts += [(carriers.get(on, BASE), mesh) for on, mesh in printed]
            self.names += [TAG, TAG_ON_TABLE]
        self.poses = np.tile(np.eye(3, 4), (self._bodies + len(world.frames), 1, 1))
        self._links = model.frames()
        self.sync()

    def sync(self) -> NDArray[np.float64]:
        """Read the world once; returns ``poses``."""
        q, _ = self._world.joints()
        self._world.model.forward(q, self._links)
        bodies = [self._world.body_pose(name) for name in self._world.frames]
        quats = np.array([quat for _, quat in bodies]).reshape(-1, 4)
        points = np.array([p_m for p_m, _ in bodies]).reshape(-1, 3)
        _fill_poses(self._links, quats, points, self.poses)
        return self.poses

    def pose(self, frame: int) -> NDArray[np.float64]:
        """X_BF (4, 4) of a frame as of the last ``sync``."""
        X = np.eye(4)
        X[:3] = self.poses[frame]
        return X

    def geometry(self) -> Geometry:
        """The parts as one list of triangles, labelled by their place in ``names``."""
        parts = sorted(self.parts, key=lambda part: part[0])
        counts = np.zeros(len(self.poses), np.int64)
        offset, faces, labels, casts, catches = 0, [], [], [], []
        for frame, mesh in parts:
            size = len(mesh.faces)
            faces.append(mesh.faces + offset)
            labels.append(np.full(size, self.names.index(mesh.link)))
            casts.append(np.full(size, mesh.link not in (*ON_TABLE, TAG)))
            level = mesh.normals[mesh.faces[:, 0], 2] > 0.99
            catches.append(level & (mesh.link in ON_TABLE))
            counts[frame] += len(mesh.vertices_m)
            offset += len(mesh.vertices_m)
        return Geometry(
            vertices_m=np.concatenate([mesh.vertices_m for _, mesh in parts]),
            normals=np.concatenate([mesh.normals for _, mesh in parts]),
            frame_start=np.concatenate([[0], np.cumsum(counts)]).astype(np.int32),
            faces=np.concatenate(faces).astype(np.int32),
            face_rgb=np.concatenate(
                [np.tile(np.array(m.rgb, np.float32), (len(m.faces), 1)) for _, m in parts]
            ),
            face_label=np.concatenate(labels).astype(np.int32),
            casts=np.concatenate(casts).astype(np.uint8),
            catches=np.concatenate(catches).astype(np.uint8),
        )

    def bodies(self) -> list[tuple[int, Mesh]]:
        """The parts merged to one mesh per frame and colour, for renderers that pay per body."""
        groups: dict[tuple[int, tuple[float, float, float]], list[Mesh]] = {}
        for frame, mesh in self.parts:
            groups.setdefault((frame, mesh.rgb), []).append(mesh)
        return [(frame, join_meshes(group)) for (frame, _), group in groups.items()]


def _moved(mesh: Mesh, X_FL: NDArray[np.float64]) -> Mesh:
    """A link's mesh in the frame that carries the link."""
    if np.array_equal(X_FL, np.eye(4)):
        return mesh
    vertices_m = apply(X_FL, mesh.vertices_m.astype(np.float64)).astype(np.float32)
    normals = (mesh.normals @ X_FL[:3, :3].T).astype(np.float32)
    return replace(mesh, vertices_m=vertices_m, normals=normals)


def _drawn_table() -> tuple[Colour, Colour]:
    """Size and centre [m] of the table as drawn: the solid one, and on to behind the arm's base.

    Physics leaves the base out of the table; a picture in which it floats beside one looks broken.
    """
    front_m = TABLE_CENTRE_M[0] + 0.5 * TABLE_SIZE_M[0]
    length_m = front_m - _TABLE_BACK_M
    size_m = (length_m, TABLE_SIZE_M[1], TABLE_SIZE_M[2])
    return size_m, (front_m - 0.5 * length_m, TABLE_CENTRE_M[1], TABLE_CENTRE_M[2])


@njit(cache=True, nogil=True)
def _fill_poses(  # type: ignore[no-untyped-def]
    links, quats, points, poses
):
    """The base stays, then the arm's frames, then the bodies."""
    for i in range(len(links)):
        poses[1 + i] = links[i, :3]
    for i in range(len(quats)):
        x, y, z, w = quats[i]
        length = math.sqrt(x * x + y * y + z * z + w * w)
        x, y, z, w = x / length, y / length, z / length, w / length
        X = poses[1 + len(links) + i]
        X[0, 0], X[0, 1], X[0, 2] = (
            1 - 2 * (y * y + z * z),
            2 * (x * y - z * w),
            2 * (x * z + y * w),
        )
        X[1, 0], X[1, 1], X[1, 2] = (
            2 * (x * y + z * w),
            1 - 2 * (x * x + z * z),
            2 * (y * z - x * w),
        )
        X[2, 0], X[2, 1], X[2, 2] = (
            2 * (x * z - y * w),
            2 * (y * z + x * w),
            1 - 2 * (x * x + y * y),
        )
        X[:, 3] = points[i]
