"""The twin behind the rig's ``Camera`` door: a lens on the base or the hand, in virtual time."""

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from handful.config import ConfigError
from handful.contract import Frame
from handful.rig.calibration import Calibration, View, load_calibration
from handful.rig.camera import CameraError, StaleFrameError
from handful.rig.geometry import invert
from handful.rig.mount import load_mount, optical_pose
from handful.rig.settings import CameraSettings
from handful_twin.arm_model import ArmModel
from handful_twin.lens import Lens
from handful_twin.meshes import look_at
from handful_twin.randomize import Eye
from handful_twin.renderers import Renderer
from handful_twin.sensor import Sensor
from handful_twin.settings import TwinCameraSettings
from handful_twin.world import World

Array = NDArray[np.float64]


class TwinCamera:
    """One simulated eye. Its frame is taken at the moment it is asked for, so its age is 0.

    attach: ``base`` or ``hand``, which carries it. X_AC: (4, 4) pose of the optical frame in that
    frame, B or the hand. K: (3, 3) intrinsics of the delivered picture [px], OpenCV convention; D,
    model: its distortion. All of them are what is believed, as a calibration says it; an episode's
    ``Eye`` may make it untrue (``be``). The camera draws with a renderer it may share with others
    of the same world, and does not close it.

    Raises:
        ConfigError: a calibration or mount that cannot be read or used.
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
        self._whole = _calibration(name, where)
        self.attach, self.X_AC = _bolted(where, world.model)
        believed = self.believed(self.size.width_px, self.size.height_px)
        self.K, self.D, self.model = believed.K, believed.D, believed.model
        self._known: dict[tuple[int, int], Calibration] = {
            (believed.width_px, believed.height_px): believed
        }
        self._lenses: dict[tuple[int, int], Lens] = {}
        self._drawn: dict[tuple[int, int], Array] = {}
        self._eye: Eye | None = None
        self._sensor: Sensor | None = None
        self._open = False

    def open(self) -> None:
        """Start delivering."""
        self._open = True

    def be(self, eye: Eye | None, sensor: Sensor | None) -> None:
        """What it really is from now on; None: as it is believed to be, without noise."""
        self._eye, self._sensor = eye, sensor
        self._drawn.clear()

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
        if self._sensor is not None:
            pixels = self._sensor.see(pixels, self._world.steps)
        return Frame(self.name, pixels, self._world.time_s, f"{self.name}_optical")

    def close(self) -> None:
        """Stop delivering; twice is safe."""
        self._open = False

    def X_BC(self) -> Array:
        """Real pose (4, 4) of the optical frame in B, with the hand as of the scene's last sync."""
        X_AC = self.X_AC if self._eye is None else self.X_AC @ self._eye.X_CC
        if self.attach == "base":
            return X_AC
        return self._renderer.scene.pose(self._renderer.scene.hand) @ X_AC

    def picture(
        self, height_px: int | None = None, width_px: int | None = None
    ) -> NDArray[np.uint8]:
        """What falls in now, (H, W, 3) uint8, open or not, before a sensor's noise.

        Another size keeps the field of view.
        """
        self._renderer.scene.sync()
        width, height = width_px or self.size.width_px, height_px or self.size.height_px
        where, X_BC, size = self._where, self.X_BC(), (width, height)
        if size not in self._known:
            self._known[size] = self.believed(width, height)
        believed = self._known[size]
        lens = None
        if self._whole is not None and believed.D.any():
            lens = self._lenses.get(size)
            if lens is None:
                lens = self._lenses[size] = Lens(believed, f"twin.cameras.{self.name}")
            # The distortion stays with the picture: an eye's error moves what falls on the lens.
            width, height = lens.pinhole.width_px, lens.pinhole.height_px
        if size not in self._drawn:
            K = believed.K if lens is None else lens.pinhole.K
            self._drawn[size] = self._real(K, *size, believed)
        pixels = self._renderer.render(
            self._drawn[size], X_BC, width, height, where.near_m, where.far_m
        )
        return pixels if lens is None else lens.bend(pixels)

    def believed(self, width: int, height: int) -> Calibration:
        """Intrinsics of a delivered picture of this size [px]."""
        where = self._where
        if self._whole is None:
            K = intrinsics(where.fov_y_deg, width, height)
            return Calibration(width, height, K, np.zeros(5))
        return View(where.crop_px, (width, height)).calibration(self._whole)

    def _real(self, K: Array, width: int, height: int, believed: Calibration) -> Array:
        """K (3, 3) of what is drawn, with the eye's error in it."""
        eye = self._eye
        if eye is None:
            return K
        half = math.atan(0.5 * height / believed.K[1, 1])
        real = K.copy()
        real[[0, 1], [0, 1]] *= math.tan(half) / math.tan(half + 0.5 * math.radians(eye.fov_deg))
        real[0, 2] += eye.centre_px[0] * width / self.size.width_px
        real[1, 2] += eye.centre_px[1] * height / self.size.height_px
        return real


def _calibration(name: str, where: TwinCameraSettings) -> Calibration | None:
    if not where.calibration:
        return None
    whole = load_calibration(where.calibration)
    trouble = View(where.crop_px).trouble(whole.width_px, whole.height_px)
    if trouble:
        raise ConfigError(f"twin.cameras.{name}: {trouble}")
    return whole


def _bolted(where: TwinCameraSettings, model: ArmModel) -> tuple[str, Array]:
    """What carries the camera, and X_AC (4, 4)."""
    base, hand = model.settings.base.link, model.settings.hand.link
    mount = where.mount
    if mount is None and where.calibration:
        mount = load_mount(where.calibration)
        if mount is not None and mount.parent_frame not in (base, hand):
            raise ConfigError(
                f"{Path(where.calibration)}: mount.parent_frame {mount.parent_frame!r}: the twin's "
                f"cameras are bolted to {base} or {hand}"
            )
    if mount is None:
        return where.attach, look_at(where.position_m, where.look_at_m, where.up)
    if mount.parent_frame == base:
        return "base", model.links[0].X_FL @ optical_pose(mount)
    return "hand", invert(model.X_LH) @ optical_pose(mount)


def bolted_to(camera: TwinCamera, model: ArmModel) -> tuple[str, Array]:
    """The arm's link that carries a camera, and X_PC (4, 4) in it: as a ``mount`` says it."""
    if camera.attach == "base":
        return model.settings.base.link, invert(model.links[0].X_FL) @ camera.X_AC
    return model.settings.hand.link, model.X_LH @ camera.X_AC


def intrinsics(fov_y_deg: float, width_px: int, height_px: int) -> Array:
    """K (3, 3) of square pixels around the picture's middle; full vertical field of view [deg]."""
    f_px = 0.5 * height_px / math.tan(0.5 * math.radians(fov_y_deg))
    return np.array(
        [[f_px, 0.0, 0.5 * (width_px - 1)], [0.0, f_px, 0.5 * (height_px - 1)], [0.0, 0.0, 1.0]]
    )
