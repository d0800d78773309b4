#!/usr/bin/env python3
"""A guard that only repeats one command, 50 times a second, to be killed in the middle of it."""

import rospy

from handful.contract import Command as Goal
from handful.msg import Command
from handful.wire.messages import to_command

if __name__ == "__main__":
    rospy.init_node("guard")
    publisher = rospy.Publisher("guard/command", Command, queue_size=1, tcp_nodelay=True)
    goal = Goal(rospy.get_param("~p_BT_m"), rospy.get_param("~yaw_rad"), 0.08)
    rate, sequence = rospy.Rate(50.0), 1000
    while not rospy.is_shutdown():
        sequence += 1
        publisher.publish(
            to_command(
                goal,
                stamp_s=rospy.get_time(),
                sequence=sequence,
                valid_s=0.2,
                frame_id=rospy.get_param("~frame_id"),
            )  # fmt: skip
        )
        rate.sleep()
