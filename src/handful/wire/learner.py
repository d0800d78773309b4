"""The learner's node: ``workflow.beside`` with its standing on ``learner/status``.

It learns from what the run learns from without ROS (``workflow.sources``): ``demos``, ``play``, and
the sessions of ``handful pretrain --sessions``, or those of the parameter ``~sessions``.
"""

import os
from dataclasses import astuple
from pathlib import Path
from typing import Any

import rospy

import handful.msg as wire
from handful.config import ConfigError
from handful.rig.observe import Observer
from handful.wire.messages import header
from handful.wire.node import Level, Node
from handful.workflow.beside import NICENESS, Standing, learn_beside
from handful.workflow.console import Console
from handful.workflow.errors import sentence
from handful.workflow.parts import Parts
from handful.workflow.process import use_threads
from handful.workflow.recipe import Options, resolve
from handful.workflow.run_folder import RunFolder
from handful.workflow.sources import Given, parse, take


def main(node: Node) -> None:
    """What ``nodes/learner_node.py`` does: learn from the log in ``~run`` as it grows."""
    try:
        _learn(node)
    except Exception as error:
        line = sentence(error)
        if line is None:
            raise
        raise ConfigError(line) from None
    node.stop("the learner has stopped")


def _learn(node: Node) -> None:
    given = rospy.get_param("~run", "")
    if not given:
        raise ConfigError("~run: no run folder given; roslaunch handful ... run:=/path/to/run")
    run = RunFolder(Path(given))
    values = run.read_config()
    if values is None:
        raise ConfigError(f"~run: {run.config}: no such file; `handful collect` makes a run")
    recipe = resolve(Options(), values, str(run.config))
    status = rospy.Publisher("learner/status", wire.LearnerStatus, queue_size=1, latch=True)
    latest = Standing("waiting")

    def report(standing: Standing) -> None:
        nonlocal latest
        latest = standing
        status.publish(
            wire.LearnerStatus(header(rospy.get_time(), ""), str(run), *astuple(standing))
        )

    def check() -> tuple[Level, str, dict[str, str]]:
        values = {
            "env steps": str(latest.env_steps),
            "updates": str(latest.updates),
            "owed": str(latest.owed),
            "updates/s": f"{latest.updates_per_s:.1f}",
            "updates per step": f"{latest.updates_per_step:.2f}",
        }
        behind = latest.owed > 100 * recipe.agent.update_to_data
        return (Level.WARN if behind else Level.OK), latest.stage, values

    node.check("learning", check)
    os.nice(NICENESS)
    use_threads(recipe.agent.threads or int(rospy.get_param("~threads", 1)))
    with run.lock():
        sources = take(run, Observer(recipe.rig).spec, _named(rospy.get_param("~sessions", [])))
        for row in sources.rows():
            rospy.loginfo("learner: %s", ", ".join(f"{key} {row[key]}" for key in row))
        console = Console(quiet=True)
        learn_beside(Parts(recipe), run, console, report, until=rospy.is_shutdown, sources=sources)


def _named(given: Any) -> list[Given]:
    """``~sessions``: a list of ``[ROLE=]PATH``, or one text of them with commas between."""
    words = given.split(",") if isinstance(given, str) else given
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ConfigError(f"~sessions: expected a list of [ROLE=]PATH, got {given!r}")
    found = [parse(word.strip(), "~sessions") for word in words if word.strip()]
    for one in found:
        if not one.path.is_absolute():
            raise ConfigError(
                f"~sessions: {one.path}: give the path from the root; "
                "nodes do not run where roslaunch was started"
            )
    return found
