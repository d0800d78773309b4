"""Frames and the arm's state to one observation: refuse the stale, crop, resize, stack, scale.

The same object serves the fast twin, the twin over ROS and the arm, so a policy never sees a
picture that was cut another way. The observation carries the stamp of its oldest part; the guard
subtracts it.
"""

import math
from collections import deque

import cv2
import numpy as np
from numpy.typing import NDArray

from handful.contract import ArmState, Frame, Observation, Spec
from handful.rig.arm import ArmError
from handful.rig.camera import CameraError, StaleFrameError
from handful.rig.settings import RigSettings

_SIZES = {
    "position": 3,
    "yaw": 2,
    "gripper": 1,
    "velocity": 3,
    "target_offset": 3,
    "target_gripper": 1,
}


class Observer:
    """Builds observations; remembers nothing but the last K pictures of every camera.

    State vector, in the order of ``observe.proprioception``, each about [-1, 1]: position (3): tool
    tip, the workspace box mapped to [-1, 1]; yaw (2): sine and cosine; gripper and target_gripper
    (1): opening, [0, ``action.gripper_max_m``] mapped to [-1, 1]; velocity (3): over
    ``guard.max_speed_m_s``; target_offset (3): target minus measured tip over ``action.step_m``;
    joints (``observe.joint_count``): over pi.
    """

    def __init__(self, settings: RigSettings) -> None:
        observe = settings.observe
        self._settings = settings
        self._names = observe.proprioception
        self._stacks: dict[str, deque[NDArray[np.uint8]]] = {
            name: deque(maxlen=observe.frame_stack) for name in settings.cameras
        }
        low_m = np.array(settings.guard.workspace_min_m)
        high_m = np.array(settings.guard.workspace_max_m)
        self._centre_m, self._half_m = 0.5 * (high_m + low_m), 0.5 * (high_m - low_m)
        self.spec = Spec(
            cameras=tuple(settings.cameras),
            height_px=observe.image_px,
            width_px=observe.image_px,
            frame_stack=observe.frame_stack,
            state_dim=sum(
                observe.joint_count if name == "joints" else _SIZES[name] for name in self._names
            ),
            action_dim=5 if settings.action.yaw_step_rad > 0.0 else 4,
        )

    def reset(self) -> None:
        """Forget the pictures; the next observation repeats its frame K times."""
        for stack in self._stacks.values():
            stack.clear()

    def resume(self, observation: Observation) -> None:
        """Go on from an observation made here earlier, as a twin that was put back must."""
        for name, stack in self._stacks.items():
            stack.clear()
            pictures = np.split(observation.images[name], self.spec.frame_stack, axis=2)
            stack.extend(np.ascontiguousarray(picture) for picture in pictures)

    def observe(self, frames: dict[str, Frame], arm: ArmState, now_s: float) -> Observation:
        """One observation at ``now_s`` [s] from the newest frame of every camera.

        A frame that needs neither crop, resize nor stack is passed on without a copy.

        Raises:
            CameraError: a camera of the settings has no frame, or one of another size or type.
            StaleFrameError: a frame is older than ``observe.max_frame_age_s``.
            ArmError: the arm's state is too old, not finite, or has another number of joints.
        """
        oldest_s = self._fresh_arm_stamp_s(arm, now_s)
        state = self._state(arm)
        pictures = {}  # all of them are accepted before one of them enters a stack
        for name in self.spec.cameras:
            frame = frames.get(name)
            if frame is None:
                raise CameraError(f"camera {name!r}: no frame; got {sorted(frames)}")
            pictures[name] = self._picture(name, frame, now_s)
            oldest_s = min(oldest_s, frame.stamp_s)
        images = {name: self._stacked(name, picture) for name, picture in pictures.items()}
        parts_s = (*(frames[name].stamp_s for name in self.spec.cameras), arm.stamp_s)
        return Observation(images=images, state=state, stamp_s=oldest_s, parts_s=parts_s)

    def _fresh_arm_stamp_s(self, arm: ArmState, now_s: float) -> float:
        limit_s = self._settings.observe.max_arm_age_s
        age_s = now_s - arm.stamp_s
        if not age_s <= limit_s:  # written so that NaN is refused too
            raise ArmError(f"arm state is {age_s:.3f} s old; observe.max_arm_age_s is {limit_s} s")
        return arm.stamp_s

    def _picture(self, name: str, frame: Frame, now_s: float) -> NDArray[np.uint8]:
        camera, observe = self._settings.cameras[name], self._settings.observe
        age_s = now_s - frame.stamp_s
        if not age_s <= observe.max_frame_age_s:
            raise StaleFrameError(
                f"camera {name!r}: frame is {age_s:.3f} s old; "
                f"observe.max_frame_age_s is {observe.max_frame_age_s} s"
            )
        pixels = frame.pixels
        if pixels.shape != (camera.height_px, camera.width_px, 3) or pixels.dtype != np.uint8:
            raise CameraError(
                f"camera {name!r}: expected ({camera.height_px}, {camera.width_px}, 3) uint8 as in "
                f"the rig settings, got {pixels.shape} {pixels.dtype}"
            )
        if camera.crop_px is not None:
            top, left, height, width = camera.crop_px
            pixels = pixels[top : top + height, left : left + width]
        side = observe.image_px
        if pixels.shape[:2] == (side, side):
            return np.ascontiguousarray(pixels)
        shrinks = pixels.shape[0] > side or pixels.shape[1] > side
        method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        return cv2.resize(pixels, (side, side), interpolation=method).astype(np.uint8, copy=False)

    def _stacked(self, name: str, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(H, W, 3*K) uint8, the newest last; K = 1 is the picture itself."""
        stack = self._stacks[name]
        stack.append(picture)
        while len(stack) < self.spec.frame_stack:
            stack.append(picture)
        if len(stack) == 1:
            return picture
        # Six times as fast as np.concatenate, which copies three bytes at a time.
        return np.asarray(cv2.merge(list(stack)), np.uint8)

    def _state(self, arm: ArmState) -> NDArray[np.float32]:
        """(P,) float32; see the class for the scales."""
        settings, values = self._settings, np.empty(self.spec.state_dim)
        gripper_max_m, at = settings.action.gripper_max_m, 0
        for name in self._names:
            part: NDArray[np.float64] | float | tuple[float, float]
            if name == "position":
                part = (arm.p_BT_m - self._centre_m) / self._half_m
            elif name == "yaw":
                part = (math.sin(arm.yaw_rad), math.cos(arm.yaw_rad))
            elif name == "gripper":
                part = 2.0 * arm.gripper_m / gripper_max_m - 1.0
            elif name == "velocity":
                part = arm.v_BT_m_s / settings.guard.max_speed_m_s
            elif name == "target_offset":
                part = (arm.target_p_BT_m - arm.p_BT_m) / settings.action.step_m
            elif name == "target_gripper":
                part = 2.0 * arm.target_gripper_m / gripper_max_m - 1.0
            else:
                part = self._joints(arm) / math.pi
            size = settings.observe.joint_count if name == "joints" else _SIZES[name]
            values[at : at + size] = part
            at += size
        if not np.isfinite(values).all():
            raise ArmError(f"arm state holds a number that is not finite: {arm}")
        return values.astype(np.float32)

    def _joints(self, arm: ArmState) -> NDArray[np.float64]:
        count = self._settings.observe.joint_count
        if arm.q_rad.shape != (count,):
            raise ArmError(f"the arm has {arm.q_rad.size} joints, observe.joint_count is {count}")
        return arm.q_rad
