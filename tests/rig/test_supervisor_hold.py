"""The supervisor standing still: how a hold begins, what it keeps, and what a reset arm may say."""

import math

import numpy as np
import pytest
from supervisor_kit import START_M, STEP_M, TICK_S, Cell

from handful.contract import ArmState
from handful.rig.ruling import Mode


class TestHold:
    def test_the_pose_is_captured_once_and_the_grip_kept(self) -> None:
        cell = Cell()
        cell.act([1, 0, 0, -1])
        cell.obeys = False
        cell.run(TICK_S)
        cell.supervisor.hold("wait")
        held_m = cell.p_m.copy()
        cell.p_m[2] -= 0.01  # it sags
        order = cell.run(2.0)
        assert np.array_equal(order.command.p_BT_m, held_m)
        assert order.command.gripper_m == 0.0 and order.hold and order.reason == "wait"

    def test_an_arm_that_is_led_away_in_a_hold_is_not_pulled_back(self) -> None:
        cell = Cell()
        cell.supervisor.hold("hand guiding")
        cell.obeys = False
        cell.p_m = START_M + [0.0, 0.2, 0.0]
        order = cell.run(0.1)
        assert order.command.p_BT_m == pytest.approx(cell.p_m) and order.hold
        assert "it stands where it is now" in " ".join(cell.supervisor.notes)

    def test_resume_starts_from_the_measured_pose_at_rest(self) -> None:
        cell = Cell()
        for _ in range(3):
            cell.act()
            cell.run(0.1)
        cell.supervisor.stop("look out")
        cell.obeys = False
        cell.p_m[2] -= 0.02
        cell.run(0.5)
        assert cell.supervisor.resume("Ada", cell.now_s)[0]
        assert np.array_equal(cell.order.command.p_BT_m, cell.p_m)

    def test_a_stop_counts_more_than_a_hold_and_the_first_reason_stays(self) -> None:
        cell = Cell()
        cell.supervisor.hold("first")
        cell.supervisor.hold("second")
        assert (cell.mode, cell.reason) == (Mode.HELD, "first")
        cell.supervisor.stop("third")
        assert (cell.mode, cell.reason) == (Mode.STOPPED, "third")
        cell.supervisor.hold("fourth")
        cell.supervisor.stop("fifth")
        assert (cell.mode, cell.reason) == (Mode.STOPPED, "third")

    def test_nobody_resumes_while_the_e_stop_is_pressed(self) -> None:
        cell = Cell()
        cell.supervisor.on_e_stop(True)
        assert cell.mode is Mode.STOPPED
        assert "e-stop" in cell.supervisor.resume("Ada", cell.now_s)[1]
        cell.supervisor.on_e_stop(False)
        assert cell.mode is Mode.STOPPED, "letting it go does not start anything"
        assert cell.supervisor.resume("Ada", cell.now_s)[0]

    def test_a_fault_of_the_arm_holds_in_its_own_words(self) -> None:
        cell = Cell()
        cell.fault = "joint 4 beyond its limit"
        cell.run(TICK_S)
        assert cell.mode is Mode.HELD and cell.reason == "arm: joint 4 beyond its limit"
        assert "joint 4" in cell.supervisor.resume("Ada", cell.now_s)[1]
        cell.fault = ""
        cell.run(TICK_S)
        assert cell.supervisor.resume("Ada", cell.now_s)[0]

    def test_a_clock_that_goes_back_holds(self) -> None:
        cell = Cell()
        cell.act()
        cell.stamp_s -= 5.0
        order = cell.run(TICK_S)
        assert cell.mode is Mode.HELD and cell.reason == "the clock jumped back"
        assert order.decided_s <= cell.stamp_s, "nothing was decided in the future"
        cell.run(0.1)
        assert cell.supervisor.resume("Ada", cell.now_s)[0]
        assert cell.act().status == "ok", "stamps of the old time are forgotten"

    def test_in_a_hold_nothing_stays_decided_in_the_future_either(self) -> None:
        cell = Cell()
        cell.supervisor.hold("wait")
        cell.stamp_s -= 5.0
        assert cell.run(TICK_S).decided_s <= cell.stamp_s

    def test_a_clock_that_crawls_back_is_noticed_too(self) -> None:
        cell = Cell()
        for _ in range(10):
            cell.supervisor.tick(cell.now_s, cell.stamp_s)
            cell.stamp_s -= 0.005
        assert cell.reason == "the clock jumped back"

    def test_two_threads_reading_one_clock_are_no_jump(self) -> None:
        cell = Cell()
        cell.supervisor.tick(cell.now_s, cell.stamp_s - 0.01)
        assert cell.mode is Mode.READY


class TestReset:
    """After a reset the arm says ``command`` 0 and knows exactly where it was put."""

    def put(self, cell: Cell, p_m: object) -> None:
        cell.obeys, cell.obeyed = False, 0
        cell.target = type(cell.target)(np.array(p_m), 0.1, 0.07)
        cell.p_m = np.array(p_m) + [0.0, 0.0, -0.0007]  # it sags a little

    def test_the_target_is_then_the_arm_s_own_exactly(self) -> None:
        cell = Cell()
        cell.act()
        cell.run(0.1)
        cell.rest()
        self.put(cell, [0.5, 0.1, 0.3])
        order = cell.run(TICK_S)
        assert np.array_equal(order.command.p_BT_m, [0.5, 0.1, 0.3])
        assert (order.command.yaw_rad, order.command.gripper_m) == (0.1, 0.07)
        assert not order.hold and order.decided_s == cell.stamp_s
        cell.obeyed = 7
        order = cell.run(1.0)
        assert np.array_equal(order.command.p_BT_m, [0.5, 0.1, 0.3]), "and stays there"

    def test_in_a_hold_too(self) -> None:
        cell = Cell()
        cell.supervisor.hold("wait")
        self.put(cell, [0.5, 0.1, 0.3])
        assert np.array_equal(cell.run(TICK_S).command.p_BT_m, [0.5, 0.1, 0.3])

    def test_under_a_mover_too_whose_motion_is_over_then(self) -> None:
        cell = Cell()
        for _ in range(3):
            cell.act()
            cell.run(0.1)
        self.put(cell, [0.5, 0.1, 0.3])
        order = cell.run(TICK_S)
        assert np.array_equal(order.command.p_BT_m, [0.5, 0.1, 0.3]) and not order.hold
        assert cell.supervisor.standing.source == ""
        assert "reset while agent moved it" in " ".join(cell.supervisor.notes)
        cell.act([0, 1, 0, 0])
        order = cell.run(TICK_S)
        goal_m = [0.5, 0.1 + STEP_M, 0.3]
        assert order.command.p_BT_m == pytest.approx(goal_m), "it has not obeyed yet, that is all"

    def test_never_because_an_arm_has_not_obeyed_the_mover_yet(self) -> None:
        cell = Cell()
        cell.obeyed = 0
        cell.run(TICK_S)
        cell.act()
        self.put(cell, START_M)
        order = cell.run(TICK_S)
        assert order.command.p_BT_m[0] == pytest.approx(START_M[0] + STEP_M)

    @pytest.mark.parametrize("nonsense", [math.nan, 0.0])
    def test_a_target_that_makes_no_sense_is_not_taken(self, nonsense) -> None:
        cell = Cell()
        before_m = cell.order.command.p_BT_m
        cell.obeys, cell.obeyed = False, 0
        cell.target = type(cell.target)(np.full(3, nonsense), 0.0, 0.0)
        assert np.array_equal(cell.run(TICK_S).command.p_BT_m, before_m)

    def test_a_hold_does_not_take_nonsense_either(self) -> None:
        cell = Cell()
        cell.act()
        cell.run(0.1)
        cell.obeys, cell.obeyed = False, 0
        cell.target = type(cell.target)(np.zeros(3), 0.0, 0.0)
        cell.run(TICK_S)
        cell.supervisor.hold("wait")
        assert np.array_equal(cell.order.command.p_BT_m, cell.p_m)

    def test_the_arm_s_word_is_copied(self) -> None:
        cell = Cell()
        self.put(cell, [0.5, 0.1, 0.3])
        state = cell.arm()
        cell.supervisor.on_arm(state, cell.now_s, command=0)
        state.target_p_BT_m[:] = math.nan
        assert np.array_equal(cell.order.command.p_BT_m, [0.5, 0.1, 0.3])

    def test_small_differences_are_not_followed(self) -> None:
        cell = Cell()
        cell.obeys = False
        for _ in range(50):
            cell.p_m[2] -= 0.001
            order = cell.run(TICK_S)
        assert np.array_equal(order.command.p_BT_m, START_M)


def test_states_do_not_share_memory_with_orders() -> None:
    cell = Cell()
    state: ArmState = cell.arm()
    cell.supervisor.on_arm(state, cell.now_s)
    cell.supervisor.hold("wait")
    state.p_BT_m[:] = math.nan
    assert np.isfinite(cell.order.command.p_BT_m).all()
