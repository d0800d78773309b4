"""What ``handful teleop`` does between its options and its last line."""

import sys
from typing import Any

from handful.config import ConfigError, load
from handful.rig.operator import OperatorSettings
from handful.rig.teleop.drive import Drive
from handful.rig.teleop.settings import TeleopSettings
from handful.workflow.console import Console
from handful.workflow.data.about import about
from handful.workflow.interrupt import Interrupt, Stopped
from handful.workflow.parts import Parts
from handful.workflow.process import hush
from handful.workflow.recipe import Recipe
from handful.workflow.run_folder import RunFolder
from handful.workflow.teleop import Recording, Session
from handful.workflow.teleop_desk import Desk


def operator_settings() -> OperatorSettings:
    """The shipped keys that say things."""
    return load(OperatorSettings, "node/operator")


def teleop_settings(given: dict[str, Any]) -> TeleopSettings:
    """``config/teleop.yaml`` or ``--config FILE``, with the command line's options on top.

    Raises:
        ConfigError: an option or key that cannot be.
    """
    over: dict[str, Any] = {}
    for option in ("frame", "scale", "path"):
        if given.get(option) is not None:
            over[option] = given[option]
    listen = given.get("listen")
    if listen:
        host, colon, port = str(listen).rpartition(":")
        if not colon or not port.isdigit():
            raise ConfigError(f"--listen {listen}: expected HOST:PORT, such as 0.0.0.0:8080")
        over["page.host"], over["page.port"] = host.strip("[]"), int(port)
    return load(TeleopSettings, given.get("config") or "teleop", over)


def default_device() -> str:
    """The keyboard of a terminal when there is one, else the page."""
    return "keyboard" if sys.stdin is not None and sys.stdin.isatty() else "page"


def teleop(
    given: dict[str, Any], console: Console, run: RunFolder, recipe: Recipe
) -> dict[str, Any]:
    """Open the twin, the device and the view; drive, and record if asked to."""
    settings = teleop_settings(given)
    name = given.get("device") or default_device()
    with hush():
        env = Parts(recipe).environment()
    try:
        desk = Desk(name, settings, operator_settings(), console, view=not given.get("no_view"))
        with desk, Interrupt() as interrupt:
            session = Session(
                env,
                Drive(settings, recipe.rig.action),
                desk,
                recipe.task,
                going=lambda: interrupt.asked is None,
            )
            console.say(f"{name} drives {recipe.task}; Ctrl-C ends it")
            if given.get("record"):
                who = str(given.get("operator") or "operator")
                said, demos = {"operator": who, "device": name}, recipe.train.demos
                meta = about(recipe, "teleoperation", given.get("operator"))
                recording = Recording(
                    run.demos, demos, recipe.task, recipe.seed, said, meta, recipe.train.pictures
                )
                done = session.record(recording)
                result = {"run": str(run), "task": recipe.task, **vars(done)}
                console.say(
                    f"{run.demos}: {done.demos} of {demos} demonstrations, {done.new} new; "
                    f"{done.failed} failed and stay in {run.demos.with_name('attempts')}"
                )
            else:
                session.play(recipe.seed)
                result = {"task": recipe.task, "episodes": session.episodes}
                result |= {"successes": session.successes, "steps": session.steps}
                console.say(
                    f"{session.successes} of {session.episodes} episodes succeeded, "
                    f"{session.steps} steps; nothing was recorded (--record does)"
                )
            if desk.page is not None and desk.page.latency():
                result["latency"] = desk.page.latency()
            if interrupt.asked is not None and given.get("record") and result["demos"] < demos:
                raise Stopped(128 + interrupt.asked)
    finally:
        env.close()
    return result
