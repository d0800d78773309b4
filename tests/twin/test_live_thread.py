"""The thread a live twin runs in: real time, orders from outside, slow machines, and its end."""

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from handful_twin.live import LiveTwin, Order, Report
from handful_twin.live_thread import LiveThread
from handful_twin.settings import LiveSettings, TwinSettings
from handful_twin.stage import Stage
from handful_twin.tasks import make_task

from handful.config import load
from handful.contract import Command, Frame
from handful.rig.settings import RigSettings


class Running:
    """A twin in its thread, and what came out of it."""

    def __init__(
        self, slow_s: float = 0.0, fail: Callable[[], None] | None = None, **settings: float
    ) -> None:
        stage = Stage(make_task("lift"), load(RigSettings, "rig"), load(TwinSettings, "twin"))
        self.things: list[Frame | Report] = []
        self.ticks: list[tuple[float, int]] = []
        self.errors: list[Exception] = []
        self.slow_s, self.fail, self.sequence = slow_s, fail, 0
        twin = LiveTwin(stage, LiveSettings(**settings))  # type: ignore[arg-type]
        self.thread = LiveThread(
            twin,
            self.deliver,
            lambda s: self.ticks.append((s, len(self.things))),
            self.errors.append,
        )

    def deliver(self, thing: Frame | Report) -> None:
        self.things.append(thing)
        time.sleep(self.slow_s)
        if self.fail is not None:
            self.fail()

    @property
    def reports(self) -> list[Report]:
        return [thing for thing in self.things if isinstance(thing, Report)]

    def order(self, y_m: float, valid_s: float = 0.2) -> None:
        self.sequence += 1
        decided_s = self.thread.cell_s(time.monotonic())
        goal = Command(np.array([0.5, y_m, 0.2]), 0.0, 0.08)
        self.thread.send(Order(self.sequence, decided_s, goal, False, valid_s))

    def __enter__(self) -> "Running":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.thread.stop()
        self.thread.stop()


def until(condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s, "it never happened"
        time.sleep(0.005)


@pytest.mark.parametrize("factor", [1.0, 4.0])
def test_the_cell_lives_at_the_pace_it_is_given(factor: float) -> None:
    with Running(real_time_factor=factor, camera_rate_hz=10.0) as running:
        time.sleep(0.2)
        from_s, begun_s = running.reports[-1].arm.stamp_s, time.monotonic()
        time.sleep(1.0)
        lived_s = running.reports[-1].arm.stamp_s - from_s
        passed_s = time.monotonic() - begun_s
        stamp_s = running.reports[-1].arm.stamp_s
        assert running.thread.wall_s(stamp_s) <= time.monotonic()
    if running.thread.slipped_s == 0.0:  # else the machine is busy, and it said so
        assert lived_s == pytest.approx(factor * passed_s, rel=0.15)
    stamps = [thing.stamp_s if isinstance(thing, Frame) else None for thing in running.things]
    assert len(running.reports) > 50 and any(stamps)


def test_the_clock_is_told_before_what_is_delivered_and_never_goes_back() -> None:
    with Running(clock_rate_hz=20.0) as running:
        until(lambda: len(running.things) > 60)
        running.thread.reset(5)
        count = len(running.things)
        until(lambda: len(running.things) > count + 20)
    times = np.array([tick[0] for tick in running.ticks])
    assert (np.diff(times) > 0.0).all()
    for k, thing in enumerate(running.things):
        stamp_s = thing.stamp_s if isinstance(thing, Frame) else thing.arm.stamp_s
        told = [s for s, count in running.ticks if count <= k]
        assert told and told[-1] >= stamp_s - 1e-9


def test_orders_come_in_from_any_thread_and_silence_holds_the_arm() -> None:
    with Running() as running:
        until(lambda: bool(running.reports))
        for _ in range(10):
            running.order(0.1)
            time.sleep(0.02)
        until(lambda: running.reports[-1].order == 10)
        assert not running.reports[-1].holding
        silent_s = time.monotonic()
        until(lambda: running.reports[-1].holding)
        assert time.monotonic() - silent_s < 0.35


def test_no_order_is_obeyed_before_it_came_in() -> None:
    """Between two reports nothing is due, and the twin has not yet lived until the order's time."""
    now_s, delay_s, obeyed_s = [0.0], 0.02, list[float]()
    stage = Stage(make_task("lift"), load(RigSettings, "rig"), load(TwinSettings, "twin"))
    twin = LiveTwin(
        stage, LiveSettings(state_rate_hz=5.0, camera_rate_hz=5.0, actuation_delay_s=delay_s)
    )
    send = stage.arm.send
    stage.arm.send = lambda goal: (obeyed_s.append(twin.now_s), send(goal))  # type: ignore
    thread = LiveThread(twin, lambda thing: None, now_s=lambda: now_s[0])
    goal = Command(np.array([0.5, 0.1, 0.2]), 0.0, 0.08)
    sent_s = []
    for k, gap_s in enumerate((0.13, 0.17, 0.11, 0.15), start=1):  # one is over a slice behind
        now_s[0] += gap_s
        sent_s.append(now_s[0])
        thread.send(Order(k, now_s[0], goal, False, 0.5))
        thread._once()
        now_s[0] += 0.03
        while thread.wall_s(thread._due_s()) <= now_s[0]:
            thread._once()
    twin.close()
    late_s = np.array(obeyed_s) - np.array(sent_s) - delay_s
    assert (np.abs(late_s) < 1.01 / 240.0).all(), late_s


def test_what_was_decided_before_a_reset_is_not_obeyed_however_late_it_comes() -> None:
    with Running() as running:
        until(lambda: bool(running.reports))
        for k in range(20):
            decided_s = running.thread.cell_s(time.monotonic())
            running.thread.reset(k)
            goal = Command(np.array([0.5, 0.2, 0.2]), 0.0, 0.08)
            running.thread.send(Order(k + 1, decided_s, goal, False, 0.2))
            time.sleep(0.03 + 0.001 * k)
        assert all(report.order == 0 for report in running.reports)


def test_resets_from_several_threads_are_all_answered() -> None:
    with Running() as running:
        until(lambda: bool(running.reports))
        answers: list[float] = []
        threads = [
            threading.Thread(target=lambda k=k: answers.append(running.thread.reset(k)))
            for k in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(5.0)
        assert len(set(answers)) == 4
        assert running.reports[-1].order == 0


def test_on_a_slow_machine_time_slips_instead_of_piling_up() -> None:
    with Running(slow_s=0.03) as running:
        time.sleep(1.5)
        newest = running.reports[-1].arm.stamp_s
        assert running.thread.slipped_s > 0.1
        assert time.monotonic() - running.thread.wall_s(newest) < 0.6
        running.thread.reset(1)


def test_its_end_is_told_and_a_dead_twin_refuses_a_scene() -> None:
    def fail() -> None:
        raise RuntimeError("the wire broke")

    with Running(fail=fail) as running:
        until(lambda: bool(running.errors))
        assert str(running.errors[0]) == "the wire broke"
        until(lambda: not running.thread._thread.is_alive())
        with pytest.raises(TimeoutError, match="not running"):
            running.thread.reset(1)


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert not [thread for thread in threading.enumerate() if thread.name == "twin"]
