"""Host arrays to the device without waiting: page-locked buffers and landing places, in turns.

While the device computes on one batch, the next is written by the host and the one after it may be
on its way. On a GPU the copies run on a stream of their own; events keep a buffer from being
written before it has been read, and the host waits only when it is ``depth`` batches ahead. A set
of arrays lies in one piece of memory, so that all of it is one copy. On a CPU the buffer is the
landing place and nothing is copied.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Layout = dict[str, tuple[tuple[int, ...], torch.dtype]]
_ALIGNED = 16  # bytes: what a vector load of a GPU asks of an address


class Packed:
    """Named tensors in one piece of memory: ``whole`` (N,) uint8, and ``parts`` as its views."""

    def __init__(self, layout: Layout, device: torch.device, pinned: bool = False) -> None:
        starts: dict[str, int] = {}
        size = 0
        for name, (shape, dtype) in layout.items():
            starts[name] = size
            size += -(-math.prod(shape) * dtype.itemsize // _ALIGNED) * _ALIGNED
        self.whole = torch.zeros(size, dtype=torch.uint8, device=device, pin_memory=pinned)
        self.parts: dict[str, Tensor] = {}
        for name, (shape, dtype) in layout.items():
            past = starts[name] + math.prod(shape) * dtype.itemsize
            self.parts[name] = self.whole[starts[name] : past].view(dtype).view(shape)


class Shuttle:
    """A set of named arrays, sent together again and again.

    Args:
        layout: shape and type of each. device: where they go. depth: sets of buffers.
    """

    def __init__(self, layout: Layout, device: torch.device, depth: int = 2) -> None:
        self.layout, self.device, self.depth, self._turn = layout, device, depth, 0
        self._on_gpu = device.type == "cuda"
        cpu = torch.device("cpu")
        self._host = [Packed(layout, cpu, self._on_gpu) for _ in range(depth)]
        self._arrays = [{name: t.numpy() for name, t in one.parts.items()} for one in self._host]
        self._there = self._host
        if self._on_gpu:
            self._there = [Packed(layout, device) for _ in range(depth)]
            self._stream = torch.cuda.Stream(device)
            self._stream.wait_stream(torch.cuda.current_stream(device))
            self._arrived = [torch.cuda.Event() for _ in range(depth)]
            self._used = [torch.cuda.Event() for _ in range(depth)]

    def bytes(self) -> int:
        """What one transfer of everything moves [bytes]."""
        return sum(tensor.nbytes for tensor in self._host[0].parts.values())

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
        here, there = self._host[turn], self._there[turn]
        if rows is not None:
            parts = {name: tensor[:rows] for name, tensor in there.parts.items()}
        else:
            parts = there.parts
        if not self._on_gpu:
            return parts
        with torch.cuda.stream(self._stream):
            self._stream.wait_event(self._used[turn])
            if rows is None:
                there.whole.copy_(here.whole, non_blocking=True)
            else:
                for name, tensor in parts.items():
                    tensor.copy_(here.parts[name][:rows], non_blocking=True)
            self._arrived[turn].record(self._stream)
        torch.cuda.current_stream(self.device).wait_event(self._arrived[turn])
        return parts

    def arrived(self) -> Tensor:
        """All that the last ``send`` gave, as one tensor of bytes; laid out as any ``Packed``."""
        return self._there[(self._turn - 1) % self.depth].whole
