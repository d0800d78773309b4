"""The way to the guard's process: an action goes out, a verdict comes back.

``AgentGate`` is for who decides; ``WatchGate`` for who only records what somebody else decides.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import rospy
from numpy.typing import ArrayLike, NDArray

from handful.contract import Observation
from handful.msg import Action, GuardState, Verdict
from handful.rig.action import ActionError
from handful.rig.arm import Arm, ArmError
from handful.rig.loop import Judged
from handful.rig.settings import RigSettings
from handful.rig.teleop.drive import Drive
from handful.rig.teleop.settings import TeleopSettings
from handful.wire import messages

ANSWER_S = 0.1
"""A guard that does not answer within this is not there [s]; it answers in a few ms."""
_FRESH_S = 0.08
"""A guard that was not heard for so long is not asked for more [s]: four of its commands. Shorter
than ``ANSWER_S``, so that a guard that did not answer is not taken for one that would."""
_SCRIPT_S = 10.0  # a program that has moved the arm and is silent for so long will not go on [s]
_SAY_S = 1.0  # a pause that is worth a word [s]
_LOOK_S = 0.02
_SHARE = 0.6  # of a period: so long is a person's next step waited for; the beat stays the beat
REMEMBERED = 100
"""Latencies that are kept."""


class GuardWatch:
    """What the guard says about itself, and whether it is still there.

    The guard sends its commands many times a second; ``silent_s`` counts from the last one heard
    of, on the monotonic clock.
    """

    def __init__(self) -> None:
        from handful.msg import Command

        self._state: GuardState | None = None
        self._heard_s = -np.inf
        rospy.Subscriber("guard/state", GuardState, self._on_state, queue_size=1, tcp_nodelay=True)
        rospy.Subscriber("guard/command", Command, self._on_command, queue_size=1, tcp_nodelay=True)

    @property
    def silent_s(self) -> float:
        """Seconds since the guard's last command."""
        return time.monotonic() - self._heard_s

    @property
    def forbids(self) -> str:
        """Why nothing may move now; empty: it may."""
        state = self._state
        if state is None or self.silent_s > _FRESH_S:
            return "the guard is silent"
        return "" if state.mode == GuardState.READY else state.reason

    @property
    def barred(self) -> str:
        """Why an agent may not act, as far as the guard knows; empty: it may."""
        return "" if self._state is None else str(self._state.barred)

    def _on_state(self, message: GuardState) -> None:
        self._state = message

    def _on_command(self, _: object) -> None:
        self._heard_s = time.monotonic()


class AgentGate:
    """``rig.loop.Gate`` over ``SOURCE/action`` and ``guard/verdict``.

    latencies_s: from the capture of the oldest picture to the guard's decision, the last hundred;
    all_latencies_s: since the start.
    """

    def __init__(self, settings: RigSettings, source: str = "agent") -> None:
        self._dim = 5 if settings.action.yaw_step_rad > 0.0 else 4
        self._source, self._sequence = source, 0
        self._answered = threading.Condition()
        self._answer: messages.Judged | None = None
        self._person: tuple[float, messages.Judged] | None = None
        self._period_s = settings.period_s
        self.latencies_s: deque[float] = deque(maxlen=REMEMBERED)
        self.all_latencies_s: list[float] = []
        self._actions = rospy.Publisher(f"{source}/action", Action, queue_size=2, tcp_nodelay=True)
        rospy.Subscriber(
            "guard/verdict", Verdict, self._on_verdict, queue_size=20, tcp_nodelay=True
        )

    @property
    def connected(self) -> bool:
        """Somebody listens to the actions."""
        return bool(self._actions.get_num_connections() > 0)

    def begin(self) -> None:
        """Nothing: the guard knows where the arm stands."""

    def rest(self, seen: Observation | None) -> None:
        """Tell the guard that the silence to come is meant, and a recorder what was seen last."""
        self._sequence += 1
        self._actions.publish(
            messages.to_action(
                np.empty(0),
                stamp_s=rospy.get_time() if seen is None else seen.stamp_s,
                sequence=self._sequence,
                source=self._source,
                rest=True,
                parts_s=() if seen is None else seen.parts_s,
            )
        )

    def submit(self, action: ArrayLike, seen: Observation) -> Judged:
        """Publish ``action`` (A,) and wait for the verdict on it.

        Refused because a person drives (``teleop/action``), it is their step that comes back,
        marked ``by_person``: that is what the arm does in this tick.

        Raises:
            ActionError: wrong shape or not finite; nothing was sent, and the guard holds the arm
                when nothing else comes.
            ArmError: the guard does not answer.
        """
        values = np.asarray(action, np.float32)
        if values.shape != (self._dim,) or not np.isfinite(values).all():
            raise ActionError(
                f"action: expected {self._dim} finite numbers, got {np.asarray(action).tolist()}"
            )
        self._sequence += 1
        sequence = self._sequence
        self._actions.publish(
            messages.to_action(
                values,
                stamp_s=seen.stamp_s,
                sequence=sequence,
                source=self._source,
                parts_s=seen.parts_s,
            )
        )
        deadline_s = time.monotonic() + ANSWER_S
        with self._answered:
            while self._answer is None or self._answer.sequence != sequence:
                rest_s = deadline_s - time.monotonic()
                if rest_s <= 0.0:
                    raise ArmError(
                        f"guard/verdict: the guard did not answer action {sequence} within "
                        f"{ANSWER_S} s; is guard_node running?"
                    )
                self._answered.wait(rest_s)
            answer = self._answer
        self.latencies_s.append(answer.stamp_s - seen.stamp_s)
        self.all_latencies_s.append(answer.stamp_s - seen.stamp_s)
        person = self._persons() if answer.status == "refused" else None
        return judged(answer) if person is None else replace(judged(person), by_person=True)

    def _persons(self) -> messages.Judged | None:
        """The person's step of this tick: the next one ruled on, else one that just was."""
        now_s = time.monotonic()
        with self._answered:
            self._answered.wait_for(
                lambda: self._person is not None and self._person[0] > now_s,
                _SHARE * self._period_s,
            )
            if self._person is None or self._person[0] < now_s - self._period_s:
                return None
            return self._person[1]

    def _on_verdict(self, message: Verdict) -> None:
        if message.source == "teleop" and message.reason != "rests":
            with self._answered:
                self._person = (time.monotonic(), messages.verdict(message))
                self._answered.notify_all()
        if message.source != self._source:
            return
        answer = messages.verdict(message)
        with self._answered:
            self._answer = answer
            self._answered.notify_all()


class WatchGate:
    """``rig.loop.Gate`` for a recorder: ``submit`` waits for what the guard rules on next.

    The action it is given does not matter. Steps of all sources but the agent's count. A person may
    pause, with the deadman let go: the arm stands, and nothing is recorded until they go on. What
    they say meanwhile falls on a step in which nobody moves.

    Args:
        settings: of the rig. arm: what it was told last. max_pause_s: nobody moves the arm for so
            long, and the episode is given up; a program that falls silent is waited for less.
        called: somebody has said how the episode ends. going: False ends the waiting.
        waiting: told what is being waited for; an empty text: nothing.
    """

    def __init__(
        self,
        settings: RigSettings,
        arm: Arm,
        max_pause_s: float,
        called: Callable[[], bool],
        going: Callable[[], bool] = lambda: True,
        waiting: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._still, self._arm = Drive(TeleopSettings(), settings.action).still, arm
        self._period_s, self._max_pause_s = settings.period_s, max_pause_s
        self._called, self._going, self._waiting = called, going, waiting
        self._answered = threading.Condition()
        self._ruled: deque[messages.Judged] = deque(maxlen=100)
        self._source = ""
        rospy.Subscriber(
            "guard/verdict", Verdict, self._on_verdict, queue_size=20, tcp_nodelay=True
        )

    def begin(self) -> None:
        """Forget what was ruled on before the episode."""
        with self._answered:
            self._ruled.clear()

    def rest(self, seen: Observation | None) -> None:
        """Nothing: somebody else acts."""

    def submit(self, action: ArrayLike, seen: Observation) -> Judged:
        """The next verdict on somebody's step, or one of standing still when the episode was ended.

        Raises:
            ArmError: nobody moves the arm for too long, or the recorder was asked to stop.
        """
        began_s = time.monotonic()
        answer, told = self._next(), False
        while answer is None:
            paused_s = time.monotonic() - began_s
            if self._called():
                break
            if not self._going():
                raise ArmError("the agent was asked to stop")
            limit_s = self._max_pause_s if self._source != "script" else _SCRIPT_S
            if paused_s > limit_s:
                raise ArmError(f"guard/verdict: nobody has moved the arm for {limit_s:g} s")
            if paused_s > _SAY_S and not told:
                told = True
                self._waiting("somebody to move the arm")
            answer = self._next()
        if told:
            self._waiting("")
        if answer is None:
            still = self._still(self._arm.state())
            found = Judged(still, np.zeros(3), "ok", "nobody moves the arm")
        else:
            found = judged(answer)
        return replace(found, paused=time.monotonic() - began_s > 2.0 * self._period_s)

    def _next(self) -> messages.Judged | None:
        """The oldest verdict that has not been asked for; waits a little for one."""
        with self._answered:
            self._answered.wait_for(lambda: len(self._ruled) > 0, _LOOK_S)
            return self._ruled.popleft() if self._ruled else None

    def _on_verdict(self, message: Verdict) -> None:
        if message.source == "agent" or message.reason == "rests":
            return
        answer = messages.verdict(message)
        with self._answered:
            self._source = str(message.source)
            self._ruled.append(answer)
            self._answered.notify_all()


def judged(answer: messages.Judged) -> Judged:
    """The guard's message as the loop wants it."""
    executed: NDArray[np.float32] = answer.executed
    return Judged(
        executed,
        answer.step_m,
        answer.status,
        answer.reason,
        held=answer.status not in _MOVED,
        latched=answer.status == "held",
    )


_MOVED = ("ok", "slowed", "at_wall")
