"""Identification: a hidden twin is found from its log; the file it writes; what it refuses."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from handful.cli import cli
from handful.config import load
from handful.contract import Command
from handful.rig.settings import RigSettings
from handful.workflow.errors import RunError
from handful.workflow.identify import Simulator, best_delay, identify
from handful.workflow.identify_path import Played, Recorded, recorded
from handful.workflow.replay_in_twin import find_episode
from handful.workflow.twin_overrides import command_delay_s, load_twin, write_twin

HIDDEN = {
    "twin.position_gain": 0.035,
    "twin.velocity_gain": 0.75,
    "twin.finger_speed_m_s": 0.05,
    "twin.delay.command_s": 0.083,
}


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three demonstrations of lift, recorded in a twin with other motors and a delay."""
    run = tmp_path_factory.mktemp("hidden") / "run"
    sets = [word for key, value in HIDDEN.items() for word in ("--set", f"{key}={value}")]
    arguments = ["collect", "--task", "lift", "--demos", "3", "--run", str(run), *sets]
    done = CliRunner().invoke(cli, [*arguments, "--set", "twin.antialias=1"])
    assert done.exit_code == 0, done.output
    return run / "demos"


def recordings(folder: Path) -> list[Recorded]:
    rig = load(RigSettings, "rig")
    return [recorded(find_episode(path), rig) for path in sorted(folder.glob("*.log"))]


def test_the_log_says_where_the_arm_was_and_what_it_was_told(demos: Path) -> None:
    path = recordings(demos)[0]
    count = len(path.commands)
    assert path.t_s.shape == (count + 1,) and path.p_BT_m.shape == (count + 1, 3)
    assert np.allclose(np.diff(path.t_s), 0.1) and path.t_s[0] == 0.0
    goals = np.array([command.p_BT_m for command in path.commands])
    assert np.abs(np.diff(goals, axis=0)).max() < 0.0301  # no step is longer than an action's
    # It goes where it is told, later: 83 ms and then slowly.
    ends = np.linalg.norm(path.p_BT_m[1:] - goals, axis=1)
    assert 0.005 < ends.mean() < 0.05
    names = ["position", "gripper", "joints", "target_offset", "target_gripper"]
    other = load(RigSettings, "rig", {"observe.proprioception": names})
    with pytest.raises(RunError, match="its state has 8 numbers, the rig settings describe 15"):
        recorded(find_episode(demos), other)


def test_hidden_delay_and_gains_are_found(demos: Path) -> None:
    paths = recordings(demos)
    twin = load_twin("twin")
    found = identify(paths[:1], paths[2:], twin, seed=0, starts=5, refinements=16)
    assert found.values["delay.command_s"] == pytest.approx(0.083, abs=0.010)
    assert found.values["finger_speed_m_s"] == pytest.approx(0.05, rel=0.15)
    assert found.held_before is not None and found.held_after is not None
    assert found.held_before.mean_m > 0.01
    assert found.held_after.mean_m < 0.25 * found.held_before.mean_m  # the bar is half
    assert found.after.rms_m < 0.25 * found.before.rms_m
    few = [identify(paths[1:2], [], twin, seed=7, starts=2, refinements=2) for _ in range(2)]
    assert few[0] == few[1]


def test_a_delay_is_a_shift_and_is_found_between_the_steps() -> None:
    t_s = np.arange(0.0, 3.0, 1 / 240)
    tip = np.column_stack([0.1 * np.sin(2.0 * t_s), 0.05 * np.cos(3.0 * t_s), 0.1 * t_s])
    played = Played(t_s, tip, np.zeros((len(t_s), 7)), np.zeros(len(t_s)))
    at_s = np.arange(0.5, 2.5, 0.1)
    late = played.tip_at(at_s, 0.0837)
    path = Recorded(
        "x", at_s, late, np.zeros(len(at_s)), None, at_s[:-1], [], Command(late[0], 0, 0)
    )
    delay_s, square = best_delay([path], [played])
    assert delay_s == pytest.approx(0.0837, abs=5e-4)
    assert square < 1e-8


def test_an_arm_at_rest_tells_nothing(demos: Path) -> None:
    path = recordings(demos)[0]
    still = replace(path, p_BT_m=np.repeat(path.p_BT_m[:1], len(path.p_BT_m), axis=0))
    with pytest.raises(RunError, match="the tip moved by 0 mm at most"):
        identify([still], [], load_twin("twin"))


def test_more_delay_in_the_simulator_is_the_same_as_a_later_recording(demos: Path) -> None:
    path = recordings(demos)[1]
    simulator = Simulator(load_twin("twin"))
    try:
        late, soon = simulator.play(path, {}, delay_s=24 / 240), simulator.play(path, {})
    finally:
        simulator.close()
    apart = np.linalg.norm(late.tip_at(path.t_s) - soon.tip_at(path.t_s, 24 / 240), axis=1)
    assert apart.max() < 1e-3


def test_the_file_is_one_that_the_twin_takes(tmp_path: Path) -> None:
    changes = {"position_gain": 0.04, "delay.command_s": 0.08}
    twin = write_twin("twin", changes, tmp_path / "mine.yaml", ["fitted:"])
    assert twin.position_gain == 0.04 and command_delay_s(twin) == pytest.approx(0.08)
    text = (tmp_path / "mine.yaml").read_text()
    assert text.startswith("# fitted:\n#   position_gain: 0.04\n#   delay.command_s: 0.08\n")
    assert set(yaml.safe_load(text)["cameras"]) == set(load_twin("twin").cameras)
    assert command_delay_s(load_twin("twin")) == 0.0


def test_the_command_writes_settings_and_a_page(demos: Path, tmp_path: Path) -> None:
    arguments = ["identify", str(demos), "--twin", "config/twin.yaml"]
    arguments[-1] = str(Path(__file__).parents[2] / "config/twin.yaml")
    small = ["--starts", "2", "--refinements", "3", "--hold-out", "2"]
    files = ["--out", str(tmp_path / "t.yaml"), "--page", str(tmp_path / "p.html")]
    done = CliRunner().invoke(cli, [*arguments, *small, *files])
    assert done.exit_code == 0, done.output
    assert "others: before" in done.output
    assert load_twin(tmp_path / "t.yaml").finger_speed_m_s != load_twin("twin").finger_speed_m_s
    page = (tmp_path / "p.html").read_text()
    assert "path error went from" in page and page.count("<svg") == 4
    done = CliRunner().invoke(cli, [*arguments, "--hold-out", "3", *files])
    assert done.exit_code == 2 and "there are 3 episodes, one must be fitted" in done.output
    done = CliRunner().invoke(cli, [*arguments, "--out", str(tmp_path / "cell")])
    assert done.exit_code == 2 and "must end in .yaml, such as cell.yaml" in done.output
