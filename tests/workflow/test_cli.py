"""The command as a stranger meets it: help, one-line errors, exit codes, numbers for machines."""

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
import torch
from click.testing import CliRunner, Result

from handful.cli import cli
from handful.workflow.errors import sentence
from handful.workflow.process import MALLOC

ONE_EPISODE = ["--set", "train.demos=1"]


def handful(*words: str) -> Result:
    return CliRunner().invoke(cli, list(words), prog_name="handful")


def refused(result: Result) -> str:
    """The one line of an expected error."""
    assert result.exit_code == 2, (result.output, result.exception)
    lines = result.stderr.strip().splitlines()
    mine = [line for line in lines if line.startswith("handful: ")]
    assert len(mine) == 1, lines
    assert "Traceback" not in result.stderr
    return mine[0]


@pytest.mark.parametrize("name", sorted(cli.commands))
class TestHelp:
    def test_it_says_what_it_does_with_an_example(self, name: str) -> None:
        result = handful(name, "--help")
        assert result.exit_code == 0
        assert f"Example: handful {name}" in result.output

    def test_every_option_is_explained(self, name: str) -> None:
        for parameter in cli.commands[name].params:
            if isinstance(parameter, click.Option):
                assert parameter.help and len(parameter.help.split()) >= 2, parameter.name


def test_the_story_is_on_the_first_page() -> None:
    output = handful("--help").output
    order = [output.index(f"  {name} ") for name in cli.commands]
    assert order == sorted(order)
    assert list(cli.commands) == [
        "collect",
        "pretrain",
        "train",
        "evaluate",
        "report",
        "bench",
        "demo",
        "robot-demo",
        "validate",
        "data",
        "teleop",
        "reward",
        "calibrate",
        "replay",
        "identify",
    ]


def test_help_does_not_wait_for_torch() -> None:
    slow = {"torch", "numpy", "pybullet", "pydantic", "matplotlib"}
    code = f"import sys, handful.cli; print(sorted({slow} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


class TestErrors:
    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["--task", "juggle"], "--task juggle: no such task; there are: drawer, lift, peg"),
            (["--agent", "nobody"], "agent/nobody: no shipped profile of that name"),
            (["--agent", "gone.yaml"], "gone.yaml: no such settings file"),
            (["--set", "agent.bach_size=4"], "did you mean 'batch_size'?"),
            (["--set", "agent.batch_size=many"], "batch_size"),
            (["--set", "magic.wand=1"], "no such group of settings; there are: agent, rig, twin"),
            (["--set", "batch_size=4"], "expected GROUP.KEY=VALUE"),
            (["--set", "train.steps=-1"], "steps"),
            (["--set", "rig.observe.image_px=32"], "this agent needs"),
            (["--set", "agent.cameras=[nose]"], "the rig has no camera 'nose'; it has: third"),
            (["--agent", "state"], "learns from the state alone"),
            (["--set", "rig.guard.workspace_min_m=[1,1,1]"], "workspace_min_m must be below"),
        ],
    )
    def test_settings(self, tmp_path: Path, words: list[str], said: str) -> None:
        run = tmp_path / "run"
        assert said in refused(handful("train", "--run", str(run), *words))
        assert not (run / "config.yaml").exists()

    def test_a_run_that_is_there_is_not_touched(self, tmp_path: Path) -> None:
        (tmp_path / "episodes").mkdir()
        log = tmp_path / "episodes" / "episode_000000.log"
        log.write_bytes(b"precious")
        said = refused(handful("train", "--run", str(tmp_path)))
        assert "--resume goes on with it, --overwrite deletes it" in said
        assert log.read_bytes() == b"precious"
        refused(handful("train", "--run", str(tmp_path), "--overwrite", "--task", "juggle"))
        assert log.read_bytes() == b"precious"
        assert "has been trained already" in refused(handful("pretrain", "--run", str(tmp_path)))

    def test_a_demo_that_cannot_begin_moves_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "demo").mkdir()
        refused(handful("demo", "--run", str(tmp_path / "demo"), "--set", "train.steps=-1"))
        assert [path.name for path in tmp_path.iterdir()] == ["demo"]

    def test_pretraining_without_demonstrations(self, tmp_path: Path) -> None:
        assert "handful collect" in refused(handful("pretrain", "--run", str(tmp_path)))

    @pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
    def test_a_gpu_that_is_not_there(self, tmp_path: Path) -> None:
        said = refused(handful("pretrain", "--run", str(tmp_path), "--device", "cuda"))
        assert "--device cuda:" in said
        assert "leave --device out" in said

    @pytest.mark.parametrize("content", [b"", b"\x00" * 100, b"{}" * 1000])
    def test_a_checkpoint_that_is_none(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "checkpoint.safetensors"
        path.write_bytes(content)
        assert str(path) in refused(handful("evaluate", str(path)))
        assert path.read_bytes() == content

    def test_nothing_to_evaluate_or_report(self, tmp_path: Path) -> None:
        assert "holds no checkpoint" in refused(handful("evaluate", str(tmp_path)))
        assert "no such" in refused(handful("evaluate", str(tmp_path / "x.safetensors")))
        assert "nothing to report" in refused(handful("report", str(tmp_path)))
        assert "no such run folder" in refused(handful("report", str(tmp_path / "x")))

    def test_a_config_that_was_damaged(self, tmp_path: Path) -> None:
        (tmp_path / "config.yaml").write_text("a: [")
        assert "not valid YAML" in refused(handful("collect", "--run", str(tmp_path)))
        (tmp_path / "config.yaml").write_text("- 1")
        assert "expected a mapping" in refused(handful("collect", "--run", str(tmp_path)))

    def test_bugs_keep_their_traceback(self) -> None:
        assert sentence(ValueError("bug")) is None
        assert sentence(KeyError("bug")) is None

    def test_disks_packages_and_gpus_become_sentences(self) -> None:
        assert "No space" in str(sentence(OSError(28, "No space left on device", "a/b")))
        missing = ModuleNotFoundError("No module named 'pybullet'", name="pybullet")
        assert "pip install" in str(sentence(missing))
        assert "agent.batch_size" in str(sentence(torch.cuda.OutOfMemoryError("17 GiB")))


class TestBench:
    def test_outside_a_checkout(self, tmp_path: Path) -> None:
        said = refused(handful("bench", "twin", "--benchmarks", str(tmp_path)))
        assert "come with a checkout" in said

    def test_numbers_go_where_they_are_asked_for(self, tmp_path: Path) -> None:
        (tmp_path / "beside.py").write_text("RATE = 350.5\n")
        (tmp_path / "bench_twin.py").write_text(
            "from beside import RATE\n"
            "def run_twin_bench(progress, seconds_per_case=5.0):\n"
            "    progress('one case')\n"
            "    return {'env_steps_per_s': RATE * seconds_per_case}\n"
        )
        words = ["bench", "twin", "--benchmarks", str(tmp_path)]
        assert "env_steps_per_s  1,752" in handful(*words).stdout
        result = handful(*words, "--json", "-", "--seconds", "1")
        assert json.loads(result.stdout) == {"env_steps_per_s": 350.5}
        assert "one case" in result.stderr
        out = tmp_path / "deep" / "twin.json"
        handful(*words, "--json", str(out), "--seconds", "1")
        assert json.loads(out.read_text()) == {"env_steps_per_s": 350.5}

    def test_a_benchmark_without_its_function(self, tmp_path: Path) -> None:
        (tmp_path / "bench_learner.py").write_text("")
        said = refused(handful("bench", "learner", "--benchmarks", str(tmp_path)))
        assert "has no function run_learner_bench()" in said


def test_the_allocator_is_set_once(tmp_path: Path) -> None:
    script = tmp_path / "who.py"
    script.write_text(
        "import os, sys\nfrom handful.workflow.process import tune_allocator\n"
        "print('start', flush=True)\ntune_allocator()\n"
        "print(sys.argv[1:], {k: v for k, v in os.environ.items() if k.startswith('MALLOC_')})\n"
    )
    clean = {k: v for k, v in os.environ.items() if k != "HANDFUL_REEXEC" and k not in MALLOC}
    words = [sys.executable, str(script), "a b", "c"]
    done = subprocess.run(words, env=clean, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    if os.confstr("CS_GNU_LIBC_VERSION"):
        assert lines == ["start", "start", f"['a b', 'c'] {MALLOC}"]
    mine = {**clean, "MALLOC_TOP_PAD_": "1"}
    done = subprocess.run(words, env=mine, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["start", "['a b', 'c'] {'MALLOC_TOP_PAD_': '1'}"]
