"""Noise that is a function of its number: no generator to keep, save or restore.

A counter goes through the finaliser of SplitMix64 (Steele, Lea and Flood, "Fast splittable
pseudorandom number generators", 2014), as counter-based generators do (Salmon et al., "Parallel
random numbers: as easy as 1, 2, 3", 2011). The noise of a picture or an encoder depends on the
episode, on whose it is and on the physics step alone: a moment that is restored, or read twice, has
the same noise to the last bit.
"""

import math

import numpy as np
from numba import njit, uint64
from numpy.typing import NDArray

_GOLDEN = uint64(0x9E3779B97F4A7C15)
_MIX_1 = uint64(0xBF58476D1CE4E5B9)
_MIX_2 = uint64(0x94D049BB133111EB)
_1, _8, _11, _16, _24, _27, _30, _31, _32 = (uint64(n) for n in (1, 8, 11, 16, 24, 27, 30, 31, 32))
_BYTE = uint64(0xFF)
#: Every other byte and pair of bytes, for sums within both halves of a number at once.
_BYTES, _PAIRS = uint64(0x00FF00FF00FF00FF), uint64(0x0000FFFF0000FFFF)
_BLOCK = 1024  # pixels
_MEAN = 4 * 127.5
#: Of the sum of four uniform bytes: variance (256^2 - 1) / 12 each.
_PER_SIGMA = 1.0 / math.sqrt(4.0 * (256.0**2 - 1.0) / 12.0)


def key(*parts: int) -> int:
    """A number of 63 bits for a seed and what its noise is for."""
    return int(
        np.random.SeedSequence([int(part) for part in parts]).generate_state(1, np.uint64)[0] >> 1
    )


@njit(cache=True, nogil=True)
def _mixed(z):  # type: ignore[no-untyped-def]
    z = (z ^ (z >> _30)) * _MIX_1
    z = (z ^ (z >> _27)) * _MIX_2
    return z ^ (z >> _31)


@njit(cache=True, nogil=True)
def _normal(z):  # type: ignore[no-untyped-def]
    """From the lower half of z: the sum of its four bytes (Irwin-Hall), scaled.

    Normal to within 0.01 of its distribution function, and never beyond 3.5 standard deviations.
    """
    total = (z & _BYTE) + ((z >> _8) & _BYTE) + ((z >> _16) & _BYTE) + ((z >> _24) & _BYTE)
    return (float(total) - _MEAN) * _PER_SIGMA


@njit(cache=True, nogil=True)
def _rank(start, i):  # type: ignore[no-untyped-def]
    return float(_mixed(uint64(start) + (uint64(i) + _1) * _GOLDEN) >> _11) * (
        1.0 / 9007199254740992.0
    )


@njit(cache=True, nogil=True)
def _stream(start, moment):  # type: ignore[no-untyped-def]
    return _mixed(uint64(start) + (uint64(moment) + _1) * _GOLDEN)


@njit(cache=True, nogil=True)
def _normals(start, moment, out):  # type: ignore[no-untyped-def]
    z = _stream(start, moment)
    for i in range(len(out)):
        z += _GOLDEN
        out[i] = _normal(_mixed(z))


@njit(cache=True, nogil=True)
def _expose(pixels, table, sigma, start, moment, out):  # type: ignore[no-untyped-def]
    """Stage by stage, each a loop that becomes vectors, over blocks that stay in the cache."""
    z = _stream(start, moment)
    sums, tones = np.empty(3 * _BLOCK // 2, np.uint64), np.empty((_BLOCK, 3))
    grain, flat = sums.view(np.uint32), tones.reshape(-1)
    for first in range(0, len(pixels), _BLOCK):
        block, to = pixels[first : first + _BLOCK], out[first : first + _BLOCK].reshape(-1)
        for k in range((len(to) + 1) // 2):  # two numbers from each mix: sums of four bytes
            z += _GOLDEN
            bits = _mixed(z)
            bits = (bits & _BYTES) + ((bits >> _8) & _BYTES)
            sums[k] = (bits & _PAIRS) + ((bits >> _16) & _PAIRS)
        for p in range(len(block)):
            for c in range(3):
                tones[p, c] = table[c, block[p, c]]
        for i in range(len(to)):
            value = flat[i] + sigma * ((float(grain[i]) - _MEAN) * _PER_SIGMA) + 0.5
            value = 0.0 if value < 0.0 else value
            to[i] = np.uint8(255.0 if value > 255.0 else value)


def rank(start: int, k: int) -> float:
    """Number ``k`` of a stream, uniform in [0, 1)."""
    return float(_rank(start, k))


def normals(start: int, moment: int, count: int) -> NDArray[np.float64]:
    """The (count,) standard normal numbers of a moment of a stream."""
    out = np.empty(count)
    _normals(start, moment, out)
    return out


def expose(
    pixels: NDArray[np.uint8], table: NDArray[np.float64], sigma: float, start: int, moment: int
) -> NDArray[np.uint8]:
    """Pixels (H, W, 3) uint8 through a curve (3, 256) for each channel, with noise; a new array.

    sigma: standard deviation in grey levels.
    """
    out = np.empty_like(pixels)
    _expose(pixels.reshape(-1, 3), table, sigma, start, moment, out.reshape(-1, 3))
    return out
