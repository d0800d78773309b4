"""The experience a second time, on the device: batches are gathered there from a few indices.

The host's store stays the truth, which collecting, copying successes and resuming work on; here
every frame lies once more, as bytes, and what has changed is brought up to date before an update.
So an update sends slots and offsets (some 7 kB) instead of pictures (24 MB for ``curl`` at 128).
Everything is a function of tensors with fixed shapes: it can be recorded (``learn.program``).
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from handful.contract import Spec
from handful.learn.replay import MixedReplay
from handful.learn.shuttle import Layout, Shuttle

_ROWS = 64  # observations brought up to date at a time
_COLUMNS = ("state", "action", "reward", "discount", "ahead", "age")


@dataclass(frozen=True)
class DeviceBatch:
    """``learn.store.Batch`` as tensors; index, frames, next_frames int64, the rest float32.

    reward, discount, demo: (B, 1).
    """

    index: Tensor
    frames: Tensor
    next_frames: Tensor
    state: Tensor
    next_state: Tensor
    action: Tensor
    reward: Tensor
    discount: Tensor
    demo: Tensor


class DeviceStore:
    """A copy of a replay's store on ``device``.

    Args:
        replay: the original. frames: whether pictures are copied; an agent on cached features
            needs none.
    Attributes: as ``learn.store.Store``, tensors.
    """

    def __init__(self, replay: MixedReplay, device: torch.device, frames: bool = True) -> None:
        store = replay.store
        self.replay, self.device, self.spec = replay, device, store.spec
        slots = len(store.reward)

        def empty(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.zeros(slots, *shape, dtype=dtype, device=device)

        self._names = (*_COLUMNS, "frames") if frames else _COLUMNS
        self.state, self.action = empty(*store.state.shape[1:]), empty(*store.action.shape[1:])
        self.reward, self.discount = empty(), empty()
        self.ahead, self.age = empty(dtype=torch.uint8), empty(dtype=torch.int32)
        self.frames = empty(*store.frames.shape[1:], dtype=torch.uint8) if frames else empty(0)
        layout: Layout = {"slots": ((_ROWS,), torch.int64)}
        for name in self._names:
            column: Tensor = getattr(self, name)
            layout[name] = ((_ROWS, *column.shape[1:]), column.dtype)
        self._shuttle = Shuttle(layout, device)
        self._edges = torch.from_numpy(store.edges).to(device)
        self._sizes = torch.from_numpy(store.sizes).to(device)
        self._back = torch.arange(self.spec.frame_stack - 1, -1, -1, device=device)
        self._cursor = (0, 0)

    @staticmethod
    def bytes_needed(spec: Spec, slots: int, frames: bool = True) -> int:
        """Memory of a copy of ``slots`` observations [bytes]."""
        pixels = len(spec.cameras) * spec.height_px * spec.width_px * 3 if frames else 0
        return slots * (pixels + 4 * (spec.state_dim + spec.action_dim + 2) + 1 + 4)

    def refresh(self) -> None:
        """Copy what the replay has taken in, or changed, since the last time."""
        # A new transition also changes the returns of the n - 1 before it.
        back = self.replay.online.n_step
        since = (max(self._cursor[0] - back, 0), max(self._cursor[1] - back, 0))
        slots, cursor = self.replay.new_frames_since(since)
        if cursor == self._cursor:
            return
        self._cursor = cursor
        for start in range(0, len(slots), _ROWS):
            self._copy(slots[start : start + _ROWS])

    def _copy(self, slots: NDArray[np.int64]) -> None:
        rows, arrays = len(slots), self._shuttle.load()
        arrays["slots"][:rows] = slots
        for name in self._names:
            arrays[name][:rows] = getattr(self.replay.store, name)[slots]
        arrived = self._shuttle.send(rows)
        for name in self._names:
            getattr(self, name).index_copy_(0, arrived["slots"], arrived[name])

    def region(self, slots: Tensor) -> Tensor:
        """The region each slot (B,) lies in."""
        return torch.searchsorted(self._edges, slots, right=True) - 1

    def stack(self, slots: Tensor) -> Tensor:
        """(B,) observations to (B, K) slots of their frames: ``Store.stack``."""
        region = self.region(slots)
        index = slots[:, None] - torch.minimum(self._back, self.age[slots].long()[:, None])
        wrapped = index < self._edges[region][:, None]
        return index + wrapped * self._sizes[region][:, None]

    def successor(self, slots: Tensor) -> Tensor:
        """(B,) slots to those of their (n-step) successors: ``Store.step`` by ``ahead``."""
        region = self.region(slots)
        index = slots + self.ahead[slots].long()
        return index - (index >= self._edges[region + 1]) * self._sizes[region]

    def batch(self, slots: Tensor) -> DeviceBatch:
        """Everything but the pixels of the transitions that left ``slots``: ``Store.batch``."""
        after = self.successor(slots)
        return DeviceBatch(
            index=slots,
            frames=self.stack(slots),
            next_frames=self.stack(after),
            state=self.state[slots],
            next_state=self.state[after],
            action=self.action[slots],
            reward=self.reward[slots].unsqueeze(1),
            discount=self.discount[slots].unsqueeze(1),
            demo=(self.region(slots) == 1).float().unsqueeze(1),
        )

    def pictures(self, frames: Tensor, offsets_px: Tensor, side_px: int, camera: int) -> Tensor:
        """Windows of (B, K) stacks, (B, side, side, 3K) uint8: ``learn.gather.gather_pictures``.

        Output pixel (y, x) of sample b is source pixel (y + offsets_px[b, 0], x + offsets_px[b, 1])
        with both clamped to the picture, of each frame in turn, oldest first.
        """
        _, _, height, width, _ = self.frames.shape
        at = torch.arange(side_px, device=self.device)
        rows = (offsets_px[:, 0, None] + at).clamp(0, height - 1)[:, :, None, None]
        columns = (offsets_px[:, 1, None] + at).clamp(0, width - 1)[:, None, :, None]
        return self.frames[frames[:, None, None, :], camera, rows, columns].flatten(3)
