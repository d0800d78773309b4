"""Ctrl-C at a good moment: the first one asks, between two updates; the second insists."""

import signal
from types import FrameType, TracebackType
from typing import Any


class Stopped(Exception):
    """The person asked to stop (Ctrl-C or SIGTERM); ``code`` is the exit status to leave with."""

    def __init__(self, code: int = 130) -> None:
        super().__init__("stopped")
        self.code = code


class Interrupt:
    """While entered, SIGINT and SIGTERM only set ``asked``; a second one raises as usual.

    Raising in the middle of an optimiser step would leave half-updated weights to be saved; asking
    and looking at ``check()`` between steps leaves whole ones.
    """

    def __init__(self) -> None:
        self.asked: int | None = None
        self._before: dict[int, Any] = {}

    def check(self) -> None:
        """Raise ``Stopped`` when somebody asked."""
        if self.asked is not None:
            raise Stopped(128 + self.asked)

    def __enter__(self) -> "Interrupt":
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._ask)
        except ValueError:
            self._before.clear()  # Not the main thread (a test, a notebook): leave signals alone.
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked is not None:
            raise KeyboardInterrupt
        self.asked = number
