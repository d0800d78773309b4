"""The numbers of a run that belong to no room; ``config/train.yaml`` is their manual."""

from pydantic import Field

from handful.config import Settings
from handful.rig.picture_codec import Pictures


class TrainSettings(Settings):
    """How a run is conducted (``--set train.KEY=VALUE``); may be changed between resumes.

    demos: successful demonstrations to learn from (0: none, if the agent can do without). steps:
    environment steps of the agent's own experience after which training ends (0: none, the policy
    is what pre-training has made); minutes: wall-clock limit of training [min], whichever
    comes first. stop_success: end early when the success rate over the last ``stop_window``
    training episodes reaches this (``None``: never). check_every_steps: evaluate every so many env
    steps on seeds of their own, in an environment of its own (0: never), check_episodes episodes;
    stop_check_success: end early when such a check reaches this. min_steps: no early end before
    this many env steps. checkpoint_every_steps: env steps between checkpoints; what happened since
    the last one is never lost (it is in the episode log), it is only learned again. log_every_s:
    seconds between points of the loss curves. pictures: how everything that is recorded for this
    run stores its pictures, both lossless (``rig.picture_codec``).
    """

    demos: int = Field(10, ge=0)
    steps: int = Field(3_000, ge=0)
    minutes: float | None = Field(None, gt=0.0)
    stop_success: float | None = Field(None, gt=0.0, le=1.0)
    stop_window: int = Field(20, ge=1)
    min_steps: int = Field(0, ge=0)
    check_every_steps: int = Field(0, ge=0)
    check_episodes: int = Field(20, ge=1)
    stop_check_success: float | None = Field(None, gt=0.0, le=1.0)
    checkpoint_every_steps: int = Field(500, ge=1)
    log_every_s: float = Field(2.0, gt=0.0)
    pictures: Pictures = "raw"
