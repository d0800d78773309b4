"""Pictures that only the contrast looks at: unlabelled play, failures, whoever acted.

A memory of its own beside the replay: nothing in it is ever cloned, sampled for the critic or
counted as a demonstration. It is dropped when pre-training ends.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from handful.contract import Observation, Spec, Transition
from handful.learn.encoder import Pictures
from handful.learn.pretrain import Views
from handful.learn.replay import ReplayBuffer
from handful.learn.store import Store

if TYPE_CHECKING:  # the learner hands its gallery's pictures on
    from handful.learn.learner import Learner


class Gallery:
    """Every observation of some episodes, to be drawn in two random views each."""

    def __init__(self, spec: Spec, steps: Iterable[int], setting: str = "--sessions") -> None:
        """Reserve memory.

        Args:
            spec: shapes of what is added. steps: of each episode that will be.
            setting: what an error tells the reader to lower.
        Raises:
            ReplayTooLarge: the pictures do not fit in memory.
        """
        slots = max(sum(count + spec.frame_stack for count in steps), spec.frame_stack + 2)
        self.store = Store(spec, (slots,), setting)
        self._buffer = ReplayBuffer(spec, slots, store=self.store)
        # Slots of observations; the older frames of a first stack are none.
        self._moments: list[int] = []
        self._cursor = 0

    def __len__(self) -> int:
        """Observations that can be drawn."""
        return len(self._moments)

    def begin(self, observation: Observation) -> None:
        """The first observation of an episode."""
        self._buffer.begin(observation)
        self._note()

    def add(self, transition: Transition) -> None:
        """What happened next."""
        self._buffer.add(transition)
        self._note()

    def draw(
        self, count: int, rng: np.random.Generator, positive_offset: int = 0, repeats: bool = True
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Two stacks (count, K) each: moments, and the same ones or some steps later.

        repeats: a moment may be drawn twice.
        """
        slots = rng.choice(np.array(self._moments, np.int64), count, replace=repeats)
        later = slots
        if positive_offset:
            later = self.store.later(slots, int(rng.integers(positive_offset + 1)))
        return self.store.stack(slots), self.store.stack(later)

    def views(self, learner: "Learner", count: int, repeats: bool = True) -> Views:
        """``count`` moments in two views each; none of them is cloned."""
        offset = learner.settings.pretrain.positive_offset
        frames, later = self.draw(count, learner.rng, offset, repeats)
        spec, device = self.store.spec, learner.device
        return Views(
            query=learner.pictures(frames, "gallery", store=self.store),
            key=learner.pictures(later, "gallery positive", store=self.store),
            state=torch.zeros((0, spec.state_dim), device=device),
            action=torch.zeros((0, spec.action_dim), device=device),
        )

    def _note(self) -> None:
        """The newest slot is an observation; it is big enough for all, so none is overwritten."""
        fresh, self._cursor = self._buffer.new_frames_since(self._cursor)
        self._moments.append(int(fresh[-1]))


def joined(first: Views, second: Views) -> Views:
    """One batch of both; what is cloned comes first, so ``second`` must clone nothing."""
    return Views(
        query=_cat(first.query, second.query),
        key=_cat(first.key, second.key),
        state=first.state,
        action=first.action,
    )


def _cat(first: Pictures, second: Pictures) -> Pictures:
    return {name: torch.cat([first[name], second[name]]) for name in first}
