"""A task that is not of this package: the page's own example, as its reader would install it."""

import re
import subprocess
import sys
from pathlib import Path

import handful_twin
import pytest
from handful_twin.plugins import load_plugins
from handful_twin.tasks import TASKS, Task

from handful.config import ConfigError

PAGE = (Path(__file__).parents[2] / "docs" / "tasks.md").read_text("utf-8")


def block(language: str, first: str) -> str:
    found = re.search(rf"```{language}\n# {re.escape(first)}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None, f"docs/tasks.md has no {language} block that begins with # {first}"
    return found.group(1)


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """What pip would leave of the example in site-packages."""
    (tmp_path / "topple.py").write_text(block("python", "topple.py"))
    (tmp_path / "topple.yaml").write_text(block("yaml", "topple.yaml"))
    about = tmp_path / "topple-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: topple\nVersion: 1.0\n")
    toml = block("toml", "pyproject.toml of your package")
    line = re.search(r'^topple = "(.+)"$', toml, re.MULTILINE)
    assert line is not None and '[project.entry-points."handful.tasks"]' in toml
    (about / "entry_points.txt").write_text(f"[handful.tasks]\ntopple = {line.group(1)}\n")
    return tmp_path


def python(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    import os

    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH", "")])])
    return subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, timeout=240, cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip


def test_the_page_s_task_is_a_task_like_the_others(installed: Path) -> None:
    run = str(installed / "run")
    words = ["-m", "handful.cli", "collect", "--task", "topple", "--demos", "2", "--run", run]
    done = python(installed, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 demonstrations of topple" in done.stdout + done.stderr
    wrong = python(installed, *words[:-1], run + "2", "--set", "task.leen=0.5")
    assert wrong.returncode != 0 and "did you mean 'lean'" in wrong.stdout + wrong.stderr


SCRIPT = """
import topple, gymnasium, handful_twin, warnings
from gymnasium.utils.env_checker import check_env
env = gymnasium.make("handful/Topple-v0", render_mode="rgb_array")
check_env(env.unwrapped, skip_render_check=True)
from handful_twin.demonstrate import Demonstrator
twin = env.unwrapped.inner
for seed in range(4):
    observation, expert = twin.reset(seed), Demonstrator(twin, 0.2, seed)
    assert not twin.task.success(twin.truth())
    while True:
        transition = twin.step(expert.act(observation))
        observation = transition.next_observation
        if transition.last:
            break
    assert transition.info["success"], seed
print("four of four")
"""


def test_importing_it_first_is_enough(installed: Path) -> None:
    done = python(installed, "-W", "error::UserWarning:handful_twin", "-c", SCRIPT)
    assert "four of four" in done.stdout, done.stdout + done.stderr


class _Reach(TASKS["reach"]):  # type: ignore[misc]
    """Another class of a name that is taken."""


class _Nameless(Task):
    """A task that forgot its name."""


def test_what_is_no_task_is_refused() -> None:
    assert handful_twin.add_task(TASKS["reach"]) is TASKS["reach"], "twice is safe"
    with pytest.raises(ConfigError, match=r"task 'reach' is already .*\.Reach; choose another"):
        handful_twin.add_task(_Reach)
    for wrong in (_Nameless, dict, "reach"):
        with pytest.raises(ConfigError, match="is no task: expected a subclass of Task"):
            handful_twin.add_task(wrong)  # type: ignore[arg-type]


def test_a_broken_plugin_takes_nothing_else_away(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import EntryPoint

    broken = EntryPoint("knock", "no_such_package_of_yours:Knock", "handful.tasks")
    monkeypatch.setattr("handful_twin.plugins.entry_points", lambda group: [broken])
    before = dict(TASKS)
    with pytest.warns(UserWarning, match="task 'knock' of no_such_package_of_yours:Knock is left"):
        load_plugins()
    assert before == TASKS
