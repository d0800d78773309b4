"""The guard's wires: actions in, verdicts and commands out; every decision is ``rig.supervisor``'s.

Callbacks run in rospy's threads, one for each sender, and the command stream in one of ours; a
single lock makes them take turns, so that the supervisor sees one thing at a time. A verdict leaves
in the callback that brought the action, and so does the new command: the stream only repeats it.
"""

import contextlib
import gc
import os
import sys
import threading
import time
from collections import deque
from typing import Any

import numpy as np
import rospy
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Bool, String

from handful.contract import Command
from handful.msg import Action, ArmState, GuardState, Verdict
from handful.msg import Command as CommandMessage
from handful.rig.gated import GatedSupervisor
from handful.rig.gatekeeper import Gatekeeper
from handful.rig.ruling import Mode, Order, Ruling, Standing
from handful.rig.settings import RigSettings
from handful.rig.watch import GuardNodeSettings
from handful.srv import Halt, HaltResponse, Resume, ResumeResponse
from handful.wire import messages
from handful.wire.clock import RosClock
from handful.wire.node import Level
from handful.wire.papers import PaperDesk
from handful.wire.stamps import header

MODES = {
    Mode.READY: GuardState.READY,
    Mode.HELD: GuardState.HELD,
    Mode.STOPPED: GuardState.STOPPED,
}
_LAST_HOLDS = 5  # said on the way out: one might get lost, five in a row do not
_AT_ONCE_S = 0.005  # steps beside the stream are no closer than this; a hold never waits
_QUEUE = 1000  # every action deserves its verdict; at 10 Hz one or two wait, in a flood hundreds
_LATE_S = 0.010  # a stream whose p99 is later than this is worth a warning
_LAST_STAMP_S = 2.0**32 - 2.0  # an arm may stamp its state as it likes, and still be held
_NOWHERE = Command(np.zeros(3), 0.0, 0.0)


class GuardServer:
    """Topics, services and the command stream of one guard; ``start`` begins, shutdown ends it."""

    def __init__(
        self, clock: RosClock, rig: RigSettings, watch: GuardNodeSettings, keeper: Gatekeeper
    ) -> None:
        self._clock, self._watch = clock, watch
        self._supervisor = GatedSupervisor(rig, watch, keeper)
        self._lock = threading.Lock()
        self._frame_id = messages.BASE_FRAME
        self._sequence = self._skipped = 0
        self._late_s: deque[float] = deque(maxlen=1000)
        self._said: tuple[Any, ...] = ()
        self._said_command: Command | None = None
        self._said_s = self._at_once_s = -1.0
        self._ended = threading.Event()
        self._stream = threading.Thread(target=self._run, name="commands", daemon=True)
        out: dict[str, Any] = {"tcp_nodelay": True}
        self._verdicts = rospy.Publisher("guard/verdict", Verdict, queue_size=_QUEUE, **out)
        self._commands = rospy.Publisher("guard/command", CommandMessage, queue_size=10, **out)
        self._states = rospy.Publisher("guard/state", GuardState, queue_size=10, latch=True, **out)
        self._sources, self._cameras = watch.sources, tuple(rig.cameras)
        self.papers = PaperDesk(keeper, self._lock, self._say_state)

    def start(self) -> None:
        """Listen, offer the services, and send commands until the node shuts down."""
        rospy.on_shutdown(self._leave)
        self._say_state()
        fast: dict[str, Any] = {"tcp_nodelay": True, "queue_size": 1}
        rospy.Subscriber("arm/state", ArmState, self._on_arm, **fast)
        for name in self._cameras:
            topic = f"{name}/color/camera_info"
            rospy.Subscriber(topic, CameraInfo, self._on_camera, callback_args=name, **fast)
        rospy.Subscriber("guard/e_stop", Bool, self._on_e_stop, queue_size=10)
        rospy.Subscriber("guard/request_stop", String, self._on_request, "stop", queue_size=10)
        rospy.Subscriber("guard/request_hold", String, self._on_request, "hold", queue_size=10)
        rospy.Service("guard/stop", Halt, self._halt("stop"))
        rospy.Service("guard/hold", Halt, self._halt("hold"))
        rospy.Service("guard/resume", Resume, self._resume)
        for source in self._sources:
            rospy.Subscriber(
                f"{source}/action", Action, self._on_action, callback_args=source,
                queue_size=_QUEUE, buff_size=2**16, tcp_nodelay=True,
            )  # fmt: skip
        _be_prompt()
        self._stream.start()

    def report(self) -> tuple[Level, str, dict[str, str]]:
        """For diagnostics: may anything move, and what forbids it."""
        with self._lock:
            standing = self._supervisor.standing
            troubles = self._supervisor.troubles(time.monotonic())
        values = {
            "mode": standing.mode.value,
            "source": standing.source,
            "judged": str(standing.judged),
            "refused": str(standing.refused),
            "forbids": "; ".join(troubles),
        }
        if standing.mode is not Mode.READY:
            return Level.WARN, f"{standing.mode.value}: {standing.reason}", values
        if troubles:
            return Level.WARN, f"ready, but nobody may begin: {'; '.join(troubles)}", values
        return Level.OK, f"{standing.source} moves the arm" if standing.source else "ready", values

    def report_stream(self) -> tuple[Level, str, dict[str, str]]:
        """For diagnostics: how late the command stream is, over its last thousand beats."""
        late_ms = 1e3 * np.array(list(self._late_s) or [0.0])
        p50, p99 = np.percentile(late_ms, [50, 99])
        values = {
            "rate_hz": f"{self._watch.rate_hz:g}",
            "late_p50_ms": f"{p50:.3f}",
            "late_p99_ms": f"{p99:.3f}",
            "late_max_ms": f"{late_ms.max():.3f}",
            "skipped": str(self._skipped),
        }
        level = Level.OK if p99 <= 1e3 * _LATE_S else Level.WARN
        return level, f"99 of 100 commands are at most {p99:.1f} ms late", values

    # What is heard.

    def _on_arm(self, message: Any) -> None:
        arm, now_s = messages.arm_state(message), time.monotonic()
        with self._lock:
            self._frame_id = message.header.frame_id or self._frame_id
            self._supervisor.on_arm(arm, now_s, message.command, message.fault)

    def _on_camera(self, message: Any, name: str) -> None:
        with self._lock:
            stamp_s = messages.seconds(message.header.stamp)
            self._supervisor.on_camera(name, stamp_s, time.monotonic())

    def _on_action(self, message: Any, source: str) -> None:
        sender = message._connection_header.get("callerid", "?")
        stamp_s = messages.seconds(message.header.stamp)
        clock_s = self._clock.now_s()
        with self._lock:
            now_s = time.monotonic()
            mode = self._supervisor.standing.mode
            ruling = self._supervisor.on_action(
                source, sender, message.values, stamp_s, message.rest, now_s, clock_s
            )
            self._verdicts.publish(self._verdict(message, source, ruling, clock_s))
            order = self._supervisor.order
            if order is not None and self._is_news(order, now_s):
                self._at_once_s = now_s
                self._say(order)
            if self._supervisor.standing.mode is not mode:
                self._say_state()

    def _is_news(self, order: Order, now_s: float) -> bool:
        new = order.command is not self._said_command
        return new and (order.hold or now_s - self._at_once_s >= _AT_ONCE_S)

    def _verdict(self, message: Any, source: str, ruling: Ruling, clock_s: float) -> Verdict:
        verdict = messages.to_verdict(
            messages.Judged(
                sequence=message.sequence,
                source=source,
                status=ruling.status,
                reason=ruling.reason,
                executed=ruling.executed,
                command=ruling.command or _NOWHERE,
                step_m=ruling.step_m,
                observed_s=0.0,
                stamp_s=clock_s,
            ),
            self._frame_id,
        )
        verdict.observed = message.header.stamp  # to the nanosecond, and whatever it was
        return verdict

    # What people say.

    def _on_e_stop(self, message: Any) -> None:
        with self._lock:
            self._supervisor.on_e_stop(bool(message.data))
            self._say_all()

    def _on_request(self, message: Any, what: str) -> None:
        sender = message._connection_header.get("callerid", "?")
        self._stand(what, message.data or f"{sender} asked for it")

    def _halt(self, what: str) -> Any:
        def answer(request: Any) -> HaltResponse:
            self._stand(what, request.reason)
            return HaltResponse(True, "the arm stands still until a person resumes")

        return answer

    def _stand(self, what: str, reason: str) -> None:
        with self._lock:
            (self._supervisor.stop if what == "stop" else self._supervisor.hold)(reason)
            self._say_all()

    def _resume(self, request: Any) -> ResumeResponse:
        with self._lock:
            done, message = self._supervisor.resume(request.person, time.monotonic())
            self._say_all()
        return ResumeResponse(done, message)

    # What is said.

    def _run(self) -> None:
        """The command stream: a beat on the machine's steady clock, which no simulator can stop."""
        period_s = 1.0 / self._watch.rate_hz
        due_s = time.monotonic()
        try:
            while not self._ended.is_set():
                due_s += period_s
                rest_s = due_s - time.monotonic()
                if rest_s > 0.0:
                    time.sleep(rest_s)
                late_s = time.monotonic() - due_s
                self._late_s.append(late_s)
                if late_s > period_s:
                    self._skipped += int(late_s / period_s)
                    due_s += int(late_s / period_s) * period_s
                self._tick()
        except Exception as error:  # a guard that cannot think must not go on looking alive
            rospy.logfatal("guard_node: %s: %s", type(error).__name__, error)
            rospy.signal_shutdown(f"guard_node: {type(error).__name__}: {error}")

    def _tick(self) -> None:
        clock_s = self._clock.now_s()
        with self._lock:
            if self._ended.is_set():
                return
            now_s = time.monotonic()
            self._say(self._supervisor.tick(now_s, clock_s))
            standing = self._supervisor.standing
            if _said(standing) != self._said or now_s - self._said_s >= 1.0:
                self._say_state()
            notes = list(self._supervisor.notes)
            self._supervisor.notes.clear()
        for note in notes:
            rospy.logwarn("guard: %s", note)

    def _say_all(self) -> None:
        """People get their answer at once, not at the next beat."""
        self._say(self._supervisor.order)
        self._say_state()

    def _say(self, order: Order | None) -> None:
        if order is None:
            return
        self._sequence = self._sequence % 0xFFFFFFFF + 1  # 0 is nobody's
        self._said_command = order.command
        with contextlib.suppress(rospy.ROSException):  # shut down between two beats
            self._commands.publish(
                messages.to_command(
                    order.command,
                    stamp_s=min(max(order.decided_s, 0.0), _LAST_STAMP_S),
                    sequence=self._sequence,
                    valid_s=self._watch.valid_s,
                    hold=order.hold,
                    reason=order.reason,
                    frame_id=self._frame_id,
                )
            )

    def _say_state(self) -> None:
        standing = self._supervisor.standing
        self._said, self._said_s = _said(standing), time.monotonic()
        with contextlib.suppress(rospy.ROSException):
            self._states.publish(
                GuardState(
                    header=header(max(rospy.get_time(), 0.0), self._frame_id),
                    mode=MODES[standing.mode],
                    reason=standing.reason,
                    source=standing.source,
                    judged=standing.judged & 0xFFFFFFFF,
                    refused=standing.refused & 0xFFFFFFFF,
                    barred=self.papers.barred,
                )
            )

    def _leave(self) -> None:
        """On the way out: hold, more than once; the stream is over then."""
        self._ended.set()
        for last in range(_LAST_HOLDS):
            with self._lock:
                self._supervisor.hold("the guard ends")
                self._say_all() if last == 0 else self._say(self._supervisor.order)
            time.sleep(0.01)


def _said(standing: Standing) -> tuple[Any, ...]:
    """What is news in a state; the counts are not."""
    return standing.mode, standing.reason, standing.source


def _be_prompt() -> None:
    """Short turns between threads, no garbage pauses over what start-up made, a better priority."""
    sys.setswitchinterval(0.001)
    gc.collect()
    gc.freeze()
    with contextlib.suppress(OSError):  # needs CAP_SYS_NICE or a limit in limits.conf
        os.setpriority(os.PRIO_PROCESS, 0, -10)
