"""One episode of a policy that only acts: how it went, nothing that could leak into learning."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from handful.contract import Observation
from handful.workflow.collect import succeeded


@dataclass(frozen=True)
class Outcome:
    """What happened in an episode of the deterministic policy.

    seed: of the world. length: steps. success: the task's criterion, held. verdicts: how often the
    guard said something else than ``ok``, by name.
    """

    seed: int
    success: bool
    length: int
    verdicts: dict[str, int] = field(default_factory=dict)


def rollout(
    env: Any, learner: Any, seed: int, watch: Callable[[Observation], None] | None = None
) -> Outcome:
    """Run the deterministic policy in the world of ``seed`` until the episode ends.

    ``learner`` is only asked to ``act(observation, explore=False)``; ``watch`` sees every
    observation, the first one included.
    """
    observation = env.reset(seed)
    length, verdicts = 0, dict[str, int]()
    while True:
        if watch is not None:
            watch(observation)
        transition = env.step(learner.act(observation, explore=False))
        observation, length = transition.next_observation, length + 1
        verdict = str(transition.info.get("verdict", "ok"))
        if verdict.lower() != "ok":
            verdicts[verdict] = verdicts.get(verdict, 0) + 1
        if transition.last:
            if watch is not None:
                watch(observation)
            return Outcome(seed, succeeded(transition), length, verdicts)
