"""Keys to a wish: held keys, wherever they come from, and the keyboard of a terminal.

A terminal tells when a key goes down and repeats it, never that it went up. So there every motion
key is its own deadman, and a short one: it counts as held for ``keys.hold_s`` after it was last
heard. A page in a browser knows better (``rig.teleop.page``).
"""

import time
from collections.abc import Callable, Collection, Sequence

import numpy as np

from handful.rig.operator import Intent, Keyboard, OperatorSettings
from handful.rig.teleop.device import DeviceError, Wish
from handful.rig.teleop.keynames import KeyNames
from handful.rig.teleop.settings import KeySettings, Motion
from handful.rig.terminal import Terminal

_AXES = {
    Motion.FORWARD: (0, 1.0),
    Motion.BACK: (0, -1.0),
    Motion.LEFT: (1, 1.0),
    Motion.RIGHT: (1, -1.0),
    Motion.UP: (2, 1.0),
    Motion.DOWN: (2, -1.0),
    Motion.TURN_LEFT: (3, 1.0),
    Motion.TURN_RIGHT: (3, -1.0),
}


class HeldKeys:
    """Which motion a set of keys means."""

    def __init__(self, settings: KeySettings) -> None:
        self._meaning = {key: motion for motion, keys in settings.motions.items() for key in keys}

    def motion(self, key: str) -> Motion | None:
        """What one key moves; None: nothing."""
        return self._meaning.get(key)

    def wish(
        self, motions: Collection[Motion], held: bool, pressed: tuple[Intent, ...] = ()
    ) -> Wish:
        """All of them at once; opposite ones cancel."""
        values = np.zeros(4)
        for motion in motions:
            if motion in _AXES:
                axis, sign = _AXES[motion]
                values[axis] += sign
        values = np.clip(values, -1.0, 1.0)
        grip = None
        if (Motion.OPEN in motions) != (Motion.CLOSE in motions):
            grip = 1.0 if Motion.OPEN in motions else -1.0
        return Wish(held, values[:3], float(values[3]), grip, pressed=pressed)


class TerminalKeyboard:
    """``Device`` over a person's terminal.

    Args:
        settings: which key moves what. operator: which key says what.
        terminal: whose keys; this process's own by default.
        now_s: a monotonic clock [s].
    """

    name = "keyboard"

    def __init__(
        self,
        settings: KeySettings,
        operator: OperatorSettings,
        terminal: Terminal | None = None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hold_s, self._keys = settings.hold_s, HeldKeys(settings)
        self._intents, self._names = Keyboard(operator), KeyNames()
        self._terminal, self._now_s = terminal, now_s
        self._down: dict[Motion, float] = {}
        self._open = False

    def open(self) -> None:
        """Keys one by one from now on.

        Raises:
            DeviceError: there is no terminal that talks to this process.
        """
        if self._terminal is None:
            try:
                self._terminal = Terminal()
            except (OSError, ValueError):
                raise DeviceError("keyboard: standard input is closed; use --device page") from None
        if not self._terminal.ours:
            raise DeviceError(
                "keyboard: standard input is no terminal that talks to this process; "
                "start it in the foreground of a terminal, or use --device page"
            )
        self._terminal.open()
        self._open = True

    def read(self) -> Wish:
        """What was typed since the last reading, and what is held of it."""
        if not self._open or self._terminal is None:
            raise DeviceError("keyboard: read before open")
        characters, now_s = self._terminal.read(0.0), self._now_s()
        if characters is None:
            self._down.clear()
            return Wish(note="keyboard: the terminal is gone, or another program has it")
        names = self._names.feed(characters, now_s) + self._names.settle(now_s)
        for name in names:
            motion = self._keys.motion(name)
            if motion is not None:
                self._down[motion] = now_s
        held = [m for m, since_s in self._down.items() if now_s - since_s < self._hold_s]
        pressed = tuple(self._intents.named(names, now_s))
        return self._keys.wish(held, bool(held), pressed)

    def tell(self, line: str, lines: Sequence[str] = ()) -> None:
        """Rewrite the terminal's status line; ``lines`` stay, above it."""
        if self._open and self._terminal is not None:
            if lines:
                self._terminal.say(list(lines))
            self._terminal.show(line)

    def close(self) -> None:
        """The terminal as it was."""
        if self._open and self._terminal is not None:
            self._terminal.close()
        self._open = False
        self._down.clear()
