"""The supervisor and its senders: who goes first, who may not speak, and what bad actions do."""

import math

import numpy as np
import pytest
from supervisor_kit import STEP_M, TICK_S, WATCH, Cell

from handful.config import ConfigError, build
from handful.rig.ruling import Mode
from handful.rig.watch import GuardNodeSettings, Pulse


class TestAuthority:
    def test_the_higher_source_takes_over_at_once_and_the_lower_one_waits_for_its_rest(self):
        cell = Cell()
        assert cell.act(source="agent").status == "ok"
        cell.run(0.1)
        ruling = cell.act([0, 1, 0, 0], source="teleop")
        assert ruling.status == "ok" and cell.supervisor.standing.source == "teleop"
        refused = cell.act(source="agent")
        assert refused.status == "refused" and "teleop moves the arm" in refused.reason
        assert refused.executed[:3] == pytest.approx(0.0)
        cell.run(0.1)
        cell.rest("teleop")
        assert cell.act(source="agent").status == "ok"

    def test_one_that_was_overruled_may_fall_silent(self) -> None:
        cell = Cell()
        cell.act(source="agent")
        for _ in range(5):
            cell.run(0.1)
            cell.act(source="teleop")
        assert cell.mode is Mode.READY

    def test_a_higher_source_that_dies_does_not_give_the_arm_to_the_lower(self) -> None:
        cell = Cell()
        cell.act(source="teleop")
        for _ in range(10):
            cell.run(0.06)
            assert cell.act(source="agent").status in ("refused", "held")
        assert cell.mode is Mode.HELD and cell.reason == "teleop fell silent"

    def test_the_rest_of_one_who_does_not_move_stops_nobody(self) -> None:
        cell = Cell()
        cell.act(source="teleop")
        assert cell.rest("agent").status == "ok"
        assert cell.supervisor.standing.source == "teleop"
        cell.run(0.5)
        assert cell.mode is Mode.HELD

    def test_bad_actions_of_one_who_has_no_say_do_not_touch_the_arm(self) -> None:
        cell = Cell()
        cell.act(source="teleop")
        order = cell.order
        for _ in range(20):
            assert cell.act([math.nan] * 4, source="agent").status == "refused"
        assert cell.order == order and cell.mode is Mode.READY

    def test_a_bad_first_action_does_not_take_over(self) -> None:
        cell = Cell()
        cell.act(source="agent")
        order = cell.order
        assert cell.act([math.nan] * 4, source="teleop").status == "not_finite"
        assert cell.supervisor.standing.source == "agent" and cell.order == order

    def test_an_unknown_source_is_refused_by_name(self) -> None:
        ruling = Cell().act(source="ghost")
        assert ruling.status == "refused" and "'ghost'" in ruling.reason
        assert "teleop, reset, script, agent" in ruling.reason

    def test_two_agents_are_held_and_both_named(self) -> None:
        cell = Cell()
        cell.act(sender="/agent")
        ruling = cell.act(sender="/agent_2")
        assert ruling.status == "held"
        assert cell.mode is Mode.HELD and cell.reason == "two agents: /agent and /agent_2"
        assert "two agents" in cell.supervisor.resume("Ada", cell.now_s)[1]
        for _ in range(12):
            cell.run(0.1)
            cell.act(sender="/agent")
        assert cell.supervisor.resume("Ada", cell.now_s)[0], "one of them is gone"
        assert cell.act(sender="/agent").status == "ok"

    def test_a_respawned_agent_under_another_name_is_not_a_second_one(self) -> None:
        cell = Cell()
        cell.act(sender="/agent_1")
        cell.act((), sender="/agent_1", rest=True)
        cell.run(WATCH.sender_memory_s + 0.1)
        assert cell.act(sender="/agent_7").status == "ok"

    def test_two_sources_from_one_node_are_no_quarrel(self) -> None:
        cell = Cell()
        cell.act(source="teleop", sender="/operator")
        cell.act((), source="teleop", sender="/operator", rest=True)
        assert cell.act(source="reset", sender="/operator").status in ("ok", "slowed")


class TestBadActions:
    @pytest.mark.parametrize(
        ("values", "status", "words"),
        [
            ([math.nan, 0, 0, 0], "not_finite", "finite"),
            ([0, math.inf, 0, 0], "not_finite", "finite"),
            ([0, 0, 0, -math.inf], "not_finite", "finite"),
            ([], "refused", "4 numbers, this one has 0"),
            ([0, 0, 0], "refused", "this one has 3"),
            ([0] * 5, "refused", "this one has 5"),
            ([[0, 0, 0, 0]], "refused", "4 numbers"),
            ([[1, 2], [3]], "refused", "4 numbers"),
            ("grip", "refused", "4 numbers"),
            (None, "refused", "4 numbers"),
        ],
    )
    def test_one_stands_the_arm_still_and_three_in_a_row_latch(self, values, status, words):
        cell = Cell()
        cell.act()
        cell.run(0.1)
        assert cell.act().status == "ok"
        for _ in range(2):
            measured_m = cell.p_m.copy()
            ruling = cell.act(values)
            assert ruling.status == status and words in ruling.reason
            assert not ruling.step_m.any() and np.isfinite(ruling.executed).all()
            assert cell.order.hold and np.array_equal(cell.order.command.p_BT_m, measured_m)
            assert cell.mode is Mode.READY
            cell.run(0.1)
        cell.act(values)
        assert cell.mode is Mode.HELD and "3 bad actions of agent in a row" in cell.reason
        assert words in cell.reason

    def test_a_good_one_in_between_starts_the_count_anew(self) -> None:
        cell = Cell()
        for _ in range(5):
            assert cell.act().status == "ok"
            assert not cell.order.hold
            cell.run(0.05)
            cell.act([math.nan] * 4)
            cell.act([math.nan] * 4)
            cell.run(0.05)
        assert cell.mode is Mode.READY

    def test_a_rest_in_between_does_too_and_ends_the_pause(self) -> None:
        cell = Cell()
        cell.act()
        for _ in range(5):
            cell.act([math.nan] * 4)
            cell.act([math.nan] * 4)
            assert cell.mode is Mode.READY
            cell.rest()
            assert not cell.order.hold

    def test_after_a_resume_the_count_starts_anew(self) -> None:
        cell = Cell()
        for _ in range(3):
            cell.act([math.nan] * 4)
        assert cell.mode is Mode.HELD and cell.supervisor.resume("Ada", cell.now_s)[0]
        cell.act([math.nan] * 4)
        assert cell.mode is Mode.READY

    def test_somebody_who_speaks_nonsense_is_not_silent(self) -> None:
        cell = Cell(GuardNodeSettings(max_bad_actions=100))
        cell.act()
        for _ in range(8):
            cell.run(0.1)
            cell.act([math.nan] * 4)
        assert cell.mode is Mode.READY and "finite" in cell.order.reason

    def test_while_nobody_moves_a_bad_one_does_not_move_the_target(self) -> None:
        cell = Cell()
        cell.obeys = False
        cell.p_m = cell.p_m + [0, 0, -0.01]
        cell.run(TICK_S)
        order = cell.order
        assert cell.act(age_s=1.0).status == "stale"
        assert cell.order == order and cell.supervisor.standing.source == ""

    @pytest.mark.parametrize(
        ("age_s", "status"),
        [
            (0.0, "ok"),
            (0.3, "ok"),
            (-0.019, "ok"),
            (0.302, "stale"),
            (-0.021, "stale"),
            (-5.0, "stale"),
            (1e9, "stale"),
            (math.nan, "stale"),
            (math.inf, "stale"),
            (-math.inf, "stale"),
        ],
    )
    def test_too_old_or_from_the_future_is_stale(self, age_s, status) -> None:
        assert Cell().act(age_s=age_s).status == status

    def test_a_stamp_that_goes_back_is_stale_for_its_own_source_only(self) -> None:
        cell = Cell()
        cell.act(age_s=0.0)
        assert cell.act(age_s=0.01).status == "stale"
        assert "went back by 0.010 s" in cell.act(age_s=0.01).reason
        assert cell.act(age_s=0.0).status == "ok", "the same observation may be acted on twice"
        assert cell.act(age_s=0.01, source="teleop").status != "stale"

    def test_huge_numbers_count_as_one_step(self) -> None:
        ruling = Cell().act([1e300, -1e300, 0, 1e300])
        assert ruling.status == "ok"
        assert ruling.step_m == pytest.approx([STEP_M, -STEP_M, 0])

    def test_a_flood_of_good_and_bad_cannot_walk_the_arm(self) -> None:
        """Standing still between two steps must not hand out the time for the next one."""
        cell = Cell()
        moved_m = 0.0
        for _ in range(500):
            cell.now_s += 0.001
            cell.stamp_s += 0.001
            cell.hear()
            moved_m += float(np.linalg.norm(cell.act([0, 1, 0, 0]).step_m))
            cell.p_m = cell.order.command.p_BT_m.copy()
            cell.act([math.nan] * 4)
            cell.act((), rest=True)
        assert moved_m <= cell.rig.guard.max_speed_m_s * (0.5 + 1.5 * cell.rig.period_s)

    def test_the_counts_tell_the_story(self) -> None:
        cell = Cell()
        cell.act()
        cell.act([math.nan] * 4)
        cell.act(source="ghost")
        standing = cell.supervisor.standing
        assert (standing.judged, standing.refused) == (3, 2)


class TestSettings:
    @pytest.mark.parametrize(
        "sources", [[], ["agent", "agent"], ["two words"], ["Agent"], ["a/b"], ["agent", ""]]
    )
    def test_sources_are_plain_names_and_each_once(self, sources) -> None:
        with pytest.raises(ConfigError, match="at least one source, each only once"):
            build(GuardNodeSettings, {"sources": sources}, "here")

    @pytest.mark.parametrize("key", ["rate_hz", "valid_s", "max_arm_silence_s", "max_lead_m"])
    def test_a_limit_of_nothing_is_refused(self, key) -> None:
        with pytest.raises(ConfigError, match=key):
            build(GuardNodeSettings, {key: 0.0}, "here")


class TestPulse:
    def test_it_starts_anew_when_stamps_go_back(self) -> None:
        pulse = Pulse("eye", 1.0)
        assert pulse.trouble(0.0) == "eye was never heard"
        pulse.beat(100.0, 0.0)
        assert pulse.trouble(1.0) == ""
        pulse.beat(3.0, 1.5)
        assert pulse.trouble(1.5) == "eye is silent for 1.50 s, allowed are 1.0 s"
        pulse.beat(3.1, 1.6)
        assert pulse.trouble(1.7) == ""

    def test_a_stamp_that_is_no_number_is_not_heard_and_spoils_nothing(self) -> None:
        pulse = Pulse("eye", 1.0)
        pulse.beat(math.nan, 0.0)
        assert "never" in pulse.trouble(0.0)
        pulse.beat(1.0, 0.0)
        assert pulse.trouble(0.0) == ""
