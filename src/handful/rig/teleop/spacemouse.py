"""A SpaceMouse on this machine, its reports read from ``/dev/hidraw*``.

One read gives one report: a number, then 16-bit little-endian values. Report 1 has x, y, z (right,
towards the person, down) and in newer models the three turns as well, report 2 the turns of older
models, report 3 the buttons as bits. Full deflection is about 350.
"""

import errno
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path

from handful.rig.teleop.device import DeviceError, Wish
from handful.rig.teleop.pad import Pad
from handful.rig.teleop.settings import PadSettings

_AGAIN_S = 0.5
_LOGITECH = range(0xC603, 0xC62C)  # of Logitech's many devices, those that are SpaceMice
_REPORT_BYTES = 64


def is_spacemouse(hid_id: str) -> bool:
    """``0003:0000256F:0000C635``, as the kernel's ``HID_ID`` says it."""
    try:
        _, maker, product = (int(part, 16) for part in hid_id.split(":"))
    except ValueError:
        return False
    return maker == 0x256F or (maker == 0x046D and product in _LOGITECH)


def find(sys_class: Path = Path("/sys/class/hidraw")) -> str | None:
    """The device file of the first SpaceMouse; None: there is none."""
    for entry in sorted(sys_class.glob("hidraw*")):
        try:
            lines = (entry / "device/uevent").read_text(encoding="utf-8").splitlines()
        except OSError:
            continue
        values = dict(line.split("=", 1) for line in lines if "=" in line)
        if is_spacemouse(values.get("HID_ID", "")):
            return f"/dev/{entry.name}"
    return None


def decode(report: bytes) -> tuple[str, tuple[int, ...]] | None:
    """One report: ``("move", six or three values)``, ``("turn", three)`` or ``("buttons", bits)``.

    None: a report of another kind, or one that is cut short.
    """
    kind, body = (report[0], report[1:]) if report else (0, b"")
    if kind == 1 and len(body) >= 12:
        return "move", struct.unpack("<6h", body[:12])
    if kind == 1 and len(body) >= 6:
        return "move", struct.unpack("<3h", body[:6])
    if kind == 2 and len(body) >= 6:
        return "turn", struct.unpack("<3h", body[:6])
    if kind == 3 and body:
        bits = int.from_bytes(body[:4], "little")
        return "buttons", tuple(bits >> k & 1 for k in range(8 * len(body[:4])))
    return None


class SpaceMouse:
    """``Device`` over a hidraw file.

    Args:
        settings: which axis and button means what.
        path: the file; empty: the first SpaceMouse there is.
        opener: opens it for reading without waiting; another one in tests.
        now_s: a monotonic clock [s].
    """

    name = "spacemouse"

    def __init__(
        self,
        settings: PadSettings,
        path: str = "",
        opener: Callable[[str], int] = lambda path: os.open(path, os.O_RDONLY | os.O_NONBLOCK),
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pad, self._path = Pad(settings), path
        self._opener, self._now_s = opener, now_s
        self._fd: int | None = None
        self._wanted = False
        self._looked_s = 0.0
        self._axes, self._buttons = [0.0] * 6, [0] * 8

    def open(self) -> None:
        """Take the file.

        Raises:
            DeviceError: there is no SpaceMouse, or it may not be read.
        """
        path = self._path or find()
        if path is None:
            raise DeviceError(
                "spacemouse: none is plugged in; /sys/class/hidraw has no such device"
            )
        try:
            self._fd = self._opener(path)
        except OSError as error:
            raise DeviceError(
                f"spacemouse: {path} cannot be read: {error.strerror}; "
                "a udev rule gives your user the right to (docs/teleoperation.md)"
            ) from None
        self._wanted = True
        self._start()

    def read(self) -> Wish:
        """The newest state; one that is unplugged is looked for again twice a second."""
        if not self._wanted:
            raise DeviceError("spacemouse: read before open")
        if (self._fd is None and not self._again()) or not self._take():
            return Wish(note="spacemouse: unplugged")
        return self._pad.state(self._axes, self._buttons)

    def close(self) -> None:
        """Let the file go."""
        self._wanted = False
        self._drop()

    def _start(self) -> None:
        # At rest it says nothing, and nothing is down: that is its first state.
        self._axes, self._buttons = [0.0] * 6, [0] * 8
        self._pad.forget()
        self._pad.state(self._axes, self._buttons)

    def _again(self) -> bool:
        now_s = self._now_s()
        if now_s - self._looked_s < _AGAIN_S:
            return False
        self._looked_s = now_s
        path = self._path or find()
        if path is None:
            return False
        try:
            self._fd = self._opener(path)
        except OSError:
            return False
        self._start()
        return True

    def _take(self) -> bool:
        assert self._fd is not None
        while True:
            try:
                report = os.read(self._fd, _REPORT_BYTES)
            except BlockingIOError:
                return True
            except OSError as error:
                if error.errno not in (errno.ENODEV, errno.EIO, errno.ENXIO, errno.ECONNRESET):
                    raise
                report = b""
            if not report:
                self._drop()
                self._looked_s = self._now_s()
                return False
            self._put(report)

    def _put(self, report: bytes) -> None:
        found = decode(report)
        if found is None:
            return
        kind, values = found
        if kind == "move":
            self._axes[: len(values)] = map(float, values)
        elif kind == "turn":
            self._axes[3:] = map(float, values)
        else:
            self._buttons = list(values)

    def _drop(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
        self._fd = None
        self._pad.forget()
