"""A cell of parts as an environment: reset, step, reward, fault; whoever drives it is not asked.

The twin in one process is ``handful_twin.task_env``; this one is for parts that run by themselves
(an arm, or the twin over ROS): time passes while one thinks, and any part may fall silent.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from handful.contract import Observation, Spec, Transition
from handful.rig.action import ActionError
from handful.rig.arm import ArmError
from handful.rig.camera import CameraError
from handful.rig.episode import EpisodeError, EpisodeTable, Phase
from handful.rig.loop import ControlLoop
from handful.rig.reward import Claim, RewardError, RewardSource, Told, judged_by
from handful.rig.reward_truth import Truth


class EpisodeFault(RuntimeError):
    """The episode cannot go on and the policy is not to blame; the message says what failed."""


class SceneError(RuntimeError):
    """The scene of the next episode could not be put up; the message says why."""


@dataclass(frozen=True)
class Said:
    """What somebody says about a running episode: how it ends, if it does; by: who says so."""

    end: Phase | None = None
    by: str = ""


class Scene(Protocol):
    """Puts up the scene of an episode."""

    def prepare(self, seed: int) -> None:
        """Return when the arm is at its start and the objects are too.

        Raises:
            SceneError: it cannot be done; the arm stands still.
        """
        ...


class Judge(Protocol):
    """Knows whether the goal is met."""

    def met(self) -> bool:
        """Does the success rule hold at this moment? Holding it is counted here."""
        ...

    def said(self) -> Said:
        """What has been said about this episode since the last call."""
        ...


class CellEnv:
    """``workflow.parts.Environment`` over a control loop whose parts live elsewhere.

    Args:
        loop: with its cameras, arm, gate and beat. table: of the task's horizon and hold.
        scene, judge: who puts up the scene and who judges it.
        notice: called at every change of phase and after every step.
        source: who is asked each step whether the goal is met; the judge when not given, who is
            heard in any case when somebody says how the episode ends.
        told: what else is known about the moment of an observation, for the log (``rig.places``).
        truth: what is noted beside the source, where somebody else knows whether the goal is met.
    """

    def __init__(
        self,
        loop: ControlLoop,
        table: EpisodeTable,
        scene: Scene,
        judge: Judge,
        notice: Callable[[EpisodeTable], None] = lambda table: None,
        source: RewardSource | None = None,
        told: Callable[[Observation], dict[str, float]] = lambda seen: {},
        truth: Truth | None = None,
    ) -> None:
        self._loop, self.table = loop, table
        self._scene, self._judge, self._notice, self._told = scene, judge, notice, told
        self.source: RewardSource = Told("task", judge.met) if source is None else source
        self._truth = truth

    @property
    def spec(self) -> Spec:
        """Shapes of what ``reset`` and ``step`` return and of what ``step`` takes."""
        return self._loop.spec

    @property
    def horizon(self) -> int:
        """Steps after which an episode is out of time."""
        return self.table.horizon

    @property
    def missed_beats(self) -> int:
        """Beats of the loop that came late, since the start."""
        return self._loop.missed_beats

    def reset(self, seed: int) -> Observation:
        """Put up the scene of ``seed`` and take the first observation.

        Raises:
            EpisodeFault: the scene could not be put up, or a part is silent.
        """
        if self.table.phase is Phase.FAULTED:
            self.table.idle()
        self.table.reset()
        self._notice(self.table)
        try:
            self._scene.prepare(seed)
            self._judge.said()  # what was said about the episode before
            observation = self._loop.begin()
        except (SceneError, CameraError, ArmError) as error:
            raise self._fault(str(error)) from error
        self.source.begin()
        if self._truth is not None:
            self._truth.begin(bool(self.source.warning()))
        self.table.start()
        self._notice(self.table)
        return observation

    def step(self, action: ArrayLike) -> Transition:
        """One tick of the loop.

        A transition that was not seen to its end is not returned: it never happened as far as
        learning goes, and the one before it is then the episode's last, as at a time limit.

        Raises:
            EpisodeFault: a part fell silent or the guard holds; the episode is faulted.
            EpisodeError: no episode is running.
        """
        if self.table.phase is not Phase.RUNNING:
            raise EpisodeError(
                f"step needs a running episode, this one is {self.table.phase.value}; "
                "call reset(seed) first"
            )
        try:
            tick = self._loop.tick(action)
        except (CameraError, ArmError, ActionError) as error:
            raise self._fault(str(error)) from error
        judged = tick.judged
        if judged.latched:
            raise self._fault(judged.reason)
        try:
            claim = self.source.look(tick.observation, self._loop.arm_state())
        except (ArmError, CameraError, RewardError) as error:
            raise self._fault(str(error)) from error
        met, said = self.table.claims(claim.score), self._judge.said()
        if said.end is not None:
            self.table.end(said.end)
        else:
            self.table.advance(claim.score)
        if self.table.last:
            self._loop.rest()
        self._notice(self.table)
        return Transition(
            action=judged.executed,
            reward=self.table.reward,
            discount=self.table.discount,
            next_observation=tick.observation,
            last=self.table.last,
            demo=judged.by_person,
            info={
                "success": self.table.reward > 0.0,
                "at_goal": met,
                "verdict": judged.status,
                "said_by": said.by,
                **self._judged(claim, met),
                **({"intervention": True} if judged.by_person else {}),
                **self._told(tick.observation),
            },
            # Who only watches asks for nothing, and what a person asked for was not this.
            asked=None
            if judged.by_person or np.ndim(action) != 1
            else np.array(action, np.float32),
        )

    def _judged(self, claim: Claim, claimed: bool) -> dict[str, Any]:
        """Who has judged the step, and whether that was right; nothing where the task does."""
        if self.source.name == "task":
            return {}
        judge = judged_by(self.source, claim)
        if self._truth is None:
            return judge
        return {**judge, **self._truth.step(claimed, self.table, bool(judge["drift"]))}

    def fault(self, reason: str) -> None:
        """Somebody outside found that the episode cannot go on; without a running one, nothing."""
        if self.table.phase in (Phase.RUNNING, Phase.RESETTING):
            self._fault(reason)

    def close(self) -> None:
        """Nothing to let go: the parts belong to the caller."""

    def _fault(self, reason: str) -> EpisodeFault:
        self.table.fault(reason)
        self._loop.rest()
        self._notice(self.table)
        return EpisodeFault(reason)
