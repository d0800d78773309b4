"""What a person sits at: one device to drive with, a page to look at, and keys that say things.

Whatever drives, stop counts from everywhere: from the terminal, from the page's buttons, from the
device itself.
"""

import webbrowser
from contextlib import suppress
from dataclasses import asdict, replace
from os import environ
from typing import Any

from handful.config import ConfigError
from handful.rig.operator import Intent, OperatorSettings, help_lines
from handful.rig.teleop.device import Device, Wish
from handful.rig.teleop.keyboard import TerminalKeyboard
from handful.rig.teleop.make import make_device
from handful.rig.teleop.page import Page
from handful.rig.teleop.settings import KeySettings, TeleopSettings
from handful.rig.terminal import Terminal
from handful.workflow.console import Console
from handful.workflow.teleop import Words


class Desk:
    """Devices and view of one person; a context manager that opens and closes them all.

    Args:
        name: of ``rig.teleop.settings.DEVICES``. settings, operator: what means what.
        view: serve the live view also where another device drives.
        device: another one than its name would make, in tests.
    """

    def __init__(
        self,
        name: str,
        settings: TeleopSettings,
        operator: OperatorSettings,
        console: Console,
        view: bool = True,
        device: Device | None = None,
    ) -> None:
        check_keys(settings, operator)
        self._settings, self._operator, self._console = settings, operator, console
        self._device = device or make_device(name, settings, operator)
        own = self._device if isinstance(self._device, Page) else None
        self.page = own or (Page(settings, operator, drives=False) if view else None)
        self._keys: TerminalKeyboard | None = None
        self._told: Words | None = None
        self._seen = False
        self._env: Any = None

    def __enter__(self) -> "Desk":
        try:
            self._device.open()
            if self.page is not None and self.page is not self._device:
                self.page.open()
            self._open_keys()
        except BaseException:
            self.close()
            raise
        self._invite()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let everything go; twice is safe."""
        for device in (self._device, self.page, self._keys):
            if device is not None:
                device.close()

    def read(self) -> Wish:
        """The device's wish, and what was said anywhere."""
        wish = self._device.read()
        said = list(wish.pressed)
        if self.page is not None and self.page is not self._device:
            said += self.page.read().pressed
        if self._keys is not None and self._keys is not self._device:
            said += self._keys.read().pressed
        if Intent.HELP in said and self._keys is not None:
            self._keys.tell("", motion_lines(self._settings.keys) + help_lines(self._operator))
        return replace(wish, pressed=tuple(said))

    def show(self, env: Any, words: Words) -> None:
        """Words, and pictures while somebody looks."""
        self._told, self._env = words, env
        self._tell_terminal(words)
        if self.page is None:
            return
        self._seen = self.page.occupied
        if self._seen:
            side = self._settings.page.picture_px
            eyes = {name: env.render(name, (side, side)) for name in env.rig.cameras}
            self.page.show(eyes, self._status(words))
        else:
            self.page.tell(self._status(words))

    def tell(self, words: Words) -> None:
        """Words alone; a page that was opened a moment ago gets its pictures with them."""
        if words != self._told:
            self._tell_terminal(words)
        if self.page is None:
            self._told = words
            return
        if self.page.occupied and not self._seen and self._env is not None:
            self.show(self._env, words)
        elif words != self._told:
            self._told = words
            self.page.tell(self._status(words))
        self._seen = self._seen and self.page.occupied

    def _status(self, words: Words) -> dict[str, Any]:
        return {
            **asdict(words),
            "cameras": [] if self._env is None else list(self._env.rig.cameras),
        }

    def _tell_terminal(self, words: Words) -> None:
        if self._keys is not None:
            self._keys.tell(f"{words.pill} | {words.line}")

    def _open_keys(self) -> None:
        """Beside another device the terminal's keys say things; they move nothing."""
        if isinstance(self._device, TerminalKeyboard):
            self._keys = self._device
            self._keys.tell("", motion_lines(self._settings.keys) + help_lines(self._operator))
            return
        terminal = None
        with suppress(OSError, ValueError):
            terminal = Terminal()
        if terminal is not None and terminal.ours:
            self._keys = TerminalKeyboard(KeySettings(motions={}), self._operator, terminal)
            self._keys.open()
            self._keys.tell("", help_lines(self._operator))

    def _invite(self) -> None:
        if self.page is None:
            return
        url = self.page.url
        what = "drive and look" if self.page is self._device else "look"
        self._console.say(f"{what}: {url}")
        if environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"):
            with suppress(webbrowser.Error):
                webbrowser.open(url)
        elif environ.get("SSH_CONNECTION"):
            port = url.split("/?", 1)[0].rsplit(":", 1)[1]
            tunnel = f"ssh -L {port}:127.0.0.1:{port} THIS_MACHINE"
            self._console.say(f"over SSH: {tunnel} on your machine, then the same address there")


def motion_lines(keys: KeySettings) -> list[str]:
    """Every key that moves the arm, in the manner of ``rig.operator.help_lines``."""
    names = {motion.value.replace("_", " "): used for motion, used in keys.motions.items()}
    return [f"{' or '.join(used):>16}  {name}" for name, used in names.items() if used]


def check_keys(settings: TeleopSettings, operator: OperatorSettings) -> None:
    """Refuse a key that both moves the arm and says something.

    Raises:
        ConfigError: naming the key.
    """
    moves = {key for keys in settings.keys.motions.values() for key in keys}
    moves |= {settings.keys.deadman, settings.keys.slow}
    says = {key.lower() for keys in operator.keys.values() for key in keys}
    both = sorted(moves & says)
    if both:
        raise ConfigError(
            f"teleop.keys: {both[0]!r} moves the arm, and in operator.keys it says something; "
            "give it one meaning"
        )
