"""The supervisor by hand: who may move, what must be alive, and how one gets out of a hold."""

import math

import numpy as np
import pytest
from supervisor_kit import RIG, START_M, STEP_M, TICK_S, WATCH, Cell

from handful.config import ConfigError, load
from handful.rig.ruling import Mode
from handful.rig.supervisor import Supervisor
from handful.rig.watch import GuardNodeSettings


def test_the_shipped_settings_are_the_defaults_and_start_held() -> None:
    assert load(GuardNodeSettings, "node/guard") == GuardNodeSettings()
    assert not GuardNodeSettings().start_ready


def test_a_watchdog_that_bites_between_two_beats_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"max_action_silence_s is 0.1 s.*every 0.1 s"):
        Supervisor(RIG, GuardNodeSettings(max_action_silence_s=0.1))


class TestStart:
    def test_before_the_arm_is_heard_there_is_no_order_and_no_motion(self) -> None:
        supervisor = Supervisor(RIG, WATCH)
        assert supervisor.tick(1.0, 1.0) is None
        done, why = supervisor.resume("Ada", 1.0)
        assert not done and "arm/state was never heard" in why
        assert "camera third was never heard" in why and "camera wrist" in why
        ruling = supervisor.on_action("agent", "/agent", [1, 0, 0, 0], 1.0, False, 1.0, 1.0)
        assert ruling.status == "held" and ruling.command is None

    def test_it_starts_held_at_the_measured_pose(self) -> None:
        cell = Cell(resumed=False)
        assert cell.mode is Mode.HELD and "waiting for a person" in cell.reason
        order = cell.run(1.0)
        assert order.hold and order.command.p_BT_m == pytest.approx(START_M)
        assert cell.act().status == "held"

    def test_resume_needs_a_name(self) -> None:
        cell = Cell(resumed=False)
        assert cell.supervisor.resume("  ", cell.now_s)[0] is False
        assert cell.supervisor.resume("Ada", cell.now_s) == (True, "")
        assert cell.mode is Mode.READY and not cell.order.hold
        assert cell.supervisor.resume("Ada", cell.now_s) == (True, "nothing was held")

    def test_start_ready_waits_for_arm_and_cameras_and_for_nobody_else(self) -> None:
        cell = Cell(GuardNodeSettings(start_ready=True), resumed=False)
        assert cell.mode is Mode.READY
        supervisor = Supervisor(RIG, GuardNodeSettings(start_ready=True))
        supervisor.on_arm(cell.arm(), 1.0)
        supervisor.on_camera("third", 1.0, 1.0)
        supervisor.tick(1.0, 1.0)
        assert supervisor.standing.mode is Mode.HELD
        assert "waiting for the arm and the cameras" in supervisor.standing.reason
        supervisor.on_camera("wrist", 1.0, 1.0)
        supervisor.tick(1.0, 1.0)
        assert supervisor.standing.mode is Mode.READY

    @pytest.mark.parametrize("what", ["hold", "stop"])
    def test_start_ready_does_not_undo_what_somebody_said_before(self, what) -> None:
        supervisor = Supervisor(RIG, GuardNodeSettings(start_ready=True))
        getattr(supervisor, what)("not yet")
        cell = Cell(GuardNodeSettings(start_ready=True), resumed=False)
        supervisor.on_arm(cell.arm(), 1.0)
        for name in RIG.cameras:
            supervisor.on_camera(name, 1.0, 1.0)
        supervisor.tick(1.0, 1.0)
        assert supervisor.standing.mode is not Mode.READY
        assert supervisor.standing.reason == "not yet"


class TestMotion:
    def test_steps_add_up_on_the_target_not_on_the_measurement(self) -> None:
        cell = Cell()
        cell.obeys = False
        for step in range(1, 4):
            ruling = cell.act()
            assert ruling.status == "ok"
            assert ruling.executed == pytest.approx([1, 0, 0, 0])
            assert cell.order.command.p_BT_m == pytest.approx(START_M + [step * STEP_M, 0, 0])
            cell.run(0.1)
        assert cell.supervisor.standing.source == "agent"

    def test_an_order_is_decided_once_and_repeated(self) -> None:
        cell = Cell()
        cell.run(1.0)
        assert cell.order.decided_s < cell.stamp_s
        cell.act()
        decided_s = cell.order.decided_s
        assert decided_s == cell.stamp_s
        cell.run(0.1)
        assert cell.order.decided_s == decided_s

    def test_a_rest_keeps_the_target_and_nothing_is_latched(self) -> None:
        cell = Cell()
        cell.act()
        cell.run(0.1)
        assert cell.rest().status == "ok"
        target_m = cell.order.command.p_BT_m
        order = cell.run(5.0)
        assert cell.mode is Mode.READY and not order.hold
        assert np.array_equal(order.command.p_BT_m, target_m)
        assert cell.supervisor.standing.source == ""

    def test_after_a_rest_speed_is_built_up_again(self) -> None:
        slow = RIG.model_copy(
            update={"guard": RIG.guard.model_copy(update={"max_accel_m_s2": 1.0})}
        )
        cell = Cell(rig=slow)
        first = np.linalg.norm(cell.act().step_m)
        cell.run(0.1)
        assert np.linalg.norm(cell.act().step_m) == pytest.approx(2 * first)
        cell.rest()
        cell.run(0.2)
        assert np.linalg.norm(cell.act().step_m) == pytest.approx(first)

    def test_a_flood_moves_no_faster_than_one_action_a_period(self) -> None:
        cell = Cell()
        moved_m = 0.0
        for _ in range(1000):
            cell.now_s += 0.001
            cell.stamp_s += 0.001
            cell.hear()
            moved_m += float(np.linalg.norm(cell.act([0, 1, 0, 0]).step_m))
            cell.act([0, -1, 0, 0])
        # 1 s, and at most one and a half periods that were saved up.
        assert 0.0 < moved_m <= RIG.guard.max_speed_m_s * (1.0 + 1.5 * RIG.period_s)

    def test_a_burst_in_one_instant_is_one_step_and_a_half(self) -> None:
        cell = Cell()
        for _ in range(100):
            cell.act()
        moved_m = cell.order.command.p_BT_m[0] - START_M[0]
        assert moved_m <= 1.5 * RIG.guard.max_speed_m_s * RIG.period_s
        assert "faster than time" in cell.act().reason

    def test_an_action_that_came_late_does_not_slow_the_next_one_down(self) -> None:
        cell = Cell()
        for pause_s in (0.12, 0.08, 0.14, 0.06, 0.1):
            assert cell.act([1, 1, 1, 0]).status == "ok"
            cell.run(pause_s)

    def test_a_blocked_arm_is_pressed_on_no_further_than_the_lead(self) -> None:
        cell = Cell()
        cell.obeys = False
        for _ in range(9):
            ruling = cell.act([0, 1, 0, 0])
            cell.run(0.1)
        ahead_m = np.linalg.norm(cell.order.command.p_BT_m - cell.p_m)
        assert ahead_m == pytest.approx(WATCH.max_lead_m, abs=1e-6)
        assert ruling.status == "slowed" and "behind" in ruling.reason
        assert ruling.executed[1] == pytest.approx(0.0, abs=1e-3)
        assert cell.act([0, -1, 0, 0]).status == "ok", "back is free"


class TestSilence:
    def test_the_arm_stands_within_a_fifth_of_a_second_and_is_latched_soon_after(self) -> None:
        cell = Cell()
        for _ in range(3):
            cell.act()
            cell.run(0.1)
        cell.act()
        died_s = cell.now_s
        while not cell.order.hold:
            cell.run(TICK_S)
        assert 0.15 < cell.now_s - died_s <= 0.2
        stood_m = cell.order.command.p_BT_m
        while cell.mode is Mode.READY:
            assert cell.run(TICK_S).reason == "agent fell silent"
        assert 0.45 < cell.now_s - died_s <= 0.5
        assert cell.reason == "agent fell silent"
        assert np.array_equal(cell.order.command.p_BT_m, stood_m)
        cell.act()
        cell.run(1.0)
        assert cell.mode is Mode.HELD, "it does not go on by itself"

    def test_a_short_silence_is_forgiven_and_goes_on_from_where_the_arm_stands(self) -> None:
        cell = Cell()
        cell.act()
        cell.obeys = False
        cell.run(TICK_S)
        order = cell.run(0.2)
        assert order.hold and order.reason == "agent fell silent" and cell.mode is Mode.READY
        cell.p_m[2] -= 0.01  # sags while it stands: captured once
        assert np.array_equal(cell.run(TICK_S).command.p_BT_m, order.command.p_BT_m)
        assert cell.act([0, 1, 0, 0]).status == "ok" and not cell.order.hold
        goal_m = order.command.p_BT_m + [0, STEP_M, 0]
        assert cell.order.command.p_BT_m == pytest.approx(goal_m)

    def test_nothing_need_be_forgiven(self) -> None:
        cell = Cell(GuardNodeSettings(forgive_silence_s=0.0))
        cell.act()
        cell.run(0.2)
        assert cell.mode is Mode.HELD and cell.reason == "agent fell silent"

    def test_the_arm_must_always_be_heard(self) -> None:
        cell = Cell()
        cell.arm_alive = False
        cell.run(0.14)
        assert cell.mode is Mode.HELD and "arm/state is silent" in cell.reason
        done, why = cell.supervisor.resume("Ada", cell.now_s)
        assert not done and "arm/state is silent" in why
        cell.arm_alive = True
        cell.run(0.1)
        assert cell.mode is Mode.HELD, "coming back is not a reason to move"
        assert cell.supervisor.resume("Ada", cell.now_s)[0]

    def test_an_arm_that_repeats_one_stamp_is_silent(self) -> None:
        cell = Cell()
        frozen = cell.arm()
        cell.arm_alive = False
        for _ in range(10):
            cell.run(TICK_S)
            cell.supervisor.on_arm(frozen, cell.now_s)
        assert cell.mode is Mode.HELD and "arm/state" in cell.reason

    @pytest.mark.parametrize("poison", [math.nan, math.inf])
    def test_an_arm_without_a_finite_pose_is_silent_and_never_a_target(self, poison) -> None:
        cell = Cell()
        cell.obeys = False
        cell.run(TICK_S)
        cell.p_m = np.array([0.4, poison, 0.2])
        cell.run(0.14)
        assert cell.mode is Mode.HELD and np.isfinite(cell.order.command.p_BT_m).all()

    def test_a_camera_must_be_heard_while_somebody_moves(self) -> None:
        cell = Cell()
        cell.cameras_alive.remove("wrist")
        cell.run(1.0)
        assert cell.mode is Mode.READY, "nobody moves, nobody needs to see"
        assert "camera wrist" in cell.supervisor.troubles(cell.now_s)[0]
        refused = cell.act()
        assert refused.status == "refused" and "camera wrist is silent" in refused.reason
        cell.cameras_alive.add("wrist")
        cell.run(TICK_S)
        for _ in range(3):
            assert cell.act().status == "ok"
            cell.run(0.1)
        cell.cameras_alive.remove("wrist")
        for _ in range(3):
            cell.act()
            cell.run(0.1)
        assert cell.mode is Mode.HELD and "camera wrist is silent" in cell.reason
        assert "camera wrist" in cell.supervisor.resume("Ada", cell.now_s)[1]

    def test_cameras_can_be_left_out(self) -> None:
        cell = Cell(GuardNodeSettings(max_camera_silence_s=0.0))
        cell.cameras_alive.clear()
        cell.run(1.0)
        assert cell.act().status == "ok"

    def test_in_a_twin_at_half_speed_silences_last_twice_as_long(self) -> None:
        cell = Cell(GuardNodeSettings(time_scale=0.5, forgive_silence_s=0.0))
        cell.act()
        cell.run(0.2)
        assert cell.mode is Mode.READY
        cell.run(0.2)
        assert cell.mode is Mode.HELD
