"""Convolution, bias and ReLU as one kernel of cuDNN or oneDNN, with gradients by the fastest ones.

As torch writes them they are two or three kernels, and the small ones each read and write the whole
map; in bfloat16 on a CPU the ReLU is no cheaper than the convolution. On a GPU the
gradient of a convolution's input is a convolution too, of the padded gradient with the turned
kernel, and at stride 1 cuDNN's forward kernel does it sooner than its backward one. Same maths as
``torch.relu(conv2d)``; on a CPU the same to the bit.
"""

from typing import Any

import torch
from torch import Tensor

_ONEDNN_RELU: Any = getattr(torch.ops.mkldnn, "_convolution_pointwise", None)
"""What torch's own compiler emits for a CPU; no public function says it."""

_ONEDNN_TYPES: set[torch.dtype] = set()
if _ONEDNN_RELU is not None and torch.backends.mkldnn.is_available():
    _ONEDNN_TYPES.add(torch.float32)
    if torch.ops.mkldnn._is_mkldnn_bf16_supported():  # else it refuses, where torch's own is slow
        _ONEDNN_TYPES.add(torch.bfloat16)


def fits(x: Tensor) -> bool:
    """Whether ``convolve_relu`` can take this map: on an NVIDIA GPU or by oneDNN, not in a trace.

    What is traced is acting, on one picture (``learn.acting``).
    """
    if torch.jit.is_tracing():  # type: ignore[attr-defined]
        return False
    if x.device.type == "cpu":
        return x.dtype in _ONEDNN_TYPES
    return (
        x.device.type == "cuda"
        and torch.backends.cudnn.is_available()
        and torch.version.hip is None
        and x.dtype in (torch.float32, torch.bfloat16, torch.float16)
    )


def convolve_relu(x: Tensor, weight: Tensor, bias: Tensor, stride: int) -> Tensor:
    """relu(conv2d(x, weight, bias, stride)): (B, C, H, W) to (B, D, h, w), NHWC in memory.

    weight, bias: taken to the type of ``x``, gradients come in their own.
    """
    out: Tensor = _ConvolveRelu.apply(x, weight.to(x.dtype), bias.to(x.dtype), stride)
    return out


class _ConvolveRelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, stride: int) -> Tensor:
        strides, none, one = (stride, stride), (0, 0), (1, 1)
        if x.device.type == "cpu":
            out = _ONEDNN_RELU(x, weight, bias, none, strides, one, 1, "relu", [], "")
        else:
            out = torch.cudnn_convolution_relu(x, weight, bias, strides, none, one, 1)
        ctx.save_for_backward(x, weight, out)
        ctx.stride = stride
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor, Tensor, None]:
        x, weight, out = ctx.saved_tensors
        grad = grads[0].to(memory_format=torch.channels_last)
        grad = torch.ops.aten.threshold_backward(grad, out, 0)
        on_gpu = x.device.type == "cuda"
        by_forward = on_gpu and ctx.needs_input_grad[0] and ctx.stride == 1
        of_x, of_weight, of_bias = torch.ops.aten.convolution_backward(
            grad,
            x,
            weight,
            [len(weight)],
            [ctx.stride, ctx.stride],
            [0, 0],
            [1, 1],
            False,
            [0, 0],
            1,
            [ctx.needs_input_grad[0] and not by_forward, True, True],
        )
        if by_forward:
            turned = weight.flip(2, 3).transpose(0, 1)
            turned = turned.contiguous(memory_format=torch.channels_last)
            reach = weight.shape[2] - 1
            of_x = torch.nn.functional.conv2d(grad, turned, padding=reach)
        return of_x, of_weight, of_bias, None
