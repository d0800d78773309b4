"""Exploration noise with a memory: pink instead of white, so that an arm wanders and not trembles.

SAC draws each action's noise anew. On a body with inertia that averages out: the arm shakes on the
spot and does not meet what lies further away. Noise whose power falls as 1/f moves slowly and
quickly at once (Eberhard et al., "Pink Noise Is All You Need", ICLR 2023). Each draw by itself
stays standard normal, so the policy's distribution over single actions is untouched.
"""

import math

import numpy as np
from numpy.typing import NDArray

from handful.learn.settings import ExplorationSettings

TIMES = (1.0, 4.0, 16.0, 64.0)
"""Correlation times of the parts of pink noise [decisions]. Two octaves apart, their sum is within
a fifth of 1/f from 500 decisions a period to 2; slower than that it is flat."""


class Noise:
    """A stream of standard-normal vectors (A,), each like the ones before it.

    Pink is a sum of first-order autoregressive processes of equal weight, whose correlation times
    lie at equal ratios (the usual construction of 1/f noise).

    Args:
        settings: the colour. size: numbers a draw, A.
    """

    def __init__(self, settings: ExplorationSettings, size: int) -> None:
        self.white, self._size = settings.noise == "white", size
        self._keep = np.exp(-1.0 / np.array(TIMES))[:, None]
        self._parts: NDArray[np.float64] | None = None

    def restart(self) -> None:
        """Forget the past: the next draw is the first of an episode."""
        self._parts = None

    def draw(self, rng: np.random.Generator) -> NDArray[np.float32] | None:
        """The next vector (A,) float32; None for white, which the agent's own generator draws."""
        if self.white:
            return None
        fresh = rng.standard_normal((len(TIMES), self._size))
        if self._parts is None:
            self._parts = fresh  # stationary from the first draw on
        else:
            self._parts = self._keep * self._parts + np.sqrt(1.0 - self._keep**2) * fresh
        total: NDArray[np.float64] = self._parts.sum(0) / math.sqrt(len(TIMES))
        return total.astype(np.float32)
