"""``handful calibrate``, ``replay`` and ``identify``: the words before what ``*_run`` does."""

from pathlib import Path
from typing import Any

import click

from handful.workflow.latency_options import latency_command
from handful.workflow.options import output_options, sets_option, yaml_file

_BOARD = click.option(
    "--board",
    "board_file",
    metavar="FILE.yaml",
    default="board",
    help="Which board was printed.  [default: config/board.yaml]",
)


_SET_BOARD = sets_option("board", "board.square_m=0.0355")
_SET_CELL = sets_option("board, twin (its arm)", "twin.arm=xarm6")
_SET_RUN = sets_option("rig, twin, task", "twin.position_gain=0.05")
_WHERE = click.option(
    "--on",
    "where",
    type=click.Choice(["hand", "base"]),
    required=True,
    help="hand: the camera rides on the hand and the board lies on the table. base: the camera "
    "stands beside the arm and the board is in its hand.",
)
_URDF = [
    click.option(
        "--urdf",
        type=click.Path(path_type=Path, dir_okay=False, exists=True),
        help="The arm's description.  [default: of the twin's arm, a Panda or --set twin.arm=NAME]",
    ),
    click.option("--base-link", help="Its base.  [default: of the twin's arm, panda_link0]"),
    click.option("--hand-link", help="Its hand.  [default: of the twin's arm, panda_hand]"),
]


def _urdf(command: Any) -> Any:
    for option in reversed(_URDF):
        command = option(command)
    return command


@click.group(short_help="Measure cameras and delays of a cell, for rig and twin.")
def calibrate() -> None:
    """Measure a cell, so that the twin can be believed: lenses, places of cameras, delays.

    docs/calibration.md goes through it.

    \b
    Example: handful calibrate board --out board.pdf
             handful calibrate capture views --on hand --camera webcam.yaml
             handful calibrate camera views --on hand --name wrist --out wrist.yaml
    """


@calibrate.command("board", short_help="Print the calibration board in its true size.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="A .pdf, whose page is as large as the board, or a .png.",
)
@click.option(
    "--dpi",
    type=click.FloatRange(72, 2400),
    default=600.0,
    show_default=True,
    help="How fine it is drawn, to the nearest whole module.",
)
@_BOARD
@_SET_BOARD
def board_command(**given: Any) -> None:
    """Draw the calibration board (ChArUco) in its true size.

    Print it at 100 %, not "fit to page", and measure the ruler below it: 100 mm. If it is not, give
    what a square really measures to the other commands (--set board.square_m=...). Glue it to
    something flat and stiff; a bent board bends the lens.

    \b
    Example: handful calibrate board --out board.pdf
             handful calibrate board --out tags.pdf --set board.dictionary=apriltag_36h11
    """
    from handful.workflow import calibrate_run

    calibrate_run.board_command(given)


@calibrate.command("capture", short_help="Take pictures of the board and note the arm's joints.")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--camera",
    "camera_file",
    metavar="FILE.yaml",
    help="Settings of the camera as its node has them (config/node/camera); crop and size are "
    "ignored, the whole picture is taken.",
)
@click.option(
    "--arm",
    "arm_from",
    type=click.Choice(["ros", "none"]),
    default="ros",
    show_default=True,
    help="ros: joints from the topic arm/state. none: pictures only, for the lens.",
)
@click.option("--twin", "in_twin", is_flag=True, help="Rehearse: the twin plays the cell.")
@click.option(
    "--count", type=click.IntRange(1), default=20, show_default=True, help="How many pictures."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the twin.")
@_WHERE
@_BOARD
@_SET_CELL
def capture_command(**given: Any) -> None:
    """Take pictures of the board, each with the arm's joints at that moment.

    Move the arm by hand (or however you like) between two pictures and press Enter. Turn the hand
    by 20 degrees and more about two axes, and bring the board into every corner of the picture.

    \b
    Example: handful calibrate capture views --on base --camera webcam.yaml
             handful calibrate capture views --on hand --twin --set twin.arm=xarm6
    """
    from handful.workflow import calibrate_run

    calibrate_run.capture_command(given)


@calibrate.command("camera", short_help="Lens and place of a camera, from a folder of pictures.")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@_WHERE
@click.option("--name", default="camera", show_default=True, help="Of the camera in the rig.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    callback=yaml_file,
    help="The calibration: camera_calibration's YAML with the mount in it.",
)
@click.option(
    "--lens",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.yaml",
    help="A lens that is known already; then only the place is measured.",
)
@click.option(
    "--seen",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.png",
    help="Also draw what was found in some of the pictures.",
)
@_urdf
@_BOARD
@_SET_CELL
@output_options
def camera_command(**given: Any) -> None:
    """Measure a camera: intrinsics from the board's corners, its place by hand-eye calibration.

    The arm is a Panda unless --set twin.arm=NAME (or FILE.yaml, docs/own_arm.md) or --urdf say
    otherwise.

    FOLDER holds pictures and views.jsonl (docs/calibration.md), as handful calibrate capture makes
    it. Bad views are left out and named; a set that cannot tell is refused with what is missing.

    \b
    Example: handful calibrate camera views --on base --name third --out third.yaml
    """
    from handful.workflow import calibrate_run

    calibrate_run.camera_command(given)


_EPISODE_SETTINGS = [
    click.option("--task", metavar="NAME", help="The task.  [default: as recorded]"),
    click.option("--rig", metavar="FILE.yaml", help="Settings it was recorded with.  [default: "
                 "those of the run it lies in, or config/rig.yaml]"),
    click.option("--twin", metavar="FILE.yaml", help="The twin to play it in.  [default: that of "
                 "the run it lies in, or config/twin.yaml]"),
]  # fmt: skip


def _episode_settings(command: Any) -> Any:
    for option in reversed(_EPISODE_SETTINGS):
        command = option(command)
    return command


@click.command(short_help="Play a recorded episode's commands in the twin and compare.")
@click.argument("episode", type=click.Path(path_type=Path))
@click.option("--in-twin", "in_twin", is_flag=True, required=True, help="Where; the only place.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of replay.html and replay.json.  [default: beside the log]",
)
@_episode_settings
@_SET_RUN
@output_options
def replay(**given: Any) -> None:
    """Play what was sent in EPISODE again, in the twin, and say how far the twin is from it.

    EPISODE is an episode_NNNNNN.log, or a folder of them, whose first is taken. Tool path error
    (mean, 95 %, largest), how much later the recording comes, opening error, and how alike the
    pictures are; as a page with plots and as JSON.

    \b
    Example: handful replay runs/mine/demos/episode_000003.log --in-twin --out gap
    """
    from handful.workflow import replay_in_twin_run

    replay_in_twin_run.replay_command(given)


@click.command(short_help="Fit the twin's delay and motors to recorded episodes.")
@click.argument("episodes", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    callback=yaml_file,
    help="The twin's settings with what was found, for --twin.",
)
@click.option(
    "--hold-out",
    type=click.IntRange(0),
    metavar="N",
    help="The last N episodes only judge what was found.  [default: a third]",
)
@click.option("--page", type=click.Path(path_type=Path, dir_okay=False), help="Also an HTML page.")
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the random starts."
)
@click.option(
    "--starts",
    type=click.IntRange(1),
    default=16,
    show_default=True,
    help="Gains that are tried before refining; each is one simulation an episode.",
)
@click.option(
    "--refinements",
    type=click.IntRange(1),
    default=40,
    show_default=True,
    help="Simulations an episode to refine the best of them.",
)
@click.option(
    "--friction/--no-friction",
    default=None,
    help="Also the table's friction, or refuse.  [default: where a thing is seen to slide]",
)
@_episode_settings
@_SET_RUN
@output_options
def identify(**given: Any) -> None:
    """Find the command delay, motor gains, finger speed and table friction under which the twin
    does what EPISODES did.

    EPISODES are log files, or folders of them; three to ten short ones that move a lot are enough.
    The same seed gives the same numbers. Shows the path error before and after, on episodes kept
    apart.

    \b
    Example: handful identify runs/mine/demos --out twin_cell.yaml --page identify.html
    """
    from handful.workflow import replay_in_twin_run

    replay_in_twin_run.identify_command(given)


def register(cli: click.Group) -> None:
    """Add all of these to the ``handful`` command."""
    calibrate.add_command(latency_command)
    for command in (calibrate, replay, identify):
        cli.add_command(command)
