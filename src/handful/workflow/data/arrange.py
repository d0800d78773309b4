"""Episodes relabelled, cut, put together and taken apart; no recording is ever changed by it."""

import datetime
import getpass
import os
import random
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from handful.contract import Spec
from handful.rig import edits
from handful.rig.edits import Edit
from handful.rig.episodes import EpisodeLog, describe
from handful.rig.picture_codec import Pictures
from handful.rig.playback import episode_files, episode_number, read_file, step_count
from handful.workflow.data.sessions import DataError, picked_files, same_spec


def said_by(who: str | None = None) -> tuple[str, str]:
    """Who says it (the account's name unless given) and when (ISO 8601, UTC)."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return who or getpass.getuser(), now.isoformat(timespec="seconds")


def relabel(
    session: Path,
    wanted: set[int],
    *,
    success: bool | None = None,
    reward: float | None = None,
    undo: bool = False,
    who: str | None = None,
    why: str = "",
) -> list[Edit]:
    """Say how episodes ended; an edit each, in force whenever the session is read.

    Raises:
        DataError: an episode is not there or has no step, or nothing was said.
    """
    if success is None and reward is None and not undo:
        raise DataError("say what is to change: --success, --failure, --reward R or --undo")
    name, when = said_by(who)
    said = []
    for path in picked_files(session, wanted):
        steps = step_count(path)
        if not steps:
            raise DataError(f"{path}: has no whole step, so nothing ended")
        said.append(Edit(path.name, steps, name, when, why, success, reward, undo=undo))
    for edit in said:
        edits.write(session, edit)
    return said


def trim(
    session: Path,
    number: int,
    first: int | None = None,
    end: int | None = None,
    *,
    who: str | None = None,
    why: str = "",
) -> Edit:
    """Cut an episode to its steps ``first`` to ``end`` (exclusive), counted as recorded.

    Raises:
        DataError: no such episode or steps, or a run goes on from this very log.
    """
    (path,) = picked_files(session, {number})
    checkpoint = session.parent / "checkpoint.safetensors"
    if session.name == "episodes" and checkpoint.is_file():
        raise DataError(
            f"{session}: {checkpoint.name} beside it counts these steps, so they cannot be cut; "
            "cut a copy: handful data merge COPY " + str(session)
        )
    steps = step_count(path)
    first = first or 0
    end = steps if end is None else end
    if not 0 <= first < end <= steps:
        raise DataError(
            f"{path}: has the steps 0 to {steps}, so it cannot be cut to {first} until {end}"
        )
    name, when = said_by(who)
    edit = Edit(path.name, steps, name, when, why, first=first, end=end)
    edits.write(session, edit)
    return edit


def merge(
    out: Path, sources: Sequence[tuple[Path, set[int] | None]], pictures: Pictures | None = None
) -> list[Path]:
    """Episodes of several sessions as one session, in order; what is in ``out`` stays first.

    Files are linked where they can be, so this costs no disk; edits come along.

    Args:
        out: a new folder, or a session of the same spec.
        sources: sessions, and which of their episodes (None: all).
        pictures: store the pictures anew like this, with the edits carried out.
    Returns:
        The new files.
    Raises:
        DataError: specs that do not fit together; nothing was written then.
    """
    spec: Spec | None = describe(out)[0] if episode_files(out) else None
    chosen = [
        (session, path) for session, which in sources for path in picked_files(session, which)
    ]
    for session, _ in sources:
        if session.resolve() == out.resolve():
            raise DataError(f"{out}: cannot be merged into itself")
    for session, path in chosen:
        episode = read_file(path)
        if episode is None:
            raise DataError(f"{path}: has no whole step; leave it out, or look: handful data check")
        spec = spec or episode.spec
        same_spec(spec, episode.spec, session)
    if not chosen:
        raise DataError(f"{out}: there is nothing to put into it")
    out.mkdir(parents=True, exist_ok=True)
    return [_take(path, out, pictures) for _, path in chosen]


def _take(path: Path, out: Path, pictures: Pictures | None) -> Path:
    said = [edit for edit in edits.read(path.parent) if edit.file == path.name]
    if pictures is not None:
        episode = read_file(path, None, edits.fold(edits.View(), said))
        if episode is None:
            raise DataError(f"{path}: its edits leave no step of it")
        with EpisodeLog(out, episode.spec, episode.meta, pictures) as log:
            made = log.begin(episode.observation, episode.demo, episode.info, episode.recorded)
            for step in episode.transitions[:-1]:
                log.add(step)
            log.add(replace(episode.transitions[-1], last=episode.complete))
            if episode.fault and not episode.complete:
                log.fault(episode.fault)
        return made
    files = episode_files(out)
    number = 1 + episode_number(files[-1]) if files else 0
    while True:
        made = out / f"episode_{number:06d}.log"
        try:
            _link(path, made)
            break
        except FileExistsError:
            number += 1
    for edit in said:
        edits.write(out, replace(edit, file=made.name))
    return made


def _link(path: Path, made: Path) -> None:
    """A second name for a finished file; a copy where it is not finished or on another disk."""
    episode = read_file(path)
    if episode is not None and (episode.complete or episode.fault):
        try:
            os.link(path, made)
            return
        except FileExistsError:
            raise
        except OSError:
            pass
    with path.open("rb") as source, made.open("xb") as target:
        shutil.copyfileobj(source, target)
        target.flush()
        os.fsync(target.fileno())


def split(session: Path, out: Path, share: float, seed: int = 0) -> tuple[list[Path], list[Path]]:
    """Episodes by their world's seed into ``out/train`` and ``out/held_out``.

    Episodes of one seed stay together, so that no world is both learned and tested; those without
    a seed each count as a world of their own. The same seed here gives the same parts.

    Args:
        share: of the worlds that are held out, in (0, 1); at least one on each side.
    Raises:
        DataError: fewer than two worlds, or ``out`` holds parts already.
    """
    worlds: dict[str, set[int]] = {}
    for path in episode_files(session):
        episode = read_file(path)
        if episode is not None:
            world = f"seed {episode.info['seed']}" if "seed" in episode.info else path.name
            worlds.setdefault(world, set()).add(episode_number(path))
    if len(worlds) < 2:
        raise DataError(f"{session}: has {len(worlds)} world; a split needs two or more")
    parts = out / "train", out / "held_out"
    for part in parts:
        if episode_files(part):
            raise DataError(f"{part}: holds episodes already; give another --out")
    names = sorted(worlds)
    random.Random(seed).shuffle(names)
    count = min(max(1, round(share * len(names))), len(names) - 1)
    chosen = [set().union(*(worlds[n] for n in part)) for part in (names[count:], names[:count])]
    train, held_out = (
        merge(part, [(session, which)]) for part, which in zip(parts, chosen, strict=True)
    )
    return train, held_out
