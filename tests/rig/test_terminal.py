"""A person's terminal: single keys, a line that is rewritten, and whose terminal it is."""

import os
import pty
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator

import pytest

from handful.rig.terminal import Terminal

SHOW_KEYS = """
import sys, time
from handful.rig.terminal import Terminal
terminal = Terminal()
if not terminal.ours:
    print("not ours", flush=True)
    sys.exit()
terminal.open()
terminal.say(["hello"])
terminal.show("a line that is " + "long " * 60)
while (keys := terminal.read(0.1)) is not None and "q" not in keys:
    if keys:
        terminal.say([repr(keys)])
terminal.close()
terminal.close()
"""


class Person:
    """A process in a terminal of its own, and the person's end of it."""

    def __init__(self, *command: str) -> None:
        self.master, slave = pty.openpty()
        self.before = termios.tcgetattr(slave)
        take = "import fcntl, os, signal, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
        take += "signal.signal(signal.SIGINT, signal.SIG_DFL); "  # background jobs are born without
        take += "os.execv(sys.argv[1], sys.argv[1:])"
        self.process = subprocess.Popen(
            [sys.executable, "-c", take, *command],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        self.slave = slave
        self.screen = ""

    def sees(self, text: str, timeout_s: float = 10.0) -> None:
        end_s = time.monotonic() + timeout_s
        os.set_blocking(self.master, False)
        while text not in self.screen:
            assert time.monotonic() < end_s, f"{text!r} never came; there is {self.screen!r}"
            try:
                self.screen += os.read(self.master, 4096).decode(errors="replace")
            except BlockingIOError:
                time.sleep(0.01)

    def types(self, keys: str) -> None:
        os.write(self.master, keys.encode())


@pytest.fixture
def person() -> Iterator[Person]:
    person = Person(sys.executable, "-c", SHOW_KEYS)
    yield person
    person.process.kill()
    person.process.wait()
    os.close(person.master)
    os.close(person.slave)


def test_a_terminal_hands_over_single_keys_and_is_left_as_it_was(person: Person) -> None:
    person.sees("hello")
    person.sees("…")
    person.types("s")
    person.sees("'s'")
    person.types("\x1b[A")
    person.sees("\\x1b[A")
    assert termios.tcgetattr(person.slave)[3] & termios.ECHO == 0
    person.types("q")
    assert person.process.wait(5.0) == 0
    after = termios.tcgetattr(person.slave)
    assert after[:4] == person.before[:4]


def test_ctrl_c_stays_ctrl_c(person: Person) -> None:
    person.sees("hello")
    person.types("\x03")
    assert person.process.wait(5.0) == -signal.SIGINT


def test_what_is_not_our_terminal_is_left_alone() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SHOW_KEYS],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.stdout == "not ours\n"
    master, slave = pty.openpty()  # a terminal, but some other session's: as under roslaunch
    done = subprocess.run(
        [sys.executable, "-c", SHOW_KEYS],
        stdin=slave,
        capture_output=True,
        text=True,
        timeout=20,
        start_new_session=True,
    )
    assert done.stdout == "not ours\n"
    os.close(master)
    os.close(slave)


def test_a_terminal_that_hangs_up_is_no_terminal_any_more() -> None:
    master, slave = pty.openpty()
    terminal = Terminal(slave, slave)
    os.close(master)
    assert terminal.read(0.0) is None
    terminal.open()
    terminal.say(["nobody reads this"])
    terminal.close()
    with pytest.raises(OSError):
        os.write(slave, b"x")
    terminal.let_go()
    os.write(slave, b"x")
    os.close(slave)
