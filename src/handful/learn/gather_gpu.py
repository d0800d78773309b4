"""Pictures out of the device's copy of the replay: stack, cut and convert in one pass, on a GPU.

torch's indexing reads four indices for every byte and writes bytes that are then made numbers. This
kernel (Triton, which torch's CUDA builds bring along) writes what the first convolution reads:
NHWC, in its type, with channels up to a multiple of sixteen, for tensor cores take sixteen at a
time and nine would be padded again in every convolution. The rule is ``learn.gather``'s.
"""

import logging
from functools import cache
from typing import Any

import torch
from torch import Tensor

log = logging.getLogger(__name__)

LANES = 16  # channels that tensor cores take at a time
_BLOCK = 1024


def padded(channels: int) -> int:
    """``channels`` up to a multiple of ``LANES``."""
    return -(-channels // LANES) * LANES


def works_on(device: torch.device) -> bool:
    """Whether the kernel can run there; tried once, the reason against it is logged."""
    return device.type == "cuda" and _tried(device)


@cache
def _tried(device: torch.device) -> bool:
    try:
        frames = torch.zeros(1, 1, 1, 1, 3, dtype=torch.uint8, device=device)
        zero = torch.zeros(1, 2, dtype=torch.int64, device=device)
        gather_pictures(frames, zero[:, :1], zero, 1, 0, torch.float32)
    except Exception as error:  # whatever Triton, its compiler or the driver may raise
        log.warning(
            "pictures are gathered by torch's indexing, which is slower: Triton (with a C compiler "
            "such as gcc) does not work here: %s",
            (str(error).strip().splitlines() or [type(error).__name__])[-1],
        )
        return False
    return True


def gather_pictures(
    frames: Tensor, slots: Tensor, offsets_px: Tensor, side_px: int, camera: int, dtype: torch.dtype
) -> Tensor:
    """Windows of stacks as numbers 0..255: (B, 3K, side, side), NHWC in memory, channels padded.

    Output pixel (y, x) of sample b is source pixel (y + offsets_px[b, 0], x + offsets_px[b, 1])
    with both clamped to the picture, of each frame in turn, oldest first.

    Args:
        frames: (S, C, H, W, 3) uint8. slots: (B, K) int64. offsets_px: (B, 2) int64, row, column.
        dtype: of the result, exact for bytes (float32, bfloat16, float16).
    """
    count, stack = slots.shape
    channels = padded(3 * stack)
    out = torch.empty(count, side_px, side_px, channels, dtype=dtype, device=frames.device)
    _, cameras, height, width, _ = frames.shape
    grid = (count, -(-side_px * side_px * channels // _BLOCK))
    _kernel()[grid](
        frames,
        slots.contiguous(),
        offsets_px.contiguous(),
        out,
        camera,
        cameras,
        height,
        width,
        SIDE=side_px,
        STACK=stack,
        CHANNELS=channels,
        BLOCK=_BLOCK,
    )
    return out.permute(0, 3, 1, 2)


@cache
def _kernel() -> Any:
    """The kernel; whoever does not run it needs no Triton."""
    from handful.learn.gather_triton import gather

    return gather
