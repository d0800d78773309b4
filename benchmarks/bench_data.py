"""Random batches of recorded steps: ``rig.shelf`` against LeRobot's loader, the same episodes.

``.venv/bin/python benchmarks/bench_data.py --json docs/results/data.json``

Needs ``.bench/loaders`` (``benchmarks/loaders.py``). The two take turns in one run, a slice each,
on the same random steps; what counts is the ratio. LeRobot's is its own class in torch's
``DataLoader`` without workers, on one thread, as ours is. It decodes PNG and makes float32 pictures
(3, H, W) of them; so there is a second case in which ours, stored as PNG too, does the same work.
Also states what recording costs: bytes a second, raw and as PNG.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from loaders import PYTHON, ready
from peers import Peer

from handful.contract import Observation, Spec, Transition
from handful.rig.episodes import EpisodeLog
from handful.rig.shelf import Shelf
from handful.workflow.data.exchange import export
from handful.workflow.results import commit, machine, versions, write_json

BATCH, EPISODES, STEPS, SLICES = 64, 20, 40, 9
RATE_HZ = 10.0


def picture(spec: Spec, camera: int, step: int) -> np.ndarray:
    """A smooth scene with a camera's noise, different at every step."""
    y, x = np.mgrid[0 : spec.height_px, 0 : spec.width_px].astype(np.float32)
    scale = spec.width_px / 64.0
    waves = [
        127 + 100 * np.sin(x / (9 * scale) + y / (11 * scale) + 0.2 * step + c) for c in range(3)
    ]
    noise = np.random.default_rng([camera, step]).normal(0.0, 2.0, (*x.shape, 3))
    return np.clip(np.stack(waves, 2) + noise, 0, 255).astype(np.uint8)


def record(folder: Path, spec: Spec, episodes: int, steps: int, pictures: str = "raw") -> int:
    """Record made-up episodes; bytes on the disk."""

    def seen(step: int) -> Observation:
        images = {name: picture(spec, n, step) for n, name in enumerate(spec.cameras)}
        return Observation(images, np.zeros(spec.state_dim, np.float32), step / RATE_HZ)

    with EpisodeLog(folder, spec, {"task": "bench"}, pictures) as log:  # type: ignore[arg-type]
        for number in range(episodes):
            log.begin(seen(number), True, {"seed": number})
            for k in range(1, steps + 1):
                last = k == steps
                log.add(
                    Transition(
                        np.zeros(4, np.float32),
                        float(last),
                        float(not last),
                        seen(number + k),
                        last,
                    )
                )
    return sum(path.stat().st_size for path in folder.glob("*.log"))


def recording_cost() -> dict[str, float]:
    """Bytes a second at 10 Hz with two cameras, by size and by how pictures are stored."""
    found = {}
    for width, height in ((640, 480), (64, 64)):
        spec = Spec(("third", "wrist"), height, width, 1, 8, 4)
        for pictures in ("raw", "png"):
            folder = Path(tempfile.mkdtemp(prefix="handful-cost-"))
            size = record(folder, spec, 1, 20, pictures)
            found[f"two_{width}x{height}_{pictures}_bytes_per_s"] = round(size / 21 * RATE_HZ)
            shutil.rmtree(folder)
    return found


def run_data_bench(slices: int = SLICES, rounds: int = 4) -> dict[str, Any]:
    """Alternate slices of ``rounds`` batches; medians of the slices' rows a second."""
    if not ready():
        raise SystemExit(f"{PYTHON}: not there; make it with python benchmarks/loaders.py")
    folder = Path(tempfile.mkdtemp(prefix="handful-data-"))
    spec = Spec(("third", "wrist"), 64, 64, 1, 8, 4)
    record(folder / "session", spec, EPISODES, STEPS)
    record(folder / "png", spec, EPISODES, STEPS, "png")
    export(folder / "session", folder / "set", "lerobot", None, pictures="png")
    shelf, rng = Shelf([folder / "session"]), np.random.default_rng(0)
    coded = Shelf([folder / "png"])
    speeds: dict[str, list[float]] = {"handful": [], "handful_same_work": [], "lerobot": []}
    peer = _Lerobot()
    with peer:
        for _ in range(slices):
            indices = rng.permutation(len(shelf))[: BATCH * rounds].tolist()
            told = peer.ask(what="batches", root=str(folder / "set"), batch=BATCH, indices=indices)
            speeds["lerobot"].append(told["rows"] / told["seconds"])
            began_s = time.perf_counter()
            for at in range(0, len(indices), BATCH):
                batch = shelf.batch(indices[at : at + BATCH])
                assert batch.images["third"].shape == (BATCH, 64, 64, 3)
            speeds["handful"].append(len(indices) / (time.perf_counter() - began_s))
            began_s = time.perf_counter()
            for at in range(0, len(indices), BATCH):
                for pictures in coded.batch(indices[at : at + BATCH]).images.values():
                    ready_made = pictures.transpose(0, 3, 1, 2).astype(np.float32) / 255.0
                    assert ready_made.shape == (BATCH, 3, 64, 64)
            speeds["handful_same_work"].append(len(indices) / (time.perf_counter() - began_s))
    shutil.rmtree(folder)
    medians = {name: statistics.median(rows) for name, rows in speeds.items()}

    def ratios(name: str) -> list[float]:
        return [a / b for a, b in zip(speeds[name], speeds["lerobot"], strict=True)]

    return {
        "ratio_median": round(statistics.median(ratios("handful")), 1),
        "ratio_least": round(min(ratios("handful")), 1),
        "same_work_ratio_median": round(statistics.median(ratios("handful_same_work")), 1),
        "same_work_ratio_least": round(min(ratios("handful_same_work")), 1),
        **{f"{name}_rows_per_s": round(rows) for name, rows in medians.items()},
        "batch": BATCH,
        "episodes": EPISODES,
        "steps": EPISODES * STEPS,
        **recording_cost(),
        "commit": commit(),
        "versions": versions(),
        "machine": machine(),
    }


class _Lerobot(Peer):
    """LeRobot in the environment that ``loaders.py`` made."""

    def __init__(self) -> None:
        super().__init__("loaders", (), Path(__file__).with_name("peer_lerobot.py"))

    def __enter__(self) -> Peer:
        return self.start(PYTHON)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", default="-")
    parser.add_argument("--slices", type=int, default=SLICES, help="turns of each; 2 are a try")
    asked = parser.parse_args()
    tried = "" if asked.slices == SLICES else f" --slices {asked.slices}"
    command = f"python benchmarks/bench_data.py{tried}"
    write_json(asked.json, {"command": command, **run_data_bench(asked.slices)})
