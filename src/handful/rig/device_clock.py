"""A camera's own clock read on the cell's: when the light fell in, not when the picture came.

A device stamps its pictures with a clock that started when it was plugged in and runs a little
fast or slow. A picture arrives some time after its stamp, never before it, so the smallest
difference seen between arrival and stamp is the best guess of how the clocks lie: one picture that
was late does not move it.
"""

import math
from collections import deque


class DeviceClock:
    """Maps device stamps to the cell's clock by the least delay seen in a sliding window.

    What is left in it is the least delay of the transport, which cannot be known from here; what
    is taken out is all jitter above that. Drift between the clocks is followed, as the window
    moves: 50 ppm over 5 s are 0.25 ms.

    Args:
        window_s: how long a least delay is believed [s].
        jump_s: a device stamp that leaps ahead of the clock by more begins anew [s].
    """

    def __init__(self, window_s: float = 5.0, jump_s: float = 0.5) -> None:
        self._window_s, self._jump_s = window_s, jump_s
        self._least: deque[tuple[float, float]] = deque()  # (arrival, offset), offsets rising
        self._device_s = self._arrival_s = -math.inf
        self.restarts = 0

    def reset(self) -> None:
        """Forget what was seen: the device was opened anew."""
        self._least.clear()
        self._device_s = self._arrival_s = -math.inf

    def to_cell_s(self, device_s: float, arrival_s: float) -> float:
        """Capture time on the cell's clock [s], never after ``arrival_s``.

        A device stamp or an arrival that goes back begins anew: the device was reset, its counter
        ran over, a recording began again, or the cell's clock was put back.
        """
        offset_s = arrival_s - device_s
        back = device_s < self._device_s or arrival_s < self._arrival_s
        if self._least and (back or offset_s < self._least[0][1] - self._jump_s):
            self._least.clear()
            self.restarts += 1
        self._device_s, self._arrival_s = device_s, arrival_s
        while self._least and self._least[0][0] < arrival_s - self._window_s:
            self._least.popleft()
        while self._least and self._least[-1][1] >= offset_s:
            self._least.pop()
        self._least.append((arrival_s, offset_s))
        return min(arrival_s, device_s + self._least[0][1])
