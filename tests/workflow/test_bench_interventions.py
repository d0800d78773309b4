"""The benchmark of help: one JSON a run that has ended, gone on where it was stopped, drawn."""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import bench_interventions as bench


def options(folder: Path, **more: Any) -> argparse.Namespace:
    given = {"task": "lift", "seeds": [0, 1], "demos": 5, "steps": 3000, "check_every": 250}
    given |= {"check_episodes": 50, "set": [], "out": folder}
    return argparse.Namespace(**{**given, **more})


def curve(run: Path, rates: list[float], reason: str | None, driven: float = 0.0) -> None:
    """A run's curve as ``handful train`` writes it; no reason: a person has stopped it."""
    run.mkdir(parents=True, exist_ok=True)
    events: list[dict[str, Any]] = []
    for k, rate in enumerate(rates, start=1):
        share = {"intervention_rate": driven} if driven else {}
        events.append({"kind": "episode", "length": 50, "env_steps": 250 * k, **share})
        events.append({"kind": "check", "env_steps": 250 * k, "success_rate": rate})
    events.append({"kind": "stop", **({"reason": reason} if reason else {})})
    text = "".join(json.dumps({"wall_s": 1.0 * i, **e}) + "\n" for i, e in enumerate(events))
    (run / "curve.jsonl").write_text(text)


def test_a_run_that_was_stopped_goes_on_and_one_that_has_ended_is_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, calls = tmp_path / "lift_alone_0", list[list[str]]()

    def train(words: list[str], env: dict[str, str], **_: Any) -> int:
        assert env["OMP_NUM_THREADS"] == "1" and "agent.threads=1" in words
        calls.append(words)
        if len(calls) == 1:
            curve(run, [0.2], None)
            (run / "checkpoint.safetensors").touch()
            return 130
        curve(run, [0.2, 0.92], "check")
        return 0

    monkeypatch.setattr(subprocess, "call", train)
    for _ in range(3):
        bench.run_one(options(tmp_path), "alone", 0)
    assert len(calls) == 2 and "--resume" not in calls[0] and "--resume" in calls[1]
    told = json.loads((tmp_path / "lift_alone_0.json").read_text())
    assert told["steps_to_goal"] == 500 and told["checks"] == [[250, 0.2], [500, 0.92]]
    assert told["driven_share"] == 0.0 and told["commit"] and told["train_s"] > 0.0
    assert not list(tmp_path.glob(".*.part"))


def test_what_help_is_worth_is_a_table_and_a_drawing(tmp_path: Path) -> None:
    for seed, alone, helped in ((0, [0.1, 0.5, 0.9], [0.9]), (1, [0.1, 0.2, 0.3], [0.4, 0.94])):
        for kind, rates in (("alone", alone), ("helped", helped)):
            run = tmp_path / f"lift_{kind}_{seed}"
            curve(run, rates, "check" if rates[-1] >= 0.9 else "steps", 0.5 * (kind == "helped"))
            bench.run_one(options(tmp_path), kind, seed)
    table = bench.summarise(options(tmp_path))
    assert table["alone"]["median_steps_to_goal"] is None  # between 750 and never
    assert table["alone"]["reached"] == "1 of 2"
    assert table["helped"]["median_steps_to_goal"] == 375 and table["helped"]["reached"] == "2 of 2"
    said = bench.lines(table)
    assert said[-1] == "helped: median 375.0 environment steps, reached by 2 of 2"
    assert any(line.startswith("helped") and line.endswith("50%") for line in said)
    drawn = bench.drawing(table)
    assert drawn.startswith('<svg xmlns="http://www.w3.org/2000/svg"') and "NaN" not in drawn
