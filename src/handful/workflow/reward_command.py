"""``handful reward``: the words of its commands; what they do is in ``reward_actions``."""

from pathlib import Path
from typing import Any

import click

from handful.workflow.group import Handful
from handful.workflow.options import output_options

_PATH = click.Path(path_type=Path)
_file = click.argument("file", type=_PATH)
_sessions = click.argument("sessions", type=_PATH, nargs=-1, required=True)
_seed = click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Of the split, the eye and the heads.",
)
_page = click.option(
    "--page",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.html",
    help="The page about it.  [default: beside FILE]",
)


@click.group(cls=Handful, short_help="Teach and judge a classifier of success, to be the reward.")
def reward() -> None:
    """Teach a classifier what success looks like, judge it, and let it be the reward.

    SESSIONS are folders of recorded episodes, or runs: demonstrations, and failures. What the
    numbers mean, and when to distrust them: docs/rewards.md.

    \b
    Example: handful reward train runs/mine/demos data/failures --out success.safetensors
             handful reward evaluate success.safetensors data/tuesday
             handful reward mine success.safetensors data/fooled --out better.safetensors
             handful train --set reward.by=learned --set reward.file=better.safetensors
    """


@reward.command()
@_sessions
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    metavar="FILE.safetensors",
    help="The classifier.",
)
@click.option(
    "--encoder",
    type=_PATH,
    metavar="RUN|FILE",
    help="Whose eye it looks with: a run, or a checkpoint of one.  [default: one is trained on "
    "these sessions by contrast]",
)
@click.option(
    "--config",
    metavar="FILE.yaml",
    help="Labels, heads, holding, alarm.  [default: config/success.yaml]",
)
@click.option(
    "--set",
    "sets",
    multiple=True,
    metavar="success.KEY=VALUE",
    help="Change one of these settings; may be repeated. Example: --set success.heads=5",
)
@_seed
@_page
@output_options
def train(**given: Any) -> None:
    """Train a classifier on sessions, and choose its threshold on episodes kept apart.

    The last frames of a successful episode are success, those just before nobody's to say, all
    others are not. What people said since (handful data relabel) counts.

    \b
    Example: handful reward train runs/mine/demos data/failures --out success.safetensors
    """
    _do("train", given)


@reward.command()
@_file
@_sessions
@_page
@output_options
def evaluate(**given: Any) -> None:
    """Measure a classifier on sessions it has not seen, at its own threshold.

    \b
    Example: handful reward evaluate success.safetensors data/tuesday
    """
    _do("evaluate", given)


@reward.command()
@_file
@_sessions
@click.option("--write", is_flag=True, help="Put the threshold chosen here into FILE.")
@output_options
def sweep(**given: Any) -> None:
    """Show what every threshold would do on sessions, and which one the rule chooses.

    \b
    Example: handful reward sweep success.safetensors data/tuesday
    """
    _do("sweep", given)


@reward.command()
@_file
@_sessions
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    metavar="FILE.safetensors",
    help="The mended classifier.",
)
@_seed
@_page
@output_options
def mine(**given: Any) -> None:
    """Add a classifier's false positives in sessions to its failures, and train its heads again.

    Half of the episodes are mined; the other half says what that was worth.

    \b
    Example: handful reward mine success.safetensors data/fooled --out better.safetensors
    """
    _do("mine", given)


def _do(what: str, given: dict[str, Any]) -> None:
    from handful.workflow.reward_actions import ACTIONS

    ACTIONS[what](given)
