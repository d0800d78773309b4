"""The twin beside the arm: from where the arm was and what it was told, where should it be now?

Bits of the past are lived through again: the twin is put where the arm was measured a step or a few
ago, obeys the commands that were sent since, and its tip is compared with the one measured now. Who
moves as predicted diverges by millimetres; an arm that is blocked, led by a hand, told by somebody
else, or not the arm that was identified diverges by more. Nothing here knows a clock or a message.
"""

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
import pybullet
from numpy.typing import NDArray
from pydantic import Field

from handful.config import Settings
from handful.contract import ArmState, Command
from handful.rig.arm import ArmError
from handful_twin.settings import TwinSettings
from handful_twin.twin_arm import TwinArm
from handful_twin.world import World

_KEPT_S = 2.0  # of the past beyond the longest look back
_EARLY_S = 1e-6


class ShadowSettings(Settings):
    """How far the shadow looks, and when it asks the guard to hold; ``config/node/shadow.yaml``.

    hold_m, hold_rad: null: it only tells. hold_after: comparisons in a row beyond them.
    """

    rate_hz: float = Field(default=10.0, gt=0.0, le=50.0)
    steps_ahead: int = Field(default=5, ge=2, le=50)
    command_delay_s: float = Field(default=0.0, ge=0.0, le=1.0)
    hold_m: float | None = Field(default=None, gt=0.0)
    hold_rad: float | None = Field(default=None, gt=0.0)
    hold_after: int = Field(default=3, ge=1)


@dataclass(frozen=True)
class Divergence:
    """How far the measured tip is from the predicted one, at ``stamp_s``.

    one_m, one_rad: predicted one step before. ahead_m, ahead_rad: ``steps_ahead`` steps before.
    """

    stamp_s: float
    one_m: float
    one_rad: float
    ahead_m: float
    ahead_rad: float


class Shadow:
    """Hears states and commands, compares when asked. Stamps [s] are of one clock.

    period_s: of one step.
    """

    def __init__(self, twin: TwinSettings, settings: ShadowSettings, period_s: float) -> None:
        self.settings, self._period_s = settings, period_s
        self._world = World(twin, {})
        self._arm = TwinArm(self._world)
        self._states: deque[ArmState] = deque()
        self._commands: deque[tuple[float, Command, bool]] = deque()
        self._beyond = 0
        longest_s = settings.steps_ahead * period_s
        self._keep_s = longest_s + settings.command_delay_s + _KEPT_S

    def forget(self) -> None:
        """The arm was put somewhere else, or time went back: nothing of before counts."""
        self._states.clear()
        self._commands.clear()
        self._beyond = 0

    def on_state(self, state: ArmState) -> None:
        """The arm was measured. A stamp that goes back forgets what was; an equal one is old."""
        if self._states:
            if state.stamp_s < self._states[-1].stamp_s:
                self.forget()
            elif state.stamp_s == self._states[-1].stamp_s:
                return
        self._states.append(state)
        while self._states and state.stamp_s - self._states[0].stamp_s > self._keep_s:
            self._states.popleft()

    def on_command(self, command: Command, hold: bool, stamp_s: float) -> None:
        """The arm was told this at ``stamp_s``; told again what it knows, nothing happens."""
        if self._commands and _same(self._commands[-1], (stamp_s, command, hold)):
            return
        self._commands.append((stamp_s, command, hold))
        # One from before everything else is needed: what was being obeyed then.
        while len(self._commands) > 2 and stamp_s - self._commands[1][0] > self._keep_s:
            self._commands.popleft()

    def compare(self) -> Divergence | None:
        """The newest measurement against predictions; None before enough was heard."""
        if not self._states:
            return None
        now = self._states[-1]
        found = []
        for steps in (1, self.settings.steps_ahead):
            start = self._state_before(now.stamp_s - steps * self._period_s)
            if start is None:
                return None
            predicted = self._lived_again(start, now.stamp_s)
            if predicted is None:
                return None
            apart_m = float(np.linalg.norm(predicted.p_BT_m - now.p_BT_m))
            apart_rad = abs(math.remainder(predicted.yaw_rad - now.yaw_rad, math.tau))
            found += [apart_m, apart_rad]
        return Divergence(now.stamp_s, *found)

    def verdict(self, seen: Divergence) -> str:
        """Why the arm should be held, once ``hold_after`` comparisons in a row were too far off."""
        limit_m, limit_rad = self.settings.hold_m, self.settings.hold_rad
        far_m = limit_m is not None and seen.ahead_m > limit_m
        far_rad = limit_rad is not None and seen.ahead_rad > limit_rad
        self._beyond = self._beyond + 1 if far_m or far_rad else 0
        if self._beyond < self.settings.hold_after:
            return ""
        ahead_s = self.settings.steps_ahead * self._period_s
        return (
            f"the arm is {1e3 * seen.ahead_m:.0f} mm and {seen.ahead_rad:.2f} rad from where its "
            f"twin went in {ahead_s:.1f} s; blocked, led, or not as identified"
        )

    def close(self) -> None:
        """Free the physics client; twice is safe."""
        self._world.close()

    # Inside.

    def _state_before(self, stamp_s: float) -> ArmState | None:
        """The newest state that is not younger; None: the past does not reach back so far."""
        for state in reversed(self._states):
            if state.stamp_s <= stamp_s + _EARLY_S:
                return state if stamp_s - state.stamp_s <= 0.5 * self._period_s else None
        return None

    def _lived_again(self, start: ArmState, until_s: float) -> ArmState | None:
        """The twin's arm at ``until_s``, from where the real one was at ``start``."""
        delay_s = self.settings.command_delay_s
        told = [(stamp_s + delay_s, c, hold) for stamp_s, c, hold in self._commands]
        before = [t for t in told if t[0] <= start.stamp_s]
        if not before:
            return None
        self._put(start)
        for at_s, command, hold in [
            before[-1],
            *(t for t in told if start.stamp_s < t[0] < until_s),
        ]:
            self._world.advance_until(at_s - start.stamp_s)
            try:
                self._arm.hold(command.gripper_m) if hold else self._arm.send(command)
            except ArmError:
                return None
        self._world.advance_until(until_s - start.stamp_s)
        return self._arm.state()

    def _put(self, state: ArmState) -> None:
        """The twin's arm where and as fast as the real one was measured."""
        q_rad = np.array(state.q_rad, np.float64)
        if q_rad.shape != (self._world.model.dof,):
            q_rad, _ = self._world.model.solve_down(
                self._world.motors.q_rad, state.p_BT_m, state.yaw_rad, 100, 1e-9
            )
        self._world.reset(q_rad, state.gripper_m, {})
        world = self._world
        opening = world.model.finger_positions(state.gripper_m)
        speeds = [*self._speeds(state, q_rad), *np.zeros(len(opening))]
        places = world.arm_joints + world.finger_joints
        joints = zip(places, [*q_rad, *opening], speeds, strict=True)
        for joint, value, speed in joints:
            pybullet.resetJointState(
                self._world.arm, joint, value, speed, physicsClientId=self._world.client
            )

    def _speeds(self, state: ArmState, q_rad: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of the joints (N,) [rad/s], from the state before; zero when there is none."""
        for other in reversed(self._states):
            ago_s = state.stamp_s - other.stamp_s
            if 0.005 < ago_s < 0.06 and len(other.q_rad) == len(q_rad):
                speeds: NDArray[np.float64] = (q_rad - np.asarray(other.q_rad)) / ago_s
                return speeds
        return np.zeros(len(q_rad))


def _same(one: tuple[float, Command, bool], other: tuple[float, Command, bool]) -> bool:
    a, b = one[1], other[1]
    same = np.array_equal(a.p_BT_m, b.p_BT_m) and (a.yaw_rad, a.gripper_m) == (
        b.yaw_rad,
        b.gripper_m,
    )
    return same and one[2] == other[2]
