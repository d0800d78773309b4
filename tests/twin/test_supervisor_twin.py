"""The guard's process gives the twin the very steps that the guard inside the loop gives it."""

from dataclasses import replace

import numpy as np
import pytest
from handful_twin.task_env import TwinTaskEnv, make_env
from numpy.typing import ArrayLike

from handful.contract import Observation
from handful.rig.loop import ControlLoop, Judged
from handful.rig.ruling import MOVES, Ruling
from handful.rig.supervisor import Supervisor
from handful.rig.watch import GuardNodeSettings

JITTER_S = 0.03


class SupervisorGate:
    """``rig.loop.Gate`` over a supervisor, with messages that come late by a random time."""

    def __init__(self, env: TwinTaskEnv) -> None:
        self._env, self._rng = env, np.random.default_rng(5)
        self._supervisor = Supervisor(env.rig, GuardNodeSettings(start_ready=True))
        self._now_s, self._obeyed = 1000.0, 0

    def begin(self) -> None:
        """As over ROS: whoever acted rests, the scene is put up, the arm says it is new there."""
        self._pass(0.02)
        self._submit((), 0.0, rest=True)
        self._obeyed = 0
        self._pass(1.0)

    def submit(self, action: ArrayLike, seen: Observation) -> Judged:
        self._pass(self._env.rig.period_s)
        ruling = self._submit(action, self._env.clock.now_s() - seen.stamp_s)
        order = self._supervisor.order
        assert order is not None and not order.hold
        self._env.arm.send(order.command)
        self._obeyed += 1
        held = ruling.status not in MOVES
        return Judged(ruling.executed, ruling.step_m, ruling.status, ruling.reason, held)

    def _submit(self, action: ArrayLike, age_s: float, rest: bool = False) -> Ruling:
        late_s = self._now_s + self._rng.uniform(0.0, JITTER_S)
        stamp_s = self._now_s - age_s
        return self._supervisor.on_action(
            "agent", "/agent", action, stamp_s, rest, late_s, self._now_s
        )

    def _pass(self, for_s: float) -> None:
        """The cell's time goes on, unlike the twin's, which begins anew with every reset."""
        self._now_s += for_s
        arm = replace(self._env.arm.state(), stamp_s=self._now_s)
        self._supervisor.on_arm(arm, self._now_s, self._obeyed)
        for name in self._env.rig.cameras:
            self._supervisor.on_camera(name, self._now_s, self._now_s)
        self._supervisor.tick(self._now_s, self._now_s)


@pytest.mark.parametrize("style", ["corners", "noise"])
def test_the_same_actions_give_the_same_bits(style: str) -> None:
    plain, guarded = make_env("reach"), make_env("reach")
    gate = SupervisorGate(guarded)
    guarded._loop = ControlLoop(guarded.rig, guarded.cameras, guarded.arm, guarded.clock, gate=gate)
    rng = np.random.default_rng(3)
    for seed in range(3):
        plain.reset(seed)
        guarded.reset(seed)
        assert np.array_equal(plain.arm.state().p_BT_m, guarded.arm.state().p_BT_m)
        for step in range(25):
            if style == "corners" and step % 5 == 0 or style == "noise":
                action = rng.uniform(-1.0, 1.0, 4)
                action = np.sign(action) if style == "corners" else action
            one, other = plain.step(action), guarded.step(action)
            assert np.array_equal(one.action, other.action), (seed, step)
            assert one.info["verdict"] == other.info["verdict"]
            a, b = plain.arm.state(), guarded.arm.state()
            assert np.array_equal(a.target_p_BT_m, b.target_p_BT_m), (seed, step)
            assert np.array_equal(a.p_BT_m, b.p_BT_m), (seed, step)
            if one.last or other.last:
                assert one.last and other.last
                break
    plain.close()
    guarded.close()
