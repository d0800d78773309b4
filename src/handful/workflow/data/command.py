"""``handful data``: the words of its commands; what they do is in the files beside this one."""

from pathlib import Path
from typing import Any

import click

from handful.workflow.group import Handful
from handful.workflow.options import output_options

_FOLDER = click.Path(path_type=Path)
_session = click.argument("session", type=_FOLDER)
_episodes = click.option(
    "--episodes", metavar="LIST", help="Which, for example 0,3-7.  [default: all]"
)
_who = click.option("--who", metavar="NAME", help="Who says so.  [default: the account's name]")
_why = click.option("--why", default="", metavar="TEXT", help="Why, for whoever reads it later.")


@click.group(cls=Handful, short_help="Look at, check, arrange and exchange recorded episodes.")
def data() -> None:
    """Look at, check, arrange and exchange recorded episodes.

    A session is a folder of episodes, such as runs/mine/demos. No command changes a recording:
    what people say about one stands beside it, and can be taken back.

    \b
    Example: handful data list runs/mine
             handful data show runs/mine/demos 3
             handful data export runs/mine/demos lift_lerobot --format lerobot
    """


@data.command(name="list")
@click.argument("path", type=_FOLDER)
@output_options
def list_(**given: Any) -> None:
    """One line an episode: steps, success, seconds, size, source, task, seed, commit.

    PATH is a session, a run, or a folder of runs.

    \b
    Example: handful data list runs/mine --json - | jq '.episodes[] | select(.success)'
    """
    _do("list", given)


@data.command()
@_session
@click.argument("episode", type=click.IntRange(0))
@click.option("--out", type=_FOLDER, metavar="FILE.html", help="The page.  [default: beside it]")
@click.option("--as-recorded", is_flag=True, help="Without what people have said about it since.")
@output_options
def show(**given: Any) -> None:
    """Write a page about one episode: scrubber, all cameras, actions, verdicts, reward, state.

    \b
    Example: handful data show runs/mine/demos 3 --out episode.html
    """
    _do("show", given)


@data.command()
@click.argument("path", type=_FOLDER)
@click.option("--repair", is_flag=True, help="Rebuild damaged files from their whole records.")
@output_options
def check(**given: Any) -> None:
    """Look at every record: checksums, shapes, cameras, clocks, order, edits.

    Says file and byte of every problem; exit status 1 when there is one. --repair keeps every whole
    step, and the damaged file beside the new one as NAME.broken.

    \b
    Example: handful data check runs/mine && handful data export ...
    """
    _do("check", given)


@data.command()
@_session
@click.argument("episode", type=click.IntRange(0))
@click.option(
    "--from", "first", type=click.IntRange(0), metavar="A", help="First step that counts."
)
@click.option("--to", "end", type=click.IntRange(1), metavar="B", help="First one that does not.")
@_who
@_why
@output_options
def trim(**given: Any) -> None:
    """Let only the steps A to B of an episode count, numbered from 0 as they were recorded.

    \b
    Example: handful data trim runs/mine/demos 3 --from 5 --why "the arm waited for me"
    """
    _do("trim", given)


@data.command()
@_session
@click.argument("episodes", metavar="EPISODES")
@click.option("--success/--failure", default=None, help="How they ended.")
@click.option("--reward", type=float, metavar="R", help="Reward of their last step.")
@click.option("--undo", is_flag=True, help="Take back all that was said about them, cuts too.")
@_who
@_why
@output_options
def relabel(**given: Any) -> None:
    """Say how episodes ended; stands beside the recording and is in force wherever it is read.

    \b
    Example: handful data relabel runs/mine/demos 2,5-7 --failure --why "cube slipped" --who ada
    """
    _do("relabel", given)


@data.command()
@click.argument("out", type=_FOLDER)
@click.argument("sessions", type=_FOLDER, nargs=-1, required=True)
@_episodes
@click.option(
    "--pictures",
    type=click.Choice(["raw", "png"]),
    help="Store the pictures anew like this, and carry edits out; both are lossless.  "
    "[default: link the files]",
)
@output_options
def merge(**given: Any) -> None:
    """Put episodes of several sessions into OUT, one session with one numbering.

    \b
    Example: handful data merge data/lift runs/monday/demos runs/tuesday/demos
    """
    _do("merge", given)


@data.command()
@_session
@click.option("--out", type=_FOLDER, required=True, help="Gets the sessions train and held_out.")
@click.option(
    "--share",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.2,
    show_default=True,
    help="Of the worlds (seeds) that are held out.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Which ones.")
@output_options
def split(**given: Any) -> None:
    """Split a session by its worlds' seeds into train and held_out; no world is in both.

    \b
    Example: handful data split data/lift --out data/lift_split
    """
    _do("split", given)


@data.command(name="export")
@_session
@click.argument("out", type=_FOLDER)
@click.option(
    "--format",
    "kind",
    type=click.Choice(["lerobot", "robomimic"]),
    required=True,
    help="LeRobotDataset v3 (a folder) or robomimic HDF5 (a file).",
)
@_episodes
@click.option(
    "--pictures",
    type=click.Choice(["png", "ffv1", "h264"]),
    default="png",
    show_default=True,
    help="LeRobot: PNG in the tables, lossless video, or lossy video with its PSNR stated.",
)
@click.option("--fps", type=click.FloatRange(0, min_open=True), help="[default: from the stamps]")
@click.option("--task", metavar="TEXT", help="In words.  [default: the session's task]")
@output_options
def export(**given: Any) -> None:
    """Write episodes as LeRobotDataset v3 or as robomimic HDF5.

    Imported again, lossless ones are equal to the bit. Whole or not at all.

    \b
    Example: handful data export data/lift lift.hdf5 --format robomimic
             handful data export data/lift lift_lerobot --format lerobot --pictures h264
    """
    _do("export", given)


@data.command(name="import")
@click.argument("source", type=_FOLDER)
@click.argument("out", type=_FOLDER)
@click.option("--rig", metavar="FILE.yaml", help="Bags: the cell.  [default: config/rig.yaml]")
@click.option(
    "--topics", metavar="FILE.yaml", help="Bags: who speaks where.  [default: config/data/bag.yaml]"
)
@click.option("--task", metavar="TEXT", help="What was done, if the source does not say.")
@click.option(
    "--pictures", type=click.Choice(["raw", "png"]), default="raw", show_default=True,
    help="How the log stores them; both are lossless.",
)  # fmt: skip
@output_options
def import_(**given: Any) -> None:
    """Make a session of a LeRobotDataset v3, a robomimic HDF5 file or a rosbag.

    What SOURCE is, its content says. Nothing in it is unpickled, and no path in it may lead outside
    of it.

    \b
    Example: handful data import lift_lerobot data/lift
             handful data import monday.bag data/monday --rig config/rig.yaml
    """
    _do("import", given)


def _do(what: str, given: dict[str, Any]) -> None:
    from handful.workflow.data import actions

    status = actions.ACTIONS[what](given)
    if status:
        click.get_current_context().exit(status)
