"""How much a learner disturbs who acts: none, in a thread of the same process, in another process.

An actor wakes fifty times a second, builds nothing, decides on one observation of two cameras, and
notes how late it woke and how long deciding took. One machine, one run, the three cases in turn,
several times.

    .venv/bin/python benchmarks/bench_beside.py --json beside.json
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from noise_replay import filled, observation

from handful.workflow.beside import NICENESS
from handful.workflow.process import tune_allocator
from handful.workflow.results import commit, machine, quantile, write_json

PERIOD_S = 0.02
CASES = ("nobody", "thread", "process")
CAMERAS = ("third", "wrist")


def learn(stop: threading.Event) -> None:
    """Update without a pause, as a learner that is behind does."""
    import torch

    torch.set_num_threads(1)
    learner = filled("agent/frozen", CAMERAS)
    print("learning", flush=True)
    step = 0
    while not stop.is_set():
        step += 1
        learner.agent.update(learner.sample(), step)


def act(seconds: float) -> dict[str, list[float]]:
    """Lateness of waking and duration of deciding [ms]."""
    import numpy as np
    import torch

    torch.set_num_threads(1)
    learner = filled("agent/frozen", CAMERAS, episodes=0)
    rng = np.random.default_rng(0)
    seen = [observation(learner.spec, rng) for _ in range(16)]
    for picture in seen:
        learner.act(picture, True)
    late, took = [], []
    due_s = time.perf_counter()
    end_s = due_s + seconds
    while due_s < end_s:
        due_s += PERIOD_S
        time.sleep(max(0.0, due_s - time.perf_counter()))
        woke_s = time.perf_counter()
        learner.act(seen[len(took) % len(seen)], True)
        took.append(1e3 * (time.perf_counter() - woke_s))
        late.append(1e3 * (woke_s - due_s))
        due_s = max(due_s, woke_s - PERIOD_S)
    return {"late": late, "took": took}


def case(name: str, seconds: float) -> dict[str, list[float]]:
    """One case."""
    if name == "nobody":
        return act(seconds)
    if name == "thread":
        stop = threading.Event()
        thread = threading.Thread(target=learn, args=(stop,))
        thread.start()
        time.sleep(3.0)
        try:
            return act(seconds)
        finally:
            stop.set()
            thread.join()
    command = ["nice", "-n", str(NICENESS), sys.executable, __file__, "--learn"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    try:
        child.stdout.readline()
        return act(seconds)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()


def main() -> None:
    """Command line; see the first lines of this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="each case and turn")
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--learn", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.learn:
        learn(threading.Event())
        return
    heard: dict[str, dict[str, list[float]]] = {n: {"late": [], "took": []} for n in CASES}
    for _ in range(options.turns):
        for name in CASES:
            for key, values in case(name, options.seconds).items():
                heard[name][key] += values
    numbers: dict[str, Any] = {}
    for name, columns in heard.items():
        both = [a + b for a, b in zip(columns["late"], columns["took"], strict=True)]
        for key, values in {**columns, "both": both}.items():
            numbers[f"{name}_{key}_p50_ms"] = round(statistics.median(values), 3)
            numbers[f"{name}_{key}_p99_ms"] = round(quantile(values, 0.99), 3)
    numbers |= {"cores": os.cpu_count(), "commit": commit(), "machine": machine()}
    write_json(options.json or "-", numbers)


if __name__ == "__main__":
    tune_allocator()
    main()
