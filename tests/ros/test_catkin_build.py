"""handful as a catkin package: it builds, imports from the devel space, and installs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from graph import NO_ROS

ROOT = Path(__file__).parents[2]
PARTS = ["src", "sim", "config", "nodes", "launch", "msg", "srv"]
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
    reason=NO_ROS,
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
    (package / "nodes/where_node.py").write_text(WHERE_NODE)
    (package / "nodes/where_node.py").chmod(0o755)
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
    return sourced(workspace, space, sys.executable, "-c", question)


def sourced(workspace: Path, space: str, *command: str) -> str:
    """What a command prints in a shell that has sourced the space and nothing else."""
    done = subprocess.run(
        ["bash", "-c", f'source {space}/setup.bash && cd / && exec "$@"', "bash", *command],
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
MESSAGES = """
import handful.msg, handful.srv, handful.wire.messages
print(handful.msg.__file__, handful.srv.__file__, len(handful.msg.Verdict.__slots__))
"""
WHERE_NODE = """#!/usr/bin/env python3
import sys
import handful.rig.guard, handful.msg
if __name__ == "__main__":
    print(sys.executable, handful.rig.guard.__file__, handful.msg.__file__, sys.argv[1])
"""
SETTINGS = """
from handful.config import load
from handful.rig.settings import RigSettings
from importlib import resources
print(resources.files('handful_config'), load(RigSettings, 'rig').control_rate_hz)
"""


@pytest.fixture(scope="module")
def installed(workspace: Path) -> Path:
    """The same workspace after ``catkin_make install``."""
    make(workspace, "install")
    return workspace


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


def test_the_install_space_stands_on_its_own(installed: Path) -> None:
    version, guard, _ = ask(installed, "install", WHERE).split()
    assert version
    assert Path(guard).is_relative_to(installed / "install")
    folder, _ = ask(installed, "install", SETTINGS).split()
    assert Path(folder).is_relative_to(installed / "install")
    shared = ["package.xml", "msg/Verdict.msg", "srv/Halt.srv"]
    for path in [p for kind in ("config", "launch") for p in (ROOT / kind).glob("**/*")]:
        if path.suffix in {".yaml", ".launch", ".rviz", ".urdf"}:
            shared.append(str(path.relative_to(ROOT)))
    assert "config/task/lift.yaml" in shared
    for name in shared:
        assert (installed / "install/share/handful" / name).is_file(), name
    for path in (ROOT / "config").glob("**/*.yaml"):  # the settings are a package as well
        assert (Path(folder) / path.relative_to(ROOT / "config")).is_file(), path


@pytest.mark.parametrize("space", ["devel", "install"])
def test_messages_are_made_in_both_spaces(installed: Path, space: str) -> None:
    *made, fields = ask(installed, space, MESSAGES).split()
    assert all(Path(path).is_relative_to(installed / space) for path in made)
    assert int(fields) > 5
    said = sourced(installed, space, "rosmsg", "show", "handful/Verdict")
    assert "uint8 status" in said


@pytest.mark.parametrize("space", ["devel", "install"])
def test_nodes_are_found_and_run_under_our_interpreter(installed: Path, space: str) -> None:
    """From a shell whose python3 is the system's, without an active virtual environment."""
    said = sourced(installed, space, "rosrun", "handful", "where_node.py", "argument").split()
    package = {"devel": installed / "src/handful", "install": installed / "install"}[space]
    assert said[0] == sys.executable
    assert Path(said[1]).is_relative_to(package)
    assert Path(said[2]).is_relative_to(installed / space)
    assert said[3] == "argument"
    for node in (ROOT / "nodes").glob("*.py"):
        there = installed / space / "lib/handful" / node.name
        assert os.access(there, os.X_OK), there
        assert there.read_text().splitlines()[0] == f"#!{sys.executable}"


def test_a_changed_node_is_installed_as_it_is_now(installed: Path) -> None:
    node = installed / "src/handful/nodes/where_node.py"
    node.write_text(node.read_text() + "    print('changed; [and] \\\\ odd')\n")
    make(installed, "install")
    assert "changed; [and] \\ odd" in sourced(
        installed, "install", "rosrun", "handful", "where_node.py", "argument"
    )
