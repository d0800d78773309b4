"""An agent small enough for sums, a batch of noise for it, and which of its parts have moved."""

import torch
from learn_kit import spec
from torch import Tensor

from handful.learn.agent import Agent, TensorBatch
from handful.learn.settings import AgentSettings

BATCH = 8


def agent_of(profile: AgentSettings) -> Agent:
    torch.manual_seed(3)
    return Agent(spec(profile), profile, torch.device("cpu"), seed=5)


def batch_of(agent: Agent, seed: int = 0) -> TensorBatch:
    rng = torch.Generator().manual_seed(seed)
    side, stack = agent.settings.encoder.input_px, agent.spec.frame_stack

    def pictures() -> dict[str, Tensor]:
        if agent.frozen:
            return {"third": torch.rand(BATCH, agent.encoder.feature_dim, generator=rng)}
        shape = (BATCH, 3 * stack, side, side)
        return {"third": torch.randint(0, 256, shape, generator=rng, dtype=torch.uint8)}

    def normal(width: int) -> Tensor:
        return torch.randn(BATCH, width, generator=rng)

    return TensorBatch(
        obs=pictures(),
        next_obs=pictures(),
        positive=None if agent.frozen else pictures(),
        state=normal(2),
        next_state=normal(2),
        action=torch.tanh(normal(1)),
        reward=(normal(1) > 0).float(),
        discount=torch.full((BATCH, 1), 0.9),
        demo=(torch.arange(BATCH) % 2).float().unsqueeze(1),
    )


def moved(before: Agent, after: Agent) -> set[str]:
    new = after.state_dict()
    return {
        name.split(".")[0]
        for name, value in before.state_dict().items()
        if not torch.equal(value, new[name])
    }
