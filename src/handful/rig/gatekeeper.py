"""The gate before the arm: no policy moves it that the twin has not seen, unless a person says why.

The agent's process and the guard's each have one of their own, made from their own settings and
their own reading of the certificate. The agent's looks at the weights; the guard's at what the
agent shows. Nothing here knows messages, and nothing here needs torch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import Field, field_validator

from handful.config import ConfigError, Settings
from handful.rig import certificate as certificates
from handful.rig.certificate import Certificate, CertificateError, Claims, CodeRule
from handful.rig.thresholds import Thresholds, load_thresholds

_SHORTEST_REASON = 10
EVALUATE, LEARN = "evaluate", "learn"


class NotCertified(ConfigError):
    """An agent that may not act; the message says why, and what would help."""


class GateSettings(Settings):
    """Whether a certificate is needed, and which; ``config/node/gate.yaml`` is the manual."""

    required: bool = False
    certificate: str = ""
    without_certificate: str = ""
    sources: tuple[str, ...] = ("agent",)
    thresholds: str = "validate"
    code: Literal["content", "version", "any"] = "content"
    valid_updates: int = Field(default=5000, ge=0)

    @field_validator("without_certificate")
    @classmethod
    def _a_reason(cls, text: str) -> str:
        text = " ".join(text.split())
        if text and len(text) < _SHORTEST_REASON:
            raise ValueError(
                f"say why, in at least {_SHORTEST_REASON} letters, such as "
                "'speed 0.1, first day, Ada at the e-stop'; it is recorded in every episode"
            )
        return text


@dataclass(frozen=True)
class Credential:
    """What an agent shows the guard: ``Credential.msg`` without its header."""

    mode: str
    task: str
    weights: str
    certificate: str
    updates: int
    override: str = ""


class Gatekeeper:
    """Reads its certificate once, and says from then on who may not act, and why.

    Args:
        settings: of the gate. here: what this process knows the cell to be; None: it was not told,
            and then nothing is certified. now: the time, UTC.

    Raises ``ConfigError`` for thresholds that cannot be read, when a certificate is needed.
    """

    def __init__(
        self,
        settings: GateSettings,
        here: Claims | None,
        now: Callable[[], datetime] = certificates.now,
    ) -> None:
        self.settings, self._now = settings, now
        self.certificate: Certificate | None = None
        self._lasting: list[str] = []
        self._demanded: Thresholds | None = None
        self._shown: dict[str, Credential] = {}
        if not (settings.required or settings.certificate):
            return
        self._demanded = load_thresholds(settings.thresholds)
        try:
            if not settings.certificate:
                raise CertificateError("no certificate was given")
            self.certificate = certificates.read(settings.certificate)
        except CertificateError as error:
            self._lasting = [str(error)]
            return
        rule: CodeRule = settings.code
        if here is None:
            self._lasting = ["this node was given no config to compare the certificate with"]
        else:
            self._lasting = self.certificate.troubles(here, rule)

    @property
    def open(self) -> bool:
        """Nobody is asked for a certificate: none is needed, or a person has said why not."""
        return not self.settings.required or bool(self.settings.without_certificate)

    @property
    def id(self) -> str:
        """Of its certificate; empty when there is none."""
        return self.certificate.id if self.certificate else ""

    def trouble(self, mode: str, weights: str, updates: int) -> str:
        """What is wrong with these weights acting here and now, as a sentence; empty: nothing.

        While learning, ``weights`` are those it began with, and ``updates`` those of now.
        """
        said = list(self._lasting)
        held = self.certificate
        if held is not None:
            assert self._demanded is not None
            said += [s] if (s := held.stale(self._now())) else []
            said += held.failed(skill=mode != LEARN)
            said += held.unmet(self._demanded, skill=mode != LEARN)
            if weights != held.weights:
                said.append(
                    f"other weights: {weights[:12] or 'none'} act, certified are "
                    f"{held.weights[:12]}"
                )
            beyond = updates - held.updates
            if mode == LEARN and beyond > self.settings.valid_updates:
                said.append(
                    f"learned on for {beyond} updates since, {self.settings.valid_updates} are "
                    "allowed (gate.valid_updates)"
                )
        return "; ".join(said)

    @property
    def newest(self) -> Credential | None:
        """What was shown last."""
        return next(reversed(self._shown.values()), None)

    # The guard's side: somebody shows something, somebody wants to move the arm.

    def shown(self, sender: str, credential: Credential) -> None:
        """``sender`` shows this."""
        self._shown.pop(sender, None)
        self._shown[sender] = credential

    def forbids(self, source: str, sender: str = "") -> str:
        """Why this sender may not move the arm; empty: as far as the gate goes, it may.

        Without a sender: whoever showed something last.
        """
        if self.open or source not in self.settings.sources:
            return ""
        shown = self._shown.get(sender) if sender else self.newest
        if shown is None:
            return self.trouble_of_none()
        if self.certificate is not None and shown.certificate != self.certificate.id:
            has = shown.certificate[:12] or "none"
            return f"not certified: {source} shows {has}, the guard holds {self.id[:12]}"
        said = [t] if (t := self.trouble(shown.mode, shown.weights, shown.updates)) else []
        if self.certificate is not None and shown.task != self.certificate.task:
            said.append(f"another task: {shown.task}, certified is {self.certificate.task}")
        return f"not certified: {'; '.join(said)}" if said else ""

    def trouble_of_none(self) -> str:
        """The same before anybody has shown anything."""
        said = "; ".join(self._lasting) or "the agent has shown none yet"
        return f"not certified: {said}"

    def overridden(self) -> str:
        """A person's reason for doing without, when that is what is happening; else empty.

        Here, or at an agent that shows it: both sides are told of by the same launch argument, and
        a guard that needs a certificate believes its own settings only.
        """
        own = self.settings.without_certificate
        theirs = next((c.override for c in self._shown.values() if c.override), "")
        return own or theirs


def refuse_unless(settings: GateSettings, sources: tuple[str, ...]) -> None:
    """Raises ``ConfigError`` when the gate watches a source that the guard does not have."""
    unknown = sorted(set(settings.sources) - set(sources))
    if unknown:
        raise ConfigError(
            f"gate.sources: the guard has no source {unknown[0]!r}; it has {', '.join(sources)}"
        )
