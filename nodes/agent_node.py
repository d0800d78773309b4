#!/usr/bin/env python3
"""The agent: cameras and arm in, actions out; ``rosrun handful agent_node.py _run:=runs/demo``."""

from handful.wire.agent import main
from handful.wire.node import run

if __name__ == "__main__":
    run(main, "agent_node")
