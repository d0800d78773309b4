"""Which sessions are meant, which of their episodes, and one line about each."""

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from handful.contract import Spec
from handful.rig.edits import View, views
from handful.rig.episodes import Episode, LogError
from handful.rig.playback import episode_files, episode_number, read_file
from handful.workflow.errors import RunError

_RANGE = re.compile(r"(\d+)(?:-(\d+))?")
_PICKLE = re.compile(r".*\.(pkl|pickle|p|pt|pth|npy|npz|joblib)", re.IGNORECASE)


class DataError(RunError):
    """A data set that cannot be used as asked; the message names the file and the way out."""


@dataclass(frozen=True)
class Row:
    """What ``handful data list`` says about one episode; None is what the log does not tell.

    seconds: between the first and the last observation, on the cell's clock. source: demonstration,
    policy, or what the recorder called itself. edits: how many are in force.
    """

    session: str
    episode: int
    file: str
    steps: int
    success: bool | None
    seconds: float
    bytes: int
    source: str
    task: str | None
    operator: str | None
    seed: int | None
    commit: str | None
    complete: bool
    fault: str
    edits: int

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)


def find_sessions(path: str | Path) -> list[Path]:
    """The sessions meant by a path: itself, or every folder of episodes up to three levels below.

    Raises:
        DataError: no such folder, no episodes anywhere in it, or a file that would need unpickling.
    """
    path = Path(path)
    if path.is_file():
        refuse_pickle(path)
        raise DataError(f"{path}: expected a folder of episodes or a run, got a file")
    if not path.is_dir():
        raise DataError(f"{path}: no such session or run folder")
    if episode_files(path):
        return [path]
    below = {
        file.parent
        for depth in ("*", "*/*", "*/*/*")
        for file in path.glob(f"{depth}/episode_*.log")
        if not file.parent.is_symlink()
    }
    if not below:
        raise DataError(
            f"{path}: holds no episodes (episode_000000.log, ...); "
            "`handful collect` records some, `handful data import` brings some in"
        )
    return sorted(below)


def one_session(path: str | Path) -> Path:
    """The one session meant by a path.

    Raises:
        DataError: there are several, or none.
    """
    found = find_sessions(path)
    if len(found) > 1:
        names = ", ".join(str(folder) for folder in found[:4])
        raise DataError(f"{path}: holds {len(found)} sessions ({names}); name one of them")
    return found[0]


def refuse_pickle(path: Path) -> None:
    """Refuse a file that would have to be unpickled.

    Raises:
        DataError: it is one.
    """
    with path.open("rb") as file:
        head = file.read(2)
    if _PICKLE.fullmatch(path.name) or (head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05"):
        raise DataError(
            f"{path}: a pickle runs whatever code is in it, so it is not opened; convert it where "
            "it was made, to LeRobotDataset v3 or robomimic HDF5"
        )


def numbers(text: str | None) -> set[int] | None:
    """``"0,3-7"`` to the numbers; None for all.

    Raises:
        DataError: not such a list.
    """
    if text is None:
        return None
    found: set[int] = set()
    for part in text.split(","):
        match = _RANGE.fullmatch(part.strip())
        if match is None:
            raise DataError(f"--episodes {text!r}: expected numbers such as 0,3-7")
        first = int(match[1])
        found |= set(range(first, int(match[2] or first) + 1))
    return found


def picked_files(session: Path, wanted: set[int] | None = None) -> list[Path]:
    """The files of the wanted episodes, in order.

    Raises:
        DataError: one of them is not there.
    """
    files = episode_files(session)
    if wanted is None:
        return files
    missing = wanted - {episode_number(path) for path in files}
    if missing:
        raise DataError(
            f"{session}: has no episode {min(missing)}; it has "
            f"{', '.join(str(episode_number(p)) for p in files[:12])}"
            + (", ..." if len(files) > 12 else "")
        )
    return [path for path in files if episode_number(path) in wanted]


def episodes(session: Path, wanted: set[int] | None = None) -> Iterator[Episode]:
    """The wanted episodes as they read, edits in force; the first one's spec holds for all.

    Raises:
        DataError: an episode is not there. LogError: one of another spec or format.
    """
    said, spec = views(session), None
    for path in picked_files(session, wanted):
        episode = read_file(path, spec, said.get(path.name, View()))
        if episode is not None:
            spec = spec or episode.spec
            yield episode


def rows(session: Path) -> list[Row]:
    """One row an episode; one that has no whole step has ``steps`` 0."""
    said = views(session)
    found = []
    for path in episode_files(session):
        view = said.get(path.name, View())
        try:
            episode = read_file(path, None, view)
        except (LogError, KeyError, ValueError) as error:
            found.append(_unreadable(session, path, str(error)))
            continue
        found.append(
            _unreadable(session, path, "no whole step")
            if episode is None
            else row(session, episode)
        )
    return found


def row(session: Path, episode: Episode) -> Row:
    """What is said about one episode."""
    last, meta, info = episode.transitions[-1], episode.meta, episode.info
    default = "demonstration" if episode.demo else "policy"
    seed = info.get("seed")
    return Row(
        session=str(session),
        episode=episode_number(episode.path),
        file=str(episode.path),
        steps=len(episode.transitions),
        success=ended_well(episode),
        seconds=round(last.next_observation.stamp_s - episode.observation.stamp_s, 3),
        bytes=episode.path.stat().st_size,
        source=str(info.get("source") or meta.get("source") or meta.get("from") or default),
        task=_text(info.get("task") or meta.get("task")),
        operator=_text(info.get("operator") or meta.get("operator")),
        seed=seed if isinstance(seed, int) else None,
        commit=_text(episode.recorded.get("commit")),
        complete=episode.complete,
        fault=episode.fault,
        edits=episode.view.edits,
    )


def ended_well(episode: Episode) -> bool:
    """Whether the episode ended in success: rewarded, and its future is over."""
    last = episode.transitions[-1]
    return last.discount == 0.0 and last.reward > 0.0


def same_spec(first: Spec, other: Spec, path: Path) -> None:
    """Refuse what does not fit together.

    Raises:
        DataError: naming what differs.
    """
    if first == other:
        return
    if first.cameras != other.cameras:
        raise DataError(
            f"{path}: has the cameras {', '.join(other.cameras)}, expected "
            f"{', '.join(first.cameras)} in this order"
        )
    if first.action_dim != other.action_dim:
        raise DataError(
            f"{path}: has actions of {other.action_dim} numbers, expected {first.action_dim}; "
            "another action space cannot be mixed in"
        )
    theirs, ours = other.to_dict(), first.to_dict()
    said = [f"{k} is {theirs[k]}, expected {ours[k]}" for k in ours if ours[k] != theirs[k]]
    raise DataError(f"{path}: was recorded with another spec: {', '.join(said)}")


def _unreadable(session: Path, path: Path, why: str) -> Row:
    size = path.stat().st_size
    return Row(
        str(session), episode_number(path), str(path), 0, None, 0.0, size,
        "?", None, None, None, None, False, why, 0,
    )  # fmt: skip


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
