"""Training over ROS in the twin, at the robot's pace: steps, late beats, updates a step, success.

Starts ``launch/twin.launch`` in mode learn on a new run with ten demonstrations, for some minutes
of acting, then evaluates what was learned in one process.

    .venv/bin/python benchmarks/bench_ros_training.py --minutes 10 --run runs/over_ros
"""

import argparse
import json
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from handful.workflow.results import commit, machine, read_json, write_json
from handful.workflow.robot_demo import environment, launched, workspace
from handful.workflow.run_folder import RunFolder

_EPISODE = re.compile(r"agent: episode (\d+): (\w+) after (\d+) steps")


def handful(*arguments: str) -> None:
    """One command of handful in a process of its own."""
    code = "from handful.cli import main; main()"
    subprocess.run([sys.executable, "-c", code, *arguments], check=True)


def train_over_ros(run: RunFolder, minutes: float) -> dict[str, Any]:
    """Until ``minutes`` of acting have passed; what the agent and the learner say of it."""
    env = environment(workspace(), run.path.resolve() / "ros_logs")
    arguments = ["handful", "twin.launch", f"run:={run.path.resolve()}", "mode:=learn"]
    standings: list[dict[str, Any]] = []
    with launched([*arguments, "operator:=false"], env) as process:
        assert process.stdout is not None
        end: threading.Timer | None = None
        for line in process.stdout:
            if "agent: ready" in line:
                print("ready", flush=True)
                end = threading.Timer(60.0 * minutes, process.send_signal, (signal.SIGINT,))
                end.start()
            if _EPISODE.search(line):
                standings.append({"at_s": time.monotonic(), **(read_json(run.standing) or {})})
                print(line.strip(), flush=True)
        if end is not None:
            end.cancel()
    result = read_json(run.path / "ros_training.json")
    if result is None:
        raise RuntimeError("the agent wrote no ros_training.json")
    first = next(s for s in standings if s.get("updates", 0) > 0)
    last = standings[-1]
    taken, made = (last[k] - first[k] for k in ("env_steps", "updates"))
    wins = result.pop("outcomes")
    return {
        **result,
        "missed_share": round(result["missed_beats"] / max(1, result["steps"]), 5),
        "updates_per_step": round(made / taken, 3) if taken else None,
        "most_owed": max(s.get("owed", 0) for s in standings),
        "success_by_20": [
            round(sum(wins[i : i + 20]) / len(wins[i : i + 20]), 2) for i in range(0, len(wins), 20)
        ],
    }


def main() -> None:
    """Command line; see the first lines of this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--episodes", type=int, default=50, help="of the evaluation at the end")
    parser.add_argument("--run", type=Path, default=Path("runs/over_ros"))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    run = RunFolder(options.run)
    handful("collect", "--task", "lift", "--run", str(run), "--set", "train.steps=1000000")
    numbers = train_over_ros(run, options.minutes)
    handful("evaluate", str(run), "--episodes", str(options.episodes), "--no-films")
    after = json.loads(run.result.read_text(encoding="utf-8"))
    numbers |= {
        "success_rate_after": after["success_rate"],
        "episodes_after": after["episodes"],
        "minutes": options.minutes,
        "commit": commit(),
        "machine": machine(),
    }
    write_json(options.json or "-", numbers)


if __name__ == "__main__":
    main()
