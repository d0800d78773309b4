"""Checks that need a process to themselves, run there by pytest: rospy starts once, an SDK may die.

A file of checks is named ``*_checks.py``, so it is not collected with the tests; one test of the
suite runs it. A hung process is killed with all that it started.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run_checks(checks: Path, timeout_s: float, tries: int = 1) -> str:
    """Run one file of checks; returns what pytest said. A failed, skipped or absent check fails.

    tries: how often to begin again when the process was killed by a signal or hung, for libraries
    that do that now and then. A check that fails is never repeated.
    """
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(checks)]
    command += [f"--rootdir={ROOT}", "-c", str(ROOT / "pyproject.toml"), "-o", "addopts="]
    command += ["--import-mode=importlib", "-o", "faulthandler_exit_on_timeout=true"]
    ends: list[str] = []
    for _ in range(tries):
        code, said = _run(command, timeout_s)
        if code is not None and code >= 0:
            assert code == 0, said
            assert " passed" in said and "skipped" not in said, said
            if ends:
                print(f"{checks.name}: passed after {'; '.join(ends)}")
            return said
        ends.append("hung" if code is None else f"died of {signal.Signals(-code).name}")
    pytest.fail(f"{checks.name}: {'; '.join(ends)}; it had said:\n{said}")


def _run(command: list[str], timeout_s: float) -> tuple[int | None, str]:
    """Exit code, or None of a process that had to be killed, and everything it said."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace", start_new_session=True, cwd=ROOT,
    )  # fmt: skip
    try:
        said = process.communicate(timeout=timeout_s)[0]
        return process.returncode, said
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return None, process.communicate()[0]
    finally:
        if process.poll() is None:  # the test itself was interrupted
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
