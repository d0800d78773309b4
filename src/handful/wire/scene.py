"""Who puts up the scene of an episode over ROS, and who says how it ended."""

import threading
import time
from collections.abc import Callable

import rospy
from std_msgs.msg import Bool

from handful.msg import EpisodeEvent
from handful.rig.cell import Said, SceneError
from handful.rig.episode import Phase
from handful.srv import Reset

Waiting = Callable[[str], None]
"""Told what is being waited for; an empty text when the waiting is over."""

_PATIENCE_S = 10.0
_ENDS = {
    EpisodeEvent.END: Phase.TIMED_OUT,
    EpisodeEvent.SUCCESS: Phase.SUCCEEDED,
    EpisodeEvent.FAILURE: Phase.FAILED,
}


class EventJudge:
    """``rig.cell.Judge`` by ``judge/at_goal`` (a detector) and ``episode/event`` (people).

    An at_goal that is older than ``max_age_s`` on the monotonic clock counts as not at the goal.
    """

    def __init__(self, max_age_s: float = 0.3) -> None:
        self._lock = threading.Lock()
        self._said = Said()
        self._begun = threading.Event()
        self._at_goal, self._at_goal_s, self._max_age_s = False, 0.0, max_age_s
        self._heard = False
        rospy.Subscriber("judge/at_goal", Bool, self._on_goal, queue_size=1, tcp_nodelay=True)
        rospy.Subscriber("episode/event", EpisodeEvent, self._on_event, queue_size=10)

    def met(self) -> bool:
        """What the detector said last."""
        return self._at_goal and time.monotonic() - self._at_goal_s <= self._max_age_s

    def knows(self) -> bool | None:
        """The same as the truth, beside another judge; None: no detector has said it of late."""
        silent_s = time.monotonic() - self._at_goal_s
        return self._at_goal if self._heard and silent_s <= self._max_age_s else None

    def said(self) -> Said:
        """The first ending that was called since the last time this was asked."""
        with self._lock:
            said, self._said = self._said, Said()
            return said

    def called(self) -> bool:
        """Somebody has called the end of the episode, and ``said`` was not asked since."""
        with self._lock:
            return self._said.end is not None

    def await_begin(self, going: Callable[[], bool]) -> bool:
        """Wait for somebody's BEGIN; False when ``going`` ended it."""
        self._begun.clear()
        while going():
            if self._begun.wait(0.1):
                return True
        return False

    def _on_goal(self, message: Bool) -> None:
        self._at_goal, self._at_goal_s = bool(message.data), time.monotonic()
        self._heard = True

    def _on_event(self, message: EpisodeEvent) -> None:
        if message.event == EpisodeEvent.BEGIN:
            self._begun.set()
        elif message.event in _ENDS:
            with self._lock:
                if self._said.end is None:
                    self._said = Said(_ENDS[message.event], message.source)


class RosScene:
    """``rig.cell.Scene``: wait until the guard lets things move, then have the scene put up.

    In the twin the service ``scene/reset`` puts everything in its place. Without that service a
    person does: the agent waits for BEGIN (``operator_node``).

    Args:
        forbids: why nothing may move now; empty: it may.
        judge: hears BEGIN. going: False ends all waiting. waiting: told what is waited for.
        fresh: whether pictures and arm state from after ``stamp_s`` are there.
        reset_service: its name; empty: a person puts the scene up.
    """

    def __init__(
        self,
        forbids: Callable[[], str],
        judge: EventJudge,
        going: Callable[[], bool],
        waiting: Waiting,
        fresh: Callable[[float], bool],
        reset_service: str = "scene/reset",
    ) -> None:
        self._forbids, self._judge = forbids, judge
        self._going, self._waiting, self._fresh = going, waiting, fresh
        self._service = reset_service
        self._reset = (
            rospy.ServiceProxy(reset_service, Reset, persistent=False) if reset_service else None
        )

    def prepare(self, seed: int) -> None:
        """Wait for the guard, put the scene of ``seed`` up, wait for news of it.

        Raises:
            SceneError: the service failed, nothing was seen afterwards, or the node is ending.
        """
        self._until(lambda: not self._forbids(), lambda: f"the guard holds: {self._forbids()}")
        if self._reset is None:
            self._waiting("a person: put the scene up, then press begin")
            if not self._judge.await_begin(self._going):
                raise SceneError("the agent was asked to stop")
        else:
            try:
                rospy.wait_for_service(self._service, _PATIENCE_S)
                answer = self._reset(seed)
            except (rospy.ROSException, rospy.ServiceException) as error:
                raise SceneError(f"{self._service}: {error}") from None
            if not answer.success:
                raise SceneError(f"{self._service}: {answer.message}")
        put_up_s = rospy.get_time()
        self._until(
            lambda: self._fresh(put_up_s),
            lambda: "pictures and arm state of the new scene",
            _PATIENCE_S,
        )
        self._until(lambda: not self._forbids(), lambda: f"the guard holds: {self._forbids()}")
        self._waiting("")

    def _until(
        self, done: Callable[[], bool], what: Callable[[], str], patience_s: float | None = None
    ) -> None:
        began_s = time.monotonic()
        while not done():
            if not self._going():
                raise SceneError("the agent was asked to stop")
            waited_s = time.monotonic() - began_s
            if patience_s is not None and waited_s > patience_s:
                raise SceneError(f"waited {patience_s:g} s in vain for {what()}")
            if waited_s > 0.5:
                self._waiting(what())
            time.sleep(0.005)
