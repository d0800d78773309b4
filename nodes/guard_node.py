#!/usr/bin/env python3
"""The last one before the arm: every action passes here, and silence stops the arm.

Settings: groups ``rig``, ``guard`` and ``gate`` (config/rig.yaml, config/node/). docs/safety.md
says what it watches, who may move the arm, and what it is not.
"""

from handful.rig.gatekeeper import Gatekeeper
from handful.rig.settings import RigSettings
from handful.rig.watch import GuardNodeSettings
from handful.wire.guard import GuardServer
from handful.wire.node import Node, run
from handful.wire.papers import claims_here, gate_settings
from handful.wire.parameters import settings


def main(node: Node) -> None:
    """Read the settings, guard until the end."""
    rig = settings(RigSettings, "rig", "rig")
    watch = settings(GuardNodeSettings, "guard", "node/guard")
    server = GuardServer(node.clock, rig, watch, Gatekeeper(gate_settings(), claims_here(rig)))
    node.check("guard", server.report)
    node.check("commands", server.report_stream)
    node.check("certificate", server.papers.report)
    server.start()
    node.spin()


if __name__ == "__main__":
    run(main, "guard_node")
