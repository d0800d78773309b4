"""A SpaceMouse on this machine, its reports read from ``/dev/hidraw*``.

One read gives one report: a number, then 16-bit little-endian values. Report 1 has x, y, z (right,
towards the person, down) and in newer models the three turns as well, report 2 the turns of older
models, report 3 the buttons as bits. Full deflection is about 350.
"""

import struct
from pathlib import Path

from handful.rig.teleop.device import DeviceError, Wish
from handful.rig.teleop.device_file import DeviceFile

_LOGITECH = range(0xC603, 0xC62C)  # of Logitech's many devices, those that are SpaceMice


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


class SpaceMouse(DeviceFile):
    """``Device`` over a hidraw file, one report a reading; see ``DeviceFile``."""

    name = "spacemouse"

    def _found(self) -> str:
        path = find()
        if path is None:
            raise DeviceError(
                "spacemouse: none is plugged in; /sys/class/hidraw has no such device"
            )
        return path

    def _way(self, error: OSError) -> str:
        return "a udev rule gives your user the right to (docs/teleoperation.md)"

    def _start(self) -> None:
        # At rest it says nothing, and nothing is down: that is its first state.
        self._axes, self._buttons = [0.0] * 6, [0] * 8
        self._pad.state(self._axes, self._buttons)

    def _put(self, data: bytes) -> None:
        found = decode(data)
        if found is None:
            return
        kind, values = found
        if kind == "move":
            self._axes[: len(values)] = map(float, values)
        elif kind == "turn":
            self._axes[3:] = map(float, values)
        else:
            self._buttons = list(values)

    def _state(self) -> Wish:
        return self._pad.state(self._axes, self._buttons)
