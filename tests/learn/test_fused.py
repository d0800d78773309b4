"""Convolution, bias and ReLU as one oneDNN kernel: on a CPU the same bits as torch's two."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d

from handful.learn import fused

if not fused.fits(torch.zeros(1)):
    pytest.skip("this build of torch has no oneDNN", allow_module_level=True)


def run(dtype: torch.dtype, stride: int, channels: int, as_one: bool) -> list[Tensor]:
    """Output and the gradients of picture, weight and bias."""
    rng = torch.Generator().manual_seed(channels + stride)
    shapes = ((16, channels, 21, 21), (32, channels, 3, 3), (32,))
    leaves = [torch.randn(shape, generator=rng).to(dtype) for shape in shapes]
    leaves = [leaf.requires_grad_() for leaf in leaves]
    seen = leaves[0].to(memory_format=torch.channels_last)
    if as_one:
        out = fused.convolve_relu(seen, leaves[1], leaves[2], stride)
    else:
        out = torch.relu(conv2d(seen, leaves[1], leaves[2], stride))
    outer = torch.randn(out.shape, generator=rng).to(dtype)
    (out * outer).sum().backward()
    return [out, *(leaf.grad for leaf in leaves if leaf.grad is not None)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("channels", [9, 32])
def test_output_and_gradients_are_those_of_the_two_kernels_to_the_bit(
    dtype: torch.dtype, stride: int, channels: int
) -> None:
    if not fused.fits(torch.zeros(1, dtype=dtype)):
        pytest.skip(f"this processor has no instructions for {dtype}")
    found, right = (run(dtype, stride, channels, as_one) for as_one in (True, False))
    assert len(found) == len(right) == 4
    assert (found[0] == 0.0).any() and (found[0] > 0.0).any()
    for one, two in zip(found, right, strict=True):
        assert torch.equal(one, two)


def test_maps_stay_nhwc_and_parameters_get_gradients_of_their_own_type() -> None:
    if not fused.fits(torch.zeros(1, dtype=torch.bfloat16)):
        pytest.skip("this processor has no instructions for bfloat16")
    seen = torch.randn(4, 9, 16, 16).to(torch.bfloat16, memory_format=torch.channels_last)
    weight, bias = torch.randn(32, 9, 3, 3).requires_grad_(), torch.zeros(32).requires_grad_()
    out = fused.convolve_relu(seen, weight, bias, 2)
    assert out.dtype == torch.bfloat16
    assert out.is_contiguous(memory_format=torch.channels_last)
    out.float().sum().backward()
    assert weight.grad is not None and bias.grad is not None
    assert weight.grad.dtype == bias.grad.dtype == torch.float32


def test_what_onednn_cannot_take_is_left_to_torch() -> None:
    assert not fused.fits(torch.zeros(1, dtype=torch.float64))
    assert not fused.fits(torch.zeros(1, device="meta"))
