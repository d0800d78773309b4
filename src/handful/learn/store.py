"""The arrays behind the replay: every observation once, stacks and successors by index.

A slot holds one observation: the newest frame of every camera, the state vector, and the
transition that left it, if one did. Slots lie in regions (one a stream of experience), each a ring;
a region's slots wrap around inside it. Which slots are worth sampling, ``learn.replay`` knows.
"""

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handful.contract import Spec
from handful.learn.gather import gather_pictures
from handful.learn.memory import refuse_what_does_not_fit

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Batch:
    """B sampled transitions over n steps; pictures stay in the store until they are augmented.

    index: (B,) int64 slot of the observation. frames, next_frames: (B, K) int64 slots of the stack
    and of its successor's, oldest first. state, next_state: (B, P) float32. action: (B, A) float32.
    reward: (B,) float32, sum over k < n of gamma^k r_k. discount: (B,) float32, the factor of the
    successor's value: gamma^n, 0 after success or fault. demo: (B,) bool, drawn from the demo side.
    """

    index: NDArray[np.int64]
    frames: NDArray[np.int64]
    next_frames: NDArray[np.int64]
    state: NDArray[np.float32]
    next_state: NDArray[np.float32]
    action: NDArray[np.float32]
    reward: NDArray[np.float32]
    discount: NDArray[np.float32]
    demo: NDArray[np.bool_]


class Store:
    """Memory of ``sum(sizes)`` slots in ``len(sizes)`` regions, taken lazily as it is written.

    Attributes (S slots, C cameras, in the order of ``spec.cameras``):
        frames: (S, C, H, W, 3) uint8. state: (S, P) float32. action: (S, A) float32.
        reward, discount: (S,) float32, n-step, of the transition that left the slot.
        ahead: (S,) uint8, steps to the successor the discount belongs to; 0 where none left.
        age: (S,) int32, observations before it in its episode.
    """

    def __init__(
        self, spec: Spec, sizes: tuple[int, ...], setting: str = "replay.capacity"
    ) -> None:
        """Reserve the memory.

        Args:
            spec: shapes of the observations.
            sizes: slots of each region.
            setting: the key that an error tells the reader to lower.
        Raises:
            ReplayTooLarge: more than the machine (or its control group) has left.
        """
        slots = sum(sizes)
        refuse_what_does_not_fit(slots * bytes_per_slot(spec), sizes[0], slots, setting)
        log.info(
            "replay: up to %.2f GB for %d observations of %.1f kB",
            slots * bytes_per_slot(spec) / 1e9,
            slots,
            bytes_per_slot(spec) / 1e3,
        )
        self.spec = spec
        self.edges = np.cumsum((0, *sizes), dtype=np.int64)
        self.sizes = np.asarray(sizes, dtype=np.int64)
        shape = (slots, len(spec.cameras), spec.height_px, spec.width_px, 3)
        # Zeroed pages of a large array are mapped at the first write, not here.
        self.frames: NDArray[np.uint8] = np.zeros(shape, np.uint8)
        self.state: NDArray[np.float32] = np.zeros((slots, spec.state_dim), np.float32)
        self.action: NDArray[np.float32] = np.zeros((slots, spec.action_dim), np.float32)
        self.reward: NDArray[np.float32] = np.zeros(slots, np.float32)
        self.discount: NDArray[np.float32] = np.zeros(slots, np.float32)
        self.ahead: NDArray[np.uint8] = np.zeros(slots, np.uint8)
        self.age: NDArray[np.int32] = np.zeros(slots, np.int32)
        self._back: NDArray[np.int64] = np.arange(spec.frame_stack - 1, -1, -1, dtype=np.int64)

    def region(self, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        """The region each slot lies in."""
        return np.searchsorted(self.edges, slots, side="right") - 1

    def stack(self, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        """(B,) observations to (B, K) slots of their frames, oldest first.

        Before the episode's first frame there is nothing: it is repeated (CURL's reset rule).
        """
        region = self.region(slots)
        back = np.minimum(self._back, self.age[slots, None])
        index = slots[:, None] - back
        index += (index < self.edges[region][:, None]) * self.sizes[region][:, None]
        return index

    def step(self, slots: NDArray[np.int64], steps: NDArray[np.uint8] | int) -> NDArray[np.int64]:
        """(B,) slots moved ``steps`` forward inside their ring; whether they exist is not asked."""
        region = self.region(slots)
        index = slots + steps
        index -= (index >= self.edges[region + 1]) * self.sizes[region]
        return index

    def later(self, slots: NDArray[np.int64], steps: int) -> NDArray[np.int64]:
        """(B,) observations ``steps`` later in the same episode, or its last one so far."""
        for _ in range(steps):
            slots = np.where(self.ahead[slots] > 0, self.step(slots, 1), slots)
        return slots

    def batch(self, slots: NDArray[np.int64]) -> Batch:
        """Everything but the pixels of the transitions that left ``slots`` (B,)."""
        successor = self.step(slots, self.ahead[slots])
        return Batch(
            index=slots,
            frames=self.stack(slots),
            next_frames=self.stack(successor),
            state=self.state[slots],
            next_state=self.state[successor],
            action=self.action[slots],
            reward=self.reward[slots],
            discount=self.discount[slots],
            demo=self.region(slots) == 1,
        )

    def pictures(
        self,
        frames: NDArray[np.int64],
        offsets_px: NDArray[np.int64],
        out: NDArray[np.uint8],
        cameras: tuple[int, int] | None = None,
    ) -> None:
        """Augmented (B, h, w, 3*K*C) pictures of (B, K) stacks: see ``gather_pictures``."""
        gather_pictures(self.frames, frames, offsets_px, out, cameras)


def bytes_per_slot(spec: Spec) -> int:
    """Bytes of one stored observation with the transition that leaves it."""
    pixels = len(spec.cameras) * spec.height_px * spec.width_px * 3
    # state, action, reward and discount are float32; ahead 1, age 4, the stream's order ring 8.
    return pixels + 4 * (spec.state_dim + spec.action_dim + 2) + 1 + 4 + 8


def bytes_needed(spec: Spec, capacity: int) -> int:
    """Bytes a replay of ``capacity`` observations takes when it is full."""
    return capacity * bytes_per_slot(spec)
