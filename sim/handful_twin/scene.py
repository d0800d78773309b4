"""What there is to draw in a world, and where it is now: meshes in frames, poses from the joints.

The frames in order: the base B (with link 0 and the table), links 1 to 7, the hand, the two
fingers, and then those of the task's things. Their poses come from the joint positions through
``kinematics``: one cheap call, where asking PyBullet for link poses is one slow one per camera.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from handful_twin import kinematics
from handful_twin.meshes import Colour, Mesh, box_mesh, join_meshes
from handful_twin.raster import Geometry
from handful_twin.visuals import Detail, panda_meshes
from handful_twin.world import FINGER_Z_M, TABLE_CENTRE_M, TABLE_SIZE_M, World

BASE, HAND = 0, 8
_LEFT_FINGER, _RIGHT_FINGER, _BODIES = 9, 10, 11
_FRAMES = {
    "panda_link0": BASE,
    **{f"panda_link{i}": i for i in range(1, 8)},
    "panda_hand": HAND,
    "panda_leftfinger": _LEFT_FINGER,
    "panda_rightfinger": _RIGHT_FINGER,
}
_TABLE = "table"
_TABLE_BACK_M = -0.3  # x of the edge behind the arm
_TABLE_RGB = (0.64, 0.54, 0.44)


class Scene:
    """The meshes of one world and their poses as of the last ``sync``.

    parts: (frame index, mesh) of everything. poses: (P, 3, 4) float64, the
    frames in B; the array is rewritten in place by ``sync``. names: label -> what it is called.
    """

    def __init__(self, world: World, detail: Detail = "hulls") -> None:
        self._world = world
        self.names = [*_FRAMES, *world.frames, _TABLE]
        size_m, centre_m = _drawn_table()
        table = box_mesh(_TABLE, size_m, _TABLE_RGB, centre_m)
        self.parts: list[tuple[int, Mesh]] = [(_FRAMES[m.link], m) for m in panda_meshes(detail)]
        for i, name in enumerate(world.frames):
            for part in world.shapes[name]:
                mesh = box_mesh(name, part.size_m, part.rgb, part.centre_m, part.quat_xyzw)
                self.parts.append((_BODIES + i, mesh))
        self.parts.append((BASE, table))
        self.poses = np.tile(np.eye(3, 4), (_BODIES + len(world.frames), 1, 1))
        self._links = np.empty((kinematics.FRAMES, 4, 4))
        self.sync()

    def sync(self) -> NDArray[np.float64]:
        """Read the world once; returns ``poses``."""
        q, _ = self._world.joints()
        kinematics.forward(q, self._links)
        bodies = [self._world.body_pose(name) for name in self._world.frames]
        quats = np.array([quat for _, quat in bodies]).reshape(-1, 4)
        points = np.array([p_m for p_m, _ in bodies]).reshape(-1, 3)
        _fill_poses(q, self._links, quats, points, self.poses)
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
            casts.append(np.full(size, mesh.link != _TABLE))
            level = mesh.normals[mesh.faces[:, 0], 2] > 0.99
            catches.append(level & (mesh.link == _TABLE))
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
    q, links, quats, points, poses
):
    """Frames 1 to 8 from the links, 9 and 10 from the finger joints, the rest from the bodies."""
    for i in range(1, HAND + 1):
        poses[i] = links[i - 1, :3]
    for side in range(2):
        finger = poses[_LEFT_FINGER + side]
        finger[:] = poses[HAND]
        y_m = q[7] if side == 0 else -q[8]
        for k in range(3):
            finger[k, 3] += poses[HAND, k, 1] * y_m + poses[HAND, k, 2] * FINGER_Z_M
    for i in range(len(quats)):
        x, y, z, w = quats[i]
        length = math.sqrt(x * x + y * y + z * z + w * w)
        x, y, z, w = x / length, y / length, z / length, w / length
        X = poses[_BODIES + i]
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
