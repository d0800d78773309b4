"""What an update of SERL's and FERM's own networks costs here, and what that makes of their runs.

``bench_recipes.py`` runs their recipes on our small network, so that only the recipe differs. This
times the networks they publish: SERL's frozen ResNet-10 on two 128x128 cameras (observation and
successor of every sampled step, 256 a batch, four critic updates an environment step; heads left
out, which is in its favour), and FERM's convolutions, which are CURL's (``reference_curl.py``).
With the environment steps each recipe took to 0.9 that is the time its updates alone would take.

    .venv/bin/python benchmarks/bench_field.py --steps-serl 2581 --steps-ferm 10500
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from reference_curl import ReferenceCurl, StackedReplay
from torch import Tensor, nn

from handful.workflow.process import tune_allocator
from handful.workflow.results import commit, machine, write_json

SERL_BATCH, SERL_PX, SERL_CAMERAS, SERL_UPDATES = 256, 128, 2, 4
FERM_UPDATES = 1


class Block(nn.Module):
    """A residual block of two 3x3 convolutions with GroupNorm (He et al. 2016, figure 2)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.one = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.two = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norms = nn.ModuleList([nn.GroupNorm(4, outputs), nn.GroupNorm(4, outputs)])
        same = inputs == outputs and stride == 1
        self.skip = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', H / stride, W / stride)."""
        y = torch.relu(self.norms[0](self.one(x)))
        return torch.relu(self.norms[1](self.two(y)) + self.skip(x))


def resnet10() -> nn.Sequential:
    """A stem and one block a stage, 64 to 512 channels: (B, 3, 128, 128) to (B, 512, 4, 4)."""
    stem = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.GroupNorm(4, 64), nn.ReLU()]
    stages = [
        Block(a, b, s) for a, b, s in ((64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2))
    ]
    return nn.Sequential(*stem, nn.MaxPool2d(3, 2, 1), *stages).to(
        memory_format=torch.channels_last
    )


def median_s(work: Callable[[], Any], times: int) -> float:
    """Median seconds of ``work`` after one that does not count."""
    work()
    taken = []
    for _ in range(times):
        began_s = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began_s)
    return statistics.median(taken)


def serl_update_s(times: int) -> float:
    """One critic update's passes of the frozen eye [s]; a quarter of the batch, four times."""
    eye, part = resnet10().eval(), SERL_BATCH // 4
    pictures = torch.randint(0, 256, (part, 3, SERL_PX, SERL_PX), dtype=torch.uint8)

    @torch.inference_mode()
    def quarter() -> None:
        for _ in range(2 * SERL_CAMERAS):  # observation and successor
            eye(pictures.to(torch.float32, memory_format=torch.channels_last) / 255.0)

    return 4.0 * median_s(quarter, times)


def ferm_update_s(times: int) -> float:
    """One published CURL-SAC update at batch 128 [s]."""
    rng = np.random.default_rng(0)
    replay, agent = StackedReplay(512, 4), ReferenceCurl(4)
    for _ in range(512):
        stack = rng.integers(0, 256, (9, 100, 100), dtype=np.uint8)
        replay.add(stack, rng.uniform(-1, 1, 4).astype(np.float32), 0.0, stack, 1.0)
    step = 0

    def update() -> None:
        nonlocal step
        step += 1
        agent.update(replay.sample(128, rng), step)

    return median_s(update, times)


def main() -> None:
    """Command line; see the first lines of this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps-serl", type=int, required=True, help="env steps to 0.9")
    parser.add_argument("--steps-ferm", type=int, required=True, help="env steps to 0.9")
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    serl_s, ferm_s = serl_update_s(options.times), ferm_update_s(options.times)
    numbers = {
        "serl_update_s": round(serl_s, 3),
        "serl_minutes": round(options.steps_serl * SERL_UPDATES * serl_s / 60.0, 1),
        "ferm_update_s": round(ferm_s, 3),
        "ferm_minutes": round(options.steps_ferm * FERM_UPDATES * ferm_s / 60.0, 1),
        "steps_serl": options.steps_serl,
        "steps_ferm": options.steps_ferm,
        "threads": torch.get_num_threads(),
        "commit": commit(),
        "machine": machine(),
    }
    write_json(options.json or "-", numbers)


if __name__ == "__main__":
    tune_allocator()
    main()
