"""Options that several commands of the ``handful`` command share, each worded once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def yaml_file(_: click.Context, __: click.Parameter, value: Path | None) -> Path | None:
    """Of a file that is written and read again by name: refused at the start unless it is YAML."""
    if value is not None and value.suffix not in (".yaml", ".yml"):
        raise click.BadParameter(f"{value}: must end in .yaml, such as {value.name}.yaml")
    return value


def _add(command: F, options: list[Callable[[Any], Any]]) -> F:
    for option in reversed(options):
        command = option(command)
    return command


def settings_options(command: F) -> F:
    """The options that say what to train: task, profiles, single settings, seed."""
    options = [
        click.option(
            "--task",
            metavar="NAME",
            help="What to learn: reach, lift, push, pull, place, stack, switch, drawer, peg, or "
            "one of yours (docs/tasks.md).  [default: lift]",
        ),
        click.option(
            "--agent",
            metavar="NAME|FILE",
            help="How to learn: a profile shipped in config/agent (frozen, lean, curl, ...) or a "
            "YAML file of yours.  [default: frozen]",
        ),
        click.option(
            "--rig",
            metavar="FILE.yaml",
            help="Cameras, rates and limits of the cell.  [default: config/rig.yaml]",
        ),
        click.option(
            "--twin",
            metavar="FILE.yaml",
            help="Physics and rendering of the twin.  [default: config/twin.yaml]",
        ),
        click.option(
            "--reward",
            metavar="FILE.yaml",
            help="Who says that the goal is met while learning (docs/rewards.md).  "
            "[default: config/reward.yaml]",
        ),
        click.option(
            "--set",
            "sets",
            multiple=True,
            metavar="GROUP.KEY=VALUE",
            help="Change one setting; may be repeated. Groups: agent, rig, twin, task, train, "
            "reward. "
            "Example: --set agent.batch_size=128",
        ),
        click.option(
            "--seed",
            type=click.IntRange(0, 99),
            help="Seed of worlds, weights and noise, 0 to 99.  [default: 0]",
        ),
    ]
    return _add(command, options)


def sets_option(groups: str, example: str) -> Callable[[F], F]:
    """``--set`` of a command that reads these groups of settings."""
    return click.option(
        "--set",
        "sets",
        multiple=True,
        metavar="GROUP.KEY=VALUE",
        help=f"Change one setting; may be repeated. Groups: {groups}. Example: --set {example}",
    )


def run_option(command: F) -> F:
    """``--run DIR``."""
    return _add(
        command,
        [
            click.option(
                "--run",
                "run_dir",
                type=click.Path(path_type=Path, file_okay=False),
                help="Folder of the run; its config.yaml is remembered.  [default: runs/TASK]",
            )
        ],
    )


def output_options(command: F) -> F:
    """``--json PATH``."""
    return _add(
        command,
        [
            click.option(
                "--json",
                "json_path",
                metavar="PATH",
                help="Also write the numbers as one JSON object; - for stdout (words then go to "
                "stderr).",
            )
        ],
    )


def device_option(command: F) -> F:
    """``--device``."""
    return _add(
        command,
        [
            click.option(
                "--device",
                type=click.Choice(["cpu", "cuda"]),
                help="Where to compute.  [default: cuda when there is one, else cpu]",
            )
        ],
    )


def budget_options(command: F) -> F:
    """``--demos``, ``--steps``, ``--minutes``: what a run may cost."""
    options = [
        click.option(
            "--demos", type=click.IntRange(0), metavar="N", help="Demonstrations.  [default: 10]"
        ),
        click.option(
            "--steps",
            type=click.IntRange(0),
            metavar="N",
            help="End after N env steps; 0: take none, the policy is what pre-training made.  "
            "[default: 3000]",
        ),
        click.option(
            "--minutes",
            type=float,
            metavar="M",
            help="End after M minutes of training, pre-training apart.  [default: no limit]",
        ),
    ]
    return _add(command, options)


overwrite_option = click.option(
    "--overwrite", is_flag=True, help="Delete what this run holds and start afresh."
)

episodes_option = click.option(
    "--episodes", type=click.IntRange(1), default=50, show_default=True, help="How many episodes."
)
