"""Who may import whom: the walls between the rooms, read off every import in the tree."""

import ast
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(path for base in ("src", "sim", "nodes") for path in (ROOT / base).glob("**/*.py"))
HALLWAY = {"handful.contract", "handful.config"}
GENERATED = {"handful.msg", "handful.srv"}
ROS = {
    "rospy",
    "roslib",
    "rosgraph",
    "roslaunch",
    "rosbag",
    "rospkg",
    "genpy",
    "cv_bridge",
    "actionlib",
}
ROS |= {"tf", "tf2_ros", "tf2_geometry_msgs", "message_filters", "dynamic_reconfigure"}


@dataclass(frozen=True)
class Room:
    """ours: which of our modules it may import (and everything below them). foreign: which of
    the guarded libraries it may import; a library that no room guards is free."""

    ours: frozenset[str]
    foreign: frozenset[str] = frozenset()


def room(*ours: str, foreign: tuple[str, ...] = ()) -> Room:
    return Room(frozenset(ours), frozenset(foreign))


FREE = {"handful", "handful.__version__"}  # the map and the version are no room's secret
ROOMS = {
    "handful": room(),
    "handful.contract": room(),
    "handful.config": room(),
    "handful.wire": room(*HALLWAY, *GENERATED, "handful.rig", "handful.wire", foreign=("ros",)),
    # The GPU processes, alone on the wire, may know the learner.
    "handful.wire.agent": room(*HALLWAY, *GENERATED, "handful.", foreign=("ros", "torch")),
    "handful.wire.learner": room(*HALLWAY, *GENERATED, "handful.", foreign=("ros", "torch")),
    "handful.wire.twin": room(  # the twin in the robot's place
        *HALLWAY,
        *GENERATED,
        "handful.rig",
        "handful.wire",
        "handful_twin",
        foreign=("ros", "pybullet"),
    ),
    "handful.learn": room(*HALLWAY, "handful.learn", foreign=("torch",)),
    "handful.rig": room(*HALLWAY, "handful.rig", foreign=("camera",)),
    "handful.workflow": room(*HALLWAY, "handful.", "handful_twin", foreign=("torch", "pybullet")),
    "handful.cli": room(*HALLWAY, "handful.", "handful_twin", foreign=("torch", "pybullet")),
    "handful_twin": room(*HALLWAY, "handful.rig", "handful_twin", foreign=("pybullet",)),
    "nodes": room(*HALLWAY, "handful.", foreign=("ros",)),
}
GUARDED = {
    "torch": {"torch", "torchvision", "tensorboard", "stable_baselines3"},
    "pybullet": {"pybullet", "pybullet_data", "pybullet_utils"},
    "ros": ROS,
    "camera": {"pyrealsense2"},
}


def module_of(path: Path) -> str:
    for base in ("src", "sim"):
        if path.is_relative_to(ROOT / base):
            parts = path.relative_to(ROOT / base).with_suffix("").parts
            return ".".join(part for part in parts if part != "__init__")
    return "nodes." + path.stem


def imports(source: str) -> list[tuple[int, str]]:
    """(line, module) of every import, at any depth, ``from`` names and dynamic ones included."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            dots = "." * node.level
            found += [(node.lineno, f"{dots}{node.module or ''}")]
            if node.level == 0:
                found += [(node.lineno, f"{node.module}.{alias.name}") for alias in node.names]
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = ast.unparse(node.func)
            if name in ("__import__", "importlib.import_module", "import_module", "find_spec"):
                found.append((node.lineno, str(node.args[0].value)))
    return found


def below(name: str, parent: str) -> bool:
    return name == parent or name.startswith(parent if parent.endswith(".") else parent + ".")


def kin(module: str, room_name: str) -> bool:
    """``handful.wire.agent_loop`` lives in the room ``handful.wire.agent``, with its neighbours."""
    return room_name.startswith("handful.wire.") and module.startswith(room_name + "_")


def violations(module: str, source: str) -> list[str]:
    """What ``source`` breaks as ``module``; the room with the longest name that fits decides."""
    law = ROOMS[max((r for r in ROOMS if below(module, r) or kin(module, r)), key=len)]
    wrong = []
    for line, name in imports(source):
        top = name.partition(".")[0]
        if name.startswith("."):
            wrong.append(f"line {line}: relative import {name!r}; say where from")
        elif top in ("handful", "handful_twin"):
            if name not in FREE and not any(below(name, ours) for ours in law.ours):
                wrong.append(f"line {line}: {module} may not import {name}")
        else:
            for kind, libraries in GUARDED.items():
                is_ros = kind == "ros" and top.endswith(("_msgs", "_srvs"))
                if (top in libraries or is_ros) and kind not in law.foreign:
                    wrong.append(f"line {line}: {module} may not import {name}")
    return sorted(set(wrong))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_file_keeps_the_law(path: Path) -> None:
    assert violations(module_of(path), path.read_text(encoding="utf-8")) == []


def test_there_are_files_in_every_room_that_has_been_built() -> None:
    rooms = {module_of(path).rpartition(".")[0] for path in FILES}
    assert {"handful", "handful.learn", "handful.rig", "handful.workflow", "handful_twin"} <= rooms


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("handful.rig.guard", "import torch"),
        ("handful.rig.guard", "import torch.nn as nn"),
        ("handful.rig.guard", "from torch import nn"),
        ("handful.rig.guard", "def f():\n    import torch"),
        ("handful.rig.guard", "if True:\n    import importlib; importlib.import_module('torch')"),
        ("handful.rig.guard", "__import__('torch')"),
        ("handful.rig.guard", "import rospy"),
        ("handful.rig.guard", "from sensor_msgs.msg import Image"),
        ("handful.rig.guard", "import pybullet"),
        ("handful.rig.guard", "import handful_twin"),
        ("handful.rig.guard", "from handful import learn"),
        ("handful.rig.guard", "from handful.learn.agent import Agent"),
        ("handful.rig.guard", "from handful.workflow import train"),
        ("handful.rig.guard", "from handful import cli"),
        ("handful.rig.guard", "from .arm import Arm"),
        ("handful.rig.guard", "from . import arm"),
        ("handful.learn.agent", "from handful.rig import loop"),
        ("handful.learn.agent", "from handful import rig"),
        ("handful.learn.agent", "import handful.rig.settings"),
        ("handful.learn.agent", "import pybullet"),
        ("handful.learn.agent", "import handful_twin.env"),
        ("handful.learn.agent", "import pyrealsense2"),
        ("handful.contract", "from handful.rig.arm import Arm"),
        ("handful.contract", "import torch"),
        ("handful.config", "from handful.contract import Frame"),
        ("handful.rig.guard", "from handful.msg import Verdict"),
        ("handful.rig.guard", "import genpy"),
        ("handful.wire.guard", "from handful.learn.learner import Learner"),
        ("handful.wire.guard", "from handful.workflow.run_folder import RunFolder"),
        ("handful.wire.guard", "import torch"),
        ("handful.wire.guard", "import handful_twin.twin_arm"),
        ("handful.wire.arms.franka", "from handful.wire.agent_loop import Loop\nimport torch"),
        ("handful.wire.agent_loop", "import handful_twin"),
        ("handful.wire.agent_loop", "import pybullet"),
        ("handful.wire.twin", "import torch"),
        ("handful.wire.twin", "from handful.workflow import train"),
        ("handful_twin.env", "import torch"),
        ("handful_twin.env", "import rospy"),
        ("handful_twin.env", "from handful.learn import learner"),
        ("handful_twin.env", "from handful.workflow import train"),
        ("handful_twin.tasks.lift", "import stable_baselines3"),
        ("handful.workflow.train", "import rospy"),
        ("handful.cli", "import rospy"),
        ("nodes.guard_node", "import pybullet"),
    ],
)  # fmt: skip
def test_the_law_has_teeth(module: str, line: str) -> None:
    assert violations(module, line)


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("handful.rig.guard", "import math\nimport numpy as np\nimport cv2"),
        ("handful.rig.guard", "from handful.contract import Command"),
        ("handful.rig.loop", "from handful.rig import guard"),
        ("handful.rig.playback", "from handful import __version__"),
        ("handful.rig.realsense", "import pyrealsense2"),
        ("handful.learn.agent", "import torch\nfrom handful.config import Settings"),
        ("handful_twin.env", "import pybullet\nfrom handful.rig.loop import ControlLoop"),
        ("handful.workflow.train", "from handful.learn import learner\nimport handful_twin"),
        ("nodes.guard_node", "import rospy\nfrom handful.rig import guard"),
        ("handful.wire", "from sensor_msgs.msg import Image\nfrom handful.contract import Frame"),
        ("handful.wire.guard", "import rospy\nfrom handful.rig.arm import Arm\nimport handful.msg"),
        ("handful.wire.guard", "from handful.wire.messages import Judged"),
        ("handful.wire.agent_loop", "import torch, rospy\nfrom handful.workflow import parts"),
        ("handful.wire.twin", "import rospy\nfrom handful_twin.twin_arm import TwinArm"),
        ("handful.wire.twin_camera", "import pybullet"),
        ("handful.rig.guard", "import tf_like_name\nimport torchlight"),
    ],
)  # fmt: skip
def test_the_law_lets_honest_imports_pass(module: str, line: str) -> None:
    assert violations(module, line) == []


def test_the_workshop_runs_without_torch_ros_or_pybullet() -> None:
    """What the walls are for, seen at run time: none of it is loaded through a third party."""
    modules = [module_of(p) for p in FILES if below(module_of(p), "handful.rig")]
    script = (
        f"import importlib, sys\nfor m in {modules}: importlib.import_module(m)\n"
        "print([m for m in ('torch', 'pybullet', 'rospy', 'handful_twin', 'handful.learn')"
        " if m in sys.modules])"
    )
    modules_loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout
    assert modules_loaded.strip() == "[]"


def test_what_watches_the_arm_starts_without_torch_or_pybullet() -> None:
    """Guard, arm, cameras and operator start at once: no import of theirs brings the learner."""
    pytest.importorskip("rospy", reason="NO ROS HERE; to test it: make test on Debian 12")
    pytest.importorskip("handful.msg", reason="NO ROS HERE; to test it: make test on Debian 12")
    heavy = ("handful.wire.agent", "handful.wire.learner", "handful.wire.twin")
    modules = [module_of(p) for p in FILES if below(module_of(p), "handful.wire")]
    light = [m for m in modules if not m.startswith(heavy)]
    script = (
        f"import importlib, sys\nfor m in {light}: importlib.import_module(m)\n"
        "print([m for m in ('torch', 'pybullet', 'handful_twin', 'handful.learn',"
        " 'handful.workflow') if m in sys.modules])"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout
    assert loaded.strip() == "[]"
