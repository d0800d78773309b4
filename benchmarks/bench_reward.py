"""Learned rewards: how often a success classifier is wrong, and what is learned by it alone.

For each task: scripted demonstrations, as many attempts by a demonstrator that is mistaken about
where things are (it grasps, pushes and pulls at nothing), and random ones, in three parts with
worlds of their own. On the first part a classifier is trained, in the second it is mined, on the
third it is measured, before and after. ``--learn`` then trains the task by ``handful demo`` with
that classifier alone as its reward, and evaluates by the task's own rule.

    .venv/bin/python benchmarks/bench_reward.py --tasks lift reach push --out runs/reward
    .venv/bin/python benchmarks/bench_reward.py --tasks lift --learn --out runs/reward
    .venv/bin/python benchmarks/bench_reward.py --summary --out runs/reward

What is there already is not made again. Needs 40 s of one core a task, --learn four minutes more.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from handful.rig.episodes import EpisodeLog
from handful.workflow.collect import succeeded
from handful.workflow.data.about import about
from handful.workflow.parts import Parts
from handful.workflow.recipe import Options, resolve
from handful.workflow.results import commit, wilson

PARTS = {"train": (20, 16, 6), "mine": (0, 24, 8), "test": (20, 20, 10)}
"""Demonstrations, mistaken attempts and random ones in each part."""
FIRST_SEED = 7_000_000
"""Worlds of this benchmark alone: beyond those of every purpose in handful.workflow.seeds."""
MISTAKE_M = (0.03, 0.07)
CHANGES: dict[str, Callable[[Any], Any]] = {
    "as it was": lambda seen: seen,
    "0.9 as bright": lambda seen: (seen * 0.9).astype(np.uint8),
    "0.7 as bright": lambda seen: (seen * 0.7).astype(np.uint8),
    "cameras shifted by 3 px": lambda seen: np.roll(seen, 3, axis=1),
    "cameras shifted by 6 px": lambda seen: np.roll(seen, 6, axis=1),
}
"""What happens to the pictures (N, H, W, C) uint8 of every camera; the policy sees 64 px."""


class Mistaken:
    """An environment as a demonstrator sees it who is wrong about where things are."""

    def __init__(self, env: Any, offset_m: np.ndarray) -> None:
        self._env, self._offset_m = env, offset_m

    def __getattr__(self, name: str) -> Any:
        return getattr(self._env, name)

    def truth(self) -> Any:
        """The truth, with every thing moved by the offset (3,) [m]."""
        truth = self._env.truth()
        moved = {k: (p + self._offset_m, q) for k, (p, q) in truth.bodies.items()}
        return replace(truth, bodies=moved)


def play(parts: Parts, env: Any, kind: str, seed: int, log: EpisodeLog) -> bool:
    """One episode of a kind into the log; whether it succeeded."""
    from handful_twin.demonstrate import Demonstrator

    rng = np.random.default_rng(seed)
    seen = env.reset(seed)
    log.begin(seen, info={"seed": seed, "kind": kind})
    angle, far_m = rng.uniform(0.0, 2.0 * np.pi), rng.uniform(*MISTAKE_M)
    offset_m = far_m * np.array([np.cos(angle), np.sin(angle), 0.0])
    actor = Demonstrator(
        Mistaken(env, offset_m if kind == "mistaken" else np.zeros(3)),  # type: ignore[arg-type]
        parts.recipe.twin.demo_noise,  # type: ignore[attr-defined]
        seed,
    )
    actor.reset()
    while True:
        if kind == "random":
            action = rng.uniform(-1.0, 1.0, env.spec.action_dim).astype(np.float32)
        else:
            action = actor.act(seen)
        step = env.step(action)
        log.add(step)
        seen = step.next_observation
        if step.last:
            log.end()
            return succeeded(step)


def record(task: str, folder: Path) -> None:
    """The three parts of a task's sessions."""
    if (folder / "data" / "test" / "done").exists():
        return
    parts = Parts(resolve(Options(task=task)), "cpu")
    env = parts.environment()
    seed = FIRST_SEED
    for part, counts in PARTS.items():
        with EpisodeLog(folder / "data" / part, env.spec, about(parts.recipe, "script")) as log:
            for kind, count in zip(("demo", "mistaken", "random"), counts, strict=True):
                won = 0
                for _ in range(count):
                    won += play(parts, env, kind, seed, log)
                    seed += 1
                if count:
                    print(f"{task}/{part}: {count} {kind}, {won} succeeded", flush=True)
        (folder / "data" / part / "done").touch()
    env.close()


def handful(words: list[str], log: Path) -> None:
    """One command of handful, on one thread; what it says goes to a file."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", "from handful.cli import main; main()", *words]
    with log.open("a", encoding="utf-8") as file:
        code = subprocess.call(command, stdout=file, stderr=subprocess.STDOUT, env=environment)
    if code:
        raise SystemExit(f"handful {words[0]} {words[1]} failed, see {log}")


def classify(task: str, folder: Path) -> None:
    """Train, measure, mine, measure again."""
    log = folder / "log.txt"
    data, first, mined = folder / "data", folder / "first.safetensors", folder / "mined.safetensors"
    if not first.exists():
        handful(["reward", "train", str(data / "train"), "--out", str(first)], log)
    evaluate(first, data / "test", folder / "first.json", log)
    if not mined.exists() and not (folder / "nothing_to_mine").exists():
        words = ["reward", "mine", str(first), str(data / "mine"), "--out", str(mined)]
        try:
            handful([*words, "--json", str(folder / "mine.json")], log)
        except SystemExit:
            if "nothing to mine" not in log.read_text(encoding="utf-8"):
                raise
            (folder / "nothing_to_mine").touch()
    if mined.exists():
        evaluate(mined, data / "test", folder / "mined.json", log)


def evaluate(file: Path, session: Path, out: Path, log: Path) -> None:
    """``handful reward evaluate`` once."""
    if not out.exists():
        page = out.with_suffix(".html")
        words = ["reward", "evaluate", str(file), str(session), "--json", str(out)]
        handful([*words, "--page", str(page)], log)


def drift(folder: Path) -> None:
    """At the end of how many test episodes, one after the other, the alarm is on."""
    from handful.learn import success
    from handful.learn.success_drift import DriftAlarm
    from handful.learn.success_eye import colours
    from handful.workflow.reward_data import observations, open_sessions

    out = folder / "drift.json"
    if out.exists():
        return
    classifier = success.load(folder / "first.safetensors")
    s, found = classifier.settings, dict[str, str]()
    episodes = list(open_sessions([folder / "data" / "test"]).episodes())
    for name, change in CHANGES.items():
        rung = 0
        alarm = DriftAlarm(classifier.usual.limit, s.drift_window_steps, s.drift_share)
        for episode in episodes:
            seen = observations(episode)
            pictures = {
                camera: change(np.stack([one.images[camera] for one in seen]))
                for camera in classifier.eye.spec.cameras
            }
            far = classifier.distances(classifier.eye.see(pictures).numpy(), colours(pictures))
            rung += [alarm.add(float(distance)) for distance in far][-1]
        found[name] = f"{rung} of {len(episodes)}"
    out.write_text(json.dumps(found), encoding="utf-8")


def learn(task: str, folder: Path, episodes: int, seed: int) -> None:
    """``handful demo`` by the classifier's word alone."""
    run = folder / f"run_{seed}"
    if (run / "result.json").exists():
        return
    mined = folder / "mined.safetensors"
    file = mined if mined.exists() else folder / "first.safetensors"
    words = ["demo", "--task", task, "--episodes", str(episodes), "--run", str(run)]
    words += ["--seed", str(seed), "--set", "agent.threads=1"]
    words += ["--set", "reward.by=learned", "--set", f"reward.file={file.resolve()}"]
    handful(words, folder / f"run_{seed}.log")


def summarise(out: Path) -> dict[str, Any]:
    """What is there, task by task."""
    table: dict[str, Any] = {"commit": commit(), "parts": PARTS, "tasks": {}}
    for folder in sorted(p for p in out.iterdir() if (p / "first.json").exists()):
        found: dict[str, Any] = {}
        for name in ("first", "mined"):
            if (folder / f"{name}.json").exists():
                found[name] = _short(json.loads((folder / f"{name}.json").read_text()))
        if (folder / "drift.json").exists():
            found["drift_alarms"] = json.loads((folder / "drift.json").read_text())
        found["runs"] = [learned(run) for run in sorted(folder.glob("run_*/result.json"))]
        table["tasks"][folder.name] = found
    return table


def _short(values: dict[str, Any]) -> dict[str, Any]:
    return {
        "threshold": values["threshold"],
        **{k: v for k, v in values["chosen"].items() if k != "threshold"},
        "unusual_share": values["unusual_share"],
    }


def learned(result: Path) -> dict[str, Any]:
    """A run by the classifier alone: true success at its end, and how often it was fooled."""
    r = json.loads(result.read_text())
    lines = (result.parent / "curve.jsonl").read_text().splitlines()
    episodes = [e for line in lines if (e := json.loads(line))["kind"] == "episode"]
    keys = ("true_success", "false_success", "missed_success", "false_frame_rate", "drift")
    keys += ("missed_frame_rate",)
    mean = {k: round(float(np.mean([e[k] for e in episodes])), 4) for k in keys}
    claims = [e for e in episodes if e["success"]]
    false = sum(e["false_success"] for e in claims)
    low, high = wilson(r["successes"], r["episodes"])
    return {
        "seed": r["seed"], "success_rate": r["success_rate"], "success_low": low,
        "success_high": high, "episodes": r["episodes"], "env_steps": r["env_steps"],
        "training_episodes": len(episodes), "claims": len(claims), "false_claims": int(false),
        "commit": r["commit"], **mean,
    }  # fmt: skip


def main() -> None:
    """Command line; see the first lines of this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="+", default=["lift", "reach", "push", "drawer", "switch"])
    parser.add_argument("--learn", action="store_true", help="also train by the classifier alone")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--episodes", type=int, default=50, help="unseen episodes after training")
    parser.add_argument("--out", type=Path, default=Path("runs/reward"))
    parser.add_argument("--summary", action="store_true", help="only summarise what is there")
    options = parser.parse_args()
    for task in () if options.summary else options.tasks:
        folder, began_s = options.out / task, time.monotonic()
        folder.mkdir(parents=True, exist_ok=True)
        record(task, folder)
        classify(task, folder)
        drift(folder)
        for seed in options.seeds if options.learn else ():
            learn(task, folder, options.episodes, seed)
        print(f"{task}: {time.monotonic() - began_s:.0f} s", flush=True)
    table = summarise(options.out)
    file = options.out / "rewards.json"
    file.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    for task, found in table["tasks"].items():
        for name in ("first", "mined"):
            if name in found:
                f = found[name]
                print(
                    f"{task:8} {name:6} frames FP {f['frame_fp_rate']:.4f} FN "
                    f"{f['frame_fn_rate']:.3f}; episodes wrong {f['false_episodes'] + f['early']} "
                    f"missed {f['missed']} of {f['failures'] + f['successes']}"
                )
        for run in found["runs"]:
            print(
                f"{task:8} seed {run['seed']}: true success {run['success_rate']:.2f} of "
                f"{run['episodes']}; {run['false_claims']} of {run['claims']} claims false"
            )
    print(file)


if __name__ == "__main__":
    main()
