"""A recorder that is to the CPU what CUDA graphs are to a GPU: it replays operators, not Python.

Whatever an update took from the host while it was recorded (a number, a branch, a shape) is in the
tape for good, as it would be in a graph; what it reads from the device at such a moment is refused.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

SYNCHRONISES = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "unique", "item")


class Tape(TorchDispatchMode):
    """The operators ``work`` ran, each with its very arguments and results."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[tuple[Any, tuple[Any, ...], dict[str, Any], list[Tensor]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        if name in SYNCHRONISES:
            raise AssertionError(
                f"{name}: the host waits for the device in the middle of an update"
            )
        result = func(*args, **kwargs)
        given = {t.untyped_storage().data_ptr() for t in _tensors((args, kwargs))}
        fresh = [t for t in _tensors(result) if t.untyped_storage().data_ptr() not in given]
        self.steps.append((func, args, kwargs, fresh))
        return result

    @torch.no_grad()
    def replay(self) -> None:
        """Every operator again on what its arguments hold now, results to where they were."""
        for func, args, kwargs, fresh in self.steps:
            result = func(*args, **kwargs)
            given = {t.untyped_storage().data_ptr() for t in _tensors((args, kwargs))}
            again = [t for t in _tensors(result) if t.untyped_storage().data_ptr() not in given]
            for old, new in zip(fresh, again, strict=True):
                old.copy_(new)


class Recorder:
    """Makes tapes. Recording runs the work, so what it changed is put back: a graph's would not."""

    def __init__(self, state: Callable[[], Iterator[Tensor]], generator: torch.Generator) -> None:
        self._state, self._generator, self.made = state, generator, 0

    def __call__(self, work: Callable[[], None]) -> Tape:
        before = [(tensor, tensor.clone()) for tensor in self._state()]
        drawn, tape = self._generator.get_state(), Tape()
        with tape:
            work()
        with torch.no_grad():
            for tensor, value in before:
                tensor.copy_(value)
        self._generator.set_state(drawn)
        self.made += 1
        return tape


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_flatten(tree)[0] if isinstance(leaf, Tensor)]
