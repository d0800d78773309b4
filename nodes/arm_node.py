#!/usr/bin/env python3
"""Drives a real arm: what the guard commands, in the words of that arm's own controller.

Settings: group ``arm``, or a shipped profile by the private parameter ``~profile`` (the name of a
file under config/node/arm). docs/arms.md lists them.
"""

import rospy

from handful.wire.arm import ArmServer
from handful.wire.arms.build import build
from handful.wire.arms.settings import ArmNodeSettings
from handful.wire.node import Node, run
from handful.wire.parameters import settings


def main(node: Node) -> None:
    """Read the settings, find the arm, follow the guard until the end."""
    profile = rospy.get_param("~profile", "")
    arm = settings(ArmNodeSettings, "arm", f"node/arm/{profile}" if profile else None)
    server = ArmServer(arm, build(arm))
    node.check("arm", server.report)
    server.start()
    node.spin()


if __name__ == "__main__":
    run(main, "arm_node")
