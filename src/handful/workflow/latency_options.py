"""``handful calibrate latency``: its words."""

from pathlib import Path
from typing import Any

import click

from handful.workflow.options import output_options, sets_option, yaml_file


@click.command("latency", short_help="How late the arm moves and pictures are.")
@click.option(
    "--ros",
    "over_ros",
    is_flag=True,
    help="Measure the running graph (twin.launch or rig.launch), through its guard. THE ARM MOVES.",
)
@click.option(
    "--repeat",
    type=click.IntRange(2, 30),
    default=5,
    show_default=True,
    help="Repetitions; steps of 5.5 s and the path, each.",
)
@click.option(
    "--seconds",
    "seconds",
    type=click.FloatRange(2.0, 60.0),
    default=4.0,
    show_default=True,
    metavar="SECONDS",
    help="How long the smooth path lasts; longer tells the age of pictures more surely.",
)
@click.option(
    "--amplitude",
    "amplitude_m",
    type=click.FloatRange(0.006, 0.05),
    default=0.03,
    show_default=True,
    metavar="METRES",
    help="How far the smooth path goes; steps are 0.6 of it, and half as much again must be free "
    "to all sides. With --ros less, where the guard's limits allow less.",
)
@click.option("--rig", metavar="FILE.yaml", help="The cell.  [default: config/rig.yaml]")
@click.option(
    "--twin",
    metavar="FILE.yaml",
    default="twin",
    help="The twin: what is rehearsed with, and what --out changes.  [default: config/twin.yaml]",
)
@click.option(
    "--live",
    metavar="FILE.yaml",
    help="The delays that the twin plays.  [default: config/node/twin.yaml]",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.yaml",
    callback=yaml_file,
    help="Write the twin's settings with these delays, for --twin.",
)
@sets_option("rig, twin, live; not with --ros", "live.actuation_delay_s=0.08")
@output_options
def latency_command(**given: Any) -> None:
    """Measure delays: command to motion, and the age of pictures, each with a 95 % interval.

    The arm makes steps of 2 cm, then follows a smooth path of 3 cm; allow it 5 cm to all sides.

    Without --ros the twin plays the cell in virtual time, a rehearsal. With --ros the arm of the
    running graph moves, whichever it is: every step goes through the guard, as a script's
    (script/action), so it needs a guard that is ready and an arm that nobody else moves, and a
    person's hand (teleop/action) takes over at once. Ctrl-C has the guard hold the arm. Rig and
    limits are those of the graph.

    \b
    Example: handful calibrate latency --set live.actuation_delay_s=0.08 --out twin.yaml
             handful calibrate latency --ros --out twin_mine.yaml
    """
    from handful.workflow import latency_run

    latency_run.latency_command(given)
