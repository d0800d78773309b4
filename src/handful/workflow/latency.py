"""The motion by which delays are measured, and its record: sent, felt by the encoders, seen.

The arm makes small steps, then follows a smooth path that is like itself nowhere else; whoever can
be commanded and looked at through the rig's doors can be measured. ``latency_fit`` says what the
record means.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from handful.contract import ArmState, Command
from handful.rig.arm import Arm
from handful.rig.camera import Camera, CameraError
from handful.rig.clock import Clock

Array = NDArray[np.float64]

STEPS = 9  # the first finds the arm at rest and is not looked at
STEP_EVERY_S = 0.6 + 0.0073  # no multiple of the encoders' period
_SMALL_PX = 24  # side of the pictures that are compared


@dataclass(frozen=True)
class Motion:
    """What one repetition recorded; all stamps are on the cell's clock.

    sent: (M, 4) stamp [s] and commanded tip in B [m], ``STEPS`` steps first. measured: (N, 4) the
    same by the encoders. frames: camera -> stamps (K,) and arrivals (K,) [s], and pictures
    (K, s, s, 3) uint8.
    """

    sent: Array
    measured: Array
    frames: dict[str, tuple[Array, Array, NDArray[np.uint8]]] = field(default_factory=dict)


def path(seed: int, seconds: float, amplitude_m: float) -> Callable[[float], Array]:
    """The motion: time [s] to an offset (3,) [m], at rest at both ends, never twice the same.

    Three sines an axis of 0.3 to 1.1 Hz, which a shift fits in one place only, under a window.
    """
    rng = np.random.default_rng([seed, 5])
    rates_hz = rng.uniform(0.3, 1.1, (3, 3))
    phases = rng.uniform(0.0, 2.0 * np.pi, (3, 3))
    share = np.array([0.5, 1.0, 0.6])  # most along y, across the view of a camera that faces it

    def at(t_s: float) -> Array:
        window = np.sin(np.pi * min(max(t_s / seconds, 0.0), 1.0)) ** 0.5
        waves = np.sin(2.0 * np.pi * rates_hz * t_s + phases).sum(axis=1) / 2.0
        return np.asarray(amplitude_m * share * window * waves, np.float64)

    return at


def record(
    arm: Arm,
    cameras: Mapping[str, Camera],
    clock: Clock,
    seed: int,
    seconds: float = 4.0,
    amplitude_m: float = 0.03,
    rate_hz: float = 50.0,
) -> Motion:
    """One repetition: steps, then a path of ``seconds``, about where the arm is told to be now.

    Everything is polled at four times ``rate_hz``, so a picture's arrival is known to 5 ms. The arm
    ends where it began. It needs ``amplitude_m`` and half as much again free to all sides.
    """
    start = arm.state()
    middle = start.target_p_BT_m.copy()
    moment_s, goals_m = plan(seed, seconds, amplitude_m, rate_hz)
    begin_s, next_goal = clock.now_s() + 0.1, 0
    sent: list[list[float]] = []
    measured: list[list[float]] = []
    frames: dict[str, tuple[list[float], list[float], list[NDArray[np.uint8]]]] = {
        name: ([], [], []) for name in cameras
    }
    for k in range(int((moment_s[-1] + 0.8) * rate_hz * 4)):
        clock.sleep_until(begin_s + k / (rate_hz * 4))
        now_s = clock.now_s()
        if next_goal < len(moment_s) and now_s - begin_s >= moment_s[next_goal] - 1e-6:
            goal = middle + goals_m[next_goal]
            arm.send(Command(goal, start.target_yaw_rad, start.target_gripper_m))
            sent.append([now_s, *goal])
            next_goal += 1
        _note(arm.state(), measured)
        for name, camera in cameras.items():
            _see(camera, now_s, frames[name])
    return Motion(
        np.array(sent),
        np.array(measured),
        {
            name: (np.array(stamps), np.array(arrivals), np.array(pictures))
            for name, (stamps, arrivals, pictures) in frames.items()
            if pictures
        },
    )


def plan(seed: int, seconds: float, amplitude_m: float, rate_hz: float) -> tuple[Array, Array]:
    """When to send what: moments (M,) [s] and offsets (M, 3) [m]; ``STEPS`` steps come first."""
    moments: list[float] = []
    goals: list[Array] = []
    for k in range(STEPS):
        moments.append(k * STEP_EVERY_S)
        side = (1.0, 0.0, -1.0, 0.0)[k % 4]
        goals.append(np.array([0.0, side * 0.6 * amplitude_m, 0.0]))
    at, begin_s = path(seed, seconds, amplitude_m), STEPS * STEP_EVERY_S
    for k in range(int(seconds * rate_hz) + 1):
        moments.append(begin_s + k / rate_hz)
        goals.append(at(k / rate_hz))
    return np.array(moments), np.array(goals)


def _note(state: ArmState, measured: list[list[float]]) -> None:
    if not measured or state.stamp_s > measured[-1][0]:
        measured.append([state.stamp_s, *state.p_BT_m])


def _see(
    camera: Camera, now_s: float, seen: tuple[list[float], list[float], list[NDArray[np.uint8]]]
) -> None:
    stamps, arrivals, pictures = seen
    try:
        frame = camera.latest(2.0)
    except CameraError:
        return  # none yet; too few of them are complained of later
    if stamps and frame.stamp_s <= stamps[-1]:
        return
    stamps.append(frame.stamp_s)
    arrivals.append(now_s)
    pictures.append(shrink(frame.pixels))


def shrink(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What is compared of a picture: a small one (s, s, 3)."""
    small = cv2.resize(pixels, (_SMALL_PX, _SMALL_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)
