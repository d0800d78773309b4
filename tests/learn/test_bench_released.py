"""The released code's doors: same crops, same bookkeeping; the code itself is not kept here."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from handful.contract import Observation, Spec, Transition
from handful.workflow.dmc_plan import CAMERA

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def modules(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import bench_released
    import released_curl

    return SimpleNamespace(bench=bench_released, curl=released_curl)


def test_quick_crops_are_windows_at_the_released_draws(modules):
    pictures = np.random.default_rng(0).integers(0, 256, (5, 9, 20, 20), dtype=np.uint8)
    np.random.seed(4)
    seen = modules.curl.crop(pictures, 16)
    np.random.seed(4)
    top, left = np.random.randint(0, 4, 5), np.random.randint(0, 4, 5)  # never the last offset
    for one, whole, y, x in zip(seen, pictures, top, left, strict=True):
        np.testing.assert_array_equal(one, whole[:, y : y + 16, x : x + 16])


class _Agent:
    image_size, alpha = 84, 0.1

    def __init__(self) -> None:
        self.updated: list[int] = []
        self.seen: list[tuple[int, ...]] = []

    def select_action(self, pictures: np.ndarray) -> np.ndarray:
        self.seen.append(pictures.shape)
        return np.full(1, float(pictures[0, 0, 0]))

    def sample_action(self, pictures: np.ndarray) -> np.ndarray:
        self.seen.append(pictures.shape)
        return np.ones(1)

    def update(self, replay: Any, logger: None, step: int) -> None:
        assert step % 10_000  # there it would write to a logger
        self.updated.append(step)


class _Replay(list[Any]):
    def add(self, *what: Any) -> None:
        self.append(what)


def _look(value: int) -> Observation:
    picture = np.full((100, 100, 9), value, np.uint8)
    picture[8, 8] = value + 1  # the middle crop's corner
    return Observation({CAMERA: picture}, np.zeros(0, np.float32), 0.0)


def test_a_run_of_it_counts_stores_and_crops_as_its_own_loop_does(modules):
    agent, replay = _Agent(), _Replay()
    learner = modules.bench.Released(agent, replay, Spec((CAMERA,), 100, 100, 3, 0, 1), 2, 7)
    learner.begin(_look(10))
    for step in range(4):
        action = learner.act(_look(10 + step), explore=True)
        last = step == 3
        after = _look(11 + step)
        learner.add(Transition(action, 0.5, 0.0 if last else 1.0, after, last))
        assert learner.update() == ({} if step < 2 else {"alpha": 0.1})
    assert agent.updated == [3, 4] and learner.updates == 2
    assert agent.seen == [(9, 100, 100)] * 2  # random before; it crops what it samples from itself
    assert [float(over) for *_, over in replay] == [0.0, 0.0, 0.0, 1.0]
    assert [int(before[0, 0, 0]) for before, *_ in replay] == [10, 11, 12, 13]
    assert [int(one[3][0, 0, 0]) for one in replay] == [11, 12, 13, 14]
    assert learner.act(_look(30), explore=False)[0] == 31 and agent.seen[-1] == (9, 84, 84)


def test_its_help_and_a_folder_that_is_none(modules, tmp_path):
    from click.testing import CliRunner

    shown = CliRunner().invoke(modules.bench.main, ["--help"])
    assert shown.exit_code == 0 and "--strides" in shown.output
    words = [str(tmp_path), "--runs", str(tmp_path / "r"), "--results", str(tmp_path / "s")]
    found = CliRunner().invoke(modules.bench.main, words)
    assert found.exit_code == 2 and "no curl_sac.py there" in found.output
    assert "utils" not in sys.modules or not hasattr(sys.modules["utils"], "ReplayBuffer")
