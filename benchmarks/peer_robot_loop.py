"""The loop as others write it, over the same topics, guard and policy: for ``bench_ros.py``.

Two orders of things are common in public stacks (read in their repositories, written anew here):

``timer``           sleep to the beat, take the newest pictures, decide, send (HIL-SERL's ``step``)
``before_sleep``    take the newest pictures, sleep to the beat, decide, send: the observation that
                    the action is made from is a whole period old (LeRobot's actor loop)

    peer_robot_loop.py ORDER RUN
"""

import sys
import time

import numpy as np
import rospy

from handful.config import build
from handful.learn.handout import Receiver
from handful.rig.arm import ArmError
from handful.rig.camera import CameraError
from handful.rig.observe import Observer
from handful.rig.settings import RigSettings
from handful.wire.clock import RosClock
from handful.wire.gate import AgentGate
from handful.wire.senses import TopicArm
from handful.wire.topic_camera import TopicCamera
from handful.workflow.run_folder import RunFolder


def main() -> None:
    """Act at 10 Hz until told to end."""
    import torch

    order, run = sys.argv[1], RunFolder(sys.argv[2])
    rospy.init_node("agent")
    torch.set_num_threads(1)
    values = run.read_config()
    assert values is not None
    rig = build(RigSettings, values["rig"], "rig")
    clock = RosClock()
    cameras = {n: TopicCamera(n, f"{n}/color/image_raw", clock) for n in rig.cameras}
    for camera in cameras.values():
        camera.open()
    arm, gate, observer = TopicArm(), AgentGate(rig), Observer(rig)
    receiver = Receiver(run.policy, observer.spec)
    receiver.start()
    time.sleep(1.0)
    due_s = time.monotonic()
    while not rospy.is_shutdown():
        due_s += rig.period_s
        if order == "timer":
            time.sleep(max(0.0, due_s - time.monotonic()))
        try:
            frames = {n: camera.latest(1.0) for n, camera in cameras.items()}
            seen = observer.observe(frames, arm.state(), clock.now_s())
        except (CameraError, ArmError) as error:  # a hiccup of the stand-in: without this beat
            rospy.logwarn("%s", error)
            continue
        if order == "before_sleep":
            time.sleep(max(0.0, due_s - time.monotonic()))
        gate.submit(np.clip(receiver.act(seen, True, 10_000), -1.0, 1.0), seen)
    receiver.close()


if __name__ == "__main__":
    main()
