"""How late the arm moves and how late its pictures are, from motions that all three show.

The arm makes small steps, then follows a smooth, unrepetitive path of a few centimetres. What was
commanded, what the encoders say and what the pictures show are laid over each other:

    command     dead time from a step's command to the arm: where the straight early part of the
                response, 8 to 50 % of the step, meets zero (the tangent of Kuepfmueller). Steps
                fall at all phases of the encoders' rate, so together they are finely sampled
    response    what follows the dead time: from there to 63 % of the step
    follow      the shift at which the path lies on its commands: all of it together
    picture     the shift at which the encoders explain the pictures best. Against the moments the
                pictures came in it is their age, against their stamps the stamps' error

Every repetition is fitted alone; the interval is Student's t over the repetitions, 95 %.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handful.workflow.errors import RunError
from handful.workflow.latency import STEP_EVERY_S, STEPS, Motion

Array = NDArray[np.float64]

_T_975 = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26)  # of 1, 2, ... degrees of freedom
_PATTERNS = 6  # principal components of their changes
_RIDGE = 1.0e-3
_STEP_S = 0.002  # of the grid on which lags are searched
_REACH_S = (-0.05, 0.6)  # lags that are searched
_LEAST_EARLY = 5
_STILL_M = 0.002  # a path the encoders do not show is none


@dataclass(frozen=True)
class Interval:
    """A mean over repetitions with its 95 % interval [s], and the repetitions themselves."""

    mean_s: float
    low_s: float
    high_s: float
    each_s: tuple[float, ...]


@dataclass(frozen=True)
class Latency:
    """command: dead time. response: rise after it. follow: how far a smooth motion lags behind on
    the whole. age, stamp_error: of each camera's pictures."""

    command: Interval
    response: Interval
    follow: Interval
    age: dict[str, Interval]
    stamp_error: dict[str, Interval]

    def numbers(self) -> dict[str, Any]:
        """The same for JSON [s]."""

        def one(value: Interval) -> dict[str, Any]:
            return {**vars(value), "each_s": list(value.each_s)}

        return {
            "command": one(self.command),
            "response": one(self.response),
            "follow": one(self.follow),
            "age": {name: one(value) for name, value in self.age.items()},
            "stamp_error": {name: one(value) for name, value in self.stamp_error.items()},
        }


def estimate(motions: list[Motion]) -> Latency:
    """The delays that explain these recordings.

    Raises:
        RunError: fewer than two repetitions, an arm that did not move, or pictures that do not
            show how; the message names the camera.
    """
    if len(motions) < 2:
        raise RunError("a latency with an interval needs at least two repetitions")
    lags = [step_lag(motion) for motion in motions]
    age: dict[str, list[float]] = {}
    error: dict[str, list[float]] = {}
    for motion in motions:
        for name, (stamps_s, arrivals_s, pictures) in motion.frames.items():
            try:
                age.setdefault(name, []).append(picture_lag(motion.measured, arrivals_s, pictures))
                error.setdefault(name, []).append(picture_lag(motion.measured, stamps_s, pictures))
            except RunError as trouble:
                raise RunError(f"camera {name!r}, does it see the arm? {trouble}") from None
    return Latency(
        _interval([dead for dead, _ in lags]),
        _interval([rise for _, rise in lags]),
        _interval([shift(motion) for motion in motions]),
        {name: _interval(values) for name, values in age.items()},
        {name: _interval(values) for name, values in error.items()},
    )


def step_lag(motion: Motion) -> tuple[float, float]:
    """Dead time and rise [s] from the steps' commands to the encoders; see the top."""
    _check_moved(motion)
    late, risen = [], []
    for k in range(1, STEPS):
        before, goal = motion.sent[k - 1], motion.sent[k]
        step = goal[1:] - before[1:]
        rows = motion.measured
        rows = rows[(rows[:, 0] >= goal[0]) & (rows[:, 0] < goal[0] + 0.9 * STEP_EVERY_S)]
        late.append(rows[:, 0] - goal[0])
        risen.append((rows[:, 1:] - before[1:]) @ step / (step @ step))
    t_s, share = np.concatenate(late), np.concatenate(risen)
    order = np.argsort(t_s)
    t_s, share = t_s[order], share[order]
    arrived = share > 0.85
    if not arrived.any():
        raise RunError(
            f"the arm came less than 85 % of a step's way within {STEP_EVERY_S:.1f} s; it is too "
            "soft or too slow for this measurement, or the step was refused"
        )
    early = t_s < t_s[arrived].min()
    for top in (0.5, 0.7, 0.9):  # a stiff arm passes the early part between two readings
        part = early & (share > 0.08) & (share < top)
        if int(part.sum()) >= _LEAST_EARLY:
            break
    if int(part.sum()) >= _LEAST_EARLY and np.ptp(share[part]) > 0.1:
        slope, dead_s = np.polyfit(share[part], t_s[part], 1)
    else:  # it jumps: between the last reading before and the first after
        dead_s = 0.5 * (t_s[share < 0.5][t_s[share < 0.5] < t_s[arrived].min()].max(initial=0.0))
        dead_s += 0.5 * t_s[arrived].min()
    rise_s = float(
        np.interp(0.632, share[: int(np.argmax(arrived)) + 1], t_s[: int(np.argmax(arrived)) + 1])
    )
    return float(dead_s), max(0.0, rise_s - float(dead_s))


def shift(motion: Motion) -> float:
    """By how much the encoders lag behind the path's commands, as if only time lay between [s].

    Commands are joined by straight lines: held until the next, and read at the same rate, every lag
    within a beat would fit alike. What holding them costs, half a beat, is therefore in the answer.
    """
    sent = motion.sent[STEPS:]
    rows = motion.measured
    rows = rows[(rows[:, 0] > sent[0, 0] + _REACH_S[1]) & (rows[:, 0] < sent[-1, 0])]
    lags_s = np.arange(_REACH_S[0], _REACH_S[1], _STEP_S)
    misses = np.empty(len(lags_s))
    for k, lag_s in enumerate(lags_s):
        left = rows[:, 1:] - _at(sent, rows[:, 0] - lag_s)
        misses[k] = ((left - left.mean(axis=0)) ** 2).sum()
    return _valley(lags_s, misses)


def picture_lag(measured: Array, stamps_s: Array, pictures: NDArray[np.uint8]) -> float:
    """How old the pictures (K, s, s, 3) are at ``stamps_s`` (K,), by the encoders' (N, 4) path [s].

    Where the tip was is regressed on the first principal components of the pictures (ridge): a
    camera that watches the arm and one that rides on it serve alike, and nothing has to be known
    of either. The lag at which that leaves least over is theirs, each axis with an unknown noise of
    its own (the likelihood's logarithm), so that what no picture shows does not weigh.
    """
    if len(pictures) < 3 * _PATTERNS:
        raise RunError(
            f"{len(pictures)} pictures are too few for a latency; is the camera running?"
        )
    flat = pictures.reshape(len(pictures), -1).astype(np.float64)
    flat -= flat.mean(axis=0)
    U, size, _ = np.linalg.svd(flat, full_matrices=False)
    scores = U[:, :_PATTERNS] * size[:_PATTERNS] / max(float(size[0]), 1e-9)
    scores = np.column_stack([scores, scores[:, :2] ** 2, scores[:, 0] * scores[:, 1]])
    design = np.column_stack([scores, np.ones(len(scores))])
    hat = design @ np.linalg.solve(design.T @ design + _RIDGE * np.eye(design.shape[1]), design.T)
    lags_s = np.arange(_REACH_S[0], _REACH_S[1], _STEP_S)
    misses = np.empty(len(lags_s))
    for k, lag_s in enumerate(lags_s):
        tip = _at(measured, stamps_s - lag_s)
        tip -= tip.mean(axis=0)
        left = tip - hat @ tip
        shares = (left**2).sum(axis=0) / np.maximum((tip**2).sum(axis=0), 1e-12)
        misses[k] = np.log(np.maximum(shares, 1e-9)).sum()
    return _valley(lags_s, misses)


def _valley(lags_s: Array, misses: Array) -> float:
    """Where a sampled curve is least, by a parabola through its lowest sample and neighbours."""
    k = int(np.argmin(misses))
    if k in (0, len(misses) - 1):
        raise RunError(
            f"no lag between {lags_s[0]:.2f} and {lags_s[-1]:.2f} s explains the recording; are "
            "all stamps on one clock?"
        )
    before, here, after = misses[k - 1 : k + 2]
    return float(lags_s[k] + 0.5 * _STEP_S * (before - after) / (before - 2.0 * here + after))


def _at(rows: Array, at_s: Array) -> Array:
    return _between(rows[:, 0], rows[:, 1:], at_s)


def _between(times_s: Array, values: Array, at_s: Array) -> Array:
    return np.column_stack([np.interp(at_s, times_s, values[:, k]) for k in range(values.shape[1])])


def _check_moved(motion: Motion) -> None:
    spread_m = float(np.ptp(motion.measured[:, 1:], axis=0).max()) if len(motion.measured) else 0.0
    if spread_m < _STILL_M:
        raise RunError(
            f"the arm moved by {1000.0 * spread_m:.1f} mm while commanded to; is it holding, "
            "or its state frozen?"
        )


def _interval(values: list[float]) -> Interval:
    mean_s, n = float(np.mean(values)), len(values)
    quantile = _T_975[min(n - 2, len(_T_975) - 1)]
    half_s = quantile * float(np.std(values, ddof=1)) / np.sqrt(n)
    return Interval(mean_s, mean_s - half_s, mean_s + half_s, tuple(float(v) for v in values))
