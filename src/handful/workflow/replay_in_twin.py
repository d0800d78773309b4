"""A recorded episode's commands played in the twin, and how far the twin is from what was recorded.

Nothing is fed back: the twin gets what was sent, when it was sent, and errors add up as they would.
The scene is put up as the episode's seed says when it was recorded in a twin; otherwise the arm
alone starts where it was, over an empty table, and pictures are alike as far as the arm goes.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handful.config import ConfigError
from handful.contract import Frame
from handful.rig.episodes import Episode, LogError
from handful.rig.observe import Observer
from handful.rig.playback import episode_files, read_file
from handful.workflow.errors import RunError
from handful.workflow.identify import PathError, best_delay, path_error
from handful.workflow.identify_path import (
    Played,
    Recorded,
    bare_start,
    newest_pictures,
    play,
    recorded,
)
from handful.workflow.recipe import Options, Recipe, resolve
from handful.workflow.run_folder import RunFolder
from handful.workflow.similarity import exposure_matched, moved, overlap, ssim, still
from handful.workflow.twin_overrides import command_delay_s

Array = NDArray[np.float64]
Pixels = NDArray[np.uint8]

_SAME_START_M = 0.005  # a scene whose start is further off than this is not the recorded one


@dataclass(frozen=True)
class Likeness:
    """One camera. ssim: (K,) of each picture, exposure matched. overlap: mean intersection over
    union of what moved, for cameras that stand; None for others. pairs: (recorded, twin)."""

    ssim: Array
    overlap: float | None
    pairs: list[tuple[Pixels, Pixels]]


@dataclass(frozen=True)
class Gap:
    """The twin against one recorded episode.

    path: of the tip. late_s: how much later the recording happened than the twin's motion, with
    the path error that is left once that is taken out in ``aligned``. gripper_m: (N + 1,) error of
    the opening. joints_rad: root mean square of the joints, where they were recorded. scene:
    whether the things on the table were put up too.
    """

    recorded: Recorded
    played: Played
    path: PathError
    late_s: float
    aligned: PathError
    gripper_m: Array
    joints_rad: float | None
    scene: bool
    likeness: dict[str, Likeness] = field(default_factory=dict)

    def numbers(self) -> dict[str, Any]:
        """The same for JSON, without pictures and paths."""
        return {
            "episode": self.recorded.name,
            "steps": len(self.recorded.commands),
            "scene": self.scene,
            "path": vars(self.path),
            "late_s": self.late_s,
            "path_aligned": vars(self.aligned),
            "gripper_mean_m": float(np.abs(self.gripper_m).mean()),
            "gripper_max_m": float(np.abs(self.gripper_m).max()),
            "joints_rms_rad": self.joints_rad,
            "cameras": {
                name: {
                    "ssim_mean": float(one.ssim.mean()),
                    "ssim_least": float(one.ssim.min()),
                    "moved_overlap": one.overlap,
                }
                for name, one in self.likeness.items()
            },
        }


def find_episode(path: Path) -> Episode:
    """An episode's file, or the first episode of a log's folder.

    Raises:
        RunError: neither, or nothing whole in it.
    """
    files = [path] if path.is_file() else episode_files(path)
    if not files:
        raise RunError(f"{path}: no episode; give an episode_NNNNNN.log, or a folder of them")
    try:
        episode = read_file(files[0])
    except (LogError, OSError, ValueError) as error:
        raise RunError(f"{files[0]}: not an episode that can be read: {error}") from None
    if episode is None:
        raise RunError(f"{files[0]}: not one whole step in it")
    return episode


def recipe_of(episode: Episode, options: Options) -> Recipe:
    """The settings an episode was recorded with, from its run's folder, with ``options`` on top."""
    run = RunFolder(episode.path.parent.parent)
    task = options.task or episode.meta.get("task")
    known = Options(
        task if isinstance(task, str) else None,
        options.agent,
        options.rig,
        options.twin,
        options.seed,
        options.sets,
    )
    return resolve(known, run.read_config(), str(run.config))


def replay(episode: Episode, recipe: Recipe) -> Gap:
    """Play an episode in the twin of ``recipe`` and compare.

    Raises:
        RunError: the settings are not those of the recording.
        ConfigError: the twin does not have the rig's cameras.
    """
    from handful_twin.stage import Stage
    from handful_twin.tasks import TASKS

    path = recorded(episode, recipe.rig)
    missing = sorted(set(episode.spec.cameras) - set(recipe.rig.cameras))
    if missing:
        raise ConfigError(
            f"{path.name} was recorded with the cameras {', '.join(missing)}, which these rig "
            "settings do not have; give the ones it was recorded with (--rig)"
        )
    task = TASKS[recipe.task](recipe.task_settings)
    stage = Stage(task, recipe.rig, recipe.twin)  # type: ignore[arg-type]
    try:
        seed = episode.info.get("seed")
        scene = _put_up(stage, path, seed) if _of_this_task(episode, recipe.task) else False

        def begin() -> None:
            if scene:
                stage.put_up(int(seed))  # type: ignore[arg-type]
            else:
                bare_start(stage.world, stage.arm, path)

        observer = Observer(recipe.rig)
        seen: list[dict[str, Pixels]] = []

        def look(_: int) -> None:
            now_s = stage.world.time_s
            frames: dict[str, Frame] = {
                name: camera.latest(0.0) for name, camera in stage.cameras.items()
            }
            observer.reset()
            seen.append(newest_pictures(observer.observe(frames, stage.arm.state(), now_s)))

        delay_s = command_delay_s(recipe.twin)
        played = play(stage.world, stage.arm, path, delay_s, begin, path.t_s, look)
        standing = {name for name, eye in stage.cameras.items() if eye.attach == "base"}
    finally:
        stage.close()
    late_s = _late_s(path, played)
    joints = None
    if path.q_rad is not None:
        joints = float(np.sqrt(((path.q_rad - played.joints_at(path.t_s)) ** 2).mean()))
    return Gap(
        recorded=path,
        played=played,
        path=path_error(path, played),
        late_s=late_s,
        aligned=path_error(path, played, late_s),
        gripper_m=played.gripper_at(path.t_s) - path.gripper_m,
        joints_rad=joints,
        scene=scene,
        likeness=_likeness(episode, seen, standing),
    )


def _of_this_task(episode: Episode, task: str) -> bool:
    return isinstance(episode.info.get("seed"), int) and episode.meta.get("task") == task


def _put_up(stage: Any, path: Recorded, seed: Any) -> bool:
    """Whether the scene of the seed begins where the recording does."""
    stage.put_up(int(seed))
    tip_m = stage.arm.state().p_BT_m
    return bool(np.linalg.norm(tip_m - path.p_BT_m[0]) < _SAME_START_M)


def _late_s(path: Recorded, played: Played) -> float:
    """The shift [s] at which the paths fit best, to both sides: cross-correlation's maximum."""
    ahead_s = 0.2
    sooner = Played(played.t_s - ahead_s, played.p_BT_m, played.q_rad, played.gripper_m)
    late_s, _ = best_delay([path], [sooner])
    return late_s - ahead_s


def _likeness(
    episode: Episode, seen: list[dict[str, Pixels]], standing: set[str]
) -> dict[str, Likeness]:
    observations = [episode.observation, *(s.next_observation for s in episode.transitions)]
    real = [newest_pictures(observation) for observation in observations]
    found = {}
    for name in episode.spec.cameras:
        pairs = [(one[name], two[name]) for one, two in zip(real, seen, strict=False)]
        scores = np.array([ssim(one, exposure_matched(two, one)) for one, two in pairs])
        share = None
        if name in standing and len(pairs) > 2:
            before = still([one for one, _ in pairs]), still([two for _, two in pairs])
            shares = [overlap(moved(one, before[0]), moved(two, before[1])) for one, two in pairs]
            known = [value for value in shares if value is not None]
            share = float(np.mean(known)) if known else None
        found[name] = Likeness(scores, share, pairs)
    return found
