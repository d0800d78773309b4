#!/usr/bin/env python3
"""One camera as ROS topics; ``rosrun handful camera_node.py _camera:=third _profile:=realsense``.

Private parameters: ``~camera``, its name in the rig; ``~settings``, what a YAML under
config/node/camera says, or ``~profile``, the name of one of these. docs/cameras.md has the topics.
"""

from handful.wire.camera_server import main
from handful.wire.node import run

if __name__ == "__main__":
    run(main, "camera_node")
