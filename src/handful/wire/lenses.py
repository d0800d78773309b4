"""``camera_info`` and ``/tf_static`` to what a session says about its cameras.

Each camera becomes what its calibration file would hold (``rig.mount.camera_values``): matrix,
distortion, and the mount, which is where the frames of the camera itself (``<camera>_...``) end.
"""

import threading
import time
from collections.abc import Collection
from typing import Any

import numpy as np
import rospy
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo
from tf2_msgs.msg import TFMessage

from handful.rig.calibration import Calibration
from handful.rig.geometry import from_quat_xyzw, pose
from handful.rig.mount import camera_values, mount_of

_LINKS = 16  # a chain of frames that is longer goes in a circle


class Lenses:
    """Hears ``sensor_msgs/CameraInfo`` of each camera and ``tf2_msgs/TFMessage``, in any order."""

    def __init__(self, cameras: Collection[str]) -> None:
        self._cameras = tuple(cameras)
        self._infos: dict[str, CameraInfo] = {}
        self._frames: dict[str, tuple[str, NDArray[np.float64]]] = {}  # child -> (parent, X_PC)
        self._came = threading.Condition()

    def info(self, message: CameraInfo, camera: str) -> None:
        """The calibration beside a picture of ``camera``."""
        with self._came:
            self._infos[camera] = message
            self._came.notify_all()

    def frames(self, message: TFMessage) -> None:
        """Frames that do not move."""
        with self._came:
            for t in message.transforms:
                p, q = t.transform.translation, t.transform.rotation
                X_PC = pose(from_quat_xyzw([q.x, q.y, q.z, q.w]), [p.x, p.y, p.z])
                self._frames[t.child_frame_id.strip("/")] = (t.header.frame_id.strip("/"), X_PC)
            self._came.notify_all()

    def calibration(self) -> dict[str, dict[str, Any]]:
        """Camera -> what its calibration file would hold; one whose lens nobody knows has its size
        alone, one that was not heard of is left out.
        """
        with self._came:
            return {name: self._of(name) for name in self._cameras if name in self._infos}

    def wait(self, timeout_s: float) -> list[str]:
        """Wait until lens and mount of every camera are known; what is missing is returned."""
        end_s = time.monotonic() + timeout_s
        with self._came:
            while (missing := self._missing()) and (rest_s := end_s - time.monotonic()) > 0.0:
                self._came.wait(rest_s)
        return missing

    def _missing(self) -> list[str]:
        unheard = [f"{n}/color/camera_info" for n in self._cameras if n not in self._infos]
        heard = [name for name in self._cameras if name in self._infos]
        return unheard + [f"/tf_static of {n}" for n in heard if self._mount(n) is None]

    def _of(self, name: str) -> dict[str, Any]:
        info = self._infos[name]
        K = np.array(info.K, np.float64).reshape(3, 3)
        if not K.any():  # as REP 104 says that nobody knows
            return {"image_width": int(info.width), "image_height": int(info.height)}
        lens = Calibration(
            int(info.width),
            int(info.height),
            K,
            np.array(info.D, np.float64),
            info.distortion_model or "plumb_bob",
            np.array(info.R, np.float64).reshape(3, 3),
            np.array(info.P, np.float64).reshape(3, 4),
        )
        found = self._mount(name)
        return camera_values(name, lens, None if found is None else mount_of(*found))

    def _mount(self, name: str) -> tuple[str, NDArray[np.float64]] | None:
        """(parent frame, X_PC of the optical frame in it); None while a link is missing."""
        frame, X = self._infos[name].header.frame_id.strip("/"), np.eye(4)
        for _ in range(_LINKS):
            if frame not in self._frames:
                return None
            frame, X_PC = self._frames[frame]
            X = X_PC @ X
            if not frame.startswith(f"{name}_"):
                return frame, X
        return None


class LiveLenses(Lenses):
    """The same from the topics; ``close`` stops listening, one message a camera is enough."""

    def __init__(self, cameras: Collection[str]) -> None:
        super().__init__(cameras)
        self._ears = [
            rospy.Subscriber(f"{name}/color/camera_info", CameraInfo, self.info, name, queue_size=1)
            for name in cameras
        ]
        self._ears.append(rospy.Subscriber("/tf_static", TFMessage, self.frames, queue_size=50))

    def close(self) -> None:
        """Listen no more; twice is safe."""
        while self._ears:
            self._ears.pop().unregister()
