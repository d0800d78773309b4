"""A program's hand on the arm: absolute goals, one step each, through the guard as ``script``.

It has no more rights than a script: the guard judges every step, a person's hand takes over at
once, a hold ends it, and what else forbids motion forbids it too.
"""

import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from threading import Condition
from typing import Any

import numpy as np
import rospy
from std_msgs.msg import String

from handful import msg as wire
from handful.contract import Command
from handful.rig.action import ActionScaler
from handful.rig.arm import ArmError
from handful.rig.settings import ActionSettings
from handful.srv import Halt
from handful.wire import messages
from handful.wire.clock import RosClock
from handful.wire.gate import ANSWER_S
from handful.wire.senses import TopicArm

SOURCE = "script"
WAIT_S = 5.0
"""For what should be there [s]."""
SLIP_S = 0.02
"""Clocks further apart than this cannot be measured across [s]: the guard's own bound."""
_LOOK_S = 0.02
_SILENT_S = 1.0
_OFF_M = 5e-4  # a target this far from the one asked for is not the planned motion
_SERVICE_S = 2.0
_SAYINGS = 3  # a rest or a hold is said so often: a message may be lost


class SpoiltError(ArmError):
    """The motion was not the planned one (a late beat, a shortened step); it may be tried again."""


class ScriptHand:
    """Publishes ``script/action`` and hears what the guard makes of it.

    clock: the cell's. why: what a hold that is asked for gives as its reason.
    """

    def __init__(self, action: ActionSettings, clock: RosClock, why: str) -> None:
        self._scaler, self._clock, self._why = ActionScaler(action), clock, why
        self._guard: wire.GuardState | None = None
        self._order: wire.Command | None = None
        self._order_s = -np.inf
        self._answered = Condition()
        self._answer: messages.Judged | None = None
        self._sequence, self._target = 0, Command(np.zeros(3), 0.0, 0.0)
        fast: dict[str, Any] = {"queue_size": 20, "tcp_nodelay": True}
        self._arm = TopicArm()
        self._actions = rospy.Publisher(f"{SOURCE}/action", wire.Action, **fast)
        self._holds = rospy.Publisher("guard/request_hold", String, **fast)
        rospy.Subscriber("guard/state", wire.GuardState, self._on_guard, **fast)
        rospy.Subscriber("guard/command", wire.Command, self._on_order, **fast)
        rospy.Subscriber("guard/verdict", wire.Verdict, self._on_verdict, **fast)

    def ready(self) -> Command:
        """Where the arm is told to be, when the guard lets it move and nobody else moves it.

        Raises:
            ArmError: the guard is not running, lets nothing move, or does not listen to scripts;
                somebody else moves the arm; the arm says nothing.
        """
        if not until(lambda: self._guard is not None):
            raise ArmError(
                f"{rospy.resolve_name('guard/state')}: nobody says it; is the guard running "
                "(roslaunch handful twin.launch or rig.launch)?"
            )
        until(lambda: self._standing().source != SOURCE, _SILENT_S)  # our own last rest
        guard = self._standing()
        if guard.mode != wire.GuardState.READY:
            word = "has stopped" if guard.mode == wire.GuardState.STOPPED else "holds"
            raise ArmError(
                f"the guard {word} the arm: {guard.reason}; a person resumes it (guard/resume, or "
                "r in operator_node), then try again"
            )
        if guard.source:
            raise ArmError(f"{guard.source} moves the arm now; let it rest first, then try again")
        until(lambda: self._arm.message is not None)
        self._arm.state()
        if not until(lambda: time.monotonic() - self._order_s < _SILENT_S):
            topic = rospy.resolve_name("guard/command")
            raise ArmError(f"{topic}: the guard is silent; is guard_node still running?")
        if not until(lambda: self._actions.get_num_connections() > 0):
            raise ArmError(
                f"the guard does not listen to {rospy.resolve_name(f'{SOURCE}/action')}; name "
                f"{SOURCE} in guard.sources"
            )
        self._target = messages.command(self._order)
        return self._target

    def go(self, goal: Command, in_full: bool) -> messages.Judged:
        """One step to ``goal``, and the guard's verdict with the target that it set.

        in_full: a step that a limit shortens counts as spoilt.

        Raises:
            SpoiltError: the guard set another target than the one asked for, or did not answer.
            ArmError: it lets the arm move no further, or the clocks of the machines differ.
        """
        asked_s = self._clock.now_s()
        arm = self._arm.state()
        base = replace(
            arm,
            target_p_BT_m=self._target.p_BT_m,
            target_yaw_rad=self._target.yaw_rad,
            target_gripper_m=self._target.gripper_m,
        )
        answer = self._wait(self._say(self._scaler.to_action(goal, base), arm.stamp_s))
        if answer is None:
            raise SpoiltError(f"the guard did not answer a step within {ANSWER_S} s")
        if answer.status in ("held", "refused", "at_wall"):
            raise ArmError(f"the guard moves the arm no further: {answer.reason}")
        off_m = float(np.abs(answer.command.p_BT_m - goal.p_BT_m).max())
        slowed = answer.status == "slowed"
        if answer.status not in ("ok", "slowed") or (off_m > _OFF_M and (in_full or not slowed)):
            raise SpoiltError(
                f"the guard set a target {1000.0 * off_m:.1f} mm from the planned one "
                f"({answer.status}: {answer.reason})"
            )
        now_s = self._clock.now_s()
        off_s = answer.stamp_s - min(max(answer.stamp_s, asked_s), now_s)
        if abs(off_s) > SLIP_S and not self._clock.simulated:  # of one /clock nobody is ahead
            raise ArmError(
                f"the guard's clock differs from this machine's by {off_s:+.3f} s; the clocks must "
                "agree (chrony), or no delay can be told from them"
            )
        self._target = answer.command
        return answer

    def rest(self) -> None:
        """Let go: the arm stays where it was sent, and whoever acts after that may."""
        with suppress(rospy.ROSException):  # shut down meanwhile
            for _ in range(_SAYINGS):
                sequence = self._say(np.empty(0), self._clock.now_s(), rest=True)
            self._wait(sequence)

    def hold(self) -> str:
        """Have the guard hold the arm where it is; a sentence about what came of it."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C does not cut this short
        try:
            for _ in range(_SAYINGS):
                self._holds.publish(String(self._why))
            rospy.wait_for_service("guard/hold", _SERVICE_S)
            rospy.ServiceProxy("guard/hold", Halt)(self._why)
        except (rospy.ROSException, rospy.ServiceException):
            return "NO ANSWER from guard/hold; press the arm's own stop"
        return "the guard holds the arm until a person resumes"

    def _standing(self) -> wire.GuardState:
        assert self._guard is not None
        return self._guard

    def _say(self, values: Any, stamp_s: float, rest: bool = False) -> int:
        self._sequence += 1
        self._actions.publish(
            messages.to_action(
                values, stamp_s=stamp_s, sequence=self._sequence, source=SOURCE, rest=rest
            )
        )
        return self._sequence

    def _wait(self, sequence: int) -> messages.Judged | None:
        with self._answered:
            self._answered.wait_for(
                lambda: self._answer is not None and self._answer.sequence == sequence, ANSWER_S
            )
            answer = self._answer
        return answer if answer is not None and answer.sequence == sequence else None

    def _on_guard(self, message: wire.GuardState) -> None:
        self._guard = message

    def _on_order(self, message: wire.Command) -> None:
        self._order, self._order_s = message, time.monotonic()

    def _on_verdict(self, message: wire.Verdict) -> None:
        if message.source == SOURCE:
            answer = messages.verdict(message)
            with self._answered:
                self._answer = answer
                self._answered.notify_all()


def until(come: Callable[[], Any], timeout_s: float = WAIT_S) -> bool:
    """Whether it comes true in time; counted on the wall, whatever the cell's clock does."""
    end_s = time.monotonic() + timeout_s
    while not come():
        if time.monotonic() > end_s:
            return False
        rospy.rostime.wallsleep(_LOOK_S)
    return True
