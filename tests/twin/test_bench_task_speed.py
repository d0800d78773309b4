"""The speed bench: every case is measured, and what misses a bar is named."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

FILE = Path(__file__).resolve().parents[2] / "benchmarks" / "bench_task_speed.py"


@pytest.fixture(scope="module")
def bench() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("bench_task_speed", FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["bench_task_speed"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["bench_task_speed"]


def test_every_case_is_measured(bench: ModuleType) -> None:
    said: list[str] = []
    numbers = bench.run_speed_bench(0.1, ["reach"], rounds=1, progress=said.append)
    reach = numbers["tasks"]["reach"]
    assert all(reach[case]["steps_per_s"] > 0.0 for case in bench.CASES)
    assert all(0.0 <= reach[case]["resets"] < 1.0 for case in bench.CASES)
    assert len(said) == 1 and said[0].startswith("| reach |")


def test_what_misses_a_bar_is_named(bench: ModuleType) -> None:
    def row(one: float, two: float, costs: float) -> dict:
        speeds = {"one": {"steps_per_s": one}, "two": {"steps_per_s": two}}
        return {**speeds, "hard_costs_one": 0.1, "hard_costs_two": costs}

    good, slow, dear = row(260, 130, 0.2), row(240, 130, 0.1), row(260, 130, 0.21)
    assert bench.short({"good": good}) == []
    found = bench.short({"good": good, "slow": slow, "dear": dear})
    assert [line.split()[1] for line in found] == ["slow", "dear"]
