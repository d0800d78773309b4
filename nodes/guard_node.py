#!/usr/bin/env python3
"""The last one before the arm: every action passes here, and silence stops the arm.

Settings: groups ``rig`` and ``guard`` (config/rig.yaml, config/node/guard.yaml). docs/safety.md
says what it watches, who may move the arm, and what it is not.
"""

from handful.rig.settings import RigSettings
from handful.rig.watch import GuardNodeSettings
from handful.wire.guard import GuardServer
from handful.wire.node import Node, run
from handful.wire.parameters import settings


def main(node: Node) -> None:
    """Read the settings, guard until the end."""
    rig = settings(RigSettings, "rig", "rig")
    server = GuardServer(node.clock, rig, settings(GuardNodeSettings, "guard", "node/guard"))
    node.check("guard", server.report)
    node.check("commands", server.report_stream)
    server.start()
    node.spin()


if __name__ == "__main__":
    run(main, "guard_node")
