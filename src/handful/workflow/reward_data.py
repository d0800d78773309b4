"""Recorded sessions as labelled frames, the way a success classifier's eye sees them.

What counts is how an episode ended and what people have said about it since. An episode that a
classifier ended says nothing, unless a person has: a classifier is not to learn from itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handful.contract import Observation, Spec
from handful.learn.success import Bank
from handful.learn.success_eye import Eye
from handful.learn.success_fit import encode
from handful.learn.success_settings import SuccessSettings
from handful.rig.playback import Episode
from handful.rig.reward_labels import ended_in_success, labels
from handful.workflow.data.sessions import DataError, episodes, find_sessions, same_spec
from handful.workflow.errors import RunError


@dataclass
class Sessions:
    """The sessions that were named, read one episode at a time.

    spec: of all of them. cameras: the rig's cameras (size, crop) where the sessions tell; tasks:
    their tasks. left_out: how many episodes say nothing, by reason.
    """

    folders: list[Path]
    spec: Spec
    cameras: dict[str, Any]
    tasks: list[str]
    left_out: dict[str, int] = field(default_factory=dict)

    def episodes(self) -> Iterator[Episode]:
        """Every episode that says something, edits in force."""
        self.left_out.clear()
        for folder in self.folders:
            for episode in episodes(folder):
                if reason := says_nothing(episode):
                    self.left_out[reason] = self.left_out.get(reason, 0) + 1
                else:
                    yield episode

    @property
    def notes(self) -> list[str]:
        """What was left out, in words."""
        return [f"{count} episodes left out: {why}" for why, count in self.left_out.items()]


def says_nothing(episode: Episode) -> str:
    """Why an episode's end is no label; empty: it is one."""
    if episode.view.success is not None:
        return ""
    if not episode.complete or episode.fault:
        return "cut off before they ended"
    last = episode.transitions[-1].info
    if last.get("judge") == "learned" and not last.get("said_by"):
        return "judged by a classifier; handful data relabel says how they ended"
    return ""


def open_sessions(paths: tuple[Path, ...] | list[Path]) -> Sessions:
    """The sessions meant by these paths (sessions or runs).

    Raises:
        DataError: nothing there, or they were recorded with other cameras or sizes.
    """
    folders: list[Path] = []
    for path in paths:
        folders += [folder for folder in find_sessions(path) if folder not in folders]
    spec: Spec | None = None
    cameras: dict[str, Any] = {}
    tasks: list[str] = []
    for folder in folders:
        first = next(iter(episodes(folder)), None)
        if first is None:
            continue
        if spec is None:
            spec = first.spec
        same_spec(spec, first.spec, folder)
        there = (first.meta.get("rig") or {}).get("cameras") or {}
        if cameras and there and there != cameras:
            raise DataError(f"{folder}: its cameras have another size or crop than {folders[0]}'s")
        cameras = cameras or there
        task = first.meta.get("task")
        if isinstance(task, str) and task not in tasks:
            tasks.append(task)
    if spec is None:
        raise DataError(f"{', '.join(map(str, paths))}: no episode with a whole step")
    return Sessions(folders, spec, cameras, tasks)


def observations(episode: Episode) -> list[Observation]:
    """Every frame of an episode, the first observation included."""
    return [episode.observation, *(step.next_observation for step in episode.transitions)]


def to_bank(sessions: Sessions, eye: Eye, settings: SuccessSettings, views: int, seed: int) -> Bank:
    """All labelled frames of the sessions, none of them held out yet.

    Raises:
        RunError: no episode of them says anything.
    """
    rng = np.random.default_rng(seed)
    parts, names, wins = [], [], []
    for episode in sessions.episodes():
        seen = observations(episode)
        pictures = {name: np.stack([one.images[name] for one in seen]) for name in eye.spec.cameras}
        success = ended_in_success(episode)
        said = labels(len(seen), success, settings.positive_steps, settings.dead_steps)
        parts.append((*encode(eye, pictures, views, rng), said))
        names.append(str(episode.path))
        wins.append(success)
    if not parts:
        raise RunError("; ".join(["no episode says how it ended", *sessions.notes]))
    lengths = [len(said) for _, _, said in parts]
    return Bank(
        latents=np.concatenate([latents for latents, _, _ in parts]),
        colours=np.concatenate([colour for _, colour, _ in parts]),
        labels=np.concatenate([said for _, _, said in parts]),
        episodes=np.repeat(np.arange(len(parts), dtype=np.int32), lengths),
        held_out=np.zeros(sum(lengths), bool),
        weights=np.ones(sum(lengths), np.float32),
        names=names,
        wins=wins,
    )


def hold_out(bank: Bank, share: float, seed: int) -> NDArray[np.bool_]:
    """Frames (N,) of a share of the episodes, of successes and of failures alike; at least one
    episode of each where there are two."""
    rng = np.random.default_rng(seed)
    chosen: list[int] = []
    for kind in (True, False):
        there = [k for k, win in enumerate(bank.wins) if win == kind]
        count = min(len(there) - 1, max(1, round(share * len(there)))) if there else 0
        chosen += rng.permutation(there)[:count].tolist()
    return np.isin(bank.episodes, chosen)


def fits(eye: Eye, sessions: Sessions, about: dict[str, Any], name: str) -> None:
    """Refuse sessions whose pictures are not those a classifier was trained on.

    Raises:
        RunError: naming what differs.
    """
    said = difference(eye.spec, about.get("cameras") or {}, sessions.spec, sessions.cameras)
    if said:
        raise RunError(f"{name}: was trained on other pictures: {said}")


def difference(
    spec: Spec, cameras: dict[str, Any], other: Spec, other_cameras: dict[str, Any]
) -> str:
    """What differs between the pictures of two cells, in words; empty: nothing."""
    if spec.cameras != other.cameras:
        return f"cameras {', '.join(spec.cameras)}, here are {', '.join(other.cameras)}"
    ours = (spec.height_px, spec.width_px, spec.frame_stack)
    theirs = (other.height_px, other.width_px, other.frame_stack)
    if ours != theirs:
        return (
            f"{ours[1]} x {ours[0]} px in stacks of {ours[2]}, here are "
            f"{theirs[1]} x {theirs[0]} px in stacks of {theirs[2]}"
        )
    for name in spec.cameras if cameras and other_cameras else ():
        a, b = cameras.get(name) or {}, other_cameras.get(name) or {}
        changed = [key for key in sorted({*a, *b}) if a.get(key) != b.get(key)]
        if changed:
            key = changed[0]
            return f"camera {name} with {key} {a.get(key)}, here it is {b.get(key)}"
    return ""
