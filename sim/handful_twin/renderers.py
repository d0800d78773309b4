"""Three ways to make a picture of a scene: our rasteriser, and PyBullet's on the CPU and on a GPU.

All take the same K (OpenCV, pixel centres at integers) and X_BC (optical frame) and agree to a
fraction of a pixel. PyBullet's two draw in a physics client of their own that holds nothing but
shapes, so the world's client stays light and what they draw is exactly what ``fast`` draws.
"""

import importlib.util
import tempfile
import weakref
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import pybullet
from numpy.typing import NDArray

from handful.rig.geometry import invert, to_quat_xyzw
from handful_twin.meshes import Mesh, write_obj
from handful_twin.paint import ON_TABLE, Dress, Groups
from handful_twin.raster import NEAR_M, Look, Rasteriser
from handful_twin.scene import Scene

Backend = Literal["fast", "tiny", "egl", "auto"]
Array = NDArray[np.float64]
Pixels = NDArray[np.uint8]

FAR_M = 3.0


class RendererError(RuntimeError):
    """A renderer that cannot work here; the message names it and what is missing."""


class Renderer(Protocol):
    """Draws the scene as of its last ``sync``."""

    scene: Scene

    def render(
        self,
        K: Array,
        X_BC: Array,
        width_px: int,
        height_px: int,
        near_m: float = NEAR_M,
        far_m: float = FAR_M,
    ) -> Pixels:
        """A new (H, W, 3) uint8 picture. K (3, 3), X_BC (4, 4); nearer than ``near_m`` is cut."""
        ...

    def wear(self, dress: Dress | None) -> None:
        """Draw with these tints and this light from now on; None: as it was made."""
        ...

    def close(self) -> None:
        """Free what it holds; twice is safe."""
        ...


def make_renderer(scene: Scene, backend: Backend, samples: int, full: bool) -> Renderer:
    """The renderer of a name. samples: anti-aliasing per pixel side; full: CAD meshes are wanted.

    ``auto`` is ``egl`` when an NVIDIA GPU is there and full meshes are wanted, which is what a GPU
    is faster at, and otherwise ``fast``.
    """
    if backend == "auto":
        backend = "egl" if full and has_nvidia() else "fast"
    if backend == "fast":
        return FastRenderer(scene, samples)
    return BulletRenderer(scene, samples, on_gpu=backend == "egl")


def has_nvidia() -> bool:
    """Is an NVIDIA driver loaded and its device visible?"""
    return Path("/proc/driver/nvidia/version").exists() and Path("/dev/nvidiactl").exists()


class FastRenderer:
    """``raster`` behind the ``Renderer`` door: CPU, anti-aliased, with table shadows."""

    def __init__(self, scene: Scene, samples: int = 2, look: Look | None = None) -> None:
        self.scene = scene
        self.raster = Rasteriser(scene.geometry(), look, samples)
        self._groups: Groups | None = None

    def render(
        self,
        K: Array,
        X_BC: Array,
        width_px: int,
        height_px: int,
        near_m: float = NEAR_M,
        far_m: float = FAR_M,
    ) -> Pixels:
        """See ``Renderer``. ``far_m`` is ignored: nothing is too far."""
        return self.raster.rgb(self.scene.poses, K, X_BC, width_px, height_px, near_m)

    def wear(self, dress: Dress | None) -> None:
        """See ``Renderer``; patterns too."""
        if dress is None:
            self.raster.wear(None)
            return
        geometry, names = self.raster.geometry, self.scene.names
        self._groups = self._groups or Groups(geometry, names)
        self.raster.wear(dress.coat(geometry, names, self._groups))

    def close(self) -> None:
        """Nothing to free."""


class BulletRenderer:
    """PyBullet's TinyRenderer, or its OpenGL renderer through EGL, on a client with shapes only."""

    def __init__(
        self, scene: Scene, samples: int = 1, look: Look | None = None, on_gpu: bool = False
    ) -> None:
        self.scene, self._samples = scene, samples
        self._own_look = self._look = look or Look()
        self._table_m = 0.0
        self._kind = pybullet.ER_BULLET_HARDWARE_OPENGL if on_gpu else pybullet.ER_TINY_RENDERER
        # Where the middle of the picture lies: TinyRenderer samples pixel corners and flips rows.
        self._shift_px = (-0.5, -0.5) if on_gpu else (0.0, -1.0)
        self._client = pybullet.connect(pybullet.DIRECT)
        if self._client < 0:
            raise RendererError("PyBullet has no free client to draw in; close some worlds")
        self._close = weakref.finalize(self, _disconnect, self._client)
        if on_gpu:
            self._load_egl()
        with tempfile.TemporaryDirectory(prefix="handful-") as folder:
            self._bodies = [
                (frame, self._add(mesh, Path(folder)), mesh) for frame, mesh in scene.bodies()
            ]

    def render(
        self,
        K: Array,
        X_BC: Array,
        width_px: int,
        height_px: int,
        near_m: float = NEAR_M,
        far_m: float = FAR_M,
    ) -> Pixels:
        """See ``Renderer``."""
        n = self._samples
        self._move_bodies()
        look = self._look
        _, _, rgba, _, labels = pybullet.getCameraImage(
            width_px * n,
            height_px * n,
            viewMatrix=_view(X_BC),
            projectionMatrix=self._projection(K, n, width_px * n, height_px * n, near_m, far_m),
            # All of them every time: left out, they keep the values of the last call that had them.
            lightDirection=list(look.to_light),
            lightColor=[1.0, 1.0, 1.0],
            lightDistance=2.0,
            lightAmbientCoeff=look.ambient + look.sky,
            lightDiffuseCoeff=look.diffuse,
            lightSpecularCoeff=0.0,
            shadow=0,
            renderer=self._kind,
            physicsClientId=self._client,
        )
        shape = height_px * n, width_px * n
        pixels = np.array(rgba, np.uint8).reshape(*shape, 4)[:, :, :3]
        pixels[np.asarray(labels).reshape(shape) < 0] = np.array(look.wall_rgb) * 255.0
        if n == 1:
            return np.ascontiguousarray(pixels)
        mean = pixels.reshape(height_px, n, width_px, n, 3).mean(axis=(1, 3))
        return (mean + 0.5).astype(np.uint8)

    def wear(self, dress: Dress | None) -> None:
        """See ``Renderer``; what shares frame and colour shares a tint, patterns are left out."""
        self._look = self._own_look if dress is None else dress.lit()
        self._table_m = 0.0 if dress is None else dress.table_height_m
        for _, body, mesh in self._bodies:
            rgb = mesh.rgb if dress is None else dress.surface(mesh.link).tint.of(mesh.rgb)
            pybullet.changeVisualShape(
                body, -1, rgbaColor=[*rgb, 1.0], physicsClientId=self._client
            )

    def close(self) -> None:
        """Disconnect; twice is safe."""
        self._close()

    def _projection(
        self, K: Array, n: int, columns: int, rows: int, near_m: float, far_m: float
    ) -> list[float]:
        """OpenGL's column-major projection of an OpenCV K, with n samples per pixel side."""
        right, down = self._shift_px
        u0, v0 = columns / 2.0 + right, rows / 2.0 + down
        P = np.zeros((4, 4))
        P[0, 0], P[1, 1] = 2.0 * K[0, 0] * n / columns, 2.0 * K[1, 1] * n / rows
        P[0, 2] = -2.0 * ((K[0, 2] + 0.5) * n - 0.5 - u0) / columns
        P[1, 2] = 2.0 * ((K[1, 2] + 0.5) * n - 0.5 - v0) / rows
        P[2, 2], P[2, 3] = (
            -(far_m + near_m) / (far_m - near_m),
            -2.0 * far_m * near_m / (far_m - near_m),
        )
        P[3, 2] = -1.0
        return list(P.T.ravel())

    def _move_bodies(self) -> None:
        for frame, body, mesh in self._bodies:
            X = self.scene.poses[frame]
            p_m = X[:, 3].tolist()
            if mesh.link in ON_TABLE:
                p_m[2] += self._table_m
            pybullet.resetBasePositionAndOrientation(
                body,
                p_m,
                to_quat_xyzw(X[:, :3]).tolist(),
                physicsClientId=self._client,
            )

    def _add(self, mesh: Mesh, folder: Path) -> int:
        # Through a file: the EGL plugin does not take vertices from memory.
        path = folder / f"{len(list(folder.iterdir()))}.obj"
        write_obj(path, mesh)
        shape = pybullet.createVisualShape(
            pybullet.GEOM_MESH,
            fileName=str(path),
            rgbaColor=[*mesh.rgb, 1.0],
            specularColor=[0.0, 0.0, 0.0],
            physicsClientId=self._client,
        )
        if shape < 0:
            raise RendererError(
                f"PyBullet refused the visual of {mesh.link} ({len(mesh.faces)} triangles)"
            )
        return int(
            pybullet.createMultiBody(0.0, baseVisualShapeIndex=shape, physicsClientId=self._client)
        )

    def _load_egl(self) -> None:
        spec = importlib.util.find_spec("eglRenderer")
        plugin = -1
        if spec is not None and spec.origin is not None:
            plugin = pybullet.loadPlugin(
                spec.origin, "_eglRendererPlugin", physicsClientId=self._client
            )
        if plugin < 0:
            raise RendererError(
                "renderer egl: PyBullet's eglRenderer plugin did not load; it needs libEGL and a "
                "GPU driver, use renderer fast or auto here"
            )


def _view(X_BC: Array) -> list[float]:
    """OpenGL's column-major view matrix: y up, z backwards, where the optical frame has y down."""
    view = invert(X_BC)
    view[1:3] *= -1.0
    return list(view.T.ravel())


def _disconnect(client: int) -> None:
    if pybullet.isConnected(physicsClientId=client):
        pybullet.disconnect(physicsClientId=client)
