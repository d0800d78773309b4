"""An environment whose episodes end by a reward source's word, and not by the task's own.

What learns in it sees the source's success alone. The truth goes along in every step's ``info``, so
that how often the source is wrong can be told; it changes nothing.
"""

from typing import Any

from numpy.typing import ArrayLike

from handful.contract import Observation, Transition
from handful.rig.episode import EpisodeError, EpisodeTable, Phase
from handful.rig.reward import Hold, RewardSource, judged_by
from handful.rig.reward_truth import Truth


class JudgedEnv:
    """``workflow.parts.Environment`` around another that knows the truth.

    The other one must go on after the task's success (the twin does with ``hold_steps`` as long as
    its horizon); its faults and its time limit hold. Beside ``rig.reward.judged_by`` a step's info
    says ``at_goal``: the source claims now; and by the task's own rule what ``rig.reward_truth``
    says.

    Args:
        env: the environment. source: who judges. hold: how long a claim must stand.
        true_hold: how long the task's own rule must.
    """

    def __init__(self, env: Any, source: RewardSource, hold: Hold, true_hold: int) -> None:
        self.env, self.source = env, source
        self.table = EpisodeTable(env.horizon, hold)
        self._met = False
        self._truth = Truth(Hold(true_hold), lambda: self._met)

    def __getattr__(self, name: str) -> Any:
        """Everything else is the inner environment's: ``spec``, ``rig``, ``truth``, ``render``."""
        return getattr(self.__dict__["env"], name)

    def reset(self, seed: int) -> Observation:
        """Begin the episode of this seed."""
        observation: Observation = self.env.reset(seed)
        if self.table.phase is Phase.FAULTED:
            self.table.idle()
        self.table.reset()
        self.source.begin()
        self._truth.begin(bool(self.source.warning()))
        self.table.start()
        return observation

    def step(self, action: ArrayLike) -> Transition:
        """One step of the inner environment, judged by the source.

        Raises:
            EpisodeError: before ``reset`` or after the last step of an episode.
        """
        if self.table.phase is not Phase.RUNNING:
            raise EpisodeError(
                f"step needs a running episode, this one is {self.table.phase.value}; "
                "call reset(seed) first"
            )
        done: Transition = self.env.step(action)
        self._met = bool(done.info["at_goal"])
        claim = self.source.look(done.next_observation, self.env.arm_state())
        claimed = self.table.claims(claim.score)
        if done.last and done.discount == 0.0 and done.reward == 0.0:
            self.table.fault(str(done.info.get("verdict", "the arm gave up")))
        else:
            self.table.advance(claim.score)
        judge = judged_by(self.source, claim)
        info = {
            **done.info,
            "success": self.table.reward > 0.0,
            "at_goal": claimed,
            **judge,
            **self._truth.step(claimed, self.table, bool(judge["drift"])),
        }
        return Transition(
            action=done.action,
            reward=self.table.reward,
            discount=self.table.discount,
            next_observation=done.next_observation,
            last=self.table.last,
            demo=done.demo,
            info=info,
            asked=done.asked,
        )

    def close(self) -> None:
        """Let the inner environment go."""
        self.env.close()
