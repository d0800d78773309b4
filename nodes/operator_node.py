#!/usr/bin/env python3
"""A person's keys and buttons: begin, end, success, failure, stop, hold, resume.

In a terminal: ``rosrun handful operator_node.py``. docs/operator.md has the keys.
"""

from handful.wire.node import run
from handful.wire.operator import main

if __name__ == "__main__":
    run(main, "operator_node")
