"""Options of ``handful bench dmc``, worded once."""

from pathlib import Path

import click

from handful.workflow.options import F, device_option, overwrite_option


def dmc_options(command: F) -> F:
    """What to train on what, for how long, where it goes; or what to show."""
    options = [
        click.option(
            "--task",
            metavar="NAME,...",
            default="cartpole_swingup",
            show_default=True,
            help="Tasks of dm_control (DOMAIN_TASK), or of Gymnasium's MuJoCo "
            "(HalfCheetah-v5), which give states only; planet is the six of CURL's tables.",
        ),
        click.option(
            "--method",
            metavar="NAME|FILE",
            default="curl",
            show_default=True,
            help="A profile shipped in config/agent or a YAML file of yours.",
        ),
        click.option(
            "--set",
            "sets",
            multiple=True,
            metavar="agent.KEY=VALUE",
            help="Change one setting of it.",
        ),
        click.option(
            "--name",
            metavar="WORD",
            help="Folder of the results.  [default: the method and what was changed about it]",
        ),
        click.option(
            "--seeds",
            metavar="N,N,...",
            default="1",
            show_default=True,
            help="Seeds of worlds, weights and noise; each is a run of its own.",
        ),
        click.option(
            "--parallel",
            type=click.IntRange(1),
            metavar="N",
            help="Runs at a time.  [default: one a core; all of them on a GPU]",
        ),
        click.option(
            "--steps",
            "budget_env_steps",
            type=int,
            metavar="N",
            help="Budget in environment steps: decisions x repeat.  [default: 100000]",
        ),
        click.option(
            "--repeat",
            type=int,
            metavar="N",
            help="Environment steps a decision is held for.  [default: the task's, else 2]",
        ),
        click.option(
            "--physics",
            type=click.Choice(["published", "installed"]),
            help="Capsules as heavy as in the papers' MuJoCo, or as in the one that is installed.  "
            "[default: published on the six tasks of planet, else installed]",
        ),
        click.option(
            "--eval-every",
            "eval_every_env_steps",
            type=int,
            metavar="N",
            help="Environment steps between evaluations.  [default: 10000]",
        ),
        click.option(
            "--eval-episodes",
            type=click.IntRange(1),
            metavar="N",
            help="Deterministic episodes of an evaluation.  [default: 10]",
        ),
        click.option(
            "--runs",
            type=click.Path(path_type=Path, file_okay=False),
            default=Path("runs/dmc"),
            show_default=True,
            help="Where checkpoints, logs and TensorBoard's files go.",
        ),
        click.option(
            "--results",
            type=click.Path(path_type=Path, file_okay=False),
            default=Path("benchmarks/results/dmc"),
            show_default=True,
            help="Where the CSVs and plots go, and where --table looks.",
        ),
        click.option(
            "--keep-log", is_flag=True, help="Keep the log of all pictures of a complete run."
        ),
        click.option(
            "--table",
            is_flag=True,
            help="Print published numbers beside ours: methods by tasks, then each verdict.",
        ),
        click.option(
            "--plot",
            is_flag=True,
            help="Draw the curves: beside the CSVs, and planet.svg of all six tasks.",
        ),
    ]
    for option in reversed([*options, device_option, overwrite_option]):
        command = option(command)
    return command
