"""Every record of a session looked at: checksums, shapes, camera set, clocks, order, edits."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from handful.contract import Spec
from handful.rig.edits import EditError, read
from handful.rig.picture_codec import PictureError, from_arrays
from handful.rig.playback import FORMAT, LogError, episode_files
from handful.rig.records import Arrays, Broken, scan
from handful.workflow.data import about

_ROUND = 1e-5
"""Actions may stick out of [-1, 1] by so much: they came back from metres in float32."""


@dataclass(frozen=True)
class Problem:
    """Something that is not right. bytes_: the damage is in the bytes, so ``repair`` can help."""

    file: Path
    byte: int
    text: str
    bytes_: bool = False

    def __str__(self) -> str:
        return f"{self.file}: byte {self.byte}: {self.text}"


@dataclass
class Checked:
    """What was found in one session. notes are no problems, only worth knowing."""

    session: Path
    episodes: int = 0
    steps: int = 0
    bytes: int = 0
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def check_session(session: Path) -> Checked:
    """Look at every record of every episode; nothing is changed."""
    found, spec = Checked(session), None
    counts: dict[str, int] = {}
    for path in episode_files(session):
        one = _File(path, spec)
        one.look()
        spec = spec or one.spec
        counts[path.name] = one.steps
        found.episodes += 1
        found.steps += one.steps
        found.bytes += path.stat().st_size
        found.problems += one.problems
        found.notes += one.notes
    _check_edits(session, counts, found)
    return found


def _check_edits(session: Path, counts: dict[str, int], found: Checked) -> None:
    path = session / "edits.jsonl"
    try:
        edits = read(session)
    except EditError as error:
        found.problems.append(Problem(path, 0, str(error).partition(": ")[2]))
        return
    for edit in edits:
        if edit.file not in counts:
            found.notes.append(f"{path}: speaks of {edit.file}, which is not there")
        elif max(edit.first or 0, edit.end or 0) > counts[edit.file]:
            found.problems.append(
                Problem(path, 0, f"cuts {edit.file} at a step beyond its {counts[edit.file]}")
            )


class _File:
    """One episode's file, record after record."""

    def __init__(self, path: Path, spec: Spec | None) -> None:
        self.path, self.spec, self._wanted = path, spec, spec
        self.steps = 0
        self.problems: list[Problem] = []
        self.notes: list[str] = []
        self._stamp_s, self._parts_s = -math.inf, tuple[float, ...]()
        self._over = ""

    def look(self) -> None:
        at = -1
        for at, record in scan(self.path.read_bytes()):
            if isinstance(record, Broken):
                size = self.path.stat().st_size - at
                self._wrong(at, f"{record.reason}; {size} bytes from here on are not read", True)
                break
            arrays, values = record
            try:
                if at == 0:
                    self._header(arrays, values)
                else:
                    self._record(at, arrays, values)
            except (KeyError, TypeError, LogError, ValueError) as error:
                self._wrong(at, f"the record lacks or has something it should not: {error!r}")
                if at == 0:
                    return
        if at < 0:
            self._wrong(0, "the file is empty", True)
        elif not self._over:
            self.notes.append(
                f"{self.path}: was not ended; its {self.steps} whole steps read as cut off by time"
            )

    def _wrong(self, at: int, text: str, bytes_: bool = False) -> None:
        self.problems.append(Problem(self.path, at, text, bytes_))

    def _header(self, arrays: Arrays, values: dict[str, Any]) -> None:
        if values.get("format") != FORMAT:
            self._wrong(0, f"log format {values.get('format')!r}, expected {FORMAT}")
        spec = Spec.from_dict(values["spec"])
        if self._wanted is not None and spec != self._wanted:
            theirs, ours = spec.to_dict(), self._wanted.to_dict()
            said = [f"{k} {theirs[k]}, expected {ours[k]}" for k in ours if ours[k] != theirs[k]]
            self._wrong(0, f"another spec than the session's: {'; '.join(said)}")
        self.spec = spec
        for name, kind in (("info", dict), ("meta", dict), ("demo", bool)):
            if not isinstance(values[name], kind):
                self._wrong(0, f"{name} should be a {kind.__name__}, got {values[name]!r}")
        if isinstance(values["meta"], dict):
            for text in about.trouble(values["meta"], spec.cameras):
                self._wrong(0, text)
        self._seen(0, arrays, values, 3 * spec.frame_stack)

    def _record(self, at: int, arrays: Arrays, values: dict[str, Any]) -> None:
        assert self.spec is not None
        if self._over:
            self._wrong(at, f"a record after {self._over}")
        if "fault" in values:
            self._over = "the note that ended the episode"
            return
        self.steps += 1
        self._seen(at, arrays, values, 3)
        self._vector(at, "action", arrays["action"], self.spec.action_dim)
        if np.any(np.abs(arrays["action"]) > 1.0 + _ROUND):
            self._wrong(at, f"an action outside [-1, 1]: {arrays['action'].tolist()}")
        if "asked" in arrays and arrays["asked"].ndim != 1:
            self._wrong(at, f"what was asked should be a vector, got {arrays['asked'].shape}")
        if not math.isfinite(values["reward"]) or not 0.0 <= values["discount"] <= 1.0:
            self._wrong(at, f"reward {values['reward']}, discount {values['discount']}")
        if values["last"]:
            self._over = "the last step"

    def _seen(self, at: int, arrays: Arrays, values: dict[str, Any], channels: int) -> None:
        spec = self.spec
        assert spec is not None
        there = [name.partition(".") for name in arrays if name.startswith(("image.", "png."))]
        cameras = {camera for _, _, camera in there}
        if cameras != set(spec.cameras):
            self._wrong(
                at,
                f"pictures of {', '.join(sorted(cameras)) or 'no camera'}, "
                f"expected {', '.join(spec.cameras)}",
            )
        expected = (spec.height_px, spec.width_px, channels)
        for camera in cameras & set(spec.cameras):
            try:
                picture = from_arrays(camera, arrays, spec.height_px)
            except PictureError as error:
                self._wrong(at, f"camera {camera}: {error}")
                continue
            if picture.shape != expected or picture.dtype != np.uint8:
                self._wrong(
                    at,
                    f"camera {camera}: a picture {picture.shape} {picture.dtype}, "
                    f"expected {expected} uint8",
                )
        self._vector(at, "state", arrays["state"], spec.state_dim)
        stamp_s, parts_s = values["stamp_s"], tuple(values.get("parts_s", ()))
        if not math.isfinite(stamp_s) or stamp_s < self._stamp_s:
            self._wrong(at, f"the clock runs backwards: {stamp_s} s after {self._stamp_s} s")
        for name, now_s, then_s in zip(
            (*spec.cameras, "arm"), parts_s, self._parts_s or parts_s, strict=False
        ):
            if now_s < then_s:
                self._wrong(at, f"the clock of {name} runs backwards: {now_s} s after {then_s} s")
        self._stamp_s, self._parts_s = stamp_s, parts_s

    def _vector(self, at: int, name: str, vector: Any, size: int) -> None:
        if vector.shape != (size,) or vector.dtype != np.float32:
            self._wrong(at, f"{name} {vector.shape} {vector.dtype}, expected ({size},) float32")
        elif not np.isfinite(vector).all():
            self._wrong(at, f"{name} is not finite: {vector.tolist()}")
