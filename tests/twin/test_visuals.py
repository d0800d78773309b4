"""The arm's looks: light hulls that match the CAD meshes, made once, cached, and never half."""

import os

import numpy as np
import pybullet
import pytest
from handful_twin import visuals
from handful_twin.arm_model import arm_model
from handful_twin.hulls import hull, support_points
from handful_twin.meshes import (
    MeshError,
    box_mesh,
    join_meshes,
    look_at,
    read_obj,
    smooth_mesh,
    write_obj,
)
from handful_twin.raster import Look
from handful_twin.renderers import BulletRenderer, FastRenderer, _view
from handful_twin.scene import Scene
from handful_twin.settings import TwinSettings
from handful_twin.twin_camera import intrinsics
from handful_twin.urdf import Urdf
from handful_twin.world import World

from handful.config import load

ARM = arm_model()
Q_HOME_RAD = ARM.home_rad


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A cache of our own, filled once: building the hulls takes seconds."""
    folder = tmp_path_factory.mktemp("cache")
    kept = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = str(folder)
    visuals.arm_meshes(ARM, "hulls")
    yield folder / "handful"
    if kept is None:
        del os.environ["XDG_CACHE_HOME"]
    else:
        os.environ["XDG_CACHE_HOME"] = kept


def same(a, b) -> bool:
    return len(a) == len(b) and all(
        x.link == y.link
        and x.rgb == pytest.approx(y.rgb)
        and all(
            np.array_equal(getattr(x, k), getattr(y, k)) for k in ("vertices_m", "normals", "faces")
        )
        for x, y in zip(a, b, strict=True)
    )


def is_closed_and_faces_out(mesh) -> bool:
    _, merged = np.unique(mesh.vertices_m, axis=0, return_inverse=True)
    faces = merged.ravel()[mesh.faces]
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    forth = {tuple(e) for e in edges}
    a, b, c = (mesh.vertices_m[mesh.faces[:, k]].astype(float) for k in range(3))
    volume = np.einsum("fk,fk->", a, np.cross(b, c)) / 6.0
    return len(forth) == len(edges) and all((j, i) in forth for i, j in forth) and volume > 0.0


def test_hulls_are_few_closed_triangles_for_every_link(cache) -> None:
    meshes = visuals.arm_meshes(ARM, "hulls")
    assert 800 < sum(len(mesh.faces) for mesh in meshes) < 2500
    assert {mesh.link for mesh in meshes} == {
        *(f"panda_link{i}" for i in range(8)),
        "panda_hand",
        "panda_leftfinger",
        "panda_rightfinger",
    }
    assert all(is_closed_and_faces_out(mesh) for mesh in meshes)
    assert {mesh.rgb for mesh in meshes} == {visuals.SHELL_RGB, visuals.DARK_RGB}
    for mesh in meshes:
        assert np.linalg.norm(mesh.normals, axis=1) == pytest.approx(1.0, abs=1e-3)
        assert mesh.faces.max() == len(mesh.vertices_m) - 1
        assert mesh.vertices_m.dtype == np.float32 and mesh.faces.dtype == np.int32


@pytest.mark.parametrize("eye", [(1.5, -0.5, 0.75), (0.4, 1.5, 0.9), (1.2, 0.0, 0.6)])
def test_hulls_look_like_the_full_meshes(cache, eye) -> None:
    world = World(load(TwinSettings, "twin"), {})
    world.reset(Q_HOME_RAD, 0.08, {})
    views = []
    for detail in ("hulls", "full"):
        scene = Scene(world, detail)
        raster = FastRenderer(scene, 1, Look(shadow=1.0)).raster
        X_BC = look_at(eye, [0.3, 0.0, 0.4], [0, 0, 1])
        views.append(raster.layers(scene.poses, intrinsics(45.0, 128, 128), X_BC, 128, 128))
    world.close()
    table = scene.names.index("table")
    arm = [(v.labels >= 0) & (v.labels != table) for v in views]
    assert (arm[0] & arm[1]).sum() / (arm[0] | arm[1]).sum() > 0.93
    both = arm[0] & arm[1]
    assert (views[0].labels == views[1].labels)[both].mean() > 0.93
    dark = [v.rgb.max(axis=2) < 75 for v in views]
    assert (dark[0] == dark[1])[both].mean() > 0.85
    depth = np.abs(views[0].depth_m[both] - views[1].depth_m[both])
    assert np.median(depth) < 0.005 and np.quantile(depth, 0.9) < 0.015


def test_the_full_arm_is_the_one_bullet_loads(cache) -> None:
    """Every link where PyBullet draws it when it loads the URDF itself."""
    world = World(load(TwinSettings, "twin"), {})
    world.reset(Q_HOME_RAD, 0.05, {})
    scene = Scene(world, "full")
    K, X_BC = intrinsics(20.0, 160, 160), look_at((1.1, 0.7, 0.5), [0.45, 0.0, 0.3], [0, 0, 1])
    ours = FastRenderer(scene, 1).raster.layers(scene.poses, K, X_BC, 160, 160).labels
    client = pybullet.connect(pybullet.DIRECT)
    urdf = str(ARM.urdf.path)
    arm = pybullet.loadURDF(urdf, useFixedBase=True, physicsClientId=client)
    for joint, value in zip(world.arm_joints + world.finger_joints, world.joints()[0], strict=True):
        pybullet.resetJointState(arm, joint, value, physicsClientId=client)
    projection = BulletRenderer(scene)._projection(K, 1, 160, 160, 0.05, 3.0)
    theirs = pybullet.getCameraImage(
        160, 160, _view(X_BC), projection, physicsClientId=client,
        renderer=pybullet.ER_TINY_RENDERER,
        flags=pybullet.ER_SEGMENTATION_MASK_OBJECT_AND_LINKINDEX,
    )[4]  # fmt: skip
    pybullet.disconnect(physicsClientId=client)
    world.close()
    links = np.array([world.links.get(name, -9) for name in scene.names])
    ours = np.where(ours < 0, -9, links[ours])
    theirs = np.where(theirs < 0, -9, (theirs >> 24) - 1)
    assert {9, 10} <= set(np.unique(ours)), "both fingers are in view"
    assert (ours == theirs).mean() > 0.998
    for finger in (9, 10):
        assert (theirs[ours == finger] == finger).mean() > 0.95


def test_the_cache_is_read_again_and_nothing_else_lies_in_it(cache, monkeypatch) -> None:
    first = visuals.arm_meshes(ARM, "hulls")
    monkeypatch.setattr(visuals, "_build", None)
    assert same(visuals.arm_meshes(ARM, "hulls"), first)
    visuals_of = {p.name.rpartition("-")[0] for p in cache.iterdir() if p.suffix == ".npz"}
    assert visuals_of <= {f"panda-{detail}-{visuals._VERSION}" for detail in ("hulls", "full")}


def of_link(meshes, link: str):
    return [mesh for mesh in meshes if mesh.link == link]


def test_a_damaged_cache_is_made_anew(cache, monkeypatch) -> None:
    first = visuals.arm_meshes(ARM, "hulls")
    built = []
    monkeypatch.setattr(
        visuals, "_build", lambda *args: built.append(args) or of_link(first, args[1])
    )
    (path,) = cache.glob("panda-hulls-*.npz")
    path.write_bytes(path.read_bytes()[:1000])
    assert same(visuals.arm_meshes(ARM, "hulls"), first)
    assert same(visuals.arm_meshes(ARM, "hulls"), first)
    assert len(built) == len(ARM.links) and path.stat().st_size > 1000


def test_without_a_place_to_write_it_works_all_the_same(tmp_path, monkeypatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    folder = visuals.cache_folder()
    assert folder.is_dir() and os.access(folder, os.W_OK)
    assert visuals.cache_folder() == folder
    visuals._save(tmp_path / "gone" / "x.npz", [])  # the folder vanished: slower, not an error


def test_a_full_disk_leaves_no_half_cache(tmp_path, monkeypatch) -> None:
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(visuals.np, "savez", full)
    visuals._save(tmp_path / "x.npz", [box_mesh("box", (1, 1, 1), (1, 1, 1))])
    assert list(tmp_path.iterdir()) == []


def test_a_box_is_closed_flat_and_of_its_size() -> None:
    box = box_mesh("box", (0.2, 0.4, 0.6), (1.0, 0.0, 0.0), (1.0, 2.0, 3.0))
    assert is_closed_and_faces_out(box)
    assert box.vertices_m.min(axis=0) == pytest.approx([0.9, 1.8, 2.7])
    assert box.vertices_m.max(axis=0) == pytest.approx([1.1, 2.2, 3.3])
    assert len(box.vertices_m) == 24, "corners shared across sharp edges"
    assert np.abs(box.normals).max(axis=1) == pytest.approx(1.0)


def test_gentle_edges_are_shaded_round_and_sharp_ones_are_not() -> None:
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    ring = np.column_stack([np.cos(angles), np.sin(angles)])
    vertices = np.vstack([np.insert(ring, 2, z, axis=1) for z in (0.0, 1.0)])
    i, j = np.arange(24), (np.arange(24) + 1) % 24
    side = np.concatenate([np.column_stack([i, j, j + 24]), np.column_stack([i, j + 24, i + 24])])
    lid = np.column_stack([np.full(22, 24), i[1:-1] + 24, i[2:] + 24])
    mesh = smooth_mesh("can", vertices, np.vstack([side, lid]), (1, 1, 1))
    up = mesh.normals[:, 2]
    assert set(np.round(up, 2)) == {0.0, 1.0}
    wall = np.abs(up) < 0.5
    radial = mesh.vertices_m[wall, :2]
    assert np.einsum("vk,vk->v", mesh.normals[wall, :2], radial) == pytest.approx(1.0, abs=0.01)


def test_a_hull_of_support_points_is_nearly_the_hull() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(2000, 3)) * [0.3, 0.1, 0.02]
    corners, faces, planes = hull(support_points(points, 48))
    outside_m = (points @ planes[:, :3].T + planes[:, 3]).max(axis=1)
    assert (outside_m > 0.005).mean() < 0.02
    assert len(faces) <= 2 * (48 + 6) - 4


def test_meshes_join_and_survive_a_file(tmp_path) -> None:
    one, two = (box_mesh("a", (1, 1, 1), (1, 1, 1), (x, 0, 0)) for x in (0.0, 5.0))
    both = join_meshes([one, two])
    assert len(both.faces) == 24 and both.faces.max() == 47
    write_obj(tmp_path / "both.obj", both)
    vertices, faces, dark = read_obj(tmp_path / "both.obj")
    assert vertices == pytest.approx(both.vertices_m, abs=1e-5)
    assert np.array_equal(faces, both.faces) and not dark.any()


def test_obj_faces_with_four_corners_and_dark_materials_are_understood(tmp_path) -> None:
    (tmp_path / "x.mtl").write_text("newmtl black\nKd 0.1 0.1 0.1\nnewmtl white\nKd 1 1 1\n")
    (tmp_path / "x.obj").write_text(
        "mtllib x.mtl\nv 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\n"
        "usemtl white\nf 1/1/1 2/2/1 3/3/1 4/4/1\nusemtl black\nf 1 2 3\n"
    )
    _, faces, dark = read_obj(tmp_path / "x.obj")
    assert faces.tolist() == [[0, 1, 2], [0, 2, 3], [0, 1, 2]]
    assert dark.tolist() == [False, False, True]


def test_an_unreadable_mesh_is_named(tmp_path, monkeypatch) -> None:
    for name, text in (("empty.obj", ""), ("broken.obj", "v 0 x 0\n")):
        (tmp_path / name).write_text(text)
        with pytest.raises(MeshError, match=name):
            read_obj(tmp_path / name)
    with pytest.raises(MeshError, match="missing.obj"):
        read_obj(tmp_path / "missing.obj")
    import pybullet_data

    monkeypatch.setattr(pybullet_data, "getDataPath", lambda: str(tmp_path))
    with pytest.raises(MeshError, match="panda.urdf: not there"):
        Urdf("pybullet_data:franka_panda/panda.urdf")
