"""How alike two pictures are, once light is out of it: SSIM, and what moved in both.

Structural similarity is that of Wang et al. (2004), equations 13: an 11 x 11 Gaussian window of
sigma 1.5, K1 = 0.01, K2 = 0.03, on grey levels, averaged. Exposure is matched before, by the gain
and offset that fit best, because a brighter lamp is no error of the twin's.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Array = NDArray[np.float64]

_C1, _C2 = (0.01 * 255.0) ** 2, (0.03 * 255.0) ** 2
_CHANGED = 24.0  # grey levels in one colour by which a pixel must differ from the still picture
_LEAST_SHARE = 0.003  # of the pixels: where less has moved there is nothing to compare


def exposure_matched(pixels: Pixels, to: Pixels) -> Pixels:
    """``pixels`` (H, W, 3) with the gain and offset per colour that bring it nearest to ``to``."""
    a, b = pixels.reshape(-1, 3).astype(np.float64), to.reshape(-1, 3).astype(np.float64)
    centred = a - a.mean(axis=0)
    spread = (centred**2).sum(axis=0)
    gain = np.where(spread > 0, (centred * (b - b.mean(axis=0))).sum(axis=0), 1.0)
    gain = np.clip(gain / np.where(spread > 0, spread, 1.0), 0.2, 5.0)  # never a negative picture
    matched = gain * centred + b.mean(axis=0)
    return np.clip(np.rint(matched), 0, 255).astype(np.uint8).reshape(pixels.shape)


def ssim(one: Pixels, two: Pixels) -> float:
    """Structural similarity of two pictures (H, W, 3): 1 when equal, about 0 when unrelated."""
    a, b = (cv2.cvtColor(p, cv2.COLOR_RGB2GRAY).astype(np.float64) for p in (one, two))

    def mean(x: Array) -> Array:
        return np.asarray(cv2.GaussianBlur(x, (11, 11), 1.5), np.float64)

    mean_a, mean_b = mean(a), mean(b)
    var_a, var_b = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2
    both = mean(a * b) - mean_a * mean_b
    alike = (2 * mean_a * mean_b + _C1) * (2 * both + _C2)
    unlike = (mean_a**2 + mean_b**2 + _C1) * (var_a + var_b + _C2)
    return float((alike / unlike).mean())


def still(pictures: list[Pixels]) -> Pixels:
    """What a standing camera sees with nothing in the way: the median over time, (H, W, 3)."""
    return np.median(np.stack(pictures), axis=0).astype(np.uint8)


def moved(pixels: Pixels, background: Pixels) -> NDArray[np.bool_]:
    """(H, W): where a picture differs from the still one; arm and things in motion, and shadows."""
    apart = np.abs(pixels.astype(np.float64) - background).max(axis=2)
    return np.asarray(apart > _CHANGED, bool)


def overlap(one: NDArray[np.bool_], two: NDArray[np.bool_]) -> float | None:
    """Intersection over union of two masks; None where hardly anything moved in either."""
    union = int((one | two).sum())
    if union < _LEAST_SHARE * one.size:
        return None
    return float((one & two).sum() / union)
