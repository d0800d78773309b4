"""smoke.test through the real ``rostest``: it passes with the guard, and fails without."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from graph import NO_ROS, ROOT, need_ros

pytest.importorskip("rostest", reason=NO_ROS)

DEVEL = ROOT / ".catkin/devel/setup.bash"


def rostest(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """rostest in a shell that has sourced our workspace; it starts a master of its own."""
    need_ros()
    if not DEVEL.is_file():
        pytest.skip(NO_ROS)
    env = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": str(folder),
        "ROS_HOSTNAME": "localhost",  # a machine's own name is not in every /etc/hosts
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
    }
    command = f'source {DEVEL} && exec rostest "$@"'
    return subprocess.run(
        ["bash", "-c", command, "bash", str(ROOT / "tests/ros/smoke.test"), *arguments],
        cwd=folder, env=env, capture_output=True, text=True, timeout=90,
    )  # fmt: skip


def test_it_passes_with_the_guard(tmp_path: Path) -> None:
    done = rostest(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "RESULT: SUCCESS" in done.stdout and "TESTS: 1" in done.stdout.replace(" * ", "")


def test_it_fails_without_the_guard(tmp_path: Path) -> None:
    done = rostest(tmp_path, "guard:=false")
    assert done.returncode != 0
    assert "RESULT: FAIL" in done.stdout
