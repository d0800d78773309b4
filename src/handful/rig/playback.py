"""Reading the episode log back: lazily, in order, whole steps only, stacks rebuilt."""

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handful import __version__
from handful.contract import Observation, Spec, Transition
from handful.rig.records import Arrays, Broken, unpack

FORMAT = 1
_NAME = re.compile(r"episode_(\d{6,})\.log")
_log = logging.getLogger(__name__)


class LogError(RuntimeError):
    """A log that cannot be written or read; the message names the file and the remedy."""


@dataclass(frozen=True)
class Episode:
    """One episode as it was recorded.

    complete: the last transition was reached. If not (killed, interrupted) the last one that was
    recorded is marked ``last`` and keeps its discount of 1, as at a time limit. meta and info are
    what the writer gave for the session and for this episode. fault: why it could not go on, if
    that was noted.
    """

    observation: Observation
    transitions: list[Transition]
    demo: bool
    info: dict[str, Any]
    complete: bool
    spec: Spec
    meta: dict[str, Any]
    path: Path
    fault: str = ""


def read(folder: str | Path, spec: Spec | None = None) -> Iterator[Episode]:
    """The episodes of a session in order, one file in memory at a time.

    A broken tail is dropped with a logged warning that names file and byte; an episode without a
    single whole step is passed over. When ``spec`` is given, an episode of another is refused.

    Raises:
        LogError: no such folder, or a file of another spec or format.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise LogError(f"{folder}: no such log folder")
    for path in episode_files(folder):
        episode = _episode(path, spec)
        if episode is not None:
            yield episode


def describe(folder: str | Path) -> tuple[Spec, dict[str, Any]]:
    """The spec and meta of a session, from its first readable file.

    Raises:
        LogError: no such folder, or nothing readable in it.
    """
    for path in episode_files(Path(folder)):
        first = first_header(path, None)
        if first is not None:
            return Spec.from_dict(first["spec"]), first["meta"]
    raise LogError(f"{folder}: no episode that can be read")


def _episode(path: Path, spec: Spec | None) -> Episode | None:
    records = _whole_records(path)
    first = next(records, None)
    if first is None:
        return None
    arrays, header = first
    found = checked_spec(path, header, spec)
    observation = first_observation(arrays, header, found)
    latest, fault = observation, ""
    transitions: list[Transition] = []
    for arrays, values in records:
        if "fault" in values:
            fault = values["fault"]
            break
        transitions.append(transition(arrays, values, latest))
        latest = transitions[-1].next_observation
    if not transitions:
        return None
    complete = transitions[-1].last
    if not complete:
        transitions[-1] = replace(transitions[-1], last=True)
    return Episode(
        observation=observation,
        transitions=transitions,
        demo=header["demo"],
        info=header["info"],
        complete=complete,
        spec=found,
        meta=header["meta"],
        path=path,
        fault=fault,
    )


def first_observation(arrays: Arrays, header: dict[str, Any], spec: Spec) -> Observation:
    """The observation an episode's first record holds."""
    return Observation(
        images={name: arrays[f"image.{name}"] for name in spec.cameras},
        state=arrays["state"],
        stamp_s=header["stamp_s"],
    )


def transition(arrays: Arrays, values: dict[str, Any], before: Observation) -> Transition:
    """The step a record holds, which followed ``before``; it has one newest frame a camera."""
    seen = Observation(
        images={
            name: _shifted(stack, arrays[f"image.{name}"]) for name, stack in before.images.items()
        },
        state=arrays["state"],
        stamp_s=values["stamp_s"],
    )
    return Transition(
        action=arrays["action"],
        reward=values["reward"],
        discount=values["discount"],
        next_observation=seen,
        last=values["last"],
        demo=values["demo"],
        info=values["info"],
    )


def whole_length(path: Path) -> tuple[int, dict[str, Any] | None]:
    """Bytes of a file's whole records, and the values of the last one (None when there is none)."""
    data, values = path.read_bytes(), None
    for record in unpack(data):
        if isinstance(record, Broken):
            return record.offset, values
        values = record[1]
    return len(data), values


def step_count(path: Path) -> int:
    """Whole steps in an episode's file, its first observation and a noted fault not counted."""
    records = unpack(path.read_bytes())
    return sum("reward" in record[1] for record in records if not isinstance(record, Broken))


def _whole_records(path: Path) -> Iterator[tuple[Arrays, dict[str, Any]]]:
    data = path.read_bytes()
    for record in unpack(data):
        if isinstance(record, Broken):
            _log.warning(
                "%s: dropped the last %d bytes, from byte %d on: %s",
                path,
                len(data) - record.offset,
                record.offset,
                record.reason,
            )
            return
        yield record


def first_header(path: Path, spec: Spec | None = None) -> dict[str, Any] | None:
    """The header of an episode file, checked against ``spec``; None when it is not whole."""
    for _, header in _whole_records(path):
        checked_spec(path, header, spec)
        return header
    return None


def checked_spec(path: Path, header: dict[str, Any], spec: Spec | None) -> Spec:
    """The spec in an episode's header; ``LogError`` when it or the format is another one."""
    if header.get("format") != FORMAT:
        raise LogError(
            f"{path}: log format {header.get('format')!r}, written by handful "
            f"{header.get('version', 'unknown')}; handful {__version__} reads format {FORMAT}"
        )
    found = Spec.from_dict(header["spec"])
    if spec is not None and found != spec:
        theirs, ours = found.to_dict(), spec.to_dict()
        differing = [key for key in ours if ours[key] != theirs[key]]
        raise LogError(
            f"{path}: recorded with another spec: "
            + ", ".join(f"{key} is {theirs[key]}, expected {ours[key]}" for key in differing)
        )
    return found


def _shifted(stack: NDArray[np.uint8], newest: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The stack one step later; (H, W, 3*K), the newest last."""
    return newest if stack.shape == newest.shape else np.concatenate([stack[:, :, 3:], newest], 2)


def episode_files(folder: Path) -> list[Path]:
    """The episode files of a session in order; none when the folder is missing."""
    if not folder.is_dir():
        return []
    return sorted((p for p in folder.iterdir() if _NAME.fullmatch(p.name)), key=episode_number)


def episode_number(path: Path) -> int:
    """The number in an episode file's name."""
    match = _NAME.fullmatch(path.name)
    assert match is not None
    return int(match[1])
