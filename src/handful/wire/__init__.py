"""The doors to ROS: the only room that knows rospy; what it decides is decided in the rig."""
