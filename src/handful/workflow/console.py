"""Where words for people go: stdout, or stderr when stdout belongs to a machine (``--json -``)."""

import sys
from dataclasses import dataclass
from typing import Any

from handful.workflow.progress import Progress


@dataclass(frozen=True)
class Console:
    """The one door to the person at the keyboard."""

    json_on_stdout: bool = False
    quiet: bool = False

    def say(self, text: str) -> None:
        """A line for people."""
        if not self.quiet:
            print(text, file=sys.stderr if self.json_on_stdout else sys.stdout, flush=True)

    def progress(self, label: str, total: int, unit: str, initial: int = 0) -> Progress:
        """A progress bar on stderr."""
        return Progress(label, total, unit, initial=initial, quiet=self.quiet)

    def stages(self, label: str) -> "Stages":
        """A bar for work that says (done, total, metrics) by itself, such as pre-training."""
        return Stages(self, label)


class Stages:
    """A callback ``(done, total, metrics)`` that draws a bar, a new one when work restarts."""

    def __init__(self, console: Console, label: str) -> None:
        self._console, self._label = console, label
        self._bar: Progress | None = None
        self._done, self._total = 0, -1

    def __call__(self, done: int, total: int, metrics: dict[str, Any]) -> None:
        if self._bar is None or total != self._total or done < self._done:
            self.close()
            self._bar = self._console.progress(self._label, total, "updates")
        self._done, self._total = done, total
        text = ", ".join(f"{name} {value:.3g}" for name, value in list(metrics.items())[:3])
        self._bar.update(done, text)

    def close(self) -> None:
        """End the bar, if one was drawn."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def __enter__(self) -> "Stages":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
