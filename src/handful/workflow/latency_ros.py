"""``handful calibrate latency --ros``: the motion fitted to the cell's limits, and played in it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from handful.rig.settings import RigSettings
from handful.wire.latency import Heard, moved_cell
from handful.wire.script_hand import SpoiltError
from handful.workflow.console import Console
from handful.workflow.errors import RunError
from handful.workflow.latency import STEPS, Motion, plan, shrink

Array = NDArray[np.float64]

LEAST_AMPLITUDE_M = 0.006
"""Steps of less than 4 mm are hard to tell from an arm's own wandering."""
_SHARE = 0.8  # of a limit: a beat may come a fifth of a period early
_SPOILT = 3  # repetitions that may be lost to late beats


def measure(
    repeat: int, seconds: float, amplitude_m: float, console: Console
) -> tuple[list[Motion], dict[str, float]]:
    """So many motions of the running graph's arm, and medians of what the wire adds [s].

    Raises:
        RunError: the limits or the walls leave no room, or the motion was spoilt again and again.
        ArmError, CameraError: the guard, the arm or a camera, in their words.
        KeyboardInterrupt: somebody asked to stop; the guard was asked to hold.
    """
    with moved_cell("handful_latency", shrink) as cell:
        middle = cell.ready()
        rate_hz = cell.rig.control_rate_hz
        unit = [plan(k, seconds, 1.0, rate_hz) for k in range(repeat)]
        fitting_m = fitting_amplitude(cell.rig, amplitude_m, [goals for _, goals in unit])
        if fitting_m < amplitude_m:
            console.say(f"amplitude {fitting_m:.3f} m: the guard's limits allow no more")
        plans = [(moments, fitting_m * goals) for moments, goals in unit]
        check_room(cell.rig, middle.p_BT_m, np.concatenate([goals for _, goals in plans]))
        heard, spoilt = list[Heard](), 0
        try:
            with console.progress("latency", repeat, "repetitions") as bar:
                while len(heard) < repeat:
                    try:
                        heard.append(cell.play(*plans[len(heard)], whole=STEPS))
                    except SpoiltError as error:
                        spoilt += 1
                        if spoilt > _SPOILT:
                            raise RunError(
                                f"{spoilt} repetitions were spoilt; the last: {error}"
                            ) from None
                        console.say(f"once more: {error}")
                    bar.update(len(heard))
        except KeyboardInterrupt as stop:
            console.say(f"stopped: {stop}" if str(stop) else "stopped; the arm was at rest")
            raise
    motions = [Motion(one.sent, one.measured, one.frames) for one in heard]
    way: dict[str, Any] = {
        "action_to_guard_s": float(np.median([one.to_guard_s for one in heard])),
        "state_age_s": float(np.median([one.state_age_s for one in heard])),
        "spoilt": spoilt,
        "amplitude_m": fitting_m,
    }
    return motions, way


def fitting_amplitude(rig: RigSettings, amplitude_m: float, unit: list[Array]) -> float:
    """The largest amplitude up to ``amplitude_m`` [m] at which no limit shortens a motion.

    unit: goals (M, 3) of the motions with an amplitude of 1 m.

    Raises:
        RunError: what is left is too small to measure by; the message has the limits.
    """
    long_m = sharp_m = 0.0  # the longest step and turn of a motion with an amplitude of 1 m
    for goals_m in unit:
        steps_m = np.diff(goals_m, axis=0, prepend=np.zeros((1, 3)))
        before_m = np.vstack([np.zeros(3), steps_m[:-1]])
        before_m[: STEPS + 1] = 0.0  # between two steps the goal is said again
        lengths_m = np.linalg.norm(steps_m, axis=1)
        turns_m = np.minimum(lengths_m, np.linalg.norm(steps_m - before_m, axis=1))
        long_m, sharp_m = max(long_m, lengths_m.max()), max(sharp_m, turns_m.max())
    period_s = _SHARE * rig.period_s
    fitting_m = float(
        min(
            _SHARE * rig.action.step_m / long_m,
            rig.guard.max_speed_m_s * period_s / long_m,
            rig.guard.max_accel_m_s2 * period_s * period_s / sharp_m,
        )
    )
    if fitting_m < LEAST_AMPLITUDE_M:
        raise RunError(
            f"within action.step_m {rig.action.step_m} m, guard.max_speed_m_s "
            f"{rig.guard.max_speed_m_s} and max_accel_m_s2 {rig.guard.max_accel_m_s2} the motion "
            f"could be {1000.0 * fitting_m:.1f} mm large; {1000.0 * LEAST_AMPLITUDE_M:.0f} are "
            "needed"
        )
    return min(amplitude_m, fitting_m)


def check_room(rig: RigSettings, middle_m: Array, offsets_m: Array) -> None:
    """Whether the motion about ``middle_m`` (3,) stays inside the workspace.

    Raises:
        RunError: on some axis it does not; the message says where the tip would have to be.
    """
    low_m = np.array(rig.guard.workspace_min_m) - offsets_m.min(axis=0)
    high_m = np.array(rig.guard.workspace_max_m) - offsets_m.max(axis=0)
    for axis, at_m, least_m, most_m in zip("xyz", middle_m, low_m, high_m, strict=True):
        if not least_m <= at_m <= most_m:
            raise RunError(
                f"the tip is told to be at {axis} = {at_m:.3f} m, and the motion stays in the "
                f"workspace from {least_m:.3f} to {most_m:.3f} m; drive it there, or give a "
                "smaller --amplitude"
            )
