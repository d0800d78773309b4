"""The closed loop over ROS in one command: roscore, twin, guard, agent, N episodes, the numbers.

Knows ROS only as commands to start: the graph is ``launch/twin.launch``, exactly as a person would
launch it, under a master of its own, so that nothing of a robot next door is touched.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from handful.workflow.console import Console
from handful.workflow.errors import RunError
from handful.workflow.results import read_json
from handful.workflow.run_folder import RunFolder

_EPISODE = re.compile(r"agent: episode (\d+): (\w+) after (\d+) steps")
_READY = "agent: ready"
_LAST_LINES = 15


def workspace() -> Path:
    """The sourced devel space of the checkout or the workspace that handful was built in.

    Raises:
        RunError: there is none, or no ROS.
    """
    if shutil.which("roslaunch") is None:
        raise RunError(
            "roslaunch: not found; `make ros` in a checkout installs what is needed on Debian 12 "
            "(docs/ros.md)"
        )
    import handful

    for folder in handful.__path__:
        setup = Path(folder).parents[3] / "setup.bash"
        if (Path(folder) / "msg").is_dir() and setup.is_file():
            return setup
    raise RunError(
        "handful.msg: not built; `make ros` in a checkout builds it, or catkin_make in a workspace "
        "(docs/ros.md)"
    )


def environment(setup: Path, logs: Path) -> dict[str, str]:
    """The environment of a process under a master of its own on a free local port."""
    command = f'source "{setup}" && env -0'
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("ROS_")}
    done = subprocess.run(["bash", "-c", command], env=inherited, capture_output=True, check=True)
    pairs = (item.partition("=") for item in done.stdout.decode().split("\0") if item)
    values = {key: value for key, _, value in pairs}
    return values | {
        "ROS_MASTER_URI": f"http://localhost:{free_port()}",
        "ROS_HOSTNAME": "localhost",
        "ROS_LOG_DIR": str(logs),
        "PYTHONUNBUFFERED": "1",
    }


def free_port() -> int:
    """A TCP port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])


@contextmanager
def launched(arguments: list[str], env: dict[str, str]) -> Iterator["subprocess.Popen[str]"]:
    """``roslaunch ARGUMENTS`` with its output as a pipe; ended with all its nodes on leaving."""
    command = ["roslaunch", "--sigint-timeout=5", "--sigterm-timeout=2", *arguments]
    process = subprocess.Popen(
        command,
        env=env,
        text=True,
        errors="replace",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def robot_demo(
    run: RunFolder, episodes: int, seed: int, console: Console, rviz: bool = False
) -> dict[str, Any]:
    """Evaluate the run's policy over ROS in the twin; what ``ros_result.json`` holds.

    Raises:
        RunError: no ROS, no policy, or the graph ended before its episodes did.
    """
    setup = workspace()
    if not run.checkpoint.is_file():
        raise RunError(f"{run.checkpoint}: no policy there; `make demo` or `handful demo` makes it")
    logs = run.path.resolve() / "ros_logs"
    logs.mkdir(parents=True, exist_ok=True)
    wanted = run.path / "ros_result.json"
    wanted.unlink(missing_ok=True)
    arguments = ["handful", "evaluate.launch", f"run:={run.path.resolve()}"]
    arguments += [f"episodes:={episodes}", f"seed:={seed}", f"rviz:={'true' if rviz else 'false'}"]
    console.say(f"roslaunch {' '.join(arguments)}   (logs: {logs})")
    began_s, ready_s = time.monotonic(), None
    done = wins = 0
    lines: list[str] = []
    with (
        launched(arguments, environment(setup, logs)) as process,
        console.progress("episodes", episodes, "episodes") as bar,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            lines = [*lines[-_LAST_LINES:], line.rstrip()]
            if _READY in line and ready_s is None:
                ready_s = time.monotonic() - began_s
                bar.update(0, f"ready to move after {ready_s:.1f} s")
            ended = _EPISODE.search(line)
            if ended and ended[2] != "faulted":
                done, wins = done + 1, wins + (ended[2] == "succeeded")
                bar.update(done, f"success {wins}/{done}")
    if not wanted.is_file():
        said = "\n".join(lines)
        raise RunError(f"the graph ended before its episodes did; it said last:\n{said}")
    result = read_json(wanted)
    assert result is not None
    result["startup_s"] = round(ready_s, 3) if ready_s is not None else None
    return result


def words(result: dict[str, Any], run: RunFolder) -> str:
    """The numbers for people, beside those of the evaluation in one process where there are any."""
    text = (
        f"{result['task']} over ROS: {result['successes']} of {result['episodes']} unseen episodes "
        f"succeeded ({100 * result['success_rate']:.0f} %, 95 % interval "
        f"{100 * result['success_low']:.1f} to {100 * result['success_high']:.1f} %)\n"
        f"picture to guarded command: median {result['latency_median_ms']:.1f} ms, "
        f"p99 {result['latency_p99_ms']:.1f} ms; {result['missed_beats']} of {result['steps']} "
        f"beats late; {len(result['faults'])} faults; ready after {result['startup_s']} s\n"
    )
    before = read_json(run.result)
    if before is not None:
        text += (
            f"in one process, without ROS: {100 * before['success_rate']:.0f} % "
            f"of {before['episodes']} episodes\n"
        )
    return text + f"result: {run.path / 'ros_result.json'}"


def train_first(run: RunFolder, console: Console) -> None:
    """Make the policy with ``handful demo`` when there is none yet."""
    if run.checkpoint.is_file():
        return
    console.say(f"{run.checkpoint}: not there yet; first `handful demo --run {run}`")
    code = "from handful.cli import main; main()"
    command = [sys.executable, "-c", code, "demo", "--run", str(run.path)]
    done = subprocess.run(command, stdout=sys.stderr if console.json_on_stdout else None)
    if done.returncode != 0:
        raise RunError("handful demo did not succeed; see above")
