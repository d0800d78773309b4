"""Who says that the goal is met: one door for all of them, and one way of holding what they say.

Frames and state -> source -> claim -> held N steps -> the episode ends -> reward. A source looks
once a step and says how sure it is; only ``Hold`` makes success of it, so that no single picture,
however convincing, ever ends an episode.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from handful.contract import ArmState, Observation


class RewardError(ValueError):
    """A source of reward that cannot be used here; the message says why and what would do."""


@dataclass(frozen=True)
class Claim:
    """What a source says about one step.

    score: how sure it is that the goal is met now, in [0, 1]. why: what is missing, for people.
    """

    score: float
    why: str = ""


@dataclass(frozen=True)
class Hold:
    """How long a claim must stand before it counts: the one counter of success there is.

    steps: in a row. A count begins at a score of ``on`` and goes on while the score is at least
    ``off``; below that it is back at nought. The state is the count itself, so that it can be kept,
    copied and put back by whoever owns it.
    """

    steps: int
    on: float = 0.5
    off: float = 0.5

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise RewardError(f"a claim must be held for 1 step or more, got {self.steps}")
        if not 0.0 < self.off <= self.on <= 1.0:
            raise RewardError(
                f"a claim rises at {self.on} and falls below {self.off}; "
                "needed is 0 < off <= on <= 1"
            )

    def after(self, held: int, score: float) -> int:
        """The count after one more step with ``score``; a score that is no number counts as 0."""
        return held + 1 if score >= (self.off if held else self.on) else 0

    def done(self, held: int) -> bool:
        """Whether a count is success."""
        return held >= self.steps

    def claims(self, held: int) -> bool:
        """Whether a count says that the goal is met at this moment, held or not."""
        return held > 0


class RewardSource(Protocol):
    """Judges steps. ``name`` says who it is, on diagnostics and in every log."""

    @property
    def name(self) -> str: ...

    def begin(self) -> None:
        """An episode begins."""
        ...

    def look(self, observation: Observation, arm: ArmState) -> Claim:
        """What it says of the step that led to ``observation``, with the arm as it is now."""
        ...

    def warning(self) -> str:
        """Why it should not be trusted now, in words; empty: nothing known against it."""
        ...

    def facts(self) -> dict[str, str]:
        """Its newest numbers in words, for diagnostics."""
        ...


class Quiet:
    """What sources without memory, doubts and numbers have in common."""

    def begin(self) -> None:
        """Nothing is remembered."""

    def warning(self) -> str:
        """Never in doubt."""
        return ""

    def facts(self) -> dict[str, str]:
        """No numbers."""
        return {}


class Told(Quiet):
    """Somebody knows and is asked: the twin's truth, or a detector behind ``judge/at_goal``."""

    def __init__(self, name: str, met: Callable[[], bool]) -> None:
        self.name, self._met = name, met

    def look(self, observation: Observation, arm: ArmState) -> Claim:
        """All or nothing."""
        return Claim(1.0) if self._met() else Claim(0.0, "not at the goal")


class People(Quiet):
    """Only people: nothing is claimed, an episode succeeds when somebody presses success.

    The button counts beside every other source as well (``rig.cell.Said``); it is not held, because
    whoever pressed it has looked.
    """

    name = "operator"

    def look(self, observation: Observation, arm: ArmState) -> Claim:
        """Nothing."""
        return Claim(0.0, "a person says so")


class Scored:
    """A source from a function of the observation: a learned classifier, whatever learned it.

    Args:
        score: observation -> (score, distance from what is usual). alarm: that distance -> whether
            pictures no longer look as they should; empty of meaning where there is none.
    """

    def __init__(
        self,
        name: str,
        score: Callable[[Observation], tuple[float, float]],
        alarm: Callable[[float], bool] = lambda distance: False,
    ) -> None:
        self.name, self._score, self._alarm = name, score, alarm
        self.score, self.distance, self.drifted = 0.0, 0.0, False

    def begin(self) -> None:
        """Drift does not end with an episode."""

    def look(self, observation: Observation, arm: ArmState) -> Claim:
        """The score; none at all where it is not a number."""
        score, self.distance = self._score(observation)
        self.score = score if math.isfinite(score) else 0.0
        self.drifted = self._alarm(self.distance)
        return Claim(self.score, "not convinced")

    def warning(self) -> str:
        """Says so when pictures drift."""
        if not self.drifted:
            return ""
        return (
            "the pictures no longer look like those the classifier was trained on "
            f"(distance {self.distance:.1f}); look at lamps and cameras, or record and train again"
        )

    def facts(self) -> dict[str, str]:
        """Score and distance."""
        return {"score": f"{self.score:.3f}", "drift_distance": f"{self.distance:.2f}"}


def judged_by(source: RewardSource, claim: Claim) -> dict[str, float | str | bool]:
    """What a step's info says about who judged it."""
    return {"judge": source.name, "score": round(claim.score, 4), "drift": bool(source.warning())}


def hold_steps(steps: int | None, seconds: float | None, rate_hz: float, usual: int) -> int:
    """Steps to hold from a number of steps or of seconds, whichever is given; else ``usual``."""
    if steps is not None:
        return steps
    return usual if seconds is None else max(1, math.ceil(seconds * rate_hz - 1e-9))
