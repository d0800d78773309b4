"""A person's terminal: single keys in, one line that is rewritten, and everything as it was after.

Keys are read only while this process is the one the terminal talks to. A node that roslaunch
started, or one in the background, is not: it would take keys that were meant for a shell, and one
of those keys lets an arm move.
"""

import contextlib
import errno
import os
import select
import shutil
import sys
import termios
import threading


class Terminal:
    """Standard input as keys and standard output as a status line; or any two file descriptors."""

    def __init__(self, keys_fd: int | None = None, screen_fd: int | None = None) -> None:
        self._keys_fd = sys.stdin.fileno() if keys_fd is None else keys_fd
        self._screen_fd = sys.stdout.fileno() if screen_fd is None else screen_fd
        self._lock = threading.Lock()
        self._before: list[object] | None = None
        self._line = ""

    @property
    def ours(self) -> bool:
        """It is a terminal, this process's own, and this process is in its foreground."""
        try:
            return os.tcgetpgrp(self._keys_fd) == os.getpgrp()
        except (OSError, ValueError):
            return False

    def open(self) -> None:
        """Keys one by one from now on, without echo; Ctrl-C stays Ctrl-C."""
        with self._lock, contextlib.suppress(termios.error):
            mode = termios.tcgetattr(self._keys_fd)
            self._before = list(mode)
            mode[3] &= ~(termios.ICANON | termios.ECHO)
            mode[6][termios.VMIN], mode[6][termios.VTIME] = 1, 0
            termios.tcsetattr(self._keys_fd, termios.TCSADRAIN, mode)

    def close(self) -> None:
        """As it was before; twice is safe."""
        with self._lock:
            before, self._before = self._before, None
            if before is not None:
                with contextlib.suppress(termios.error):
                    termios.tcsetattr(self._keys_fd, termios.TCSADRAIN, before)  # type: ignore[arg-type]
                self._write("\n")

    def read(self, timeout_s: float) -> str | None:
        """Characters that came within ``timeout_s``; None when the terminal is gone or not ours."""
        if not self.ours:
            return None
        try:
            ready, _, _ = select.select([self._keys_fd], [], [], timeout_s)
            if not ready:
                return ""
            data = os.read(self._keys_fd, 256)
        except (OSError, ValueError):
            return None
        return data.decode("utf-8", errors="replace") or None

    def let_go(self) -> None:
        """Put /dev/null where a terminal was that has hung up, standard error included.

        Whoever prints to a terminal that is gone gets an error, and logging is no reason to die.
        """
        for fd in {self._keys_fd, self._screen_fd, 0, 1, 2}:
            try:
                termios.tcgetattr(fd)
            except termios.error as error:
                if error.args[0] == errno.EIO:
                    nowhere = os.open(os.devnull, os.O_RDWR)
                    os.dup2(nowhere, fd)
                    os.close(nowhere)

    def show(self, line: str) -> None:
        """Rewrite the status line, cut to the terminal's width."""
        width = shutil.get_terminal_size((100, 24)).columns - 1
        line = line if len(line) <= width else line[: width - 1] + "…"
        with self._lock:
            if self._before is not None and line != self._line:
                self._line = line
                self._write(f"\r\x1b[K{line}")

    def say(self, lines: list[str]) -> None:
        """Lines that stay, above the status line."""
        with self._lock:
            if self._before is not None:
                self._write("\r\x1b[K" + "\n".join(lines) + f"\n{self._line}")

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError):  # a screen that went away takes nothing with it
            os.write(self._screen_fd, text.encode())
