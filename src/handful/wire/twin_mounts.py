"""Where the twin's cameras are bolted on, as ``/tf_static`` has it, in realsense2_camera's frames.

``<cam>_link`` and ``<cam>_color_frame`` look along x (REP 103), ``<cam>_color_optical_frame`` along
z. In the twin the first two coincide. What carries them is the arm's base or its hand.
"""

from collections.abc import Mapping

import numpy as np
import rospy
from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from numpy.typing import NDArray
from tf2_msgs.msg import TFMessage

from handful.rig.geometry import invert, to_quat_xyzw
from handful.rig.mount import X_LC
from handful.wire.messages import header


def optical_frame(camera: str) -> str:
    """The frame that the pictures of ``camera`` are in."""
    return f"{camera}_color_optical_frame"


def mounts(
    cameras: Mapping[str, tuple[str, NDArray[np.float64]]], stamp_s: float
) -> list[TransformStamped]:
    """Three transforms a camera: name -> (its carrier, X_AC (4, 4) of the optical frame in it)."""
    found = []
    for name, (carrier, X_AC) in cameras.items():
        link, colour = f"{name}_link", f"{name}_color_frame"
        found += [
            _transform(carrier, link, X_AC @ invert(X_LC), stamp_s),
            _transform(link, colour, np.eye(4), stamp_s),
            _transform(colour, optical_frame(name), X_LC, stamp_s),
        ]
    return found


def publish_mounts(transforms: list[TransformStamped]) -> rospy.Publisher:
    """Say it once, latched; keep what is returned for as long as it shall be heard."""
    publisher = rospy.Publisher("/tf_static", TFMessage, queue_size=1, latch=True)
    publisher.publish(TFMessage(transforms))
    return publisher


def _transform(
    parent: str, child: str, X_PC: NDArray[np.float64], stamp_s: float
) -> TransformStamped:
    return TransformStamped(
        header=header(stamp_s, parent),
        child_frame_id=child,
        transform=Transform(
            Vector3(*X_PC[:3, 3].tolist()), Quaternion(*to_quat_xyzw(X_PC[:3, :3]).tolist())
        ),
    )
