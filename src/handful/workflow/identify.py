"""The twin's delay and motors fitted to recorded episodes: the commands of each, played again.

The arm's tip path (and its joints, where they were recorded) under the recorded commands decides.
The commands' delay needs no search of its own: a twin that obeys later does the same later, so each
simulation is shifted to where it fits best. The motors' gains are sought by random starts on a log
scale and Nelder and Mead's simplex (1965) from the best of them; the fingers' speed afterwards, on
the opening alone, because nothing else depends on it. As SIMPLER does for other robots (Li et al.
2024, system identification of the controller).

In Bullet a motor is a velocity constraint: friction in a joint shows as nothing until the motor's
force is used up, and is one with the gains here. The table's is fitted in ``identify_friction``;
friction of a grasp is not to be had from paths.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handful.workflow.errors import RunError
from handful.workflow.identify_path import Played, Recorded, play
from handful.workflow.twin_overrides import command_delay_s

Array = NDArray[np.float64]

RANGES = {"position_gain": (0.008, 0.6), "velocity_gain": (0.2, 1.0)}
_FINGERS_M_S = (0.01, 0.5)
_LATEST_S = 0.4
_STEP_S = 0.004
_REACH_M = 0.5  # a joint's error of 1 rad counts as this much of the tip's
_MOVED_M = 0.01  # a path or an opening that changes less tells nothing
_HELD_M = 0.002  # further from its target than this and still: the fingers hold something
_STILL_M = 5.0e-4

Progress = Callable[[int, int, dict[str, float]], None]


@dataclass(frozen=True)
class PathError:
    """Of the tip [m] over all measurements: mean, 95 % quantile, largest, root mean square."""

    mean_m: float
    p95_m: float
    max_m: float
    rms_m: float


@dataclass(frozen=True)
class Identified:
    """What fits. values: dotted key of the twin's settings -> number. before, after: on the
    episodes it was fitted to; held_before, held_after: on those kept apart, if any."""

    values: dict[str, float]
    before: PathError
    after: PathError
    held_before: PathError | None
    held_after: PathError | None
    simulations: int
    episodes: list[str] = field(default_factory=list)
    held_out: list[str] = field(default_factory=list)

    def numbers(self) -> dict[str, Any]:
        """The same for JSON."""
        return as_numbers(self)


def as_numbers(found: Any) -> dict[str, Any]:
    """A result with ``PathError`` s in it (``before``, ``held_after`` ...) for JSON."""
    return {
        name: vars(value) if isinstance(value, PathError) else value
        for name, value in vars(found).items()
    }


class Simulator:
    """One bare twin whose motors are set anew for every simulation."""

    def __init__(self, twin: Any) -> None:
        from handful_twin.twin_arm import TwinArm
        from handful_twin.world import World

        self.twin = twin
        self._world = World(twin, {})
        self._arm = TwinArm(self._world)
        self.simulations = 0

    def play(self, path: Recorded, values: dict[str, float], delay_s: float = 0.0) -> Played:
        """Drive it along ``path`` with these settings of the twin on top of its own."""
        self._world.settings = self.twin.model_copy(update=values)
        self.simulations += 1
        return play(self._world, self._arm, path, delay_s)

    def close(self) -> None:
        """Let physics go."""
        self._world.close()


def identify(
    paths: list[Recorded],
    held_out: list[Recorded],
    twin: Any,
    seed: int = 0,
    starts: int = 16,
    refinements: int = 40,
    progress: Progress | None = None,
) -> Identified:
    """The delay, gains and finger speed of ``twin`` that explain ``paths``.

    The same seed and recordings give the same numbers.

    Args:
        held_out: episodes that are only judged by what was found.
        starts: random gains that are tried; refinements: simulations of the simplex after them.
    Raises:
        RunError: no episode, or none in which the arm moved.
    """
    from scipy.optimize import minimize

    moved_m = max((float(np.ptp(path.p_BT_m, axis=0).max()) for path in paths), default=0.0)
    if moved_m < _MOVED_M:
        raise RunError(
            f"in {len(paths)} episodes the tip moved by {1000.0 * moved_m:.0f} mm at most; nothing "
            "can be learned from that"
        )
    low, high = np.log(np.array(list(RANGES.values()))).T
    simulator = Simulator(twin)
    total, trail = starts + refinements, list[tuple[float, Array, float]]()

    def cost(logs: Array) -> float:
        inside = np.clip(logs, low, high)
        played = [simulator.play(path, _gains(inside)) for path in paths]
        delay_s, square = best_delay(paths, played)
        outside = float(((logs - inside) ** 2).sum())
        trail.append((square, inside, delay_s))
        if progress is not None:
            best = min(trail, key=lambda entry: entry[0])
            progress(min(len(trail), total), total, {"rms_mm": 1000.0 * float(np.sqrt(best[0]))})
        return square * (1.0 + outside) + 1e-9 * outside

    try:
        own = {"position_gain": twin.position_gain, "velocity_gain": twin.velocity_gain}
        before = _error(paths, [simulator.play(path, {}) for path in paths], command_delay_s(twin))
        held_before = _held(simulator, held_out, {}, command_delay_s(twin))
        rng = np.random.default_rng([seed, 11])
        cost(np.log([own[name] for name in RANGES]))
        for _ in range(starts - 1):
            cost(rng.uniform(low, high))
        best = min(trail, key=lambda entry: entry[0])[1]
        simplex = best + np.array([[0.0, 0.0], [0.25, 0.0], [0.0, -0.2]])
        minimize(
            cost,
            best,
            method="Nelder-Mead",
            options={"maxfev": refinements, "initial_simplex": simplex, "xatol": 1e-3},
        )
        _, logs, delay_s = min(trail, key=lambda entry: entry[0])
        values = _gains(logs)
        speed = _finger_speed(simulator, paths, values, delay_s)
        if speed is not None:
            values["finger_speed_m_s"] = speed
        after = _error(paths, [simulator.play(path, values) for path in paths], delay_s)
        held_after = _held(simulator, held_out, values, delay_s)
    finally:
        simulator.close()
    found = {**values, "delay.command_s": delay_s}
    return Identified(
        {key: round(value, 5) for key, value in found.items()},
        before,
        after,
        held_before,
        held_after,
        simulator.simulations,
        [path.name for path in paths],
        [path.name for path in held_out],
    )


def best_delay(paths: list[Recorded], played: list[Played]) -> tuple[float, float]:
    """By how much later [s] the simulations fit best, and the mean square that is left [m^2]."""
    delays_s = np.arange(0.0, _LATEST_S, _STEP_S)
    squares = np.array(
        [
            np.mean(
                np.concatenate(
                    [_squares(path, one, late_s) for path, one in zip(paths, played, strict=True)]
                )
            )
            for late_s in delays_s
        ]
    )
    k = int(np.argmin(squares))
    if 0 < k < len(squares) - 1:
        before, here, after = squares[k - 1 : k + 2]
        bend = before - 2.0 * here + after
        if bend > 0.0:
            shift = 0.5 * (before - after) / bend
            return float(delays_s[k] + shift * _STEP_S), float(
                here - 0.25 * (before - after) * shift
            )
    return float(delays_s[k]), float(squares[k])


def path_error(path: Recorded, played: Played, late_s: float = 0.0) -> PathError:
    """How far the twin's tip is from the recorded one at the moments of measurement."""
    return _error([path], [played], late_s)


def _squares(path: Recorded, played: Played, late_s: float) -> Array:
    """(N,) squared errors [m^2] of the tip, and of the joints where they are known."""
    squares = ((path.p_BT_m - played.tip_at(path.t_s, late_s)) ** 2).sum(axis=1)
    if path.q_rad is not None:
        q = played.joints_at(path.t_s, late_s)
        squares = squares + _REACH_M**2 * ((path.q_rad - q) ** 2).mean(axis=1)
    return squares


def _error(paths: list[Recorded], played: list[Played], late_s: float) -> PathError:
    miss_m = np.concatenate(
        [
            np.linalg.norm(path.p_BT_m - one.tip_at(path.t_s, late_s), axis=1)
            for path, one in zip(paths, played, strict=True)
        ]
    )
    return PathError(
        float(miss_m.mean()),
        float(np.quantile(miss_m, 0.95)),
        float(miss_m.max()),
        float(np.sqrt((miss_m**2).mean())),
    )


def _held(
    simulator: Simulator, paths: list[Recorded], values: dict[str, float], late_s: float
) -> PathError | None:
    if not paths:
        return None
    return _error(paths, [simulator.play(path, values) for path in paths], late_s)


def _gains(logs: Array) -> dict[str, float]:
    return {name: float(np.exp(value)) for name, value in zip(RANGES, logs, strict=True)}


def _finger_speed(
    simulator: Simulator, paths: list[Recorded], values: dict[str, float], delay_s: float
) -> float | None:
    """Of each finger [m/s], by golden section; None when the opening hardly changed.

    Compared are changes from one measurement to the next, by their absolute difference: what the
    fingers hold is not here, and the twin's close further, which must not count for ever.
    """
    moving = [path for path in paths if np.ptp(path.gripper_m) > _MOVED_M]
    if not moving:
        return None

    def cost(log_speed: float) -> float:
        speed = {**values, "finger_speed_m_s": float(np.exp(log_speed))}
        misses = []
        for path in moving:
            opening_m = simulator.play(path, speed).gripper_at(path.t_s, delay_s)
            misses.append(np.abs(np.diff(path.gripper_m) - np.diff(opening_m))[_free(path)[1:]])
        return float(np.mean(np.concatenate(misses)))

    slowest, fastest = np.log(_FINGERS_M_S)
    grid = np.linspace(slowest, fastest, 7)
    costs = [cost(x) for x in grid]
    k = int(np.argmin(costs))
    low, high = float(grid[max(k - 1, 0)]), float(grid[min(k + 1, len(grid) - 1)])
    share = 0.5 * (np.sqrt(5.0) - 1.0)
    left, right = high - share * (high - low), low + share * (high - low)
    at_left, at_right = cost(left), cost(right)
    for _ in range(6):
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - share * (high - low)
            at_left = cost(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + share * (high - low)
            at_right = cost(right)
    return float(np.exp(0.5 * (low + high)))


def _free(path: Recorded) -> NDArray[np.bool_]:
    """(N + 1,) whether the fingers go where they are told, or have got there."""
    targets = np.array([path.start.gripper_m, *(c.gripper_m for c in path.commands)])
    still = np.abs(np.diff(path.gripper_m, prepend=path.gripper_m[0])) < _STILL_M
    return ~(still & (np.abs(path.gripper_m - targets) > _HELD_M))
