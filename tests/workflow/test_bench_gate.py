"""The statistics of the benchmark of the gate, by hand."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from bench_gate import REAL, pearson, rank_violation, resampled, spearman
from workflow_kit import recipe

from handful.workflow.recipe import Options, resolve


def test_ranks_and_their_violations() -> None:
    ours, real = np.array([0.1, 0.5, 0.9]), np.array([0.0, 0.2, 0.3])
    assert spearman(ours, real) == pytest.approx(1.0) and rank_violation(ours, real) == 0.0
    assert spearman(ours, real[::-1]) == pytest.approx(-1.0)
    swapped = np.array([0.5, 0.1, 0.9])
    assert spearman(swapped, real) == pytest.approx(0.5)
    # The first and the second are misranked with each other, 0.2 apart; the third with nobody.
    assert rank_violation(swapped, real) == pytest.approx((0.2 + 0.2 + 0.0) / 3)
    assert pearson(ours, np.ones(3)) == spearman(np.zeros(3), real) == 0.0
    low, high = resampled(np.linspace(0, 1, 12), np.linspace(0, 1, 12), 100, draws=200)
    assert 0.9 < low < high <= 1.0


def test_the_cell_that_plays_the_arm_is_another_one_and_can_be_built() -> None:
    base = recipe()
    real = resolve(Options(sets=REAL), base.to_dict(), "REAL")
    assert real.rig == base.rig and real.twin != base.twin
