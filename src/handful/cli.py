"""The ``handful`` command: a thin layer of words over ``handful.workflow``, quick at --help."""

import sys
from pathlib import Path
from typing import Any

import click

from handful.workflow.calibrate_commands import register
from handful.workflow.data.command import data
from handful.workflow.dmc_options import dmc_options
from handful.workflow.group import Handful
from handful.workflow.options import (
    budget_options,
    device_option,
    episodes_option,
    output_options,
    overwrite_option,
    run_option,
    sets_option,
    settings_options,
)
from handful.workflow.pretrain_options import play_option, pretrain
from handful.workflow.reward_command import reward
from handful.workflow.teleop_options import intervene_options, teleop
from handful.workflow.validate_options import validate

_WIDE = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def main() -> None:
    """The entry point: starts over with a better allocator where that pays, then obeys."""
    from handful.workflow.process import tune_allocator

    asked = sys.argv[1:]
    if asked and asked[0] in cli.commands and not {"-h", "--help"} & set(asked):
        tune_allocator()
    cli(prog_name="handful")


@click.group(cls=Handful, context_settings=_WIDE)
@click.version_option(package_name="handful", prog_name="handful")
def cli() -> None:
    """From a handful of demonstrations to a reliable skill, learned from camera pixels.

    \b
    The whole story:       handful demo
    The same, in steps:    handful collect  --run runs/mine --task lift --demos 10
                           handful pretrain --run runs/mine
                           handful train    --run runs/mine
                           handful evaluate runs/mine
                           handful report   runs/mine
    """


@cli.command()
@settings_options
@run_option
@click.option("--demos", type=click.IntRange(0), metavar="N", help="How many.  [default: 10]")
@click.option("--keep-failures", is_flag=True, help="Keep unsuccessful episodes too.")
@play_option
@overwrite_option
@output_options
def collect(**given: Any) -> None:
    """Record scripted demonstrations in the twin.

    Writes DIR/demos, an append-only episode log. Only successful episodes are kept. A run that has
    some already is topped up to N.

    \b
    Example: handful collect --task lift --demos 10 --run runs/mine
             handful collect --play 20 --run runs/mine
    """
    from handful.workflow import commands

    commands.collect_command(_ask(given))


cli.add_command(pretrain)


@cli.command(short_help="Learn the task by trial and error.")
@settings_options
@run_option
@device_option
@budget_options
@click.option(
    "--stop-success",
    type=click.FloatRange(0, 1),
    metavar="P",
    help="End early when the last 20 training episodes (train.stop_window) reach this share of "
    "successes.  [default: never]",
)
@click.option(
    "--check-every",
    type=click.IntRange(0),
    metavar="N",
    help="Evaluate every N env steps in worlds that are used for nothing else; 0: never.  "
    "[default: 0]",
)
@click.option("--resume", is_flag=True, help="Go on with this run; nothing recorded is lost.")
@intervene_options
@overwrite_option
@output_options
def train(**given: Any) -> None:
    """Learn the task: demonstrations, pre-training, then trial and error in the twin.

    Records demonstrations and pre-trains when that has not been done. Ctrl-C saves a checkpoint;
    after a crash or kill -9, --resume replays the episode log into the last checkpoint.

    \b
    Example: handful train --task lift --run runs/mine --steps 3000
             tensorboard --logdir runs/mine/tb
             handful train --run runs/mine --resume --steps 6000
    """
    from handful.workflow import commands

    commands.train_command(_ask(given))


@cli.command(short_help="Measure a policy in unseen worlds.")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@episodes_option
@click.option(
    "--seed",
    type=click.IntRange(0, 99),
    default=0,
    show_default=True,
    help="Which unseen worlds: episode i is world 4,000,000 + 10,000 SEED + i, never one of "
    "training.",
)
@click.option("--no-films", is_flag=True, help="Skip films and held-out frames: quicker.")
@click.option("--twin", metavar="FILE.yaml", help="Another twin than the checkpoint's; with --run.")
@sets_option("twin, task; with --run", "twin.randomize=hard")
@device_option
@click.option(
    "--run",
    "run_dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where result.json and videos go.  [default: the folder of CHECKPOINT]",
)
@output_options
def evaluate(**given: Any) -> None:
    """Measure a policy: deterministic, unseen worlds, the success criterion alone.

    CHECKPOINT is a .safetensors file or a run folder. Writes result.json (success rate with a 95 %
    Wilson interval, episode lengths), films of the best and of failed episodes, and frames for the
    report.

    \b
    Example: handful evaluate runs/mine --episodes 100 --seed 7
             handful evaluate runs/mine --set twin.randomize=hard --run runs/mine_hard
    """
    from handful.workflow import commands

    commands.evaluate_command(given)


@cli.command(short_help="Write one HTML page about a run, or several.")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The page.  [default: RUN/report.html; comparison.html beside the first of several]",
)
@output_options
def report(**given: Any) -> None:
    """Write one self-contained HTML page about a run, or a comparison of several.

    Curves, success with its interval, films, what the encoder separates, every setting. Runs that
    differ only in their seed are drawn as one kind.

    \b
    Example: handful report runs/mine
             handful report runs/lean-* runs/frozen-* --out ablation.html
    """
    from handful.workflow import commands

    commands.report_command(given)


@cli.group(cls=Handful, short_help="Measure speed on this machine, and learning on known tasks.")
def bench() -> None:
    """Measure speed on this machine, side by side with others, and learning on known tasks.

    \b
    Example: handful bench learner --json learner.json
             handful bench dmc --task cartpole_swingup --method curl --seeds 1,2,3
             handful bench dmc --table
    """


def _speed(what: str, default_s: int, help_text: str) -> None:
    """One command of ``handful bench`` that times ``benchmarks/bench_<what>.py``."""
    example = f"\b\nExample: handful bench {what} --json {what}.json"

    @bench.command(name=what, help=f"{help_text}\n\n{example}", short_help=help_text)
    @click.option(
        "--benchmarks",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path("benchmarks"),
        show_default=True,
        help="The benchmarks folder of a checkout.",
    )
    @click.option(
        "--seconds",
        type=click.FloatRange(min=0, min_open=True),
        metavar="S",
        help=f"Time for each case [s]; longer is steadier.  [default: {default_s}]",
    )
    @output_options
    def run(**given: Any) -> None:
        from handful.workflow import commands

        commands.bench_command({"what": what, **given})


_speed("twin", 5, "Environment steps and frames a second, against panda-gym.")
_speed("learner", 20, "Updates a second against the published updates, latency, memory.")
_speed("ros", 60, "Picture to guarded command while the learner trains, against other loops.")


@bench.command(short_help="Train any method on a known task; published numbers beside ours.")
@dmc_options
@output_options
def dmc(**given: Any) -> None:
    """Train any method on a known task by the papers' protocol, and compare with their numbers.

    Budgets are environment steps; ten deterministic episodes at fixed marks, the last at the
    budget; no best checkpoint is picked. A run that was stopped or killed goes on when the same
    command is given again. Needs the extra dmc; docs/benchmarks.md is the manual.

    \b
    Example: handful bench dmc --task cartpole_swingup --method curl --seeds 1,2,3
             handful bench dmc --task planet --set agent.batch_size=512
             handful bench dmc --task HalfCheetah-v5 --method state --steps 1000000
             handful bench dmc --table
    """
    from handful.workflow.dmc_command import dmc_command

    dmc_command(given)


@cli.command(short_help="The whole story in one command, with a report.")
@settings_options
@device_option
@budget_options
@click.option(
    "--episodes",
    type=click.IntRange(1),
    default=50,
    show_default=True,
    help="Unseen episodes at the end.",
)
@click.option(
    "--run",
    "run_dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("runs/demo"),
    show_default=True,
    help="Where to; a run that is there is kept beside it as DIR.previous.",
)
@output_options
def demo(**given: Any) -> None:
    """The whole story: ten demonstrations, pre-training, training, 50 unseen episodes, a report.

    \b
    Example: handful demo --task lift --demos 10
    """
    from handful.workflow import commands

    commands.demo_command(_ask(given))


@cli.command(name="robot-demo", short_help="The closed loop over ROS, with the twin as the robot.")
@click.option(
    "--run",
    "run_dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("runs/demo"),
    show_default=True,
    help="The run whose policy acts; it is made by `handful demo` when it is not there.",
)
@episodes_option
@click.option(
    "--seed",
    type=click.IntRange(0, 99),
    default=0,
    show_default=True,
    help="Which unseen worlds, as for handful evaluate.",
)
@click.option("--rviz", is_flag=True, help="Show it in RViz (package rviz).")
@output_options
def robot_demo(**given: Any) -> None:
    """Close the loop over ROS: roscore, the twin in the robot's place, guard, agent, N episodes.

    Starts launch/evaluate.launch under a ROS master of its own and prints success, latencies and
    late beats, beside those of the evaluation in one process. Needs ROS: `make ros` (docs/ros.md).

    \b
    Example: handful robot-demo --episodes 20
    """
    from handful.workflow import commands

    commands.robot_demo_command(given)


for command in (validate, data, teleop, reward):
    cli.add_command(command)
register(cli)


def _ask(given: dict[str, Any]) -> dict[str, Any]:
    """Remember the run for the sentence after Ctrl-C."""
    folder = given.get("run_dir") or f"runs/{given.get('task') or 'lift'}"
    click.get_current_context().find_root().obj = folder
    return given


if __name__ == "__main__":
    main()
