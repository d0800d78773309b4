"""A device behind a file of the kernel's, which comes and goes with its cable.

Gamepad and SpaceMouse differ in what their bytes mean; that they are read without waiting, let go
when the cable is pulled, and are looked for again twice a second stands here.
"""

import errno
import os
import time
from collections.abc import Callable

from handful.rig.teleop.device import DeviceError, Wish
from handful.rig.teleop.pad import Pad
from handful.rig.teleop.settings import PadSettings

_AGAIN_S = 0.5  # between two looks for a device that was unplugged
_GONE = {errno.ENODEV, errno.EIO, errno.ENXIO, errno.EBADF, errno.ENOENT, errno.ECONNRESET}


class DeviceFile:
    """``Device`` over a file; a device says how it is found and what its bytes mean.

    Args:
        settings: which axis and button means what.
        path: the file; empty: the first there is, at every opening anew.
        opener: opens it for reading without waiting; another one in tests.
        now_s: a monotonic clock [s].
    """

    name = ""
    read_bytes = 64  # of one reading

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

    def open(self) -> None:
        """Take the file.

        Raises:
            DeviceError: there is no such device, or it may not be read.
        """
        path = self._path or self._found()
        try:
            self._fd = self._opener(path)
        except OSError as error:
            way = self._way(error)
            raise DeviceError(
                f"{self.name}: {path} cannot be read: {error.strerror}; {way}"
            ) from None
        self._wanted = True
        self._begin()

    def read(self) -> Wish:
        """The newest state; one that is unplugged is looked for again twice a second.

        Raises:
            DeviceError: before ``open`` or after ``close``.
        """
        if not self._wanted:
            raise DeviceError(f"{self.name}: read before open")
        if (self._fd is None and not self._again()) or not self._take():
            return Wish(note=f"{self.name}: unplugged")
        return self._state()

    def close(self) -> None:
        """Let the file go; twice is safe."""
        self._wanted = False
        self._drop()

    # What a device is.

    def _found(self) -> str:
        """The file of the first one there is. Raises ``DeviceError``: there is none."""
        raise NotImplementedError

    def _way(self, error: OSError) -> str:
        """What to do about a file that cannot be read."""
        raise NotImplementedError

    def _start(self) -> None:
        """It was opened: nothing is known of it."""
        raise NotImplementedError

    def _put(self, data: bytes) -> None:
        """What one reading gave, at least one byte."""
        raise NotImplementedError

    def _state(self) -> Wish:
        """What is wished by all that was put."""
        raise NotImplementedError

    # The file.

    def _begin(self) -> None:
        self._pad.forget()
        self._start()

    def _again(self) -> bool:
        now_s = self._now_s()
        if now_s - self._looked_s < _AGAIN_S:
            return False
        self._looked_s = now_s
        try:
            self._fd = self._opener(self._path or self._found())
        except (OSError, DeviceError):
            return False
        self._begin()
        return True

    def _take(self) -> bool:
        """Everything that is there; False: the device is gone."""
        assert self._fd is not None
        while True:
            try:
                data = os.read(self._fd, self.read_bytes)
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
            self._put(data)

    def _drop(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
        self._fd = None
        self._pad.forget()
