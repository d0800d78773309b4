"""Where a camera is bolted on, beside what its lens does: one file for the rig and for the twin.

``save_camera`` writes the YAML of ROS' camera_calibration, which everybody's tools read, with one
more key: ``mount``, the pose of the camera's link in the arm's base or hand, as
``config/node/camera`` has it. The link is the colour sensor, x forward (REP 103); the optical frame
C has z forward.
"""

from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from handful.config import ConfigError, build
from handful.rig.calibration import Calibration
from handful.rig.camera_settings import MountSettings
from handful.rig.geometry import from_quat_xyzw, invert, pose, to_quat_xyzw

Array = NDArray[np.float64]

#: Pose of the optical frame C (z forward, x right, y down) in the camera's link (x forward).
X_LC = pose([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]], [0.0, 0.0, 0.0])


def mount_of(parent_frame: str, X_PC: Array) -> MountSettings:
    """The mount of an optical frame at ``X_PC`` (4, 4) in ``parent_frame``."""
    X_PL = X_PC @ invert(X_LC)
    return MountSettings(
        parent_frame=parent_frame,
        position_m=tuple(round(float(x), 6) for x in X_PL[:3, 3]),  # type: ignore[arg-type]
        quat_xyzw=tuple(round(float(x), 8) for x in to_quat_xyzw(X_PL[:3, :3])),  # type: ignore[arg-type]
    )


def optical_pose(mount: MountSettings) -> Array:
    """X_PC (4, 4): the optical frame in the mount's parent."""
    return pose(from_quat_xyzw(mount.quat_xyzw), mount.position_m) @ X_LC


def load_mount(path: str | Path) -> MountSettings | None:
    """The ``mount`` in a camera's calibration file; None when it has none.

    Raises:
        ConfigError: the file cannot be read, or its mount is not one.
    """
    path = Path(path)
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: the calibration cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    return parse_mount(values, str(path))


def parse_mount(values: Any, where: str) -> MountSettings | None:
    """The same from what such a file holds. Raises ``ConfigError``: its mount is not one."""
    entry = values.get("mount") if isinstance(values, dict) else None
    if entry is None:
        return None
    try:
        return build(MountSettings, dict(entry), f"{where}: mount")
    except (TypeError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{where}: mount: expected parent_frame, position_m, quat_xyzw") from None


def camera_text(name: str, lens: Calibration, mount: MountSettings | None, notes: list[str]) -> str:
    """The file as text; ``notes`` become comments at its top."""
    head = "".join(f"# {line}\n" for line in notes)
    values = camera_values(name, lens, mount)
    return head + yaml.safe_dump(values, sort_keys=False, default_flow_style=None, width=100)


def camera_values(name: str, lens: Calibration, mount: MountSettings | None) -> dict[str, Any]:
    """What the file holds; a session that was recorded with the camera holds the same."""
    values: dict[str, Any] = {
        "image_width": lens.width_px,
        "image_height": lens.height_px,
        "camera_name": name,
        "camera_matrix": _matrix(lens.K, 4),
        "distortion_model": lens.model,
        "distortion_coefficients": _matrix(lens.D.reshape(1, -1), 8),
        "rectification_matrix": _matrix(lens.R, 8),
        "projection_matrix": _matrix(lens.P, 4),
    }
    if mount is not None:
        values["mount"] = {
            "parent_frame": mount.parent_frame,
            "position_m": list(mount.position_m),
            "quat_xyzw": list(mount.quat_xyzw),
        }
    return values


def _matrix(values: Array, digits: int) -> dict[str, Any]:
    rows, cols = values.shape
    return {"rows": rows, "cols": cols, "data": [round(float(x), digits) for x in values.ravel()]}
