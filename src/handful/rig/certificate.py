"""What the twin has seen a policy do, as a file that the agent and the guard each read and believe.

Canonical JSON with the digests of everything it speaks of: the weights, the task, the rig's
settings, cameras and limits, the code. The values stand beside their digests, so that a refusal can
name the key that differs. ``integrity`` is the digest of all the rest: it finds a changed byte, it
is no signature (docs/validation.md).
"""

import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Literal

from handful import __version__
from handful.rig import digest
from handful.rig.settings import RigSettings
from handful.rig.thresholds import Thresholds, failures, judge

FORMAT = 1
PARTS = {"task": "another task", "config": "edited settings of the rig", "cameras": "other cameras",
         "limits": "other limits"}  # fmt: skip
"""What a certificate binds besides weights and code, and what it is called when it differs."""
CodeRule = Literal["content", "version", "any"]
_AHEAD = timedelta(hours=1)
_TIME = "%Y-%m-%dT%H:%M:%SZ"


class CertificateError(ValueError):
    """No certificate, or one that cannot be believed; the message names the file and why."""


@dataclass(frozen=True)
class Claims:
    """What a cell, or a checkpoint, says it is.

    parts: name in ``PARTS`` -> JSON-ready values. version, code: of handful, as it runs here.
    """

    parts: Mapping[str, Any]
    version: str = __version__
    code: str = field(default_factory=digest.code)


def claims(rig: RigSettings, task_name: str, task: Mapping[str, Any]) -> Claims:
    """The claims of these settings. task: resolved values, as in a run's ``config.yaml``."""
    values = rig.model_dump(mode="json")
    cameras, limits = values.pop("cameras"), values.pop("guard")
    cameras["_order"] = list(cameras)  # the networks see them in it, and JSON's keys are sorted
    named = {"name": task_name, **_plain(task)}
    return Claims({"task": named, "config": values, "cameras": cameras, "limits": limits})


@dataclass(frozen=True)
class Certificate:
    """A certificate whose integrity holds. values: everything in it; path: where it was read."""

    values: Mapping[str, Any]
    path: Path

    @property
    def id(self) -> str:
        """Its integrity digest, which names it."""
        return str(self.values["integrity"])

    @property
    def weights(self) -> str:
        """Digest of the weights it is about (``digest.weights``)."""
        return str(self.values["subject"]["weights"])

    @property
    def updates(self) -> int:
        """Gradient updates behind these weights."""
        return int(self.values["subject"]["updates"])

    @property
    def task(self) -> str:
        """Name of the task."""
        return str(self.values["settings"]["task"]["name"])

    @property
    def expires(self) -> datetime:
        """When it stops to hold, UTC."""
        return _time(self.values["expires"])

    def troubles(self, here: Claims, rule: CodeRule = "content") -> list[str]:
        """Everything in which ``here`` is not what was validated, as sentences; time apart."""
        said = []
        for part, called in PARTS.items():
            if digest.sha256(here.parts[part]) != self.values["subject"][part]:
                differs = "; ".join(_differences(self.values["settings"][part], here.parts[part]))
                said.append(f"{called} than certified: {differs or 'its values'}")
        was = self.values["subject"]["code"]
        if rule != "any" and was["version"] != here.version:
            said.append(f"other code: certified by handful {was['version']}, {here.version} runs")
        elif rule == "content" and was["content"] != here.code:
            said.append(
                "other code: what turns pictures into commands has changed since "
                f"(commit {was['commit']} then)"
            )
        return said

    def stale(self, now: datetime) -> str:
        """Why its time is not now; empty: it is."""
        if now >= self.expires:
            return f"expired on {self.values['expires']}"
        if _time(self.values["created"]) > now + _AHEAD:
            return f"made in the future, {self.values['created']}; is this machine's clock right?"
        return ""

    def failed(self, skill: bool = True) -> list[str]:
        """That it failed by the thresholds it was made with, if it did; skill: also by success."""
        verdict = self.values["verdict"]
        if verdict["passed"] if skill else verdict["safe"]:
            return []
        return [f"the twin did not pass it: {'; '.join(verdict['failures'][:3])}"]

    def unmet(self, demanded: Thresholds, skill: bool = True) -> list[str]:
        """What it does not reach of what is demanded here and now, as sentences."""
        return failures(judge(self.values["severities"], demanded), skill)


def seal(values: Mapping[str, Any]) -> dict[str, Any]:
    """``values`` with ``format`` and ``integrity``: what ``write`` writes."""
    whole = {**values, "format": FORMAT}
    whole.pop("integrity", None)
    return {**whole, "integrity": digest.sha256(whole)}


def verdict(severities: Sequence[Mapping[str, Any]], demanded: Thresholds) -> dict[str, Any]:
    """The part of a certificate that says whether it passes, and by what."""
    findings = judge(severities, demanded)
    return {
        "passed": all(f.passed for f in findings),
        "safe": not failures(findings, skill=False),
        "failures": failures(findings),
        "findings": [asdict(f) for f in findings],
    }


def compose(
    here: Claims, weights: str, updates: int, commit: str, valid_days: float, now: datetime
) -> dict[str, Any]:
    """The part of a certificate that says what it is about and how long it holds."""
    subject: dict[str, Any] = {name: digest.sha256(here.parts[name]) for name in PARTS}
    subject |= {"weights": weights, "updates": updates}
    subject["code"] = {"version": here.version, "content": here.code, "commit": commit}
    return {
        "created": now.strftime(_TIME),
        "expires": (now + timedelta(days=valid_days)).strftime(_TIME),
        "subject": subject,
        "settings": {name: here.parts[name] for name in PARTS},
    }


def write(path: str | Path, values: Mapping[str, Any]) -> Certificate:
    """Seal and write one certificate, whole or not at all; one that was there is replaced.

    Raises ``OSError`` when the disk refuses.
    """
    path, whole = Path(path), seal(values)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(digest.canonical(whole) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
    return Certificate(whole, path)


def read(path: str | Path) -> Certificate:
    """One certificate, believed as far as it goes: whole, untouched, of this format.

    Raises:
        CertificateError: missing, unreadable, not canonical, tampered with, or incomplete.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise CertificateError(
            f"{path}: no such certificate; `handful validate` makes one"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise CertificateError(f"{path}: cannot be read: {error}") from None
    try:
        values = json.loads(text, object_pairs_hook=_once)
        if not isinstance(values, dict):
            raise ValueError("expected one JSON object")
        body = {key: value for key, value in values.items() if key != "integrity"}
        said, found = values.get("integrity"), digest.sha256(body)
    except (ValueError, RecursionError) as error:
        raise CertificateError(f"{path}: not a certificate: {error}") from None
    if said != found:
        raise CertificateError(
            f"{path}: tampered with: its content has the digest {found[:12]}, "
            f"it says {str(said)[:12]}; validate again"
        )
    if values.get("format") != FORMAT:
        raise CertificateError(
            f"{path}: of format {values.get('format')!r}, this handful reads {FORMAT}; "
            "validate again"
        )
    certificate = Certificate(values, path)
    _check_complete(certificate)
    return certificate


def now() -> datetime:
    """The wall's time, UTC. Not ROS time: a simulator's clock makes no certificate older."""
    return datetime.now(timezone.utc)


def _check_complete(certificate: Certificate) -> None:
    """Every field that is relied on is there, and the values are those of their digests."""
    values = certificate.values
    try:
        _ = certificate.expires, _time(values["created"]), certificate.task, certificate.updates
        _ = values["severities"][0]["name"]
        _ = (
            values["verdict"]["passed"],
            values["verdict"]["safe"],
            values["verdict"]["failures"][:1],
        )
        subject = values["subject"]
        _ = subject["code"]["version"], subject["code"]["content"], subject["code"]["commit"]
        if len(certificate.weights) != 64:
            raise ValueError(f"weights {certificate.weights!r} are no SHA-256")
        for part in PARTS:
            if digest.sha256(values["settings"][part]) != subject[part]:
                raise ValueError(f"the values of {part} are not those of its digest")
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise CertificateError(
            f"{certificate.path}: not a whole certificate: {what}; validate again"
        ) from None


def _time(text: Any) -> datetime:
    return datetime.strptime(str(text), _TIME).replace(tzinfo=timezone.utc)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A key given twice would let two readers see two certificates."""
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a key is given twice")
    return values


def _plain(values: Any) -> Any:
    """As it comes back from JSON: tuples are lists."""
    return json.loads(digest.canonical(values))


def _differences(was: Any, here: Any, prefix: str = "", most: int = 3) -> list[str]:
    """Dotted keys that differ, as ``key is A, certified B``; the first few."""
    if not (isinstance(was, Mapping) and isinstance(here, Mapping)):
        return [] if was == here else [f"{prefix.rstrip('.')} is {here!r}, certified {was!r}"]
    said: list[str] = []
    for key in sorted({*was, *here}):
        said += _differences(was.get(key), here.get(key), f"{prefix}{key}.", most)
    return said if len(said) <= most else [*said[:most], f"and {len(said) - most} more"]
