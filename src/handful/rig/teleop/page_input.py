"""What a page says about a person's hands, checked and turned into a wish; no socket in here.

One message is a JSON object: ``keys`` (names of the keys that are down), ``typed`` (names that went
down since the message before), ``press`` (intents of the page's own buttons), ``pad`` (null, or
``axes`` and ``buttons`` numbered as Linux numbers them, axes in [-1, 1]), ``shown`` (number of the
picture drawn last), ``at_s`` (when the hands last did something, on the page's clock [s]).
"""

import json
import math
import threading
from collections import deque
from typing import Any

from handful.rig.operator import Intent, Keyboard, OperatorSettings
from handful.rig.teleop.device import Deadman, Wish
from handful.rig.teleop.keyboard import HeldKeys
from handful.rig.teleop.pad import Pad
from handful.rig.teleop.settings import TeleopSettings

_LOST = 4.0  # silences after which the deadman must be let go anew; a shorter gap was a hiccup
_MANY = 64  # keys, axes or buttons in one message; a person has ten fingers


class PageInput:
    """The newest state of one page's hands. Fed by one thread, read by another."""

    def __init__(self, settings: TeleopSettings, operator: OperatorSettings) -> None:
        self._settings = settings
        self._keys, self._intents = HeldKeys(settings.keys), Keyboard(operator)
        self._deadman = Deadman()
        scaled = settings.gamepad.model_copy(update={"full_scale": 1.0})
        self._pad = Pad(scaled)
        self._lock = threading.Lock()
        self._wish = Wish()
        self._pressed: deque[Intent] = deque(maxlen=_MANY)
        self.heard_s = -math.inf
        self.shown = 0
        self.event_s: float | None = None

    def take(self, text: str, now_s: float) -> None:
        """One message, which came at ``now_s`` (monotonic) [s].

        Raises:
            ValueError: it is not what this page would send; the message says what.
        """
        said = json.loads(text)
        if not isinstance(said, dict):
            raise ValueError("a message must be an object")
        down, typed = _names(said, "keys"), _names(said, "typed")
        pressed = [Intent(word) for word in _names(said, "press")]
        axes, buttons = _pad(said.get("pad"))
        shown, at_s = _number(said, "shown"), _number(said, "at_s")
        with self._lock:
            pressed += self._intents.named(typed, now_s)
            keys = self._by_keys(down)
            pad = self._pad.state(axes, buttons) if buttons else None
            if pad is None:
                self._pad.forget()
            else:
                pressed += pad.pressed
            self._wish = pad if pad is not None and pad.held else keys
            self._pressed += pressed
            self.heard_s, self.shown = now_s, int(shown)
            if at_s > 0.0:
                self.event_s = at_s

    def wish(self, now_s: float) -> Wish:
        """The wish now; a page that has fallen silent holds nothing."""
        with self._lock:
            pressed = tuple(self._pressed)
            self._pressed.clear()
            wish = self._wish
            silent_s, limit_s = now_s - self.heard_s, self._settings.max_silence_s
            silent = silent_s > limit_s
            if silent_s > _LOST * limit_s:
                self._deadman.forget()
                self._pad.forget()
                self._wish = Wish()
        if silent:
            return Wish(pressed=pressed, note="page: the page is silent (hidden, or the line is)")
        return Wish(wish.held, wish.move, wish.turn, wish.grip, wish.slow, pressed)

    def _by_keys(self, down: list[str]) -> Wish:
        names = self._settings.keys
        held = self._deadman.held(names.deadman in down)
        motions = [m for m in map(self._keys.motion, down) if m is not None]
        wish = self._keys.wish(motions, held)
        return Wish(held, wish.move, wish.turn, wish.grip if held else None, names.slow in down)


def _names(said: dict[str, Any], key: str) -> list[str]:
    values = said.get(key, [])
    if not isinstance(values, list) or len(values) > _MANY:
        raise ValueError(f"{key}: expected a short list")
    if not all(isinstance(value, str) and len(value) <= 16 for value in values):
        raise ValueError(f"{key}: expected short words")
    return values


def _number(said: dict[str, Any], key: str) -> float:
    value = said.get(key, 0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{key}: expected a finite number")
    return float(value)


def _pad(said: Any) -> tuple[list[float], list[int]]:
    if said is None:
        return [], []
    if not isinstance(said, dict):
        raise ValueError("pad: expected an object")
    lists = [said.get("axes", []), said.get("buttons", [])]
    for values in lists:
        if not isinstance(values, list) or len(values) > _MANY:
            raise ValueError("pad: expected short lists")
        if not all(isinstance(v, int | float) and math.isfinite(v) for v in values):
            raise ValueError("pad: expected finite numbers")
    return [float(v) for v in lists[0]], [int(v > 0.5) for v in lists[1]]
