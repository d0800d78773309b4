"""What failures have to do with the worlds they happened in, and how well a clone copies.

Lives through ``--episodes`` unseen worlds of the checkpoint's own twin and sets the numbers drawn
for each (``twin.randomize``) against success: the largest correlations, of each number and of its
size. Where the task has a cube it also says how near to it the fingers came, and whether it was
ever off the table. ``--held-out SESSION`` adds the squared error of the clone on the session's
last ``--last`` episodes, summed over action dimensions.

    .venv/bin/python benchmarks/bench_worlds.py runs/lift_hard --episodes 300
    .venv/bin/python benchmarks/bench_worlds.py runs/lift_hard --held-out runs/other/demos
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

from handful.rig.playback import episode_files, read_file
from handful.workflow.evaluate import open_checkpoint
from handful.workflow.outcomes import succeeded
from handful.workflow.results import commit, write_json
from handful.workflow.run_folder import find_checkpoint
from handful.workflow.seeds import Purpose, episode_seed

FIRST = 500  # episodes of Purpose.TEST before this are those of handful evaluate


def live(env: Any, learner: Any, seed: int) -> dict[str, Any]:
    """One episode: the numbers drawn, success, and how near the tip came to a cube [m]."""
    observation, last = env.reset(seed), False
    near_m, high_m = np.inf, 0.0
    values = {k: v for k, v in env.draw.values.items() if isinstance(v, float | int)}
    while not last:
        step = env.step(learner.act(observation, explore=False))
        observation, last, truth = step.next_observation, step.last, env.truth()
        if "cube" in truth.bodies:
            p_BO_m = truth.bodies["cube"][0]
            near_m = min(near_m, float(np.hypot(*(truth.p_BT_m[:2] - p_BO_m[:2]))))
            high_m = max(high_m, float(p_BO_m[2]))
    return {"ok": succeeded(step), "near_m": near_m, "high_m": high_m, "values": values}


def correlations(lived: list[dict[str, Any]]) -> list[tuple[float, str]]:
    """Of success with every number drawn and with its size, the largest first."""
    ok, found = np.array([one["ok"] for one in lived], float), []
    for name in lived[0]["values"]:
        x = np.array([one["values"].get(name, np.nan) for one in lived])
        for label, y in ((name, x), (f"|{name}|", np.abs(x - x.mean()))):
            if np.isfinite(y).all() and y.std() > 0.0 and ok.std() > 0.0:
                found.append((float(np.corrcoef(y, ok)[0, 1]), label))
    return sorted(found, key=lambda pair: -abs(pair[0]))


def clone_error(learner: Any, session: Path, last: int) -> list[float]:
    """Mean squared error of the clone on recorded actions, one number an action dimension."""
    wrong = []
    for path in episode_files(session)[-last:]:
        episode = read_file(path)
        if episode is None:
            continue
        seen = episode.observation
        for step in episode.transitions:
            wrong.append((learner.acting.clone(seen) - step.action) ** 2)
            seen = step.next_observation
    if not wrong:
        sys.exit(f"{session}: no whole episode there; a folder of episode_NNNNNN.log is wanted")
    return [float(x) for x in np.mean(wrong, axis=0)]


def main() -> None:
    """Command line; see the first lines of this file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path, help="a run's folder, or a checkpoint in it")
    parser.add_argument("--episodes", type=int, default=300, help="0: none")
    parser.add_argument("--held-out", type=Path, metavar="SESSION")
    parser.add_argument("--last", type=int, default=200, help="episodes of --held-out")
    parser.add_argument("--json", default="-", help="FILE; default: stdout")
    given = parser.parse_args()
    _, path = find_checkpoint(given.checkpoint)
    parts, learner, _ = open_checkpoint(path, "cpu")
    told: dict[str, Any] = {"checkpoint": path.name, "commit": commit()}
    if given.episodes:
        env = parts.environment()
        seeds = [episode_seed(Purpose.TEST, 0, FIRST + k) for k in range(given.episodes)]
        lived = [live(env, learner, seed) for seed in seeds]
        env.close()
        lost = [one for one in lived if not one["ok"]]
        told |= {"episodes": len(lived), "successes": len(lived) - len(lost)}
        if lost and np.isfinite(lost[0]["near_m"]):
            told["never_within_2_cm_of_the_cube"] = sum(one["near_m"] > 0.02 for one in lost)
            told["lifted_and_lost"] = sum(one["high_m"] > 0.06 for one in lost)
        told["correlations"] = correlations(lived)[:12]
    if given.held_out:
        told["clone_squared_error"] = clone_error(learner, given.held_out, given.last)
        told["clone_squared_error_sum"] = sum(told["clone_squared_error"])
    write_json(given.json, told)


if __name__ == "__main__":
    main()
