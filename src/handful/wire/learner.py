"""The learner's node: ``workflow.beside`` with its standing on ``learner/status``."""

import os
from dataclasses import astuple
from pathlib import Path

import rospy

import handful.msg as wire
from handful.config import ConfigError
from handful.wire.messages import header
from handful.wire.node import Level, Node
from handful.workflow.beside import NICENESS, Standing, learn_beside
from handful.workflow.console import Console
from handful.workflow.errors import sentence
from handful.workflow.parts import Parts
from handful.workflow.process import use_threads
from handful.workflow.recipe import Options, resolve
from handful.workflow.run_folder import RunFolder


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
        learn_beside(Parts(recipe), run, Console(quiet=True), report, until=rospy.is_shutdown)
