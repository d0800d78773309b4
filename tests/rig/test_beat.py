"""The beat that waits for pictures: the phase it finds, the rate it keeps, the beats it misses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handful.rig.beat import FrameBeat
from handful.rig.clock import Rate
from tests.fakes import FakeClock

FRAME_S, PERIOD_S, TRANSPORT_S = 1 / 30, 0.1, 0.003


class Streams:
    """Cameras with fixed phases on a clock that moves only when told."""

    def __init__(self, clock: FakeClock, *phases_s: float) -> None:
        self.clock, self.phases_s = clock, phases_s

    def newest_s(self, phase_s: float) -> float:
        shown_s = self.clock.now_s() - TRANSPORT_S - phase_s
        return phase_s + FRAME_S * ((shown_s + 1e-9) // FRAME_S)

    def oldest_s(self) -> float:
        return min(self.newest_s(p) for p in self.phases_s)

    def wait(self, timeout_s: float) -> None:
        now_s = self.clock.now_s()
        arrivals = [self.newest_s(p) + FRAME_S + TRANSPORT_S for p in self.phases_s]
        self.clock.sleep_until(min(now_s + timeout_s, *arrivals) + 1e-9)


def beat_of(clock: FakeClock, *phases_s: float) -> tuple[FrameBeat, Streams]:
    streams = Streams(clock, *phases_s)
    return FrameBeat(clock, PERIOD_S, streams, FRAME_S, FRAME_S / 2 + TRANSPORT_S + 1e-6), streams


@given(st.floats(0.0, FRAME_S), st.floats(0.0, FRAME_S), st.floats(0.0, PERIOD_S))
def test_the_older_of_two_free_cameras_is_at_most_half_a_frame_old(
    a_s: float, b_s: float, start_s: float
) -> None:
    clock = FakeClock(10.0 + start_s)
    beat, streams = beat_of(clock, a_s, b_s)
    looks, ages = [], []
    for _ in range(30):
        beat.sleep()
        looks.append(clock.now_s())
        ages.append(clock.now_s() - streams.oldest_s())
    assert max(ages) <= FRAME_S / 2 + TRANSPORT_S + 1e-5
    assert looks[-1] - looks[0] == pytest.approx(29 * PERIOD_S, abs=FRAME_S)
    assert beat.missed == 0


def test_a_camera_that_fell_silent_does_not_hold_the_beat_up() -> None:
    clock = FakeClock(0.0)
    beat, streams = beat_of(clock, 0.0)
    streams.oldest_s = lambda: float("-inf")  # type: ignore[method-assign]
    beat.sleep()
    assert clock.now_s() == pytest.approx(PERIOD_S + FRAME_S)
    beat.sleep()
    assert clock.now_s() == pytest.approx(2 * PERIOD_S + FRAME_S)


def test_late_beats_are_counted_and_skipped_ones_too() -> None:
    clock = FakeClock(0.0)
    beat, _ = beat_of(clock, 0.0)
    clock.sleep_until(PERIOD_S + FRAME_S + 0.005)
    beat.sleep()
    assert beat.missed == 0, "inside the tenth of a period that is nobody's fault"
    clock.sleep_until(clock.now_s() + 3.4 * PERIOD_S)
    beat.sleep()
    assert beat.missed == 3


def test_a_clock_that_goes_back_starts_a_new_beat() -> None:
    clock = FakeClock(1000.0)
    beat, _ = beat_of(clock, 0.0)
    rate = Rate(clock, PERIOD_S)
    beat.sleep()
    for wait in (beat, rate):
        clock.rewind(10.0)
        wait.sleep()
        assert clock.now_s() < 10.0 + PERIOD_S + FRAME_S + 1e-6
        assert wait.missed == 0
        clock.sleep_until(1000.0)


def test_a_window_that_is_no_window_is_refused() -> None:
    clock = FakeClock(0.0)
    with pytest.raises(ValueError, match="more pictures than there are ticks"):
        FrameBeat(clock, 0.1, Streams(clock, 0.0), 0.1, 0.02)
