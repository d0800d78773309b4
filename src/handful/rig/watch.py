"""What the guard's process listens for, how long it waits, and who may move the arm.

Every limit here is about *time*; how far and how fast is in ``rig.settings.GuardSettings``.
``config/node/guard.yaml`` repeats every key with its unit and reason.
"""

import math

from pydantic import Field, field_validator

from handful.config import Settings


class GuardNodeSettings(Settings):
    """Watchdogs [s], authority and the command stream of the guard's process."""

    rate_hz: float = Field(default=50.0, ge=10.0, le=1000.0)
    valid_s: float = Field(default=0.15, gt=0.0)
    sources: tuple[str, ...] = ("teleop", "reset", "script", "agent")
    max_action_silence_s: float = Field(default=0.15, gt=0.0)
    forgive_silence_s: float = Field(default=0.3, ge=0.0)
    max_arm_silence_s: float = Field(default=0.1, gt=0.0)
    max_camera_silence_s: float = Field(default=0.25, ge=0.0)
    max_clock_slip_s: float = Field(default=0.02, ge=0.0)
    max_bad_actions: int = Field(default=3, ge=1)
    max_lead_m: float = Field(default=0.16, gt=0.0)
    sender_memory_s: float = Field(default=1.0, gt=0.0)
    time_scale: float = Field(default=1.0, gt=0.0, le=100.0)
    start_ready: bool = False

    @field_validator("sources")
    @classmethod
    def _plain_names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        plain = all(name.isidentifier() and name == name.lower() for name in names)
        if not names or len(set(names)) != len(names) or not plain:
            raise ValueError(
                "name at least one source, each only once, in small letters, digits and _ "
                "(a source becomes a topic)"
            )
        return names


class Pulse:
    """Whether one stream is alive: messages keep coming, and their stamps keep rising.

    A stamp that stands still is a sender that repeats itself, and counts as silence. One that goes
    back does not count either, but the next is measured against it: a clock may start anew.
    """

    def __init__(self, name: str, limit_s: float) -> None:
        self.name, self._limit_s = name, limit_s
        self._heard_s = self._stamp_s = -math.inf

    def beat(self, stamp_s: float, now_s: float) -> None:
        """A message with this stamp (the cell's clock) came at ``now_s`` (monotonic) [s]."""
        if not math.isfinite(stamp_s):
            return
        if stamp_s > self._stamp_s:
            self._heard_s = now_s
        self._stamp_s = stamp_s

    def trouble(self, now_s: float) -> str:
        """What is wrong with it now, as a sentence; empty when it is alive."""
        if self._heard_s == -math.inf:
            return f"{self.name} was never heard"
        silent_s = now_s - self._heard_s
        if silent_s <= self._limit_s:
            return ""
        return f"{self.name} is silent for {silent_s:.2f} s, allowed are {self._limit_s} s"


class Senders:
    """Who spoke for which source lately; two at once are a mistake somebody must look at."""

    def __init__(self, memory_s: float) -> None:
        self._memory_s = memory_s
        self._heard_s: dict[str, dict[str, float]] = {}

    def heard(self, source: str, sender: str, now_s: float) -> None:
        """``sender`` spoke for ``source`` at ``now_s``."""
        self._heard_s.setdefault(source, {})[sender] = now_s

    def quarrel(self, now_s: float) -> str:
        """The first source with two senders, both named; empty when there is none."""
        for source, heard_s in self._heard_s.items():
            if len(heard_s) < 2:
                continue
            for sender in [s for s, at_s in heard_s.items() if now_s - at_s > self._memory_s]:
                del heard_s[sender]
            if len(heard_s) > 1:
                return f"two {source}s: {' and '.join(sorted(heard_s))}"
        return ""
