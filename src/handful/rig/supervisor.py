"""The guard as a process: who moves the arm, what must be alive for it, and when it stands still.

``rig.guard`` judges one step; this keeps what lies between two steps: the target, the watchdogs,
the authority and the latch. Nothing here knows threads or messages: whoever owns it serialises the
calls and gives the time. ``now_s`` is the machine's monotonic clock, for silence; ``stamp_now_s``
is the cell's clock, for ages (it may be simulated, stand still or jump). ``docs/safety.md`` tells
the whole story.
"""

import math
from collections import deque

import numpy as np
from numpy.typing import ArrayLike, NDArray

from handful.config import ConfigError
from handful.contract import ArmState
from handful.rig.action import ActionScaler
from handful.rig.guard import Status
from handful.rig.ruling import HELD, MOVES, REFUSED, Mode, Order, Ruling, Standing
from handful.rig.settings import RigSettings
from handful.rig.target import Target
from handful.rig.watch import GuardNodeSettings, Pulse, Senders


class Supervisor:
    """Judges actions as they come, says at every tick what the arm is told, and stops on trouble.

    Starts held until ``resume``, or, with ``start_ready``, until arm and cameras are heard.
    ``notes`` collects sentences for the log; whoever reads them takes them out.

    Raises ``ConfigError`` when the watchdog is no longer than the beat it listens to.
    """

    def __init__(self, rig: RigSettings, watch: GuardNodeSettings) -> None:
        if watch.max_action_silence_s <= rig.period_s:
            raise ConfigError(
                f"guard.max_action_silence_s is {watch.max_action_silence_s} s, and actions "
                f"come every {rig.period_s} s (rig.control_rate_hz); it must be longer"
            )
        self._watch = watch
        self._scaler = ActionScaler(rig.action)
        self._target = Target(rig, watch.max_lead_m)
        self._arm: ArmState | None = None
        self._arm_fault = self._e_stop = ""
        self._obeyed = 0
        self._arm_pulse = Pulse("arm/state", watch.max_arm_silence_s)
        watched = rig.cameras if watch.max_camera_silence_s > 0.0 else {}
        self._cameras = {n: Pulse(f"camera {n}", watch.max_camera_silence_s) for n in watched}
        self._senders = Senders(watch.sender_memory_s)
        self._stamps_s: dict[str, float] = {}
        self._bad: dict[str, int] = {}
        self._judged = self._refused = 0
        self._clock_s = self._acted_s = 0.0
        self._source = self._pause = ""
        self._mode, self._starting = Mode.HELD, True
        whom = "the arm and the cameras" if watch.start_ready else "a person to resume"
        self._reason = f"waiting for {whom}"
        self.notes: deque[str] = deque(maxlen=100)

    # What is heard.

    def on_arm(self, arm: ArmState, now_s: float, command: int = 1, fault: str = "") -> None:
        """The arm reports. command: the sequence it obeyed last, 0: none since its start or reset.

        fault: why it cannot move, in its own words; empty: it can.
        """
        pose = (*arm.p_BT_m.tolist(), arm.yaw_rad, arm.gripper_m)
        if not all(map(math.isfinite, pose)):
            self._note(f"arm/state: its pose is not finite, {pose}; not counted as heard")
            return
        first, was_reset = self._arm is None, command == 0 and self._obeyed != 0
        self._arm, self._obeyed, self._arm_fault = arm, command, fault
        self._arm_pulse.beat(arm.stamp_s, self._cell(now_s))
        if first:
            self._target.begin(arm, command)
        elif was_reset and self._source:
            self._note(f"the arm was reset while {self._source} moved it; that motion is over")
            self._source = self._pause = ""
        if not self._source:
            self._note(self._target.settle(arm, command, self._clock_s))

    def on_camera(self, name: str, stamp_s: float, now_s: float) -> None:
        """A picture of ``name`` was taken at ``stamp_s`` [s]; unknown cameras are no news."""
        if name in self._cameras:
            self._cameras[name].beat(stamp_s, self._cell(now_s))

    def on_e_stop(self, pressed: bool) -> None:
        """The state of an emergency stop button; while it is pressed nobody can resume."""
        self._e_stop = "the e-stop is pressed" if pressed else ""
        if pressed:
            self.stop(self._e_stop)

    def on_action(
        self,
        source: str,
        sender: str,
        values: ArrayLike,
        stamp_s: float,
        rest: bool,
        now_s: float,
        stamp_now_s: float,
    ) -> Ruling:
        """Judge one action, at once.

        Args:
            source: what kind of sender, of ``sources``. sender: which one, by its node's name.
            values: (A,) in [-1, 1]; anything at all may come. rest: it stops on purpose.
            stamp_s: capture time of what the action was made from, cell's clock [s].
        """
        cell_s = self._cell(now_s)
        self._look(cell_s, stamp_now_s)
        self._judged += 1
        ruling = self._judge(source, sender, values, stamp_s, rest, cell_s)
        self._refused += ruling.status not in MOVES
        return ruling

    # What people say.

    def stop(self, reason: str) -> None:
        """A person stops the arm."""
        self._halt(Mode.STOPPED, reason or "somebody pressed stop")

    def hold(self, reason: str) -> None:
        """Hold the arm until a person resumes; a stop stays a stop."""
        self._halt(Mode.HELD, reason or "somebody asked to hold")

    def resume(self, person: str, now_s: float) -> tuple[bool, str]:
        """A person lets the arm move again: (done, what still forbids it)."""
        if not person.strip():
            return False, "say who resumes; it takes a person"
        if self._mode is Mode.READY:
            return True, "nothing was held"
        troubles = self.troubles(now_s)
        if troubles:
            return False, "; ".join(troubles)
        self._begin(f"{person.strip()} resumed after: {self._reason}")
        return True, ""

    # What the clock says.

    def tick(self, now_s: float, stamp_now_s: float) -> Order | None:
        """Look after everybody; what the arm is told now, None before it was first heard."""
        self._look(self._cell(now_s), stamp_now_s)
        return self.order

    def on_clock_jump(self) -> None:
        """The cell's clock went back: no age means anything until somebody has looked."""
        self.hold("the clock jumped back")
        self._target.decided_s = self._clock_s

    # What is to be seen.

    @property
    def order(self) -> Order | None:
        """What the arm is told at present; None before it was first heard."""
        if self._arm is None:
            return None
        reason = self._pause if self._mode is Mode.READY else self._reason
        return Order(self._target.command, bool(reason), reason, self._target.decided_s)

    @property
    def standing(self) -> Standing:
        """Mode, reason, who moves the arm, and the counts."""
        reason = self._pause if self._mode is Mode.READY else self._reason
        return Standing(self._mode, reason, self._source, self._judged, self._refused)

    def troubles(self, now_s: float) -> list[str]:
        """Everything that forbids motion now, as sentences."""
        return self._troubles(self._cell(now_s))

    # Inside. Times are in the cell's seconds from here on.

    def _cell(self, now_s: float) -> float:
        return now_s * self._watch.time_scale

    def _troubles(self, cell_s: float) -> list[str]:
        said = (self._arm_trouble(cell_s), self._camera_trouble(cell_s), self._e_stop)
        return [t for t in (*said, self._senders.quarrel(cell_s)) if t]

    def _arm_trouble(self, cell_s: float) -> str:
        return f"arm: {self._arm_fault}" if self._arm_fault else self._arm_pulse.trouble(cell_s)

    def _camera_trouble(self, cell_s: float) -> str:
        return "; ".join(t for p in self._cameras.values() if (t := p.trouble(cell_s)))

    def _look(self, cell_s: float, stamp_now_s: float) -> None:
        """The watchdogs."""
        if stamp_now_s < self._clock_s - self._watch.max_clock_slip_s:
            self._clock_s = stamp_now_s
            self.on_clock_jump()
        self._clock_s = max(self._clock_s, stamp_now_s)
        if self._mode is not Mode.READY:
            if self._starting and self._watch.start_ready and not self._troubles(cell_s):
                self._begin("the arm and the cameras are there")
            return
        trouble = self._arm_trouble(cell_s)
        if self._source and not trouble:
            trouble = self._camera_trouble(cell_s) or self._silence(cell_s)
        if trouble:
            self.hold(trouble)

    def _silence(self, cell_s: float) -> str:
        """The mover's silence, when it is to be latched; a short one only stands the arm still."""
        silent_s = cell_s - self._acted_s
        if silent_s <= self._watch.max_action_silence_s:
            return ""
        reason = f"{self._source} fell silent"
        if silent_s > self._watch.max_action_silence_s + self._watch.forgive_silence_s:
            return reason
        if not self._pause:
            self._stand(reason)
        return ""

    def _judge(
        self,
        source: str,
        sender: str,
        values: ArrayLike,
        stamp_s: float,
        rest: bool,
        cell_s: float,
    ) -> Ruling:
        order = self._watch.sources
        if source not in order:
            return self._ruling(REFUSED, f"no source {source!r}; there are {', '.join(order)}")
        self._senders.heard(source, sender, cell_s)
        quarrel = self._senders.quarrel(cell_s)
        if quarrel:
            self.hold(quarrel)
        if self._mode is not Mode.READY or self._arm is None:
            return self._ruling(HELD, f"{self._mode.value}: {self._reason}")
        if rest:
            self._bad.pop(source, None)
            if source == self._source:
                self._source = self._pause = ""
                self._target.rest()
            return self._ruling(Status.OK.value, "rests")
        if self._source and order.index(self._source) < order.index(source):
            return self._ruling(REFUSED, f"{self._source} moves the arm until it rests")
        trouble = self._camera_trouble(cell_s)
        if trouble:
            return self._ruling(REFUSED, trouble)
        if source == self._source:
            self._acted_s = cell_s
        try:
            numbers = np.array(values, np.float64)
        except (TypeError, ValueError):
            numbers = np.empty(0)
        if numbers.shape != (self._scaler.dim,):
            reason = f"an action has {self._scaler.dim} numbers, this one has {numbers.size}"
            return self._bad_action(source, REFUSED, reason)
        if not np.isfinite(numbers).all():
            reason = f"every number must be finite, got {numbers.tolist()}"
            return self._bad_action(source, Status.NOT_FINITE.value, reason)
        if stamp_s < self._stamps_s.get(source, -math.inf):
            back_s = self._stamps_s[source] - stamp_s
            reason = f"its stamp went back by {back_s:.3f} s"
            return self._bad_action(source, Status.STALE.value, reason)
        return self._step(source, numbers, stamp_s, cell_s)

    def _step(
        self, source: str, values: NDArray[np.float64], stamp_s: float, cell_s: float
    ) -> Ruling:
        """A well-formed action of somebody who may: through the limits to the target."""
        assert self._arm is not None
        age_s = self._clock_s - stamp_s
        age_s = 0.0 if -self._watch.max_clock_slip_s <= age_s < 0.0 else age_s
        base = self._target.base(self._arm)
        verdict = self._target.step(self._arm, values, age_s, self._clock_s, cell_s)
        if verdict.held:
            return self._bad_action(source, verdict.status.value, verdict.reason)
        self._bad.pop(source, None)
        self._source, self._acted_s, self._pause = source, cell_s, ""
        self._stamps_s[source] = stamp_s
        return self._ruling(verdict.status.value, verdict.reason, base, verdict.step_m)

    def _bad_action(self, source: str, status: str, reason: str) -> Ruling:
        """Nothing one can obey: the mover's own stands the arm still, too many in a row latch."""
        self._bad[source] = self._bad.get(source, 0) + 1
        assert self._arm is not None
        base = self._target.base(self._arm)
        if source == self._source:
            self._stand(f"{source}: {reason}")
        if self._bad[source] >= self._watch.max_bad_actions:
            self.hold(f"{self._bad[source]} bad actions of {source} in a row; the last: {reason}")
        return self._ruling(status, reason, base)

    def _ruling(
        self,
        status: str,
        reason: str,
        base: ArmState | None = None,
        step_m: NDArray[np.float64] | None = None,
    ) -> Ruling:
        """base: the arm and target it was judged from, when the target has moved since."""
        if self._arm is None:
            return Ruling(status, reason, np.zeros(self._scaler.dim, np.float32), np.zeros(3), None)
        base = base or self._target.base(self._arm)
        executed = self._scaler.to_action(self._target.command, base)
        step_m = np.zeros(3) if step_m is None else step_m
        return Ruling(status, reason, executed, step_m, self._target.command)

    def _stand(self, reason: str) -> None:
        """Stand at the pose measured now."""
        self._pause = reason
        if self._arm is not None:
            self._target.stand(self._arm, self._obeyed, self._clock_s)

    def _halt(self, mode: Mode, reason: str) -> None:
        """Latch; the first reason stays, except that a stop counts more than a hold."""
        if self._mode is Mode.READY:
            self._stand(reason)
        elif not self._starting and (mode is self._mode or mode is Mode.HELD):
            return
        self._mode, self._reason = mode, reason
        self._source, self._starting = "", False
        self._note(f"{mode.value}: {reason}")

    def _begin(self, note: str) -> None:
        """Let the arm move, from where it is."""
        self._stamps_s.clear()
        self._bad.clear()
        self._stand("")
        self._mode, self._starting, self._pause, self._reason = Mode.READY, False, "", ""
        self._note(note)

    def _note(self, sentence: str) -> None:
        if sentence and (not self.notes or self.notes[-1] != sentence):
            self.notes.append(sentence)
