"""What augmentation is for a state vector: a random amplitude, or noise to compare it with.

RAD's study on state inputs (Laskin et al. 2020, section 4.2; released code ``rad_openaigym``):
multiply what the networks see by a number drawn anew for every batch. Acting sees the state as it
is.
"""

import torch
from torch import Tensor

from handful.learn.settings import StateAugmentSettings


def augment_state(
    settings: StateAugmentSettings, state: Tensor, successor: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """A batch's states and its successors' (B, P), as the networks shall see them.

    ``amplitude``: times z, uniform in [low, high], one a sample or one a dimension
    (``per_dimension``); the successor by the same z when ``shared``.
    ``gaussian``: plus normal noise of ``std`` on each number with ``mask_probability``, always
    independent for the successor.
    """
    if settings.kind == "none":
        return state, successor
    if settings.kind == "gaussian":
        return _noisy(settings, state, generator), _noisy(settings, successor, generator)
    first = _amplitude(settings, state, generator)
    second = first if settings.shared else _amplitude(settings, successor, generator)
    return state * first, successor * second


def _amplitude(settings: StateAugmentSettings, like: Tensor, generator: torch.Generator) -> Tensor:
    shape = like.shape if settings.per_dimension else (len(like), 1)
    unit = torch.rand(shape, generator=generator, device=like.device)
    return settings.low + (settings.high - settings.low) * unit


def _noisy(settings: StateAugmentSettings, state: Tensor, generator: torch.Generator) -> Tensor:
    noise = torch.randn(state.shape, generator=generator, device=state.device)
    chosen = torch.rand(state.shape, generator=generator, device=state.device)
    return state + settings.std * noise * (chosen < settings.mask_probability)
