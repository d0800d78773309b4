"""The camera node: one camera as topics, named and framed as users of realsense2_camera know them.

The camera's own thread keeps the newest picture; the main thread publishes it. A frozen or lost
camera publishes nothing, so whoever watches the topic sees silence, and diagnostics says why.
"""

import logging
import math
import time

import cv2
import numpy as np
import rospy
from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from handful.config import ConfigError
from handful.rig.calibration import Calibration
from handful.rig.camera import CameraError
from handful.rig.camera_settings import KINDS, CameraNodeSettings, MountSettings
from handful.rig.cameras import make_camera
from handful.rig.geometry import from_quat_xyzw, pose, to_quat_xyzw
from handful.rig.mount import X_LC, load_mount
from handful.rig.settings import RigSettings
from handful.rig.source import CameraSetupError, Picture
from handful.wire.node import Level, Node
from handful.wire.parameters import settings
from handful.wire.pictures import array_to_image, depth_to_image
from handful.wire.stamps import header
from handful.wire.twin_mounts import publish_mounts

_WAIT_S = 0.1  # how soon the node notices that it shall end
_SLOW = 0.8  # of the rate that was asked for; below it diagnostics warns


class CameraServer:
    """One camera and its topics; ``work`` returns when the node ends.

    Args:
        name: of the camera in the rig's settings; topics and frames begin with it.
        own: the camera's settings. rig: whose picture size must be met.
    """

    def __init__(self, node: Node, name: str, own: CameraNodeSettings, rig: RigSettings) -> None:
        if name not in rig.cameras:
            known = ", ".join(rig.cameras)
            raise ConfigError(f"~camera is {name!r}; the rig has the cameras {known}")
        self._name, self._own, self._rig, self._clock = name, own, rig, node.clock
        if own.publish_px:
            self._check_size(*own.publish_px)
        self._camera = make_camera(name, own, node.clock)
        self._waiting = ""
        self._published = 0
        colour, depth = f"{name}/color", f"{name}/aligned_depth_to_color"
        self._image = _publisher(f"{colour}/image_raw", Image)
        self._info = _publisher(f"{colour}/camera_info", CameraInfo)
        self._jpeg = (
            _publisher(f"{colour}/image_raw/compressed", CompressedImage)
            if own.jpeg_quality
            else None
        )
        if getattr(own, "depth", False):
            self._depth = _publisher(f"{depth}/image_raw", Image)
            self._depth_info = _publisher(f"{depth}/camera_info", CameraInfo)
        self._mounts = publish_mounts(_frames(name, _mount(own)))
        logging.getLogger("handful").addHandler(_ToRosout())
        node.check(f"camera {name}", self.report)

    def work(self) -> None:
        """Open the camera, however long that takes, and publish until the node ends.

        Raises:
            CameraSetupError, ConfigError: settings that the device or the rig cannot meet.
        """
        try:
            while not rospy.is_shutdown():
                if not self._open():
                    continue
                stamp_s = -math.inf
                while not rospy.is_shutdown():
                    picture = self._camera.wait_newer(stamp_s, _WAIT_S)
                    if picture is not None:
                        stamp_s = picture.stamp_s
                        self._publish(picture)
        finally:
            self._camera.close()

    def report(self) -> tuple[Level, str, dict[str, str]]:
        """For diagnostics: rate, age, and what is wrong."""
        health = self._camera.health()
        values = {
            "device": health.device,
            "rate_hz": f"{health.rate_hz:.1f}",
            "age_s": f"{health.age_s:.3f}",
            "pictures": str(health.pictures),
            "published": str(self._published),
            "dropped": str(health.dropped),
            "frozen": str(health.frozen),
            "reconnects": str(health.reconnects),
            "clock_restarts": str(health.clock_restarts),
        }
        if health.temperature_c is not None:
            values["temperature_c"] = f"{health.temperature_c:.1f}"
        if self._waiting or health.problem:
            return Level.ERROR, self._waiting or health.problem, values
        wanted_hz = float(getattr(self._own, "rate_hz", 0.0))
        if health.rate_hz < _SLOW * wanted_hz:
            return Level.WARN, f"{health.rate_hz:.1f} Hz instead of {wanted_hz:g} Hz", values
        return Level.OK, f"{health.rate_hz:.1f} Hz", values

    def _open(self) -> bool:
        """Whether it is open now; waits a while after an attempt that failed."""
        try:
            self._camera.open()
        except CameraSetupError:
            raise
        except CameraError as error:
            if str(error) != self._waiting:
                rospy.logwarn("%s; trying again", error)
            self._waiting = str(error)
            end_s = time.monotonic() + self._own.reconnect_s
            while time.monotonic() < end_s and not rospy.is_shutdown():
                time.sleep(_WAIT_S)
            return False
        self._waiting = ""
        picture = self._camera.wait_newer(-math.inf, 0.0)
        if picture is not None:
            self._check_size(picture.pixels.shape[1], picture.pixels.shape[0])
        rospy.loginfo("camera %r: %s delivers", self._name, self._camera.health().device)
        return True

    def _publish(self, picture: Picture) -> None:
        stamp_s, frame_id = max(0.0, picture.stamp_s), self._camera.frame_id
        info = camera_info(self._camera.calibration(), picture, stamp_s, frame_id)
        if self._image.get_num_connections():
            self._image.publish(array_to_image(picture.pixels, stamp_s, frame_id))
        self._info.publish(info)
        if self._jpeg is not None and self._jpeg.get_num_connections():
            self._jpeg.publish(jpeg(picture.pixels, self._own.jpeg_quality, stamp_s, frame_id))
        if picture.depth_mm is not None:
            if self._depth.get_num_connections():
                self._depth.publish(depth_to_image(picture.depth_mm, stamp_s, frame_id))
            self._depth_info.publish(info)
        self._published += 1

    def _check_size(self, width_px: int, height_px: int) -> None:
        wanted = self._rig.cameras[self._name]
        if (width_px, height_px) != (wanted.width_px, wanted.height_px):
            raise ConfigError(
                f"camera {self._name!r} would publish {width_px} x {height_px} px, the rig says "
                f"{wanted.width_px} x {wanted.height_px}: set publish_px: [{wanted.width_px}, "
                f"{wanted.height_px}] here, or the size of rig.cameras.{self._name}"
            )


def main(node: Node) -> None:
    """Serve the camera ``~camera`` with the settings ``~settings`` or of the profile ``~profile``.

    Raises:
        ConfigError: a parameter is missing or wrong. CameraSetupError: see ``CameraServer.work``.
    """
    name, profile = rospy.get_param("~camera", ""), rospy.get_param("~profile", "")
    if not name:
        raise ConfigError("~camera is missing: the camera's name in the rig, such as third")
    kind = rospy.get_param("~settings/kind", profile)
    if kind not in KINDS:
        raise ConfigError(
            f"which kind of camera is {name!r}? ~settings/kind or ~profile is {kind!r}; there are "
            f"{', '.join(KINDS)}"
        )
    own = settings(KINDS[kind], "settings", f"node/camera/{kind}")
    CameraServer(node, name, own, settings(RigSettings, "rig", "rig")).work()


def camera_info(
    lens: Calibration | None, picture: Picture, stamp_s: float, frame_id: str
) -> CameraInfo:
    """Calibration of a picture; with K all zero, as REP 104 has it, when nobody knows the lens."""
    height_px, width_px = picture.pixels.shape[:2]
    message = CameraInfo(header=header(stamp_s, frame_id), width=width_px, height=height_px)
    if lens is not None:
        message.distortion_model, message.D = lens.model, lens.D.tolist()
        message.K, message.R = lens.K.ravel().tolist(), lens.R.ravel().tolist()
        message.P = lens.P.ravel().tolist()
    return message


def jpeg(pixels: NDArray[np.uint8], quality: int, stamp_s: float, frame_id: str) -> CompressedImage:
    """(H, W, 3) uint8 RGB as compressed_image_transport would send it."""
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    well, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert well
    form = "rgb8; jpeg compressed bgr8"
    return CompressedImage(header=header(stamp_s, frame_id), format=form, data=data.tobytes())


def _mount(own: CameraNodeSettings) -> MountSettings:
    """The node's own, or that in its calibration, where `handful calibrate camera` writes it."""
    if own.mount.parent_frame or not own.calibration:
        return own.mount
    return load_mount(own.calibration) or own.mount


def _frames(name: str, mount: MountSettings) -> list[TransformStamped]:
    """From the mount, if it is known, to the optical frame."""
    link, colour = f"{name}_link", f"{name}_color_frame"
    chain = [
        (link, colour, np.eye(4)),
        (colour, f"{name}_color_optical_frame", X_LC),
    ]
    if mount.parent_frame:
        quat_xyzw = np.array(mount.quat_xyzw) / math.hypot(*mount.quat_xyzw)
        X_PL = pose(from_quat_xyzw(quat_xyzw), mount.position_m)
        chain.insert(0, (mount.parent_frame, link, X_PL))
    now_s = rospy.get_time()
    return [
        TransformStamped(
            header=header(now_s, parent),
            child_frame_id=child,
            transform=Transform(
                Vector3(*X[:3, 3].tolist()), Quaternion(*to_quat_xyzw(X[:3, :3]).tolist())
            ),
        )
        for parent, child, X in chain
    ]


def _publisher(topic: str, kind: type) -> rospy.Publisher:
    return rospy.Publisher(topic, kind, queue_size=1, tcp_nodelay=True)


class _ToRosout(logging.Handler):
    """What the rig's own loggers say, said on ``/rosout`` too."""

    def emit(self, record: logging.LogRecord) -> None:
        say = {logging.ERROR: rospy.logerr, logging.WARNING: rospy.logwarn}
        say.get(record.levelno, rospy.loginfo)("%s", record.getMessage())
