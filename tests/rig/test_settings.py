"""The rig's settings: the shipped file is the defaults, and impossible cells are refused."""

import re
from importlib import resources

import pytest
import yaml

from handful.config import ConfigError, build, load
from handful.rig.settings import RigSettings


def refuse(values: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(RigSettings, values, "cell")


def test_the_shipped_file_says_every_default_aloud() -> None:
    assert load(RigSettings, "rig") == RigSettings()
    shipped = yaml.safe_load(resources.files("handful_config").joinpath("rig.yaml").read_text())

    def keys(values: object) -> object:
        return {k: keys(v) for k, v in values.items()} if isinstance(values, dict) else None

    assert keys(shipped) == keys(RigSettings().model_dump())


def test_every_key_of_the_shipped_file_has_a_remark() -> None:
    text = resources.files("handful_config").joinpath("rig.yaml").read_text()
    seen = set()
    for line in text.splitlines():
        match = re.match(r"\s*([a-z_0-9]+): \S", line)
        if match and match[1] not in seen:  # a second camera need not say it again
            seen.add(match[1])
            assert " # " in line, line


def test_the_period_is_one_over_the_rate() -> None:
    assert RigSettings(control_rate_hz=20.0).period_s == 0.05


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("high", [-1.0, 0.0])
def test_a_workspace_without_an_inside_is_refused(axis, high) -> None:
    low, top = [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]
    top[axis] = high
    message = f"guard: workspace_min_m must be below .* on {'xyz'[axis]} they are 0.0 and {high}"
    refuse({"guard": {"workspace_min_m": low, "workspace_max_m": top}}, message)


@pytest.mark.parametrize(
    ("group", "key"),
    [
        ("guard", "max_speed_m_s"),
        ("guard", "max_accel_m_s2"),
        ("guard", "max_yaw_rate_rad_s"),
        ("guard", "max_age_s"),
        ("guard", "max_gripper_m"),
        ("observe", "max_frame_age_s"),
        ("observe", "max_arm_age_s"),
        ("action", "step_m"),
        ("action", "gripper_max_m"),
    ],
)
@pytest.mark.parametrize("value", [0.0, -1.0])
def test_a_limit_must_be_above_zero(group, key, value) -> None:
    refuse({group: {key: value}}, f"{group}.{key}: must be greater than 0")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"control_rate_hz": 0}, "control_rate_hz: must be greater than 0"),
        ({"control_rate_hz": 1e9}, "control_rate_hz: must be less than or equal to 1000"),
        ({"cameras": {}}, "cameras: the rig needs at least one camera"),
        ({"cameras": {"Left Eye": {}}}, "camera name 'Left Eye': small letters"),
        ({"cameras": {"a": {"width_px": 4}}}, r"cameras\.a\.width_px: .* 8 \(got 4\)"),
        ({"cameras": {"a": {"crop_px": [0, 0, 85, 84]}}}, "inside the picture of 84 rows x 84"),
        ({"cameras": {"a": {"crop_px": [0, 1, 84, 84]}}}, "does not lie inside"),
        ({"cameras": {"a": {"crop_px": [-1, 0, 20, 20]}}}, "does not lie inside"),
        ({"cameras": {"a": {"crop_px": [0, 0, 0, 20]}}}, "does not lie inside"),
        ({"observe": {"frame_stack": 0}}, "frame_stack: must be greater than or equal to 1"),
        ({"observe": {"proprioception": ["positon"]}}, r"proprioception\.0: must be 'position'"),
        ({"observe": {"proprioception": ["yaw", "yaw"]}}, "each only once"),
        ({"observe": {"proprioception": []}}, "at least one quantity"),
        ({"action": {"frame": "world"}}, r"action\.frame: must be 'base' or 'tool'"),
        ({"action": {"yaw_step_rad": -0.1}}, "yaw_step_rad: must be greater than or equal to 0"),
        ({"action": {"gripper_max_m": 0.2}}, r"gripper_max_m 0\.2 is above guard\.max_gripper_m"),
    ],
)
def test_an_impossible_cell_is_refused_with_its_reason(values, message) -> None:
    refuse(values, message)


def test_a_crop_of_the_whole_picture_is_a_crop() -> None:
    rig = build(RigSettings, {"cameras": {"a": {"crop_px": [0, 0, 84, 84]}}}, "cell")
    assert rig.cameras["a"].crop_px == (0, 0, 84, 84)
