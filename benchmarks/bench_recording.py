"""What recording costs the control loop: two 640 x 480 cameras at 10 Hz, raw, as PNG, or not.

``.venv/bin/python benchmarks/bench_recording.py --seconds 60 --json docs/results/recording.json``

The loop is the rig's: two cameras that stream on threads of their own at 30 Hz (a made-up scene
with a camera's noise), the guard, an arm of arithmetic, the beat, and the episode log on a real
disk. Whole pictures are stored, which is the most that can be asked for; a policy's are 84 px
(``rig.observe.image_px``). The three ways take turns, an episode each, so that a machine that does
other things as well is slow for all of them. A beat is late when it comes more than a tenth of a
period after its time; what belongs to no beat (syncing an episode's file, when the arm rests) is
told apart.
"""

import argparse
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handful.contract import ArmState, Command, Frame, Observation, Spec, Transition
from handful.rig.calibration import Calibration
from handful.rig.camera_settings import CameraNodeSettings
from handful.rig.clock import Rate, WallClock
from handful.rig.episodes import EpisodeLog
from handful.rig.loop import LocalGate
from handful.rig.picture_codec import WITHIN
from handful.rig.settings import RigSettings
from handful.rig.source import Shot
from handful.rig.streaming import StreamingCamera
from handful.workflow.results import commit, machine, quantile, versions, write_json

WIDTH, HEIGHT, CAMERA_HZ, STEPS = 640, 480, 30.0, 60
MODES = ("unrecorded", "raw", "png")
SPEC = Spec(("third", "wrist"), HEIGHT, WIDTH, 1, 7, 4)
_POOL = 24  # pictures made beforehand, so that making them costs the loop nothing


def scene(camera: int) -> list[NDArray[np.uint8]]:
    """Pictures (HEIGHT, WIDTH, 3) of a smooth scene that moves, each with noise of its own."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    rng, found = np.random.default_rng(camera), []
    for k in range(_POOL):
        waves = [127 + 100 * np.sin(x / 90 + y / 110 + 0.2 * k + c) for c in range(3)]
        noise = rng.normal(0.0, 2.0, (HEIGHT, WIDTH, 3))
        found.append(np.clip(np.stack(waves, 2) + noise, 0, 255).astype(np.uint8))
    return found


class Scene:
    """``rig.source.Source``: the next picture of the pool, ``CAMERA_HZ`` times a second."""

    on_demand = False

    def __init__(self, camera: int) -> None:
        self.device, self._pool, self._number = f"scene {camera}", scene(camera), 0
        self._due_s = 0.0

    def open(self) -> None:
        self._due_s = time.monotonic()

    def read(self, timeout_s: float) -> Shot | None:
        self._due_s = max(self._due_s + 1.0 / CAMERA_HZ, time.monotonic())
        time.sleep(max(0.0, self._due_s - time.monotonic()))
        self._number += 1
        picture = self._pool[self._number % _POOL].copy()  # a device hands out memory of its own
        return Shot(picture, None, 0.0, self._number)

    def close(self) -> None:
        """Nothing to let go."""

    def calibration(self) -> Calibration | None:
        return None

    def temperature_c(self) -> float | None:
        return None


class StillArm:
    """An arm that is where it was told to be at once."""

    def __init__(self, clock: WallClock) -> None:
        self._clock, self._told = clock, Command(np.array([0.45, 0.0, 0.2]), 0.0, 0.08)

    def state(self) -> ArmState:
        p, told = self._told.p_BT_m, self._told
        return ArmState(
            self._clock.now_s(), p.copy(), told.yaw_rad, told.gripper_m, np.zeros(3), np.zeros(7),
            p.copy(), told.yaw_rad, told.gripper_m,
        )  # fmt: skip

    def send(self, command: Command) -> None:
        self._told = command

    def stop(self) -> None:
        """It stands."""


class Cell:
    """Cameras, arm, guard and beat; ``episode`` is what a recorder does."""

    def __init__(self, folder: Path) -> None:
        self.clock, self.rig, self._folder = WallClock(), RigSettings(), folder
        self.cameras = {
            name: StreamingCamera(name, Scene(k), CameraNodeSettings(), self.clock)
            for k, name in enumerate(SPEC.cameras)
        }
        self.arm = StillArm(self.clock)
        self.gate = LocalGate(self.rig, self.arm, self.clock)
        self.beat = Rate(self.clock, self.rig.period_s)

    def observe(self) -> Observation:
        """What the observer does, but whole pictures and no resizing."""
        limit_s = self.rig.observe.max_frame_age_s * 10  # a busy machine is told by its late beats
        frames: dict[str, Frame] = {n: c.latest(limit_s) for n, c in self.cameras.items()}
        arm = self.arm.state()
        parts_s = (*(f.stamp_s for f in frames.values()), arm.stamp_s)
        images = {name: frame.pixels for name, frame in frames.items()}
        return Observation(images, arm.q_rad.astype(np.float32), min(parts_s), parts_s)

    def episode(self, mode: str) -> dict[str, Any]:
        """One episode of STEPS steps: beats, late ones, seconds of every ``add``, bytes."""
        log = None
        if mode != "unrecorded":
            within_s = WITHIN * self.rig.period_s
            log = EpisodeLog(self._folder / mode, SPEC, {"task": "bench"}, mode, within_s)  # type: ignore[arg-type]
        self.gate.begin()
        seen, path = self.observe(), None
        if log is not None:
            path = log.begin(seen, demo=True, info={"seed": 0})
        self.beat.restart()
        missed, cpu_s, began_s = self.beat.missed, time.process_time(), time.monotonic()
        adding_s = []
        for step in range(1, STEPS + 1):
            action = np.array([0.3 * np.sin(0.3 * step), 0.0, 0.0, 1.0], np.float32)
            judged = self.gate.submit(action, seen)
            self.beat.sleep()
            seen = self.observe()
            last = step == STEPS
            done = Transition(judged.executed, 0.0, 1.0, seen, last, True, {"verdict": "ok"})
            before_s = time.monotonic()
            if log is not None:
                log.add(done)
            adding_s.append(time.monotonic() - before_s)
        wall_s, cpu_s = time.monotonic() - began_s, time.process_time() - cpu_s
        missed, before_s = self.beat.missed - missed, time.monotonic()
        if log is not None:
            log.end()
        found = {"late": missed, "wall_s": wall_s, "cpu_s": cpu_s, "adding_s": adding_s}
        found["sync_s"] = time.monotonic() - before_s
        if path is not None and log is not None:
            found["hurried"] = log.hurried
            found["bytes"] = path.stat().st_size
            path.unlink()  # 110 MB each
        return found


def run_recording_bench(seconds: float = 60.0, folder: str | None = None) -> dict[str, Any]:
    """``seconds`` of control in each of the three ways, in turns."""
    place = Path(tempfile.mkdtemp(prefix="handful-recording-", dir=folder))
    cell, told = Cell(place), {mode: list[dict[str, Any]]() for mode in MODES}
    load = os.getloadavg()[0]
    try:
        for camera in cell.cameras.values():
            camera.open()
        rounds = max(1, round(seconds / (STEPS * cell.rig.period_s)))
        for number in range(rounds):
            for mode in (*MODES[number % 3 :], *MODES[: number % 3]):
                told[mode].append(cell.episode(mode))
    finally:
        for camera in cell.cameras.values():
            camera.close()
        shutil.rmtree(place)
    return {
        "cameras": f"2 x {WIDTH} x {HEIGHT} at {CAMERA_HZ:g} Hz",
        "control_rate_hz": cell.rig.control_rate_hz,
        **{mode: summed(episodes) for mode, episodes in told.items()},
        "load_before": round(load, 2),
        "commit": commit(),
        "versions": versions(),
        "machine": machine(),
    }


def summed(episodes: list[dict[str, Any]]) -> dict[str, Any]:
    """Of one way: beats and late ones, milliseconds of ``add``, bytes a second, share of a core."""
    adding_ms = [1e3 * s for episode in episodes for s in episode["adding_s"]]
    wall_s = sum(episode["wall_s"] for episode in episodes)
    return {
        "beats": len(adding_ms),
        "late_beats": sum(episode["late"] for episode in episodes),
        "add_median_ms": round(statistics.median(adding_ms), 2),
        "add_p99_ms": round(quantile(adding_ms, 0.99), 2),
        "add_most_ms": round(max(adding_ms), 2),
        "stored_raw_in_a_hurry": sum(e.get("hurried", 0) for e in episodes),
        "bytes_per_s": round(sum(e.get("bytes", 0) for e in episodes) / wall_s),
        "core_share": round(sum(episode["cpu_s"] for episode in episodes) / wall_s, 3),
        "sync_median_ms": round(1e3 * statistics.median(e["sync_s"] for e in episodes), 1),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="of control, in each way")
    parser.add_argument("--folder", help="on the disk that counts; the system's own by default")
    parser.add_argument("--json", default="-")
    asked = parser.parse_args()
    numbers = run_recording_bench(asked.seconds, asked.folder)
    command = f"python benchmarks/bench_recording.py --seconds {asked.seconds:g}"
    write_json(asked.json, {"command": command, **numbers})
