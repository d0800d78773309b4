"""The tasks' benchmark: what it counts, what it keeps, what it refuses, and its pictures."""

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest

FILE = Path(__file__).resolve().parents[2] / "benchmarks" / "bench_tasks.py"


@pytest.fixture(scope="module")
def bench() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("bench_tasks", FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["bench_tasks"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["bench_tasks"]


def test_it_counts_what_happened(bench: ModuleType) -> None:
    said: list[str] = []
    numbers = bench.run_tasks_bench(3, ["reach"], speed_s=0.05, progress=said.append)
    reach = numbers["tasks"]["reach"]
    assert reach["demonstrator"]["success_rate"] == 1.0
    assert 6 <= reach["demonstrator"]["steps_median"] <= reach["horizon_steps"] == 30
    assert reach["random"]["success_rate"] == 0.0 and "steps_median" not in reach["random"]
    assert reach["env_steps_per_cpu_s"] > 0.0 and reach["episodes"] == 3 and reach["commit"]
    assert len(said) == 1 and said[0].startswith("reach")


def test_tasks_that_were_not_asked_for_are_kept(
    bench: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "tasks.json"
    file.write_text(json.dumps({"tasks": {"lift": {"kept": True}, "reach": {"old": True}}}))
    weak = {"success_rate": 0.9}
    good = {"success_rate": 1.0}
    found = {"demonstrator": good, "demonstrator_noisy": weak, "random": {"success_rate": 0.0}}
    new = {"reach": {**found, "horizon_steps": 30}}
    monkeypatch.setattr(
        bench, "run_tasks_bench", lambda *given: {"tasks": new, "randomize": given[-1]}
    )
    words = ["bench_tasks", "--tasks", "reach", "--json", str(file)]
    monkeypatch.setattr(sys, "argv", words)
    bench.main()
    assert json.loads(file.read_text())["tasks"] == {"lift": {"kept": True}, **new}
    new["reach"]["random"] = {"success_rate": 0.05}
    with pytest.raises(SystemExit, match=r"reach .*random 0.05; wanted 0.95 and less than 0.05"):
        bench.main()
    new["reach"] |= {"random": {"success_rate": 0.0}, "demonstrator": {"success_rate": 0.94}}
    with pytest.raises(SystemExit, match=r"reach .*demonstrator 0.94"):
        bench.main()
    monkeypatch.setattr(sys, "argv", [*words, "--randomize", "hard"])
    with pytest.raises(SystemExit, match=r"tasks.json is of --randomize none, not hard"):
        bench.main()
    words[-1] = str(tmp_path / "hard.json")
    monkeypatch.setattr(sys, "argv", [*words, "--randomize", "hard"])
    bench.main()  # 0.9 with noise is enough there
    new["reach"]["demonstrator_noisy"] = {"success_rate": 0.88}
    with pytest.raises(SystemExit, match=r"with noise 0.88.*; wanted 0.9 and"):
        bench.main()


def test_ranges_are_drawn_when_asked_for(bench: ModuleType) -> None:
    seen: list[Any] = []
    made = bench.make_env

    def watched(*args: Any, **words: Any) -> Any:
        seen.append(made(*args, **words))
        return seen[-1]

    bench.make_env = watched
    try:
        numbers = bench.run_tasks_bench(1, ["reach"], 0.0, lambda _: None, "hard")
    finally:
        bench.make_env = made
    assert numbers["randomize"] == "hard" and "encoders.joint_noise_rad" in seen[0].draw.values
    assert "env_steps_per_cpu_s" not in numbers["tasks"]["reach"]


def test_a_picture_shows_film_and_both_cameras(bench: ModuleType, tmp_path: Path) -> None:
    (path,) = bench.draw(tmp_path / "media", ["switch"])
    assert path == tmp_path / "media" / "task_switch.png"
    picture = cv2.imread(str(path))
    assert picture.shape[0] == bench.FILM_PX and picture.shape[1] > 1.4 * bench.FILM_PX
    assert np.ptp(picture[:, -100:].astype(int)) > 100, "the column of the cameras is empty"
