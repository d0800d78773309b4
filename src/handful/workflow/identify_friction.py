"""Friction between the table and what slides on it, fitted to where a thing was in each step.

Contact friction is a product of two surfaces, so one number is all there is to find: the table's,
with the thing's own left as the task has it. The fingers' hold on the thing does not change with
it. It shows only while a thing slides by itself: knocked on ahead of the fingers, or turning about
them; pushed slowly it goes where the fingers go, whatever the friction. The commands are played in
the twin over a grid of factors on a log scale, and over a finer one about the best: knocks make the
error a jagged function of friction, on which a search by its slope or by sections would be lost.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handful.rig.episodes import Episode
from handful.workflow.errors import RunError
from handful.workflow.identify import PathError, as_numbers
from handful.workflow.identify_path import Recorded, bare_start, play
from handful.workflow.recipe import Recipe

Array = NDArray[np.float64]
Pose = tuple[Array, tuple[float, float, float, float]]

FACTORS = (0.25, 4.0)
_COARSE, _FINE = 13, 6
_SLID_M = 0.02  # a thing that slides less tells nothing
_LIFTED_M = 0.005
_FLAT = 0.8  # least error over largest, above which friction does not show
_SAME_START_M = 0.005
_PLACE = re.compile(r"(?:true_)?(.+)_x_m")

Progress = Callable[[int, int, dict[str, float]], None]


@dataclass(frozen=True)
class Slide:
    """One episode in which a thing slid on the table.

    t_s: (M,) moments at which its place is known and it lies on the table. p_BO_m: (M, 3), there.
    seed: of the scene it was recorded in, None where no twin put it up; poses: its things then.
    """

    path: Recorded
    thing: str
    t_s: Array
    p_BO_m: Array
    seed: int | None
    poses: dict[str, Pose]

    @property
    def slid_m(self) -> float:
        """How far from its first place it came."""
        return float(np.linalg.norm((self.p_BO_m - self.p_BO_m[0])[:, :2], axis=1).max())


@dataclass(frozen=True)
class Friction:
    """What fits. table_friction: for the twin's settings. before, after: distance of the twin's
    thing from the recorded one [m], motors and delay being the fitted ones in both; held_before,
    held_after: on episodes kept apart, if any. curve: (table friction, mean error [m]) tried.
    low, high: the frictions whose error is within half as much again of the least."""

    thing: str
    table_friction: float
    before: PathError
    after: PathError
    held_before: PathError | None
    held_after: PathError | None
    curve: list[tuple[float, float]]
    low: float
    high: float
    simulations: int
    episodes: list[str] = field(default_factory=list)
    held_out: list[str] = field(default_factory=list)

    def numbers(self) -> dict[str, Any]:
        """The same for JSON."""
        return as_numbers(self)


def places(episode: Episode) -> dict[str, Array]:
    """Thing -> (N, 3) its place after each step in B [m], NaN where the step does not say.

    From ``<thing>_x_m``, ``_y_m``, ``_z_m`` in the steps' info, which a tag on a thing would give,
    or from ``true_<thing>_x_m`` and so on, which the twin writes.
    """
    infos = [step.info for step in episode.transitions]
    found: dict[str, Array] = {}
    for key in dict.fromkeys(key for info in infos for key in info):
        match = _PLACE.fullmatch(key)
        if match is None or match[1] in found:
            continue
        keys = [f"{key[: -len('x_m')]}{axis}_m" for axis in "xyz"]
        found[match[1]] = np.array(
            [[info.get(name, np.nan) for name in keys] for info in infos], np.float64
        )
    return found


def slides(episodes: list[Episode], paths: list[Recorded], stage: Any, task: str) -> list[Slide]:
    """The episodes in which the twin's task has a free thing that slid, and it.

    Raises:
        RunError: none says where a free thing was, or in none it slid.
    """
    known = [places(episode) for episode in episodes]
    free = {name for one in known for name in one if name in stage.world.bodies}
    if not free:
        raise RunError(
            f"friction needs to know where a thing was in each step ({_wanted(stage, task)}), "
            f"and none of {len(episodes)} episodes says it"
        )
    best: list[Slide] = []
    farthest_m = 0.0
    for thing in sorted(free):
        found = [
            slide
            for episode, path, one in zip(episodes, paths, known, strict=True)
            if thing in one and (slide := _slide(episode, path, one, thing, stage, task))
        ]
        farthest_m = max([farthest_m, *(slide.slid_m for slide in found)])
        found = [slide for slide in found if slide.slid_m >= _SLID_M]
        best = max(best, found, key=lambda some: sum(slide.slid_m for slide in some))
    if not best:
        raise RunError(
            f"friction shows where a thing slides on the table by {1000 * _SLID_M:.0f} mm and more;"
            f" here {' or '.join(sorted(free))} slid by {1000 * farthest_m:.0f} mm at most"
        )
    return best


def fit_friction(
    fitted: list[Slide],
    judged: list[Slide],
    recipe: Recipe,
    stage: Any,
    delay_s: float = 0.0,
    progress: Progress | None = None,
) -> Friction:
    """The table's friction under which the twin's thing goes where the recorded one went.

    Deterministic: there is no draw in it.

    Args:
        recipe: its twin has the fitted motors, and ``stage`` is made of it.
        judged: slides that are only judged by what was found.
        delay_s: of the commands, as fitted.
    Raises:
        RunError: the thing's path is much the same under every friction.
    """
    own = float(recipe.twin.table_friction)  # type: ignore[attr-defined]
    total, tried = _COARSE + _FINE, dict[float, float]()
    simulations = 0

    def misses_m(slides: list[Slide], factor: float) -> Array:
        nonlocal simulations
        simulations += len(slides)
        return np.concatenate([miss_m(stage, slide, factor, delay_s) for slide in slides])

    def attempt(factors: Array) -> float:
        for factor in factors:
            tried[float(factor)] = float(misses_m(fitted, float(factor)).mean())
            if progress is not None:
                progress(min(len(tried), total), total, {"thing_mm": 1000.0 * min(tried.values())})
        return min(tried, key=lambda factor: tried[factor])

    grid = np.geomspace(*FACTORS, _COARSE)
    grid[_COARSE // 2] = 1.0
    middle = attempt(grid)
    if min(tried.values()) > _FLAT * max(tried.values()):
        raise RunError(
            f"the path of {fitted[0].thing} is much the same under every friction "
            f"({1000 * min(tried.values()):.1f} to {1000 * max(tried.values()):.1f} mm off): knock "
            "it on faster, so that it slides ahead of the fingers"
        )
    k = int(np.argmin(np.abs(grid - middle)))
    around = np.geomspace(grid[max(k - 1, 0)], grid[min(k + 1, len(grid) - 1)], _FINE + 3)[1:-1]
    factor = attempt(around[np.abs(np.log(around / middle)) > 1e-6])
    alike = [one for one, off_m in tried.items() if off_m <= 1.5 * tried[factor]]
    return Friction(
        thing=fitted[0].thing,
        table_friction=round(own * factor, 5),
        before=_error(misses_m(fitted, 1.0)),
        after=_error(misses_m(fitted, factor)),
        held_before=_error(misses_m(judged, 1.0)) if judged else None,
        held_after=_error(misses_m(judged, factor)) if judged else None,
        curve=[(own * one, tried[one]) for one in sorted(tried)],
        low=round(own * min(alike), 5),
        high=round(own * max(alike), 5),
        simulations=simulations,
        episodes=[slide.path.name for slide in fitted],
        held_out=[slide.path.name for slide in judged],
    )


def make_stage(recipe: Recipe) -> Any:
    """The task's scene, arm and physics; the caller closes it."""
    from handful_twin.stage import Stage
    from handful_twin.tasks import TASKS

    task = TASKS[recipe.task](recipe.task_settings)
    return Stage(task, recipe.rig, recipe.twin)  # type: ignore[arg-type]


def _slide(
    episode: Episode,
    path: Recorded,
    known: dict[str, Array],
    thing: str,
    stage: Any,
    task: str,
) -> Slide | None:
    p_BO_m = known[thing]
    seen = np.isfinite(p_BO_m).all(axis=1)
    if not seen.any():
        return None
    lifted = np.nan_to_num(p_BO_m[:, 2] - p_BO_m[seen][0, 2]) > _LIFTED_M
    seen &= np.cumsum(lifted) == 0  # once it was in the air, the grasp decides where it is
    poses: dict[str, Pose] = {}
    for name, path_m in known.items():
        first = np.flatnonzero(np.isfinite(path_m).all(axis=1))
        if name in stage.world.frames and len(first):
            info = episode.transitions[first[0]].info
            half = 0.5 * float(info.get(f"{name}_yaw_rad", 0.0))
            poses[name] = path_m[first[0]], (0.0, 0.0, float(np.sin(half)), float(np.cos(half)))
    seed = _seed(episode, path, stage, task)
    return Slide(path, thing, path.t_s[1:][seen], p_BO_m[seen], seed, poses)


def _seed(episode: Episode, path: Recorded, stage: Any, task: str) -> int | None:
    """Of the twin's scene that was recorded; None when no twin put it up, or another one."""
    seed = episode.info.get("seed")
    if not isinstance(seed, int) or episode.meta.get("task") != task:
        return None
    stage.put_up(seed)
    away_m = np.linalg.norm(stage.arm.state().p_BT_m - path.p_BT_m[0])
    return seed if away_m < _SAME_START_M else None


def miss_m(stage: Any, slide: Slide, factor: float, delay_s: float) -> Array:
    """(M,) distance [m] of the twin's thing from the recorded one.

    factor: on the table's friction. delay_s: of the commands.
    """
    from handful_twin.randomize import Draw

    draw = Draw() if slide.seed is None else stage.drawn(slide.seed)
    rubbing = factor * draw.tuning.table_friction
    draw = replace(draw, tuning=replace(draw.tuning, table_friction=rubbing))

    def begin() -> None:
        if slide.seed is not None:
            stage.put_up(slide.seed, draw)
        else:
            stage.wear(draw)
            bare_start(stage.world, stage.arm, slide.path, slide.poses)

    seen: list[Array] = []

    def look(_: int) -> None:
        seen.append(np.array(stage.world.body_pose(slide.thing)[0], np.float64))

    play(stage.world, stage.arm, slide.path, delay_s, begin, slide.t_s, look)
    return np.asarray(np.linalg.norm(np.array(seen) - slide.p_BO_m, axis=1), np.float64)


def _error(miss_m: Array) -> PathError:
    return PathError(
        float(miss_m.mean()),
        float(np.quantile(miss_m, 0.95)),
        float(miss_m.max()),
        float(np.sqrt((miss_m**2).mean())),
    )


def _wanted(stage: Any, task: str) -> str:
    names = sorted(stage.world.bodies)
    if not names:
        return f"the twin's {task} has no free thing"
    return f"{names[0]}_x_m, {names[0]}_y_m, {names[0]}_z_m in its info [m, B], from a tag on it"
