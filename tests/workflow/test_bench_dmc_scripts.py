"""The scripts beside ``handful bench dmc``: a stopped run's worth, and learning beside a step."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

FOLDER = Path(__file__).parents[2] / "benchmarks"
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("dm_control") is None,
    reason="NO DM_CONTROL HERE; to test it: pip install -r requirements-dmc.txt",
)


def run(monkeypatch: pytest.MonkeyPatch, module: str, *words: str) -> None:
    """``python benchmarks/MODULE.py WORDS``, in this process."""
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setattr(sys, "argv", [module, *words])
    importlib.import_module(module).main()


def test_a_run_s_checkpoint_is_evaluated_in_worlds_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from handful.cli import cli

    words = ["bench", "dmc", "--method", "state", "--task", "cartpole_swingup", "--steps", "2000"]
    words += ["--eval-every", "1000", "--set", "agent.start_steps=200"]
    words += ["--set", "agent.update_to_data=0.1", "--runs", str(tmp_path / "runs")]
    done = CliRunner().invoke(cli, [*words, "--results", str(tmp_path / "results")])
    assert done.exit_code == 0, done.output
    run_folder, out = tmp_path / "runs/cartpole_swingup", tmp_path / "look.json"
    (folder,) = run_folder.glob("*/seed_1")
    run(monkeypatch, "bench_look", str(folder), "--json", str(out))
    assert "2,000 env steps, mean return" in capsys.readouterr().out
    told = json.loads(out.read_text())
    assert (told["env_steps"], told["updates"], told["physics"]) == (2000, 5, "published")
    (table,) = (tmp_path / "results").rglob("seed_1.csv")
    last = table.read_text().splitlines()[-1].split(",")[-10:]
    assert len(told["returns"]) == 10
    assert [round(x, 4) for x in told["returns"]] != [float(x) for x in last]  # other worlds
    before = (folder / "checkpoint.safetensors").stat().st_mtime_ns
    run(monkeypatch, "bench_look", str(folder))
    assert (folder / "checkpoint.safetensors").stat().st_mtime_ns == before
    with pytest.raises(SystemExit, match=r"no plan\.json .*in it; name the folder of one of its"):
        run(monkeypatch, "bench_look", str(tmp_path))


def test_both_orders_decide_and_learn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.json"
    words = ["--task", "cartpole_swingup", "--method", "state", "--batch", "32"]
    words += ["--seconds", "0.2", "--rounds", "1", "--json", str(out)]
    run(monkeypatch, "bench_overlap", *words)
    assert "decisions/s waiting" in capsys.readouterr().out
    told = json.loads(out.read_text())
    assert told["waiting_per_s"][0] > 0 and told["beside_per_s"][0] > 0
    assert told["ratio"] == pytest.approx(told["beside_per_s"][0] / told["waiting_per_s"][0])
