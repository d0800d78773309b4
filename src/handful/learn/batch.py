"""What an update is given: a batch of tensors, and which of its parts are due."""

from dataclasses import dataclass

from torch import Tensor

from handful.learn.encoder import Pictures


@dataclass
class TensorBatch:
    """One batch on the device.

    obs, next_obs, positive: per camera pictures (B, 3K, S, S) uint8, or cached features (B, F)
    when the encoder is frozen; with M = ``augment.loss_views`` obs holds (M * B, ...), one view of
    the whole batch after the other, with K = ``augment.target_views`` next_obs (K * B, ...).
    state, next_state: (B, P). action: (B, A). reward, discount: (B, 1), the n-step sum and gamma^n
    (0 past an end). demo: (B, 1), 1 for demonstrated steps.
    """

    obs: Pictures
    next_obs: Pictures
    positive: Pictures | None
    state: Tensor
    next_state: Tensor
    action: Tensor
    reward: Tensor
    discount: Tensor
    demo: Tensor


@dataclass(frozen=True)
class Plan:
    """What one update consists of; updates of one plan are the same program on other numbers.

    contrast: weight of the InfoNCE loss, 0 without. actor, targets: whether they move. cloning:
    whether the actor's loss has its cloning term, whose weight may change with every update.
    """

    contrast: float
    actor: bool
    targets: bool
    cloning: bool
