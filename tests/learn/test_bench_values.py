"""The arithmetic of ``benchmarks/bench_values.py``."""

import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))
try:
    from bench_values import speed, values
finally:
    sys.path.remove(str(BENCHMARKS))

AGENT = {
    "discount": 0.99,
    "critic": {"tau": 0.01, "target_every": 2},
    "replay": {"n_step": 1},
}
PLAN = {"agent": AGENT, "repeat": 8, "budget_env_steps": 5_000}


def test_the_published_settings_close_a_twenty_thousandth_an_update() -> None:
    assert speed(AGENT) == pytest.approx(5e-5)
    assert speed({**AGENT, "replay": {"n_step": 3}}) == pytest.approx(5e-3 * (1 - 0.99**3))


def test_a_value_grows_to_the_limit_as_the_target_lets_it() -> None:
    lines: list[dict[str, object]] = []
    for episode in range(1, 6):
        steps = 1_000 * episode  # 125 decisions of reward 2
        told = {"env_steps": steps, "updates": 10_000 * episode, "q_mean": 1.5}
        lines.append({"kind": "episode", "env_steps": steps, "episode_return": 250.0})
        lines.append({"kind": "update", **told})
    rows = values(PLAN, lines)
    assert [row["env_steps"] for row in rows] == [1_000, 2_000, 3_000, 4_000, 5_000]
    assert all(row["limit"] == pytest.approx(200.0) for row in rows)  # 2 / (1 - 0.99)
    grown = [200.0 * (1.0 - (1.0 - 5e-5) ** row["updates"]) for row in rows]
    assert [row["by_arithmetic"] for row in rows] == pytest.approx(grown)
