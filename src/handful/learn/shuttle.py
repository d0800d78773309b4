"""Host arrays to the device without waiting: page-locked buffers and landing places, in turns.

While the device computes on one batch, the next is written by the host and the one after it may be
on its way. On a GPU the copies run on a stream of their own; events keep a buffer from being
written before it has been read, and the host waits only when it is ``depth`` batches ahead. On a
CPU the buffer is the landing place and nothing is copied.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Layout = dict[str, tuple[tuple[int, ...], torch.dtype]]


class Shuttle:
    """A set of named arrays, sent together again and again.

    Args:
        layout: shape and type of each. device: where they go. depth: sets of buffers.
    """

    def __init__(self, layout: Layout, device: torch.device, depth: int = 2) -> None:
        self.layout, self.device, self.depth, self._turn = layout, device, depth, 0
        self._on_gpu = device.type == "cuda"
        self._host = [self._set(torch.device("cpu"), self._on_gpu) for _ in range(depth)]
        self._arrays = [{name: t.numpy() for name, t in one.items()} for one in self._host]
        self._there = self._host
        if self._on_gpu:
            self._there = [self._set(device, False) for _ in range(depth)]
            self._stream = torch.cuda.Stream(device)
            self._stream.wait_stream(torch.cuda.current_stream(device))
            self._arrived = [torch.cuda.Event() for _ in range(depth)]
            self._used = [torch.cuda.Event() for _ in range(depth)]

    def bytes(self) -> int:
        """What one transfer of everything moves [bytes]."""
        return sum(tensor.nbytes for tensor in self._host[0].values())

    def load(self) -> dict[str, NDArray[np.generic]]:
        """The arrays to be written next; what the last ``send`` gave has been used by now."""
        if self._on_gpu:
            self._used[(self._turn - 1) % self.depth].record(torch.cuda.current_stream(self.device))
            self._arrived[self._turn].synchronize()
        return self._arrays[self._turn]

    def send(self, rows: int | None = None) -> dict[str, Tensor]:
        """What ``load`` gave, on the device: whole, or the first ``rows`` of each.

        Valid for work of the current stream until the next ``load``.
        """
        turn, self._turn = self._turn, (self._turn + 1) % self.depth
        host = {name: t if rows is None else t[:rows] for name, t in self._host[turn].items()}
        if not self._on_gpu:
            return host
        there = {name: t if rows is None else t[:rows] for name, t in self._there[turn].items()}
        with torch.cuda.stream(self._stream):
            self._stream.wait_event(self._used[turn])
            for name, tensor in there.items():
                tensor.copy_(host[name], non_blocking=True)
            self._arrived[turn].record(self._stream)
        torch.cuda.current_stream(self.device).wait_event(self._arrived[turn])
        return there

    def _set(self, device: torch.device, pinned: bool) -> dict[str, Tensor]:
        return {
            name: torch.zeros(shape, dtype=dtype, device=device, pin_memory=pinned)
            for name, (shape, dtype) in self.layout.items()
        }
