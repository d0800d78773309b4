"""Convolution, bias and ReLU as one kernel of cuDNN, with gradients by its fastest kernels.

As torch writes them they are three kernels, and the two small ones each read and write the whole
map. The gradient of a convolution's input is a convolution too, of the padded gradient with the
turned kernel, and at stride 1 cuDNN's forward kernel does it sooner than its backward one. Same
maths as ``torch.relu(conv2d)``.
"""

from typing import Any

import torch
from torch import Tensor


def fits(x: Tensor) -> bool:
    """Whether ``convolve_relu`` can take this map: on an NVIDIA GPU, outside of traces.

    What is traced is acting, on one picture (``learn.acting``).
    """
    return (
        x.device.type == "cuda"
        and torch.backends.cudnn.is_available()
        and torch.version.hip is None
        and x.dtype in (torch.float32, torch.bfloat16, torch.float16)
        and not torch.jit.is_tracing()  # type: ignore[attr-defined]
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
        out = torch.cudnn_convolution_relu(x, weight, bias, strides, none, one, 1)
        ctx.save_for_backward(x, weight, out)
        ctx.stride = stride
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor, Tensor, None]:
        x, weight, out = ctx.saved_tensors
        grad = grads[0].to(memory_format=torch.channels_last)
        grad = torch.ops.aten.threshold_backward(grad, out, 0)
        by_forward = ctx.needs_input_grad[0] and ctx.stride == 1
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
