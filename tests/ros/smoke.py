#!/usr/bin/env python3
"""The cases of smoke.test: a guard that runs says where it stands, and stops when asked to."""

import sys
import unittest

import rospy
import rostest
from diagnostic_msgs.msg import DiagnosticArray

from handful.msg import GuardState
from handful.srv import Halt

PATIENCE_S = 4.0


class Smoke(unittest.TestCase):
    """One case, as rostest starts the graph anew for every test."""

    def test_it_reports_and_stops(self) -> None:
        rospy.wait_for_message("guard/state", GuardState, PATIENCE_S)
        said = rospy.wait_for_message("/diagnostics", DiagnosticArray, PATIENCE_S)
        self.assertTrue(said.status[0].name.startswith("guard_node: "), said.status[0].name)
        rospy.wait_for_service("guard/stop", PATIENCE_S)
        self.assertTrue(rospy.ServiceProxy("guard/stop", Halt)("smoke").success)
        state = rospy.wait_for_message("guard/state", GuardState, PATIENCE_S)  # latched: the newest
        self.assertEqual(state.mode, GuardState.STOPPED)
        self.assertIn("smoke", state.reason)


if __name__ == "__main__":
    rospy.init_node("smoke")
    rostest.rosrun("handful", "smoke", Smoke, sys.argv)
