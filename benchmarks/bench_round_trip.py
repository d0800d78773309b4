"""Do the calibration tools find what a cell hides? The twin plays it with hidden other parameters.

Cameras: lens, place, joint offsets, blur and noise drawn anew for each, a camera on the hand and
one beside the arm in turn. Latency: hidden delays of commands and pictures, noisy joints and
pixels, arms of different stiffness. Identification: hidden gains, delay and finger speed, found
from the log of demonstrations, judged on others. Friction: hidden motors and a table of half and
of twice the friction, found from pulls of a box, judged by the box's path in others. Nothing here
depends on the machine's speed. Run it as a script; ``--json`` writes what docs/calibration.md
quotes.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from handful_twin.demonstrate import Demonstrator
from handful_twin.settings import LiveSettings, TwinSettings
from handful_twin.stage import Stage
from handful_twin.task_env import make_env
from handful_twin.tasks import make_task

from handful.config import load
from handful.rig.board import BoardSettings
from handful.rig.calibration import Calibration
from handful.rig.episodes import Episode, EpisodeLog
from handful.rig.geometry import exp, invert, log_so3
from handful.rig.settings import RigSettings
from handful.workflow.calibrate import measure, read_views
from handful.workflow.calibrate_capture import capture
from handful.workflow.calibrate_cell import BoardCell, HiddenCell, shipped
from handful.workflow.identify import identify
from handful.workflow.identify_friction import fit_friction, make_stage, miss_m, slides
from handful.workflow.identify_path import Recorded, recorded
from handful.workflow.latency import record
from handful.workflow.latency_cell import LiveCell
from handful.workflow.latency_fit import estimate
from handful.workflow.recipe import Options, resolve
from handful.workflow.replay_in_twin import find_episode
from handful.workflow.results import commit, machine, versions, write_json

BARS = {
    "camera_mm": 5.0,
    "camera_deg": 0.5,
    "delay_ms": 10.0,
    "path_error_ratio": 0.5,
    "friction_factor": 1.25,
    "friction_error_ratio": 0.5,
    "whole_error_ratio": 0.5,
}
_FRAMES = ("panda_link0", "panda_hand")


def hidden_cell(seed: int, on_hand: bool) -> HiddenCell:
    """A cell that differs from every other: centimetres, degrees, focal length, joints, sensor."""
    rng = np.random.default_rng([seed, 31])
    base = shipped(on_hand)
    f_px = base.lens.K[0, 0] * rng.uniform(0.92, 1.08)
    K = np.array(
        [
            [f_px, 0.0, 319.5 + rng.normal(0, 6)],
            [0.0, f_px * rng.uniform(0.995, 1.005), 239.5 + rng.normal(0, 6)],
            [0.0, 0.0, 1.0],
        ]
    )
    D = np.array([rng.uniform(-0.1, 0.12), rng.uniform(-0.2, 0.1), *rng.normal(0, 1e-3, 2), 0.0])
    moved = exp(np.concatenate([rng.normal(0, 0.01, 3), rng.normal(0, 0.03, 3)]))
    return replace(
        base,
        lens=Calibration(640, 480, K, D),
        X_PC=base.X_PC @ moved,
        blur_px=float(rng.uniform(0.4, 0.9)),
        noise=float(rng.uniform(2.0, 5.0)),
        joint_offset_rad=tuple(rng.normal(0.0, 3e-4, 7).tolist()),
    )


def cameras(count: int, views: int) -> list[dict[str, Any]]:
    """Errors of ``count`` cameras of either kind, from ``views`` pictures each."""
    found = []
    for k in range(2 * count):
        on_hand = k % 2 == 0
        hidden = hidden_cell(k, on_hand)
        cell = BoardCell(hidden, load(BoardSettings, "board"), seed=k)
        with tempfile.TemporaryDirectory() as folder:
            cell.camera.open()

            def move(number: int, cell: BoardCell = cell) -> bool:
                if number < views:
                    cell.move(number)
                return number < views

            try:
                capture(Path(folder), cell.camera, cell.arm, cell.board, move, lambda line: None)
                taken = read_views(Path(folder), cell.chain)
                measured = measure(taken, cell.board, on_hand, _FRAMES)
            finally:
                cell.close()
        place = measured.hand_eye
        assert place is not None and measured.lens is not None
        apart = invert(hidden.X_PC) @ place.X_HC
        focal = measured.calibration.K[0, 0] / hidden.lens.K[0, 0] - 1.0
        found.append(
            {
                "on": "hand" if on_hand else "base",
                "seed": k,
                "error_mm": 1000.0 * float(np.linalg.norm(apart[:3, 3])),
                "error_deg": float(np.degrees(np.linalg.norm(log_so3(apart[:3, :3])))),
                "sigma_mm": 1000.0 * place.sigma_m,
                "sigma_deg": float(np.degrees(place.sigma_rad)),
                "focal_percent": 100.0 * abs(float(focal)),
                "rms_px": measured.lens.rms_px,
            }
        )
        print(found[-1], flush=True)
    return found


def latencies(cases: Sequence[tuple[float, float, float]], repeat: int) -> list[dict[str, Any]]:
    """Errors of delays; cases are (command [s], picture [s], the arm's position gain)."""
    rig, found = load(RigSettings, "rig"), []
    for delay_s, age_s, gain in cases:
        twin = load(TwinSettings, "twin", {"antialias": 1, "position_gain": gain})
        live = LiveSettings(
            actuation_delay_s=delay_s, sensor_delay_s=age_s, pixel_noise=4.0, joint_noise_rad=2e-4
        )
        cell = LiveCell(Stage(make_task("reach"), rig, twin), live)
        try:
            motions = [record(cell.arm, cell.cameras, cell.clock, k) for k in range(repeat)]
        finally:
            cell.close()
        result = estimate(motions)
        found.append(
            {
                "command_ms": 1000.0 * delay_s,
                "picture_ms": 1000.0 * age_s,
                "position_gain": gain,
                "command_error_ms": 1000.0 * (result.command.mean_s - delay_s),
                "picture_error_ms": {
                    name: 1000.0 * (one.mean_s - age_s) for name, one in result.age.items()
                },
                "half_interval_ms": 500.0 * (result.command.high_s - result.command.low_s),
            }
        )
        print(found[-1], flush=True)
    return found


def identifications(count: int, fitted: int, apart: int) -> list[dict[str, Any]]:
    """Hidden motors found from ``fitted`` demonstrations of lift, judged on ``apart`` others."""
    found = []
    for k in range(count):
        hidden = _hidden_motors(k)
        paths = [path for _, path in _recordings("lift", hidden, fitted + apart)]
        result = identify(paths[:fitted], paths[fitted:], load(TwinSettings, "twin"), seed=k)
        assert result.held_before is not None and result.held_after is not None
        found.append(
            {
                "hidden": hidden,
                "found": result.values,
                "delay_error_ms": 1000.0
                * (result.values["delay.command_s"] - hidden["delay.command_s"]),
                "before_mm": 1000.0 * result.held_before.mean_m,
                "after_mm": 1000.0 * result.held_after.mean_m,
                "after_p95_mm": 1000.0 * result.held_after.p95_m,
                "ratio": result.held_after.mean_m / result.held_before.mean_m,
            }
        )
        print(found[-1], flush=True)
    return found


def frictions(
    values: Sequence[float], motors: int, fitted: int, apart: int
) -> list[dict[str, Any]]:
    """A hidden table under hidden motors, found from pulls of a box; judged on ``apart`` others."""
    found = []
    for k, friction in ((k, friction) for k in range(motors) for friction in values):
        hidden = {**_hidden_motors(k), "table_friction": friction}
        both = _recordings("pull", hidden, fitted + apart)
        paths = [path for _, path in both]
        arm = identify(paths[:fitted], [], load(TwinSettings, "twin"), k, starts=8, refinements=24)
        delay_s = arm.values.pop("delay.command_s")
        shipped = resolve(Options(task="pull"))
        recipe = replace(shipped, twin=shipped.twin.model_copy(update=arm.values))
        stage = make_stage(recipe)
        try:
            slid = slides([episode for episode, _ in both], paths, stage, "pull")
            first = {id(path) for path in paths[:fitted]}  # where nothing slid, there is no slide
            known = [slide for slide in slid if id(slide.path) in first]
            apart_of = [slide for slide in slid if id(slide.path) not in first]
            result = fit_friction(known, apart_of, recipe, stage, delay_s)
        finally:
            stage.close()
        stage = make_stage(shipped)
        try:
            believed_mm = [1000.0 * miss_m(stage, slide, 1.0, 0.0) for slide in apart_of]
        finally:
            stage.close()
        assert result.held_before is not None and result.held_after is not None
        found.append(
            {
                "hidden": hidden,
                "found": result.table_friction,
                "factor": result.table_friction / friction,
                "episodes": [len(known), len(apart_of)],
                "alike": [result.low, result.high],
                "before_mm": 1000.0 * result.held_before.mean_m,
                "after_mm": 1000.0 * result.held_after.mean_m,
                "ratio": result.held_after.mean_m / result.held_before.mean_m,
                "shipped_mm": float(np.concatenate(believed_mm).mean()),
            }
        )
        found[-1]["whole_ratio"] = found[-1]["after_mm"] / found[-1]["shipped_mm"]
        print(found[-1], flush=True)
    return found


def _hidden_motors(k: int) -> dict[str, float]:
    rng = np.random.default_rng([k, 41])
    return {
        "position_gain": float(np.exp(rng.uniform(np.log(0.02), np.log(0.3)))),
        "velocity_gain": float(rng.uniform(0.5, 1.0)),
        "finger_speed_m_s": float(rng.uniform(0.03, 0.15)),
        "delay.command_s": float(rng.uniform(0.02, 0.15)),
    }


def _recordings(task: str, hidden: dict[str, float], count: int) -> list[tuple[Episode, Recorded]]:
    """Demonstrations of a hidden twin, through a log and back."""
    rig = load(RigSettings, "rig")
    env = make_env(task, rig, load(TwinSettings, "twin", {**hidden, "antialias": 1}))
    with tempfile.TemporaryDirectory() as folder:
        log = EpisodeLog(folder, env.spec, {"task": task})
        for seed in range(count):
            actor, last = Demonstrator(env, 0.3, seed), False
            observation = env.reset(seed)
            log.begin(observation, demo=True, info={"seed": seed})
            actor.reset()
            while not last:
                step = env.step(actor.act(observation))
                log.add(step)
                observation, last = step.next_observation, step.last
            log.end()
        env.close()
        episodes = [find_episode(path) for path in sorted(Path(folder).glob("*.log"))]
        return [(episode, recorded(episode, rig)) for episode in episodes]


def main() -> None:
    """Measure everything, print it, and say whether the bars hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    parser.add_argument("--cameras", type=int, default=5, help="of either kind")
    parser.add_argument("--views", type=int, default=20, help="pictures a camera")
    parser.add_argument("--repeat", type=int, default=4, help="repetitions of a latency")
    parser.add_argument("--twins", type=int, default=4, help="hidden twins to identify")
    parser.add_argument("--tables", type=int, default=2, help="hidden motors, each on two tables")
    parser.add_argument(
        "--only",
        choices=["cameras", "latency", "identify", "friction"],
        help="measure this anew and leave the rest as --json has it",
    )
    given, code = parser.parse_args(), commit()  # before anybody changes a file
    cases = [(0.0, 0.03, 0.3), (0.04, 0.05, 0.1), (0.083, 0.061, 0.1), (0.137, 0.1, 0.035)]
    if given.only and not given.json:
        parser.error("--only leaves the rest as the file of --json has it: say which")
    old = json.loads(given.json.read_text()) if given.only else {}
    measures: dict[str, Callable[[], list[dict[str, Any]]]] = {
        "cameras": lambda: cameras(given.cameras, given.views),
        "latency": lambda: latencies(cases, given.repeat),
        "identify": lambda: identifications(given.twins, 3, 2),
        "friction": lambda: frictions((0.5, 2.0), given.tables, 8, 6),
    }
    anew = [name for name in measures if given.only in (None, name)]
    found = {name: run() if name in anew else old[name] for name, run in measures.items()}
    commits = {
        name: code if name in anew else old.get("commits", {}).get(name, old["commit"])
        for name in measures
    }
    seen, delays, twins, tables = found.values()
    late = [abs(one["command_error_ms"]) for one in delays]
    late += [abs(one["delay_error_ms"]) for one in twins]
    ages = [abs(value) for one in delays for value in one["picture_error_ms"].values()]
    worst = {
        "camera_mm": max(one["error_mm"] for one in seen),
        "camera_deg": max(one["error_deg"] for one in seen),
        "delay_ms": max([*late, *ages]),
        "path_error_ratio": max(one["ratio"] for one in twins),
        "friction_factor": max(max(one["factor"], 1.0 / one["factor"]) for one in tables),
        "friction_error_ratio": max(one["ratio"] for one in tables),
        "whole_error_ratio": max(one["whole_ratio"] for one in tables),
    }
    numbers = {
        "bars": BARS,
        "worst": worst,
        "held": {name: worst[name] <= BARS[name] for name in BARS},
        **found,
        "settings": {
            key: value for key, value in vars(given).items() if key not in ("json", "only")
        },
        "command": "python benchmarks/bench_round_trip.py --json docs/results/round_trip.json",
        "commit": code,
        "commits": commits,
        "machine": machine(),
        "versions": versions(),
    }
    for name, bar in BARS.items():
        print(f"{name:18} worst {worst[name]:8.3f}   bar {bar}")
    if given.json:
        write_json(given.json, numbers)


if __name__ == "__main__":
    main()
