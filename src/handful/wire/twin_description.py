"""The configured arm as TF and RViz want it: its URDF on B, with meshes that can be found.

A URDF as it lies on disk starts somewhere of its own, names meshes by packages that this machine
may not have, and has joints that nobody publishes. Here its root hangs on the base frame B of the
wire where ``twin.arm.base`` puts it, meshes are whole paths, what the twin holds still is fixed,
and the tool tip T is one more link, ``tool_tip``.
"""

import copy
import math
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
from handful_twin.arm_model import ArmModel, arm_model
from handful_twin.arm_settings import ArmSettings, panda
from numpy.typing import NDArray

from handful.config import ConfigError
from handful.rig.geometry import pose
from handful.wire.messages import BASE_FRAME

TIP = "tool_tip"
"""Name of the link at T."""
_LEFT_OUT = ("collision", "inertial", "contact")  # of a link: nothing of it is looked at


def description(settings: ArmSettings) -> str:
    """``robot_description`` of the arm of these settings.

    Raises:
        ConfigError, MeshError: as ``arm_model`` does, or a mesh is nowhere.
    """
    model = arm_model(settings)
    robot = ET.Element("robot", name=model.urdf.name)
    for element in ET.parse(model.urdf.path).getroot():
        if element.tag in ("material", "link", "joint"):
            robot.append(copy.deepcopy(element))
    for link in robot.findall("link"):
        _show(link, model)
    published = {*model.joints, *model.fingers}
    for joint in robot.findall("joint"):
        mimic = joint.find("mimic")
        if mimic is not None:  # the twin publishes what follows as well as what leads
            joint.remove(mimic)
        if joint.get("name") not in published:
            joint.set("type", "fixed")
    _hang_on_base(robot, model)
    X_LT = model.X_LH @ pose(np.eye(3), [0.0, 0.0, settings.hand.tip_m])
    _bolt(robot, settings.hand.link, TIP, X_LT)
    return ET.tostring(robot, encoding="unicode")


def described(values: dict[str, Any], panda_file: Path) -> str:
    """The same of a file's values: their ``twin.arm``.

    panda_file: what the shipped Panda looks like, boxes instead of meshes that another machine with
    RViz would not have.
    """
    arm = ArmSettings.model_validate((values.get("twin") or {}).get("arm", "panda"))
    return panda_file.read_text("utf-8") if arm == panda() else description(arm)


def _show(link: ET.Element, model: ArmModel) -> None:
    """Leave of a link what is drawn, with whole paths."""
    if model.settings.drawn == "collision":
        for visual in link.findall("visual"):
            link.remove(visual)
        for collision in link.findall("collision"):
            collision.tag = "visual"
    for tag in _LEFT_OUT:
        for element in link.findall(tag):
            link.remove(element)
    for mesh in link.iter("mesh"):
        mesh.set("filename", f"file://{model.urdf.mesh(str(mesh.get('filename')))}")


def _hang_on_base(robot: ET.Element, model: ArmModel) -> None:
    """B above the URDF's root. A root that is called so and stands there is B itself."""
    children = {str(child.get("link")) for child in robot.findall("joint/child")}
    roots = [link for link in model.urdf.links if link not in children]
    if len(roots) != 1:
        raise ConfigError(
            f"{model.urdf.path}: a URDF has one root, this one has {', '.join(roots) or 'none'}"
        )
    (root,) = roots
    if root == BASE_FRAME and np.allclose(model.X_BR, np.eye(4)):
        return
    if BASE_FRAME in model.urdf.links:  # B is where the cell has it, not where this link stands
        other = f"{BASE_FRAME}_body"
        for element in robot.iter():
            for key in ("name", "link"):
                if element.tag in ("link", "parent", "child") and element.get(key) == BASE_FRAME:
                    element.set(key, other)
        root = other if root == BASE_FRAME else root
    _bolt(robot, BASE_FRAME, root, model.X_BR)
    ET.SubElement(robot, "link", name=BASE_FRAME)


def _bolt(robot: ET.Element, parent: str, child: str, X_PC: NDArray[np.float64]) -> None:
    """A fixed joint; the child is made where there is none."""
    if all(link.get("name") != child for link in robot.findall("link")):
        ET.SubElement(robot, "link", name=child)
    joint = ET.SubElement(robot, "joint", name=f"{child}_bolt", type="fixed")
    ET.SubElement(joint, "parent", link=parent)
    ET.SubElement(joint, "child", link=child)
    words = [" ".join(repr(float(x)) for x in v) for v in (X_PC[:3, 3], fixed_axis_rpy(X_PC))]
    ET.SubElement(joint, "origin", xyz=words[0], rpy=words[1])


def fixed_axis_rpy(X: NDArray[np.float64]) -> tuple[float, float, float]:
    """Roll, pitch, yaw [rad] of a URDF's ``rpy`` that turn as X (4, 4) does."""
    R = X[:3, :3]
    level = math.hypot(R[0, 0], R[1, 0])
    pitch = math.atan2(-R[2, 0], level)
    if level < 1e-9:  # roll and yaw turn about one line then; yaw has it all
        return 0.0, pitch, math.atan2(-R[0, 1], R[1, 1])
    return math.atan2(R[2, 1], R[2, 2]), pitch, math.atan2(R[1, 0], R[0, 0])
