"""What ``handful calibrate`` does between its options and its last line."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from handful.config import ConfigError, build, load, parse_overrides, read
from handful.rig.board import Board, BoardSettings
from handful.rig.calibration import load_calibration
from handful.rig.camera_settings import KINDS, CameraNodeSettings
from handful.rig.cameras import make_camera
from handful.rig.chain import Chain, read_urdf
from handful.rig.clock import WallClock
from handful.workflow.calibrate import measure, overview, read_views, words, write_camera
from handful.workflow.calibrate_capture import Reading, capture
from handful.workflow.console import Console
from handful.workflow.errors import RunError
from handful.workflow.process import hush
from handful.workflow.results import write_json
from handful.workflow.twin_overrides import load_twin


def board_command(given: dict[str, Any]) -> None:
    """``handful calibrate board``."""
    board = _board(given)
    out = given["out"]
    out.parent.mkdir(parents=True, exist_ok=True)
    board.save(out, given["dpi"])
    width_m, height_m = board.size_m
    click.echo(
        f"{out}: {board.settings.columns} x {board.settings.rows} squares, "
        f"{1000 * width_m:.0f} x {1000 * height_m:.0f} mm; print at 100 % and measure the ruler"
    )


def capture_command(given: dict[str, Any]) -> None:
    """``handful calibrate capture``."""
    board, folder, count = _board(given), given["folder"], given["count"]
    if given["in_twin"]:
        kept = _in_twin(given, board, folder, count)
    else:
        if not given["camera_file"]:
            raise RunError("--camera FILE.yaml says which camera; --twin rehearses without one")
        settings = whole_picture(given["camera_file"])
        camera = make_camera("camera", settings, WallClock())
        with _arm(given["arm_from"]) as arm:
            camera.open()
            try:
                kept = capture(folder, camera, arm, board, _asking(count), click.echo)
            finally:
                camera.close()
    whose = "".join(f" --set {word}" for word in given["sets"] if word.startswith("twin."))
    click.echo(
        f"{folder}: {kept} pictures\nnext: handful calibrate camera {folder} "
        f"--on {given['where']} --out camera.yaml{whose}"
    )


def camera_command(given: dict[str, Any]) -> None:
    """``handful calibrate camera``."""
    console, board = Console(given.get("json_path") == "-"), _board(given)
    lens = load_calibration(given["lens"]) if given.get("lens") else None
    chain, frames = _chain(given)
    taken = read_views(given["folder"], chain)
    measured = measure(taken, board, given["where"] == "hand", frames, lens)
    write_camera(measured, given["name"], given["out"])
    if given.get("seen"):
        import cv2

        given["seen"].parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(given["seen"]), overview(taken, board, measured)[:, :, ::-1])
    for line in words(measured):
        console.say(line)
    if measured.mount is None:
        console.say("no arm poses in the folder: the lens alone was measured")
    console.say(
        f"{given['out']}: name it as calibration of camera {given['name']!r}, in its node's "
        "settings and in twin.cameras"
    )
    if given.get("json_path"):
        write_json(given["json_path"], measured.numbers())


def whole_picture(path: str) -> CameraNodeSettings:
    """Settings of a camera node, of which the whole picture is taken whatever they crop.

    Raises:
        ConfigError: unreadable, or of no known kind.
    """
    values, name = read(path)
    kind = str(values.get("kind", ""))
    if kind not in KINDS:
        raise ConfigError(f"{name}: kind {kind!r}; known are {', '.join(KINDS)}")
    return build(KINDS[kind], {**values, "crop_px": [], "publish_px": [], "calibration": ""}, name)


def _board(given: dict[str, Any]) -> Board:
    sets = parse_overrides(given["sets"])
    only(sets, ("board", "twin"))
    return Board(load(BoardSettings, given["board_file"], sets.get("board")))


def only(sets: dict[str, Any], groups: tuple[str, ...]) -> None:
    """Refuse ``--set`` of other groups.

    Raises:
        ConfigError: the group is not one of these; the message has them.
    """
    unknown = sorted(set(sets) - set(groups))
    if unknown:
        raise ConfigError(
            f"--set {unknown[0]}.…: no such group here; there are: {', '.join(groups)}"
        )


def _twin(given: dict[str, Any]) -> Any:
    """The twin whose arm it is: the shipped one with ``--set twin....``."""
    return load_twin("twin", parse_overrides(given["sets"]).get("twin"))


def _chain(given: dict[str, Any]) -> tuple[Chain, tuple[str, str]]:
    """The arm's joints, and its links at base and hand."""
    with hush():
        from handful_twin.arm_model import arm_model
    model = arm_model(_twin(given).arm)
    base = given["base_link"] or model.settings.base.link
    hand = given["hand_link"] or model.settings.hand.link
    text = Path(given.get("urdf") or model.physics).read_text(encoding="utf-8")
    return read_urdf(text, base, hand), (base, hand)


def _asking(count: int) -> Any:
    def move(number: int) -> bool:
        if number >= count:
            return False
        words = f"picture {number + 1} of {count}: place the arm, then Enter (q to end)"
        return str(click.prompt(words, default="", show_default=False)).strip().lower() != "q"

    return move


def _in_twin(given: dict[str, Any], board: Board, folder: Path, count: int) -> int:
    with hush():
        from handful.workflow.calibrate_cell import BoardCell, shipped
    hidden = shipped(given["where"] == "hand")
    cell = BoardCell(hidden, board.settings, given["seed"], _twin(given))

    def move(number: int) -> bool:
        if number >= count:
            return False
        cell.move(number)
        return True

    cell.camera.open()
    try:
        return capture(folder, cell.camera, cell.arm, board, move, click.echo)
    finally:
        cell.close()


@contextlib.contextmanager
def _arm(source: str) -> Iterator[Reading | None]:
    if source == "none":
        yield None
        return
    try:
        from handful.wire.reading import arm_reading
    except ImportError:
        raise RunError(
            "--arm ros needs ROS (`make ros`, then source its setup); --arm none takes pictures "
            "alone, for the lens"
        ) from None
    with arm_reading("handful_calibrate") as arm:
        yield arm
