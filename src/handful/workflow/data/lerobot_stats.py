"""The statistics LeRobot normalises by: least, most, mean, spread and quantiles of every column."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Stats = dict[str, dict[str, NDArray[Any]]]
_QUANTILES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}
_LEVELS, _WHITE = 256, 255.0


class Running:
    """Collects episode after episode; vectors are kept, pictures only as a histogram a channel."""

    def __init__(self) -> None:
        self._vectors: dict[str, list[NDArray[np.float64]]] = {}
        self._levels: dict[str, NDArray[np.int64]] = {}
        self._pictures: dict[str, int] = {}

    def add(self, name: str, rows: NDArray[np.float64]) -> None:
        """Rows (N, D) of a column."""
        self._vectors.setdefault(name, []).append(rows)

    def add_pictures(self, name: str, pictures: NDArray[np.uint8]) -> None:
        """Pictures (N, H, W, 3) uint8: every pixel counts."""
        found = self._levels.setdefault(name, np.zeros((3, _LEVELS), np.int64))
        for channel in range(3):
            found[channel] += np.bincount(pictures[..., channel].ravel(), minlength=_LEVELS)
        self._pictures[name] = self._pictures.get(name, 0) + len(pictures)

    def stats(self) -> Stats:
        """Of every column: vectors (D,), pictures (3, 1, 1) in [0, 1]; ``count`` is in rows."""
        return {
            **{name: _of_levels(self._levels[name], self._pictures[name]) for name in self._levels},
            **{name: _of_rows(np.concatenate(rows)) for name, rows in self._vectors.items()},
        }


def _of_rows(rows: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
    rows = np.where(np.isnan(rows).all(0), 0.0, rows)  # a column nobody has filled
    return {
        "min": np.nanmin(rows, 0),
        "max": np.nanmax(rows, 0),
        "mean": np.nanmean(rows, 0),
        "std": np.nanstd(rows, 0),
        "count": np.array([len(rows)]),
        **{name: np.nanquantile(rows, q, axis=0) for name, q in _QUANTILES.items()},
    }


def _of_levels(levels: NDArray[np.int64], pictures: int) -> dict[str, NDArray[Any]]:
    value = np.arange(_LEVELS) / _WHITE
    share = levels / levels.sum(1, keepdims=True)
    mean = share @ value
    spread = np.sqrt(np.maximum(share @ np.square(value) - np.square(mean), 0.0))
    upto = np.cumsum(share, 1)

    def column(values: Any) -> NDArray[np.float64]:
        return np.asarray(values, np.float64).reshape(3, 1, 1)

    return {
        "min": column([value[np.flatnonzero(row)[0]] for row in levels]),
        "max": column([value[np.flatnonzero(row)[-1]] for row in levels]),
        "mean": column(mean),
        "std": column(spread),
        "count": np.array([pictures]),
        **{
            name: column([value[min(int(np.searchsorted(row, q)), _LEVELS - 1)] for row in upto])
            for name, q in _QUANTILES.items()
        },
    }
