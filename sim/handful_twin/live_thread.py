"""The one thread that owns a live twin, and ties the cell's time to the machine's clock.

It sleeps until something is due or an order comes, lets the twin catch up, and hands out what that
delivers. On a machine that is too slow the cell's time falls behind the wall's and is let go
(``slipped_s`` says how much): the cell then lives in slow motion, and nothing piles up.
"""

import threading
import time
from collections.abc import Callable

from handful.contract import Frame
from handful_twin.live import LiveTwin, Order, Report

_BEHIND_S = 0.25  # wall time the twin may be behind before that is given up
_TICK_S = 1e-6  # cell times nearer than this are one: they came about by different sums
_SLICE_S = 0.05  # cell time between two looks at what came in, when catching up


class LiveThread:
    """Runs a twin from ``start`` to ``stop``.

    Args:
        twin: is this thread's own from ``start`` on; nobody else calls it.
        deliver: called in the thread with every frame and report; must not block.
        tick: called in the thread with the cell's time [s], ``settings.clock_rate_hz`` times a
            second of it.
        failed: called in the thread, last of all, with the error that ended it.
        now_s: the machine's monotonic clock [s].
    """

    def __init__(
        self,
        twin: LiveTwin,
        deliver: Callable[[Frame | Report], None],
        tick: Callable[[float], None] | None = None,
        failed: Callable[[Exception], None] | None = None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._twin, self._deliver, self._tick, self._failed = twin, deliver, tick, failed
        self._now_s, self._factor = now_s, twin.settings.real_time_factor
        self._wake = threading.Condition()
        self._orders: list[tuple[Order, float]] = []
        self._wish: _Wish | None = None
        self._one_at_a_time = threading.Lock()
        self._stopping = False
        self._anchor_s = self._next_tick_s = 0.0
        self._told_s = -1.0
        self.slipped_s = 0.0
        self._thread = threading.Thread(target=self._run, name="twin", daemon=True)

    def start(self) -> None:
        """Begin to live, at the twin's present cell time."""
        self._anchor_s = self._now_s() - self._twin.now_s / self._factor
        self._thread.start()

    def stop(self) -> None:
        """End the thread and close the twin; twice is safe."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join()
        self._twin.close()

    def wall_s(self, cell_s: float) -> float:
        """The machine's monotonic time [s] of a cell time [s]."""
        return self._anchor_s + cell_s / self._factor

    def cell_s(self, wall_s: float) -> float:
        """The cell time [s] of a monotonic time [s] of the machine."""
        return (wall_s - self._anchor_s) * self._factor

    def send(self, order: Order) -> None:
        """Hand in an order; from any thread, at once."""
        with self._wake:
            self._orders.append((order, self._now_s()))
            self._wake.notify()

    def reset(self, seed: int, timeout_s: float = 5.0) -> float:
        """Have the scene of ``seed`` put up; from any thread but the twin's own.

        Returns the cell time [s] up to which orders are not obeyed any more.

        Raises:
            TimeoutError: not done within ``timeout_s``, or the thread is not running.
        """
        wish = _Wish(seed)
        with self._one_at_a_time:
            with self._wake:
                self._wish = wish
                self._wake.notify()
            if not self._thread.is_alive():
                raise TimeoutError("twin: no new scene, because it is not running (any more)")
            if not wish.done.wait(timeout_s):
                raise TimeoutError(f"twin: no new scene within {timeout_s} s; is it overloaded?")
        return wish.at_s

    def _run(self) -> None:
        try:
            while self._once():
                pass
        except Exception as error:  # handed on whole: a dead thread would be a silent arm
            if self._failed is None:
                raise
            self._failed(error)

    def _once(self) -> bool:
        with self._wake:
            rest_s = self.wall_s(self._due_s()) - self._now_s()
            if rest_s > 0.0 and not (self._orders or self._wish or self._stopping):
                self._wake.wait(rest_s)
            if self._stopping:
                return False
            orders, self._orders = self._orders, []
            wish, self._wish = self._wish, None
        for order, heard_s in orders:
            while self._catch_up(heard_s):  # or it would be obeyed before it came in
                pass
            self._twin.receive(order, heard_s)
        if wish is not None:
            # At the present of those who sent orders, not at the last thing the twin had to do.
            wish.at_s = self._twin.reset(wish.seed, self.cell_s(self._now_s()))
            wish.done.set()
        self._catch_up(self._now_s())
        return True

    def _due_s(self) -> float:
        """Cell time of the next thing to do."""
        due_s = self._twin.next_s()
        return due_s if self._tick is None else min(due_s, self._next_tick_s)

    def _catch_up(self, now_s: float) -> bool:
        """Live towards that time of the machine [s], a slice at most; whether more is left."""
        until_s = min(self.cell_s(now_s), self._twin.now_s + _SLICE_S)
        for thing in self._twin.advance(until_s, now_s):
            self._say_time(self._twin.now_s)  # first, or what is delivered would be of the future
            self._deliver(thing)
        if self._next_tick_s <= until_s:
            self._next_tick_s = max(self._next_tick_s, until_s - _SLICE_S)
            self._next_tick_s += 1.0 / self._twin.settings.clock_rate_hz
            self._say_time(until_s)
        behind_s = (self.cell_s(self._now_s()) - self._twin.now_s) / self._factor
        if behind_s > _BEHIND_S:
            self._anchor_s += behind_s
            self.slipped_s += behind_s
        return until_s < self.cell_s(now_s)

    def _say_time(self, cell_s: float) -> None:
        if self._tick is not None and cell_s > self._told_s + _TICK_S:
            self._told_s = cell_s
            self._tick(cell_s)


class _Wish:
    """A reset that somebody waits for."""

    def __init__(self, seed: int) -> None:
        self.seed, self.at_s, self.done = seed, 0.0, threading.Event()
