"""Settings to a source of reward, and how often it was wrong where the truth is known."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handful.config import ConfigError
from handful.contract import Spec, Transition
from handful.rig.reward import Hold, People, RewardSource, Scored, Told, hold_steps
from handful.rig.reward_env import JudgedEnv
from handful.rig.reward_geometric import Geometric
from handful.rig.reward_tags import tag_goal
from handful.workflow.errors import RunError
from handful.workflow.progress import Progress
from handful.workflow.recipe import Recipe

Picture = Callable[[str, str], NDArray[np.uint8]]
"""(camera, its calibration file) -> the newest picture as the camera delivers it."""


def make_source(
    recipe: Recipe, spec: Spec, met: Callable[[], bool], picture: Picture
) -> tuple[RewardSource, Hold]:
    """The source that ``recipe.reward`` names, and how long its claims must stand.

    Args:
        spec: of the observations it will see. met: whether the task's own rule holds now.
        picture: what a tag is looked for in.
    Raises:
        RunError: the classifier was trained on other pictures. CheckpointError: it cannot be read.
        ConfigError: a camera that is not there. RewardError: a tag cannot be measured.
    """
    s = recipe.reward
    usual = int(getattr(recipe.task_settings, "hold_steps", 1))
    rise, fall = 0.5, None
    source: RewardSource
    if s.by == "task":
        source = Told("task", met)
    elif s.by == "operator":
        source = People()
    elif s.by == "geometric":
        source, rise = _geometric(recipe, picture), 1.0
    else:
        source, rise, fall, usual = _learned(recipe, spec)
    rise = s.claim_at if s.claim_at is not None else rise
    fall = s.drop_below if s.drop_below is not None else (fall or 0.5 * rise)
    steps = hold_steps(s.hold_steps, s.hold_s, recipe.rig.control_rate_hz, usual)
    return source, Hold(steps, rise, min(fall, rise))


def judged(parts: Any) -> Any:
    """The environment of ``parts`` as what learns sees it; the task's own where it judges itself.

    Raises:
        ConfigError: a person is asked for, and nobody is there.
    """
    recipe: Recipe = parts.recipe
    if recipe.reward.by == "task":
        return parts.environment()
    if recipe.reward.by == "operator":
        raise ConfigError(
            "reward.by: operator needs a person at the arm who presses success (over ROS, "
            "docs/operator.md); in the twin take task, geometric or learned"
        )
    from handful_twin.task_env import TwinTaskEnv
    from handful_twin.tasks import TASKS

    own: Any = recipe.task_settings
    endless = own.model_copy(update={"hold_steps": own.horizon_steps})
    env = TwinTaskEnv(TASKS[recipe.task](endless), recipe.rig, recipe.twin)  # type: ignore[arg-type]

    def met() -> bool:
        return bool(env.task.success(env.truth()))

    def picture(camera: str, calibration: str) -> NDArray[np.uint8]:
        from handful.rig.calibration import load_calibration

        lens = load_calibration(calibration)
        return env.render(camera, (lens.height_px, lens.width_px))

    source, hold = make_source(recipe, env.spec, met, picture)
    if hold.steps > env.horizon:
        raise ConfigError(
            f"reward: a claim is held for {hold.steps} steps, an episode has {env.horizon}"
        )
    return JudgedEnv(env, source, hold, own.hold_steps)


def rates_of(end: Transition) -> dict[str, float]:
    """What an episode's point of the curve says of its judge, most of it where the truth is known.

    false_success: it called success what was none. missed_success: the goal was met and it did not
    say so. false_frame_rate, missed_frame_rate: of the episode's frames. drift: its alarm was on,
    which is known without the truth.
    """
    info = end.info
    drift = {"drift": float(bool(info["drift"]))} if "drift" in info else {}
    if "true_success" not in info or "frames" not in info:
        return drift
    true, said, frames = bool(info["true_success"]), end.reward > 0.0, float(info["frames"])
    return {
        "true_success": float(true),
        "false_success": float(said and not true),
        "missed_success": float(true and not said),
        "false_frame_rate": float(info["false_frames"]) / frames,
        "missed_frame_rate": float(info["missed_frames"]) / frames,
        **drift,
    }


def tell_drift(bar: Progress, end: Transition, seed: int) -> None:
    """A line beside the bar after the episode in which the drift alarm went on."""
    if end.info.get("drift_began"):
        bar.note(
            f"reward: in episode {seed} the pictures no longer look like those the classifier was "
            "trained on; its word is doubtful (docs/rewards.md)"
        )


def _geometric(recipe: Recipe, picture: Picture) -> Geometric:
    tag = recipe.reward.geometric.tag
    if tag is None:
        return Geometric(recipe.reward.geometric)
    if tag.camera not in recipe.rig.cameras:
        raise ConfigError(
            f"reward.geometric.tag.camera: the rig has no camera {tag.camera!r}; it has "
            f"{', '.join(recipe.rig.cameras)}"
        )
    goal = tag_goal(tag, lambda: picture(tag.camera, tag.calibration))
    return Geometric(recipe.reward.geometric, goal)


def _learned(recipe: Recipe, spec: Spec) -> tuple[Scored, float, float, int]:
    """The classifier as a source; where its claims rise and fall, and for how long they stand."""
    from handful.learn import success
    from handful.learn.success_drift import DriftAlarm
    from handful.workflow.reward_data import difference

    classifier = success.load(recipe.reward.file)
    cameras = {name: c.model_dump(mode="json") for name, c in recipe.rig.cameras.items()}
    said = difference(classifier.eye.spec, classifier.about.get("cameras") or {}, spec, cameras)
    if said:
        raise RunError(
            f"{recipe.reward.file}: was trained on other pictures: {said}; train one on this "
            "cell's (`handful reward train`)"
        )
    s = classifier.settings
    alarm = DriftAlarm(classifier.usual.limit, s.drift_window_steps, s.drift_share)
    source = Scored("learned", classifier.look, alarm.add)
    rise = recipe.reward.claim_at or classifier.threshold
    return source, rise, rise * s.hysteresis, s.hold_steps
