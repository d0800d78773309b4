#!/usr/bin/env python3
"""The learner: reads the log the agent writes, hands weights out; ``_run:=runs/demo``."""

from handful.wire.learner import main
from handful.wire.node import run

if __name__ == "__main__":
    run(main, "learner_node")
