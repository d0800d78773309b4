"""Round trips: a twin with a hidden camera and hidden delays plays the cell; both are found."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from handful_twin.settings import LiveSettings, TwinSettings
from handful_twin.stage import Stage
from handful_twin.task_env import make_env
from handful_twin.tasks import make_task
from numpy.typing import NDArray

from handful.cli import cli
from handful.config import load
from handful.contract import ArmState
from handful.rig.board import Board, BoardError, BoardSettings
from handful.rig.calibration import load_calibration
from handful.rig.geometry import invert, log_so3
from handful.rig.mount import load_mount, optical_pose
from handful.rig.settings import RigSettings
from handful.workflow.calibrate import measure, overview, read_views, write_camera
from handful.workflow.calibrate_capture import capture
from handful.workflow.calibrate_cell import BoardCell, shipped
from handful.workflow.errors import RunError
from handful.workflow.latency import Motion, path, record
from handful.workflow.latency_cell import LiveCell
from handful.workflow.latency_fit import estimate, picture_lag

FRAMES = ("panda_link0", "panda_hand")
VIEWS = 11


def pictures(cell: BoardCell, folder: Path, count: int = VIEWS) -> list[str]:
    said: list[str] = []

    def move(k: int) -> bool:
        if k < count:
            cell.move(k)
        return k < count

    cell.camera.open()
    assert capture(folder, cell.camera, cell.arm, cell.board, move, said.append) == count
    return said


@pytest.mark.parametrize("on_hand", [True, False], ids=["on the hand", "beside the arm"])
def test_a_hidden_camera_is_found_within_the_bar(on_hand: bool, tmp_path: Path) -> None:
    cell = BoardCell(shipped(on_hand), load(BoardSettings, "board"), seed=3)
    try:
        pictures(cell, tmp_path / "views")
        lines = (tmp_path / "views/views.jsonl").read_text().splitlines()
        wrong = json.loads(lines[4])
        wrong["q_rad"][4] += 0.3  # noted too late: the arm had moved on
        lines[4] = json.dumps(wrong)
        (tmp_path / "views/views.jsonl").write_text("\n".join(lines) + "\n")
        taken = read_views(tmp_path / "views", cell.chain)
        measured = measure(taken, cell.board, on_hand, FRAMES)
    finally:
        cell.close()
    assert measured.hand_eye is not None and measured.hand_eye.bad == ["view_004.png"]
    write_camera(measured, "eye", tmp_path / "eye.yaml")
    mount = load_mount(tmp_path / "eye.yaml")
    assert mount is not None and mount.parent_frame == FRAMES[int(on_hand)]
    apart = invert(cell.hidden.X_PC) @ optical_pose(mount)
    assert np.linalg.norm(apart[:3, 3]) < 0.005
    assert np.degrees(np.linalg.norm(log_so3(apart[:3, :3]))) < 0.5
    lens = load_calibration(tmp_path / "eye.yaml")
    assert np.abs(lens.K[[0, 1], [0, 1]] / [612.0, 610.0] - 1.0).max() < 0.01
    assert measured.lens is not None and measured.lens.rms_px < 0.3
    assert overview(taken, cell.board, measured).shape[1] == 3 * 480
    # And the twin takes it as it is.
    name = "wrist" if on_hand else "third"
    key = f"cameras.{name}.calibration"
    twin = load(TwinSettings, "twin", {key: str(tmp_path / "eye.yaml"), "antialias": 1})
    env = make_env("reach", twin=twin)
    try:
        eye = env.stage.eyes[name]
        assert eye.attach == ("hand" if on_hand else "base")
        assert np.abs(invert(optical_pose(mount)) @ eye.X_AC - np.eye(4)).max() < 1e-9
    finally:
        env.close()


@pytest.mark.parametrize(("arm", "on_hand"), [("xarm6", True), ("iiwa", False)])
def test_another_arm_s_camera_is_found_in_its_own_links(
    arm: str, on_hand: bool, tmp_path: Path
) -> None:
    """Base and hand frame of both stand apart from their links, which a mount names."""
    twin = load(TwinSettings, "twin", {"arm": arm, "antialias": 1})
    cell = BoardCell(shipped(on_hand), load(BoardSettings, "board"), 3, twin)
    try:
        pictures(cell, tmp_path / "views")
    finally:
        cell.close()
    out, numbers = tmp_path / "eye.yaml", tmp_path / "numbers.json"
    words = ["calibrate", "camera", str(tmp_path / "views"), "--on", "hand" if on_hand else "base"]
    words += ["--out", str(out), "--json", str(numbers), "--set", f"twin.arm={arm}"]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 0, done.output
    mount = load_mount(out)
    assert mount is not None and mount.parent_frame == cell.links[int(on_hand)] not in FRAMES
    apart = invert(cell.X_LC) @ optical_pose(mount)
    assert np.linalg.norm(apart[:3, 3]) < 0.005
    assert np.degrees(np.linalg.norm(log_so3(apart[:3, :3]))) < 0.5
    name = "wrist" if on_hand else "third"
    key = f"cameras.{name}.calibration"
    env = make_env("reach", twin=load(TwinSettings, "twin", {"arm": arm, key: str(out)}))
    try:
        seen = invert(cell.hidden.X_PC) @ env.stage.eyes[name].X_AC
        assert np.linalg.norm(seen[:3, 3]) < 0.005, "the twin puts it where it was"
    finally:
        env.close()


class Arm:
    """An arm whose joints are what a test says, one reading after the other."""

    def __init__(self, readings: list[list[float]]) -> None:
        self._readings = readings

    def state(self) -> ArmState:
        q = np.array(self._readings.pop(0))
        return ArmState(0.0, np.zeros(3), 0.0, 0.0, np.zeros(3), q, np.zeros(3), 0.0, 0.0)


def test_a_picture_of_a_moving_arm_or_without_a_board_is_not_kept(tmp_path: Path) -> None:
    board = Board(load(BoardSettings, "board"))
    drawn = np.pad(board.picture(1500.0)[0], 40, constant_values=255)

    class Camera:
        name = "fake"
        pixels = np.repeat(drawn[:, :, None], 3, axis=2)

        def latest(self, max_age_s: float) -> "Camera":
            return self

    camera, said = Camera(), list[str]()
    moves = iter([True, True, True, False])

    def move(k: int) -> bool:
        if len(said) == 2:
            camera.pixels = np.full_like(camera.pixels, 128)
        return next(moves)

    arm = Arm([[0.0], [0.01], [0.2], [0.2], [0.3], [0.3]])
    assert capture(tmp_path, camera, arm, board, move, said.append) == 1  # type: ignore[arg-type]
    assert "the arm moved by 0.0100 rad" in said[0]
    assert "24 of 24 corners" in said[1]
    assert "0 corners" in said[2]
    assert (tmp_path / "views.jsonl").read_text() == '{"picture": "view_000.png", "q_rad": [0.2]}\n'
    with pytest.raises(RunError, match="has no joints"):
        capture(tmp_path, camera, Arm([[]]), board, lambda k: True, said.append)  # type: ignore[arg-type]


def test_a_folder_that_is_no_use_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"views\.jsonl: no such file"):
        read_views(tmp_path, None)
    views = tmp_path / "views.jsonl"
    views.write_text('{"picture": "gone.png"}\n')
    with pytest.raises(RunError, match=r"line 1: .*gone\.png is not a picture"):
        read_views(tmp_path, None)
    board = Board(load(BoardSettings, "board"))
    board.save(tmp_path / "a.png", 72.0)
    views.write_text('{"picture": "a.png", "p_BH_m": [0, 0, 1]}\n')
    with pytest.raises(RunError, match="line 1: a pose is p_BH_m"):
        read_views(tmp_path, None)
    views.write_text('{"picture": "a.png", "q_rad": [0]}\n')
    with pytest.raises(RunError, match="needs the arm's description"):
        read_views(tmp_path, None)
    views.write_text('{"picture": "a.png"}\n')
    other = Board(BoardSettings(dictionary="apriltag_36h11"))
    with pytest.raises(BoardError, match="none of the 1 pictures shows the board"):
        measure(read_views(tmp_path, None), other, True, FRAMES)


def live(delay_s: float, age_s: float) -> LiveCell:
    rig = load(RigSettings, "rig")
    twin = load(TwinSettings, "twin", {"antialias": 1, "position_gain": 0.06})
    settings = LiveSettings(
        actuation_delay_s=delay_s, sensor_delay_s=age_s, pixel_noise=4.0, joint_noise_rad=2e-4
    )
    return LiveCell(Stage(make_task("reach"), rig, twin), settings)


def test_hidden_delays_are_found_within_10_ms() -> None:
    cell = live(0.083, 0.062)
    try:
        motions = [record(cell.arm, cell.cameras, cell.clock, k) for k in range(2)]
    finally:
        cell.close()
    found = estimate(motions)
    assert found.command.mean_s == pytest.approx(0.083, abs=0.010)
    assert found.command.low_s < found.command.mean_s < found.command.high_s
    for name in ("third", "wrist"):
        assert found.age[name].mean_s == pytest.approx(0.062, abs=0.010)
        assert found.stamp_error[name].mean_s == pytest.approx(0.0, abs=0.010)
    # A path that lags by delay, controller and half a beat of being held.
    whole = found.command.mean_s + found.response.mean_s + 0.01
    assert found.follow.mean_s == pytest.approx(whole, abs=0.015)
    json.dumps(found.numbers(), allow_nan=False)


def test_the_rehearsal_writes_a_twin_with_what_it_found(tmp_path: Path) -> None:
    out, numbers = tmp_path / "twin.yaml", tmp_path / "numbers.json"
    words = ["calibrate", "latency", "--repeat", "2", "--seconds", "2", "--out", str(out)]
    words += ["--json", str(numbers), "--set", "live.actuation_delay_s=0.12"]
    words += ["--set", "twin.antialias=1"]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 0, done.output
    assert "command to motion" in done.output and "guard" not in done.output
    found = json.loads(numbers.read_text())["command"]["mean_s"]
    assert found == pytest.approx(0.12, abs=0.010)
    assert load(TwinSettings, str(out)).delay.command_s.at(0.5) == pytest.approx(found, abs=1e-4)
    for option in (["--rig", "rig"], ["--live", "node/twin"], ["--set", "live.seed=1"]):
        done = CliRunner().invoke(cli, ["calibrate", "latency", "--ros", *option])
        assert done.exit_code == 2 and f"{option[0]} does not go with --ros" in done.output


def test_an_arm_that_does_not_move_is_said_so() -> None:
    still = np.column_stack([np.arange(0, 8, 0.02), np.zeros((400, 3))])
    sent = np.column_stack([np.arange(0, 8, 0.02), np.ones((400, 3))])
    with pytest.raises(RunError, match="moved by 0.0 mm while commanded to"):
        estimate([Motion(sent, still), Motion(sent, still)])
    with pytest.raises(RunError, match="at least two repetitions"):
        estimate([Motion(sent, still)])


def test_a_camera_that_shows_nothing_of_the_arm_is_named() -> None:
    cell = live(0.0, 0.0)
    try:
        motion = record(cell.arm, {"third": cell.cameras["third"]}, cell.clock, 0, 2.0)
    finally:
        cell.close()
    stamps_s, arrivals_s, pictures = motion.frames["third"]
    few = {"third": (stamps_s[:5], arrivals_s[:5], pictures[:5])}
    blind = Motion(motion.sent, motion.measured, few)
    with pytest.raises(RunError, match="camera 'third', does it see the arm.* 5 pictures are too"):
        estimate([blind, blind])


def test_pictures_that_come_late_are_late_by_what_they_are() -> None:
    at = path(1, 4.0, 0.03)
    times = np.arange(0.0, 4.0, 0.02)
    tip = np.array([at(float(t)) for t in times])
    measured = np.column_stack([times, tip])
    stamps = np.arange(0.1, 3.9, 1 / 30)

    def picture(t: float) -> NDArray[np.uint8]:
        """A bright ball where the tip is, seen from the front."""
        p = at(t)
        u, v = np.meshgrid(np.arange(24.0), np.arange(24.0))
        ball = np.exp(-((u - 12 - 130 * p[1]) ** 2 + (v - 12 - 130 * p[2]) ** 2) / 18.0)
        return np.repeat((200 * ball)[:, :, None], 3, axis=2).astype(np.uint8)

    seen = np.array([picture(float(t)) for t in stamps])
    assert picture_lag(measured, stamps, seen) == pytest.approx(0.0, abs=0.004)
    assert picture_lag(measured, stamps + 0.117, seen) == pytest.approx(0.117, abs=0.004)
    with pytest.raises(RunError, match="too few for a latency"):
        picture_lag(measured, stamps[:5], seen[:5])


def test_the_commands_do_what_they_say(tmp_path: Path) -> None:
    run = CliRunner()
    done = run.invoke(cli, ["calibrate", "board", "--out", str(tmp_path / "b.pdf"), "--dpi", "150"])
    assert done.exit_code == 0 and "252 x 180 mm" in done.output
    views = str(tmp_path / "views")
    arguments = ["calibrate", "capture", views, "--on", "hand", "--twin", "--count", "7"]
    assert "7 pictures" in run.invoke(cli, arguments).output
    done = run.invoke(
        cli,
        ["calibrate", "camera", views, "--on", "hand", "--name", "wrist", "--out"]
        + [str(tmp_path / "wrist.yaml"), "--seen", str(tmp_path / "seen.png")]
        + ["--json", str(tmp_path / "numbers.json")],
    )
    assert done.exit_code == 0, done.output
    assert yaml.safe_load((tmp_path / "wrist.yaml").read_text())["camera_name"] == "wrist"
    assert json.loads((tmp_path / "numbers.json").read_text())["mount"]["sigma_m"] < 0.005
    assert (tmp_path / "seen.png").is_file()
    done = run.invoke(cli, ["calibrate", "capture", views, "--on", "hand", "--count", "2"])
    assert done.exit_code == 2 and "--camera FILE.yaml" in done.output
