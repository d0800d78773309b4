"""The scripted demonstrator over ROS: it knows the twin's truth and acts as a person would.

For demonstrations in the twin without a person (``record_demos.launch cell:=twin``): while an
episode runs it publishes ``script/action``, which passes the guard like everybody's.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import rospy
from handful_twin.demonstrate import Demonstrator
from handful_twin.live import Report
from handful_twin.settings import TwinSettings
from handful_twin.tasks import Task, Truth

import handful.msg as wire
from handful.contract import ArmState, Observation
from handful.rig.settings import RigSettings
from handful.wire import messages
from handful.wire.clock import RosClock

_NOTHING = Observation({}, np.zeros(0, np.float32), 0.0)


@dataclass
class _Seat:
    """What ``Demonstrator`` asks of an environment, from the twin's newest report."""

    rig: RigSettings
    twin: TwinSettings
    task: Task
    report: Report | None = None

    def truth(self) -> Truth:
        assert self.report is not None
        return self.report.truth

    def arm_state(self) -> ArmState:
        assert self.report is not None
        return self.report.arm


class ScriptedHand:
    """Acts in a thread of its own from RUNNING to the end of each episode.

    Args:
        newest: the twin's newest report, or None. stamp_s: its stamp on the cell's clock [s].
    """

    def __init__(
        self,
        clock: RosClock,
        task: Task,
        rig: RigSettings,
        twin: TwinSettings,
        newest: Callable[[], tuple[Report, float] | None],
        seed: int = 0,
    ) -> None:
        self._clock, self._period_s, self._newest = clock, rig.period_s, newest
        self._seat = _Seat(rig, twin, task)
        self._hand = Demonstrator(self._seat, None, seed)  # type: ignore[arg-type]
        self._running = threading.Event()
        self._sequence = 0
        fast: dict[str, Any] = {"queue_size": 5, "tcp_nodelay": True}
        self._actions = rospy.Publisher("script/action", wire.Action, **fast)
        rospy.Subscriber("episode", wire.Episode, self._on_episode, **fast)

    def start(self) -> None:
        """Begin to wait for episodes."""
        threading.Thread(target=self._run, name="script", daemon=True).start()

    def _on_episode(self, message: Any) -> None:
        if message.phase == wire.Episode.RUNNING:
            self._hand.reset()
            self._running.set()
        elif self._running.is_set():
            self._running.clear()
            self._send(np.empty(0), self._clock.now_s(), rest=True)

    def _run(self) -> None:
        due_s = self._clock.now_s()
        while not rospy.is_shutdown():
            if not self._running.wait(0.1):
                due_s = self._clock.now_s()
                continue
            due_s = max(due_s + self._period_s, self._clock.now_s())
            self._clock.sleep_until(due_s)
            newest = self._newest()
            if newest is None or not self._running.is_set():
                continue
            self._seat.report, stamp_s = newest
            self._send(self._hand.act(_NOTHING), stamp_s)

    def _send(self, values: Any, stamp_s: float, rest: bool = False) -> None:
        self._sequence += 1
        self._actions.publish(
            messages.to_action(
                values, stamp_s=stamp_s, sequence=self._sequence, source="script", rest=rest
            )
        )
