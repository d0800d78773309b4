"""What a session says about itself: task, source, operator, cell, calibration of cameras."""

import getpass
from typing import Any

from handful.workflow.recipe import Recipe


def about(recipe: Recipe, source: str, operator: str | None = None) -> dict[str, Any]:
    """The meta of a session recorded in the twin, JSON-ready.

    rig: every setting of the cell, so what a number in the state vector means. calibration: where
    each camera stands and what its lens does, as the twin renders it.

    Args:
        source: who acted: script, policy, teleoperation.
        operator: who was there; the account's name unless given.
    """
    cameras = recipe.twin.model_dump(mode="json").get("cameras", {})
    return {
        "task": recipe.task,
        "seed": recipe.seed,
        "source": source,
        "operator": operator or _account(),
        "rig": recipe.rig.model_dump(mode="json"),
        "calibration": {name: cameras[name] for name in recipe.rig.cameras if name in cameras},
    }


def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
