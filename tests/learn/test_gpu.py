"""What only an NVIDIA GPU runs: gather kernel, convolutions, recorded updates. Else skipped."""

from typing import Any

import numpy as np
import pytest
import torch
from learn_kit import ColourWorld, fill, settings, spec

from handful.learn import fused, gather_gpu
from handful.learn.compute import set_precision
from handful.learn.gather import gather_pictures
from handful.learn.learner import Learner

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
GPU = torch.device("cuda", 0)


@pytest.mark.parametrize("stack", [1, 3, 6])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_gather_kernel_gives_the_hosts_bytes(stack: int, dtype: torch.dtype) -> None:
    assert gather_gpu.works_on(GPU)
    rng, side = np.random.default_rng(stack), 17
    frames = rng.integers(0, 256, (30, 2, 20, 22, 3), dtype=np.uint8)
    slots, offsets = rng.integers(0, 30, (9, stack)), rng.integers(-4, 6, (9, 2))
    wanted = np.empty((9, side, side, 3 * stack), np.uint8)
    gather_pictures(frames, slots, offsets, wanted, (1, 2))
    there = (torch.from_numpy(array).to(GPU) for array in (frames, slots, offsets))
    seen = gather_gpu.gather_pictures(*there, side, 1, dtype)
    assert seen.is_contiguous(memory_format=torch.channels_last)
    seen = seen.permute(0, 2, 3, 1).float().cpu().numpy()
    np.testing.assert_array_equal(seen[..., : 3 * stack], wanted)
    assert not seen[..., 3 * stack :].any()


@pytest.mark.parametrize("stride", [1, 2])
def test_a_fused_convolution_and_its_gradients(stride: int) -> None:
    set_precision("fp32")
    generator = torch.Generator().manual_seed(stride)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    x, weight, bias = draw(4, 16, 12, 12), 0.2 * draw(8, 16, 3, 3), draw(8)
    side = (12 - 3) // stride + 1
    outer = draw(4, 8, side, side)

    def run(device: torch.device, dtype: torch.dtype) -> list[torch.Tensor]:
        leaves = [t.to(device, dtype).requires_grad_() for t in (x, weight, bias)]
        seen = leaves[0].to(memory_format=torch.channels_last)
        if device.type == "cuda":
            assert fused.fits(seen)
            out = fused.convolve_relu(seen, leaves[1], leaves[2], stride)
        else:
            out = torch.relu(torch.nn.functional.conv2d(seen, leaves[1], leaves[2], stride))
        (out * outer.to(device, dtype)).sum().backward()
        return [t.detach().cpu().double() for t in (out, *(leaf.grad for leaf in leaves))]

    exact = run(torch.device("cpu"), torch.float64)
    for found, right in zip(run(GPU, torch.float32), exact, strict=True):
        assert float((found - right).norm() / right.norm()) < 1e-5


PROFILES: dict[str, dict[str, Any]] = {
    "curl": {},
    "rad": {},
    "rad_translate": {"augment__effects": ["grayscale", "cutout_colour", "jitter"]},
    "drq": {"augment__target_views": 2, "augment__loss_views": 2},
    "lean": {"clone__weight": 0.5, "clone__anneal_steps": 30},
    "frozen": {"critic__count": 3, "critic__subsample": 2},
    "lean_dmc": {},
    "lean_dmc_foresees": {"predict__weight": 1.0},
    "state": {"augment__pad_px": 0, "pretrain__updates": 0},
}


def metrics_of(name: str, **compute: Any) -> list[dict[str, float]]:
    changed = {f"compute__{key}": value for key, value in compute.items()}
    base = {"batch_size": 8, "update_to_data": 1.0, "compute__precision": "fp32"}
    profile = settings(name.removesuffix("_foresees"), **{**base, **PROFILES[name], **changed})
    shapes = spec(profile, () if profile.from_state else ("third",))
    learner, world = Learner(profile, shapes, seed=3, device="cuda"), ColourWorld(shapes, 5)
    fill(learner, world, 12, demo=True)
    if learner.agent.frozen:
        learner.pretrain()
    seen = []
    for _ in range(7):
        fill(learner, world, 2, demo=False)
        seen.append(learner.update())
    assert learner.updates == 14
    return seen


@pytest.mark.parametrize("name", PROFILES)
def test_recorded_updates_learn_what_updates_as_written_learn(name: str) -> None:
    written = metrics_of(name, graphs="never", replay_on="host")
    for replay_on in ("device", "host"):
        recorded = metrics_of(name, graphs="always", replay_on=replay_on)
        for before, after in zip(written, recorded, strict=True):
            # Sums in another order: cuDNN's kernels for the weights' gradients add as they come.
            assert after == pytest.approx(before, rel=2e-2, abs=2e-3)
