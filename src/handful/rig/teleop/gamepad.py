"""A gamepad on this machine, read from the kernel's joystick file (``/dev/input/js*``).

Each event is 8 bytes: time [ms] u32, value i16, type u8, number u8 (the kernel's
``Documentation/input/joydev/joystick-api.rst``). That is all a library would do for us, the axes
come scaled to +-32767, and the kernel says every state anew after the file was opened or its queue
ran over, so that nothing is missed for long.
"""

import errno
import struct
from glob import glob

from handful.rig.teleop.device import DeviceError, Wish
from handful.rig.teleop.device_file import DeviceFile

EVENT = struct.Struct("<IhBB")
BUTTON, AXIS, INITIAL = 0x01, 0x02, 0x80


class Gamepad(DeviceFile):
    """``Device`` over a joystick file; see ``DeviceFile``."""

    name = "gamepad"
    read_bytes = 64 * EVENT.size

    def _found(self) -> str:
        found = sorted(glob("/dev/input/js*"))
        if not found:
            raise DeviceError(
                "gamepad: there is no /dev/input/js*; plug one in (the kernel's module is joydev), "
                "or use --device page, where the browser reads it"
            )
        return found[0]

    def _way(self, error: OSError) -> str:
        denied = error.errno == errno.EACCES
        return "is your user in the group input?" if denied else "name another with --path"

    def _start(self) -> None:
        self._axes: list[float] = []
        self._buttons: list[int] = []
        self._rest = b""

    def _put(self, data: bytes) -> None:
        data = self._rest + data
        whole = len(data) - len(data) % EVENT.size
        self._rest = data[whole:]
        for _, value, kind, number in EVENT.iter_unpack(data[:whole]):
            self._set(kind & ~INITIAL, number, value)

    def _set(self, kind: int, number: int, value: int) -> None:
        if kind == AXIS:
            self._axes += [0.0] * (number + 1 - len(self._axes))
            self._axes[number] = float(value)
        elif kind == BUTTON:
            self._buttons += [0] * (number + 1 - len(self._buttons))
            self._buttons[number] = int(value != 0)

    def _state(self) -> Wish:
        return self._pad.state(self._axes, self._buttons)
