"""Papers on the wire: what the cell is by its parameters, and the guard's ear for credentials."""

import threading
from typing import Any

import rospy

from handful.config import read
from handful.msg import Credential as CredentialMessage
from handful.rig.certificate import Claims, claims
from handful.rig.gatekeeper import Credential, Gatekeeper, GateSettings
from handful.rig.settings import RigSettings
from handful.wire.node import Level
from handful.wire.parameters import settings, values
from handful.wire.stamps import header


def gate_settings() -> GateSettings:
    """The gate's, from the parameters. Raises ``ConfigError``."""
    return settings(GateSettings, "gate", "node/gate")


def claims_here(rig: RigSettings) -> Claims | None:
    """What this cell is: ``rig``, and the task of the file that ``config`` names.

    None when no file is named, or it names no task. Raises ``ConfigError``: it cannot be read.
    """
    parameter = rospy.search_param("config")
    path = rospy.get_param(parameter) if parameter is not None else ""
    if not path:
        return None
    content, _ = read(path)
    task, _ = values("task")
    name = content.get("task_name")
    return None if task is None or not isinstance(name, str) else claims(rig, name, task)


def to_message(credential: Credential) -> CredentialMessage:
    """For the wire."""
    return CredentialMessage(
        header=header(max(rospy.get_time(), 0.0), ""),
        mode=credential.mode,
        task=credential.task,
        weights=credential.weights,
        certificate=credential.certificate,
        updates=credential.updates,
        override=credential.override,
    )


def from_message(message: Any) -> Credential:
    """From the wire."""
    return Credential(
        message.mode,
        message.task,
        message.weights,
        message.certificate,
        int(message.updates),
        message.override,
    )


class PaperDesk:
    """The guard's side: hears what agents show, and reports on it.

    lock: the guard's, so that papers and actions take turns. changed: called under it, when what a
    sender may do has changed.
    """

    def __init__(self, keeper: Gatekeeper, lock: threading.Lock, changed: Any) -> None:
        self._keeper, self._lock, self._changed = keeper, lock, changed
        for source in keeper.settings.sources:
            topic = f"{source}/credential"
            rospy.Subscriber(topic, CredentialMessage, self._on_credential, source, queue_size=10)
        if keeper.settings.without_certificate:
            rospy.logwarn("guard: lets an agent act without a certificate: %s", keeper.overridden())

    @property
    def barred(self) -> str:
        """Why those who need a certificate may not act now; empty: they may."""
        said = (self._keeper.forbids(source) for source in self._keeper.settings.sources)
        return next((why for why in said if why), "")

    def _on_credential(self, message: Any, source: str) -> None:
        sender = message._connection_header.get("callerid", "?")
        credential = from_message(message)
        with self._lock:
            self._keeper.shown(sender, credential)
            why = self._keeper.forbids(source, sender)
            self._changed()
        if why:
            rospy.logwarn("guard: %s may not move the arm: %s", sender, why)

    def report(self) -> tuple[Level, str, dict[str, str]]:
        """For diagnostics."""
        with self._lock:
            barred, override = self.barred, self._keeper.overridden()
            shown = self._keeper.newest
        told = {
            "required": str(self._keeper.settings.required).lower(),
            "certificate": self._keeper.id,
            "agent_weights": shown.weights if shown else "",
            "without_certificate": override,
        }
        return standing(self._keeper, barred, override, told, asked=shown is not None)


def standing(
    keeper: Gatekeeper, barred: str, override: str, told: dict[str, str], asked: bool = True
) -> tuple[Level, str, dict[str, str]]:
    """The report that guard and agent make alike. asked: somebody wants to act."""
    if override:
        return Level.WARN, f"acts without a certificate: {override}", told
    if barred:
        return Level.WARN if asked else Level.OK, barred, told
    if keeper.certificate is None:
        return Level.OK, "no certificate is needed here", told
    until = keeper.certificate.values["expires"]
    return Level.OK, f"certificate {keeper.id[:12]} holds until {until}", told
