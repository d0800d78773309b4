"""Every number of the learner, typed and bounded; the files in ``config/agent`` are its manual."""

from typing import Literal

from pydantic import Field, model_validator

from handful.config import Settings
from handful.learn.fit import impossible


class EncoderSettings(Settings):
    """Pixels to latent, one tower a camera (``learn.encoder``)."""

    filters: int = Field(32, ge=1)
    strides: tuple[int, ...] = (2, 2, 2, 2)
    head: Literal["linear", "spatial_softmax"] = "linear"
    latent_dim: int = Field(50, ge=1)
    tanh: bool = False
    delta_orthogonal: bool = True
    orthogonal: bool = False
    input_px: int = Field(64, ge=16)
    trained_by: Literal["critic", "contrast", "pretraining"] = "critic"

    @model_validator(mode="after")
    def _one_start(self) -> "EncoderSettings":
        if self.delta_orthogonal and self.orthogonal:
            raise ValueError(
                "delta_orthogonal and orthogonal are two ways to start one weight; set one to false"
            )
        return self


Effect = Literal[
    "window",
    "grayscale",
    "cutout",
    "cutout_colour",
    "flip",
    "rotate",
    "convolution",
    "jitter",
]


class AugmentSettings(Settings):
    """Random views in learning and the matching middle view in acting (``learn.augment``)."""

    kind: Literal["crop", "shift", "translate", "none"] = "shift"
    pad_px: int = Field(4, ge=0)
    official_crop_range: bool = False
    shared_window: bool = False
    effects: tuple[Effect, ...] = ()
    gray_probability: float = Field(0.3, ge=0.0, le=1.0)
    flip_probability: float = Field(0.2, ge=0.0, le=1.0)
    rotate_probability: float = Field(0.3, ge=0.0, le=1.0)
    cutout_px: tuple[int, int] = (10, 29)
    window_share: float = Field(0.84, gt=0.0, le=1.0)
    jitter: float = Field(0.4, ge=0.0, le=1.0)
    jitter_hue: float = Field(0.354, ge=0.0, le=0.5)
    target_views: int = Field(1, ge=1)
    loss_views: int = Field(1, ge=1)
    cached_views: int = Field(4, ge=1)

    @model_validator(mode="after")
    def _possible(self) -> "AugmentSettings":
        low, high = self.cutout_px
        if not 1 <= low <= high:
            raise ValueError(f"cutout_px {[low, high]}: must be two sizes, 1 <= least <= most")
        if self.kind == "crop" and self.official_crop_range and self.pad_px == 0:
            raise ValueError("official_crop_range leaves no offset to draw from when pad_px is 0")
        views = max(self.target_views, self.loss_views)
        if self.shared_window and views > 1:
            raise ValueError(
                "shared_window pairs one view of the successor with one of the observation; "
                "with it target_views and loss_views must be 1"
            )
        if views > 1 and self.kind == "none" and not self.effects:
            raise ValueError(
                f"target_views {self.target_views} and loss_views {self.loss_views} average over "
                "views that are all the same picture; set kind or effects, or 1 for both"
            )
        return self


class StateAugmentSettings(Settings):
    """Random amplitude scaling of the state, and noise to compare with (``learn.amplitude``)."""

    kind: Literal["none", "amplitude", "gaussian"] = "none"
    low: float = 0.5
    high: float = 1.5
    per_dimension: bool = False
    shared: bool = True
    mask_probability: float = Field(0.5, ge=0.0, le=1.0)
    std: float = Field(1.0, ge=0.0)

    @model_validator(mode="after")
    def _range(self) -> "StateAugmentSettings":
        if self.low > self.high:
            raise ValueError(f"low {self.low} is above high {self.high}")
        return self


class ContrastSettings(Settings):
    """InfoNCE between two views, with a slow key encoder (``learn.contrast``)."""

    weight: float = Field(1.0, ge=0.0)
    until_step: int | None = Field(None, ge=0)
    own_step: bool = False
    double_step: bool = False
    sequential: bool = False
    lr: float = Field(1.0e-3, gt=0.0)


class PredictSettings(Settings):
    """Foreseeing what an action brings (``learn.predict``), beside the critic's loss."""

    weight: float = Field(0.0, ge=0.0)
    reward_weight: float = Field(1.0, ge=0.0)
    hidden_dim: int = Field(256, ge=1)
    lr: float = Field(1.0e-3, gt=0.0)


class PretrainSettings(Settings):
    """Before the first motion: contrast and cloning on demonstrations (``learn.pretrain``)."""

    updates: int = Field(1000, ge=0)
    batch_size: int = Field(128, ge=2)
    lr: float = Field(1.0e-3, gt=0.0)
    tau: float = Field(0.05, gt=0.0, le=1.0)
    double_step: bool = False
    align_targets: bool = True
    contrast_weight: float = Field(1.0, ge=0.0)
    positive_offset: int = Field(0, ge=0)
    clone_weight: float = Field(0.0, ge=0.0)
    unlabelled_share: float = Field(0.5, ge=0.0, lt=1.0)
    refresh_steps: tuple[int, ...] = ()
    refresh_updates: int = Field(300, ge=0)


class CriticSettings(Settings):
    """The ensemble of Q functions (``learn.networks``)."""

    hidden_dim: int = Field(256, ge=1)
    count: int = Field(2, ge=1)
    subsample: int | None = Field(None, ge=1)
    layer_norm: bool = True
    lr: float = Field(3.0e-4, gt=0.0)
    tau: float = Field(0.005, gt=0.0, le=1.0)
    encoder_tau: float = Field(0.005, gt=0.0, le=1.0)
    target_every: int = Field(1, ge=1)
    target_range: tuple[float, float] | None = None

    @model_validator(mode="after")
    def _subsample_fits(self) -> "CriticSettings":
        if self.subsample is not None and self.subsample > self.count:
            raise ValueError(f"subsample {self.subsample} is more than count {self.count}")
        return self


class ActorSettings(Settings):
    """The squashed-Gaussian policy (``learn.networks``)."""

    hidden_dim: int = Field(256, ge=1)
    layer_norm: bool = False
    log_std_min: float = -10.0
    log_std_max: float = 2.0
    lr: float = Field(3.0e-4, gt=0.0)
    every: int = Field(1, ge=1)
    reduce: Literal["min", "mean"] = "min"

    @model_validator(mode="after")
    def _range(self) -> "ActorSettings":
        if self.log_std_min >= self.log_std_max:
            raise ValueError(f"log_std_min {self.log_std_min} is not below {self.log_std_max}")
        return self


class TemperatureSettings(Settings):
    """Automatic entropy temperature."""

    initial: float = Field(0.1, gt=0.0)
    lr: float = Field(1.0e-4, gt=0.0)
    beta1: float = Field(0.5, ge=0.0, lt=1.0)
    target_entropy_per_action: float = -1.0
    in_backup: bool = True


class ExplorationSettings(Settings):
    """The noise behind exploring actions (``learn.explore``)."""

    noise: Literal["white", "pink"] = "white"


class ReplaySettings(Settings):
    """What is kept and how it is drawn (``learn.replay``)."""

    capacity: int = Field(20_000, ge=1)
    demo_share: float | None = Field(0.5, ge=0.0, le=1.0)
    demo_capacity: int | None = Field(None, ge=1)
    successes_to_demos: bool = True
    n_step: int = Field(1, ge=1)

    @property
    def demo_slots(self) -> int:
        """Observations the demonstrations' side holds."""
        if self.demo_capacity is not None:
            return self.demo_capacity
        return max(2_000, self.capacity // 4)


class ComputeSettings(Settings):
    """How an update is computed, never what (``learn.compute``).

    ``always`` and ``never``, not on and off: YAML reads those as true and false.
    """

    precision: Literal["auto", "fp32", "tf32", "bf16"] = "auto"
    graphs: Literal["auto", "always", "never"] = "auto"
    replay_on: Literal["auto", "device", "host"] = "auto"


class CloneSettings(Settings):
    """Behaviour cloning: the term that anneals, and the proposal of IBRL (``learn.clone``)."""

    weight: float = Field(0.0, ge=0.0)
    final_weight: float = Field(0.0, ge=0.0)
    anneal_steps: int = Field(5000, ge=1)
    proposal: bool = False
    init_actor: bool = False
    only: bool = False
    dropout: float = Field(0.0, ge=0.0, lt=1.0)
    updates: int = Field(1000, ge=0)
    batch_size: int = Field(128, ge=2)
    lr: float = Field(1.0e-3, gt=0.0)


class AgentSettings(Settings):
    """One agent. ``update_to_data`` is held exactly: updates = ratio x (env steps - start)."""

    encoder: EncoderSettings = EncoderSettings()
    augment: AugmentSettings = AugmentSettings()
    state_augment: StateAugmentSettings = StateAugmentSettings()
    contrast: ContrastSettings = ContrastSettings()
    predict: PredictSettings = PredictSettings()
    pretrain: PretrainSettings = PretrainSettings()
    critic: CriticSettings = CriticSettings()
    actor: ActorSettings = ActorSettings()
    temperature: TemperatureSettings = TemperatureSettings()
    exploration: ExplorationSettings = ExplorationSettings()
    replay: ReplaySettings = ReplaySettings()
    clone: CloneSettings = CloneSettings()
    compute: ComputeSettings = ComputeSettings()
    batch_size: int = Field(128, ge=2)
    discount: float = Field(0.97, gt=0.0, le=1.0)
    update_to_data: float = Field(1.0, gt=0.0)
    cadence: Literal["updates", "env_steps"] = "updates"
    start_steps: int = Field(0, ge=0)
    start_policy: Literal["random", "clone", "actor"] = "random"
    proprioception: bool = True
    cameras: tuple[str, ...] | None = None
    frame_stack: int = Field(1, ge=1)
    threads: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _clone_needs_a_still_eye(self) -> "AgentSettings":
        if self.clone.proposal and self.encoder.trained_by != "pretraining":
            raise ValueError(
                "clone.proposal needs encoder.trained_by: pretraining; under an eye the "
                "critic goes on training, a clone fitted once sees something else every day"
            )
        return self

    @model_validator(mode="after")
    def _possible(self) -> "AgentSettings":
        complaints = list(impossible(self))
        if complaints:
            raise ValueError("; ".join(complaints))
        return self

    @property
    def from_state(self) -> bool:
        """Whether the agent learns from the state vector alone (``cameras: []``)."""
        return self.cameras == ()

    @property
    def image_px(self) -> int:
        """Side of the square picture the environment must render [px]; 0 when it need not.

        A crop needs its margin on top of what the network sees, a translation leaves it away.
        """
        if self.from_state:
            return 0
        margin = {"crop": 2, "translate": -2}.get(self.augment.kind, 0) * self.augment.pad_px
        return self.encoder.input_px + margin
