"""Acting: one observation in, one action out, as quickly as the networks allow.

A single observation costs little arithmetic and much bookkeeping: about sixty small operators, each
called from Python. So every way of acting is traced once and then replayed without Python in
between (0.5 instead of 1.0 ms on one CPU core). A trace holds the networks' own parameters, not
copies: an update in place is acted on at once.
"""

import logging
import warnings
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from handful.contract import Observation
from handful.learn.agent import Agent
from handful.learn.augment import Views
from handful.learn.encoder import Pictures

log = logging.getLogger(__name__)

Trace = Callable[..., Tensor]


class Acting:
    """What an agent does with one observation; it takes no part in learning.

    Args:
        agent: whose networks. views: which window of a picture it looks at.
        traced: record each way of acting once and replay it; else run it as it is written.
    """

    def __init__(self, agent: Agent, views: Views, traced: bool = True) -> None:
        self._agent, self._views, self._traced = agent, views, traced
        self._traces: dict[str, Trace] = {}

    def mean(self, observation: Observation) -> NDArray[np.float32]:
        """The deterministic action (A,) in [-1, 1]."""
        return self._run("mean", observation)

    def sample(
        self, observation: Observation, noise: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """An action (A,) with exploration noise (A,), white from the agent's generator if None."""
        with torch.inference_mode():
            if noise is None:
                drawn = self._agent.noise(1)
            else:
                drawn = torch.from_numpy(noise).to(self._agent.device).unsqueeze(0)
        return self._run("sample", observation, drawn)

    def clone(self, observation: Observation) -> NDArray[np.float32]:
        """The behaviour clone's action (A,)."""
        return self._run("clone", observation)

    def embed(self, observation: Observation) -> NDArray[np.float32]:
        """The visual latent (Z,) that the critic decides on."""
        return self._run("embed", observation)

    @torch.inference_mode()
    def _run(
        self, way: str, observation: Observation, noise: Tensor | None = None
    ) -> NDArray[np.float32]:
        device = self._agent.device
        pictures = tuple(
            torch.from_numpy(np.ascontiguousarray(self._views.cut(observation.images[name]))).to(
                device
            )
            for name in self._agent.spec.cameras
        )
        state = torch.from_numpy(observation.state).to(device).unsqueeze(0)
        if noise is None:
            noise = torch.zeros((1, self._agent.spec.action_dim), device=device)
        trace = self._traces.get(way) or self._trace(way, state, noise, *pictures)
        result: NDArray[np.float32] = trace(state, noise, *pictures)[0].cpu().numpy()
        return result

    def _trace(self, way: str, state: Tensor, noise: Tensor, *pictures: Tensor) -> Trace:
        written = _Way(self._agent, way)
        self._traces[way] = written
        if self._traced and hasattr(torch.jit, "trace"):
            try:
                with warnings.catch_warnings():  # torch.compile needs a C++ compiler on the robot
                    warnings.simplefilter("ignore", DeprecationWarning)
                    inputs = (state, noise, *pictures)
                    self._traces[way] = torch.jit.trace(written, inputs, check_trace=False)
            except RuntimeError as error:
                log.warning("acting is not traced, which costs half a millisecond: %s", error)
        return self._traces[way]


class _Way(nn.Module):
    """One way of acting as a function of tensors: (1, P), pictures (S, S, 3K) uint8 a camera."""

    def __init__(self, agent: Agent, way: str) -> None:
        super().__init__()
        self.agent, self.way = agent, way

    def forward(self, state: Tensor, noise: Tensor, *pictures: Tensor) -> Tensor:
        agent = self.agent
        seen: Pictures = {
            name: picture.permute(2, 0, 1).unsqueeze(0)
            for name, picture in zip(agent.spec.cameras, pictures, strict=True)
        }
        features = agent.encoder(seen)
        if self.way == "clone":
            return agent.clone_action(features, state)
        if self.way == "embed":
            return agent.critic.latent.visual(features)
        return agent.act(features, state, noise if self.way == "sample" else None)
