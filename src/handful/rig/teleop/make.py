"""A device by its name."""

from handful.config import ConfigError
from handful.rig.operator import OperatorSettings
from handful.rig.teleop.device import Device
from handful.rig.teleop.gamepad import Gamepad
from handful.rig.teleop.keyboard import TerminalKeyboard
from handful.rig.teleop.settings import DEVICES, TeleopSettings
from handful.rig.teleop.spacemouse import SpaceMouse
from handful.rig.terminal import Terminal


def make_device(
    name: str,
    settings: TeleopSettings,
    operator: OperatorSettings,
    terminal: Terminal | None = None,
) -> Device:
    """The device ``name`` of this machine, not opened yet.

    Raises:
        ConfigError: there is no such device.
    """
    if name == "keyboard":
        return TerminalKeyboard(settings.keys, operator, terminal)
    if name == "gamepad":
        return Gamepad(settings.gamepad, settings.path)
    if name == "spacemouse":
        return SpaceMouse(settings.spacemouse, settings.path)
    if name == "page":
        from handful.rig.teleop.page import Page  # the only one that needs a web socket

        return Page(settings, operator)
    raise ConfigError(f"no teleoperation device {name!r}; there are: {', '.join(DEVICES)}")
