"""The beat: kept on time, and counted when missed."""

import time

import pytest
from fakes import FakeClock

from handful.rig.clock import Rate, WallClock


def test_an_early_loop_waits_for_the_beat_without_drift() -> None:
    clock = FakeClock(0.0)
    rate = Rate(clock, 0.1)
    for beat in range(1, 101):
        clock.advance(0.03)
        rate.sleep()
        assert clock.now_s() == pytest.approx(0.1 * beat)
    assert rate.missed == 0


@pytest.mark.parametrize(
    ("work_s", "missed"),
    [(0.1, 0), (0.105, 0), (0.12, 1), (0.19, 1), (0.25, 2), (1.0, 9), (1.05, 10)],
)
def test_a_late_beat_is_counted_by_formula(work_s, missed) -> None:
    """Whole periods that passed, and one more when the rest is above a tenth of a period."""
    clock = FakeClock(0.0)
    rate = Rate(clock, 0.1)
    clock.advance(work_s)
    rate.sleep()
    assert rate.missed == missed


def test_after_a_pause_it_finds_the_old_beat_again_without_a_burst() -> None:
    clock = FakeClock(0.0)
    rate = Rate(clock, 0.1)
    clock.advance(0.57)
    rate.sleep()
    assert clock.now_s() == pytest.approx(0.57), "already late: no more waiting"
    rate.sleep()
    assert clock.now_s() == pytest.approx(0.6), "and on the beat it began with"


def test_a_restart_forgets_lateness_but_not_the_count() -> None:
    clock = FakeClock(0.0)
    rate = Rate(clock, 0.1)
    clock.advance(0.35)
    rate.sleep()
    missed = rate.missed
    clock.advance(5.0)
    rate.restart()
    clock.advance(0.01)
    rate.sleep()
    assert clock.now_s() == pytest.approx(5.45)
    assert rate.missed == missed > 0


@pytest.mark.parametrize("period_s", [0.0, -1.0, float("nan")])
def test_a_beat_needs_a_period(period_s) -> None:
    with pytest.raises(ValueError, match="period_s must be above 0"):
        Rate(FakeClock(), period_s)


def test_the_wall_clock_sleeps_until_and_not_when_it_has_passed() -> None:
    clock = WallClock()
    start_s = time.monotonic()
    clock.sleep_until(clock.now_s() + 0.02)
    assert time.monotonic() - start_s >= 0.02
    start_s = time.monotonic()
    clock.sleep_until(start_s - 100.0)
    assert time.monotonic() - start_s < 0.5
