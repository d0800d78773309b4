"""A node that sends actions of one source at 10 Hz until it dies; the tests kill it."""

import sys
import time

import rospy

from handful.msg import Action

rospy.init_node("sender")
source = sys.argv[1]
actions = rospy.Publisher(f"{source}/action", Action, queue_size=1, tcp_nodelay=True)
while not rospy.is_shutdown():
    message = Action(source=source, values=[0.1, 0.0, 0.0, 0.0])
    message.header.stamp = rospy.Time.now()
    actions.publish(message)
    time.sleep(0.1)
