"""Recordings made by librealsense's own recorder, videos made by OpenCV, and sources one can hold.

Frame n of a recording or video is painted so that its number can be read off: see ``painted``.
"""

import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from handful.rig.calibration import Calibration
from handful.rig.camera import CameraError
from handful.rig.source import Shot

WIDTH, HEIGHT, RATE_HZ = 64, 48, 30
FOCAL_PX, COEFFICIENTS = 50.0, [0.1, 0.01, 0.001, 0.002, 0.0]


def painted(number: int, height: int = HEIGHT, width: int = WIDTH) -> NDArray[np.uint8]:
    """(H, W, 3): red is the number, green a gradient from left to right, blue is 40."""
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[..., 0] = number % 256
    pixels[..., 1] = np.linspace(0, 255, width).astype(np.uint8)
    pixels[..., 2] = 40
    return pixels


class SoftwareCamera:
    """A device made of software that the SDK cannot tell from a recorded one.

    Frames are handed to ``push``; whoever opened its sensors, a recorder or a test, gets them.
    """

    def __init__(self, serial: str = "S1", depth: bool = True, depth_units_m: float = 1e-3) -> None:
        import pyrealsense2 as rs

        self.rs, self.device = rs, rs.software_device()
        self.device.register_info(rs.camera_info.name, "Intel RealSense D435")
        self.device.register_info(rs.camera_info.serial_number, serial)
        self._colour = self.device.add_sensor("RGB Camera")
        self._colour_profile = self._colour.add_video_stream(
            self._stream(rs.stream.color, 1, 3, rs.format.rgb8), True
        )
        self._depth = None
        if depth:
            self._depth = self.device.add_sensor("Stereo Module")
            self._depth_profile = self._depth.add_video_stream(
                self._stream(rs.stream.depth, 2, 2, rs.format.z16), True
            )
            self._depth.add_read_only_option(rs.option.depth_units, depth_units_m)
            same = rs.extrinsics()
            same.rotation, same.translation = [1, 0, 0, 0, 1, 0, 0, 0, 1], [0, 0, 0]
            self._depth_profile.register_extrinsics_to(self._colour_profile, same)

    def push(self, number: int, pixels: Any, stamp_ms: float, depth: Any = None, domain="") -> None:
        """One colour picture (H, W, 3) uint8, and a raw depth picture (H, W) uint16 if it has."""
        domain = getattr(self.rs.timestamp_domain, domain or "hardware_clock")
        if self._depth is not None:
            if depth is None:
                depth = np.full((HEIGHT, WIDTH), number + 500, np.uint16)
            self._push(self._depth, self._depth_profile, number, depth, stamp_ms, 2, domain)
        self._push(self._colour, self._colour_profile, number, pixels, stamp_ms, 3, domain)

    def _push(self, sensor, profile, number, pixels, stamp_ms, size, domain) -> None:
        frame = self.rs.software_video_frame()
        frame.pixels, frame.stride, frame.bpp = np.ascontiguousarray(pixels), WIDTH * size, size
        frame.timestamp, frame.domain, frame.frame_number = stamp_ms, domain, number
        frame.profile = profile.as_video_stream_profile()
        sensor.on_video_frame(frame)

    def _stream(self, kind, uid, size, form):
        stream, lens = self.rs.video_stream(), self.rs.intrinsics()
        lens.width, lens.height, lens.fx, lens.fy = WIDTH, HEIGHT, FOCAL_PX, FOCAL_PX
        lens.ppx, lens.ppy = 31.5, 23.5
        lens.model, lens.coeffs = self.rs.distortion.brown_conrady, COEFFICIENTS
        stream.type, stream.index, stream.uid, stream.fmt = kind, 0, uid, form
        stream.width, stream.height, stream.fps, stream.bpp = WIDTH, HEIGHT, RATE_HZ, size
        stream.intrinsics = lens
        return stream


def record(
    path: Path, count: int = 45, serial: str = "S1", depth: bool = True, frozen_from: int = 10**9,
    depth_units_m: float = 1e-3, started_ms: float = 5000.0,
) -> Path:  # fmt: skip
    """A recording of ``count`` frames, made by the SDK's recorder in real time.

    From frame ``frozen_from`` on the picture no longer changes.
    """
    import pyrealsense2 as rs

    camera = SoftwareCamera(serial, depth, depth_units_m)
    recorder = rs.recorder(str(path), camera.device)
    sensors, queue = recorder.query_sensors(), rs.frame_queue(4 * count)
    for sensor in sensors:
        sensor.open(sensor.get_stream_profiles())
        sensor.start(queue)
    began_s = time.monotonic()
    for number in range(1, count + 1):
        pixels = painted(min(number, frozen_from))
        camera.push(number, pixels, started_ms + number * 1e3 / RATE_HZ)
        time.sleep(max(0.0, began_s + number / RATE_HZ - time.monotonic()))
    for sensor in sensors:
        sensor.stop()
        sensor.close()
    del recorder
    return path


def record_apart(path: Path, count: int) -> Path:
    """``record`` in a process of its own, where the SDK can hang or die without harm."""
    make = "import os, sys, pathlib, camera_kit; "
    make += "camera_kit.record(pathlib.Path(sys.argv[1]), int(sys.argv[2])); os._exit(0)"
    command = [sys.executable, "-c", make, str(path), str(count)]
    subprocess.run(command, cwd=Path(__file__).parent, check=True, timeout=60)
    return path


def film(path: Path, count: int, frozen_from: int = 10**9, rate_hz: float = RATE_HZ) -> Path:
    """A video file of painted frames, uncompressed in all but name."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"FFV1"), rate_hz, (WIDTH, HEIGHT))
    assert writer.isOpened()
    for number in range(1, count + 1):
        pixels = painted(min(number, frozen_from) * 5)
        writer.write(cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    writer.release()
    return path


class FakeSource:
    """A source that delivers what it is fed. Set ``lost`` and it cannot be read or opened."""

    device, on_demand = "fake device", False

    def __init__(self) -> None:
        self.fed: deque[Shot] = deque()
        self.lost, self.opened, self.number = "", 0, 0
        self.lens: Calibration | None = None

    def feed(self, pixels: NDArray[np.uint8] | None = None, **of_shot: Any) -> None:
        self.number += 1
        pixels = painted(self.number) if pixels is None else pixels
        self.fed.append(Shot(pixels, **{"device_s": None, "number": self.number, **of_shot}))

    def open(self) -> None:
        if self.lost:
            raise CameraError(self.lost)
        self.opened += 1

    def read(self, timeout_s: float) -> Shot | None:
        if self.lost:
            raise CameraError(self.lost)
        if self.fed:
            return self.fed.popleft()
        time.sleep(0.001)
        return None

    def close(self) -> None:
        pass

    def calibration(self) -> Calibration | None:
        return self.lens

    def temperature_c(self) -> float | None:
        return 41.5
