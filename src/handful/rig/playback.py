"""Reading the episode log back: lazily, in order, whole steps only, stacks rebuilt."""

import fcntl
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handful import __version__
from handful.contract import Observation, Spec, Transition
from handful.rig.edits import View, views
from handful.rig.picture_codec import from_arrays
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
    that was noted. recorded: when and by which software (unix_s, handful, commit); empty in logs
    older than that. view: what has been said about it since, and is in force here (``rig.edits``).
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
    recorded: dict[str, Any] = field(default_factory=dict)
    view: View = View()


def read(
    folder: str | Path, spec: Spec | None = None, as_recorded: bool = False
) -> Iterator[Episode]:
    """The episodes of a session in order, one file in memory at a time.

    What people have said about them since (``rig.edits``) is in force, unless ``as_recorded``.

    A broken tail is dropped with a logged warning that names file and byte; an episode without a
    single whole step is passed over. When ``spec`` is given, an episode of another is refused.

    Raises:
        LogError: no such folder, or a file of another spec or format.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise LogError(f"{folder}: no such log folder")
    said = {} if as_recorded else views(folder)
    for path in episode_files(folder):
        episode = read_file(path, spec, said.get(path.name, View()))
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


def read_file(path: Path, spec: Spec | None = None, view: View | None = None) -> Episode | None:
    """One episode's file as ``read`` gives it, seen through ``view``; None without a whole step.

    Raises:
        LogError: a file of another spec or format.
    """
    records, view = _whole_records(path), view or View()
    first = next(records, None)
    if first is None:
        return None
    arrays, header = first
    found = checked_spec(path, header, spec)
    observation = latest = first_observation(arrays, header, found)
    transitions: list[Transition] = []
    fault, complete, whole = "", False, 0
    for arrays, values in records:
        if "fault" in values:
            fault = values["fault"]
            break
        step = transition(arrays, values, latest)
        latest, complete, whole = step.next_observation, step.last, whole + 1
        if whole == view.first:
            observation = latest
        if view.keeps(whole - 1):
            transitions.append(view.of(whole - 1, step))
    if not transitions:
        return None
    complete |= transitions[-1].last
    if not transitions[-1].last:
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
        recorded=header.get("recorded", {}),
        view=view,
    )


def first_observation(arrays: Arrays, header: dict[str, Any], spec: Spec) -> Observation:
    """The observation an episode's first record holds."""
    return Observation(
        images={name: from_arrays(name, arrays, spec.height_px) for name in spec.cameras},
        state=arrays["state"],
        stamp_s=header["stamp_s"],
        parts_s=tuple(header.get("parts_s", ())),
    )


def transition(arrays: Arrays, values: dict[str, Any], before: Observation) -> Transition:
    """The step a record holds, which followed ``before``; it has one newest frame a camera."""
    seen = Observation(
        images={
            name: _shifted(stack, from_arrays(name, arrays, stack.shape[0]))
            for name, stack in before.images.items()
        },
        state=arrays["state"],
        stamp_s=values["stamp_s"],
        parts_s=tuple(values.get("parts_s", ())),
    )
    return Transition(
        action=arrays["action"],
        reward=values["reward"],
        discount=values["discount"],
        next_observation=seen,
        last=values["last"],
        demo=values["demo"],
        info=values["info"],
        asked=arrays.get("asked"),
    )


def whole_length(path: Path) -> tuple[int, dict[str, Any] | None]:
    """Bytes of a file's whole records, and the values of the last one (None when there is none)."""
    data, values = path.read_bytes(), None
    for record in unpack(data):
        if isinstance(record, Broken):
            return record.offset, values
        values = record[1]
    return len(data), values


def being_written(path: Path) -> bool:
    """Whether some process holds the file open as its recorder; a dead one holds nothing."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


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
