"""An episode as a table: which phase may follow which, when success counts, and what it is worth.

"Over" and "out of time" are two words here: success and fault make the future worth nothing
(discount 0), a time limit does not (discount 1), and all three are the last step. So is a failure
that a person has called one, and its future is worth nothing either.
"""

from enum import Enum

from handful.rig.reward import Hold


class Phase(Enum):
    """Where an episode stands."""

    IDLE = "idle"
    RESETTING = "resetting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    TIMED_OUT = "timed_out"
    FAILED = "failed"
    FAULTED = "faulted"


NEXT: dict[Phase, frozenset[Phase]] = {
    Phase.IDLE: frozenset({Phase.RESETTING, Phase.FAULTED}),
    Phase.RESETTING: frozenset({Phase.RUNNING, Phase.IDLE, Phase.FAULTED}),
    Phase.RUNNING: frozenset(
        {
            Phase.SUCCEEDED,
            Phase.TIMED_OUT,
            Phase.FAILED,
            Phase.FAULTED,
            Phase.RESETTING,
            Phase.IDLE,
        }
    ),
    Phase.SUCCEEDED: frozenset({Phase.RESETTING, Phase.IDLE, Phase.FAULTED}),
    Phase.TIMED_OUT: frozenset({Phase.RESETTING, Phase.IDLE, Phase.FAULTED}),
    Phase.FAILED: frozenset({Phase.RESETTING, Phase.IDLE, Phase.FAULTED}),
    Phase.FAULTED: frozenset({Phase.IDLE}),
}
"""The legal transitions. A fault is left only for IDLE, by someone who has looked at it."""

OVER = frozenset({Phase.SUCCEEDED, Phase.TIMED_OUT, Phase.FAILED, Phase.FAULTED})
"""The phases in which the last step of an episode has been taken."""


class EpisodeError(RuntimeError):
    """A transition the table does not have; the message names both phases and the legal ones."""


class EpisodeTable:
    """Walks one episode after another through the table.

    ``reset``, ``start``, then ``advance`` once a step until ``last``. Success must be seen on
    ``hold_steps`` steps in a row (or as a ``Hold`` says); reached on the very last step it still
    wins over the time limit.
    """

    def __init__(self, horizon: int, hold_steps: int | Hold) -> None:
        steps = hold_steps.steps if isinstance(hold_steps, Hold) else hold_steps
        if not 1 <= steps <= horizon:
            raise ValueError(f"hold_steps must be between 1 and the horizon {horizon}, got {steps}")
        self.horizon = horizon
        self._hold = hold_steps if isinstance(hold_steps, Hold) else Hold(steps)
        self.phase, self.step, self.held, self.fault_reason = Phase.IDLE, 0, 0, ""

    @property
    def last(self) -> bool:
        """The episode is over, for whatever reason."""
        return self.phase in OVER

    @property
    def reward(self) -> float:
        """1.0 on the step that succeeds, 0.0 on every other."""
        return 1.0 if self.phase is Phase.SUCCEEDED else 0.0

    @property
    def discount(self) -> float:
        """0.0 when the future is worth nothing (success, failure, fault), otherwise 1.0."""
        return 0.0 if self.phase in (Phase.SUCCEEDED, Phase.FAILED, Phase.FAULTED) else 1.0

    def reset(self) -> None:
        """The scene is being put back; also how a running episode is given up."""
        self._go(Phase.RESETTING)
        self.step = self.held = 0

    def start(self) -> None:
        """The scene is ready and the first observation is taken."""
        self._go(Phase.RUNNING)

    def claims(self, score: float) -> bool:
        """Whether a step with this score would count as at the goal, held or not."""
        return self._hold.claims(self._hold.after(self.held, score))

    def advance(self, score: float) -> Phase:
        """Count one step, at the end of which the success rule held, or how surely it did."""
        if self.phase is not Phase.RUNNING:
            raise EpisodeError(f"advance needs a running episode, this one is {self.phase.value}")
        self.step += 1
        self.held = self._hold.after(self.held, float(score))
        if self._hold.done(self.held):
            self._go(Phase.SUCCEEDED)
        elif self.step >= self.horizon:
            self._go(Phase.TIMED_OUT)
        return self.phase

    def end(self, phase: Phase) -> Phase:
        """Count one step that somebody has declared the last: succeeded, failed or timed out."""
        if self.phase is not Phase.RUNNING:
            raise EpisodeError(f"end needs a running episode, this one is {self.phase.value}")
        self.step += 1
        self._go(phase)
        return self.phase

    def fault(self, reason: str) -> None:
        """Something failed that the policy is not to blame for; twice is safe, the first counts."""
        if self.phase is not Phase.FAULTED:
            self._go(Phase.FAULTED)
            self.fault_reason = reason

    def idle(self) -> None:
        """Back to rest; the only way out of a fault."""
        self._go(Phase.IDLE)
        self.fault_reason = ""

    def _go(self, phase: Phase) -> None:
        if phase not in NEXT[self.phase]:
            legal = ", ".join(sorted(p.value for p in NEXT[self.phase]))
            raise EpisodeError(
                f"an episode that is {self.phase.value} cannot become {phase.value}; "
                f"it can become: {legal}"
            )
        self.phase = phase
