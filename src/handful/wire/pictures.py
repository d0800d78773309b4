"""Pictures to messages and back: ``sensor_msgs`` Image and CameraInfo, pure functions, no rospy.

Our own, as cv_bridge does not work with current NumPy. Whatever comes off the wire is copied and
may be kept and written to. A picture that is not what it says raises ``ValueError`` naming topic,
frame, what it held and what would have been right.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sensor_msgs.msg import CameraInfo, Image

from handful.contract import Frame
from handful.wire.stamps import header, seconds


@dataclass(frozen=True)
class Intrinsics:
    """K: (3, 3) float64 [px]. D: (5,) plumb_bob k1 k2 t1 t2 k3, or as many as its model has. Size
    of the picture [px]."""

    K: NDArray[np.float64]
    D: NDArray[np.float64]
    width_px: int
    height_px: int
    model: str = "plumb_bob"


def image_to_array(message: Image, topic: str = "image") -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB, its own memory, of an rgb8 or bgr8 picture; padding rows are fine.

    Raises:
        ValueError: another encoding, a row shorter than its pixels, or too few or too many bytes.
    """
    if message.encoding not in ("rgb8", "bgr8"):
        raise _wrong(message, topic, f"encoding {message.encoding!r}, expected rgb8 or bgr8")
    rows = _rows(message, topic, 3)
    pixels = rows.reshape(message.height, message.width, 3)
    return pixels[..., ::-1].copy() if message.encoding == "bgr8" else pixels.copy()


def array_to_image(pixels: NDArray[np.uint8], stamp_s: float, frame_id: str) -> Image:
    """(H, W, 3) uint8 RGB as an rgb8 message. stamp_s: capture time [s].

    Raises:
        ValueError: another shape or dtype.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(
            f"a picture in {frame_id!r}: expected (H, W, 3) uint8, "
            f"got {pixels.shape} {pixels.dtype}"
        )
    return _image(pixels, "rgb8", 3, stamp_s, frame_id)


def frame(message: Image, camera: str, topic: str = "") -> Frame:
    """A colour message as the contract's ``Frame`` of the camera with that name in the rig.

    Raises:
        ValueError: as ``image_to_array``; the topic is ``<camera>/color/image_raw`` by default.
    """
    pixels = image_to_array(message, topic or f"{camera}/color/image_raw")
    return Frame(camera, pixels, seconds(message.header.stamp), message.header.frame_id)


def image_to_depth(message: Image, topic: str = "depth image") -> NDArray[np.uint16]:
    """(H, W) uint16 [mm] of a 16UC1 picture, 0 where nothing was measured (REP 118).

    Raises:
        ValueError: another encoding, a row shorter than its pixels, or too few or too many bytes.
    """
    if message.encoding not in ("16UC1", "mono16"):
        raise _wrong(message, topic, f"encoding {message.encoding!r}, expected 16UC1 [mm]")
    order = ">u2" if message.is_bigendian else "<u2"
    return np.ascontiguousarray(_rows(message, topic, 2)).view(order).astype(np.uint16)


def depth_to_image(depth_mm: NDArray[np.uint16], stamp_s: float, frame_id: str) -> Image:
    """(H, W) uint16 [mm] as a 16UC1 message. Raises ``ValueError`` for another shape or dtype."""
    if depth_mm.dtype != np.uint16 or depth_mm.ndim != 2:
        raise ValueError(
            f"a depth picture in {frame_id!r}: expected (H, W) uint16 in millimetres, "
            f"got {depth_mm.shape} {depth_mm.dtype}"
        )
    return _image(depth_mm.astype("<u2"), "16UC1", 2, stamp_s, frame_id)


def camera_info(intrinsics: Intrinsics, stamp_s: float, frame_id: str) -> CameraInfo:
    """Calibration as REP 104 wants it, with the stamp and frame of its picture; R is the identity.

    Raises:
        ValueError: K is not (3, 3), or a plumb_bob's D not (5,).
    """
    K, D = np.asarray(intrinsics.K, np.float64), np.asarray(intrinsics.D, np.float64)
    if K.shape != (3, 3) or (intrinsics.model == "plumb_bob" and D.shape != (5,)):
        raise ValueError(f"{frame_id!r}: expected K (3, 3) and D (5,), got {K.shape} and {D.shape}")
    return CameraInfo(
        header=header(stamp_s, frame_id),
        width=intrinsics.width_px,
        height=intrinsics.height_px,
        distortion_model=intrinsics.model,
        K=K.ravel().tolist(),
        D=D.tolist(),
        R=np.eye(3).ravel().tolist(),
        P=np.hstack([K, np.zeros((3, 1))]).ravel().tolist(),
    )


def pinhole(width_px: int, height_px: int, focal_px: float) -> Intrinsics:
    """An ideal camera: square pixels, its axis through the middle of the picture, no distortion."""
    K: ArrayLike = [
        [focal_px, 0.0, 0.5 * (width_px - 1)],
        [0.0, focal_px, 0.5 * (height_px - 1)],
        [0.0, 0.0, 1.0],
    ]
    return Intrinsics(np.array(K), np.zeros(5), width_px, height_px)


def intrinsics(message: CameraInfo, topic: str = "camera_info") -> Intrinsics:
    """The inverse of ``camera_info``; fewer than five distortion numbers are filled with zeros.

    Raises:
        ValueError: another distortion model than plumb_bob, or a focal length that is not above 0.
    """
    D = np.array(message.D, np.float64)
    if message.distortion_model not in ("", "plumb_bob") or D.size > 5:
        raise ValueError(
            f"{topic} ({message.header.frame_id}): distortion model "
            f"{message.distortion_model!r} with {D.size} numbers, expected plumb_bob with 5"
        )
    K = np.array(message.K, np.float64).reshape(3, 3)
    if not (K[0, 0] > 0.0 and K[1, 1] > 0.0):
        raise ValueError(
            f"{topic} ({message.header.frame_id}): focal lengths {K[0, 0]} and {K[1, 1]} px, "
            "expected both above 0; the camera is not calibrated"
        )
    return Intrinsics(K, np.pad(D, (0, 5 - D.size)), message.width, message.height)


def _image(
    rows: NDArray[np.uint8] | NDArray[np.uint16],
    encoding: str,
    pixel_bytes: int,
    stamp_s: float,
    frame_id: str,
) -> Image:
    height_px, width_px = rows.shape[:2]
    return Image(
        header=header(stamp_s, frame_id),
        height=height_px,
        width=width_px,
        encoding=encoding,
        is_bigendian=0,
        step=width_px * pixel_bytes,
        data=rows.tobytes(),
    )


def _rows(message: Image, topic: str, pixel_bytes: int) -> NDArray[np.uint8]:
    """(H, W * pixel_bytes) bytes of the picture, without what pads each row; a view."""
    shown = message.width * pixel_bytes
    if message.width < 1 or message.height < 1:
        raise _wrong(message, topic, "no pixels, expected at least one")
    if message.step < shown:
        raise _wrong(
            message,
            topic,
            f"a row of {message.step} bytes for {message.width} pixels, expected {shown} or more",
        )
    if len(message.data) != message.step * message.height:
        raise _wrong(
            message,
            topic,
            f"{len(message.data)} bytes, expected {message.step * message.height} "
            f"({message.height} rows of {message.step})",
        )
    data = np.frombuffer(bytes(message.data), np.uint8)
    return data.reshape(message.height, message.step)[:, :shown]


def _wrong(message: Image, topic: str, what: str) -> ValueError:
    size = f"{message.width} x {message.height} px"
    return ValueError(f"{topic} ({message.header.frame_id or 'no frame'}, {size}): {what}")
