"""Independent eyes on a twin: what was sent to the arm, how fast it went, how hard it pushed.

The guard's arithmetic is not asked. Commands are seen at the door of the arm, speed and contact at
every physics step.
"""

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handful.contract import Command
from handful.rig.settings import RigSettings
from handful.workflow.errors import RunError

_SLACK = 1e-9  # rounding [m, rad]
_SUSTAINED_S = 0.1  # a force counts as its mean over so long; a collision stop listens as long
_HOLDS = ("stale", "not_finite")


@dataclass
class Seen:
    """What was seen so far.

    violations: sentences, one a command outside a limit. commanded_m_s, measured_m_s: the fastest.
    force_n: the hardest mean over 0.1 s between the arm, or what it holds or pushes, and what does
    not give way; peak_n: of a single physics step. commands: how many.
    """

    violations: list[str] = field(default_factory=list)
    commanded_m_s: float = 0.0
    measured_m_s: float = 0.0
    force_n: float = 0.0
    peak_n: float = 0.0
    commands: int = 0


class Watch:
    """Attached to one ``TwinTaskEnv`` from its making to its end; ``seen`` adds up.

    Call ``begin`` after every reset and ``judge`` after every step. episode_n: hardest mean push
    since ``begin``.
    """

    def __init__(self, env: Any, rig: RigSettings) -> None:
        self._env, self._rig, self.seen = env, rig, Seen()
        self._pending: list[Command] = []
        self._target: Command | None = None
        self._step_m = np.zeros(3)
        self._on = False
        self._forces: deque[float] = deque(maxlen=1)
        self.episode_n = 0.0
        self._send, self._advance = env.arm.send, env.world.advance
        env.arm.send, env.world.advance = self._sent, self._advanced
        self._eyes = _Eyes(env.world)

    def begin(self) -> None:
        """An episode was reset: the arm stands at its start, and is told to be there."""
        target = self._env.arm.target
        self._target = Command(target.p_BT_m.copy(), target.yaw_rad, target.gripper_m)
        self._step_m, self._pending, self._on = np.zeros(3), [], True
        self.episode_n = 0.0
        rate_hz = self._env.world.settings.physics_rate_hz
        self._forces = deque(maxlen=max(1, round(_SUSTAINED_S * rate_hz)))

    def judge(self, verdict: str, seed: int) -> None:
        """A step was taken; verdict: what the guard called it.

        Raises:
            RunError: no command was seen at the door, so these eyes look at the wrong one.
        """
        sent, self._pending = self._pending, []
        if not sent:
            raise RunError("validate: a step was taken and no command came to the twin's arm")
        for command in sent:
            self.seen.commands += 1
            why = self._outside(command, verdict)
            if why:
                self.seen.violations.append(f"world {seed}: {why}")

    def end(self) -> None:
        """The episode is over: what a reset does is nobody's motion."""
        self._on = False

    def _sent(self, command: Command) -> None:
        self._pending.append(Command(np.array(command.p_BT_m), command.yaw_rad, command.gripper_m))
        self._send(command)

    def _outside(self, command: Command, verdict: str) -> str:
        """Which limit of the rig's this command breaks, measured from the one before it."""
        was, limits, period_s = self._target, self._rig.guard, self._rig.period_s
        assert was is not None
        self._target = command
        if not np.isfinite([*command.p_BT_m, command.yaw_rad, command.gripper_m]).all():
            return f"the command is not finite: {command}"
        if verdict in _HOLDS:
            self._step_m = np.zeros(3)  # a hold begins at the measured pose, whatever was wanted
            return ""
        step_m, before_m = command.p_BT_m - was.p_BT_m, self._step_m
        self._step_m = step_m
        speed_m_s = float(np.linalg.norm(step_m)) / period_s
        self.seen.commanded_m_s = max(self.seen.commanded_m_s, speed_m_s)
        low = np.minimum(limits.workspace_min_m, was.p_BT_m) - _SLACK
        high = np.maximum(limits.workspace_max_m, was.p_BT_m) + _SLACK
        if (command.p_BT_m < low).any() or (command.p_BT_m > high).any():
            return f"{command.p_BT_m.round(4).tolist()} m is outside the workspace"
        if speed_m_s > limits.max_speed_m_s + _SLACK / period_s:
            return f"{speed_m_s:.4f} m/s, allowed are {limits.max_speed_m_s}"
        if _off_segment(step_m, before_m) > limits.max_accel_m_s2 * period_s**2 + _SLACK:
            return f"speeds up or turns harder than {limits.max_accel_m_s2} m/s^2"
        turn_rad = abs(math.remainder(command.yaw_rad - was.yaw_rad, math.tau))
        if turn_rad > limits.max_yaw_rate_rad_s * period_s + _SLACK:
            return f"{turn_rad / period_s:.4f} rad/s, allowed are {limits.max_yaw_rate_rad_s}"
        if not -_SLACK <= command.gripper_m <= limits.max_gripper_m + _SLACK:
            return (
                f"an opening of {command.gripper_m:.4f} m, allowed are 0 to {limits.max_gripper_m}"
            )
        return ""

    def _advanced(self, steps: int) -> None:
        if not self._on:
            self._advance(steps)
            return
        for _ in range(steps):
            self._advance(1)
            speed_m_s, force_n = self._eyes.look()
            self._forces.append(force_n)
            seen = self.seen
            seen.measured_m_s = max(seen.measured_m_s, speed_m_s)
            seen.peak_n = max(seen.peak_n, force_n)
            full = self._forces.maxlen or 1
            self.episode_n = max(self.episode_n, sum(self._forces) / full)
            seen.force_n = max(seen.force_n, self.episode_n)


class _Eyes:
    """Speed of the tip and force of contact in one world, from physics alone."""

    def __init__(self, world: Any) -> None:
        import pybullet

        self._world, self._bullet, self._model = world, pybullet, world.model
        self._frames = world.model.frames()
        self._jacobian = np.empty((6, world.model.dof))
        self._free = set(world.bodies.values())

    def look(self) -> tuple[float, float]:
        """(speed of the tip [m/s], force between the arm's side and what stands fast [N]), now."""
        q_rad, velocity = self._world.joints()
        self._model.forward(q_rad, self._frames)
        self._model.jacobian(self._frames, self._jacobian)
        v_m_s: NDArray[np.float64] = self._jacobian[:3] @ velocity[: self._model.dof]
        return float(np.linalg.norm(v_m_s)), self._force_n()

    def _force_n(self) -> float:
        arm = self._world.arm
        contacts = [
            (c[1], c[2], float(c[9]))
            for c in self._bullet.getContactPoints(physicsClientId=self._world.client)
        ]
        touching = {arm}
        for a, b, _ in contacts:
            if arm in (a, b):
                touching |= {a, b} & self._free
        moved = touching | self._free
        return sum(
            n for a, b, n in contacts if (a in touching) != (b in touching) and not {a, b} <= moved
        )


def _off_segment(step_m: NDArray[np.float64], before_m: NDArray[np.float64]) -> float:
    """How far a step is from anything between standing still and the step before [m]."""
    square = float(before_m @ before_m)
    share = 0.0 if square == 0.0 else min(max(float(step_m @ before_m) / square, 0.0), 1.0)
    return float(np.linalg.norm(step_m - share * before_m))
