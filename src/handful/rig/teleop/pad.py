"""Axes and buttons to a wish: any gamepad or SpaceMouse, however its numbers arrive."""

from collections.abc import Sequence

import numpy as np

from handful.rig.operator import Intent
from handful.rig.teleop.device import Deadman, Wish, beyond
from handful.rig.teleop.settings import PadSettings, Stick

_FINGER = 0.5  # of a trigger's way, from where it counts as pulled


class Pad:
    """One pad. Not a device: whoever hears axes and buttons hands them in."""

    def __init__(self, settings: PadSettings) -> None:
        self._settings, self._deadman = settings, Deadman()
        self._before: frozenset[int] | None = None
        self._grip: float | None = None
        self._closed = False

    def forget(self) -> None:
        """It was lost: what is down when it comes back was pressed nobody knows when."""
        self._deadman.forget()
        self._before, self._grip = None, None

    def state(self, axes: Sequence[float], buttons: Sequence[int | bool]) -> Wish:
        """The wish of this state.

        axes: raw, in the units of ``full_scale``; missing ones rest. buttons: 0 or 1 each. A press
        is counted from the state before; in a first state only stop counts.
        """
        s = self._settings
        down = frozenset(k for k, pressed in enumerate(buttons) if pressed)
        before, self._before = self._before, down
        fresh = frozenset() if before is None else down - before
        held = self._deadman.held(bool(down & set(s.deadman)))
        values = {stick: self._value(stick, axes) for stick in s.axes}
        move = np.array([values.get(k, 0.0) for k in (Stick.FORWARD, Stick.LEFT, Stick.UP)])
        self._take_grip(down, fresh, values, held)
        pressed = []
        for intent, wanted in s.intents.items():
            newly = down if before is None and intent is Intent.STOP else fresh
            if newly & set(wanted):
                pressed.append(intent)
        pressed.sort(key=lambda intent: intent is not Intent.STOP)
        return Wish(
            held=held,
            move=move,
            turn=values.get(Stick.TURN, 0.0),
            grip=self._grip if held else None,
            slow=bool(down & set(s.slow)),
            pressed=tuple(pressed),
        )

    def _value(self, stick: Stick, axes: Sequence[float]) -> float:
        axis = self._settings.axes[stick]
        raw = axes[axis.index] if axis.index < len(axes) else 0.0
        return beyond(axis.gain * raw / self._settings.full_scale, self._settings.deadzone)

    def _take_grip(
        self,
        down: frozenset[int],
        fresh: frozenset[int],
        values: dict[Stick, float],
        held: bool,
    ) -> None:
        """A grip once given stays until another is: a gripper is no stick."""
        s = self._settings
        if not held:
            self._grip = None
            return
        if down & set(s.open) or values.get(Stick.OPEN, 0.0) > _FINGER:
            self._grip, self._closed = 1.0, False
        elif down & set(s.close) or values.get(Stick.CLOSE, 0.0) > _FINGER:
            self._grip, self._closed = -1.0, True
        elif fresh & set(s.toggle):
            self._closed = not self._closed
            self._grip = -1.0 if self._closed else 1.0
