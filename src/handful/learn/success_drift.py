"""How far pictures are from those a classifier was trained on, and when that is too far.

The distance is Mahalanobis' with a covariance that is shrunk towards its diagonal, divided by the
root of the number of dimensions, so that it is about 1 for what is usual. Held-out pictures say
what is usual; one odd picture is none of anybody's business, a window full of them is.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
_SHRINK = 0.2


@dataclass(frozen=True)
class Usual:
    """What is usual: mean (D,), whiten (D, D), limit: a distance beyond it is unusual."""

    mean: Floats
    whiten: Floats
    limit: float = np.inf

    @classmethod
    def of(cls, seen: Floats) -> "Usual":
        """From vectors (N, D) of training pictures; ``limit`` is still to be calibrated."""
        mean = seen.mean(axis=0, dtype=np.float64)
        centred = seen - mean
        covariance = centred.T @ centred / max(1, len(seen) - 1)
        spread = np.diag(covariance)
        floor = 1e-2 * float(spread.mean()) + 1e-9
        diagonal = np.diag(np.maximum(spread, floor))
        shrunk = (1.0 - _SHRINK) * covariance + _SHRINK * diagonal
        values, vectors = np.linalg.eigh(shrunk)
        whiten = vectors / np.sqrt(np.maximum(values, 1e-9))
        return cls(mean.astype(np.float32), whiten.astype(np.float32))

    def distance(self, seen: Floats) -> Floats:
        """Of vectors (N, D): (N,), about 1 for what is usual."""
        white = (seen - self.mean) @ self.whiten
        return np.sqrt(np.mean(white**2, axis=1))

    def calibrated(self, held_out: Floats, quantile: float, margin: float) -> "Usual":
        """With the limit that only a share of held-out vectors (N, D) passes, times a margin."""
        limit = float(np.quantile(self.distance(held_out), quantile)) * margin
        return Usual(self.mean, self.whiten, limit)


class DriftAlarm:
    """Looks at the last ``window`` distances; an alarm when more than ``share`` are unusual."""

    def __init__(self, limit: float, window: int, share: float) -> None:
        self.limit, self.window, self.share = limit, window, share
        self._unusual: deque[bool] = deque(maxlen=window)

    def add(self, distance: float) -> bool:
        """One step's distance; whether there is an alarm now."""
        self._unusual.append(not distance <= self.limit)  # NaN is unusual too
        return self.on

    @property
    def unusual_share(self) -> float:
        """Share of the window that is unusual; 0 until half of a window was seen."""
        if 2 * len(self._unusual) < self.window:
            return 0.0
        return sum(self._unusual) / len(self._unusual)

    @property
    def on(self) -> bool:
        """Whether the pictures no longer look like the training ones."""
        return self.unusual_share > self.share
