"""One tick of control, alike in the twin and on the arm: scale, guard, send, wait, see."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from handful.contract import Observation
from handful.rig import guard
from handful.rig.action import ActionError, ActionScaler
from handful.rig.arm import Arm
from handful.rig.camera import Camera
from handful.rig.clock import Clock, Rate
from handful.rig.observe import Observer
from handful.rig.settings import RigSettings


@dataclass(frozen=True)
class Tick:
    """What one tick did. action: (A,) float32, the verdict mapped back, **not** the wish."""

    observation: Observation
    action: NDArray[np.float32]
    verdict: guard.Verdict


class ControlLoop:
    """Owns the order of things inside one period; cameras and arm belong to the caller.

    Cameras must be open. ``begin`` starts an episode, ``tick`` acts once and returns at the next
    beat of the clock with what is seen then.
    """

    def __init__(
        self, settings: RigSettings, cameras: dict[str, Camera], arm: Arm, clock: Clock
    ) -> None:
        missing = sorted(set(settings.cameras) - set(cameras))
        if missing:
            raise ValueError(f"rig settings name cameras that were not given: {', '.join(missing)}")
        self._settings, self._arm, self._clock = settings, arm, clock
        self._cameras = {name: cameras[name] for name in settings.cameras}
        self._scaler = ActionScaler(settings.action)
        self._observer = Observer(settings)
        self._rate = Rate(clock, settings.period_s)
        self._previous_step_m = np.zeros(3)
        self._seen: Observation | None = None
        self.spec = self._observer.spec

    @property
    def missed_beats(self) -> int:
        """Beats that came later than a tenth of a period, since the start."""
        return self._rate.missed

    def begin(self) -> Observation:
        """The first observation after a reset; the guard takes the arm to be standing still."""
        self._observer.reset()
        self._previous_step_m = np.zeros(3)
        self._rate.restart()
        self._seen = self._observe()
        return self._seen

    def resume(self, observation: Observation, previous_step_m: NDArray[np.float64]) -> None:
        """Go on as if ``observation`` had just been returned, after a twin was put back to then.

        previous_step_m: (3,) ``step_m`` of the verdict of that tick, zeros after ``begin``.
        """
        self._observer.resume(observation)
        self._previous_step_m = previous_step_m
        self._rate.restart()
        self._seen = observation

    def tick(self, action: ArrayLike) -> Tick:
        """Send ``action`` (A,) through the guard, wait for the beat, observe.

        Raises:
            ActionError: wrong shape or not finite; the arm was told to stop first.
            CameraError, ArmError: as the devices report them.
            RuntimeError: called before ``begin``.
        """
        if self._seen is None:
            raise RuntimeError("ControlLoop.tick was called before begin")
        arm = self._arm.state()
        try:
            want = self._scaler.to_command(action, arm)
        except ActionError:
            self._arm.stop()
            self._previous_step_m = np.zeros(3)
            raise
        verdict = guard.check(
            self._settings.guard,
            arm,
            want,
            self._previous_step_m,
            self._clock.now_s() - self._seen.stamp_s,
            self._settings.period_s,
        )
        self._arm.send(verdict.command)
        self._previous_step_m = verdict.step_m
        executed = self._scaler.to_action(verdict.command, arm)
        self._rate.sleep()
        self._seen = self._observe()
        return Tick(self._seen, executed, verdict)

    def _observe(self) -> Observation:
        limit_s = self._settings.observe.max_frame_age_s
        frames = {name: camera.latest(limit_s) for name, camera in self._cameras.items()}
        return self._observer.observe(frames, self._arm.state(), self._clock.now_s())
