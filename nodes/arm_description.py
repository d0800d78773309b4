#!/usr/bin/env python3
"""Prints the ``robot_description`` of the arm that ``twin.arm`` of a config names.

roslaunch asks it, before there are nodes (``core.launch``, ``model:=twin``)::

    arm_description.py CONFIG.yaml PANDA.urdf

CONFIG.yaml may be ``""``: the shipped Panda, whose file is PANDA.urdf. What cannot be described is
said on stderr and shown as a bare base frame: for RViz nothing that moves stays at home. Of a file
that is not there the nodes speak.
"""

import sys
from pathlib import Path

_BARE = '<robot name="unknown"><link name="panda_link0"/></robot>'


def main(config: str, panda_file: str) -> str:
    """The URDF as text."""
    path = Path(panda_file)
    if not config:
        return path.read_text("utf-8")
    if not Path(config).is_file():
        return _BARE
    try:  # whatever is missing here: a picture that is not drawn ends no launch
        from handful.config import read
        from handful.wire.twin_description import described

        return described(read(config)[0], path)
    except Exception as error:  # the twin refuses the same settings, and that ends everything
        print(f"arm_description: {type(error).__name__}: {error}", file=sys.stderr)
        return _BARE


if __name__ == "__main__":
    print(main(*sys.argv[1:3]))
