"""The rasteriser against OpenCV's projection and against ray casting by hand."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from handful_twin.meshes import box_mesh, join_meshes, look_at
from handful_twin.raster import Geometry, Look, Rasteriser
from hypothesis import given, settings
from hypothesis import strategies as st

SIZE_PX = 48
NO_SHADOW = Look(shadow=1.0)
PLAIN = Look(to_light=(0.0, 0.0, 1.0), ambient=0.5, diffuse=0.0, sky=0.0, shadow=0.5)


def geometry(vertices_m, faces, rgb=(1.0, 1.0, 1.0), casts=0, catches=0) -> Geometry:
    """Faces in B, each with its own label."""
    vertices_m, faces = np.asarray(vertices_m), np.asarray(faces)
    count = len(faces)
    return Geometry(
        vertices_m=vertices_m.astype(np.float32),
        normals=np.tile(np.float32([0, 0, 1]), (len(vertices_m), 1)),
        frame_start=np.array([0, len(vertices_m)], np.int32),
        faces=faces.astype(np.int32),
        face_rgb=np.tile(np.float32(rgb), (count, 1)),
        face_label=np.arange(count, dtype=np.int32),
        casts=np.broadcast_to(np.uint8(casts), count).copy(),
        catches=np.broadcast_to(np.uint8(catches), count).copy(),
    )


def layers(shape: Geometry, K, X_BC, size_px=SIZE_PX, near_m=0.01, look=NO_SHADOW):
    return Rasteriser(shape, look, 1).layers(np.eye(3, 4)[None], K, X_BC, size_px, size_px, near_m)


def some_camera(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """K with different focal lengths and a principal point off the middle; X_BC anywhere around."""
    fx, fy = rng.uniform(30, 90, 2)
    cx, cy = 0.5 * (SIZE_PX - 1) + rng.uniform(-8, 8, 2)
    K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]])
    direction = rng.normal(size=3)
    eye = direction / np.linalg.norm(direction) * rng.uniform(0.8, 1.6)
    return K, look_at(eye, rng.uniform(-0.1, 0.1, 3), rng.normal(size=3))


def rays(K, X_BC) -> np.ndarray:
    """Directions (N, 3) in B through all pixel centres, of length 1 along z of C."""
    v, u = np.divmod(np.arange(SIZE_PX * SIZE_PX), SIZE_PX)
    in_camera = np.column_stack([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], np.ones(len(u))])
    return in_camera @ X_BC[:3, :3].T


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_a_triangle_covers_the_pixels_opencv_says(seed: int) -> None:
    rng = np.random.default_rng(seed)
    K, X_BC = some_camera(rng)
    vertices = rng.uniform(-0.35, 0.35, (3, 3))
    labels = layers(geometry(vertices, [[0, 1, 2], [0, 2, 1]]), K, X_BC).labels
    R_CB, t = X_BC[:3, :3].T, -X_BC[:3, :3].T @ X_BC[:3, 3]
    uv, _ = cv2.projectPoints(vertices, cv2.Rodrigues(R_CB)[0], t, K, None)
    outline = uv.astype(np.float32)
    for v in range(SIZE_PX):
        for u in range(SIZE_PX):
            distance_px = cv2.pointPolygonTest(outline, (u, v), True)
            if abs(distance_px) > 0.05:
                assert (labels[v, u] >= 0) == (distance_px > 0), (u, v, distance_px)


@given(st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_a_triangle_soup_is_what_casting_rays_finds(seed: int) -> None:
    """Also with the eye amid the triangles, where the near plane cuts them."""
    rng = np.random.default_rng(seed)
    K, X_BC = some_camera(rng)
    vertices = rng.uniform(-1.5, 1.5, (18, 3))
    faces = np.arange(18).reshape(6, 3)
    near_m = 0.05
    seen = layers(geometry(vertices, faces), K, X_BC, near_m=near_m)
    d, eye = rays(K, X_BC), X_BC[:3, 3]
    depth, label, doubtful = (np.full(len(d), value) for value in (np.inf, -1, 0))
    for f, (a, b, c) in enumerate(vertices[faces]):
        normal = np.cross(b - a, c - a)
        facing = d @ normal
        z = ((a - eye) @ normal) / facing
        p = eye + z[:, None] * d
        sides = np.stack([np.cross(q - o, p - o) @ normal for o, q in ((a, b), (b, c), (c, a))])
        sides /= normal @ normal
        inside = (sides > 0).all(axis=0) & (facing < 0) & (z > near_m)
        doubtful |= (np.abs(sides).min(axis=0) < 1e-3) | (np.abs(z - near_m) < 1e-3)
        doubtful |= inside & (np.abs(z - depth) < 1e-3)
        label = np.where(inside & (z < depth), f, label)
        depth = np.where(inside & (z < depth), z, depth)
    sure = doubtful == 0
    assert sure.mean() > 0.5
    assert np.array_equal(seen.labels.ravel()[sure], label[sure])
    assert seen.depth_m.ravel()[sure] == pytest.approx(depth[sure], rel=1e-4)


def test_neighbours_meet_without_a_crack() -> None:
    rng = np.random.default_rng(0)
    middle = np.array([[0.03, -0.02, 0.0]])
    angles = np.sort(rng.uniform(0, 2 * np.pi, 40))
    rim = np.column_stack([np.cos(angles), np.sin(angles), np.zeros(40)])
    faces = [(0, i + 1, (i + 1) % 40 + 1) for i in range(40)]
    fan = geometry(np.vstack([middle, rim * 9.0]), faces)
    for _ in range(20):
        K, X_BC = some_camera(rng)
        X_BC = look_at([*X_BC[:2, 3], 1.0 + rng.uniform()], [0.0, 0.0, 0.0], rng.normal(size=3))
        assert (layers(fan, K, X_BC).labels >= 0).all()


def test_a_floor_that_runs_under_and_behind_the_eye_ends_at_the_horizon() -> None:
    floor = geometry(
        [[-900, -900, 0], [900, -900, 0], [900, 900, 0], [-900, 900, 0]], [[0, 1, 2], [0, 2, 3]]
    )
    K = np.array([[40.0, 0, 23.5], [0, 40.0, 20.0], [0, 0, 1.0]])
    seen = layers(floor, K, look_at([0, 0, 0.5], [1, 0, 0.5], [0, 0, 1]))
    assert (seen.labels[:20] == -1).all()
    assert (seen.labels[21:] >= 0).all()
    rows = np.arange(21, SIZE_PX)
    assert seen.depth_m[21:, 7] == pytest.approx(0.5 * 40.0 / (rows - 20.0), rel=1e-3)


def test_what_faces_away_or_lies_behind_is_not_drawn() -> None:
    K, X = np.array([[40.0, 0, 23.5], [0, 40.0, 23.5], [0, 0, 1.0]]), np.eye(4)
    corners = np.array([[-1, -1, 2], [1, -1, 2], [0, 1, 2.0]])
    towards, away = [[0, 2, 1]], [[0, 1, 2]]
    assert (layers(geometry(corners, towards), K, X).labels >= 0).any()
    assert (layers(geometry(corners, away), K, X).labels == -1).all()
    assert (layers(geometry(-corners, towards), K, X).labels == -1).all()
    assert (layers(geometry(corners * 0.02, towards), K, X, near_m=0.05).labels == -1).all()


def scene_of_boxes() -> tuple[Geometry, np.ndarray]:
    """A table in frame 0 and, 20 cm above it in frame 1, a cube within a cube of the same size."""
    table = box_mesh("table", (1.0, 1.0, 0.1), (0.8, 0.6, 0.4), (0.0, 0.0, -0.05))
    cube = box_mesh("cube", (0.1, 0.1, 0.1), (0.9, 0.1, 0.1))
    both = join_meshes([table, cube, cube])
    top = np.concatenate([table.normals[table.faces[:, 0], 2] > 0.9, np.zeros(24, bool)])
    kinds = np.repeat([0, 1, 1], 12)
    shape = Geometry(
        vertices_m=both.vertices_m,
        normals=both.normals,
        frame_start=np.array([0, len(table.vertices_m), len(both.vertices_m)], np.int32),
        faces=both.faces,
        face_rgb=np.where(kinds[:, None] == 0, table.rgb, cube.rgb).astype(np.float32),
        face_label=kinds.astype(np.int32),
        casts=kinds.astype(np.uint8),
        catches=top.astype(np.uint8),
    )
    poses = np.tile(np.eye(3, 4), (2, 1, 1))
    poses[1, :, 3] = 0.0, 0.0, 0.25
    return shape, poses


K_64 = np.array([[80.0, 0, 31.5], [0, 80.0, 31.5], [0, 0, 1.0]])


@pytest.mark.parametrize("eye", [(0.0, -0.9, 0.7), (-0.4, 0.1, 1.2), (0.6, 0.15, 0.8)])
def test_a_shadow_lies_where_the_light_throws_it(eye) -> None:
    shape, poses = scene_of_boxes()
    X_BC = look_at(eye, [0, 0, 0], [0, 0, 1])
    light = np.array([0.5, 0.3, 1.0])
    look = Look(tuple(light), ambient=0.5, diffuse=0.0, sky=0.0, shadow=0.5)
    seen = Rasteriser(shape, look, 1).layers(poses, K_64, X_BC, 64, 64)
    v, u = np.nonzero(seen.labels == 0)
    z = seen.depth_m[v, u]
    p_C = np.column_stack([(u - 31.5) / 80.0 * z, (v - 31.5) / 80.0 * z, z])
    p_B = p_C @ X_BC[:3, :3].T + X_BC[:3, 3]
    top = np.abs(p_B[:, 2]) < 1e-4
    # Back along the light: does the ray from the table pass through the cube's 0.20..0.30 m slab?
    heights = np.linspace(0.2, 0.3, 101)
    xy = p_B[:, None, :2] + heights[None, :, None] * light[:2] / light[2]
    reach = np.abs(xy).max(axis=2).min(axis=1) - 0.05
    dark = seen.rgb[v, u, 0] < 80  # 0.8 * 0.5 * 255 = 102 lit, 51 in the shadow
    sure = top & (np.abs(reach) > 2e-3)
    assert set(seen.rgb[v, u, 0][sure]) == {51, 102}, "dimmed once, however many cast there"
    assert np.array_equal(dark[sure], reach[sure] < 0.0)
    assert 20 < dark[sure].sum() < sure.sum() - 20
    lit = Rasteriser(shape, replace(look, shadow=1.0), 1).rgb(poses, K_64, X_BC, 64, 64)
    other = np.ones((64, 64), bool)
    other[v[top], u[top]] = False
    assert np.array_equal(seen.rgb[other], lit[other]), "a shadow fell on more than the table's top"


def test_no_shadow_without_a_light_from_above_or_with_factor_one() -> None:
    shape, poses = scene_of_boxes()
    X_BC = look_at([0.0, -0.9, 0.7], [0, 0, 0], [0, 0, 1])
    for look in (
        Look((0.5, 0.3, 1.0), 0.5, 0.0, 0.0, shadow=1.0),
        Look((0.2, 0.0, -1.0), 0.5, 0.0, 0.0, shadow=0.5),
    ):
        rgb = Rasteriser(shape, look, 1).rgb(poses, K_64, X_BC, 64, 64)
        assert set(np.unique(rgb[..., 0])) <= {
            102,  # table
            115,  # cube
            *np.round(np.array([look.floor_rgb[0], look.wall_rgb[0]]) * 255),
        }


def test_light_falls_on_what_faces_it_and_turns_with_the_body() -> None:
    shape, poses = scene_of_boxes()
    X_BC = look_at([0.0, -0.01, 0.9], [0, 0, 0], [0, 1, 0])
    look = Look((0.6, 0.0, 0.8), ambient=0.2, diffuse=0.5, sky=0.0, shadow=1.0)
    level = Rasteriser(shape, look, 1).rgb(poses, K_64, X_BC, 64, 64)[32, 32, 0]
    assert level == pytest.approx(255 * 0.9 * (0.2 + 0.5 * 0.8), abs=1)
    c, s = 0.8, 0.6  # tilt the cube's top into the light
    poses[1, :, :3] = [[c, 0, s], [0, 1, 0], [-s, 0, c]]
    tilted = Rasteriser(shape, look, 1).rgb(poses, K_64, X_BC, 64, 64)[32, 32, 0]
    assert tilted == pytest.approx(255 * 0.9 * (0.2 + 0.5 * 1.0), abs=1)


@pytest.mark.parametrize("n", [2, 3])
def test_anti_aliasing_is_the_mean_of_a_finer_picture(n: int) -> None:
    shape, poses = scene_of_boxes()
    X_BC = look_at([0.5, -0.7, 0.4], [0, 0, 0.1], [0, 0, 1])
    smooth = Rasteriser(shape, None, n).rgb(poses, K_64, X_BC, 64, 64)
    K_fine = np.diag([n, n, 1.0]) @ K_64
    K_fine[:2, 2] += 0.5 * (n - 1)
    fine = Rasteriser(shape, None, 1).rgb(poses, K_fine, X_BC, 64 * n, 64 * n)
    mean = fine.reshape(64, n, 64, n, 3).mean(axis=(1, 3))
    assert np.abs(smooth - mean).max() <= 1.0


def test_the_same_scene_is_the_same_bytes_whatever_was_drawn_before() -> None:
    shape, poses = scene_of_boxes()
    one, other = Rasteriser(shape), Rasteriser(shape)
    X_BC = look_at([0.5, -0.7, 0.4], [0, 0, 0.1], [0, 0, 1])
    first = one.rgb(poses, K_64, X_BC, 64, 64)
    one.rgb(poses, K_64, look_at([0.1, 0.9, 0.4], [0, 0, 0], [0, 0, 1]), 64, 64)
    one.layers(poses, K_64, X_BC, 30, 20)
    again = one.rgb(poses, K_64, X_BC, 64, 64)
    assert np.array_equal(first, again)
    assert np.array_equal(first, other.rgb(poses, K_64, X_BC, 64, 64))
    assert not np.shares_memory(first, again)


def test_an_unusable_number_of_samples_is_refused() -> None:
    shape, _ = scene_of_boxes()
    for samples in (0, 5):
        with pytest.raises(ValueError, match=f"1 to 4 .* got {samples}"):
            Rasteriser(shape, None, samples)
