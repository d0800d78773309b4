"""The arm's state for a command that only reads: a node for as long as it is wanted.

A calibration asks where the arm is while a person moves it. It commands nothing, so it needs no
guard and no certificate; ``arm/state`` is all.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import rosgraph
import rospy

from handful.rig.arm import ArmError
from handful.wire.senses import TopicArm

_WAIT_S = 5.0
_LOOK_S = 0.1


@contextmanager
def arm_reading(name: str) -> Iterator[TopicArm]:
    """The arm on ``arm/state``, read by an anonymous node called ``name``.

    Raises:
        ArmError: no ROS master, or no arm state within 5 s.
    """
    if not rosgraph.is_master_online():
        raise ArmError("no ROS master answers; is roscore running, and ROS_MASTER_URI right?")
    rospy.init_node(name, anonymous=True, disable_signals=True)
    try:
        arm = TopicArm()
        for _ in range(round(_WAIT_S / _LOOK_S)):
            with suppress(ArmError):
                arm.state()
                break
            rospy.rostime.wallsleep(_LOOK_S)
        arm.state()
        yield arm
    finally:
        rospy.signal_shutdown("done")
