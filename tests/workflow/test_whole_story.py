"""The real thing, small: twin, learner, kill -9, evaluation, report; through the command itself."""

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors import safe_open

from handful.cli import cli
from handful.rig.episodes import read
from handful.workflow.curves import read_curve
from handful.workflow.probe import read_probe
from handful.workflow.run_folder import RunFolder

SMALL = [
    "agent.start_steps=0",
    "agent.pretrain.updates=10",
    "agent.pretrain.batch_size=8",
    "agent.clone.updates=10",
    "agent.clone.batch_size=8",
    "agent.batch_size=8",
    "agent.update_to_data=1.0",
    "agent.encoder.filters=4",
    "agent.critic.hidden_dim=16",
    "agent.actor.hidden_dim=16",
    "agent.replay.capacity=500",
    "train.demos=2",
    "train.log_every_s=0.05",
]
SETS = [word for pair in SMALL for word in ("--set", pair)]
QUICK = {**os.environ, "OMP_NUM_THREADS": "1", "HANDFUL_REEXEC": "1"}


def handful(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(cli, list(words), prog_name="handful")
    assert result.exit_code == code, (result.output, result.exception)
    return result.stdout


def started(words: list[str], **more: Any) -> subprocess.Popen[str]:
    """The command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "handful.cli", *words],
        env=QUICK,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        **more,
    )


def wait_for(process: subprocess.Popen[str], run: RunFolder, kind: str, count: int) -> None:
    """Return when the curve has so many events of a kind."""
    deadline = time.monotonic() + 250
    while sum(event["kind"] == kind for event in read_curve(run.curve)) < count:
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < deadline, f"no {kind} in time"
        time.sleep(0.02)


def recorded_actions(run: RunFolder) -> list[bytes]:
    """Every action the episode log holds, in order."""
    return [t.action.tobytes() for episode in read(run.episodes) for t in episode.transitions]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, list[bytes]]:
    """A training run that was killed with SIGKILL in mid-flight, after its second checkpoint."""
    run = RunFolder(tmp_path_factory.mktemp("runs") / "killed")
    words = ["train", "--task", "reach", "--run", str(run), "--steps", "4000", *SETS]
    words += ["--set", "train.checkpoint_every_steps=20"]
    process = started(words)
    try:
        wait_for(process, run, "checkpoint", 2)
        time.sleep(0.1)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    return run, recorded_actions(run)


def test_kill_9_then_resume_loses_nothing(killed: tuple[RunFolder, list[bytes]]) -> None:
    run, actions = killed
    recorded = len(actions)
    assert recorded >= 40
    at_kill = [e for e in read_curve(run.curve) if e["kind"] == "checkpoint"][-1]
    assert at_kill["env_steps"] < recorded + 1
    refusal = CliRunner().invoke(cli, ["train", "--run", str(run)])
    assert refusal.exit_code == 2
    assert "--resume" in refusal.stderr
    more = recorded + 15
    told = handful(
        "train", "--run", str(run), "--resume", "--steps", str(more), "--json", f"{run}/t.json"
    )
    assert f"resumed from the checkpoint: {recorded} env steps" in told
    done = json.loads((run.path / "t.json").read_text())
    assert (done["env_steps"], done["updates"]) == (more, more)
    assert recorded_actions(run)[:recorded] == actions
    seeds = [episode.info["seed"] for episode in read(run.episodes)]
    assert len(set(seeds)) == len(seeds)


def test_ctrl_c_leaves_a_checkpoint_of_all_there_is(killed: tuple[RunFolder, list[bytes]]) -> None:
    run, _ = killed
    before = sum(event["kind"] == "episode" for event in read_curve(run.curve))
    process = started(["train", "--run", str(run), "--resume", "--steps", "4000"])
    try:
        wait_for(process, run, "episode", before + 1)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert f"Go on with: handful train --run {run} --resume" in told
    assert "Traceback" not in told
    recorded = len(recorded_actions(run))
    last = read_curve(run.curve)[-1]
    assert (last["kind"], last["env_steps"]) == ("stop", recorded)
    assert recorded - 1 <= last["updates"] <= recorded  # it may stop with one update still owed
    with safe_open(run.checkpoint, framework="np") as file:
        assert json.loads(file.metadata()["handful.meta"])["updates"] == last["updates"]


@pytest.mark.parametrize("full_for", ["checkpoint", "log"])
def test_a_full_disk_costs_nothing_that_is_there(
    killed: tuple[RunFolder, list[bytes]], full_for: str
) -> None:
    run, _ = killed
    before = run.checkpoint.read_bytes()
    actions = recorded_actions(run)
    limit = len(before) - 1000 if full_for == "checkpoint" else 110_000

    def small_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    # Two steps take 25 kB each in the log; the checkpoint takes 200 kB.
    more = 2 if full_for == "checkpoint" else 2000
    words = ["train", "--run", str(run), "--resume", "--steps", str(len(actions) + more)]
    process = started(words, preexec_fn=small_disk)
    _, told = process.communicate(timeout=250)
    assert process.returncode == 2, told
    (line,) = [line for line in told.splitlines() if line.startswith("handful: ")]
    if full_for == "checkpoint":
        assert f"{run.checkpoint}: cannot write the checkpoint" in line
        assert "the checkpoint that was there before is whole" in line
        assert len(recorded_actions(run)) == len(actions) + 2
    else:
        assert re.search(r"episode_\d+\.log: cannot be written: .* are whole", line), line
    assert run.checkpoint.read_bytes() == before
    assert recorded_actions(run)[: len(actions)] == actions


def test_settings_of_a_run_stay_its_own(killed: tuple[RunFolder, list[bytes]]) -> None:
    run, _ = killed
    words = ["train", "--run", str(run), "--resume", "--set", "agent.batch_size=16"]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 2
    assert "agent.batch_size: 8 -> 16" in result.stderr
    result = CliRunner().invoke(cli, ["train", "--run", str(run), "--resume", "--task", "lift"])
    assert result.exit_code == 2
    assert "task_name: reach -> lift" in result.stderr


def test_a_checkpoint_in_the_wrong_run_is_refused(
    killed: tuple[RunFolder, list[bytes]], tmp_path: Path
) -> None:
    run, _ = killed
    other = RunFolder(tmp_path / "other")
    handful("collect", "--run", str(other), "--task", "lift", *SETS)
    other.checkpoint.write_bytes(run.checkpoint.read_bytes())
    result = CliRunner().invoke(cli, ["train", "--run", str(other), "--resume"])
    assert result.exit_code == 2
    assert "belongs to other settings than this run" in result.stderr
    assert "task_name: reach -> lift" in result.stderr


def test_the_story_step_by_step(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "mine")
    at = ["--run", str(run)]
    assert "2 demonstrations of reach" in handful("collect", "--task", "reach", *at, *SETS)
    assert "pretrained.safetensors: 2 demonstrations" in handful("pretrain", *at)
    assert "--again makes a new one" in handful("pretrain", *at)
    handful("train", *at, "--steps", "20", "--check-every", "15", "--set", "train.check_episodes=1")
    result = json.loads(handful("evaluate", str(run), "--episodes", "3", "--json", "-"))
    assert result == json.loads(run.result.read_text())
    expected = {"task": "reach", "demos": 2, "env_steps": 20, "updates": 20, "episodes": 3}
    assert {key: result[key] for key in expected} == expected
    assert result["success_low"] <= result["success_rate"] <= result["success_high"]
    assert len(list(run.videos.glob("*.webp"))) == 3
    found = read_probe(run.probe)
    assert found is not None
    assert np.isfinite(found["latents"]).all()
    assert found["latents"].std(0).max() > 0
    again = json.loads(
        handful("evaluate", str(run), "--episodes", "3", "--no-films", "--json", "-")
    )
    assert again["lengths"] == result["lengths"], "the same worlds, the same policy"
    in_another_twin(run, tmp_path / "hard", again)
    page = Path(handful("report", str(run)).strip())
    assert page == run.report
    assert "What the encoder separates" in page.read_text()


def in_another_twin(run: RunFolder, into: Path, before: dict[str, Any]) -> None:
    """Measured where all is drawn anew; the run's own result stays what it was."""
    asked = ("evaluate", str(run), "--no-films", "--set", "twin.randomize=hard")
    refuse = {
        "say with --run DIR where": (),
        "--set rig.…: may change the groups twin and task": ("--set", "rig.action.step_m=0.02"),
        "randomize/hart: no shipped profile": ("--set", "twin.randomize=hart"),
    }
    for said, words in refuse.items():
        where = ("--run", str(into)) if words else ()
        refused = CliRunner().invoke(cli, [*asked, *words, *where])
        assert refused.exit_code == 2 and said in refused.stderr, refused.stderr
    assert not into.exists()
    horizon = ("--set", "task.horizon_steps=7")
    hard = json.loads(
        handful(*asked, *horizon, "--episodes", "3", "--run", str(into), "--json", "-")
    )
    assert hard["sets"] == ["twin.randomize=hard", "task.horizon_steps=7"]
    assert hard["seeds"] == before["seeds"] and max(hard["lengths"]) <= hard["horizon"] == 7
    assert json.loads((into / "result.json").read_text()) == hard
    assert json.loads(run.result.read_text()) == before


def test_the_demo_keeps_the_run_before(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "demo")
    run.path.mkdir()
    (run.path / "mark").write_text("first")
    words = ["demo", "--task", "reach", "--run", str(run), "--demos", "2", "--steps", "8"]
    told = handful(*words, "--episodes", "2", *SETS, "--json", str(tmp_path / "numbers.json"))
    assert f"the run that was in {run} is now in {run}.previous" in told
    assert (tmp_path / "demo.previous" / "mark").read_text() == "first"
    assert not (run.path / "mark").exists()
    assert f"report: {run.report}" in told
    assert "of 2 unseen episodes succeeded" in told
    assert run.report.is_file()
    numbers = json.loads((tmp_path / "numbers.json").read_text())
    assert numbers == json.loads(run.result.read_text())
    assert numbers["total_s"] > numbers["wall_s"] > 0
