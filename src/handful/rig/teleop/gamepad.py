"""A gamepad on this machine, read from the kernel's joystick file (``/dev/input/js*``).

Each event is 8 bytes: time [ms] u32, value i16, type u8, number u8 (the kernel's
``Documentation/input/joydev/joystick-api.rst``). That is all a library would do for us, the axes
come scaled to +-32767, and the kernel says every state anew after the file was opened or its queue
ran over, so that nothing is missed for long.
"""

import errno
import os
import struct
import time
from collections.abc import Callable
from glob import glob

from handful.rig.teleop.device import DeviceError, Wish
from handful.rig.teleop.pad import Pad
from handful.rig.teleop.settings import PadSettings

EVENT = struct.Struct("<IhBB")
BUTTON, AXIS, INITIAL = 0x01, 0x02, 0x80
_AGAIN_S = 0.5  # between two looks for a pad that was unplugged
_GONE = {errno.ENODEV, errno.EIO, errno.ENXIO, errno.EBADF, errno.ENOENT}


class Gamepad:
    """``Device`` over a joystick file.

    Args:
        settings: which axis and button means what.
        path: the file; empty: the first there is, at every opening anew.
        now_s: a monotonic clock [s].
    """

    name = "gamepad"

    def __init__(
        self,
        settings: PadSettings,
        path: str = "",
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pad, self._path, self._now_s = Pad(settings), path, now_s
        self._fd: int | None = None
        self._wanted = False
        self._looked_s = 0.0
        self._axes: list[float] = []
        self._buttons: list[int] = []
        self._rest = b""

    def open(self) -> None:
        """Take the file.

        Raises:
            DeviceError: there is no pad, or it may not be read.
        """
        self._wanted = True
        try:
            self._fd = os.open(self._found(), os.O_RDONLY | os.O_NONBLOCK)
        except DeviceError:
            self._wanted = False
            raise
        except OSError as error:
            self._wanted = False
            denied = error.errno == errno.EACCES
            way = "is your user in the group input?" if denied else "name another with --path"
            raise DeviceError(
                f"gamepad: {self._found()} cannot be read: {error.strerror}; {way}"
            ) from None
        self._start()

    def read(self) -> Wish:
        """The newest state; one that is unplugged is looked for again twice a second."""
        if not self._wanted:
            raise DeviceError("gamepad: read before open")
        if self._fd is None and not self._again():
            return Wish(note="gamepad: unplugged")
        if not self._take():
            return Wish(note="gamepad: unplugged")
        return self._pad.state(self._axes, self._buttons)

    def close(self) -> None:
        """Let the file go."""
        self._wanted = False
        self._drop()

    def _found(self) -> str:
        found = [self._path] if self._path else sorted(glob("/dev/input/js*"))
        if not found:
            raise DeviceError(
                "gamepad: there is no /dev/input/js*; plug one in (the kernel's module is joydev), "
                "or use --device page, where the browser reads it"
            )
        return found[0]

    def _start(self) -> None:
        self._axes, self._buttons, self._rest = [], [], b""
        self._pad.forget()

    def _again(self) -> bool:
        now_s = self._now_s()
        if now_s - self._looked_s < _AGAIN_S:
            return False
        self._looked_s = now_s
        try:
            self._fd = os.open(self._found(), os.O_RDONLY | os.O_NONBLOCK)
        except (OSError, DeviceError):
            return False
        self._start()
        return True

    def _take(self) -> bool:
        """Every event that is there; False: the pad is gone."""
        assert self._fd is not None
        while True:
            try:
                data = os.read(self._fd, 64 * EVENT.size)
            except BlockingIOError:
                return True
            except OSError as error:
                if error.errno not in _GONE:
                    raise
                data = b""
            if not data:
                self._drop()
                self._looked_s = self._now_s()
                return False
            data = self._rest + data
            whole = len(data) - len(data) % EVENT.size
            self._rest = data[whole:]
            for _, value, kind, number in EVENT.iter_unpack(data[:whole]):
                self._put(kind & ~INITIAL, number, value)

    def _put(self, kind: int, number: int, value: int) -> None:
        if kind == AXIS:
            self._axes += [0.0] * (number + 1 - len(self._axes))
            self._axes[number] = float(value)
        elif kind == BUTTON:
            self._buttons += [0] * (number + 1 - len(self._buttons))
            self._buttons[number] = int(value != 0)

    def _drop(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
        self._fd = None
        self._pad.forget()
