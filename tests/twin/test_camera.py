"""The twin's cameras keep the camera contract and see what OpenCV's model says they should."""

import itertools
import math

import cv2
import numpy as np
import pybullet
import pytest
from contracts import CameraCell, CameraContract
from handful_twin import make_env, renderers
from handful_twin.arm_model import arm_model
from handful_twin.meshes import look_at
from handful_twin.raster import Look
from handful_twin.renderers import BulletRenderer, FastRenderer, RendererError, make_renderer
from handful_twin.scene import Scene
from handful_twin.settings import TwinCameraSettings, TwinSettings
from handful_twin.twin_arm import TwinClock
from handful_twin.twin_camera import TwinCamera, intrinsics
from handful_twin.world import Box, Motors, World

from handful.config import load
from handful.rig.camera import StaleFrameError
from handful.rig.settings import CameraSettings

ARM = arm_model()
Q_HOME_RAD = ARM.home_rad

CUBE_M = np.array([0.48, 0.05, 0.12])
SIZE = CameraSettings(width_px=60, height_px=48)
TWIN = load(TwinSettings, "twin")


def make_world() -> World:
    world = World(TWIN, {"cube": Box((0.04, 0.05, 0.06), 0.1, (0.8, 0.1, 0.1))})
    world.reset(Q_HOME_RAD, 0.06, {"cube": (CUBE_M, np.array([0.1, 0.2, 0.3, 0.9]))})
    return world


@pytest.fixture(scope="module")
def world():
    world = make_world()
    yield world
    world.close()


class TestFastOnTheBase(CameraContract):
    camera_name, backend = "third", "fast"

    def make_cell(self) -> CameraCell:
        world = make_world()
        renderer = make_renderer(Scene(world), self.backend, 1, full=False)
        where = TWIN.cameras[self.camera_name]
        camera = TwinCamera(self.camera_name, world, renderer, where, SIZE)

        def dispose() -> None:
            renderer.close()
            world.close()

        return CameraCell(camera, TwinClock(world), SIZE.height_px, SIZE.width_px, dispose)


class TestFastOnTheHand(TestFastOnTheBase):
    camera_name = "wrist"


class TestTinyOnTheHand(TestFastOnTheBase):
    camera_name, backend = "wrist", "tiny"


def test_frames_of_the_scene_are_where_bullet_has_them(world: World) -> None:
    world.command(Motors(Q_HOME_RAD + 0.2, 0.01))
    world.advance(40)
    scene = Scene(world)
    poses = scene.sync()
    names = {index: name for name, index in world.links.items()}
    links = [i for i in range(11) if names[i] != "panda_link8"]
    states = pybullet.getLinkStates(
        world.arm, links, computeForwardKinematics=True, physicsClientId=world.client
    )
    for index, state in zip(links, states, strict=True):
        carried = next(link for link in ARM.links if link.name == names[index])
        X = (scene.pose(1 + carried.frame) @ carried.X_FL)[:3]
        R = np.array(pybullet.getMatrixFromQuaternion(state[5])).reshape(3, 3)
        assert X[:, 3] == pytest.approx(np.array(state[4]), abs=1e-6), names[index]
        assert X[:, :3] == pytest.approx(R, abs=1e-6), names[index]
    p_m, quat_xyzw = world.body_pose("cube")
    R = np.array(pybullet.getMatrixFromQuaternion(quat_xyzw)).reshape(3, 3)
    assert poses[-1] == pytest.approx(np.column_stack([R, p_m]), abs=1e-9)


def silhouette_of_the_cube(world: World, K, X_BC, width: int, height: int):
    """Middle (u, v) [px] and area [px^2] of the cube's outline, from cv2.projectPoints."""
    p_m, quat = world.body_pose("cube")
    R = np.array(pybullet.getMatrixFromQuaternion(quat)).reshape(3, 3)
    corners = (
        p_m
        + np.array(list(itertools.product(*((-e / 2, e / 2) for e in (0.04, 0.05, 0.06))))) @ R.T
    )
    R_CB = X_BC[:3, :3].T
    uv, _ = cv2.projectPoints(corners, cv2.Rodrigues(R_CB)[0], -R_CB @ X_BC[:3, 3], K, None)
    moments = cv2.moments(cv2.convexHull(uv.astype(np.float32)))
    return np.array([moments["m10"], moments["m01"]]) / moments["m00"], moments["m00"]


def red(pixels) -> np.ndarray:
    rgb = pixels.astype(int)
    return rgb[..., 0] > 2 * np.maximum(rgb[..., 1], rgb[..., 2])


@pytest.mark.parametrize("backend", ["fast", "tiny"])
@pytest.mark.parametrize("eye", [(1.2, 0.4, 0.5), (0.9, -0.7, 0.9), (0.49, 0.06, 1.1)])
def test_the_cube_is_in_the_pixels_opencv_says(world: World, backend: str, eye) -> None:
    scene = Scene(world)
    world.reset(
        Q_HOME_RAD - [1.5, 0, 0, 0, 0, 0, 0],
        0.06,
        {"cube": (CUBE_M, np.array([0.1, 0.2, 0.3, 0.9]))},
    )
    scene.sync()
    renderer = make_renderer(scene, backend, 1, full=False)
    K = np.array([[900.0, 0, 75.3], [0, 850.0, 58.9], [0, 0, 1.0]])
    X_BC = look_at(eye, CUBE_M + [0.004, -0.003, 0.002], (0.1, 0.2, 1.0))
    v, u = np.nonzero(red(renderer.render(K, X_BC, 150, 130)))
    middle, area = silhouette_of_the_cube(world, K, X_BC, 150, 130)
    renderer.close()
    assert np.array([u.mean(), v.mean()]) == pytest.approx(middle, abs=0.1)
    assert len(u) == pytest.approx(area, rel=0.01)


def test_bullet_draws_the_same_outlines_as_the_fast_renderer(world: World) -> None:
    scene = Scene(world)
    flat = Look(ambient=1.0, diffuse=0.0, sky=0.0, shadow=1.0)
    pictures = []
    for renderer in (FastRenderer(scene, 1, flat), BulletRenderer(scene, 1, flat)):
        where = TWIN.cameras["third"]
        pictures.append(TwinCamera("third", world, renderer, where).picture(120, 160).astype(int))
        renderer.close()
    fast, tiny = (np.stack([red(p), p.max(axis=2) < 110]) for p in pictures)
    assert (fast == tiny).mean() > 0.995


def test_bullet_forgets_no_light_between_calls(world: World) -> None:
    """Its light and shadow arguments stick; every call must give all of them."""
    scene = Scene(world)
    renderer = BulletRenderer(scene, 1)
    camera = TwinCamera("third", world, renderer, TWIN.cameras["third"])
    before = camera.picture()
    pybullet.getCameraImage(
        20, 20, lightDirection=[0, 1, 0], lightColor=[1, 0, 0], shadow=1, lightAmbientCoeff=0.1,
        renderer=pybullet.ER_TINY_RENDERER, physicsClientId=renderer._client,
    )  # fmt: skip
    assert np.array_equal(camera.picture(), before)
    renderer.close()
    renderer.close()


def test_a_wrist_camera_rides_on_the_hand(world: World) -> None:
    world.reset(Q_HOME_RAD, 0.06, {})
    camera = TwinCamera("wrist", world, FastRenderer(Scene(world), 1), TWIN.cameras["wrist"])
    before, picture = camera.X_BC(), camera.picture()
    world.command(Motors(Q_HOME_RAD + [0.3, 0, 0, 0, 0, 0, 0], 0.06))
    world.advance(240)
    camera.picture()
    after = camera.X_BC()
    assert np.linalg.norm(after[:3, 3] - before[:3, 3]) > 0.1
    where = TWIN.cameras["wrist"]
    X_HC = look_at(where.position_m, where.look_at_m, where.up)
    assert after == pytest.approx(camera._renderer.scene.pose(1 + ARM.hand) @ X_HC)
    fingers = picture[-25:].max(axis=2) < 70  # the dark pads are in view before and after
    assert (camera.picture()[-25:].max(axis=2) < 70)[fingers].mean() > 0.95


def test_intrinsics_put_the_middle_between_the_pixels() -> None:
    K = intrinsics(90.0, 40, 20)
    assert np.allclose(K, [[10.0, 0, 19.5], [0, 10.0, 9.5], [0, 0, 1.0]])


def test_look_at_has_x_right_y_down_z_forward() -> None:
    X = look_at([1.0, 0.0, 1.0], [0.0, 0.0, 1.0], [0.0, 0.0, 1.0])
    assert X[:3, 2] == pytest.approx([-1, 0, 0])
    assert X[:3, 1] == pytest.approx([0, 0, -1])
    assert X[:3, 0] == pytest.approx([0, 1, 0])
    assert np.linalg.det(X[:3, :3]) == pytest.approx(1.0)
    with pytest.raises(ValueError, match="across its view"):
        look_at([0, 0, 1], [0, 0, 0], [0, 0, 1])


def test_a_frame_that_cannot_be_young_enough_is_refused(world: World) -> None:
    camera = TwinCamera("third", world, FastRenderer(Scene(world), 1), TWIN.cameras["third"])
    camera.open()
    assert camera.latest(0.0).stamp_s == world.time_s
    for max_age_s in (-0.1, math.nan):
        with pytest.raises(StaleFrameError, match="third"):
            camera.latest(max_age_s)


def test_auto_takes_the_gpu_only_where_it_pays(world: World, monkeypatch) -> None:
    scene = Scene(world)
    made = []
    monkeypatch.setattr(renderers, "BulletRenderer", lambda *a, **k: made.append(k) or "bullet")
    for nvidia, full, expected in ((True, True, True), (True, False, False), (False, True, False)):
        monkeypatch.setattr(renderers, "has_nvidia", lambda there=nvidia: there)
        made.clear()
        make_renderer(scene, "auto", 1, full)
        assert made == ([{"on_gpu": True}] if expected else [])


def test_without_a_gpu_driver_egl_says_what_is_missing(world: World, monkeypatch) -> None:
    monkeypatch.setattr(renderers.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RendererError, match="renderer egl.*libEGL.*fast or auto"):
        make_renderer(Scene(world), "egl", 1, full=False)


@pytest.mark.parametrize("task", ["reach", "lift"])
def test_the_shipped_views_show_the_cube(task: str) -> None:
    """At 84 px: at least 7 px wide in the middle of the third view, and whole at every reset."""
    env = make_env(task)
    scene = env.stage.scene
    raster = FastRenderer(scene, 1).raster
    third = env.stage.eyes["third"]
    cube = scene.names.index("cube")
    for seed in range(25):
        env.reset(seed)
        scene.sync()
        labels = raster.layers(scene.poses, third.K, third.X_BC(), 84, 84).labels
        v, u = np.nonzero(labels == cube)
        assert len(u) >= 40, f"seed {seed}: {len(u)} px of cube"
        assert min(u.min(), v.min()) > 0 and max(u.max(), v.max()) < 83, f"seed {seed}"
        assert np.ptp(u) + 1 >= 6
    R_CB = third.X_AC[:3, :3].T
    ends = np.array([[0.49, -0.02, 0.02], [0.49, 0.02, 0.02]])
    uv, _ = cv2.projectPoints(
        ends, cv2.Rodrigues(R_CB)[0], -R_CB @ third.X_AC[:3, 3], third.K, None
    )
    assert np.linalg.norm(uv[1] - uv[0]) >= 7.0
    env.close()


def test_a_camera_needs_no_more_than_its_settings() -> None:
    world = make_world()
    where = TwinCameraSettings(
        attach="base", position_m=(1.0, 0.0, 0.5), look_at_m=(0.5, 0.0, 0.0), fov_y_deg=40.0
    )
    camera = TwinCamera("side", world, FastRenderer(Scene(world)), where)
    camera.open()
    assert camera.latest(0.0).pixels.shape == (84, 84, 3)
    assert camera.picture(30, 50).shape == (30, 50, 3)
    world.close()
