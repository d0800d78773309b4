"""Replay: the same twin does the same again, another one is as far off as it is, pictures too."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from handful.cli import cli
from handful.workflow.errors import RunError
from handful.workflow.recipe import Options
from handful.workflow.replay_in_twin import find_episode, recipe_of, replay
from handful.workflow.similarity import exposure_matched, moved, overlap, ssim, still


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("recorded") / "run"
    arguments = ["collect", "--task", "lift", "--demos", "1", "--run", str(run)]
    done = CliRunner().invoke(cli, [*arguments, "--set", "twin.delay.command_s=0.05"])
    assert done.exit_code == 0, done.output
    return run / "demos/episode_000000.log"


def test_the_same_twin_does_the_same_again(log: Path) -> None:
    episode = find_episode(log)
    gap = replay(episode, recipe_of(episode, Options()))
    assert gap.scene
    assert gap.path.max_m < 0.002 and abs(gap.late_s) < 0.003
    assert np.abs(gap.gripper_m).mean() < 0.003
    for one in gap.likeness.values():
        assert one.ssim.mean() > 0.97 and len(one.ssim) == len(episode.transitions) + 1
    assert gap.likeness["third"].overlap is not None and gap.likeness["third"].overlap > 0.9
    assert gap.likeness["wrist"].overlap is None  # it moves: everything changes in its pictures
    json.dumps(gap.numbers(), allow_nan=False)


def test_another_twin_is_later_by_its_delay_and_elsewhere(log: Path) -> None:
    episode = find_episode(log)
    sets = ("twin.delay.command_s=0.0", "twin.cameras.third.position_m=[1.15, 0.06, 0.6]")
    gap = replay(episode, recipe_of(episode, Options(sets=sets)))
    assert gap.late_s == pytest.approx(0.05, abs=0.01)
    assert gap.path.mean_m > 3 * gap.aligned.mean_m
    assert gap.likeness["third"].ssim.mean() < 0.9
    assert gap.likeness["third"].overlap is not None and gap.likeness["third"].overlap < 0.8


def test_an_episode_of_no_known_scene_moves_the_arm_alone(log: Path) -> None:
    episode = find_episode(log)
    episode.info.pop("seed")
    gap = replay(episode, recipe_of(episode, Options()))
    assert not gap.scene
    assert gap.path.mean_m < 0.003


def test_the_command_writes_a_page_that_stands_alone(log: Path, tmp_path: Path) -> None:
    arguments = ["replay", str(log.parent), "--in-twin", "--out", str(tmp_path / "gap")]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.output
    assert "tool path   mean" in done.output
    page = (tmp_path / "gap/replay.html").read_text()
    assert page.count("<svg") == 7 and page.count("data:image/png") == 2
    assert "http://" not in page.replace("http://www.w3.org", "") and "https://" not in page
    numbers = json.loads((tmp_path / "gap/replay.json").read_text())
    assert numbers["path"]["p95_m"] <= numbers["path"]["max_m"] and numbers["commit"]
    done = CliRunner().invoke(cli, ["replay", str(tmp_path), "--in-twin"])
    assert done.exit_code == 2 and "no episode" in done.output


def test_a_file_that_is_no_episode_is_refused(tmp_path: Path) -> None:
    (tmp_path / "episode_000000.log").write_bytes(b"not one")
    with pytest.raises(RunError, match=r"episode_000000\.log"):
        find_episode(tmp_path)


def scene(shift: int = 0) -> NDArray[np.uint8]:
    picture = np.full((84, 84, 3), 120, np.uint8)
    cv2.rectangle(picture, (20 + shift, 30), (40 + shift, 60), (220, 60, 40), -1)
    return cv2.GaussianBlur(picture, (3, 3), 0.8).astype(np.uint8)


def test_similarity_sees_shapes_and_not_the_lamp() -> None:
    one = scene()
    assert ssim(one, one) == pytest.approx(1.0)
    darker = (one * 0.7).astype(np.uint8)
    assert ssim(one, exposure_matched(darker, one)) > 0.98
    assert ssim(one, scene(6)) < 0.98
    assert ssim(one, scene(12)) < ssim(one, scene(3))


def test_what_moved_overlaps_by_how_much_it_does() -> None:
    background = np.full((84, 84, 3), 120, np.uint8)
    here, there = moved(scene(), background), moved(scene(10), background)
    assert overlap(here, here) == 1.0
    assert overlap(here, there) == pytest.approx(11 / 31, abs=0.06)
    assert overlap(moved(background, background), moved(background, background)) is None
    assert (still([scene(), background, background]) == background).all()
