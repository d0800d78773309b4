"""The running guard under a simulated clock: it stands still, jumps back, runs at half speed."""

import threading
import time
from collections.abc import Iterator

import pytest
from graph import NO_ROS, Graph

pytest.importorskip("handful.msg", reason=NO_ROS)

from guard_kit_ros import Bench
from rosgraph_msgs.msg import Clock

from handful.msg import Action, GuardState, Verdict
from handful.srv import Resume
from handful.wire.stamps import stamp


class Time:
    """Ticks ``/clock`` a hundred times a second from a thread of its own."""

    def __init__(self, ros: Graph) -> None:
        self.now_s, self.rate, self.ended = 100.0, 1.0, False
        self._clock = ros.talk("/clock", Clock)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        last_s = time.monotonic()
        while not self.ended:
            now_s = time.monotonic()
            self.now_s, last_s = self.now_s + self.rate * (now_s - last_s), now_s
            self._clock.say(Clock(stamp(self.now_s)))
            time.sleep(0.01)

    def end(self) -> None:
        self.ended = True
        self._thread.join()


@pytest.fixture(scope="module")
def clock(ros: Graph) -> Iterator[Time]:
    ros.set_param("/use_sim_time", True)
    clock = Time(ros)
    yield clock
    clock.end()


@pytest.fixture(scope="module")
def guard(ros: Graph, clock: Time) -> Bench:
    return Bench(ros, start_ready=True)


def test_ages_are_counted_on_the_simulated_clock(guard: Bench, clock: Time) -> None:
    guard.ready()
    action = Action(values=[0.5, 0, 0, 0])
    action.header.stamp = stamp(clock.now_s - 0.05)
    verdict = guard.judge(action)
    assert verdict.status == Verdict.OK, verdict.reason
    assert verdict.header.stamp.to_sec() == pytest.approx(clock.now_s, abs=1.0)
    action.header.stamp = stamp(time.time())
    assert guard.judge(action).status in (Verdict.STALE, Verdict.HELD)


def test_a_clock_that_jumps_back_holds_until_somebody_has_looked(guard: Bench, clock: Time):
    guard.ready()
    guard.moving()
    clock.now_s -= 50.0
    state = guard.until(lambda s: s.mode == GuardState.HELD, "the jump to be noticed")
    assert state.reason == "the clock jumped back"
    guard.ready()
    guard.moving()


def test_a_clock_that_stands_still_does_not_stop_the_watchdogs(guard: Bench, clock: Time) -> None:
    guard.ready()
    guard.moving()
    clock.rate = 0.0
    guard.commands.forget()
    state = guard.until(lambda s: s.mode == GuardState.HELD, "silence to be noticed")
    assert "silent" in state.reason, "stamps stand still, so nothing new is heard"
    assert len(guard.commands.wait(40)) >= 40, "and the stream goes on"
    assert not guard.ros.call("guard/resume", Resume, "Ada").success
    clock.rate = 1.0
    guard.ready()


def test_at_half_speed_silence_is_counted_in_the_cell_s_seconds(ros: Graph, clock: Time) -> None:
    """The very sender that would fall silent for a guard at full speed is in time for this one."""
    clock.rate = 0.5
    slow = Bench(ros, start_ready=True, time_scale=0.5)
    slow.ready()
    slow.act(rate_hz=5.0)
    slow.until(lambda s: s.source == "agent")
    time.sleep(1.0)
    assert slow.state.mode == GuardState.READY and slow.state.source == "agent"
    slow.actions["agent"].hush()
    assert slow.until(lambda s: s.mode == GuardState.HELD).reason == "agent fell silent"
