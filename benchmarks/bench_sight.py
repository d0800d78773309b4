"""What the verdict of `handful pretrain` is worth: good and deliberately bad ones, measured.

Every case pre-trains on the same demonstrations (made once a seed), is measured on the same
held-out episodes, and its clone then drives unseen worlds, which is what the verdict should have
foretold. A case whose JSON exists is not repeated, so an interrupted evening goes on.

    .venv/bin/python benchmarks/bench_sight.py --out runs/sight
    .venv/bin/python benchmarks/bench_sight.py --summary --out runs/sight
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from handful.contract import Observation
from handful.rig.episodes import EpisodeLog, read
from handful.workflow.results import commit, write_text

CASES: dict[str, tuple[str, ...]] = {
    "as shipped": (),
    "with play": (),
    "150 updates": ("agent.pretrain.updates=150",),
    "50 updates": ("agent.pretrain.updates=50",),
    "5 updates": ("agent.pretrain.updates=5",),
    "shifts of 24 px": ("agent.augment.pad_px=24",),
    "no shifts": ("agent.augment.pad_px=0",),
    "wrist camera black": (),
    "third camera black": (),
    "both cameras black": (),
}
BLACK = {
    "wrist camera black": ("wrist",),
    "third camera black": ("third",),
    "both cameras black": ("third", "wrist"),
}
SEEDED = ("as shipped",)
"""Cases that are run on every seed; the others on the first."""


def handful(*words: str, log: Path) -> int:
    """One command of ours, its words appended to ``log``; its exit status."""
    command = [sys.executable, "-m", "handful.cli", *words]
    with log.open("a", encoding="utf-8") as file:
        return subprocess.call(command, stdout=file, stderr=subprocess.STDOUT, env=dict(os.environ))


def base(options: argparse.Namespace, seed: int) -> Path:
    """The run with the demonstrations, the play and the held-out episodes of one seed."""
    run = options.out / f"base_{seed}"
    log, words = options.out / "base.log", ["--run", str(run), "--seed", str(seed)]
    if not (run / "held_out").is_dir():
        handful("collect", "--task", options.task, "--demos", str(options.demos), *words, log=log)
        handful("collect", "--play", str(options.play), *words, log=log)
        one = "agent.pretrain.updates=1", "agent.clone.updates=1"
        handful("pretrain", *words, "--set", one[0], "--set", one[1], log=log)
    return run


def blackened(session: Path, out: Path, cameras: tuple[str, ...]) -> None:
    """A copy of a session in which some cameras see nothing."""

    def dark(seen: Observation) -> Observation:
        images = {n: np.zeros_like(i) if n in cameras else i for n, i in seen.images.items()}
        return replace(seen, images=images)

    for episode in read(session):
        with EpisodeLog(out, episode.spec, episode.meta) as log:
            log.begin(dark(episode.observation), episode.demo, episode.info, episode.recorded)
            for step in episode.transitions:
                log.add(replace(step, next_observation=dark(step.next_observation)))


def run_case(options: argparse.Namespace, case: str, seed: int) -> None:
    """One case on one seed: pre-train, measure, let the clone drive."""
    name = f"{case.replace(' ', '_')}_{seed}"
    file = options.out / f"{name}.json"
    if file.is_file():
        return
    source, run = base(options, seed), options.out / name
    shutil.rmtree(run, ignore_errors=True)
    run.mkdir(parents=True)
    for part in ("demos", "held_out", *(("play",) if case == "with play" else ())):
        if case in BLACK:
            blackened(source / part, run / part, BLACK[case])
        else:
            shutil.copytree(source / part, run / part)
    words = ["--run", str(run), "--task", options.task, "--seed", str(seed)]
    words += [w for s in ("agent.threads=1", *CASES[case]) for w in ("--set", s)]
    log = options.out / f"{name}.log"
    if handful("pretrain", *words, log=log):
        sys.exit(f"{name}: failed, see {log}")
    result: dict[str, Any] = {"case": case, "seed": seed, "task": options.task}
    result |= json.loads((run / "pretraining.json").read_text(encoding="utf-8"))
    if case not in BLACK and options.episodes:  # a twin whose camera is black is another twin
        evaluate = ["evaluate", str(run), "--episodes", str(options.episodes), "--no-films"]
        if handful(*evaluate, log=log):
            sys.exit(f"{name}: failed, see {log}")
        told = json.loads((run / "result.json").read_text(encoding="utf-8"))
        result["clone_success"] = [told["successes"], told["episodes"]]
    result["commit"] = commit()
    write_text(file, json.dumps(result, indent=1) + "\n")
    print(line(result), flush=True)


def line(r: dict[str, Any]) -> str:
    """One case as a row of a Markdown table."""
    probe = next(iter(r["probes"].values()))
    hits = "-" if r["hits"] is None else f"{100 * r['hits']:.0f} %"
    wins = "-" if "clone_success" not in r else "{} of {}".format(*r["clone_success"])
    clone = "-" if r["clone_error"] is None else f"{r['clone_error'] / r['clone_mean']:.2f}"
    return (
        f"| {r['case']} | {r['seed']} | {100 * probe['error_m']:.1f} | {probe['ratio']:.2f} | "
        f"{100 * probe['untrained_m']:.1f} | {hits} | {100 * (r['near_m'] or 0):.1f} | {clone} | "
        f"**{r['verdict']}** | {wins} |"
    )


COLUMNS = (
    *("case", "seed", "probe error [cm]", "of the mean's", "untrained [cm]", "known again"),
    *("nearest [cm]", "clone's error, of the mean's", "verdict", "the clone succeeds"),
)
HEAD = f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}"


def main() -> None:
    """Command line; see the first lines of this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", default="lift")
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--demos", type=int, default=10)
    parser.add_argument("--play", type=int, default=10, help="episodes of play, for its case")
    parser.add_argument("--episodes", type=int, default=20, help="the clone's; 0: none")
    parser.add_argument("--out", type=Path, default=Path("runs/sight"))
    parser.add_argument("--summary", action="store_true", help="only tell what is there")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for case in () if options.summary else options.cases:
        for seed in options.seeds if case in SEEDED else options.seeds[:1]:
            run_case(options, case, seed)
    files = [options.out / f"{c.replace(' ', '_')}_{s}.json" for c in CASES for s in options.seeds]
    found = [json.loads(f.read_text(encoding="utf-8")) for f in files if f.is_file()]
    write_text(options.out / "sight.json", json.dumps(found, indent=1) + "\n")
    print("\n".join([HEAD, *map(line, found)]))


if __name__ == "__main__":
    main()
