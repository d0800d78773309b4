"""Printed AprilTags in the twin: found where they are, and nothing else changed by them."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from handful_twin import tag_check
from handful_twin.paint import TAG, TAG_ON_TABLE
from handful_twin.renderers import FastRenderer
from handful_twin.settings import TwinSettings
from handful_twin.tag_check import true_pose
from handful_twin.task_env import TwinTaskEnv, make_env

from handful.config import ConfigError, load
from handful.rig.calibration import load_calibration
from handful.rig.mount import load_mount, optical_pose
from handful.rig.reward_tags import TagFinder

SIZE = 640, 480
BOTH = [
    {"carrier": "cube", "id": 3, "size_m": 0.03, "turn_rad": 1.5707963267948966},
    {"carrier": "table", "id": 7, "size_m": 0.05, "at_m": [0.45, -0.18], "turn_rad": 0.5},
]


def twin(**more: Any) -> TwinSettings:
    return load(TwinSettings, "twin", more)


def push(**more: Any) -> TwinTaskEnv:
    env = make_env("push", twin=twin(**more))
    env.reset(3)
    return env


def off_m(env: TwinTaskEnv, pixels: np.ndarray) -> dict[int, float]:
    """How far off each tag is that is found in the third camera's picture."""
    eye, found = env.stage.eyes["third"], {}
    for tag in env.twin.tags.printed:
        finder = TagFinder(tag.family, tag.size_m, eye.believed(*SIZE))
        X_CO = finder.find(pixels).get(tag.id)
        if X_CO is not None:
            X_BO = eye.X_BC() @ X_CO
            found[tag.id] = float(np.linalg.norm(X_BO[:3, 3] - true_pose(env, tag)[:3, 3]))
            assert X_BO[:3, :3] == pytest.approx(true_pose(env, tag)[:3, :3], abs=0.12)
    return found


@pytest.mark.parametrize("renderer", ["fast", "tiny"])
def test_they_are_found_where_they_are_at_640_by_480(renderer: str) -> None:
    env = push(tags=BOTH, renderer=renderer)
    found = off_m(env, env.render("third", SIZE[::-1]))
    env.close()
    assert set(found) == {3, 7} and max(found.values()) < 0.006


def test_off_is_off_and_on_changes_only_where_they_are() -> None:
    plain, tagged = push(), push(tags=BOTH)
    assert not plain.twin.tags and not {TAG, TAG_ON_TABLE} & set(plain.scene.names)
    action = [0.4, -0.2, -0.5, 0.0]
    for _ in range(3):
        a, b = plain.step(action), tagged.step(action)
        assert np.array_equal(a.next_observation.state, b.next_observation.state)
    for camera in ("third", "wrist"):
        off, on = plain.render(camera, (240, 320)), tagged.render(camera, (240, 320))
        eye, drawn = tagged.stage.eyes[camera], tagged.stage.renderer
        assert isinstance(drawn, FastRenderer)
        K = eye.believed(320, 240).K
        labels = drawn.raster.layers(tagged.scene.poses, K, eye.X_BC(), 320, 240).labels
        printed = [k for k, name in enumerate(tagged.scene.names) if name in (TAG, TAG_ON_TABLE)]
        where = np.isin(labels, printed).astype(np.uint8)
        near = cv2.dilate(where, np.ones((3, 3), np.uint8)) > 0
        assert 10 < near.sum() < 0.2 * near.size
        assert np.array_equal(off[~near], on[~near]) and (off[where > 0] != on[where > 0]).any()
    plain.close()
    tagged.close()


def test_ink_is_ink_whatever_colours_an_episode_has_and_lies_as_high_as_the_table() -> None:
    height = {"physics": {"table_height_m": 0.01}}
    colours = {
        "colour": {
            "objects": {"hue": 0.4, "texture": ["checker"]},
            "arm": {"hue": 0.3, "saturation": 0.6},
        }
    }
    env = push(tags=BOTH, randomize={**height, **colours})
    pixels = env.render("third", SIZE[::-1])
    eye, tag = env.stage.eyes["third"], env.twin.tags.printed[1]
    found = TagFinder(tag.family, tag.size_m, eye.believed(*SIZE)).find(pixels)
    up_m = (eye.X_BC() @ found[7])[2, 3]
    env.close()
    assert up_m == pytest.approx(0.01, abs=0.004)
    x, y, z = found[7][:3, 3]
    K = eye.believed(*SIZE).K
    u, v = round(K[0, 0] * x / z + K[0, 2]), round(K[1, 1] * y / z + K[1, 2])
    square = pixels[v - 8 : v + 8, u - 12 : u + 12].astype(int)
    assert np.ptp(square, axis=2).max() < 12, "grey in all three colours"


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ([{"carrier": "mug", "id": 1, "size_m": 0.03}], "has not; it has table, cube, pad"),
        ([{"carrier": "cube", "id": 1, "size_m": 0.04}], "50.0 mm wide and hangs over the edge"),
        ([{"carrier": "cube", "id": 587, "size_m": 0.02}], "tags 0 to 586, and no tag 587"),
        ([BOTH[0], {**BOTH[1], "id": 3}], "printed twice"),
        ("nowhere", "no shipped profile of that name; there are: tags/push"),
        ([{"carrier": "cube", "id": 1}], "size_m: missing"),
    ],
)
def test_what_cannot_be_printed_is_refused(tags: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make_env("push", twin=twin(tags=tags))


def test_paint_carries_a_tag_beside_it_and_fixtures_on_their_highest_box() -> None:
    env = push(tags="push")
    pad_m, _ = env.world.body_pose("pad")
    beside = true_pose(env, env.twin.tags.printed[1])[:3, 3]
    env.close()
    assert beside - pad_m == pytest.approx([0.0, -0.09, 0.0013], abs=1e-9)
    drawer = twin(tags=[{"carrier": "cabinet", "id": 1, "size_m": 0.08}])
    env = make_env("drawer", twin=drawer)
    env.reset(0)
    where = true_pose(env, env.twin.tags.printed[0])
    env.close()
    assert where[2, 3] > 0.1


def test_the_check_writes_a_calibration_and_says_how_far_off(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--out", str(tmp_path), "--episodes", "1"]
    assert tag_check.main(words) == 0
    said = capsys.readouterr().out
    assert "tag 3: found in " in said and "tag 0: found in " in said
    mount = load_mount(tmp_path / "third.yaml")
    env = push()
    eye = env.stage.eyes["third"]
    assert mount is not None and mount.parent_frame == "panda_link0"
    assert optical_pose(mount) == pytest.approx(eye.X_BC(), abs=1e-5)
    lens = load_calibration(tmp_path / "third.yaml")
    assert np.allclose(lens.K, eye.believed(*SIZE).K, atol=1e-3)
    env.close()
    drawn = cv2.imread(str(tmp_path / "third.png"))
    assert drawn is not None and (np.ptp(drawn.astype(int), axis=2) > 150).any()
    with pytest.raises(SystemExit):
        tag_check.main([*words, "--camera", "back"])
    assert "cameras third, wrist, film" in capsys.readouterr().err
