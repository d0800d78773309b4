"""The learning curve: one JSON line an event, appended and flushed, beside TensorBoard's own files.

``curve.jsonl`` is the source of the report. Each line has ``kind``, ``env_steps``, ``updates`` and
``wall_s`` (seconds of this run's pre-training and training, over every resume, without checks):

- ``episode``: ``success``, ``length`` [steps], ``rolling_success`` (last 20 episodes), ``seed``;
  with a person beside it (``--teleop``) ``intervention_rate``
- ``update``: the learner's metrics, averaged since the last such line (``docs/metrics.md``), and
  ``updates_per_s``, ``env_steps_per_s``
- ``check``: ``success_rate``, ``success_low``, ``success_high``, ``episodes`` of an evaluation
- ``pretrain``: ``done``, ``total`` and the pre-training metrics
- ``start``, ``resume``, ``checkpoint``, ``stop``: what happened, with ``reason`` where there is one
"""

import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


class Curve:
    """Appends events to ``curve.jsonl`` and mirrors the numbers into TensorBoard."""

    def __init__(self, path: Path, tensorboard: Path | None = None) -> None:
        """Open for appending; a torn last line (kill -9 while writing) is cut off first."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        _cut_torn_tail(self._fd)
        self._board: Any = None
        if tensorboard is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(tensorboard), max_queue=200, flush_secs=10)

    def add(self, kind: str, *, env_steps: int, updates: int, wall_s: float, **values: Any) -> None:
        """Write one event; NaN and infinities become ``null`` so that every reader can parse it."""
        event = {
            "kind": kind,
            "env_steps": env_steps,
            "updates": updates,
            "wall_s": round(wall_s, 3),
            **{key: _plain(value) for key, value in values.items()},
        }
        _write_all(self._fd, (json.dumps(event, allow_nan=False) + "\n").encode())
        if self._board is not None and kind in _TAGS:
            step = values.get("done", env_steps) if kind == "pretrain" else env_steps
            for key, value in values.items():
                if key not in _NOT_CURVES and isinstance(value, int | float):
                    self._board.add_scalar(f"{_TAGS[kind]}/{key}", float(value), step)

    def close(self) -> None:
        """Flush and close both; safe to call twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if self._board is not None:
            self._board.close()
            self._board = None

    def __enter__(self) -> "Curve":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass
class Means:
    """Means of the learner's metrics between two points of the curve."""

    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, metrics: dict[str, float]) -> None:
        """One update's numbers; a key may be missing in some."""
        for name, value in metrics.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(value)
            self.counts[name] = self.counts.get(name, 0) + 1

    def take(self) -> dict[str, float]:
        """The means since the last ``take``, and start over."""
        means = {name: total / self.counts[name] for name, total in self.sums.items()}
        self.sums.clear()
        self.counts.clear()
        return means


def read_curve(path: Path) -> list[dict[str, Any]]:
    """All whole events of a curve, oldest first; an absent file is an empty curve."""
    return list(_events(path)) if path.is_file() else []


def last_wall_s(path: Path) -> float:
    """Seconds this run has already trained, from its last event; 0 for a new one."""
    return max((float(event.get("wall_s", 0.0)) for event in read_curve(path)), default=0.0)


_TAGS = {"episode": "train", "update": "learn", "check": "check", "pretrain": "pretrain"}
_NOT_CURVES = {"seed", "done", "total"}


def _events(path: Path) -> Iterator[dict[str, Any]]:
    with open(path, encoding="utf-8") as file:
        for line in file:
            if not line.endswith("\n"):
                return
            yield json.loads(line)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _cut_torn_tail(fd: int) -> None:
    end = os.lseek(fd, 0, os.SEEK_END)
    position = end
    while position > 0:
        start = max(0, position - 4096)
        newline = os.pread(fd, position - start, start).rfind(b"\n")
        if newline >= 0:
            position = start + newline + 1
            break
        position = start
    if position < end:
        os.ftruncate(fd, position)
    os.lseek(fd, 0, os.SEEK_END)


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
