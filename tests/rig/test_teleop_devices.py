"""Every device through the same contract, each over the very bytes that its real one sends."""

import os
import pty
import socket
import struct
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from contracts import DeviceCell, DeviceContract

from handful.config import load
from handful.rig.operator import Intent, OperatorSettings
from handful.rig.teleop.device import Deadman, DeviceError
from handful.rig.teleop.gamepad import AXIS, BUTTON, EVENT, INITIAL, Gamepad
from handful.rig.teleop.keyboard import TerminalKeyboard
from handful.rig.teleop.page_input import PageInput
from handful.rig.teleop.settings import TeleopSettings
from handful.rig.teleop.spacemouse import SpaceMouse, decode, find, is_spacemouse
from handful.rig.terminal import Terminal

SHIPPED = load(TeleopSettings, "teleop")
SAYS = load(OperatorSettings, "node/operator")


class Now:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.s = 100.0

    def __call__(self) -> float:
        return self.s

    def pass_s(self, s: float = 1.0) -> Callable[[], None]:
        def wait() -> None:
            self.s += s

        return wait


class Fifo:
    """A joystick file's stand-in: the kernel's bytes through a named pipe."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.state = {(AXIS, k): 0 for k in range(8)} | {(BUTTON, k): 0 for k in range(11)}
        for trigger in (2, 5):
            self.state[AXIS, trigger] = -32767
        self.fd: int | None = None
        self.plug()

    def plug(self) -> None:
        if not self.path.exists():
            os.mkfifo(self.path)
        self.fd = os.open(self.path, os.O_RDWR)  # it must not wait for its reader
        for (kind, number), value in self.state.items():
            os.write(self.fd, EVENT.pack(0, value, kind | INITIAL, number))

    def send(self, kind: int, number: int, value: int) -> None:
        self.state[kind, number] = value
        if self.fd is not None:
            os.write(self.fd, EVENT.pack(1, value, kind, number))

    def unplug(self) -> None:
        assert self.fd is not None
        self.path.unlink()
        os.close(self.fd)
        self.fd = None


class TestGamepad(DeviceContract):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def make_cell(self) -> DeviceCell:
        pad, now = Fifo(self.folder / "js0"), Now()

        def press() -> None:
            pad.send(BUTTON, 0, 1)
            pad.send(BUTTON, 0, 0)
            pad.send(BUTTON, 0, 1)

        return DeviceCell(
            Gamepad(SHIPPED.gamepad, str(pad.path), now_s=now),
            deadman=lambda down: pad.send(BUTTON, 4, int(down)),
            push=lambda on: pad.send(AXIS, 1, -32767 if on else 0),
            press=press,
            unplug=pad.unplug,
            plug=pad.plug,
            wait=now.pass_s(),
            dispose=lambda: os.close(pad.fd) if pad.fd is not None else None,
        )

    def test_triggers_grip_and_the_grip_stays(self, cell: DeviceCell, tmp_path: Path) -> None:
        cell.device.open()
        cell.device.read()
        cell.deadman(True)
        pad = os.open(tmp_path / "js0", os.O_WRONLY)
        assert cell.device.read().grip is None
        os.write(pad, EVENT.pack(1, 32767, AXIS, 5))
        assert cell.device.read().grip == -1.0
        os.write(pad, EVENT.pack(1, -32767, AXIS, 5))
        assert cell.device.read().grip == -1.0
        half = EVENT.pack(1, 32767, AXIS, 2)
        os.write(pad, half[:3])  # an event may be cut in two
        assert cell.device.read().grip == -1.0
        os.write(pad, half[3:])
        assert cell.device.read().grip == 1.0
        os.close(pad)

    def test_one_that_is_not_there_is_refused_in_a_sentence(self, tmp_path: Path) -> None:
        with pytest.raises(DeviceError, match="js9 cannot be read: No such file"):
            Gamepad(SHIPPED.gamepad, str(tmp_path / "js9")).open()
        with pytest.raises(DeviceError, match="no /dev/input/js"):
            if list(Path("/dev/input").glob("js*")):
                pytest.skip("there is a gamepad here")
            Gamepad(SHIPPED.gamepad).open()


class TestSpaceMouse(DeviceContract):
    """Reports as a SpaceMouse Compact sends them, one a read, over a socket that parts them."""

    def make_cell(self) -> DeviceCell:
        now, ends = Now(), list[socket.socket]()
        there = [True]

        def opener(path: str) -> int:
            if not there[0]:
                raise FileNotFoundError(2, "No such file or directory")
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            theirs.setblocking(False)
            ends[:] = [ours]
            return theirs.detach()

        down = [0]

        def button(bit: int, on: bool) -> None:
            down[0] = down[0] | bit if on else down[0] & ~bit
            if ends:
                ends[0].send(b"\x03" + struct.pack("<H", down[0]))

        def press() -> None:
            button(4, True)
            button(4, False)
            button(4, True)

        def unplug() -> None:
            there[0] = False
            ends.pop().close()

        settings = SHIPPED.spacemouse.model_copy(update={"intents": {Intent.SUCCESS: (2,)}})
        return DeviceCell(
            SpaceMouse(settings, "hidraw7", opener, now),
            deadman=lambda on: button(1, on),
            push=lambda on: ends[0].send(b"\x01" + struct.pack("<3h", 0, -350 * on, 0)) and None,
            press=press,
            unplug=unplug,
            plug=lambda: there.__setitem__(0, True),
            wait=now.pass_s(),
            told_at_rest=False,
        )

    @pytest.mark.parametrize(
        ("report", "found"),
        [
            ("01 5e01 0000 a2fe", ("move", (350, 0, -350))),
            ("01 0100 0200 0300 0400 0500 faff", ("move", (1, 2, 3, 4, 5, -6))),
            ("02 0000 0000 5e01", ("turn", (0, 0, 350))),
            ("03 02 00", ("buttons", (0, 1) + (0,) * 14)),
            ("17 64 00", None),
            ("01 00", None),
            ("", None),
        ],
    )
    def test_reports_are_decoded(self, report: str, found: object) -> None:
        assert decode(bytes.fromhex(report)) == found

    def test_it_is_found_among_other_devices(self, tmp_path: Path) -> None:
        for name, hid_id in (
            ("hidraw0", "0003:0000046D:0000C52B"),
            ("hidraw1", "0003:0000256F:0000C635"),
        ):
            (tmp_path / name / "device").mkdir(parents=True)
            (tmp_path / name / "device/uevent").write_text(f"DRIVER=hid\nHID_ID={hid_id}\n")
        assert find(tmp_path) == "/dev/hidraw1"
        assert is_spacemouse("0003:0000046D:0000C626") and not is_spacemouse("nonsense")


class TestTerminalKeyboard(DeviceContract):
    """Typed into a real pseudo-terminal."""

    def make_cell(self) -> DeviceCell:
        master, slave = pty.openpty()
        mode = termios.tcgetattr(slave)
        mode[3] &= ~termios.ECHO
        termios.tcsetattr(slave, termios.TCSANOW, mode)
        now, ends = Now(), [master]

        class Ours(Terminal):
            """Of this process for the test's sake; ``test_terminal`` has the real question."""

            @property
            def ours(self) -> bool:
                return bool(ends)

        def types(keys: str) -> None:
            os.write(ends[0], keys.encode())
            time.sleep(0.05)

        return DeviceCell(
            TerminalKeyboard(SHIPPED.keys, SAYS, Ours(slave, slave), now),
            deadman=lambda on: None,
            push=lambda on: types("\x1b[A") if on else now.pass_s()(),
            press=lambda: types("s"),
            unplug=ends.clear,
            plug=lambda: ends.append(master),
            dispose=lambda: [os.close(fd) for fd in (master, slave)] and None,
            own_deadman=False,
        )

    def test_a_key_that_is_let_go_stops_soon(self, cell: DeviceCell) -> None:
        cell.device.open()
        cell.push(True)
        assert cell.device.read().held
        cell.push(False)
        assert not cell.device.read().held


@pytest.mark.parametrize("seconds_silent", [0.0, 0.5, 2.0])
def test_a_page_that_falls_silent_holds_nothing(seconds_silent: float) -> None:
    hands = PageInput(SHIPPED, SAYS)
    hands.take('{"keys": []}', 1.0)
    hands.take('{"keys": ["shift", "up", "c", "v"], "typed": ["s"], "press": ["redo"]}', 1.1)
    wish = hands.wish(1.1 + seconds_silent)
    assert set(wish.pressed) == {Intent.SUCCESS, Intent.REDO}
    if seconds_silent == 0.0:
        assert wish.held and wish.slow and wish.grip == -1.0 and wish.move.tolist() == [1, 0, 0]
    else:
        assert not wish.held and "page" in wish.note
    hands.take('{"keys": ["shift", "up"]}', 1.2 + seconds_silent)
    again = hands.wish(1.2 + seconds_silent)
    assert again.held == (seconds_silent < 1.0), (
        "after a hiccup it goes on, after a loss it does not"
    )


@pytest.mark.parametrize(
    "message",
    [
        "", "[]", "7", "{", '{"keys": 3}', '{"keys": [7]}', '{"press": ["explode"]}',
        '{"pad": [1]}', '{"pad": {"axes": [NaN], "buttons": []}}', '{"shown": Infinity}',
        '{"pad": {"axes": ["1"], "buttons": [1]}}', '{"keys": ["' + "x" * 99 + '"]}', "null",
    ],
)  # fmt: skip
def test_what_no_page_would_send_is_refused(message: str) -> None:
    hands = PageInput(SHIPPED, SAYS)
    with pytest.raises(ValueError):
        hands.take(message, 1.0)
    assert not hands.wish(1.0).held


def test_a_deadman_counts_only_after_it_was_seen_let_go() -> None:
    deadman = Deadman()
    assert not deadman.held(True) and not deadman.held(False) and deadman.held(True)
    deadman.forget()
    assert not deadman.held(True)
