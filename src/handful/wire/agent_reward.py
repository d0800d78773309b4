"""Who tells the agent that the goal is met while it learns, and what diagnostics hear of them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import rospy
from numpy.typing import NDArray

from handful.config import ConfigError, build
from handful.contract import Spec
from handful.rig.calibration import load_calibration
from handful.rig.camera import Camera
from handful.rig.cell import Judge
from handful.rig.reward import Hold, RewardSource, Told
from handful.rig.reward_settings import RewardSettings
from handful.rig.reward_truth import Truth
from handful.wire.node import Level
from handful.workflow.recipe import Recipe, flatten
from handful.workflow.reward_sources import make_source

_MODE = "learn"


class AgentReward:
    """The source of reward of an agent's process.

    While it learns that is what the run's group ``reward`` says, with the parameters ``reward/...``
    on top. In every other mode it is ``judge/at_goal``: what is measured is the task's own rule.
    People's buttons count besides, always.

    Args:
        given: the parameters ``reward/...``, None when there are none; name: how errors call them.
    Raises:
        ConfigError, RunError, CheckpointError, RewardError: the source cannot be used here.
    """

    def __init__(
        self,
        recipe: Recipe,
        mode: str,
        judge: Judge,
        cameras: dict[str, Camera],
        given: dict[str, Any] | None,
        name: str,
    ) -> None:
        self._judge, self._cameras, self._mode = judge, cameras, mode
        self._max_age_s = recipe.rig.observe.max_frame_age_s
        over = {} if given is None else flatten(given)
        values = recipe.reward.model_dump(mode="json")
        reward = build(type(recipe.reward), values, name or "reward", over)
        _check_paths(reward, name or "reward")
        self.recipe = replace(recipe, reward=reward)
        self.source: RewardSource = Told("task", judge.met)
        self._warned = ""

    def of(self, spec: Spec) -> tuple[RewardSource, Hold]:
        """The source for observations of ``spec``, and how long its claims must stand."""
        usual = Hold(int(getattr(self.recipe.task_settings, "hold_steps", 1)))
        if self._mode != _MODE:
            return self.source, usual
        self.source, hold = make_source(self.recipe, spec, self._judge.met, self._picture)
        _check_size(self.recipe)
        rospy.loginfo(
            "agent: success is what %s says, held %d steps, and people",
            self.source.name,
            hold.steps,
        )
        return self.source, hold

    def truth(self, knows: Callable[[], bool | None]) -> Truth | None:
        """What is noted beside the source: whether ``judge/at_goal`` agrees, where it is heard.

        None: it judges itself. ``knows``: what it says now, None when nobody publishes it.
        """
        if self.source.name == "task":
            return None
        return Truth(Hold(int(getattr(self.recipe.task_settings, "hold_steps", 1))), knows)

    def doubt(self) -> str:
        """Why the source should not be trusted now; empty: nothing known. Said once in the log."""
        warning = self.source.warning()
        if warning and not self._warned:
            rospy.logwarn("agent: reward: %s", warning)
        self._warned = warning
        return warning

    def report(self) -> tuple[Level, str, dict[str, str]]:
        """For diagnostics: who judges, its newest numbers, and whether it is in doubt."""
        facts = {"source": self.source.name, "and": "people (episode/event)", **self.source.facts()}
        if self._mode == _MODE and self.recipe.reward.by == "learned":
            facts["file"] = self.recipe.reward.file
        if doubt := self.doubt():
            return Level.WARN, doubt, facts
        return Level.OK, f"success is what {self.source.name} says, and people", facts

    def _picture(self, camera: str, calibration: str) -> NDArray[np.uint8]:
        return self._cameras[camera].latest(self._max_age_s).pixels


def _check_size(recipe: Recipe) -> None:
    """A tag is looked for in what the camera delivers, which must be what was calibrated."""
    tag = recipe.reward.geometric.tag
    if recipe.reward.by != "geometric" or tag is None:
        return
    lens, size = load_calibration(tag.calibration), recipe.rig.cameras[tag.camera]
    if (lens.width_px, lens.height_px) != (size.width_px, size.height_px):
        raise ConfigError(
            f"reward.geometric.tag.calibration: {tag.calibration} is of {lens.width_px} x "
            f"{lens.height_px} px, {tag.camera} delivers {size.width_px} x {size.height_px}; "
            f"set rig.cameras.{tag.camera}.width_px, height_px and a crop_px for the policy"
        )


def _check_paths(reward: RewardSettings, name: str) -> None:
    """A node does not run where roslaunch was started, so a path says where it begins."""
    tag = reward.geometric.tag
    given = {"file": reward.file, "geometric.tag.calibration": tag.calibration if tag else ""}
    for key, path in given.items():
        if path and not Path(path).is_absolute():
            raise ConfigError(
                f"{name}: {key}: {path}: give the path from the root; "
                "nodes do not run where roslaunch was started"
            )
