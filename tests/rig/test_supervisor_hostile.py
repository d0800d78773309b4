"""Whatever is thrown at the supervisor, nothing outside the limits ever leaves it."""

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from supervisor_kit import RIG, Cell

from handful.rig.ruling import Mode
from handful.rig.settings import GuardSettings, RigSettings
from handful.rig.watch import GuardNodeSettings

LOW_M, HIGH_M = np.array(RIG.guard.workspace_min_m), np.array(RIG.guard.workspace_max_m)
SLUGGISH = RIG.model_copy(update={"guard": GuardSettings(max_accel_m_s2=2.0, max_speed_m_s=0.2)})
WITH_YAW = RIG.model_copy(
    update={"action": RIG.action.model_copy(update={"yaw_step_rad": 0.3, "frame": "tool"})}
)

number = st.floats(allow_nan=True, allow_infinity=True) | st.floats(-1.5, 1.5)
ages = st.floats(-0.05, 0.5) | st.floats(allow_nan=True, allow_infinity=True)
sources = st.sampled_from(["teleop", "reset", "script", "agent", "agent", "ghost", ""])
pauses = st.sampled_from([0.0, 0.0, 1e-5, 1e-3, 0.02, 0.1]) | st.floats(0.0, 0.3)


def hostile_values(rng: np.random.Generator, dim: int, bias: float) -> list[float]:
    """Anything a broken or malicious sender may put into an action; bias: where it pushes."""
    kind = rng.integers(10)
    if kind == 0:
        dim = int(rng.integers(0, 9))
    values = rng.uniform(-1.0, 1.0, dim) * rng.choice([1.0, 1.0, 1.0, 10.0, 1e300])
    if kind == 1 and dim:
        values[rng.integers(dim)] = rng.choice([math.nan, math.inf, -math.inf])
    if kind in (2, 3, 4):
        values = np.sign(values + bias)
    return [float(v) for v in values]


class Path:
    """Every target that was not a hold, when it was decided, and what came before it."""

    def __init__(self, rig: RigSettings) -> None:
        self.limits = rig.guard
        self.steps: list[tuple[float, float]] = []

    def add(self, now_s: float, length_m: float) -> None:
        self.steps.append((now_s, length_m))

    def check(self, period_s: float) -> None:
        """Over every window: no further than the speed allows in it, and in 1.5 periods more."""
        if not self.steps:
            return
        times = np.array([t for t, _ in self.steps])
        way_m = np.cumsum([0.0, *(m for _, m in self.steps)])
        # way[j] - way[i] <= v (t[j-1] - t[i] + 1.5 T) for all i < j, in one pass.
        v = self.limits.max_speed_m_s
        start = np.maximum.accumulate(v * times - way_m[:-1])
        assert (way_m[1:] - v * times + start <= v * 1.5 * period_s + 1e-6).all()


class Hostile(RuleBasedStateMachine):
    """Any order of anything, with the promises checked after each."""

    rig = RIG

    @initialize(data=st.data())
    def begin(self, data) -> None:
        watch = GuardNodeSettings(
            max_bad_actions=data.draw(st.sampled_from([1, 3, 10_000])),
            forgive_silence_s=data.draw(st.sampled_from([0.0, 0.5])),
        )
        self.cell = Cell(watch, rig=self.rig)
        self.path = Path(self.rig)
        self.stood_m: np.ndarray | None = None

    @rule(
        values=st.lists(number, min_size=3, max_size=6),
        source=sources,
        sender=st.sampled_from(["", "", "", "", "/thief"]),
        age_s=ages,
        rest=st.sampled_from([False, False, False, True]),
    )
    def action(self, values, source, sender, age_s, rest) -> None:
        before = self.cell.order
        velocity_step = self.cell.act(values, source, sender, age_s, rest)
        after = self.cell.order
        moved_m = after.command.p_BT_m - before.command.p_BT_m
        assert np.isfinite(velocity_step.executed).all()
        assert (np.abs(velocity_step.executed) <= 1.0).all()
        if not after.hold:
            assert np.allclose(velocity_step.step_m, moved_m, atol=1e-12)
            self.path.add(self.cell.now_s, float(np.linalg.norm(moved_m)))
            lead_m = np.linalg.norm(after.command.p_BT_m - self.cell.p_m)
            before_m = np.linalg.norm(before.command.p_BT_m - self.cell.p_m)
            assert lead_m <= max(0.16, before_m) + 1e-9

    @rule(pause_s=pauses, heard=st.booleans())
    def wait(self, pause_s, heard) -> None:
        self.cell.now_s += pause_s
        self.cell.stamp_s += pause_s
        if heard:
            self.cell.hear()
        self.cell.tick()

    @rule(by_s=st.floats(-10.0, 10.0))
    def jump(self, by_s) -> None:
        self.cell.stamp_s += by_s
        self.cell.tick()
        if by_s < -0.02:
            assert self.cell.mode is not Mode.READY

    @rule(obeys=st.booleans())
    def block(self, obeys) -> None:
        self.cell.obeys = obeys

    @rule(what=st.sampled_from(["hold", "stop"]))
    def halt(self, what) -> None:
        getattr(self.cell.supervisor, what)("somebody")
        assert self.cell.mode is not Mode.READY

    @precondition(lambda self: self.cell.mode is not Mode.READY)
    @rule()
    def resume(self) -> None:
        self.cell.hear()
        self.cell.supervisor.resume("Ada", self.cell.now_s)

    @rule(poison=st.sampled_from([math.nan, math.inf, -math.inf]))
    def poisoned_arm(self, poison) -> None:
        kept, self.cell.p_m = self.cell.p_m, np.full(3, poison)
        self.cell.hear()
        self.cell.p_m = kept

    @invariant()
    def nothing_outside_leaves(self) -> None:
        if not hasattr(self, "cell"):
            return
        command = self.cell.order.command
        assert np.isfinite([*command.p_BT_m, command.yaw_rad, command.gripper_m]).all()
        assert (command.p_BT_m >= LOW_M - 1e-12).all() and (command.p_BT_m <= HIGH_M + 1e-12).all()
        assert 0.0 <= command.gripper_m <= self.rig.guard.max_gripper_m

    @invariant()
    def a_hold_stands_still(self) -> None:
        if not hasattr(self, "cell") or self.cell.mode is Mode.READY:
            self.stood_m = None
            return
        assert self.cell.order.hold and self.cell.order.reason
        assert self.cell.supervisor.standing.source == ""
        now_m = self.cell.order.command.p_BT_m
        assert self.stood_m is None or np.array_equal(now_m, self.stood_m)
        self.stood_m = now_m

    def teardown(self) -> None:
        if hasattr(self, "path"):
            self.path.check(self.rig.period_s)


class HostileSluggish(Hostile):
    rig = SLUGGISH


class HostileTool(Hostile):
    rig = WITH_YAW


TestHostile = Hostile.TestCase
TestHostileSluggish = HostileSluggish.TestCase
TestHostileTool = HostileTool.TestCase
TestHostile.settings = TestHostileSluggish.settings = TestHostileTool.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None
)


@pytest.mark.parametrize("rig", [RIG, SLUGGISH], ids=["shipped", "sluggish"])
def test_a_hundred_thousand_hostile_actions(rig: RigSettings) -> None:
    """A flood of everything at once; resumed as often as it is held, or it would be over soon."""
    rng = np.random.default_rng(0)
    cell = Cell(GuardNodeSettings(max_bad_actions=10_000), rig=rig)
    path = Path(rig)
    statuses: dict[str, int] = {}
    began_s = time.monotonic()
    for number in range(100_000):
        if number % 4 == 0:
            pause_s = float(rng.choice([0.0, 0.0001, 0.001, 0.02]))
            cell.now_s += pause_s
            cell.stamp_s += pause_s
            cell.hear()
            cell.tick()
            if cell.mode is not Mode.READY:
                cell.supervisor.resume("Ada", cell.now_s)
        before_m = cell.order.command.p_BT_m
        source = "agent" if rng.random() < 0.9 else str(rng.choice(["teleop", "ghost"]))
        age_s = float(rng.choice([0.0, 0.0, 0.0, 0.1, 0.31, -0.1, math.nan, 1e12]))
        rest = bool(rng.random() < (0.5 if source == "teleop" else 0.05))
        ruling = cell.act(
            hostile_values(rng, 4, bias=math.sin(number / 3000)), source, age_s=age_s, rest=rest
        )
        statuses[ruling.status] = statuses.get(ruling.status, 0) + 1
        order = cell.order
        goal_m = order.command.p_BT_m
        assert (goal_m >= LOW_M).all() and (goal_m <= HIGH_M).all(), number
        assert 0.0 <= order.command.gripper_m <= rig.guard.max_gripper_m
        if not order.hold:
            path.add(cell.now_s, float(np.linalg.norm(goal_m - before_m)))
    path.check(rig.period_s)
    print(f"{1e6 * (time.monotonic() - began_s) / 100_000:.0f} us an action, {statuses}")
    expected = {"ok", "slowed", "stale", "not_finite", "refused"}
    assert expected | ({"at_wall"} if rig is RIG else set()) <= set(statuses)


@given(pauses=st.lists(st.floats(0.0, 0.12), min_size=2, max_size=30), seed=st.integers(0, 99))
def test_speeding_up_takes_its_time_at_any_rhythm(pauses, seed) -> None:
    """Velocity from standstill is at most the acceleration times the time that has passed."""
    cell = Cell(rig=SLUGGISH)
    rng = np.random.default_rng(seed)
    direction = rng.standard_normal(3)
    values = [*(direction / np.abs(direction).max()), 0.0]
    began_m, began_s = cell.order.command.p_BT_m.copy(), cell.now_s
    for pause_s in pauses:
        cell.act(values)
        cell.now_s += pause_s
        cell.stamp_s += pause_s
        cell.hear()
        cell.tick()
        passed_s = cell.now_s - began_s + 1.5 * SLUGGISH.period_s
        way_m = float(np.linalg.norm(cell.order.command.p_BT_m - began_m))
        # a step of T gains a T: the staircase runs one step ahead of the parabola
        most_m = 0.5 * SLUGGISH.guard.max_accel_m_s2 * passed_s * (passed_s + SLUGGISH.period_s)
        assert way_m <= most_m + 1e-9
