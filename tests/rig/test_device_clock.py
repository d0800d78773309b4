"""A device's clock mapped to ours: least delay, drift, jumps; by example and by property."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handful.rig.device_clock import DeviceClock

PERIOD_S = 1.0 / 30.0


def test_jitter_above_the_least_delay_is_taken_out() -> None:
    rng, clock = np.random.default_rng(0), DeviceClock()
    errors_s = []
    for n in range(300):
        captured_s = 1000.0 + n * PERIOD_S
        arrival_s = captured_s + 0.004 + rng.exponential(0.01)
        stamp_s = clock.to_cell_s(n * PERIOD_S, arrival_s)
        errors_s.append(stamp_s - captured_s)
    assert np.all(np.array(errors_s) < 0.013) and np.all(np.array(errors_s) >= 0.004 - 1e-6)
    assert np.std(errors_s) < 0.002, "jitter of 10 ms shows in the stamps"


@pytest.mark.parametrize("drift", [100e-6, -100e-6])
def test_drift_is_followed_both_ways(drift: float) -> None:
    clock = DeviceClock(window_s=5.0)
    for n in range(30 * 600):  # ten minutes, in which the clocks part by 60 ms
        captured_s = n * PERIOD_S
        stamp_s = clock.to_cell_s(captured_s * (1.0 + drift), captured_s + 0.005)
        assert captured_s + 0.005 - 0.001 <= stamp_s <= captured_s + 0.005
    assert clock.restarts == 0


@pytest.mark.parametrize("jump_s", [-4294.967296, 3600.0])
def test_a_device_clock_that_jumps_begins_anew(jump_s: float) -> None:
    clock = DeviceClock()
    for n in range(100):
        device_s = 5000.0 + n * PERIOD_S + (jump_s if n >= 50 else 0.0)
        stamp_s = clock.to_cell_s(device_s, n * PERIOD_S + 0.01)
        assert stamp_s == pytest.approx(n * PERIOD_S + 0.01, abs=1e-6)
    assert clock.restarts == 1


def test_a_cell_clock_that_goes_back_begins_anew() -> None:
    clock = DeviceClock()
    clock.to_cell_s(10.0, 500.0)
    assert clock.to_cell_s(10.1, 3.0) == 3.0
    assert clock.to_cell_s(10.2, 3.1) == pytest.approx(3.1)
    assert clock.restarts == 1


def test_one_picture_that_was_late_keeps_its_true_time() -> None:
    clock = DeviceClock()
    for n in range(10):
        clock.to_cell_s(n * PERIOD_S, 100.0 + n * PERIOD_S)
    assert clock.to_cell_s(1.0, 103.0) == pytest.approx(101.0)


@given(st.lists(st.tuples(st.floats(0.0, 1e4), st.floats(0.0, 1e4)), min_size=1, max_size=40))
def test_no_stamp_is_ever_ahead_of_its_arrival(pairs) -> None:
    clock = DeviceClock()
    for device_s, arrival_s in pairs:
        assert clock.to_cell_s(device_s, arrival_s) <= arrival_s
