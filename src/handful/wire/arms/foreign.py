"""Message packages of other people's robots, imported when an adapter needs them and not before.

Debian carries none of them. Each is a few files that build in any catkin workspace.
"""

import importlib
from typing import Any

from handful.rig.arm import ArmError

#: Package -> repository that holds it, and the branch for ROS 1 where that is not the default.
_HOMES = {
    "control_msgs": ("https://github.com/ros-controls/control_msgs", "kinetic-devel"),
    "franka_msgs": ("https://github.com/frankaemika/franka_ros", ""),
    "franka_gripper": ("https://github.com/frankaemika/franka_ros", ""),
    "ur_dashboard_msgs": ("https://github.com/UniversalRobots/Universal_Robots_ROS_Driver", ""),
    "robotiq_2f_gripper_control": ("https://github.com/ros-industrial-attic/robotiq", ""),
}


def message(package: str, name: str, needed_by: str) -> Any:
    """The message class ``package/name``.

    Raises:
        ArmError: the package is not there, or has no such message; the message says how to get it.
    """
    try:
        module = importlib.import_module(f"{package}.msg")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != package:
            raise
        home, branch = _HOMES.get(package, ("", ""))
        where = f" from {home}" + (f" (branch {branch})" if branch else "") if home else ""
        raise ArmError(
            f"{needed_by} needs the ROS message package {package}, which is not installed: put it"
            f"{where} into the catkin workspace's src/, run catkin_make and source its "
            "devel/setup.bash before starting"
        ) from None
    if not hasattr(module, name):
        raise ArmError(
            f"{needed_by} needs {package}/{name}, which the installed {package} does not have; it "
            f"has {', '.join(sorted(n for n in vars(module) if n[0].isupper()))}"
        )
    return getattr(module, name)
