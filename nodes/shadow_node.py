#!/usr/bin/env python3
"""The twin beside the arm: says how far the arm is from where the same commands take its twin."""

from handful.wire.node import run
from handful.wire.twin_shadow import main

if __name__ == "__main__":
    run(main, "shadow_node")
