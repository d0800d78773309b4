"""Friction of the table: found from where a box slid, written for the twin, or refused."""

import copy
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from handful.cli import cli
from handful.rig.episodes import Episode
from handful.workflow.errors import RunError
from handful.workflow.identify_friction import fit_friction, make_stage, places, slides
from handful.workflow.identify_path import recorded
from handful.workflow.recipe import Options, Recipe, resolve
from handful.workflow.replay_in_twin import find_episode
from handful.workflow.twin_overrides import load_twin


@pytest.fixture(scope="module")
def pulls(tmp_path_factory: pytest.TempPathFactory) -> dict[float, Path]:
    """Three pulls of a box over a table of half the twin's friction, and over one of twice it."""
    folders = {}
    for friction in (0.5, 2.0):
        run = tmp_path_factory.mktemp("pull") / "run"
        sets = ["--set", f"twin.table_friction={friction}", "--set", "twin.antialias=1"]
        arguments = ["collect", "--task", "pull", "--demos", "3", "--run", str(run), *sets]
        done = CliRunner().invoke(cli, arguments)
        assert done.exit_code == 0, done.output
        folders[friction] = run / "demos"
    return folders


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return resolve(Options(task="pull"))


@pytest.fixture(scope="module")
def stage(recipe: Recipe) -> Any:
    stage = make_stage(recipe)
    yield stage
    stage.close()


def read(folder: Path) -> list[Episode]:
    return [find_episode(path) for path in sorted(folder.glob("*.log"))]


def told(episode: Episode, change: Any) -> Episode:
    """The episode with the info of its steps changed."""
    steps = [replace(step, info=change(dict(step.info))) for step in episode.transitions]
    return replace(episode, transitions=steps)


@pytest.mark.parametrize("friction", [0.5, 2.0])
def test_a_hidden_table_is_found(
    pulls: dict[float, Path], recipe: Recipe, stage: Any, friction: float
) -> None:
    episodes = read(pulls[friction])
    slid = slides(episodes, [recorded(one, recipe.rig) for one in episodes], stage, "pull")
    assert {slide.thing for slide in slid} == {"box"} and len(slid) == 3
    assert all(slide.slid_m > 0.05 for slide in slid)
    found = fit_friction(slid[:2], slid[2:], recipe, stage)
    assert found.table_friction == pytest.approx(friction, rel=0.15)
    assert found.held_before is not None and found.held_after is not None
    assert found.after.mean_m < 0.5 * found.before.mean_m
    assert found.held_after.mean_m < 0.5 * found.held_before.mean_m  # the bar
    assert found.low <= found.table_friction <= found.high
    assert len(found.curve) == 19 and found.simulations == 2 * (19 + 2) + 2


def test_a_cell_says_where_a_thing_is_by_a_tag(
    pulls: dict[float, Path], recipe: Recipe, stage: Any
) -> None:
    episode = read(pulls[0.5])[0]
    stage.put_up(episode.info["seed"])
    _, quat = stage.world.body_pose("box")
    yaw_rad = 2.0 * float(np.arctan2(quat[2], quat[3]))

    def tagged(info: dict[str, Any]) -> dict[str, Any]:
        of_box = {k.removeprefix("true_"): v for k, v in info.items() if k.startswith("true_box")}
        return {**of_box, "box_yaw_rad": yaw_rad}

    known = told(episode, tagged)
    known.transitions[3] = replace(known.transitions[3], info={})  # a hand before the tag
    known = replace(known, info={})
    where = places(known)
    assert set(where) == {"box"} and np.isnan(where["box"][3]).all()
    slid = slides([known], [recorded(known, recipe.rig)], stage, "pull")
    assert slid[0].seed is None and len(slid[0].t_s) == len(known.transitions) - 1
    found = fit_friction(slid, [], recipe, stage)
    assert 0.3 < found.table_friction < 0.8 and found.held_before is None
    assert found.after.mean_m < 0.5 * found.before.mean_m


def test_it_refuses_what_tells_nothing(
    pulls: dict[float, Path], recipe: Recipe, stage: Any
) -> None:
    episode = read(pulls[0.5])[0]
    path = recorded(episode, recipe.rig)
    with pytest.raises(RunError, match="box_x_m, box_y_m, box_z_m in its info .* none of 1"):
        slides([told(episode, lambda info: {})], [path], stage, "pull")
    first = dict(episode.transitions[0].info)
    with pytest.raises(RunError, match="here box slid by 0 mm at most"):
        slides([told(episode, lambda info: first)], [path], stage, "pull")
    lifted = {**first, "true_box_z_m": first["true_box_z_m"] + 0.02}
    steps = copy.copy(episode.transitions)
    steps[1] = replace(steps[1], info=lifted)  # carried from here on
    with pytest.raises(RunError, match="slides on the table by 20 mm and more"):
        slides([replace(episode, transitions=steps)], [path], stage, "pull")
    slid = slides([episode], [path], stage, "pull")
    elsewhere = replace(slid[0], p_BO_m=slid[0].p_BO_m + [0.0, 3.0, 0.0])
    with pytest.raises(RunError, match="much the same under every friction .* knock it on"):
        fit_friction([elsewhere], [], recipe, stage)


def test_the_command_writes_it_and_shows_it(pulls: dict[float, Path], tmp_path: Path) -> None:
    shipped = Path(__file__).parents[2] / "config/twin.yaml"
    arguments = ["identify", str(pulls[0.5]), "--twin", str(shipped), "--hold-out", "2"]
    small = ["--starts", "1", "--refinements", "1", "--out", str(tmp_path / "t.yaml")]
    files = ["--page", str(tmp_path / "p.html"), "--json", str(tmp_path / "n.json")]
    done = CliRunner().invoke(cli, [*arguments, *small, *files])
    assert done.exit_code == 0, done.output
    assert re.search(r"friction: 0\.\d+ on the table, .*\n +box's path error mean", done.output)
    found = json.loads((tmp_path / "n.json").read_text())
    friction = found["friction"]
    assert friction["after"]["mean_m"] < 0.5 * friction["before"]["mean_m"]
    assert found["values"]["table_friction"] == friction["table_friction"]
    assert load_twin(tmp_path / "t.yaml").table_friction == friction["table_friction"]
    page = (tmp_path / "p.html").read_text()
    assert "Path error of box [mm]" in page and page.count("<svg") == 5
    done = CliRunner().invoke(cli, [*arguments, *small, "--no-friction"])
    assert done.exit_code == 0 and "friction: not fitted; not asked for" in done.output
    assert load_twin(tmp_path / "t.yaml").table_friction == 1.0
