"""How good a success classifier is: a frame at a time, and an episode at a time after holding.

The second is what counts: one false frame ends nothing, a claim that was held does. The rule by
which a threshold is chosen, on held-out episodes: the fewest that a held claim would end wrongly;
among those the fewest that would be missed; of the thresholds that are left the middle of the
longest run.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handful.learn.success import Bank
from handful.learn.success_settings import SuccessSettings
from handful.rig.reward import Hold

WRONG_COSTS = 5
"""Missed successes that one episode ended wrongly is worth: it teaches the wrong thing, a missed
one only wastes an episode; but a classifier that claims next to nothing teaches nothing either."""
RULE = (
    f"the least of {WRONG_COSTS} x held-out episodes ended wrongly by a held claim + episodes "
    "missed, then the fewest ended wrongly, then the middle of the longest run of thresholds"
)
THRESHOLDS = (0.001, 0.01, *(round(0.02 * k, 2) for k in range(1, 50)), 0.99, 0.999)


@dataclass(frozen=True)
class Row:
    """What one threshold does.

    Frames, where the labels say: true_frames (success seen as such), false_frames (none, but
    claimed), missed_frames (success, not claimed), right_frames (none, not claimed). Episodes,
    after holding: false_episodes: failures that a held claim would have called success; early: of
    the successes, those it would have ended before they were one; missed: successes it would not
    have ended.
    """

    threshold: float
    true_frames: int
    false_frames: int
    missed_frames: int
    right_frames: int
    successes: int
    failures: int
    false_episodes: int
    early: int
    missed: int

    @property
    def precision(self) -> float:
        """Of the frames that are claimed, the share that is success; 1 when none is."""
        return _share(self.true_frames, self.true_frames + self.false_frames, 1.0)

    @property
    def recall(self) -> float:
        """Of the frames that show success, the share that is claimed."""
        return _share(self.true_frames, self.true_frames + self.missed_frames, 0.0)

    @property
    def wrong(self) -> int:
        """Episodes that a held claim would have ended wrongly."""
        return self.false_episodes + self.early

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values, rates included."""
        return {
            **asdict(self),
            "precision": round(self.precision, 4),
            "recall": round(self.recall, 4),
            "frame_fp_rate": round(_share(self.false_frames, self._none, 0.0), 5),
            "frame_fn_rate": round(1.0 - self.recall, 5),
            "episode_fp_rate": round(_share(self.wrong, self.failures + self.successes, 0.0), 5),
            "episode_fn_rate": round(_share(self.missed, self.successes, 0.0), 5),
        }

    @property
    def _none(self) -> int:
        return self.false_frames + self.right_frames


def row(
    bank: Bank, scores: NDArray[np.float32], threshold: float, hold: Hold, lasts: int = 0
) -> Row:
    """One threshold on all frames of a bank; ``scores`` (N,); ``hold`` counts from it.

    lasts: a recording ends where success was held, and life would not: the last frame of a success
    is taken to last for so many steps more before it counts as missed.
    """
    claimed = scores >= threshold
    yes, no = bank.labels == 1, bank.labels == 0
    false = early = missed = 0
    there = np.unique(bank.episodes)
    for k in there:
        mine = bank.episodes == k
        more = np.repeat(scores[mine][-1:], lasts if bank.wins[k] else 0)
        at = first_held(np.concatenate([scores[mine], more]), hold)
        if not bank.wins[k]:
            false += at is not None
        elif at is None:
            missed += 1
        else:
            early += bool(bank.labels[mine][min(at, mine.sum() - 1)] == 0)
    won = sum(bank.wins[k] for k in there)
    return Row(
        threshold=threshold,
        true_frames=int((claimed & yes).sum()),
        false_frames=int((claimed & no).sum()),
        missed_frames=int((~claimed & yes).sum()),
        right_frames=int((~claimed & no).sum()),
        successes=won,
        failures=len(there) - won,
        false_episodes=false,
        early=early,
        missed=missed,
    )


def first_held(scores: NDArray[np.float32], hold: Hold) -> int | None:
    """The frame at which a held claim would have ended the episode; None: it would not."""
    held = 0
    for index, score in enumerate(scores[1:], start=1):  # the first frame is no step
        held = hold.after(held, float(score))
        if hold.done(held):
            return index
    return None


def at_threshold(
    bank: Bank, scores: NDArray[np.float32], threshold: float, s: SuccessSettings
) -> Row:
    """One threshold with the holding that these settings ask for."""
    hold = Hold(s.hold_steps, threshold, threshold * s.hysteresis)
    return row(bank, scores, threshold, hold, s.dead_steps)


def sweep(bank: Bank, scores: NDArray[np.float32], settings: SuccessSettings) -> list[Row]:
    """A row for every threshold, rising."""
    return [at_threshold(bank, scores, threshold, settings) for threshold in THRESHOLDS]


def choose(rows: list[Row]) -> Row:
    """The threshold by ``RULE``."""

    def cost(row: Row) -> tuple[int, int]:
        return WRONG_COSTS * row.wrong + row.missed, row.wrong

    best = min(map(cost, rows))
    runs: list[list[Row]] = [[]]
    for one in rows:
        if cost(one) == best:
            runs[-1].append(one)
        elif runs[-1]:
            runs.append([])
    longest = max(runs, key=len)
    return longest[(len(longest) - 1) // 2]


def _share(part: int, whole: int, empty: float) -> float:
    return part / whole if whole else empty
