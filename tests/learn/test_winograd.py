"""The fast convolution against torch's own, in values and in every gradient."""

import os
import warnings

import pytest
import torch
from torch import Tensor, nn

from handful.learn import winograd


def _case(batch: int, height: int, width: int, inputs: int = 32, outputs: int = 32) -> list[Tensor]:
    torch.manual_seed(0)
    x = torch.randn(batch, inputs, height, width).to(memory_format=torch.channels_last)
    weight = torch.randn(outputs, inputs, 3, 3) * (2 / (9 * inputs)) ** 0.5
    return [x, weight, torch.randn(outputs)]


def _plain(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return torch.relu(nn.functional.conv2d(x, weight, bias))


def _distance(found: Tensor, exact: Tensor) -> float:
    return float((found.double() - exact).norm() / exact.norm())


@pytest.fixture(params=[1, 2, 3])
def threads(request):
    """Thread counts that divide a batch and one that does not."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


# Sizes whose last tile reaches back over 0, 1, 2 and 3 outputs, square and not; the curl profile's.
SIZES = [(26, 26), (27, 28), (28, 29), (29, 41), (41, 41), (39, 39), (37, 37)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [(32, 32), (64, 32), (32, 96)])
def test_values_and_gradients_are_those_of_the_plain_convolution(size, channels, threads):
    given = _case(4, *size, *channels)
    exact = [value.double().requires_grad_() for value in given]
    ours = [value.clone().requires_grad_() for value in given]
    result, plain = winograd.convolve_relu(*ours), _plain(*exact)
    assert result.is_contiguous(memory_format=torch.channels_last)
    assert _distance(result.detach(), plain.detach()) < 5e-6
    # Where rounding decides whether a ReLU lives, gradients differ for a reason: leave those out.
    away = (plain.detach().abs() > 1e-4) | (nn.functional.conv2d(*exact).detach() < -1e-4)
    above = torch.randn(result.shape) * away
    result.backward(above)
    plain.backward(above.double())
    for name, own, other in zip(("input", "kernel", "bias"), ours, exact, strict=True):
        assert own.grad is not None and other.grad is not None
        assert _distance(own.grad, other.grad) < 1e-5, name


def test_no_gradient_of_the_input_is_made_that_nobody_wants():
    x, weight, bias = _case(2, 26, 26)
    weight.requires_grad_()
    result = winograd.convolve_relu(x, weight, bias)
    result.sum().backward()
    assert x.grad is None and weight.grad is not None


def test_gradient_and_input_may_have_any_layout():
    x, weight, bias = _case(2, 27, 27)
    rows = x.contiguous().requires_grad_()
    columns = x.clone(memory_format=torch.channels_last).requires_grad_()
    above = torch.randn(2, 32, 25, 25)
    winograd.convolve_relu(rows, weight, bias).backward(above)
    winograd.convolve_relu(columns, weight, bias).backward(
        above.contiguous(memory_format=torch.channels_last)
    )
    assert torch.equal(rows.grad, columns.grad)


def test_not_a_number_is_not_hidden_by_the_relu():
    x, weight, bias = _case(2, 26, 26)
    x[1, 0, 5, 5] = float("nan")
    result = winograd.convolve_relu(x, weight, bias)
    assert result[1].isnan().any() and not result[0].isnan().any()


def test_only_large_maps_of_large_batches_in_single_precision():
    if torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"):
        pytest.skip("this processor takes torch's convolution")
    large = torch.empty(16, 32, 26, 26)
    assert winograd.fits(large, nn.Conv2d(32, 32, 3))
    assert not winograd.fits(large[:1], nn.Conv2d(32, 32, 3))
    assert not winograd.fits(large[..., :25], nn.Conv2d(32, 32, 3))
    assert not winograd.fits(large.double(), nn.Conv2d(32, 32, 3))
    assert not winograd.fits(large, nn.Conv2d(32, 32, 3, stride=2))
    assert not winograd.fits(large, nn.Conv2d(32, 48, 3))
    assert not winograd.fits(large, nn.Conv2d(32, 32, 5))
    assert not winograd.fits(large, nn.Conv2d(32, 32, 3, padding=1))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_has_threads_of_its_own():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert winograd._share(2, lambda first, past: past - first) == [1, 1]
        child = os.fork()
        if child == 0:
            os._exit(0 if winograd._share(2, lambda first, past: past - first) == [1, 1] else 1)
        assert os.waitpid(child, 0)[1] == 0
    finally:
        torch.set_num_threads(before)


def test_a_trace_of_one_picture_does_not_ask_for_its_size() -> None:
    layer = torch.nn.Conv2d(32, 32, 3).to(memory_format=torch.channels_last)

    def seen(x: torch.Tensor) -> torch.Tensor:
        return x + 1.0 if winograd.fits(x, layer) else x

    picture = torch.rand(1, 32, 40, 40).to(memory_format=torch.channels_last)
    with warnings.catch_warnings():
        warnings.simplefilter("error", torch.jit.TracerWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.trace(seen, (picture,), check_trace=False)
