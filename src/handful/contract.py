"""The words every room shares: NumPy records with shapes, units and stamps, and nothing else.

Frames are letters (``docs/frames.md``): B arm base, T tool tip, C colour optical frame. Stamps are
seconds on the clock of the cell that made them (``rig.clock``); they are compared, never printed.
Arrays in these records are not copied and not to be written to.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Frame:
    """One colour picture and the moment the light fell in.

    pixels: (H, W, 3) uint8 RGB. stamp_s: capture time [s], not arrival time. camera: the name in
    the rig settings. frame_id: the optical frame (z forward, x right, y down, REP 103).
    """

    camera: str
    pixels: NDArray[np.uint8]
    stamp_s: float
    frame_id: str = ""


@dataclass(frozen=True)
class ArmState:
    """What the arm measures, and what it was last told.

    p_BT_m: (3,) tool tip [m]. yaw_rad: tool yaw about B's z, 0 when the fingers open along B's y.
    gripper_m: opening between the pads [m]. v_BT_m_s: (3,) tip velocity [m/s].
    q_rad: (N,) joints [rad]. target_*: the last command accepted; deltas are integrated on it,
    never on the measurement (a measured base drifts 48 mm in 10 s of zero action).
    """

    stamp_s: float
    p_BT_m: NDArray[np.float64]
    yaw_rad: float
    gripper_m: float
    v_BT_m_s: NDArray[np.float64]
    q_rad: NDArray[np.float64]
    target_p_BT_m: NDArray[np.float64]
    target_yaw_rad: float
    target_gripper_m: float


@dataclass(frozen=True)
class Command:
    """An absolute goal for the arm driver: tool tip [m] and yaw [rad] in B, gripper opening [m]."""

    p_BT_m: NDArray[np.float64]
    yaw_rad: float
    gripper_m: float


@dataclass(frozen=True)
class Observation:
    """What the policy sees at one tick.

    images: camera name -> (H, W, 3*K) uint8 RGB, K stacked frames, the newest last.
    state: (P,) float32 proprioception in the units of ``rig.observe``.
    stamp_s: capture time of the oldest newest-frame or arm state in it [s].
    parts_s: the capture times themselves, each camera's newest picture in the order of the spec and
    then the arm's state [s]; empty when nobody told.
    """

    images: dict[str, NDArray[np.uint8]]
    state: NDArray[np.float32]
    stamp_s: float
    parts_s: tuple[float, ...] = ()


@dataclass(frozen=True)
class Spec:
    """The shapes an agent is built for: camera names in order, picture, stack, vector sizes."""

    cameras: tuple[str, ...]
    height_px: int
    width_px: int
    frame_stack: int
    state_dim: int
    action_dim: int

    def to_dict(self) -> dict[str, object]:
        """The spec as JSON-ready values; ``Spec.from_dict`` is its inverse."""
        return {**self.__dict__, "cameras": list(self.cameras)}

    @classmethod
    def from_dict(cls, values: dict[str, object]) -> "Spec":
        """Rebuild a spec from ``to_dict`` output; a missing or extra key raises ``TypeError``."""
        return cls(**{**values, "cameras": tuple(values["cameras"])})  # type: ignore[arg-type]


@dataclass(frozen=True)
class Transition:
    """What really happened in one tick.

    action: (A,) float32 in [-1, 1], **the action that was sent** (the guard's verdict mapped back),
    not the wish. discount: 0.0 when the future is worth nothing (success or fault), 1.0 otherwise,
    time limit included. last: the episode ends here for whatever reason. asked: (A,) float32, the
    wish itself; None when it is not known.
    """

    action: NDArray[np.float32]
    reward: float
    discount: float
    next_observation: Observation
    last: bool
    demo: bool = False
    info: dict[str, float | str | bool] = field(default_factory=dict)
    asked: NDArray[np.float32] | None = None
