"""Time for the control loop: the wall, or a clock that moves only when told (twin and tests)."""

import time
from typing import Protocol


class Clock(Protocol):
    """A monotonic source of seconds that can also wait."""

    def now_s(self) -> float:
        """Seconds since an arbitrary fixed moment."""
        ...

    def sleep_until(self, stamp_s: float) -> None:
        """Return when ``now_s() >= stamp_s``; at once when that has passed."""
        ...


class Beat(Protocol):
    """When the loop looks: at fixed times, or when the next pictures are in (``rig.beat``)."""

    missed: int

    def restart(self) -> None:
        """Begin a new beat now."""
        ...

    def sleep(self) -> None:
        """Wait for the next beat; those that were missed are counted."""
        ...


class WallClock:
    """The machine's monotonic clock."""

    def now_s(self) -> float:
        """``time.monotonic()`` [s]."""
        return time.monotonic()

    def sleep_until(self, stamp_s: float) -> None:
        """Sleep the rest of the time, if any is left."""
        rest_s = stamp_s - time.monotonic()
        if rest_s > 0.0:
            time.sleep(rest_s)


class Rate:
    """A fixed beat on any clock, which counts the beats it missed instead of hiding them."""

    def __init__(self, clock: Clock, period_s: float) -> None:
        if not period_s > 0.0:
            raise ValueError(f"period_s must be above 0, got {period_s}")
        self._clock, self._period_s = clock, period_s
        self.missed = 0
        self.restart()

    def restart(self) -> None:
        """Begin a new beat now."""
        self._next_s = self._clock.now_s() + self._period_s

    def sleep(self) -> None:
        """Wait for the next beat.

        When it has passed already, every whole period skipped counts as missed, and the beat caught
        late counts when it is late by more than a tenth of a period.
        """
        late_s = self._clock.now_s() - self._next_s
        if late_s < -2.0 * self._period_s:  # the clock went back: that beat is years away now
            self.restart()
        if late_s > 0.0:
            skipped = int(late_s / self._period_s)
            self._next_s += skipped * self._period_s
            late_s -= skipped * self._period_s
            self.missed += skipped + (1 if late_s > 0.1 * self._period_s else 0)
        self._clock.sleep_until(self._next_s)
        self._next_s += self._period_s
