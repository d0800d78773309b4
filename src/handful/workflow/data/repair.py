"""A damaged episode made whole again: every whole step is kept, and so is the damaged file."""

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from handful.contract import Observation, Spec
from handful.rig.episodes import EpisodeLog, LogError, describe
from handful.rig.picture_codec import from_arrays
from handful.rig.playback import transition
from handful.rig.records import MAGIC, Arrays, Broken, pack, scan
from handful.workflow.data.sessions import DataError

Record = tuple[Arrays, dict[str, Any]]


@dataclass(frozen=True)
class Repaired:
    """What became of one file. rest: episodes made of what stood whole behind the damage."""

    file: Path
    kept_steps: int
    aside: Path
    rest: tuple[Path, ...] = ()

    def __str__(self) -> str:
        after = "".join(f", and what stood behind the damage is {p.name}" for p in self.rest)
        return f"{self.file}: {self.kept_steps} whole steps kept{after}; as it was: {self.aside}"


def repair(path: Path) -> Repaired:
    """Rebuild one episode's file from its whole records.

    What stood before the damage stays under its name; whole steps behind it become episodes of
    their own, because the gap would be a lie. The damaged file is kept as ``NAME.broken``: it
    leaves its place only when the new one is synced.

    Raises:
        DataError: somebody is writing it just now, or the disk does not take it.
    """
    try:
        with path.open("rb") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise DataError(
                    f"{path}: is being written at this moment; repair it when that is over"
                ) from None
            return _repair(path, held.read())
    except OSError as error:
        raise DataError(
            f"{path}: cannot be repaired: {error.strerror}; it stands as it was"
        ) from None


def _repair(path: Path, data: bytes) -> Repaired:
    runs = whole_runs(data)
    aside = _free(path)
    before = runs.pop(0)[1] if runs and runs[0][0] == 0 else []
    steps = sum("reward" in values for _, values in before)
    temporary = path.with_name(f".{path.name}.part")
    if before:
        end = _end(data, len(before))
        note = b""
        if steps and not (before[-1][1].get("last") or "fault" in before[-1][1]):
            note = pack({}, {"fault": f"damaged at byte {end}, repaired"})
        with temporary.open("wb") as file:
            file.write(data[:end] + note)
            file.flush()
            os.fsync(file.fileno())
        os.link(path, aside)
        os.replace(temporary, path)
    else:
        os.link(path, aside)
        path.unlink()
    _sync(path.parent)
    header = before[0][1] if before else None
    rest = [_salvage(path, at, run, header) for at, run in runs]
    return Repaired(path, steps, aside, tuple(p for p in rest if p is not None))


def whole_runs(data: bytes) -> list[tuple[int, list[Record]]]:
    """Stretches of whole records that follow each other, with the byte each begins at."""
    runs: list[tuple[int, list[Record]]] = []
    mark, at = MAGIC.to_bytes(4, "little"), 0
    while 0 <= at < len(data):
        run: list[Record] = []
        begin, following = at, -1
        for place, record in scan(data, at):
            if isinstance(record, Broken):
                following = data.find(mark, place + 1)
                break
            run.append(record)
        if run:
            runs.append((begin, run))
        at = following
    return runs


def _end(data: bytes, count: int) -> int:
    """The byte at which the first ``count`` records end."""
    for number, (at, _) in enumerate(scan(data)):
        if number == count:
            return at
    return len(data)


def _salvage(path: Path, at: int, run: list[Record], header: dict[str, Any] | None) -> Path | None:
    """An episode of the steps in ``run``; its first frames are given up for the first stack."""
    try:
        spec, meta = (
            describe(path.parent)
            if header is None
            else (Spec.from_dict(header["spec"]), header["meta"])
        )
    except LogError:
        return None  # nothing anywhere says what these bytes are
    stack = spec.frame_stack
    steps = [(arrays, values) for arrays, values in run if "reward" in values]
    if len(steps) <= stack:
        return None
    images = {
        name: np.concatenate([from_arrays(name, a, spec.height_px) for a, _ in steps[:stack]], 2)
        for name in spec.cameras
    }
    arrays, values = steps[stack - 1]
    seen = Observation(images, arrays["state"], values["stamp_s"], tuple(values.get("parts_s", ())))
    info = {**((header or {}).get("info") or {}), "salvaged_from": path.name, "from_byte": at}
    with EpisodeLog(path.parent, spec, meta) as log:
        demo = bool((header or {}).get("demo", values["demo"]))
        made = log.begin(seen, demo, info, (header or {}).get("recorded"))
        for arrays, values in steps[stack:]:
            step = transition(arrays, values, seen)
            log.add(step)
            seen = step.next_observation
            if step.last:
                break
        else:
            log.fault(f"salvaged from {path.name}")
    return made


def _free(path: Path) -> Path:
    """A name beside ``path`` that is not taken: NAME.broken, NAME.broken.1, ..."""
    number, aside = 0, path.with_name(f"{path.name}.broken")
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.broken.{number}")
    return aside


def _sync(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
