"""What can be set about the agent's node; ``config/node/agent.yaml`` is the manual."""

from typing import Literal

from pydantic import Field

from handful.config import Settings


class AgentNodeSettings(Settings):
    """How the agent lives with cameras, guard and learner.

    camera_rate_hz: of the slowest camera; the beat waits at most one of its periods for pictures.
    good_age_s: an oldest picture this young is not waited for (null: half a camera period and
    5 ms of transport). reset: who puts the scene up, the service ``scene/reset`` or a person.
    max_learner_silence_s: acting goes on with the last weights for so long. max_behind_steps: no
    new episode while the learner has more steps to take in. max_pause_s: while recording, a person
    may let the arm stand for so long within an episode. threads: of torch, for acting.
    """

    camera_rate_hz: float = Field(default=30.0, gt=0.0)
    good_age_s: float | None = Field(default=None, gt=0.0)
    reset: Literal["service", "person"] = "service"
    max_learner_silence_s: float = Field(default=60.0, gt=0.0)
    max_behind_steps: int = Field(default=100, ge=1)
    max_pause_s: float = Field(default=600.0, gt=0.0)
    threads: int = Field(default=1, ge=1)
    device: Literal["auto", "cpu", "cuda"] = "auto"
