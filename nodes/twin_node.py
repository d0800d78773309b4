#!/usr/bin/env python3
"""The twin in the robot's place; ``rosrun handful twin_node.py`` needs no other argument.

Settings: groups ``rig``, ``twin``, ``task`` and ``live`` (config/node/twin.yaml).
"""

from handful.wire.node import run
from handful.wire.twin import main

if __name__ == "__main__":
    run(main, "twin_node")
