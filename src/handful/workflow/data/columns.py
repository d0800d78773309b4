"""One episode as columns, as data sets want it, and back to steps without losing a bit."""

import zlib
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handful.contract import Observation, Spec, Transition
from handful.rig.episodes import Episode, EpisodeLog
from handful.rig.records import Arrays, Broken, pack, unpack

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Columns:
    """An episode of N steps.

    pictures: camera -> (N+1, H, W, 3) uint8, the newest frame of each stack. older: camera ->
    (H, W, 3*(K-1)) uint8, the older frames of the first stack. states: (N+1, P). actions: (N, A),
    as sent. asked: (N, A') where it is known, else NaN. steps: what else is known of each step
    (reward, discount, last, demo, info, stamp_s, parts_s). first: stamps of the first observation.
    where: for messages.
    """

    spec: Spec
    pictures: dict[str, NDArray[np.uint8]]
    older: dict[str, NDArray[np.uint8]]
    states: Float32
    actions: Float32
    asked: Float32 | None
    steps: list[dict[str, Any]]
    first: dict[str, Any]
    demo: bool = True
    info: dict[str, Any] = field(default_factory=dict)
    meta: dict[str, Any] = field(default_factory=dict)
    recorded: dict[str, Any] = field(default_factory=dict)
    complete: bool = True
    fault: str = ""
    task: str = ""
    where: str = ""

    @property
    def length(self) -> int:
        """N, the number of steps."""
        return len(self.steps)

    @property
    def success(self) -> bool:
        """Whether it ended rewarded, with its future over."""
        return self.steps[-1]["reward"] > 0.0 and self.steps[-1]["discount"] == 0.0


def to_columns(episode: Episode, task: str | None = None) -> Columns:
    """An episode's columns; task: in words, the session's unless given."""
    seen = [episode.observation, *(t.next_observation for t in episode.transitions)]
    asked = [t.asked for t in episode.transitions]
    width = max((len(a) for a in asked if a is not None), default=0)
    rows = np.full((len(asked), width), np.nan, np.float32)
    for row, wish in zip(rows, asked, strict=True):
        if wish is not None:
            row[: len(wish)] = wish
    words = task or episode.info.get("task") or episode.meta.get("task") or "manipulation"
    return Columns(
        spec=episode.spec,
        pictures={
            name: np.stack([o.images[name][:, :, -3:] for o in seen])
            for name in episode.spec.cameras
        },
        older={name: episode.observation.images[name][:, :, :-3] for name in episode.spec.cameras},
        states=np.stack([o.state for o in seen]),
        actions=np.stack([t.action for t in episode.transitions]),
        asked=rows if width else None,
        steps=[_step(t) for t in episode.transitions],
        first=_stamps(episode.observation),
        demo=episode.demo,
        info=episode.info,
        meta=episode.meta,
        recorded=episode.recorded,
        complete=episode.complete,
        fault=episode.fault,
        task=str(words),
        where=str(episode.path),
    )


def write_log(log: EpisodeLog, columns: Columns) -> None:
    """Append the episode to a session's log.

    Raises:
        LogError: the shapes do not fit each other, or the disk is full.
    """
    seen = _observation(columns, 0, columns.older, columns.first)
    log.begin(seen, columns.demo, columns.info, columns.recorded or None)
    for k, values in enumerate(columns.steps):
        older = {name: stack[:, :, 3:] for name, stack in seen.images.items()}
        seen = _observation(columns, k + 1, older, values)
        step = Transition(
            action=columns.actions[k],
            reward=values["reward"],
            discount=values["discount"],
            next_observation=seen,
            last=values["last"],
            demo=values["demo"],
            info=values["info"],
            asked=_asked(columns, k),
        )
        cut_off = k + 1 == columns.length and not columns.complete
        log.add(replace(step, last=False) if cut_off else step)
    if columns.fault and not columns.complete:
        log.fault(columns.fault)
    log.end()


def _asked(columns: Columns, k: int) -> Float32 | None:
    width = columns.steps[k].get("asked", columns.spec.action_dim)
    if columns.asked is None or width is None or np.isnan(columns.asked[k, :width]).all():
        return None
    return columns.asked[k, :width]


def _observation(
    columns: Columns, k: int, older: dict[str, NDArray[np.uint8]], values: dict[str, Any]
) -> Observation:
    images = {
        name: np.concatenate([older[name], columns.pictures[name][k]], 2)
        for name in columns.spec.cameras
    }
    return Observation(
        images, columns.states[k], values["stamp_s"], tuple(values.get("parts_s", ()))
    )


def _stamps(observation: Observation) -> dict[str, Any]:
    return {"stamp_s": observation.stamp_s, "parts_s": list(observation.parts_s)}


def _step(t: Transition) -> dict[str, Any]:
    return {
        "reward": t.reward,
        "discount": t.discount,
        "last": t.last,
        "demo": t.demo,
        "info": t.info,
        "asked": None if t.asked is None else len(t.asked),
        **_stamps(t.next_observation),
    }


def frame_rate_hz(chosen: list[Columns]) -> float:
    """Steps a second: what the session says, or else the median of the stamps, in whole hertz."""
    said = chosen[0].meta.get("rig")
    if isinstance(said, dict) and said.get("control_rate_hz"):
        return float(said["control_rate_hz"])
    gaps = [
        np.diff([one.first["stamp_s"], *(step["stamp_s"] for step in one.steps)]) for one in chosen
    ]
    median_s = float(np.median(np.concatenate(gaps)))
    return max(1.0, round(1.0 / median_s)) if median_s > 0.0 else 10.0


def keep(columns: Columns) -> bytes:
    """All that a foreign format has no place for, as one checksummed record.

    With what the format holds (pictures, states and actions of steps 0 to N-1) it gives back the
    episode to the bit; its digest says whether they still belong together.
    """
    arrays: Arrays = {f"older.{name}": stack for name, stack in columns.older.items()}
    arrays |= {f"end.{name}": stack[-1] for name, stack in columns.pictures.items()}
    arrays["end_state"] = columns.states[-1]
    if columns.asked is not None:
        arrays["asked"] = columns.asked
    names = ("steps", "first", "demo", "info", "meta", "recorded", "complete", "fault", "task")
    values = {name: getattr(columns, name) for name in names}
    values |= {
        "spec": columns.spec.to_dict(),
        "digest": digest(columns.states[:-1], columns.actions),
    }
    return pack(arrays, values)


def kept(
    data: bytes,
    pictures: dict[str, NDArray[np.uint8]],
    states: Float32,
    actions: Float32,
    where: str,
) -> Columns | None:
    """The episode of ``keep`` and of what the format held (N rows each); None when they differ."""
    record = next(unpack(data), None)
    if record is None or isinstance(record, Broken):
        return None
    arrays, values = record
    spec = Spec.from_dict(values.pop("spec"))
    if values.pop("digest") != digest(states, actions) or set(pictures) != set(spec.cameras):
        return None
    whole = {
        name: np.concatenate([pictures[name], arrays[f"end.{name}"][None]]) for name in spec.cameras
    }
    return Columns(
        spec=spec,
        pictures=whole,
        older={name: arrays[f"older.{name}"] for name in spec.cameras},
        states=np.concatenate([states, arrays["end_state"][None]]),
        actions=actions,
        asked=arrays.get("asked"),
        where=where,
        **values,
    )


def digest(states: Float32, actions: Float32) -> int:
    """Whether two halves of an episode belong together."""
    first = zlib.crc32(np.ascontiguousarray(states, np.float32).tobytes())
    return zlib.crc32(np.ascontiguousarray(actions, np.float32).tobytes(), first)
