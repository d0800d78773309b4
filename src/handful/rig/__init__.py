"""The workshop: metres, radians, seconds and frames; no gradient, no ROS and no simulator."""
