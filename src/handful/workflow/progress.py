"""The progress bar: success, speed and time left on one line; plain lines where no terminal is."""

import sys
import time
from collections import deque
from types import TracebackType
from typing import TextIO

WINDOW = 20
"""Episodes in the rolling success rate."""


def duration(seconds: float) -> str:
    """``75 -> "1:15"``, ``3700 -> "1:01:40"``; ``"?"`` from a hundred hours on, and for no number.

    While the eye learns on no step is taken; what is left over next to nothing is no time.
    """
    if not 0 <= seconds < 360_000:
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def rate(per_second: float) -> str:
    """Three significant digits, never an exponent: ``"187"``, ``"41.3"``, ``"0.52"``."""
    if per_second >= 100:
        return f"{per_second:,.0f}"
    return f"{per_second:.1f}" if per_second >= 10 else f"{per_second:.2f}"


class Speed:
    """Events per second over the last few seconds, from a counter that is sampled now and then."""

    def __init__(self, window_s: float = 10.0) -> None:
        self._window_s = window_s
        self._points: deque[tuple[float, float]] = deque()

    def add(self, count: float, now_s: float) -> None:
        """Tell that the counter stands at ``count`` at ``now_s``."""
        self._points.append((now_s, count))
        while len(self._points) > 2 and self._points[1][0] < now_s - self._window_s:
            self._points.popleft()

    def per_second(self) -> float:
        """Mean rate over the window; 0 until there are two points."""
        if len(self._points) < 2:
            return 0.0
        (t0, n0), (t1, n1) = self._points[0], self._points[-1]
        return (n1 - n0) / (t1 - t0) if t1 > t0 else 0.0


class Progress:
    """A bar over ``total`` units of work, with a free text at its end.

    On a terminal it is a tqdm bar redrawn at most five times a second; in a log file or a pipe it
    is one plain line every ``plain_every_s`` seconds and one at the end. Cheap to call every step.
    """

    def __init__(
        self,
        label: str,
        total: int,
        unit: str = "steps",
        *,
        initial: int = 0,
        stream: TextIO | None = None,
        quiet: bool = False,
        plain_every_s: float = 10.0,
    ) -> None:
        self._stream = stream or sys.stderr
        self._label, self._total, self._unit = label, total, unit
        self._done, self._text = initial, ""
        self._quiet, self._plain_every_s = quiet, plain_every_s
        self._next_s = 0.0
        self._printed = ""
        self._bar = None
        if not quiet and self._stream.isatty():
            from tqdm import tqdm

            self._bar = tqdm(
                total=total,
                initial=initial,
                desc=label,
                file=self._stream,
                dynamic_ncols=True,
                mininterval=0.2,
                bar_format="{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} "
                + unit
                + "{postfix}",
            )

    def update(self, done: int, text: str = "") -> None:
        """Move to ``done`` units (absolute) and show ``text`` behind the bar."""
        now_s = time.monotonic()
        step, self._done, self._text = done - self._done, done, text
        if self._bar is not None:
            if step < 0:
                self._bar.n = done
            if now_s >= self._next_s or done >= self._total:
                self._bar.set_postfix_str(text, refresh=False)
                self._next_s = now_s + 0.2
            self._bar.update(max(step, 0))
        elif not self._quiet and now_s >= self._next_s:
            self._print_line()
            self._next_s = now_s + self._plain_every_s

    def wants_text(self) -> bool:
        """Whether a text given now would be shown: lets the caller skip making one every step."""
        return not self._quiet and time.monotonic() >= self._next_s

    def note(self, message: str) -> None:
        """Print a line above the bar."""
        if self._bar is not None:
            self._bar.write(message, file=self._stream)
        elif not self._quiet:
            print(message, file=self._stream, flush=True)

    def close(self) -> None:
        """Draw the last state and end the line; safe to call twice."""
        if self._bar is not None:
            self._bar.set_postfix_str(self._text, refresh=True)
            self._bar.close()
            self._bar = None
        elif not self._quiet:
            self._print_line()
        self._quiet = True

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _print_line(self) -> None:
        text = f", {self._text}" if self._text else ""
        line = f"{self._label}: {self._done:,}/{self._total:,} {self._unit}{text}"
        if line != self._printed:
            print(line, file=self._stream, flush=True)
        self._printed = line


def training_text(
    successes: list[bool], env_steps_per_s: float, updates_per_s: float, left_s: float
) -> str:
    """``success 17/20 | 41.3 steps/s | 165 updates/s | 3:12 left``."""
    recent = successes[-WINDOW:]
    share = f"success {sum(recent)}/{len(recent)}" if recent else "success -"
    return (
        f"{share} | {rate(env_steps_per_s)} steps/s | {rate(updates_per_s)} updates/s | "
        f"{duration(left_s)} left"
    )
