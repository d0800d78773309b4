"""``handful pretrain`` and its options; what it does is in ``workflow.pretrain_command``."""

from pathlib import Path
from typing import Any

import click

from handful.workflow.options import device_option, output_options, run_option, settings_options

play_option = click.option(
    "--play",
    type=click.IntRange(1),
    metavar="N",
    help="Record N episodes of play instead (and demonstrations besides, if --demos says so): the "
    "arm wanders and means nothing. DIR/play, for the contrast alone.",
)


@click.command(short_help="Teach the encoder to see, from recorded sessions.")
@settings_options
@run_option
@device_option
@click.option(
    "--sessions",
    multiple=True,
    metavar="[ROLE=]PATH",
    help="Learn from these recorded sessions too; may be repeated, and the run remembers them. "
    "ROLE: demonstration, play, failed, policy.  [default role: as each episode says itself]",
)
@click.option(
    "--held-out",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Measure what was learned on these sessions, of which nothing is learned.  [default: 12 "
    "scripted episodes in the twin, in worlds that nothing else uses]",
)
@click.option("--no-report", is_flag=True, help="Measure nothing: quicker.")
@click.option("--again", is_flag=True, help="Pre-train again although it has been done.")
@output_options
def pretrain(**given: Any) -> None:
    """Teach the encoder to see, from recorded pictures, before the first motion.

    The contrast looks at every picture: demonstrations, play, failures. Only demonstrations that
    succeeded are cloned and kept for training. Writes DIR/pretrained.safetensors, from which
    handful train starts (train does this by itself when it has not been done), and says how good
    it is: DIR/pretraining.html, docs/pretraining.md.

    \b
    Example: handful pretrain --run runs/mine --set agent.pretrain.updates=1600
             handful pretrain --run runs/mine --sessions data/monday --sessions play=data/wander
             handful pretrain --run runs/bc --agent bc && handful evaluate runs/bc
    """
    from handful.workflow import commands

    folder = given.get("run_dir") or f"runs/{given.get('task') or 'lift'}"
    click.get_current_context().find_root().obj = folder
    commands.pretrain_command(given)
