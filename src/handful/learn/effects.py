"""RAD's augmentations that change pixels: holes, turns, colours; batched, on the agent's device.

Each is a pair: what is drawn (once a sample) and what is done with it (alike to every frame of a
stack and every camera). Sources: RAD (Laskin et al. 2020, section 4) and its released DMControl
code, whose probabilities and ranges are the defaults; docs/departures.md says where they differ.
Holes, turns and grey keep bytes; convolution and jitter give floats on the same 0..255 scale. In
acting and evaluation none of them is applied.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from handful.learn.settings import AugmentSettings

Drawn = dict[str, Tensor]
_LUMA = (0.2989, 0.587, 0.114)
_WHITE = 255.0


class Effects:
    """The effects of a profile, in its order.

    Args:
        settings: which, how often and how strongly.
        side_px: of the pictures they get, the network's input.
    """

    def __init__(self, settings: AugmentSettings, side_px: int) -> None:
        self.settings, self.side_px, self.names = settings, side_px, settings.effects

    def __bool__(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.names)

    def draw(self, count: int, generator: torch.Generator) -> list[Drawn]:
        """What ``apply`` needs for ``count`` samples, on the generator's device."""
        return [_DRAW[name](self, count, generator) for name in self.names]

    def apply(self, pictures: Tensor, drawn: Sequence[Drawn]) -> Tensor:
        """Pictures (B, 3K, S, S), uint8 or float in 0..255, changed; the argument stays whole."""
        for name, one in zip(self.names, drawn, strict=True):
            pictures = _APPLY[name](pictures, one)
        return pictures

    def _uniform(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        return torch.rand(shape, generator=generator, device=generator.device)

    def _integers(self, low: int, high: int, count: int, generator: torch.Generator) -> Tensor:
        shape, device = (count,), generator.device
        return torch.randint(low, high + 1, shape, generator=generator, device=device)

    # What is drawn.

    def draw_gray(self, count: int, generator: torch.Generator) -> Drawn:
        """Which samples turn grey."""
        return {"on": self._uniform((count,), generator) < self.settings.gray_probability}

    def draw_flip(self, count: int, generator: torch.Generator) -> Drawn:
        """Which samples are mirrored."""
        return {"on": self._uniform((count,), generator) < self.settings.flip_probability}

    def draw_rotate(self, count: int, generator: torch.Generator) -> Drawn:
        """Quarter turns, 0 for most, 1 to 3 alike for the others."""
        turned = self._uniform((count,), generator) < self.settings.rotate_probability
        return {"turns": torch.where(turned, self._integers(1, 3, count, generator), 0)}

    def draw_cutout(self, count: int, generator: torch.Generator) -> Drawn:
        """Height and width of the box, which are its position too (as in the released code)."""
        low, high = self.settings.cutout_px
        height = self._integers(low, high, count, generator)
        width = self._integers(low, high, count, generator)
        colour = torch.zeros((count, 3), dtype=torch.uint8, device=generator.device)
        return {"height": height, "width": width, "colour": colour}

    def draw_cutout_colour(self, count: int, generator: torch.Generator) -> Drawn:
        """The same with a colour, 0..254 a channel."""
        drawn = self.draw_cutout(count, generator)
        colour = self._integers(0, 254, 3 * count, generator)
        return drawn | {"colour": colour.reshape(count, 3).to(torch.uint8)}

    def draw_window(self, count: int, generator: torch.Generator) -> Drawn:
        """Top-left corner of the part that stays; its side is a share of the picture's."""
        side = max(1, round(self.settings.window_share * self.side_px))
        top = self._integers(0, self.side_px - side, count, generator)
        left = self._integers(0, self.side_px - side, count, generator)
        return {"top": top, "left": left, "side": torch.full_like(top, side)}

    def draw_convolution(self, count: int, generator: torch.Generator) -> Drawn:
        """A 3x3 filter from 3 to 3 colours for each sample, Xavier-normal (fans of 27 and 27)."""
        shape = (count, 3, 3, 3, 3)
        normal = torch.randn(shape, generator=generator, device=generator.device)
        return {"weight": normal * math.sqrt(2.0 / (27 + 27))}

    def draw_jitter(self, count: int, generator: torch.Generator) -> Drawn:
        """Factors of brightness, contrast, saturation, a turn of the hue, and one coin for all.

        The coin says whether contrast comes before the other three or after them.
        """
        spread, turn = self.settings.jitter, self.settings.jitter_hue
        low, names = 1.0 - spread, ("brightness", "contrast", "saturation")
        drawn = {name: low + 2 * spread * self._uniform((count,), generator) for name in names}
        drawn["hue"] = turn * (2.0 * self._uniform((count,), generator) - 1.0)
        return drawn | {"contrast_first": self._uniform((1,), generator) < 0.5}


# What is done. ``_column`` makes (B,) broadcast over (B, 3K, S, S).


def _column(values: Tensor) -> Tensor:
    return values.reshape(-1, 1, 1, 1)


def _frames(pictures: Tensor) -> Tensor:
    """(B, 3K, S, S) as (B, K, 3, S, S): every frame by itself."""
    return pictures.unflatten(1, (-1, 3))


def _grayscale(pictures: Tensor, drawn: Drawn) -> Tensor:
    """Luma cut to whole bytes, in all three channels of the chosen samples."""
    luma = sum(w * c for w, c in zip(_LUMA, _frames(pictures).unbind(2), strict=True))
    assert isinstance(luma, Tensor)
    gray = luma.floor().to(pictures.dtype).repeat_interleave(3, 1)
    return torch.where(_column(drawn["on"]), gray, pictures)


def _flip(pictures: Tensor, drawn: Drawn) -> Tensor:
    """Left and right exchanged."""
    return torch.where(_column(drawn["on"]), pictures.flip(3), pictures)


def _rotate(pictures: Tensor, drawn: Drawn) -> Tensor:
    """Counter-clockwise by ``turns`` quarters."""
    turns, out = _column(drawn["turns"]), pictures
    for quarter in (1, 2, 3):
        out = torch.where(turns == quarter, pictures.rot90(quarter, (2, 3)), out)
    return out


def _box(pictures: Tensor, top: Tensor, left: Tensor, height: Tensor, width: Tensor) -> Tensor:
    """(B, 1, S, S) bool: rows top to top + height, columns left to left + width."""
    at = torch.arange(pictures.shape[-1], device=pictures.device)
    row, column = at.reshape(1, 1, -1, 1), at.reshape(1, 1, 1, -1)
    top, left, height, width = (_column(v) for v in (top, left, height, width))
    return (row >= top) & (row < top + height) & (column >= left) & (column < left + width)


def _cutout(pictures: Tensor, drawn: Drawn) -> Tensor:
    """The box covers rows h to 2h and columns w to 2w, which ties its place to its size."""
    height, width = drawn["height"], drawn["width"]
    colour = drawn["colour"].to(pictures.dtype).repeat(1, pictures.shape[1] // 3)
    hole = _box(pictures, height, width, height, width)
    return torch.where(hole, colour[:, :, None, None], pictures)


def _window(pictures: Tensor, drawn: Drawn) -> Tensor:
    """All but the window becomes black."""
    side = drawn["side"]
    return pictures * _box(pictures, drawn["top"], drawn["left"], side, side)


def _convolution(pictures: Tensor, drawn: Drawn) -> Tensor:
    """Each sample's own filter over each of its frames, zero-padded, not clipped."""
    weight = drawn["weight"]
    frames = _frames(pictures).transpose(0, 1).to(weight.dtype)  # (K, B, 3, S, S)
    out = torch.nn.functional.conv2d(
        frames.flatten(1, 2), weight.flatten(0, 1), padding=1, groups=len(weight)
    )
    return out.unflatten(1, (-1, 3)).transpose(0, 1).flatten(1, 2)


def _contrast(frames: Tensor, factor: Tensor) -> Tensor:
    """About each channel's mean over the picture; a factor of one changes nothing."""
    mean = frames.mean((3, 4), keepdim=True)
    return ((frames - mean) * factor + mean).clamp(0.0, _WHITE)


def _jitter(pictures: Tensor, drawn: Drawn) -> Tensor:
    """Brightness, hue and saturation in HSV, contrast before or after them."""
    factor = {name: value.reshape(-1, 1, 1, 1, 1) for name, value in drawn.items()}
    first, one = factor.pop("contrast_first"), torch.ones((), device=pictures.device)
    frames = _frames(pictures.float())
    frames = _contrast(frames, torch.where(first, factor["contrast"], one))
    red, green, blue = frames.unbind(2)
    value, least = frames.amax(2), frames.amin(2)
    chroma = value - least
    safe = torch.where(chroma > 0.0, chroma, one)
    # Hue in sixths of a turn; at a tie any of the fitting branches gives the same angle.
    hue = torch.where(
        value == red,
        (green - blue) / safe,
        torch.where(value == green, 2.0 + (blue - red) / safe, 4.0 + (red - green) / safe),
    )
    flat = {name: value.squeeze(2) for name, value in factor.items()}
    saturation = chroma / torch.where(value > 0.0, value, one)
    value = (value * flat["brightness"]).clamp(0.0, _WHITE)
    hue = hue + 6.0 * flat["hue"]
    saturation = (saturation * flat["saturation"]).clamp(0.0, 1.0)
    # Channel n is V - V S max(0, min(k, 4 - k, 1)) with k = (n + 6 H) mod 6, n = 5, 3, 1.
    n = torch.arange(5.0, 0.0, -2.0, device=hue.device).reshape(3, 1, 1)
    k = (hue.unsqueeze(2) + n) % 6.0
    ramp = torch.minimum(k, 4.0 - k).clamp(0.0, 1.0)
    frames = value.unsqueeze(2) * (1.0 - saturation.unsqueeze(2) * ramp)
    return _contrast(frames, torch.where(first, one, factor["contrast"])).flatten(1, 2)


_DRAW: dict[str, Callable[[Effects, int, torch.Generator], Drawn]] = {
    "window": Effects.draw_window,
    "grayscale": Effects.draw_gray,
    "cutout": Effects.draw_cutout,
    "cutout_colour": Effects.draw_cutout_colour,
    "flip": Effects.draw_flip,
    "rotate": Effects.draw_rotate,
    "convolution": Effects.draw_convolution,
    "jitter": Effects.draw_jitter,
}
_APPLY: dict[str, Callable[[Tensor, Drawn], Tensor]] = {
    "window": _window,
    "grayscale": _grayscale,
    "cutout": _cutout,
    "cutout_colour": _cutout,
    "flip": _flip,
    "rotate": _rotate,
    "convolution": _convolution,
    "jitter": _jitter,
}
