"""handful as a catkin package: it builds, imports from the devel space, and installs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ["src", "sim", "config", "nodes", "launch"]
FILES = [
    "CMakeLists.txt",
    "package.xml",
    "setup.py",
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "NOTICE",
]

pytestmark = pytest.mark.skipif(
    not shutil.which("catkin_make"),
    reason="NO CATKIN HERE; to test it: apt-get install catkin python3-catkin-pkg g++ make cmake",
)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a copy of the package, built by this interpreter."""
    folder = tmp_path_factory.mktemp("ws")
    package = folder / "src" / "handful"
    package.mkdir(parents=True)
    skip = shutil.ignore_patterns("__pycache__", "*.egg-info", "*.nb?")
    for name in PARTS:
        shutil.copytree(ROOT / name, package / name, ignore=skip)
    for name in FILES:
        shutil.copy(ROOT / name, package)
    make(folder)
    return folder


def make(workspace: Path, *targets: str) -> None:
    """``catkin_make`` in a shell that has sourced nothing; its output is the failure message."""
    done = subprocess.run(
        ["catkin_make", f"-DPYTHON_EXECUTABLE={sys.executable}", *targets],
        cwd=workspace,
        env={"PATH": "/usr/bin:/bin", "HOME": str(workspace), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]


def ask(workspace: Path, space: str, question: str) -> str:
    """What python prints after ``source SPACE/setup.bash``, away from the checkout."""
    command = f'source {space}/setup.bash && cd / && exec "$0" -c "$1"'
    done = subprocess.run(
        ["bash", "-c", command, sys.executable, question],
        cwd=workspace,
        env={"PATH": "/usr/bin:/bin", "HOME": str(workspace)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


WHERE = """
import handful.rig.guard, handful_twin.settings, handful_config
print(handful.__version__, handful.rig.guard.__file__, handful_twin.settings.__file__)
"""
SETTINGS = """
from handful.config import load
from handful.rig.settings import RigSettings
from importlib import resources
print(resources.files('handful_config'), load(RigSettings, 'rig').control_rate_hz)
"""


def test_the_devel_space_runs_the_sources_of_the_workspace(workspace: Path) -> None:
    version, guard, twin = ask(workspace, "devel", WHERE).split()
    package = workspace / "src" / "handful"
    assert f"<version>{version}</version>" in (package / "package.xml").read_text()
    assert Path(guard) == package / "src/handful/rig/guard.py"
    assert Path(twin) == package / "sim/handful_twin/settings.py"


def test_the_devel_space_reads_the_settings_of_the_workspace(workspace: Path) -> None:
    folder, rate_hz = ask(workspace, "devel", SETTINGS).split()
    assert Path(folder).resolve() == workspace / "src" / "handful" / "config"
    assert float(rate_hz) > 0


def test_the_install_space_stands_on_its_own(workspace: Path) -> None:
    make(workspace, "install")
    version, guard, _ = ask(workspace, "install", WHERE).split()
    assert version
    assert Path(guard).is_relative_to(workspace / "install")
    folder, _ = ask(workspace, "install", SETTINGS).split()
    assert Path(folder).is_relative_to(workspace / "install")
    for shared in ["package.xml", "config/rig.yaml", "config/task/lift.yaml", "launch"]:
        assert os.path.exists(workspace / "install/share/handful" / shared), shared
