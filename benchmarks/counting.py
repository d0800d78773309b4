"""What an update must do, counted and not timed: floating-point operations, and bytes touched.

FLOPs: two for each multiply-add of matrix products and convolutions, forward and backward, as if
every convolution were computed directly. Bytes: what each operator reads and writes, views apart;
an upper bound of what a machine must move, for caches and fused kernels save some of it.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count

from handful.learn import winograd
from handful.learn.compute import set_precision

PICKS = ("index", "index_select", "gather", "embedding")  # read of their source what they give


class Bytes(TorchDispatchMode):
    """Adds up what operators read and write; one whose result aliases an argument is a view."""

    def __init__(self) -> None:
        super().__init__()
        self.total = self.operators = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if getattr(func, "is_view", False) or func.overloadpacket.__name__ == "detach":
            return result
        self.operators += 1
        if func.overloadpacket.__name__ in PICKS:
            self.total += result.nbytes
            args = args[1:]
        for tensor in {id(t): t for t in _tensors((args, kwargs, result))}.values():
            self.total += tensor.nbytes
        return result


def count(update: Callable[[], Any], updates: int = 2) -> dict[str, float]:
    """Per update, over ``updates`` of them: ``gflop``, ``megabytes``, ``operators``.

    Two by default, because in the published profiles actor and targets move in every second one.
    Winograd's kernels, which neither mode sees, are left out meanwhile.
    """
    fused = {
        torch.ops.aten.cudnn_convolution_relu: _convolution,
        torch.ops.mkldnn._convolution_pointwise: _convolution,
    }
    flops, moved = FlopCounterMode(display=False, custom_mapping=fused), Bytes()
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(winograd, "fits", lambda x, convolution: False))
        stack.enter_context(flops)
        stack.enter_context(moved)
        for _ in range(updates):
            update()
    return {
        "gflop": flops.get_total_flops() / updates / 1e9,
        "megabytes": moved.total / updates / 1e6,
        "operators": moved.operators / updates,
    }


def _convolution(x: Any, weight: Any, *_: Any, out_shape: Any = None, **__: Any) -> int:
    """FLOPs of a convolution with bias and ReLU, of shapes; the latter two are not counted."""
    found: int = conv_flop_count(x, weight, out_shape)
    return found


def roofline_s(gflop: float, megabytes: float, gflop_s: float, gb_s: float) -> tuple[float, str]:
    """Least time of an update on a machine of these ceilings [s], and which one binds."""
    computing, moving = gflop / gflop_s, megabytes / 1e3 / gb_s
    return max(computing, moving), "compute" if computing >= moving else "memory"


def ceilings(
    device: torch.device,
    seconds: Callable[[], float],
    repeats: int = 5,
    dtype: torch.dtype = torch.float32,
) -> dict[str, float]:
    """What the device can do at best: ``matmul_gflop_s``, ``copy_gb_s`` (read and written).

    seconds: a clock; the best of ``repeats`` is taken, each long enough for it.
    """
    on_gpu = device.type == "cuda"
    side, numbers = (8192, 1 << 28) if on_gpu else (1024, 1 << 24)
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    source = torch.zeros(numbers, device=device)
    target = torch.empty_like(source)

    def best(work: Callable[[], Any], calls: int) -> float:
        times = []
        for _ in range(repeats + 1):  # the first one warms up
            began = seconds()
            for _ in range(calls):
                work()
            times.append((seconds() - began) / calls)
        return min(times[1:])

    product = best(lambda: torch.mm(a, b), 20 if on_gpu else 4)
    copy = best(lambda: target.copy_(source), 20 if on_gpu else 2)
    return {
        "matmul_gflop_s": 2.0 * side**3 / product / 1e9,
        "copy_gb_s": 2.0 * source.nbytes / copy / 1e9,
    }


def precisions(device: str) -> dict[str, Any]:
    """A GPU's ceilings in ``fp32``, ``tf32`` and ``bf16``, and its name."""

    def synchronised() -> float:
        torch.cuda.synchronize()
        return time.perf_counter()

    found: dict[str, Any] = {"gpu": torch.cuda.get_device_name(device)}
    for name in ("fp32", "tf32", "bf16"):
        set_precision("fp32" if name == "fp32" else "tf32")
        dtype = torch.bfloat16 if name == "bf16" else torch.float32
        found[name] = ceilings(torch.device(device), synchronised, dtype=dtype)
    return found


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_flatten(tree)[0] if isinstance(leaf, Tensor)]
