"""The eye: uint8 pictures to features to a latent; the only place where bytes become numbers.

``Encoder`` holds the convolutions, which critic, actor and contrast share; ``Latent`` is a head's
own projection on top (CURL ties the convolutions of actor and critic and keeps two projections).
"""

import math

import torch
from torch import Tensor, nn

from handful.contract import Spec
from handful.learn import fused, winograd
from handful.learn.networks import orthogonal_
from handful.learn.settings import EncoderSettings

Pictures = dict[str, Tensor]


class Tower(nn.Module):
    """One camera's convolutions: (B, 3K, S, S) uint8 or float in 0..255 to (B, F).

    3x3 kernels without padding, ReLU between. The map is flattened (CURL), or read out as one
    soft-arg-max point (x, y) in [-1, 1] per channel (Levine et al. 2016, section 5.2). The first
    convolution carries the 1/255, so that no float copy of the picture is made to be divided.
    """

    def __init__(self, channels: int, settings: EncoderSettings) -> None:
        super().__init__()
        self.grid: Tensor
        self.keypoints = settings.head == "spatial_softmax"
        convolutions: list[nn.Conv2d] = []
        width, size = channels, settings.input_px
        for stride in settings.strides:
            convolutions.append(nn.Conv2d(width, settings.filters, 3, stride))
            width, size = settings.filters, (size - 3) // stride + 1
        if size < 1:
            raise ValueError(
                f"encoder.input_px {settings.input_px} is too small for strides {settings.strides}"
            )
        self.convolutions = nn.ModuleList(convolutions)
        self.map_px = size
        for convolution in convolutions:
            if settings.delta_orthogonal:
                _delta_orthogonal_(convolution)
            elif settings.orthogonal:
                _orthogonal_(convolution)
        self.feature_dim = width * size * size
        if self.keypoints:
            axis = torch.linspace(-1.0, 1.0, size)
            grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1).reshape(-1, 2)
            self.register_buffer("grid", grid, persistent=False)
            self.log_sharpness = nn.Parameter(torch.zeros(width))
            self.feature_dim = 2 * width

    def forward(self, pictures: Tensor, flat: bool = True) -> Tensor:
        """Pictures to features (B, F), or (B, C, H, W) where they are a map and not ``flat``.

        Channels of ``pictures`` past the stack's are empty (``gather_gpu``).
        """
        first = self.convolutions[0]
        assert isinstance(first, nn.Conv2d)
        scaled = _widened(first.weight * (1.0 / 255.0), pictures)
        dtype = computed_in(pictures.device.type, scaled.dtype)
        # Two calls: in one, torch takes much longer from bytes to bfloat16 (CPU).
        x = pictures.to(dtype).contiguous(memory_format=torch.channels_last)
        bare = self.convolutions[-1] if self.keypoints else None  # read out without a ReLU
        for convolution in self.convolutions:
            assert isinstance(convolution, nn.Conv2d) and convolution.bias is not None
            weight = scaled if convolution is first else convolution.weight
            stride = convolution.stride[0]
            if convolution is bare:
                x = nn.functional.conv2d(x, weight, convolution.bias, stride)
            elif winograd.fits(x, convolution):
                x = winograd.convolve_relu(x, weight, convolution.bias)
            elif fused.fits(x):
                x = fused.convolve_relu(x, weight, convolution.bias, stride)
            else:
                x = torch.relu_(nn.functional.conv2d(x, weight, convolution.bias, stride))
        if not self.keypoints:
            return x.flatten(1) if flat else x
        scores = x.flatten(2) * self.log_sharpness.exp()[:, None]
        return (torch.softmax(scores, -1) @ self.grid).flatten(1)


class Encoder(nn.Module):
    """One tower a camera: dict of (B, 3K, S, S) to dict of (B, F); no camera, no features."""

    def __init__(self, spec: Spec, settings: EncoderSettings) -> None:
        super().__init__()
        self.cameras = spec.cameras
        channels = 3 * spec.frame_stack
        towers = {name: Tower(channels, settings) for name in spec.cameras}
        self.towers = nn.ModuleDict(towers)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.feature_dim: int = towers[spec.cameras[0]].feature_dim if spec.cameras else 0

    def forward(self, pictures: Pictures, flat: bool = True) -> Pictures:
        """Each camera's features (B, F); what ``Latent`` takes without copies, unless ``flat``."""
        return {name: self.towers[name](pictures[name], flat) for name in self.cameras}


class Latent(nn.Module):
    """One head's projection: each camera's features to a LayerNormed latent, beside the state.

    Without cameras there is nothing to project, and the state itself is the latent.
    """

    def __init__(
        self, spec: Spec, settings: EncoderSettings, feature_dim: int, use_state: bool
    ) -> None:
        super().__init__()
        self.cameras, self.tanh, self.use_state = spec.cameras, settings.tanh, use_state
        width = settings.latent_dim
        self.project = nn.ModuleDict(
            {n: orthogonal_(nn.Linear(feature_dim, width)) for n in spec.cameras}
        )
        self.norm = nn.ModuleDict({name: nn.LayerNorm(width) for name in spec.cameras})
        self.visual_dim = width * len(spec.cameras)
        self.dim = self.visual_dim + (spec.state_dim if use_state else 0)

    def visual(self, features: Pictures) -> Tensor:
        """Features per camera to the joint visual latent (B, visual_dim); (1, 0) without any.

        Features: (B, F), or (B, C, H, W) with F = C H W, whose order in memory may be any.
        """
        if not self.cameras:
            return torch.empty(1, 0)
        parts = [
            self.norm[name](_project(self.project[name], features[name])) for name in self.cameras
        ]
        latent = torch.cat(parts, -1) if len(parts) > 1 else parts[0]
        return torch.tanh(latent) if self.tanh else latent

    def beside(self, visual: Tensor, state: Tensor) -> Tensor:
        """The visual latent with the state appended, when the profile uses it: (B, dim)."""
        if not self.cameras:
            return state
        return torch.cat([visual, state], -1) if self.use_state else visual

    def forward(self, features: Pictures, state: Tensor) -> Tensor:
        """Features and state (B, P) to (B, dim)."""
        return self.beside(self.visual(features), state)


def computed_in(device: str, otherwise: torch.dtype) -> torch.dtype:
    """What convolutions compute in, so that no float copy is made only to be rounded."""
    if not torch.is_autocast_enabled(device):
        return otherwise
    return torch.get_autocast_dtype(device)


def _project(linear: nn.Module, features: Tensor) -> Tensor:
    """``linear`` of ``features``, (B, F) or a map (B, C, H, W) that lies NHWC in memory.

    Flattening would copy the map. Instead the weight is turned, and the product taken row by row of
    the map and added up: one product of 128 x 39,200 by 39,200 x 50 leaves most of a GPU idle.
    """
    if features.dim() == 2:
        flat: Tensor = linear(features)
        return flat
    assert isinstance(linear, nn.Linear)
    count, channels, height, width = features.shape
    rows = features.permute(2, 0, 3, 1).reshape(height, count, width * channels)
    weight = linear.weight.reshape(-1, channels, height, width).permute(2, 3, 1, 0)
    product = torch.bmm(rows, weight.reshape(height, width * channels, -1)).sum(0)
    return product if linear.bias is None else product + linear.bias


def _widened(weight: Tensor, pictures: Tensor) -> Tensor:
    """``weight`` with zeros for the channels that ``pictures`` have more than it expects."""
    if torch.jit.is_tracing():  # type: ignore[attr-defined]  # acting: pictures as they are
        return weight
    empty = pictures.shape[1] - weight.shape[1]
    return nn.functional.pad(weight, (0, 0, 0, 0, 0, empty)) if empty else weight


def _delta_orthogonal_(convolution: nn.Conv2d) -> None:
    """All zero but the centre tap, an orthogonal matrix with ReLU gain (Xiao et al. 2018)."""
    weight = torch.zeros_like(convolution.weight)
    centre = convolution.kernel_size[0] // 2
    tap = torch.empty(weight.shape[:2])
    nn.init.orthogonal_(tap, math.sqrt(2.0))
    weight[:, :, centre, centre] = tap
    with torch.no_grad():
        convolution.weight.copy_(weight)
    assert convolution.bias is not None
    nn.init.zeros_(convolution.bias)


def _orthogonal_(convolution: nn.Conv2d) -> None:
    """Rows of the flattened kernel orthogonal with ReLU gain, as DrQ's code starts."""
    nn.init.orthogonal_(convolution.weight, math.sqrt(2.0))
    assert convolution.bias is not None
    nn.init.zeros_(convolution.bias)
