"""How well an eye says where things lie, by strides and head: supervised, on reacher.

A pixel agent that does not come to a target it sees may have a poor eye, or learn poorly with a
good one. This tells the two apart: each eye (``learn.encoder.Tower``, a projection with LayerNorm,
two layers of 256) is trained to say where the target lies from the finger, on pictures of as many
episodes, hence targets, as 100,000 steps show, under the shifts of ``lean_dmc``, and asked about
targets it has never seen. A target's radius is 50 mm.

    python benchmarks/bench_eye.py --eyes 2,2,2,1 2,2,1,1 2,2,1,1:spatial_softmax --json eye.json
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from torch import Tensor, nn

from handful.config import ConfigError, build
from handful.learn.encoder import Tower
from handful.learn.settings import EncoderSettings
from handful.workflow.dmc_simulators import find_task, make_simulator
from handful.workflow.results import machine, write_json

POSES, UNIT_M, BATCH, PAD_PX, SEED = 60, 0.1, 128, 3, 0

Pictures = NDArray[np.uint8]
Places = NDArray[np.float32]


def look(episodes: int, side_px: int, first_seed: int) -> tuple[Pictures, Places]:
    """Pictures (N, S, S, 3) of random poses, and target minus finger (N, 2) [``UNIT_M``]."""
    simulator: Any = make_simulator(find_task("reacher_easy"), pictures=True)
    physics, rng = simulator._env.physics, np.random.default_rng(first_seed)
    pictures, places = [], []
    for episode in range(episodes):
        simulator.reset(first_seed + episode)
        for _ in range(POSES):
            with physics.reset_context():
                physics.data.qpos[:] = rng.uniform(-np.pi, np.pi), rng.uniform(-2.8, 2.8)
            at = physics.named.data.geom_xpos
            pictures.append(simulator.picture(side_px))
            places.append((at["target"] - at["finger"])[:2] / UNIT_M)
    simulator.close()
    return np.stack(pictures), np.array(places, np.float32)


class Eye(nn.Module):
    """Pictures (B, S, S, 3) uint8 to a place (B, 2)."""

    def __init__(self, settings: EncoderSettings) -> None:
        super().__init__()
        self.tower = Tower(3, settings).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        layers: list[nn.Module] = [nn.Linear(self.tower.feature_dim, 50), nn.LayerNorm(50)]
        for width in (50, 256):
            layers += [nn.Linear(width, 256), nn.LayerNorm(256), nn.ReLU()]
        self.head = nn.Sequential(*layers, nn.Linear(256, 2))

    def forward(self, pictures: Pictures) -> Tensor:
        """Convolutions in bfloat16, as on the CPU of ``docs/ablations.md``."""
        with torch.autocast("cpu", torch.bfloat16):
            features = self.tower(torch.from_numpy(pictures).permute(0, 3, 1, 2))
        place: Tensor = self.head(features.float())
        return place


def error_mm(eye: Eye, pictures: Pictures, places: Places) -> float:
    """Root of the mean squared distance [mm]."""
    with torch.no_grad():
        said = torch.cat([eye(pictures[i : i + BATCH]) for i in range(0, len(pictures), BATCH)])
    squared = (said - torch.from_numpy(places)).square().sum(1).mean()
    return float(squared.sqrt()) * UNIT_M * 1e3


def settings_of(words: str, side_px: int) -> EncoderSettings:
    """``strides[:head]`` as settings; ``ConfigError`` when they are none."""
    strides, _, head = words.partition(":")
    if not strides:
        raise ConfigError(f"--eyes {words!r}: no strides; for example 2,2,1,1:spatial_softmax")
    values = {"strides": yaml.safe_load(f"[{strides}]"), "head": head or "linear"}
    return build(EncoderSettings, {**values, "input_px": side_px}, f"--eyes {words}")


def train(
    settings: EncoderSettings, seen: tuple[Pictures, Places], updates: int
) -> tuple[Eye, float]:
    """An eye after ``updates``, and processor milliseconds of an update."""
    pictures, places = seen
    torch.manual_seed(SEED)
    rng, side_px = np.random.default_rng(SEED), settings.input_px
    eye = Eye(settings)
    optimizer = torch.optim.Adam(eye.parameters(), 1e-3)
    padded = np.pad(pictures, ((0, 0), (PAD_PX, PAD_PX), (PAD_PX, PAD_PX), (0, 0)), "edge")
    began_s = time.process_time()
    for _ in range(updates):
        index = rng.integers(0, len(pictures), BATCH)
        corners = rng.integers(0, 2 * PAD_PX, (BATCH, 2), endpoint=True)
        views = [
            padded[i, y : y + side_px, x : x + side_px]
            for i, (y, x) in zip(index, corners, strict=True)
        ]
        loss = nn.functional.mse_loss(eye(np.stack(views)), torch.from_numpy(places[index]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return eye, 1e3 * (time.process_time() - began_s) / updates


def main() -> None:
    """One row an eye."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--eyes",
        nargs="+",
        default=["2,2,2,1", "2,2,1,1", "2,2,1,1:spatial_softmax"],
        help="strides, and :spatial_softmax for key points",
    )
    parser.add_argument("--episodes", type=int, default=100, help="targets to learn from")
    parser.add_argument("--updates", type=int, default=1500, help="of each eye")
    parser.add_argument("--side-px", type=int, default=64, help="of the pictures")
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    given = parser.parse_args()
    if given.episodes < 1 or given.updates < 1:
        parser.error(
            f"--episodes {given.episodes}, --updates {given.updates}: expected 1 or more of each"
        )
    try:
        eyes = {words: settings_of(words, given.side_px) for words in given.eyes}
        for settings in eyes.values():
            Tower(3, settings)  # refuses strides that leave no map
    except (ConfigError, ValueError) as error:
        parser.error(str(error))
    seen = look(given.episodes, given.side_px, first_seed=50_000)
    unseen = look(max(10, given.episodes // 2), given.side_px, first_seed=70_000)
    rows: dict[str, Any] = {}
    print("| eye | error, seen targets [mm] | unseen targets [mm] | update [ms of a core] |")
    print("|---|---|---|---|", flush=True)
    for words, settings in eyes.items():
        eye, cost_ms = train(settings, seen, given.updates)
        rows[words] = {
            "seen_mm": error_mm(eye, *seen),
            "unseen_mm": error_mm(eye, *unseen),
            "update_ms": cost_ms,
        }
        seen_mm, unseen_mm, _ = rows[words].values()
        print(f"| {words} | {seen_mm:.1f} | {unseen_mm:.1f} | {cost_ms:.0f} |", flush=True)
    if given.json:
        told = {name: value for name, value in vars(given).items() if name != "json"}
        write_json(given.json, {"given": told, "machine": machine(), "eyes": rows})


if __name__ == "__main__":
    main()
