"""What a session says about itself: task, source, operator, cell, calibration of cameras."""

import getpass
from collections.abc import Mapping
from typing import Any

from handful.config import ConfigError
from handful.rig.calibration import parse_calibration
from handful.rig.mount import parse_mount
from handful.workflow.recipe import Recipe


def about(
    recipe: Recipe,
    source: str,
    operator: str | None = None,
    calibration: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The meta of a session, JSON-ready.

    rig: every setting of the cell, so what a number in the state vector means. calibration: where
    each camera stands and what its lens does: of a recording over ROS what its calibration file
    would hold (``rig.mount.camera_values``), of the twin in this process how it renders it.

    Args:
        source: who acted: script, policy, teleoperation, demonstration (whoever it was).
        operator: who was there; the account's name unless given.
        calibration: camera -> as above; None: the twin's.
    """
    if calibration is None:
        cameras = recipe.twin.model_dump(mode="json").get("cameras", {})
        calibration = {name: cameras[name] for name in recipe.rig.cameras if name in cameras}
    return {
        "task": recipe.task,
        "seed": recipe.seed,
        "source": source,
        "operator": operator or _account(),
        "rig": recipe.rig.model_dump(mode="json"),
        "calibration": dict(calibration),
    }


def trouble(meta: Mapping[str, Any], cameras: tuple[str, ...]) -> list[str]:
    """What is wrong with the calibration a session gives; a session that gives none is well."""
    said = meta.get("calibration")
    if said is None:
        return []
    if not isinstance(said, dict):
        return [f"calibration should be a mapping of cameras, got {said!r}"]
    found = [f"calibration of {name!r}, which is no camera here" for name in {*said} - {*cameras}]
    for name, values in said.items():
        where = f"calibration of {name}"
        try:
            if not isinstance(values, dict):
                raise ConfigError(f"{where}: expected a mapping, got {values!r}")
            if "camera_matrix" in values:
                parse_calibration(values, where)
                parse_mount(values, where)
        except ConfigError as error:
            found.append(str(error))
    return found


def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
