"""3x3 convolution at stride 1 and ReLU with a quarter of the products: Winograd's F(4x4, 3x3).

Four by four outputs of a 3x3 convolution need 144 products a pair of channels; through the
transforms of Lavin and Gray (arXiv:1509.09308) they need 36: Y = A' [(G g G') * (B' d B)] A, where
the product sums over the input's channels. The gradient of the input is the same convolution of the
padded gradient with the turned kernel; that of the kernel is the formula transposed,
G' [(B' d B) * (A y A')] G. Same maths as ``torch.relu(conv2d)``; each output's rounding error is
some five times torch's, 1e-6 instead of 2e-7 of the whole.

Only float32 on the CPU, NHWC in memory; ``fits`` tells whether it is worth it. What runs is in
``learn.winograd_kernels``; here it meets torch's gradients and threads.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from handful.learn.winograd_kernels import CAPABILITY, LIFTED, backward, convolve

SMALLEST_PX, SMALLEST_BATCH = 24, 16  # below, whole tiles waste what they save
_CHANNELS = 32  # channels come in multiples of this

# Lavin and Gray's G.
LIFT_KERNEL = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)


def fits(x: Tensor, convolution: torch.nn.Conv2d) -> bool:
    """Whether ``convolve_relu`` can take this convolution of this map, and will be faster.

    Not in a trace: what is traced is acting, on one picture (``learn.acting``).
    """
    return (
        not torch.jit.is_tracing()  # type: ignore[attr-defined]
        and CAPABILITY in ("AVX2", "AVX512")
        and x.dtype == torch.float32
        and x.device.type == "cpu"
        and convolution.kernel_size == (3, 3)
        and convolution.stride == (1, 1)
        and convolution.padding == (0, 0)
        and convolution.in_channels % _CHANNELS == 0
        and convolution.out_channels % _CHANNELS == 0
        and min(x.shape[2:]) >= SMALLEST_PX + 2
        and len(x) >= SMALLEST_BATCH
    )


def convolve_relu(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """relu(conv2d(x, weight, bias)): (B, C, H, W) to (B, D, H - 2, W - 2), NHWC in memory."""
    out: Tensor = _ConvolveRelu.apply(x, weight, bias)
    return out


class _ConvolveRelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        count, _, height, width = x.shape
        out = torch.empty(count, height - 2, width - 2, len(weight))
        source, target, lifted = _rows(x), out.numpy(), _lift_kernel(weight)
        offset = bias.detach().numpy()
        _share(count, lambda first, past: convolve(source, lifted, offset, target, first, past))
        result = out.permute(0, 3, 1, 2)
        ctx.save_for_backward(x, weight, result)
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        x, weight, result = ctx.saved_tensors
        count, channels, height, width = x.shape
        wanted = ctx.needs_input_grad[0]
        to_input = torch.empty((count, height, width, channels) if wanted else (0, 1, 1, channels))
        turned = _lift_kernel(weight.flip(2, 3).transpose(0, 1))
        source, after, above = _rows(x), _rows(result), _rows(gradient)
        target = to_input.numpy()

        def work(first: int, past: int) -> tuple[Tensor, Tensor]:
            lifted = torch.zeros(LIFTED, LIFTED, channels, len(weight))
            offset = torch.zeros(len(weight))
            out = lifted.numpy(), offset.numpy()
            backward(source, after, above, turned, target, *out, first, past)
            return lifted, offset

        parts = _share(count, work)
        lifted = torch.stack([part[0] for part in parts]).sum(0)
        lift = torch.tensor(LIFT_KERNEL)
        to_weight = torch.einsum("ay,abio,bx->oiyx", lift, lifted, lift)
        to_bias = torch.stack([part[1] for part in parts]).sum(0)
        return to_input.permute(0, 3, 1, 2) if wanted else None, to_weight, to_bias


def _rows(pictures: Tensor) -> NDArray[np.float32]:
    """(B, C, H, W) as a contiguous array (B, H, W, C); a copy only when it is not NHWC already."""
    array: NDArray[np.float32] = pictures.detach().permute(0, 2, 3, 1).contiguous().numpy()
    return array


def _lift_kernel(weight: Tensor) -> NDArray[np.float32]:
    """(D, C, 3, 3) to (6, 6, C, D)."""
    lift = torch.tensor(LIFT_KERNEL)
    lifted = torch.einsum("ay,oiyx,bx->abio", lift, weight.detach(), lift)
    array: NDArray[np.float32] = lifted.contiguous().numpy()
    return array


@cache  # but a forked child has none of its parent's threads
def _pool(helpers: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(helpers, thread_name_prefix="winograd")


os.register_at_fork(after_in_child=_pool.cache_clear)


def _share(count: int, work: Callable[[int, int], Any]) -> list[Any]:
    """``work(first, past)`` over parts of ``range(count)``, one for each of torch's threads."""
    threads = torch.get_num_threads()
    ends = [count * part // threads for part in range(threads + 1)]
    if threads == 1:
        return [work(0, count)]
    jobs = [_pool(threads - 1).submit(work, *ends[i : i + 2]) for i in range(1, threads)]
    return [work(0, ends[1])] + [job.result() for job in jobs]
