"""Seconds to ROS times and back: the contract counts in floats, the wire in nanoseconds."""

import genpy
from std_msgs.msg import Header


def stamp(seconds_s: float) -> genpy.Time:
    """Seconds to a ROS time, to the nearest nanosecond.

    Raises:
        ValueError: below 0, not finite, or beyond what a ROS time holds.
    """
    if not 0.0 <= seconds_s < 2.0**32 - 1.0:
        raise ValueError(f"a ROS time holds 0 to {2**32 - 1} s, got {seconds_s}")
    whole = int(seconds_s)
    return genpy.Time(whole, 0) + genpy.Duration(0, round((seconds_s - whole) * 1e9))


def seconds(time: genpy.Time) -> float:
    """A ROS time as seconds; near today's date a float resolves 0.24 microseconds."""
    return float(time.secs) + 1e-9 * float(time.nsecs)


def header(stamp_s: float, frame_id: str) -> Header:
    """A header with time [s] and frame; rospy counts ``seq`` itself."""
    return Header(stamp=stamp(stamp_s), frame_id=frame_id)
