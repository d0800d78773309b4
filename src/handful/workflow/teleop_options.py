"""`handful teleop` and its options, and those of `handful train --teleop`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from handful.workflow.options import output_options, run_option, settings_options

F = TypeVar("F", bound=Callable[..., Any])
DEVICES = ("keyboard", "gamepad", "spacemouse", "page")


def device_file_options(command: F) -> F:
    """How a person's device is found and what it may do."""
    options = [
        click.option(
            "--config",
            metavar="FILE.yaml",
            help="Keys, buttons, page.  [default: config/teleop.yaml]",
        ),
        click.option("--path", metavar="FILE", help="Device file, such as /dev/input/js1."),
        click.option(
            "--scale", type=float, metavar="S", help="Share of a full action at full deflection."
        ),
        click.option(
            "--frame",
            type=click.Choice(["base", "tool"]),
            help="Whose axes forward and left are.  [default: base]",
        ),
        click.option(
            "--listen",
            metavar="HOST:PORT",
            help="Where the page is served.  [default: 127.0.0.1, a free port]",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def teleop_options(command: F) -> F:
    """All of ``handful teleop``."""
    options = [
        settings_options,
        run_option,
        click.option(
            "--device",
            type=click.Choice(DEVICES),
            help="What to drive with.  [default: keyboard in a terminal, else page]",
        ),
        device_file_options,
        click.option("--record", is_flag=True, help="Record demonstrations into the run."),
        click.option(
            "--demos", type=click.IntRange(1), metavar="N", help="How many.  [default: 10]"
        ),
        click.option("--operator", metavar="NAME", help="Who drives, for the record."),
        click.option("--no-view", is_flag=True, help="Without the live view in the browser."),
        output_options,
    ]
    for option in reversed(options):
        command = option(command)
    return command


def intervene_options(command: F) -> F:
    """``handful train --teleop DEVICE``."""
    options = [
        click.option(
            "--teleop",
            type=click.Choice([*DEVICES, "scripted"]),
            metavar="DEVICE",
            help="A person may take over at any tick: keyboard, gamepad, spacemouse or page; "
            "scripted: the twin's demonstrator plays the person.",
        ),
        click.option(
            "--teleop-config",
            type=click.Path(path_type=Path, dir_okay=False),
            help="Keys, buttons, page.  [default: config/teleop.yaml]",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.command(short_help="Drive the twin by hand, and record demonstrations.")
@teleop_options
def teleop(**given: Any) -> None:
    """Drive the twin by hand: keyboard, gamepad, SpaceMouse, or a page in the browser.

    The page shows the cameras whatever drives. Nothing moves unless the deadman is held, and the
    twin's time passes only then. --record writes DIR/demos exactly as handful collect does; what
    did not succeed stays in DIR/attempts. docs/teleoperation.md has the keys.

    \b
    Example: handful teleop --task lift
             handful teleop --task lift --device page --record --run runs/mine --demos 10
    """
    from handful.workflow import commands

    context = click.get_current_context()
    context.find_root().obj = given.get("run_dir") or f"runs/{given.get('task') or 'lift'}"
    commands.teleop_command(given)
