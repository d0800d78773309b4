"""What really was the case beside what a source of reward said, where somebody knows both.

In the twin the task's own rule, in a cell a detector that is not the source. It changes nothing:
it is noted, so that how often the source was wrong can be told.
"""

from collections.abc import Callable
from typing import Any

from handful.rig.episode import EpisodeTable
from handful.rig.reward import Hold


class Truth:
    """Counts one episode after another.

    hold: how long the truth must stand to be success. knows: whether it holds now; None: nobody can
    say.
    """

    def __init__(self, hold: Hold, knows: Callable[[], bool | None]) -> None:
        self._hold, self._knows = hold, knows
        self.begin()

    def begin(self, doubted: bool = False) -> None:
        """An episode begins; doubted: the source was in doubt of itself already."""
        self._held, self._success, self._known = 0, False, True
        self._false_frames = self._missed_frames = 0
        self._doubted = doubted

    def step(self, claimed: bool, table: EpisodeTable, doubt: bool) -> dict[str, Any]:
        """What a step's ``info`` says, after ``table`` has counted the step.

        ``true_at_goal``: the rule holds now; ``true_success``: it held when the episode ended in
        success, or long enough before. The last step's adds ``frames``; ``false_frames``, claimed
        without being true; ``missed_frames``, true without being claimed; and ``drift_began``:
        doubt came up in this episode. Nothing from a step on at which nobody knew.

        Args:
            claimed: the source claims now. doubt: it is in doubt of itself.
        """
        met = self._knows()
        self._known &= met is not None
        if met is None or not self._known:
            return {}
        self._held = self._hold.after(self._held, float(met))
        self._success |= self._hold.done(self._held) or (met and table.reward > 0.0)
        self._false_frames += claimed and not met
        self._missed_frames += met and not claimed
        info: dict[str, Any] = {"true_at_goal": met, "true_success": self._success}
        if table.last:
            info |= {
                "frames": table.step,
                "false_frames": self._false_frames,
                "missed_frames": self._missed_frames,
                "drift_began": doubt and not self._doubted,
            }
        return info
