"""Intervals, seeds, rates and curves: the small arithmetic under every reported number."""

import io
import json
import math
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handful.config import ConfigError
from handful.workflow.curves import Curve, last_wall_s, read_curve
from handful.workflow.errors import RunError
from handful.workflow.progress import Progress, Speed, duration, rate, training_text
from handful.workflow.results import quantile, read_json, wilson, write_json, write_text
from handful.workflow.seeds import EPISODES, Purpose, episode_seed


@pytest.mark.parametrize(
    ("wins", "episodes", "low", "high"),
    # Wilson 1927 by hand and from R's prop.test(correct=FALSE).
    [
        (50, 50, 0.92865, 1.0),
        (45, 50, 0.78640, 0.95652),
        (0, 10, 0.0, 0.27753),
        (5, 10, 0.23659, 0.76341),
    ],
)
def test_wilson_by_hand(wins: int, episodes: int, low: float, high: float) -> None:
    assert wilson(wins, episodes) == pytest.approx((low, high), abs=1e-5)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_rate_and_stays_a_probability(case: tuple[int, int]) -> None:
    wins, episodes = case
    low, high = wilson(wins, episodes)
    assert 0.0 <= low <= wins / episodes <= high <= 1.0
    assert high - low <= 0.82  # the widest: 1 of 2
    mirrored = wilson(episodes - wins, episodes)
    assert (1 - mirrored[1], 1 - mirrored[0]) == pytest.approx((low, high))


@pytest.mark.parametrize(("wins", "episodes"), [(1, 0), (-1, 5), (6, 5)])
def test_wilson_refuses_nonsense(wins: int, episodes: int) -> None:
    with pytest.raises(ValueError, match="expected 0 <="):
        wilson(wins, episodes)


def test_no_two_purposes_or_seeds_share_a_world() -> None:
    edges = [
        (episode_seed(purpose, seed, 0), episode_seed(purpose, seed, EPISODES - 1))
        for purpose in Purpose
        for seed in (0, 1, 98, 99)
    ]
    ordered = sorted(edges)
    assert all(a[1] < b[0] for a, b in zip(ordered, ordered[1:], strict=False))


@pytest.mark.parametrize(("seed", "index"), [(-1, 0), (100, 0), (0, -1), (0, EPISODES)])
def test_seeds_outside_their_range_are_refused(seed: int, index: int) -> None:
    with pytest.raises(ConfigError):
        episode_seed(Purpose.TEST, seed, index)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0:00"),
        (75.4, "1:15"),
        (59.6, "1:00"),
        (3700, "1:01:40"),
        (1e6, "?"),
        (math.inf, "?"),
        (math.nan, "?"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(("value", "text"), [(187.3, "187"), (41.26, "41.3"), (0.517, "0.52")])
def test_rates(value: float, text: str) -> None:
    assert rate(value) == text


def test_the_training_text_counts_the_last_twenty() -> None:
    text = training_text([True] * 5 + [False] * 3 + [True] * 17, 41.26, 165.2, 192)
    assert text == "success 17/20 | 41.3 steps/s | 165 updates/s | 3:12 left"
    assert training_text([], 0.0, 0.0, math.inf).startswith("success - |")


def test_speed_forgets() -> None:
    speed = Speed(window_s=10.0)
    assert speed.per_second() == 0.0
    for second in range(100):
        speed.add(second * (1 if second < 50 else 3), float(second))
    assert speed.per_second() == pytest.approx(3.0, rel=0.1)


def test_a_bar_in_a_log_file_is_plain_lines() -> None:
    stream = io.StringIO()
    with Progress("train", 3, "steps", stream=stream, plain_every_s=0.0) as bar:
        for done in (1, 2, 3):
            bar.update(done, f"loss {1 / done:.2f}")
    assert stream.getvalue().splitlines() == [
        "train: 1/3 steps, loss 1.00",
        "train: 2/3 steps, loss 0.50",
        "train: 3/3 steps, loss 0.33",
    ]


def test_a_bar_on_a_terminal_shows_its_text() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    with Progress("train", 300, "steps", stream=stream) as bar:
        for done in range(1, 301):
            bar.update(done, f"success {done % 20}/20")
        bar.note("a word")
    shown = stream.getvalue()
    assert "train 100%" in shown
    assert "300/300 steps, success 0/20" in shown
    assert "a word" in shown


def test_quantiles() -> None:
    assert quantile([3, 1, 2], 0.5) == 2
    assert quantile([1, 2, 3, 4], 1.0) == 4
    assert math.isnan(quantile([], 0.5))


def test_a_curve_survives_being_torn(tmp_path: Path) -> None:
    path = tmp_path / "curve.jsonl"
    with Curve(path) as curve:
        curve.add("episode", env_steps=10, updates=20, wall_s=1.5, success=1.0)
        curve.add("update", env_steps=11, updates=22, wall_s=1.75, q_loss=math.nan)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"kind": "episode", "env_st')
    assert len(read_curve(path)) == 2
    with Curve(path) as curve:
        curve.add("episode", env_steps=20, updates=40, wall_s=2.0, success=0.0)
    events = read_curve(path)
    assert [e["env_steps"] for e in events] == [10, 11, 20]
    assert events[1]["q_loss"] is None
    assert last_wall_s(path) == 2.0


def test_tensorboard_gets_the_numbers_too(tmp_path: Path) -> None:
    with Curve(tmp_path / "curve.jsonl", tmp_path / "tb") as curve:
        curve.add("episode", env_steps=7, updates=0, wall_s=0.0, rolling_success=0.25, seed=3)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(tmp_path / "tb"))
    board.Reload()
    assert board.Tags()["scalars"] == ["train/rolling_success"]
    assert [(e.step, e.value) for e in board.Scalars("train/rolling_success")] == [(7, 0.25)]


def test_a_full_disk_leaves_the_old_result_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "result.json"
    write_json(path, {"success_rate": 0.5})

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_text(path, "x" * 100)
    assert read_json(path) == {"success_rate": 0.5}
    assert [p.name for p in tmp_path.iterdir()] == ["result.json"]


def test_results_that_are_not_json_are_named(tmp_path: Path) -> None:
    assert read_json(tmp_path / "none.json") is None
    (tmp_path / "result.json").write_text("[1]")
    with pytest.raises(RunError, match="expected one JSON object, got list"):
        read_json(tmp_path / "result.json")
    (tmp_path / "result.json").write_text("{")
    with pytest.raises(RunError, match="not valid JSON"):
        read_json(tmp_path / "result.json")


def test_json_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    write_json("-", {"a": 1})
    assert json.loads(capsys.readouterr().out) == {"a": 1}
