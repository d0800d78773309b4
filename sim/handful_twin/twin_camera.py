"""The twin behind the rig's ``Camera`` door: a pinhole on the base or the hand, in virtual time."""

import math

import numpy as np
from numpy.typing import NDArray

from handful.contract import Frame
from handful.rig.camera import CameraError, StaleFrameError
from handful.rig.settings import CameraSettings
from handful_twin.meshes import look_at
from handful_twin.renderers import Renderer
from handful_twin.scene import HAND
from handful_twin.settings import TwinCameraSettings
from handful_twin.world import World

Array = NDArray[np.float64]


class TwinCamera:
    """One simulated eye. Its frame is taken at the moment it is asked for, so its age is 0.

    K: (3, 3) pinhole intrinsics [px], OpenCV convention, no distortion. X_AC: (4, 4) pose of the
    optical frame in the frame that carries it, B or the hand. The camera draws with a renderer it
    may share with others of the same world, and does not close it.
    """

    def __init__(
        self,
        name: str,
        world: World,
        renderer: Renderer,
        where: TwinCameraSettings,
        size: CameraSettings | None = None,
    ) -> None:
        self.name, self.size = name, size or CameraSettings()
        self._world, self._renderer, self._where = world, renderer, where
        self.X_AC = look_at(where.position_m, where.look_at_m, where.up)
        self.K = intrinsics(where.fov_y_deg, self.size.width_px, self.size.height_px)
        self._open = False

    def open(self) -> None:
        """Start delivering."""
        self._open = True

    def latest(self, max_age_s: float) -> Frame:
        """A picture of now, stamped with the world's time [s].

        Raises:
            CameraError: before ``open`` or after ``close``.
            StaleFrameError: ``max_age_s`` is below 0 or not a number.
        """
        if not self._open:
            raise CameraError(f"twin camera {self.name!r} is not open; call open() first")
        if not max_age_s >= 0.0:
            raise StaleFrameError(
                f"twin camera {self.name!r}: frame is 0.0 s old, allowed are {max_age_s} s"
            )
        pixels = self.picture()
        return Frame(self.name, pixels, self._world.time_s, f"{self.name}_optical")

    def close(self) -> None:
        """Stop delivering; twice is safe."""
        self._open = False

    def X_BC(self) -> Array:
        """Pose (4, 4) of the optical frame in B, with the hand as of the scene's last sync."""
        if self._where.attach == "base":
            return self.X_AC
        return self._renderer.scene.pose(HAND) @ self.X_AC

    def picture(
        self, height_px: int | None = None, width_px: int | None = None
    ) -> NDArray[np.uint8]:
        """What it sees now, (H, W, 3) uint8, open or not; another size keeps the field of view."""
        self._renderer.scene.sync()
        width, height, K = self.size.width_px, self.size.height_px, self.K
        if height_px is not None or width_px is not None:
            width, height = width_px or width, height_px or height
            K = intrinsics(self._where.fov_y_deg, width, height)
        where = self._where
        return self._renderer.render(K, self.X_BC(), width, height, where.near_m, where.far_m)


def intrinsics(fov_y_deg: float, width_px: int, height_px: int) -> Array:
    """K (3, 3) of square pixels around the picture's middle; full vertical field of view [deg]."""
    f_px = 0.5 * height_px / math.tan(0.5 * math.radians(fov_y_deg))
    return np.array(
        [[f_px, 0.0, 0.5 * (width_px - 1)], [0.0, f_px, 0.5 * (height_px - 1)], [0.0, 0.0, 1.0]]
    )
