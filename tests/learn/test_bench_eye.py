"""``benchmarks/bench_eye.py``: a taught eye learns, and words that are no eye are refused."""

import sys
from pathlib import Path

import numpy as np
import pytest

from handful.config import ConfigError

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))
try:
    from bench_eye import UNIT_M, error_mm, settings_of, train
finally:
    sys.path.remove(str(BENCHMARKS))


def spots(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A bright spot in a dark picture, and where it is from the middle, a pixel a centimetre."""
    rng = np.random.default_rng(seed)
    pictures, at = np.zeros((count, 32, 32, 3), np.uint8), rng.integers(4, 28, (count, 2))
    for picture, (y, x) in zip(pictures, at, strict=True):
        picture[y - 2 : y + 3, x - 2 : x + 3] = 255
    return pictures, ((at[:, ::-1] - 16) * 0.01 / UNIT_M).astype(np.float32)


def test_an_eye_that_is_taught_says_where_unseen_things_are() -> None:
    settings, unseen = settings_of("2,2,1", 32), spots(200, 1)
    untaught = error_mm(train(settings, spots(400, 0), 1)[0], *unseen)
    taught = error_mm(train(settings, spots(400, 0), 150)[0], *unseen)
    assert untaught > 80.0  # the spots scatter by 98 mm
    assert taught < 50.0  # the shifts alone, which the label does not follow, are 28


@pytest.mark.parametrize("words", ["2,x", "2,2:softmax", ""])
def test_words_that_are_no_eye_are_refused(words: str) -> None:
    with pytest.raises((ConfigError, ValueError), match="--eyes"):
        settings_of(words, 64)
