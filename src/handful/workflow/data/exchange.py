"""Episodes out to other people's formats and in from them; tells by content which one it is."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from handful.rig.episodes import EpisodeLog
from handful.rig.picture_codec import Pictures
from handful.rig.playback import episode_files
from handful.workflow.data.columns import Columns, frame_rate_hz, to_columns, write_log
from handful.workflow.data.sessions import DataError, episodes, refuse_pickle, same_spec

_HDF5 = b"\x89HDF\r\n\x1a\n"
_BAG = b"#ROSBAG V2.0"


def export(
    session: Path,
    out: Path,
    kind: str,
    wanted: set[int] | None,
    *,
    pictures: str = "png",
    fps: float | None = None,
    task: str | None = None,
) -> dict[str, Any]:
    """Write episodes of ``session`` to ``out``, whole or not at all.

    Args:
        kind: ``lerobot`` (a folder) or ``robomimic`` (a file).
        pictures: of LeRobot: ``png``, ``ffv1`` or ``h264``.
        fps: frames a second; from the stamps unless given.
        task: in words; the session's unless given.
    Raises:
        DataError: ``out`` is there already, or there is nothing to write.
    """
    if out.exists():
        raise DataError(f"{out}: is there already; give another name, or move it away")
    chosen = [to_columns(episode, task) for episode in episodes(session, wanted)]
    if not chosen:
        raise DataError(f"{session}: has no whole step to export")
    rate_hz = fps or frame_rate_hz(chosen)
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f".{out.name}.part")
    _remove(part)
    try:
        if kind == "lerobot":
            from handful.workflow.data.lerobot_out import write_dataset

            told = write_dataset(part, chosen, rate_hz, pictures)
        else:
            from handful.workflow.data.robomimic import write_file

            told = write_file(part, chosen, rate_hz)
        part.rename(out)
    finally:
        _remove(part)
    return {
        "out": str(out),
        "format": kind,
        "episodes": len(chosen),
        "steps": sum(one.length for one in chosen),
        "bytes": sum(f.stat().st_size for f in [out, *out.rglob("*")] if f.is_file()),
        "fps": rate_hz,
        **told,
    }


def bring_in(
    source: Path,
    out: Path,
    *,
    task: str | None = None,
    pictures: Pictures = "raw",
    rig: str | None = None,
    topics: str | None = None,
) -> dict[str, Any]:
    """Make the session ``out`` of what ``source`` holds, whole or not at all.

    Args:
        rig, topics: of a bag: settings of the cell, and which topic is what.
    Returns:
        episodes, steps, and notes: what was left out, and why.
    Raises:
        DataError: not a data set, one that leads outside of itself or would need unpickling, or
            ``out`` holds episodes already.
    """
    if out.is_dir() and episode_files(out):
        raise DataError(
            f"{out}: holds episodes already; import into a new folder, then handful data merge"
        )
    read = _reader(source)
    part = out.with_name(f".{out.name}.part")
    _remove(part)
    try:
        notes: list[str] = read(source, part, task, pictures, rig, topics)
        files = episode_files(part) if part.is_dir() else []
        if not files:
            said = f": {notes[0]}" if notes else ""
            raise DataError(f"{source}: holds no episode that can be brought in{said}")
        steps = sum(len(episode.transitions) for episode in episodes(part))
        out.mkdir(parents=True, exist_ok=True)
        for path in files:
            path.rename(out / path.name)
    finally:
        _remove(part)
    return {
        "source": str(source),
        "out": str(out),
        "episodes": len(files),
        "steps": steps,
        "notes": notes,
    }


_Reader = Callable[[Path, Path, str | None, Pictures, str | None, str | None], list[str]]


def _reader(source: Path) -> _Reader:
    """Who reads ``source``; by its content, not by its name."""
    if source.is_dir():
        if (source / "meta" / "info.json").is_file():
            return _lerobot
        if episode_files(source):
            raise DataError(f"{source}: is a session already; handful data merge copies it")
        if any(source.glob("*.bag")):
            return _bag
        raise DataError(
            f"{source}: is no LeRobotDataset (no meta/info.json) and holds no .bag files"
        )
    if not source.is_file():
        raise DataError(f"{source}: no such file or folder")
    refuse_pickle(source)
    with source.open("rb") as file:
        head = file.read(16)
    if head.startswith(_HDF5):
        return _robomimic
    if head.startswith(_BAG):
        return _bag
    raise DataError(
        f"{source}: expected a LeRobotDataset v3 (a folder), a robomimic HDF5 file or a rosbag; it "
        f"begins with {head[:8]!r}"
    )


def _lerobot(
    source: Path, out: Path, task: str | None, pictures: Pictures, *_: str | None
) -> list[str]:
    from handful.workflow.data.lerobot_in import read_dataset

    notes: list[str] = []
    _log(out, read_dataset(source, task, notes), pictures)
    return notes


def _robomimic(
    source: Path, out: Path, task: str | None, pictures: Pictures, *_: str | None
) -> list[str]:
    from handful.workflow.data.robomimic import read_file

    notes: list[str] = []
    _log(out, read_file(source, task, notes), pictures)
    return notes


def _bag(
    source: Path, out: Path, task: str | None, pictures: Pictures,
    rig: str | None, topics: str | None,
) -> list[str]:  # fmt: skip
    try:
        from handful.wire.bag import read_bags
    except ImportError as error:
        raise DataError(
            f"{source}: reading a bag needs ROS and our messages ({error}): make ros"
        ) from None
    bags = sorted(source.glob("*.bag")) if source.is_dir() else [source]
    for bag in bags:
        inside(source if source.is_dir() else source.parent, bag)
    return read_bags(bags, out, rig or "rig", topics or "data/bag", task, pictures)


def _log(out: Path, found: Any, pictures: Pictures) -> None:
    log: EpisodeLog | None = None
    first: Columns | None = None
    try:
        for columns in found:
            first = first or columns
            same_spec(first.spec, columns.spec, Path(columns.where))
            if log is None or columns.meta != first.meta:
                if log is not None:
                    log.end()
                log = EpisodeLog(out, columns.spec, columns.meta, pictures)
                first = columns
            write_log(log, columns)
    finally:
        if log is not None:
            log.end()


def inside(root: Path, path: Path) -> Path:
    """``path`` when it stays in ``root``, links followed.

    Raises:
        DataError: it leads outside.
    """
    if not path.resolve().is_relative_to(root.resolve()):
        raise DataError(f"{root}: names a file outside of itself: {path}; nothing was read from it")
    return path


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
