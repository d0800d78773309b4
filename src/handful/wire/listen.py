"""From the topics, live or out of a bag, back to the episode log the agent has written.

An action names the capture times of the pictures and the arm state it was made from, so what the
agent saw is put together again exactly, whatever the order in which a bag plays its topics. Run as
``agent_node`` with ``_mode:=listen``; it neither acts nor needs a policy.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rospy
from sensor_msgs.msg import Image

import handful.msg as wire
from handful.contract import Observation, Transition
from handful.rig.camera import CameraError
from handful.rig.episodes import EpisodeLog
from handful.rig.observe import Observer
from handful.rig.settings import RigSettings
from handful.wire import messages
from handful.wire.places import Places
from handful.wire.topic_camera import BUFFER_BYTES

_KEPT = 90
"""Pictures and states that are remembered: three seconds at 30 Hz."""
_PATIENCE_S = 2.0
_SAME_S = 1e-6
_REWARD = {wire.Episode.SUCCEEDED: (1.0, 0.0), wire.Episode.FAILED: (0.0, 0.0)}
_ENDS = (wire.Episode.SUCCEEDED, wire.Episode.TIMED_OUT, wire.Episode.FAILED)


@dataclass
class _Step:
    """An action and what the guard made of it."""

    action: Any
    verdict: Any = None


class Listener:
    """Writes an episode log of what it hears; ``poll`` does the work in the caller's thread.

    Attributes:
        written: episodes. missing: actions whose pictures were not heard; their episode ends there.
    """

    def __init__(
        self, rig: RigSettings, folder: Path, log: EpisodeLog | None = None, source: str = "agent"
    ) -> None:
        """Hear ``source``'s actions; log: where to, unless to one of its own in ``folder``."""
        self._rig, self._observer, self._source = rig, Observer(rig), source
        self._log = log or EpisodeLog(folder, self._observer.spec, {"from": "topics"})
        self._patience_s = _PATIENCE_S
        self._lock = threading.Lock()
        self._heard: dict[str, deque[Any]] = {n: deque(maxlen=_KEPT) for n in rig.cameras}
        self._heard["arm"] = deque(maxlen=_KEPT)
        self._places = Places()
        self._events: deque[Any] = deque()
        self._verdicts: dict[int, Any] = {}
        self._open: _Step | None = None
        self._begun = False
        self._last: Observation | None = None
        self._end: Any = None
        self.written = self.missing = 0
        self._listen()

    def _listen(self) -> None:
        """Subscribe to everything that is needed."""
        fast: dict[str, Any] = {"tcp_nodelay": True, "queue_size": 100}
        for name in self._rig.cameras:
            rospy.Subscriber(
                f"{name}/color/image_raw", Image, self._keep, name, buff_size=BUFFER_BYTES, **fast
            )
        rospy.Subscriber("arm/state", wire.ArmState, self._keep, "arm", **fast)
        self._places.listen()
        rospy.Subscriber("agent/action", wire.Action, self._queue, **fast)
        rospy.Subscriber("guard/verdict", wire.Verdict, self._on_verdict, **fast)
        rospy.Subscriber("episode", wire.Episode, self._queue, **fast)

    def run(self, going: Callable[[], bool]) -> int:
        """Listen until ``going`` says no; episodes written."""
        while going():
            if not self.poll():
                time.sleep(0.01)
        self._log.end()
        return self.written

    def poll(self) -> bool:
        """Work through one thing that was heard; whether there was one."""
        with self._lock:
            event = self._events.popleft() if self._events else None
        if event is None:
            return False
        if isinstance(event, wire.Action):
            self._on_action(event)
        else:
            self._on_episode(event)
        return True

    # In the callbacks: store, nothing else.

    def _keep(self, message: Any, name: str) -> None:
        with self._lock:
            self._heard[name].append(message)

    def _queue(self, message: Any) -> None:
        with self._lock:
            self._events.append(message)

    def _on_verdict(self, message: Any) -> None:
        if message.source == self._source:
            with self._lock:
                self._verdicts[message.sequence] = message

    # In the caller's thread.

    def _on_episode(self, message: Any) -> None:
        if message.phase == wire.Episode.RESETTING:
            self._observer.reset()
            self._open, self._begun, self._end, self._last = None, False, None, None
        elif message.phase == wire.Episode.FAULTED and self._begun:
            self._log.fault(message.reason)
            self._begun = False
        elif message.phase in _ENDS and self._open is not None and self._begun:
            self._end = message  # of two topics either may be played first
            self._finish_if_whole()

    def _on_action(self, message: Any) -> None:
        if not message.parts:
            return
        try:
            seen = self._observe(message)
        except CameraError as error:
            self.missing += 1
            if self._begun:
                self._log.fault(str(error))
                self._begun = False
            return
        if message.rest:  # the episode's last observation
            self._last = seen
            self._finish_if_whole()
            return
        if self._open is None:
            self._log.begin(seen, info={"source": "topics"})
            self._begun = True
        elif self._begun:
            self._log.add(self._transition(self._open, seen, 0.0, 1.0, False))
        self._open = _Step(message)

    def _finish_if_whole(self) -> None:
        """Once both are there: how the episode ended, and what was seen then."""
        if self._end is None or self._last is None or self._open is None or not self._begun:
            return
        reward, discount = _REWARD.get(self._end.phase, (0.0, 1.0))
        self._log.add(self._transition(self._open, self._last, reward, discount, True))
        self._log.end()
        self.written += 1
        self._open, self._begun, self._end, self._last = None, False, None, None

    def _transition(
        self, step: _Step, seen: Observation, reward: float, discount: float, last: bool
    ) -> Transition:
        verdict = self._verdict(step.action.sequence)
        return Transition(
            action=np.array(verdict.executed, np.float32),
            reward=reward,
            discount=discount,
            next_observation=seen,
            last=last,
            info={
                "success": reward > 0.0,
                "verdict": messages.verdict(verdict).status,
                **self._places.told(seen),
            },
            asked=messages.action(step.action),
        )

    def _verdict(self, sequence: int) -> Any:
        end_s = time.monotonic() + self._patience_s
        while True:
            with self._lock:
                if sequence in self._verdicts:
                    return self._verdicts.pop(sequence)
            if time.monotonic() > end_s:
                raise CameraError(f"guard/verdict: no verdict on action {sequence} was heard")
            time.sleep(0.002)

    def _observe(self, action: Any) -> Observation:
        """The observation of an action: exactly the pictures and the state it names."""
        *pictures_s, arm_s = map(messages.seconds, action.parts)
        frames = {
            name: messages.frame(self._of(name, stamp_s), name)
            for name, stamp_s in zip(self._rig.cameras, pictures_s, strict=True)
        }
        arm = messages.arm_state(self._of("arm", arm_s))
        oldest_s = min(*pictures_s, arm_s)
        return self._observer.observe(frames, arm, oldest_s)

    def _of(self, name: str, stamp_s: float) -> Any:
        """The message of a moment; waits a little for one that has not come in yet."""
        end_s = time.monotonic() + self._patience_s
        while True:
            with self._lock:
                for message in reversed(self._heard[name]):
                    if abs(messages.seconds(message.header.stamp) - stamp_s) < _SAME_S:
                        return message
            if time.monotonic() > end_s or rospy.is_shutdown():
                raise CameraError(f"{name}: what was taken at {stamp_s:.6f} s was not heard")
            time.sleep(0.002)
