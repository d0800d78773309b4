"""Things that are on their way: made at one moment, there at a later one, in order.

A picture is taken, read out and sent; a command crosses a network and waits for a controller. What
is late keeps the moment it was made at, so the guard's look at its age sees the truth. The idea of
keeping both moments is that of ``obs_buffer`` in dm_control's composer.
"""

import math
from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar

from handful_twin.distributions import Distribution
from handful_twin.noise import rank

T = TypeVar("T")


@dataclass(frozen=True)
class Item(Generic[T]):
    """One thing on its way; both moments [s] are on the same clock."""

    made_s: float
    arrives_s: float
    value: T


class InFlight(Generic[T]):
    """A line in which nothing overtakes: what was made first arrives first."""

    def __init__(self) -> None:
        self._items: deque[Item[T]] = deque()
        self._last_s = -math.inf

    def __len__(self) -> int:
        return len(self._items)

    def send(self, made_s: float, delay_s: float, value: T) -> Item[T]:
        """Put a thing on its way; returns it with the moment it arrives at.

        That is ``made_s + delay_s``, or with the thing before it if that comes later.
        """
        arrives_s = max(made_s + delay_s, self._last_s)
        self._last_s = arrives_s
        item = Item(made_s, arrives_s, value)
        self._items.append(item)
        return item

    def next_s(self) -> float:
        """When the next thing arrives [s]; infinity when nothing is on its way."""
        return self._items[0].arrives_s if self._items else math.inf

    def pop(self) -> Item[T]:
        """Take out what arrives next, whether it has or not. Raises ``IndexError`` when empty."""
        return self._items.popleft()

    def newest(self) -> T | None:
        """The value of what was made last of all that is on its way."""
        return self._items[-1].value if self._items else None

    def clear(self) -> None:
        """Nothing is on its way any more."""
        self._items.clear()
        self._last_s = -math.inf

    def snapshot(self) -> tuple[tuple[Item[T], ...], float]:
        """What is on its way, for ``put_back``."""
        return tuple(self._items), self._last_s

    def put_back(self, snapshot: tuple[tuple[Item[T], ...], float]) -> None:
        """Go back to the moment of a ``snapshot``."""
        self._items, self._last_s = deque(snapshot[0]), snapshot[1]


@dataclass(frozen=True)
class Latency:
    """How long the things of one line take in one episode: a constant, and jitter of each.

    constant_s [s]. jitters_s: added to it, drawn for each thing by its number ``k`` and ``key``
    alone, so that a moment that is restored goes on the same way.
    """

    constant_s: float = 0.0
    jitters_s: tuple[Distribution, ...] = ()
    key: int = 0

    def __bool__(self) -> bool:
        """Is anything late at all?"""
        return self.longest_s > 0.0

    @property
    def longest_s(self) -> float:
        """No delay is longer [s]."""
        return self.constant_s + sum(max(jitter.high, 0.0) for jitter in self.jitters_s)

    def of(self, k: int) -> float:
        """The delay [s] of thing number ``k``; never below 0."""
        delay_s = self.constant_s
        for i, jitter in enumerate(self.jitters_s):
            delay_s += jitter.at(rank(self.key ^ i, k))
        return max(0.0, delay_s)
