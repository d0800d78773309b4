"""Frames that pre-training has not seen, and what is known about them: the ground it is judged on.

In the twin they are recorded for the purpose, scripted episodes in worlds of the PROBE range; on an
arm they are sessions somebody names. The truth about things is what the twin wrote into the log
(``handful_twin.tasks.Truth.told``); without it only the tool's own place is known.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handful.config import build
from handful.contract import Observation, Spec, Transition
from handful.rig.edits import View, views
from handful.rig.episodes import EpisodeLog
from handful.rig.playback import episode_files, read_file
from handful.rig.settings import RigSettings
from handful.workflow.collect import demonstrate
from handful.workflow.data.about import about
from handful.workflow.data.sessions import DataError, ended_well, find_sessions
from handful.workflow.parts import Parts
from handful.workflow.run_folder import RunFolder
from handful.workflow.seeds import Purpose, episode_seed
from handful.workflow.sources import Sources, fits, refuse_half_written

EPISODES = 12
"""Scripted episodes that are recorded when none are named."""
LEAST = 3
"""Fewer episodes than this say nothing: each is judged by what the others tell."""
_TRUE = re.compile(r"true_(.+)_x_m")
_SIZES = {"position": 3, "yaw": 2, "gripper": 1, "velocity": 3, "target_offset": 3}
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class HeldOut:
    """N moments of some episodes.

    observations: N. episodes: (N,) which. places: (N, 3) [m] in B of every thing that moves or
    differs between episodes, the task's own first, and of the tool where the state tells it.
    actions: (N, A) what the demonstrator did then, NaN where nobody demonstrated.
    """

    observations: list[Observation]
    episodes: NDArray[np.int64]
    places: dict[str, Floats]
    actions: Floats
    source: str

    @property
    def knows_things(self) -> bool:
        """Whether it is known where things are, not only where the tool is."""
        return any(name != "tool" for name in self.places)


def record(parts: Parts, run: RunFolder) -> Path:
    """Scripted episodes into ``RUN/held_out``, unless they are there; where they are."""
    have = len(episode_files(run.held_out))
    if have >= EPISODES:
        return run.held_out
    env: Any = parts.environment()
    try:
        with EpisodeLog(run.held_out, env.spec, about(parts.recipe, "held out")) as log:
            for index in range(have, EPISODES):
                seed = episode_seed(Purpose.PROBE, parts.recipe.seed, index)
                first, transitions, success = demonstrate(parts, env, seed)
                log.begin(first, demo=True, info={"seed": seed, "success": success})
                for transition in transitions:
                    log.add(transition)
                log.end()
    finally:
        env.close()
    return run.held_out


def read(paths: Sequence[Path], spec: Spec, learned: Sources, rig: RigSettings) -> HeldOut:
    """The moments of held-out sessions, refused where something was learned from them.

    Args:
        learned: what pre-training sees; no episode and no world of it may be here.
        rig: the cell of sessions that do not say theirs.
    Raises:
        DataError: too few episodes, another spec, half-written, or one that is learned from.
    """
    files = {(one.path.stat().st_dev, one.path.stat().st_ino) for one in learned.episodes}
    worlds = {(one.task, one.seed) for one in learned.episodes if one.seed is not None}
    observations: list[Observation] = []
    episodes, told, actions, tips = list[int](), list[dict[str, Any]](), list[Any](), list[Any]()
    count = 0
    for session in (session for path in paths for session in find_sessions(path)):
        said = views(session)
        for path in episode_files(session):
            refuse_half_written(path)
            view = said.get(path.name, View())
            episode = read_file(path, None, view)
            if episode is None:
                continue
            fits(spec, episode.spec, path)
            stat, world = path.stat(), (episode.meta.get("task"), episode.info.get("seed"))
            if (stat.st_dev, stat.st_ino) in files or world in worlds:
                raise DataError(
                    f"{path}: is learned from as well, so it can measure nothing; "
                    "handful data split parts a session by its worlds"
                )
            cell = _cell(episode.meta, rig)
            shown = episode.demo and ended_well(episode)
            for step, after in zip(
                episode.transitions, [*episode.transitions[1:], None], strict=True
            ):
                observations.append(step.next_observation)
                episodes.append(count)
                told.append(_told(step))
                tips.append(tip_m(step.next_observation.state, cell))
                nothing = np.full(spec.action_dim, np.nan)
                actions.append(after.action if shown and after is not None else nothing)
            count += 1
    if count < LEAST:
        raise DataError(
            f"{', '.join(map(str, paths))}: {count} held-out episodes; at least {LEAST} are "
            "needed, because each is judged by what the others tell"
        )
    places = _places(told)
    if all(tip is not None for tip in tips):
        places["tool"] = np.array(tips, np.float64)
    return HeldOut(
        observations,
        np.array(episodes, np.int64),
        places,
        np.array(actions, np.float64),
        ", ".join(map(str, paths)),
    )


def tip_m(state: NDArray[np.float32], rig: RigSettings) -> Floats | None:
    """Where the tool tip is (3,) [m] in B, out of a state vector; None when it does not say.

    The inverse of ``rig.observe``: position maps the workspace box to [-1, 1].
    """
    joints = rig.observe.joint_count
    names = rig.observe.proprioception
    sizes = [joints if name == "joints" else _SIZES.get(name, 1) for name in names]
    if len(state) != sum(sizes) or "position" not in names:
        return None
    at = sum(sizes[: names.index("position")])
    low, high = np.array(rig.guard.workspace_min_m), np.array(rig.guard.workspace_max_m)
    place: Floats = 0.5 * (high + low) + 0.5 * (high - low) * np.asarray(
        state[at : at + 3], np.float64
    )
    return place


def _cell(meta: dict[str, Any], rig: RigSettings) -> RigSettings:
    said = meta.get("rig")
    return build(RigSettings, dict(said), "session's rig") if isinstance(said, dict) else rig


def _told(step: Transition) -> dict[str, Any]:
    return {name: value for name, value in step.info.items() if name.startswith("true_")}


def _places(told: list[dict[str, Any]]) -> dict[str, Floats]:
    """Things that are told of at every moment and are not always in the same place."""
    names = [match[1] for key in told[0] if (match := _TRUE.fullmatch(key))]
    found = {}
    for name in names:
        keys = [f"true_{name}_{axis}_m" for axis in "xyz"]
        if not all(key in one for one in told for key in keys):
            continue
        places = np.array([[one[key] for key in keys] for one in told], np.float64)
        if places.std(0).max() > 1e-3:
            found[name] = places
    return found
