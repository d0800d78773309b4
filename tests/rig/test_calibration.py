"""Intrinsics from camera_calibration's YAML, and what cropping and resizing makes of them."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from handful.config import ConfigError
from handful.rig.calibration import Calibration, View, load_calibration

K = np.array([[610.0, 0.0, 321.5], [0.0, 608.0, 241.0], [0.0, 0.0, 1.0]])


def matrix(rows: int, cols: int, values) -> dict:
    return {"rows": rows, "cols": cols, "data": [float(v) for v in np.ravel(values)]}


@pytest.fixture
def values() -> dict:
    """What camera_calibration writes."""
    return {
        "image_width": 640,
        "image_height": 480,
        "camera_name": "third",
        "camera_matrix": matrix(3, 3, K),
        "distortion_model": "plumb_bob",
        "distortion_coefficients": matrix(1, 5, [0.1, -0.2, 0.001, 0.002, 0.0]),
        "rectification_matrix": matrix(3, 3, np.eye(3)),
        "projection_matrix": matrix(3, 4, np.hstack([1.1 * K, np.zeros((3, 1))])),
    }


def written(tmp_path: Path, values) -> Path:
    path = tmp_path / "third.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def test_a_calibration_is_read(tmp_path, values) -> None:
    lens = load_calibration(written(tmp_path, values))
    assert (lens.width_px, lens.height_px, lens.model) == (640, 480, "plumb_bob")
    assert np.array_equal(lens.K, K) and lens.D.tolist() == [0.1, -0.2, 0.001, 0.002, 0.0]
    assert lens.P[0, 0] == pytest.approx(671.0) and np.array_equal(lens.R, np.eye(3))


def test_projection_and_rectification_may_be_left_out(tmp_path, values) -> None:
    del values["projection_matrix"], values["rectification_matrix"]
    lens = load_calibration(written(tmp_path, values))
    assert np.array_equal(lens.P[:, :3], K) and lens.P.shape == (3, 4)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("image_width", "640", "image_width: expected a number of pixels"),
        ("image_height", 0, "image_height: expected a number of pixels"),
        ("camera_matrix", matrix(2, 2, [1, 2, 3, 4]), "camera_matrix: expected 3 x 3 .* got 2 x 2"),
        ("camera_matrix", {"rows": 3, "cols": 3, "data": [1.0]}, "camera_matrix: expected rows"),
        ("camera_matrix", matrix(3, 3, np.zeros(9)), "focal lengths must be above 0"),
        ("camera_matrix", None, "camera_matrix: expected rows, cols and data"),
        ("camera_matrix", matrix(3, 3, [np.nan] * 9), "not finite|above 0"),
        ("distortion_model", "fisheye", "known are plumb_bob, rational_polynomial, equidistant"),
        ("distortion_coefficients", matrix(1, 4, [0] * 4), "4 numbers, plumb_bob has 5"),
        ("projection_matrix", matrix(3, 3, K), "projection_matrix: expected 3 x 4"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_file_and_key(tmp_path, values, key, value, said) -> None:
    path = written(tmp_path, {**values, key: value})
    with pytest.raises(ConfigError, match=said) as error:
        load_calibration(path)
    assert str(path) in str(error.value)


def test_no_file_no_yaml_no_mapping(tmp_path) -> None:
    for text in (None, "a: [", "- 1"):
        path = tmp_path / "x.yaml"
        if text is not None:
            path.write_text(text)
        with pytest.raises(ConfigError, match="x.yaml"):
            load_calibration(path)


@given(
    top=st.integers(0, 200), left=st.integers(0, 300),
    height=st.integers(20, 280), width=st.integers(20, 340),
    size=st.tuples(st.integers(10, 700), st.integers(10, 700)),
    x=st.floats(-0.4, 0.4), y=st.floats(-0.3, 0.3),
)  # fmt: skip
def test_a_point_lands_where_cropping_and_resizing_moves_its_pixel(
    top, left, height, width, size, x, y
) -> None:
    whole = Calibration(640, 480, K, np.zeros(5))
    view = View((top, left, height, width), size)
    part = view.calibration(whole)
    assert (part.width_px, part.height_px) == size
    u, v, _ = whole.K @ [x, y, 1.0]
    # Where a pixel's centre goes: edges are half a pixel out.
    expected = [(u - left + 0.5) * size[0] / width - 0.5, (v - top + 0.5) * size[1] / height - 0.5]
    assert (part.K @ [x, y, 1.0])[:2] == pytest.approx(expected, abs=1e-6)
    assert part.P[:, :3] == pytest.approx(part.K)


def test_the_pixels_agree_with_the_intrinsics() -> None:
    """A bright spot in a picture is found where the new intrinsics put it."""
    pixels = np.zeros((480, 640, 3), np.uint8)
    cv2.circle(pixels, (400, 200), 12, (255, 255, 255), -1)
    view = View((0, 80, 480, 480), (84, 84))
    small = view.colour(pixels)[..., 0].astype(float)
    rows, cols = np.mgrid[0:84, 0:84]
    found = np.array([(cols * small).sum(), (rows * small).sum()]) / small.sum()
    whole = Calibration(640, 480, K, np.zeros(5))
    ray = np.linalg.inv(whole.K) @ [400.0, 200.0, 1.0]
    assert (view.calibration(whole).K @ ray)[:2] == pytest.approx(found, abs=0.05)


def test_depth_is_never_mixed_over_an_edge() -> None:
    depth_mm = np.full((480, 640), 500, np.uint16)
    depth_mm[:, 320:] = 900
    assert set(np.unique(View(None, (83, 61)).depth(depth_mm))) == {500, 900}
