"""What the twin makes of an arm: ``python -m handful_twin.arm_check NAME_OR_YAML``.

Joints and limits, the posture, how much of the workspace its hand reaches pointing down; on request
a picture, and how often the scripted demonstrator succeeds with it.
"""

import argparse
import itertools

import numpy as np

from handful.config import load
from handful.rig.settings import RigSettings
from handful_twin.arm_model import ArmModel, arm_model
from handful_twin.demonstrate import Demonstrator
from handful_twin.settings import TwinSettings
from handful_twin.task_env import TwinTaskEnv, make_env
from handful_twin.twin_arm import REACH_TOLERANCE

_STEPS = 7  # points a side of the workspace


def reached(model: ArmModel, low_m: tuple[float, ...], high_m: tuple[float, ...]) -> float:
    """Share of a grid over the box that the tip reaches with the hand down, from the posture."""
    grid = [np.linspace(a, b, _STEPS) for a, b in zip(low_m, high_m, strict=True)]
    points = list(itertools.product(*grid))
    misses = [model.solve_down(model.home_rad, np.array(p), 0.0, 200, 1e-9)[1] for p in points]
    return float(np.mean(np.array(misses) < REACH_TOLERANCE))


def lines(model: ArmModel, rig: RigSettings) -> list[str]:
    """The report, a line each."""
    low, high, home = model.limits
    said = [f"{model.urdf.path.name}: {model.dof} joints, {len(model.fingers)} of fingers"]
    for i, name in enumerate(model.joints):
        said.append(
            f"  {name:24} {low[i]:7.3f} … {high[i]:6.3f}  home {home[i]:6.3f}  "
            f"speed {model.speed[i]:5.2f}  effort {model.effort[i]:6.1f}"
        )
    if model.fingers:
        said.append(f"  opening 0 … {model.opening_m} m by {', '.join(model.fingers)}")
    share = reached(model, rig.guard.workspace_min_m, rig.guard.workspace_max_m)
    said.append(f"  hand down, it reaches {100.0 * share:.0f} % of guard.workspace_*")
    return said


def successes(env: TwinTaskEnv, episodes: int) -> int:
    """How many of seeds 0, 1, … the demonstrator succeeds in, without noise."""
    demonstrator, won = Demonstrator(env, 0.0), 0
    for seed in range(episodes):
        observation = env.reset(seed)
        demonstrator.reset()
        last = False
        while not last:
            step = env.step(demonstrator.act(observation))
            observation, last = step.next_observation, step.last
        won += bool(step.info["success"])
    return won


def main(words: list[str] | None = None) -> None:
    """Print the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("arm", help="panda, xarm6, iiwa, or a YAML of yours")
    parser.add_argument("--picture", help="write what the film camera sees, PNG")
    parser.add_argument("--task", help="let the demonstrator try this task")
    parser.add_argument("--episodes", type=int, default=20)
    given = parser.parse_args(words)
    twin = load(TwinSettings, "twin", {"arm": given.arm})
    print("\n".join(lines(arm_model(twin.arm), load(RigSettings, "rig"))))
    if not (given.picture or given.task):
        return
    env = make_env(given.task or "reach", twin=twin)
    env.reset(0)
    if given.picture:
        import cv2

        cv2.imwrite(given.picture, env.render("film", (480, 480))[:, :, ::-1])
    if given.task:
        print(f"  {given.task}: {successes(env, given.episodes)} of {given.episodes}")
    env.close()


if __name__ == "__main__":
    main()
