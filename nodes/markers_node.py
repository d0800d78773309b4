#!/usr/bin/env python3
"""What RViz shows of the guard: its box, the target, the last verdict; on the topic ``markers``."""

from handful.rig.settings import RigSettings
from handful.wire.markers import MarkerServer
from handful.wire.node import Node, run, settings


def main(node: Node) -> None:
    """Draw what goes by until the end."""
    MarkerServer(settings(RigSettings, "rig", "rig").guard).start()
    node.spin()


if __name__ == "__main__":
    run(main, "markers_node")
