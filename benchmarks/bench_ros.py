"""From a picture to the guarded command, over ROS, while the learner trains.

Two cameras of 640x480 at 30 Hz (recorded streams), the real guard, agent and learner nodes, ten
control ticks a second. Then the same policy, guard and cameras with the loop written as others
write it (``peer_robot_loop.py``), fed with the same load of learning. One run, one machine.

    .venv/bin/python benchmarks/bench_ros.py --seconds 60 --json ros.json
    handful bench ros --json ros.json
"""

import argparse
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from handful.rig.episodes import EpisodeLog, read
from handful.workflow.results import commit, machine, quantile, read_json, write_json
from handful.workflow.robot_demo import environment, workspace
from handful.workflow.run_folder import RunFolder

HERE = Path(__file__).resolve().parent
NODES = HERE.parent / "nodes"
BEGUN_STEPS = 320
"""Steps after which a measurement begins: updates are owed from step 300 (agent.start_steps) on."""
EDGES_MS = [0, 5, 10, 15, 20, 25, 30, 40, 50, 75, 100, 125, 150, 200, 500]
Say = Callable[[str], None]


def run_ros_bench(seconds_per_case: float = 60.0, progress: Say = print) -> dict[str, Any]:
    """Measure; the keys are the contract of ``handful bench ros --json``."""
    setup = workspace()
    with tempfile.TemporaryDirectory(prefix="handful-bench-") as scratch:
        folder = Path(scratch)
        progress("recording ten demonstrations")
        run = make_run(folder / "run")
        env = environment(setup, folder / "logs") | {"OMP_NUM_THREADS": "1"}
        ours = measure_ours(run, env, folder, seconds_per_case, progress)
        peers = {
            order: measure_peer(order, run, env, folder, seconds_per_case, progress)
            for order in ("timer", "before_sleep")
        }
    timer, before = peers["timer"], peers["before_sleep"]
    return {
        **ours,
        "peer_timer_median_ms": timer["median_ms"],
        "peer_timer_p99_ms": timer["p99_ms"],
        "peer_before_sleep_median_ms": before["median_ms"],
        "peer_before_sleep_p99_ms": before["p99_ms"],
        "ratio_timer": round(timer["median_ms"] / ours["latency_median_ms"], 3),
        "ratio_before_sleep": round(before["median_ms"] / ours["latency_median_ms"], 3),
        "histogram_edges_ms": EDGES_MS,
        "peer_timer_histogram": timer["histogram"],
        "peer_before_sleep_histogram": before["histogram"],
        "seconds_per_case": seconds_per_case,
        "commit": commit(),
        "machine": machine(),
    }


def make_run(path: Path) -> RunFolder:
    """A run of lift with ten demonstrations, whose cameras deliver 640x480."""
    code = "from handful.cli import main; main()"
    command = [sys.executable, "-c", code, "collect", "--task", "lift", "--run", str(path)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    run = RunFolder(path)
    values = run.read_config()
    assert values is not None
    for camera in values["rig"]["cameras"].values():
        camera |= {"width_px": 640, "height_px": 480, "crop_px": [0, 80, 480, 480]}
    values["train"]["steps"] = 1_000_000
    run.config.write_text(yaml.safe_dump(values), encoding="utf-8")
    return run


def measure_ours(
    run: RunFolder, env: dict[str, str], folder: Path, seconds: float, progress: Say
) -> dict[str, Any]:
    """The graph as it is shipped, learning."""
    out = folder / "ours.json"
    with graph(run, env, out) as start:
        progress("pre-training, then learning at 10 Hz")
        began_s = time.monotonic()
        agent = start("agent_node.py", "_mode:=learn", f"_run:={run.path}")
        wait_for(lambda: run.policy.is_file(), 300.0, agent, "the learner's first weights")
        wait_for(lambda: steps_taken(run) >= BEGUN_STEPS, 180.0, agent, "the first updates")
        began_s = time.monotonic()
        time.sleep(seconds)
        ended_s = time.monotonic()
    heard = json.loads(out.read_text(encoding="utf-8"))
    numbers = latencies(heard, began_s, ended_s)
    agents = [r for r in heard["agent"] if began_s <= r[0] <= ended_s]
    steps = agents[-1][1] - agents[0][1]
    learner = [r for r in heard["learner"] if began_s <= r[0] <= ended_s and r[2] > 0]
    taken, made = learner[-1][2] - learner[0][2], learner[-1][3] - learner[0][3]
    late = [r for r in heard["guard"] if began_s + 5.0 <= r[0] <= ended_s]
    return {
        "latency_median_ms": numbers["median_ms"],
        "latency_p99_ms": numbers["p99_ms"],
        "latency_histogram": numbers["histogram"],
        "guard_jitter_median_ms": statistics.median(r[1] for r in late),
        "guard_jitter_p99_ms": max(r[2] for r in late),
        "missed_beats": agents[-1][2] - agents[0][2],
        "steps": steps,
        "updates_per_step": round(made / taken, 3) if taken else 0.0,
        "updates_per_s": round(made / (learner[-1][0] - learner[0][0]), 2),
        "startup_s": startup(env, folder),
    }


def measure_peer(
    order: str, run: RunFolder, env: dict[str, str], folder: Path, seconds: float, progress: Say
) -> dict[str, Any]:
    """The same with another loop; recorded steps are written again so that learning goes on."""
    progress(f"the loop of others, {order}")
    out = folder / f"{order}.json"
    stop = threading.Event()
    with graph(run, env, out) as start:
        time.sleep(3.0)
        peer = start(str(HERE / "peer_robot_loop.py"), order, str(run.path))
        feeder = threading.Thread(target=feed_again, args=(run, stop))
        feeder.start()
        time.sleep(5.0)
        began_s = time.monotonic()
        time.sleep(seconds)
        ended_s = time.monotonic()
        stop.set()
        feeder.join()
        if peer.poll() is not None:
            said = out.with_suffix(".log").read_text(errors="replace")[-1500:]
            raise RuntimeError(f"the peer's loop ended by itself: {said}")
    return latencies(json.loads(out.read_text(encoding="utf-8")), began_s, ended_s)


def feed_again(run: RunFolder, stop: threading.Event) -> None:
    """What an agent does to the learner, without acting: ten steps a second into the log."""
    episodes = list(read(run.episodes))
    with EpisodeLog(run.episodes, episodes[0].spec) as log:
        while True:
            for episode in episodes:
                log.begin(episode.observation)
                for transition in episode.transitions:
                    log.add(transition)
                    if stop.wait(0.1):
                        return


def latencies(heard: dict[str, list[Any]], began_s: float, ended_s: float) -> dict[str, Any]:
    """Median, p99 and histogram of the ages of what was acted on, in [began_s, ended_s]."""
    ages = [r[3] for r in heard["verdict"] if began_s <= r[0] <= ended_s and r[1] == "agent"]
    if not ages:
        raise RuntimeError("no action reached the guard")
    counts = [0] * len(EDGES_MS)
    for age in ages:
        counts[max(i for i, edge in enumerate(EDGES_MS) if edge <= max(age, 0.0))] += 1
    return {
        "median_ms": round(statistics.median(ages), 3),
        "p99_ms": round(quantile(ages, 0.99), 3),
        "histogram": counts,
    }


@contextlib.contextmanager
def graph(
    run: RunFolder, env: dict[str, str], out: Path
) -> Iterator[Callable[..., "subprocess.Popen[bytes]"]]:
    """roscore, cell, guard and learner; yields what starts more. All ended on leaving."""
    log = (out.parent / f"{out.stem}.log").open("wb")
    running: list[subprocess.Popen[bytes]] = []

    def start(script: str, *arguments: str) -> "subprocess.Popen[bytes]":
        path = script if os.sep in script else str(NODES / script)
        command = [sys.executable, path, *arguments]
        quiet: dict[str, Any] = {"stdout": log, "stderr": log, "env": env}
        process = subprocess.Popen(command, start_new_session=True, **quiet)
        running.append(process)
        return process

    core = subprocess.Popen(
        ["roscore", "-p", env["ROS_MASTER_URI"].rpartition(":")[2]],
        env=env,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    try:
        wait_for(lambda: master_up(env), 20.0, core, "roscore")
        start(str(HERE / "ros_cell.py"), str(out))
        config = f"_config:={run.config}"
        ready = ["_guard/start_ready:=true", "_guard/max_action_silence_s:=0.3"]
        start("guard_node.py", config, *ready)
        start("learner_node.py", f"_run:={run.path}")
        yield start
    finally:
        for process in reversed(running):
            process.send_signal(signal.SIGINT)
        for process in reversed(running):
            end(process)
        end(core)
        log.close()
    if not out.is_file():
        raise RuntimeError("the recorder wrote nothing")


def end(process: "subprocess.Popen[bytes]") -> None:
    """Within 15 s, by force after that."""
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGINT)
    try:
        process.wait(15.0)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for(
    done: Callable[[], bool], seconds: float, process: "subprocess.Popen[bytes]", what: str
) -> None:
    """Until ``done()``; a RuntimeError when it takes longer or the process ends."""
    began_s = time.monotonic()
    while not done():
        if process.poll() is not None:
            raise RuntimeError(f"waiting for {what}: the process ended with {process.returncode}")
        if time.monotonic() - began_s > seconds:
            raise RuntimeError(f"waited {seconds:g} s in vain for {what}")
        time.sleep(0.1)


def master_up(env: dict[str, str]) -> bool:
    """The master answers."""
    done = subprocess.run(["rosparam", "list"], env=env, capture_output=True)
    return done.returncode == 0


def steps_taken(run: RunFolder) -> int:
    """Steps that the learner has taken in."""
    return int((read_json(run.standing) or {}).get("env_steps", 0))


def startup(env: dict[str, str], folder: Path) -> float | None:
    """Seconds from ``roslaunch`` of the twin's graph until the guard lets it move."""
    from handful.workflow.robot_demo import launched

    run = folder / "run"
    arguments = [
        "handful",
        "twin.launch",
        f"run:={run}",
        "mode:=learn",
        f"config:={run}/config.yaml",
    ]
    began_s = time.monotonic()
    with launched(arguments, env) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "agent: ready" in line:
                return round(time.monotonic() - began_s, 3)
    return None


def main() -> None:
    """Command line; see the first lines of this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    numbers = run_ros_bench(options.seconds)
    write_json(options.json or "-", numbers)


if __name__ == "__main__":
    main()
