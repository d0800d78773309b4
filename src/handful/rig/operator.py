"""What a person wants, from the keys and buttons they press: edges, repeats, silence, one line.

No terminal, no ROS: whoever has characters or button states hands them in with the time (the
machine's monotonic clock [s]) and does what comes out. ``docs/operator.md`` is for the person.
"""

from dataclasses import dataclass
from enum import Enum

from pydantic import Field, model_validator

from handful.config import Settings
from handful.rig.teleop.keynames import KeyNames


class Intent(Enum):
    """What can be wanted. The value is the key in ``config/node/operator.yaml``."""

    BEGIN = "begin"
    END = "end"
    SUCCESS = "success"
    FAILURE = "failure"
    REDO = "redo"
    STOP = "stop"
    HOLD = "hold"
    RESUME = "resume"
    HELP = "help"


MEANINGS = {
    Intent.BEGIN: "the scene is ready",
    Intent.END: "enough of this episode",
    Intent.SUCCESS: "that was it",
    Intent.FAILURE: "that went wrong",
    Intent.REDO: "throw this attempt away and do it again",
    Intent.STOP: "STOP",
    Intent.HOLD: "hold",
    Intent.RESUME: "let it move again",
    Intent.HELP: "this list",
}
NAMED_KEYS = {"space": " ", "esc": "\x1b", "enter": "\n", "tab": "\t", "backspace": "\x7f"}


class OperatorSettings(Settings):
    """Which key and which button means what; ``config/node/operator.yaml`` is the manual.

    keys: intent -> single characters, or names of ``NAMED_KEYS``. buttons: intent -> indices into
    ``Joy.buttons``. joy_silence_s: a gamepad heard once that is silent for so long holds the arm
    (0: it may be silent). repeat_s: the same key again within so long is the keyboard's doing.
    person: who resumes, for the guard's log.
    """

    keys: dict[Intent, tuple[str, ...]] = Field(
        default={
            Intent.BEGIN: ("b",),
            Intent.END: ("e",),
            Intent.SUCCESS: ("s",),
            Intent.FAILURE: ("f",),
            Intent.REDO: ("x",),
            Intent.STOP: ("space", "esc"),
            Intent.HOLD: ("h",),
            Intent.RESUME: ("r",),
            Intent.HELP: ("?",),
        }
    )
    buttons: dict[Intent, tuple[int, ...]] = Field(
        default={
            Intent.BEGIN: (7,),
            Intent.END: (6,),
            Intent.SUCCESS: (0,),
            Intent.FAILURE: (2,),
            Intent.STOP: (1, 4, 5),
            Intent.HOLD: (3,),
            Intent.RESUME: (8,),
            Intent.REDO: (9,),
        }
    )
    joy_silence_s: float = Field(default=0.0, ge=0.0)
    repeat_s: float = Field(default=0.4, ge=0.0, le=5.0)
    person: str = Field(default="operator", min_length=1)

    @model_validator(mode="after")
    def _every_press_means_one_thing(self) -> "OperatorSettings":
        _once("keys", [key.lower() for keys in self.keys.values() for key in keys])
        _once("buttons", [button for buttons in self.buttons.values() for button in buttons])
        for keys in self.keys.values():
            for key in keys:
                if len(key) != 1 and key not in NAMED_KEYS:
                    named = ", ".join(NAMED_KEYS)
                    raise ValueError(f"keys: {key!r} is no key; one character, or {named}")
        if not self.keys.get(Intent.STOP):
            raise ValueError("keys: stop needs a key; a person must be able to stop the arm")
        if any(button < 0 for buttons in self.buttons.values() for button in buttons):
            raise ValueError("buttons: indices count from 0")
        return self


class Keyboard:
    """Characters as a terminal sends them to intents."""

    def __init__(self, settings: OperatorSettings) -> None:
        self._repeat_s = settings.repeat_s
        self._meaning = {
            NAMED_KEYS.get(key, key.lower()): intent
            for intent, keys in settings.keys.items()
            for key in keys
        }
        self._last: tuple[str, float] = ("", 0.0)
        self._names = KeyNames()

    def press(self, characters: str, now_s: float) -> list[Intent]:
        """What these characters mean, in order.

        Letters count in either case. A key that is held down counts once, stop excepted. Arrow and
        function keys, which a terminal sends as an escape and more, mean nothing; a lone escape is
        a key, but only ``settle`` can know that it was alone.
        """
        return self.named(self._names.feed(characters, now_s), now_s)

    def settle(self, now_s: float) -> list[Intent]:
        """What an escape meant that nothing has followed; call it a few times a second."""
        return self.named(self._names.settle(now_s), now_s)

    def named(self, names: list[str], now_s: float) -> list[Intent]:
        """The same for keys that somebody has named already (``rig.teleop.keynames``)."""
        return [intent for name in names for intent in self._one(name, now_s)]

    def _one(self, key: str, now_s: float) -> list[Intent]:
        last, last_s = self._last
        self._last = (key, now_s)
        intent = self._meaning.get(key)
        if intent is None:
            return []
        held_down = key == last and now_s - last_s < self._repeat_s
        return [] if held_down and intent is not Intent.STOP else [intent]


class Buttons:
    """Button states of a gamepad to intents: at the press, not while it is held."""

    def __init__(self, settings: OperatorSettings) -> None:
        self._settings = settings
        self._before: tuple[bool, ...] | None = None
        self._heard_s: float | None = None
        self.count = 0

    def state(self, buttons: tuple[int, ...], now_s: float) -> list[Intent]:
        """What was pressed since the last state; ``buttons`` as in ``Joy.buttons``, 0 or 1.

        In the first state, and in the first one after a silence, a button that is down already was
        pressed nobody knows when: it means nothing, unless it means stop.
        """
        if self.silent(now_s):
            self._before = None
        now = tuple(bool(button) for button in buttons)
        before, self._before = self._before, now
        self._heard_s, self.count = now_s, len(now)
        found = []
        for intent, wanted in self._settings.buttons.items():
            down = [k for k in wanted if k < len(now) and now[k]]
            if before is None:
                fresh = bool(down) and intent is Intent.STOP
            else:
                fresh = any(k >= len(before) or not before[k] for k in down)
            if fresh:
                found.append(intent)
        return sorted(found, key=lambda intent: intent is not Intent.STOP)

    def silent(self, now_s: float) -> bool:
        """It was heard once, should speak all the time, and has not for too long."""
        limit_s = self._settings.joy_silence_s
        if limit_s == 0.0 or self._heard_s is None:
            return False
        return now_s - self._heard_s > limit_s

    @property
    def heard(self) -> bool:
        """There is or was a gamepad."""
        return self._heard_s is not None

    @property
    def missing(self) -> list[str]:
        """Configured buttons that this gamepad does not have, as ``intent: index``."""
        return [
            f"{intent.value}: {k}"
            for intent, wanted in self._settings.buttons.items()
            for k in wanted
            if self.heard and k >= self.count
        ]


@dataclass(frozen=True)
class Seen:
    """What the operator hears of the others, each a short text; empty: nothing heard yet."""

    guard: str = ""
    guard_silent_s: float = 0.0
    episode: str = ""
    agent: str = ""
    said: str = ""
    teleop: str = ""


def spoken(settings: OperatorSettings, word: str) -> Intent | None:
    """What a word means that somebody sends instead of pressing: an intent's or a key's name.

    Never the letters of a word one by one: "stop" has an s in it.
    """
    wanted = word if word == " " else word.strip().lower()
    for intent, keys in settings.keys.items():
        if wanted == intent.value or wanted in {k.lower() for k in keys}:
            return intent
        if wanted in {NAMED_KEYS[key] for key in keys if key in NAMED_KEYS}:
            return intent
    return None


def help_lines(settings: OperatorSettings) -> list[str]:
    """Every key and what it means, stop first."""
    order = sorted(settings.keys, key=lambda intent: intent is not Intent.STOP)
    lines = []
    for intent in order:
        keys = " or ".join(settings.keys[intent])
        lines.append(f"{keys:>16}  {intent.value:<8} {MEANINGS[intent]}")
    return lines


def status_line(seen: Seen, width: int = 200) -> str:
    """One line: the guard's mode and reason, the episode, the agent's note, what came of a key."""
    guard = seen.guard or "not heard"
    if seen.guard and seen.guard_silent_s > 2.5:
        guard = f"SILENT for {seen.guard_silent_s:.0f} s"
    parts = [f"guard {guard}"]
    parts += [f"{name} {text}" for name, text in _texts(seen) if text]
    line = " | ".join(parts + ([seen.said] if seen.said else []))
    return line if len(line) <= width else line[: width - 1] + "…"


def _texts(seen: Seen) -> tuple[tuple[str, str], ...]:
    return ("episode", seen.episode), ("agent", seen.agent), ("teleop", seen.teleop)


def _once(what: str, values: list[str] | list[int]) -> None:
    twice = sorted({str(value) for value in values if values.count(value) > 1})  # type: ignore[arg-type]
    if twice:
        raise ValueError(f"{what}: {twice[0]} means two things; give it one meaning")
