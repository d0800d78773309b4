"""The learner's benchmark: its orders are obeyed, its numbers are the ones it promises."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

_FOLDER = Path(__file__).parents[2] / "benchmarks"

PROMISED = (
    "curl_updates_per_s",
    "curl_reference_updates_per_s",
    "ratio_reference",
    "rad_updates_per_s",
    "rad_reference_updates_per_s",
    "ratio_rad_reference",
    "ratio_rad_reference_plain",
    "curl_100k_gb",
    "lean_updates_per_s",
    "frozen_updates_per_s",
    "frozen10_updates_per_s",
    "act_p50_ms",
    "act_p99_ms",
    "sample_share",
    "bytes_per_transition",
    "bytes_per_transition_reference",
    "shared_core_slowdown",
)


@pytest.fixture
def bench() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_learner", _FOLDER / "bench_learner.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class _Canned:
    """A worker that answers at once, at a rate of its own."""

    per_turn = {
        "reference": 2,
        "curl": 6,
        "rad": 16,
        "rad_reference": 4,
        "lean": 40,
        "lean_two": 20,
        "frozen": 300,
    }
    orders: list[tuple[str, int]] = []

    def __init__(self, case: str, threads: int, tuned: bool = True) -> None:
        self.case, self.threads, self.tuned = case, threads, tuned
        size = 180_024 if case == "reference" else 30_000
        self.facts = {"bytes_per_transition": size}

    def start(self, seconds: float) -> None:
        self.orders.append((self.case, self.threads))
        self.seconds = seconds

    def wait(self) -> dict[str, Any]:
        if self.case.startswith("act_"):
            return {"latencies_ms": [0.5] * 98 + [2.0, 9.0]}
        count = self.per_turn.get(self.case, 10) * (1 if self.tuned else 0.5)
        sampling = 0.01 if self.case == "curl" else 0.02
        answer = {"count": count, "seconds": 2.0, "cpu_seconds": 4.0}
        return answer | {"sampling_seconds": 2.0 * sampling}

    def close(self) -> None:
        pass


def test_numbers_are_the_promised_ones(bench, monkeypatch):
    monkeypatch.setattr(bench, "Worker", _Canned)
    monkeypatch.setattr(bench, "_busy_seconds", lambda: 0.0)
    monkeypatch.setattr(bench.os, "sched_getaffinity", lambda _: {0, 1, 2})
    said: list[str] = []
    numbers = bench.run_learner_bench(4.0, said.append, rounds=2)
    assert set(PROMISED) <= set(numbers)
    assert numbers["curl_updates_per_s"] == 3.0
    assert numbers["ratio_reference"] == 3.0
    assert (numbers["rad_updates_per_s"], numbers["ratio_rad_reference"]) == (8.0, 4.0)
    assert numbers["curl_100k_gb"] == pytest.approx(3.0)
    assert numbers["frozen_updates_per_s"] == 150.0
    assert numbers["ratio_reference_plain"] == 6.0
    assert numbers["sample_share"] == pytest.approx(0.02)
    assert (numbers["act_p50_ms"], numbers["act_p99_ms"]) == (0.5, 2.0)
    assert numbers["shared_core_slowdown"] == 1.0
    assert numbers["bytes_per_transition_reference"] == 180_024
    threads = dict(_Canned.orders)
    assert (threads["curl"], threads["twin"], threads["act_lean"]) == (3, 1, 1)
    assert ("frozen", 2) in _Canned.orders  # beside others it leaves them a core
    assert any("round 2 of 2" in line for line in said)


def test_strangers_turns_do_not_count_while_there_are_quiet_ones(bench):
    quiet = {"count": 10, "seconds": 1.0, "strangers": 0.0}
    loud = {"count": 2, "seconds": 1.0, "strangers": 1.2}
    assert bench._rate([loud, quiet, loud]) == 10.0
    assert bench._rate([loud, loud]) == 2.0


@pytest.mark.parametrize("case", ["lean", "act_lean"])
def test_a_case_runs_in_its_own_process(bench, case):
    worker = bench.Worker(case, 1)
    try:
        worker.start(0.05)
        answer = worker.wait()
    finally:
        worker.close()
    assert worker.process.returncode == 0
    if case == "lean":
        assert answer["count"] >= 2 and answer["count"] % 2 == 0
        assert 0.0 < answer["sampling_seconds"] < answer["seconds"]
        assert 12_000 < worker.facts["bytes_per_transition"] < 100_000
    else:
        assert all(0.0 < ms < 10_000.0 for ms in answer["latencies_ms"])


def test_a_case_that_dies_is_named(bench, monkeypatch):
    monkeypatch.setattr(bench.sys, "executable", "/bin/false")
    with pytest.raises(RuntimeError, match="case curl: its process ended with 1"):
        bench.Worker("curl", 1)
    assert sys.executable
