"""A beat that waits for pictures: look when they have just come in, not when a timer rings.

A loop that looks at fixed times acts on pictures that are on average half a frame period old, and
with several cameras on the oldest of them. Waiting at most one frame period for a good moment costs
nothing: the phase is then the same at every beat, the period between two actions stays the
period, and the picture that is acted on is as fresh as the cameras' phases allow.
"""

from typing import Protocol

from handful.rig.clock import Clock


class Arrivals(Protocol):
    """What the cameras have delivered so far."""

    def oldest_s(self) -> float:
        """Stamp of the oldest of the cameras' newest pictures [s]; ``-inf`` while one lacks."""
        ...

    def wait(self, timeout_s: float) -> None:
        """Return when a picture comes in, or after ``timeout_s`` (wall clock)."""
        ...


class FrameBeat:
    """A fixed beat whose every tick is put off, by less than ``window_s``, until pictures are new.

    Args:
        clock: the cell's. period_s: of the control loop. arrivals: of all its cameras.
        window_s: longest wait for a better moment, one frame period of the cameras [s].
        good_age_s: an oldest picture no older than this is not waited for any longer [s]. Two
            cameras without a common trigger have a moment in every frame period at which the older
            picture is at most half a period old, so half a period and the transport is enough.
    """

    def __init__(
        self,
        clock: Clock,
        period_s: float,
        arrivals: Arrivals,
        window_s: float,
        good_age_s: float,
    ) -> None:
        if not 0.0 < window_s < period_s:
            raise ValueError(
                f"window_s must be above 0 and below the period {period_s} s, got {window_s}: "
                "cameras must deliver more pictures than there are ticks"
            )
        self._clock, self._period_s, self._arrivals = clock, period_s, arrivals
        self._window_s, self._good_age_s = window_s, good_age_s
        self.missed = 0
        self.restart()

    def restart(self) -> None:
        """Begin a new beat now."""
        self._next_s = self._clock.now_s() + self._period_s

    def sleep(self) -> None:
        """Wait for the next beat and then for its pictures.

        A beat counts as missed when it begins later than its window plus a tenth of a period;
        whole periods that were skipped count each.
        """
        late_s = self._clock.now_s() - self._next_s
        if late_s < -2.0 * self._period_s:  # the clock went back: that beat is years away now
            self.restart()
            late_s = -self._period_s
        if late_s > self._window_s:
            skipped = int(late_s / self._period_s)
            self._next_s += skipped * self._period_s
            late_s -= skipped * self._period_s
            allowed_s = self._window_s + 0.1 * self._period_s
            self.missed += skipped + (1 if late_s > allowed_s else 0)
        self._clock.sleep_until(self._next_s)
        while True:
            now_s = self._clock.now_s()
            rest_s = self._next_s + self._window_s - now_s
            if rest_s <= 0.0 or now_s - self._arrivals.oldest_s() <= self._good_age_s:
                break
            self._arrivals.wait(rest_s)
        self._next_s += self._period_s
