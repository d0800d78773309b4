"""One tick of control, alike in the twin and on the arm: submit, wait for the beat, see."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from handful.contract import ArmState, Observation
from handful.rig import guard
from handful.rig.action import ActionError, ActionScaler
from handful.rig.arm import Arm
from handful.rig.camera import Camera
from handful.rig.clock import Beat, Clock, Rate
from handful.rig.observe import Observer
from handful.rig.settings import RigSettings


@dataclass(frozen=True)
class Judged:
    """What became of an action.

    executed: (A,) float32 in [-1, 1], what was sent mapped back, **not** the wish. step_m: (3,) how
    far the target moved [m]. status: of ``rig.guard.Status`` or a further word of the guard's
    process. held: the wish was refused and the arm stands. latched: and will, until a person
    resumes. by_person: it was not the wish that was sent but what a person wanted meanwhile.
    paused: it was waited for on purpose, so the beat begins anew and is not late.
    """

    executed: NDArray[np.float32]
    step_m: NDArray[np.float64]
    status: str
    reason: str
    held: bool = False
    latched: bool = False
    by_person: bool = False
    paused: bool = False


class Gate(Protocol):
    """The one way to the arm: whoever stands behind it scales, guards and sends."""

    def begin(self) -> None:
        """An episode begins: the arm is taken to be standing still."""
        ...

    def rest(self, seen: Observation | None) -> None:
        """Whoever acts stops on purpose: the arm stays where it is sent, and nobody is missed.

        seen: the episode's last observation, if there is one.
        """
        ...

    def submit(self, action: ArrayLike, seen: Observation) -> Judged:
        """Have ``action`` (A,), made from ``seen``, judged and what is left of it sent.

        Raises:
            ActionError: wrong shape or not finite; the arm was told to hold.
            ArmError: nobody answers.
        """
        ...


class LocalGate:
    """The guard in this process, for the twin: scale, check, send."""

    def __init__(self, settings: RigSettings, arm: Arm, clock: Clock) -> None:
        self._settings, self._arm, self._clock = settings, arm, clock
        self._scaler = ActionScaler(settings.action)
        self.previous_step_m = np.zeros(3)

    def begin(self) -> None:
        """Forget the step before."""
        self.previous_step_m = np.zeros(3)

    def rest(self, seen: Observation | None) -> None:
        """Nothing: in one process nobody can fall silent."""

    def submit(self, action: ArrayLike, seen: Observation) -> Judged:
        """Judge by ``rig.guard.check`` and send at once; see ``Gate``."""
        arm = self._arm.state()
        try:
            want = self._scaler.to_command(action, arm)
        except ActionError:
            self._arm.stop()
            self.previous_step_m = np.zeros(3)
            raise
        verdict = guard.check(
            self._settings.guard,
            arm,
            want,
            self.previous_step_m,
            self._clock.now_s() - seen.stamp_s,
            self._settings.period_s,
        )
        self._arm.send(verdict.command)
        self.previous_step_m = verdict.step_m
        executed = self._scaler.to_action(verdict.command, arm)
        return Judged(executed, verdict.step_m, verdict.status.value, verdict.reason, verdict.held)


@dataclass(frozen=True)
class Tick:
    """What one tick did and what is seen after it."""

    observation: Observation
    judged: Judged


class ControlLoop:
    """Owns the order of things inside one period; cameras, arm and gate belong to the caller.

    Cameras must be open. ``begin`` starts an episode, ``tick`` acts once and returns at the next
    beat of the clock with what is seen then. ``beat`` is when that is; ``gate`` is the guard in
    this process unless another is given.
    """

    def __init__(
        self,
        settings: RigSettings,
        cameras: dict[str, Camera],
        arm: Arm,
        clock: Clock,
        gate: Gate | None = None,
        beat: Beat | None = None,
    ) -> None:
        missing = sorted(set(settings.cameras) - set(cameras))
        if missing:
            raise ValueError(f"rig settings name cameras that were not given: {', '.join(missing)}")
        self._settings, self._arm, self._clock = settings, arm, clock
        self._cameras = {name: cameras[name] for name in settings.cameras}
        self._gate: Gate = LocalGate(settings, arm, clock) if gate is None else gate
        self._observer = Observer(settings)
        self._beat: Beat = Rate(clock, settings.period_s) if beat is None else beat
        self._seen: Observation | None = None
        self.spec = self._observer.spec

    @property
    def missed_beats(self) -> int:
        """Beats that came later than a tenth of a period, since the start."""
        return self._beat.missed

    def arm_state(self) -> ArmState:
        """The arm as it is now."""
        return self._arm.state()

    def begin(self) -> Observation:
        """The first observation after a reset; the guard takes the arm to be standing still."""
        self._observer.reset()
        self._gate.begin()
        self._beat.restart()
        self._seen = self._observe()
        return self._seen

    def resume(self, observation: Observation, previous_step_m: NDArray[np.float64]) -> None:
        """Go on as if ``observation`` had just been returned, after a twin was put back to then.

        previous_step_m: (3,) ``step_m`` of the verdict of that tick, zeros after ``begin``.
        Raises:
            RuntimeError: the gate is not in this process and cannot be put back.
        """
        if not isinstance(self._gate, LocalGate):
            raise RuntimeError("ControlLoop.resume needs the guard in this process")
        self._observer.resume(observation)
        self._gate.previous_step_m = previous_step_m
        self._beat.restart()
        self._seen = observation

    def tick(self, action: ArrayLike) -> Tick:
        """Send ``action`` (A,) through the gate, wait for the beat, observe.

        Raises:
            ActionError: wrong shape or not finite; the arm was told to hold first.
            CameraError, ArmError: as the devices report them.
            RuntimeError: called before ``begin``.
        """
        if self._seen is None:
            raise RuntimeError("ControlLoop.tick was called before begin")
        judged = self._gate.submit(action, self._seen)
        if judged.paused:
            self._beat.restart()
        self._beat.sleep()
        self._seen = self._observe()
        return Tick(self._seen, judged)

    def rest(self) -> None:
        """The episode is over; until ``begin`` nothing is sent."""
        seen, self._seen = self._seen, None
        self._gate.rest(seen)

    def _observe(self) -> Observation:
        limit_s = self._settings.observe.max_frame_age_s
        frames = {name: camera.latest(limit_s) for name, camera in self._cameras.items()}
        return self._observer.observe(frames, self._arm.state(), self._clock.now_s())
