"""The cell's time over ROS: wall or ``/clock``, and it notices when time goes back."""

import threading
import time
from collections.abc import Callable

import rospy
from rosgraph_msgs.msg import Clock

_TOLERANCE_S = 1.0e-3  # two threads may read the time in one order and compare it in the other
_LOOK_S = 0.05  # how often a wait looks for a shutdown or for a wall that was set


class RosClock:
    """``rig.clock.Clock`` on ROS time; make it after ``rospy.init_node``.

    Under ``use_sim_time`` it follows ``/clock`` and stands at 0 until the first tick. Time goes
    back when a simulator starts anew, a bag loops or somebody sets the wall; whoever remembers
    stamps must forget them then. It is noticed at every tick of ``/clock``, and at every reading.

    Watchdogs do not belong here: they count ``time.monotonic()``, which no simulator can stop.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._newest_s = 0.0
        self._jumps = 0
        self._callbacks: list[Callable[[float], None]] = []
        self.simulated = bool(rospy.get_param("/use_sim_time", False))
        if self.simulated:
            # rospy's own subscriber came first, so its time is set when this one is called.
            rospy.Subscriber("/clock", Clock, self._ticked, queue_size=10, tcp_nodelay=True)

    @property
    def jumped_back(self) -> int:
        """How many times the time has gone back since this clock was made."""
        return self._jumps

    def on_jump_back(self, callback: Callable[[float], None]) -> None:
        """Call ``callback(by_s)`` whenever time has gone back by ``by_s`` [s], in some thread."""
        self._callbacks.append(callback)

    def now_s(self) -> float:
        """Seconds of ROS time; 0.0 before the first tick of a simulated clock."""
        return self._see(rospy.get_time())

    def sleep_until(self, stamp_s: float) -> None:
        """Return when ``now_s() >= stamp_s``; sooner when time goes back or the node shuts down."""
        jumps = self._jumps
        while not rospy.is_shutdown() and self._jumps == jumps:
            rest_s = stamp_s - self.now_s()
            if rest_s <= 0.0:
                return
            if self.simulated:
                with self._changed:
                    if self._newest_s < stamp_s:
                        self._changed.wait(_LOOK_S)
            else:
                time.sleep(min(rest_s, _LOOK_S))

    def _ticked(self, message: Clock) -> None:
        self._see(message.clock.to_sec())
        with self._changed:
            self._changed.notify_all()

    def _see(self, now_s: float) -> float:
        with self._changed:
            by_s = self._newest_s - now_s
            if by_s <= _TOLERANCE_S:
                self._newest_s = max(self._newest_s, now_s)
                return now_s
            self._newest_s = now_s
            self._jumps += 1
            self._changed.notify_all()
        rospy.logwarn("time went back by %.3f s, to %.3f s", by_s, now_s)
        for callback in self._callbacks:
            try:
                callback(by_s)
            except Exception as error:  # of one listener; the others and the reader go on
                rospy.logerr("after time went back: %s: %s", type(error).__name__, error)
        return now_s
