"""A camera as it was calibrated: what the twin draws is where OpenCV's own model says it is."""

import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest
from handful_twin.arm_model import arm_model
from handful_twin.lens import Lens, distort, undistort
from handful_twin.meshes import look_at
from handful_twin.randomize import Eye
from handful_twin.raster import Look
from handful_twin.renderers import BulletRenderer, FastRenderer
from handful_twin.scene import Scene
from handful_twin.settings import TwinCameraSettings, TwinSettings
from handful_twin.twin_camera import TwinCamera
from handful_twin.world import Box, World
from hypothesis import given, settings
from hypothesis import strategies as st

from handful.config import ConfigError, load
from handful.rig.calibration import Calibration, load_calibration
from handful.rig.geometry import exp_so3, pose
from handful.rig.mount import camera_text, mount_of
from handful.rig.settings import CameraSettings

ARM = arm_model()
Q_HOME_RAD = ARM.home_rad

EDGE_M = 0.012
NAMES = [f"dot{i}" for i in range(12)]
LENSES = {
    "barrel": ("plumb_bob", [-0.28, 0.09, 0.001, -0.0007, -0.01]),
    "pincushion": ("plumb_bob", [0.16, -0.05, -0.001, 0.0008, 0.01]),
    "rational": ("rational_polynomial", [0.3, -0.2, 5e-4, -3e-4, 0.02, 0.6, -0.1, 0.01]),
    "fisheye": ("equidistant", [0.05, -0.01, 0.003, -0.001]),
    "none": ("plumb_bob", [0.0, 0.0, 0.0, 0.0, 0.0]),
}
#: Of a whole 640 x 480 picture; the principal point is well off its middle.
K = np.array([[560.0, 0.0, 344.2], [0.0, 566.0, 221.7], [0.0, 0.0, 1.0]])
X_BC = look_at((0.95, 0.10, 0.62), (0.47, 0.02, 0.02), (0.1, 0.0, 1.0))
TWIN = load(TwinSettings, "twin")
FLAT = Look(ambient=1.0, diffuse=0.0, sky=0.0, shadow=1.0)  # every colour as it is


def lens_of(name: str) -> Calibration:
    model, D = LENSES[name]
    return Calibration(640, 480, K, np.array(D), model)


@pytest.fixture(scope="module")
def world():
    """Small red boxes all over the table, the arm out of the way."""
    world = World(TWIN, {name: Box((EDGE_M,) * 3, 0.1, (0.9, 0.05, 0.05)) for name in NAMES})
    spots = itertools.product((0.30, 0.42, 0.54, 0.66), (-0.16, 0.02, 0.2))
    level = np.array([0.0, 0.0, 0.0, 1.0])
    poses = {
        name: (np.array([x, y, 0.5 * EDGE_M]), level)
        for name, (x, y) in zip(NAMES, spots, strict=True)
    }
    world.reset(Q_HOME_RAD - [2.4, 0, 0, 0, 0, 0, 0], 0.06, poses)
    yield world
    world.close()


def camera(world: World, folder: Path, name: str, **more: object) -> TwinCamera:
    """A camera whose file says lens and mount."""
    path = folder / f"{name}.yaml"
    path.write_text(camera_text("third", lens_of(name), mount_of("panda_link0", X_BC), []))
    where = TWIN.cameras["third"].model_copy(update={"calibration": str(path), **more})
    size = CameraSettings(width_px=640, height_px=480)
    if "crop_px" in more:
        size = CameraSettings(width_px=400, height_px=400)
    return TwinCamera("third", world, FastRenderer(Scene(world), 2, FLAT), where, size)


def outlines(world: World, lens: Calibration) -> list[np.ndarray]:
    """Middles (2,) [px] of the boxes' outlines by OpenCV, their edges bent by the lens too."""
    R_CB = X_BC[:3, :3].T
    found = []
    for name in NAMES:
        p_m, _ = world.body_pose(name)
        grid = np.linspace(-0.5 * EDGE_M, 0.5 * EDGE_M, 5)
        points = (p_m + np.array(list(itertools.product(grid, grid, grid)))) @ R_CB.T
        points -= R_CB @ X_BC[:3, 3]
        none = np.zeros(3)
        project = cv2.fisheye.projectPoints if lens.model == "equidistant" else None
        if project is not None:
            uv, _ = project(points.reshape(-1, 1, 3), none, none, lens.K, lens.D)
        else:
            uv, _ = cv2.projectPoints(points, none, none, lens.K, lens.D)
        moments = cv2.moments(cv2.convexHull(uv.reshape(-1, 1, 2).astype(np.float32)))
        found.append(np.array([moments["m10"], moments["m01"]]) / moments["m00"])
    return found


def seen(pixels: np.ndarray, near: np.ndarray, reach_px: int = 16) -> np.ndarray:
    """The middle (2,) of the box around a point, each pixel by how much of it the box covers."""
    u, v = np.round(near).astype(int)
    top, left = max(v - reach_px, 0), max(u - reach_px, 0)
    green = pixels[top : v + reach_px + 1, left : u + reach_px + 1, 1].astype(float)
    covered = np.clip((0.54 * 255.0 - green) / ((0.54 - 0.05) * 255.0), 0.0, 1.0)
    covered[covered < 0.02] = 0.0  # the table, to rounding
    rows, columns = np.mgrid[0 : green.shape[0], 0 : green.shape[1]]
    middle = np.array([(columns * covered).sum(), (rows * covered).sum()]) / covered.sum()
    return middle + [left, top]


@pytest.mark.parametrize("name", sorted(LENSES))
def test_what_is_drawn_through_a_lens_is_where_opencv_projects_it(
    world: World, tmp_path: Path, name: str
) -> None:
    eye = camera(world, tmp_path, name)
    pixels = eye.picture()
    assert np.allclose(eye.X_BC(), X_BC, atol=1e-5) and np.allclose(eye.K, K)
    wanted = outlines(world, lens_of(name))
    errors = [seen(pixels, middle) - middle for middle in wanted]
    inside = [20 < u < 620 and 20 < v < 460 for u, v in wanted]
    errors_px = np.array([e for e, ok in zip(errors, inside, strict=True) if ok])
    assert len(errors_px) >= 8
    assert np.linalg.norm(errors_px.mean(axis=0)) < 0.1, errors_px
    assert np.linalg.norm(errors_px, axis=1).mean() < 0.1, errors_px
    if name != "none":
        straight = outlines(world, lens_of("none"))
        bent = [np.linalg.norm(a - b) for a, b in zip(wanted, straight, strict=True)]
        assert max(bent) > 3.0, "the lens hardly bends, so this test shows nothing"


@pytest.mark.parametrize("name", sorted(set(LENSES) - {"none"}))
def test_the_maps_are_exact_where_the_lens_sees(name: str) -> None:
    """Pixel -> place in the drawn pinhole -> ray -> OpenCV's projection -> the same pixel."""
    whole = lens_of(name)
    lens = Lens(whole)
    v, u = np.mgrid[0:480:7, 0:640:7]
    x = (lens._u[v, u] - lens.pinhole.K[0, 2]) / lens.pinhole.K[0, 0]
    y = (lens._v[v, u] - lens.pinhole.K[1, 2]) / lens.pinhole.K[1, 1]
    ok = lens._u[v, u] > -1000.0
    again = distort(np.column_stack([x[ok], y[ok]]).astype(np.float64), whole)
    errors_px = np.linalg.norm(again - np.column_stack([u[ok], v[ok]]), axis=1)
    assert ok.mean() > 0.98
    assert errors_px.mean() < 0.01 and errors_px.max() < 0.1
    inside = (lens._u[v, u] >= 0) & (lens._u[v, u] <= lens.pinhole.width_px - 1)
    assert inside[ok].all(), "the margin does not hold all that the lens sees"


@given(st.sampled_from(sorted(LENSES)), st.floats(5, 634), st.floats(5, 474))
@settings(max_examples=60, deadline=None)
def test_undistorting_undoes_distorting(name: str, u: float, v: float) -> None:
    rays, ok = undistort(np.array([[u, v]]), lens_of(name))
    if ok[0]:
        assert distort(rays, lens_of(name))[0] == pytest.approx([u, v], abs=0.02)
    else:
        assert name == "rational" and np.hypot(u - 344, v - 222) > 250


def test_a_crop_and_another_size_show_the_same_directions(world: World, tmp_path: Path) -> None:
    whole = camera(world, tmp_path, "barrel")
    part = camera(world, tmp_path, "barrel", crop_px=(40, 150, 400, 400))
    a, b = whole.picture(), part.picture()
    assert np.abs(a[40:440, 150:550].astype(int) - b).mean() < 0.6
    small = part.picture(100, 100)
    area = cv2.resize(b, (100, 100), interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(int) - area).mean() < 2.0
    assert part.K[0, 2] == pytest.approx(K[0, 2] - 150) and part.D.tolist() == LENSES["barrel"][1]


def test_bullets_renderer_draws_through_the_same_lens(world: World, tmp_path: Path) -> None:
    eye = camera(world, tmp_path, "barrel")
    renderer = BulletRenderer(Scene(world), 2, FLAT)
    other = TwinCamera("third", world, renderer, eye._where, eye.size)
    pictures = eye.picture(), other.picture()
    for middle in outlines(world, lens_of("barrel")):
        if 20 < middle[0] < 620 and 20 < middle[1] < 460:
            assert seen(pictures[0], middle) == pytest.approx(seen(pictures[1], middle), abs=0.3)
    renderer.close()


def test_a_mount_on_the_hand_rides_on_it(world: World, tmp_path: Path) -> None:
    X_HC = pose(exp_so3([0.1, -0.2, 1.4]), (0.06, 0.01, 0.03))
    path = tmp_path / "wrist.yaml"
    path.write_text(camera_text("wrist", lens_of("none"), mount_of("panda_hand", X_HC), []))
    where = TwinCameraSettings(
        position_m=(1.0, 0.0, 1.0),
        look_at_m=(0.0, 0.0, 0.0),
        fov_y_deg=40.0,
        calibration=str(path),
    )
    eye = TwinCamera("wrist", world, FastRenderer(Scene(world), 1), where)
    assert eye.attach == "hand"
    eye.picture()
    assert np.allclose(eye.X_BC(), eye._renderer.scene.pose(1 + ARM.hand) @ X_HC, atol=1e-5)
    own = where.model_copy(update={"mount": mount_of("panda_link0", X_BC)})
    eye = TwinCamera("wrist", world, FastRenderer(Scene(world), 1), own)
    assert eye.attach == "base" and np.allclose(eye.X_AC, X_BC, atol=1e-5)


def test_an_eye_that_is_off_moves_the_picture_and_not_what_is_believed(world: World) -> None:
    eye = TwinCamera("third", world, FastRenderer(Scene(world), 1), TWIN.cameras["third"])
    believed = eye.K.copy(), eye.X_AC.copy()
    straight = eye.picture()
    eye.be(Eye(np.eye(4), 0.0, (3.0, -2.0)), None)
    moved = eye.picture()
    assert np.array_equal(moved[:-2, 3:], straight[2:, :-3])
    eye.be(Eye(pose(np.eye(3), (0.0, 0.0, 0.1))), None)
    assert np.allclose(eye.X_BC()[:3, 3], believed[1][:3, 3] + 0.1 * believed[1][:3, 2])
    eye.be(Eye(np.eye(4), fov_deg=5.0), None)
    real = eye._real(eye.K, 84, 84, eye.believed(84, 84))
    assert 2.0 * np.degrees(np.arctan(42.0 / real[1, 1])) == pytest.approx(27.5 + 5.0)
    assert np.array_equal(eye.K, believed[0]) and np.array_equal(eye.X_AC, believed[1])
    eye.be(None, None)
    assert np.array_equal(eye.picture(), straight)


def test_what_cannot_be_a_camera_is_refused_in_words(world: World, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"twin.cameras.third.*does not lie inside"):
        camera(world, tmp_path, "barrel", crop_px=(0, 0, 480, 900))
    path = tmp_path / "foreign.yaml"
    mount = mount_of("panda_link0", X_BC).model_copy(update={"parent_frame": "tool0"})
    path.write_text(camera_text("third", lens_of("none"), mount, []))
    where = TWIN.cameras["third"].model_copy(update={"calibration": str(path)})
    with pytest.raises(ConfigError, match=r"foreign.yaml.*'tool0'.*panda_link0 or panda_hand"):
        TwinCamera("third", world, FastRenderer(Scene(world), 1), where)
    wide = Calibration(640, 480, np.diag([70.0, 70.0, 1.0]), np.zeros(5))
    with pytest.raises(ConfigError, match="80 degrees"):
        Lens(wide)
    assert load_calibration(path).width_px == 640
