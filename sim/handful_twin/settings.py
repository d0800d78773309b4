"""The twin's settings: physics, gripper, cameras and pictures, as ``config/twin.yaml`` has them."""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from handful.config import Settings
from handful.rig.camera_settings import MountSettings
from handful_twin.arm_settings import ArmSettings, panda
from handful_twin.randomize_settings import DelaySettings, RandomizeSettings
from handful_twin.tag_settings import TagsSettings

Vector = tuple[float, float, float]


class TwinCameraSettings(Settings):
    """Where a camera is and how wide it sees; its picture size comes from the rig's settings.

    attach: the frame that carries it, ``base`` (B) or ``hand`` (the arm's H, z towards the
    finger tips, y along the opening). position_m, look_at_m, up: in that frame; ``up`` is the
    direction that points up in the picture. fov_y_deg: full vertical field of view; pixels are
    square and the principal point is the picture's middle.

    A calibrated camera says more. calibration: YAML of camera_calibration, of the whole picture of
    the device, in place of ``fov_y_deg``; crop_px: [top, left, height, width] of it that is
    delivered, all of it by default. mount: in place of ``attach``, ``position_m``, ``look_at_m``
    and ``up``, as in ``config/node/camera``; its parent is the arm's base link or the link that
    carries its hand (``panda_link0``, ``panda_hand``). A calibration with a ``mount`` of its own
    brings that too.
    """

    attach: Literal["base", "hand"] = "base"
    position_m: Vector
    look_at_m: Vector
    up: Vector = (0.0, 0.0, 1.0)
    fov_y_deg: float = Field(gt=1.0, lt=150.0)
    near_m: float = Field(default=0.01, gt=0.0)
    far_m: float = Field(default=3.0, gt=0.0)
    calibration: str = ""
    crop_px: tuple[int, int, int, int] | None = None
    mount: MountSettings | None = None

    @model_validator(mode="after")
    def _looks_somewhere(self) -> "TwinCameraSettings":
        if self.position_m == self.look_at_m:
            raise ValueError("look_at_m must differ from position_m")
        if self.far_m <= self.near_m:
            raise ValueError(f"far_m {self.far_m} must be above near_m {self.near_m}")
        return self


class TwinSettings(Settings):
    """What the simulated cell adds to the rig's settings. Sources stand in ``config/twin.yaml``."""

    arm: ArmSettings = Field(default_factory=panda)
    physics_rate_hz: int = Field(default=240, ge=60, le=2000)
    solver_iterations: int = Field(default=50, ge=1)
    solver_residual_threshold: float = Field(default=1.0e-3, ge=0.0)
    position_gain: float = Field(default=0.1, gt=0.0, le=1.0)
    velocity_gain: float = Field(default=1.0, gt=0.0, le=1.0)
    grip_force_n: float = Field(default=20.0, gt=0.0, le=70.0)
    finger_speed_m_s: float = Field(default=0.1, gt=0.0)
    table_friction: float = Field(default=1.0, gt=0.0, le=10.0)
    renderer: Literal["fast", "tiny", "egl", "auto"] = "fast"
    visuals: Literal["hulls", "full"] = "hulls"
    antialias: int = Field(default=2, ge=1, le=4)
    tags: TagsSettings = TagsSettings()
    cameras: dict[str, TwinCameraSettings]
    demo_noise: float = Field(default=0.3, ge=0.0, le=1.0)
    delay: DelaySettings = DelaySettings()
    randomize: RandomizeSettings = RandomizeSettings()

    @field_validator("cameras")
    @classmethod
    def _one_camera_at_least(
        cls, value: dict[str, TwinCameraSettings]
    ) -> dict[str, TwinCameraSettings]:
        if not value:
            raise ValueError("the twin needs at least one camera")
        return value

    @model_validator(mode="after")
    def _on_the_arm(self) -> "TwinSettings":
        links = (self.arm.base.link, self.arm.hand.link)
        for name, camera in self.cameras.items():
            mount = camera.mount
            if mount is not None and mount.parent_frame not in links:
                raise ValueError(
                    f"cameras.{name}.mount: parent_frame {mount.parent_frame!r}: the twin's "
                    f"cameras are bolted to {' or '.join(links)}"
                )
        return self


class LiveSettings(Settings):
    """The twin beside a clock, in the robot's place; ``config/node/twin.yaml`` is the manual.

    Rates are per second of the cell's time, which runs ``real_time_factor`` times as fast as the
    wall's. Delays are from the moment of capture to delivery, and from a command's arrival to its
    being obeyed. Noise is the standard deviation of a normal distribution.
    """

    real_time_factor: float = Field(default=1.0, ge=0.05, le=20.0)
    camera_rate_hz: float = Field(default=30.0, gt=0.0, le=240.0)
    state_rate_hz: float = Field(default=50.0, gt=0.0, le=240.0)
    clock_rate_hz: float = Field(default=100.0, ge=10.0, le=240.0)
    sensor_delay_s: float = Field(default=0.0, ge=0.0, le=2.0)
    actuation_delay_s: float = Field(default=0.0, ge=0.0, le=2.0)
    pixel_noise: float = Field(default=0.0, ge=0.0, le=128.0)
    joint_noise_rad: float = Field(default=0.0, ge=0.0, le=0.1)
    finger_noise_m: float = Field(default=0.0, ge=0.0, le=0.02)
    seed: int = Field(default=0, ge=0)
