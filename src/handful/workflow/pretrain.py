"""A learner that has seen the demonstrations: new and pre-trained, or taken up where it was."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handful import __version__
from handful.contract import Spec
from handful.workflow.console import Console
from handful.workflow.curves import Curve, last_wall_s
from handful.workflow.errors import RunError
from handful.workflow.parts import LearnerLike, Parts
from handful.workflow.recipe import Options, Recipe, differences, resolve
from handful.workflow.run_folder import RunFolder
from handful.workflow.sources import Sources, gather, play_back


@dataclass(frozen=True)
class Ready:
    """A learner that may act: demonstrations in its replay, its eye pre-trained.

    origin: ``new``, ``pretrained`` or ``checkpoint``. demos: episodes fed. seconds: pre-training.
    """

    learner: LearnerLike
    origin: str
    demos: int
    seconds: float
    metrics: dict[str, float]


def make_ready(
    parts: Parts, run: RunFolder, spec: Spec, console: Console, sources: Sources | None = None
) -> Ready:
    """The furthest learner this run has, with the demonstrations fed to it.

    From ``checkpoint.safetensors`` when there is one, else from ``pretrained.safetensors``, else a
    new one that is pre-trained on what there is (``workflow.sources``) and saved. It is never one
    that would act at random because something was lost: without demonstrations this refuses,
    unless none were asked for (``train.demos: 0``).

    sources: what there is, where that has been gathered already.

    Raises:
        RunError: no demonstrations, or a checkpoint of other settings.
    """
    sources = gather(run, spec) if sources is None else sources
    if not sources.demonstrations and parts.recipe.train.demos:
        raise RunError(_no_demonstrations(run, sources))
    for origin, path in (("checkpoint", run.checkpoint), ("pretrained", run.pretrained)):
        if path.exists():
            learner = load_matching(parts, path)
            return Ready(learner, origin, sources.feed(learner), 0.0, {})
    if sources.episodes:
        console.say(sources.table())
    learner = parts.learner(spec)
    console.say(f"replay: up to {learner.bytes_needed() / 1e6:,.0f} MB of memory when full")
    demos = sources.feed(learner)
    seconds, metrics = _pretrain(parts, run, learner, sources, console)
    return Ready(learner, "new", demos, seconds, metrics)


def _no_demonstrations(run: RunFolder, sources: Sources) -> str:
    failed = sum(one.role == "failed" for one in sources.episodes)
    if failed:
        return (
            f"{run}: none of {failed} recorded attempts ended in success, so there is nothing to "
            f"clone; handful collect --run {run} records demonstrations, "
            "handful data relabel says that one was a success"
        )
    return f"{run.demos}: no demonstrations; `handful collect --run {run}` records some"


def load_matching(parts: Parts, path: Path) -> Any:
    """The learner in ``path``, refused when it was trained for another task or with other settings.

    Raises:
        RunError: task, cameras or settings differ; the message names them.
    """
    learner, extra = parts.load(path)
    check_extra(path, extra, parts.recipe)
    return learner


def check_extra(path: Path, extra: dict[str, Any], recipe: Recipe) -> None:
    """Compare what a checkpoint says about itself with this run; see ``load_matching``."""
    theirs = extra.get("recipe")
    if not isinstance(theirs, dict):
        raise RunError(f"{path}: was not written by `handful train`: it names no settings")
    # Keys that are newer than the checkpoint have the value they had before there was a key for it.
    theirs = resolve(Options(), theirs, str(path)).to_dict()
    ours = recipe.to_dict()
    bound = ("task_name", "agent", "rig", "twin", "task")
    changed = differences({k: theirs.get(k) for k in bound}, {k: ours[k] for k in bound})
    if changed:
        raise RunError(
            f"{path}: belongs to other settings than this run: {'; '.join(changed[:3])}; "
            f"train in another --run, or give the settings it was trained with "
            f"(task {theirs.get('task_name')}, agent {theirs.get('agent_name')})"
        )


def describe(recipe: Recipe, **more: Any) -> dict[str, Any]:
    """What every checkpoint carries beside the learner, so that it can be evaluated alone."""
    return {"version": __version__, "recipe": recipe.to_dict(), **more}


def gallery(sources: Sources) -> Any:
    """What only the contrast looks at, in memory.

    Raises:
        ReplayTooLarge: the pictures do not fit.
    """
    from handful.learn.gallery import Gallery

    assert sources.spec is not None
    pictures = Gallery(sources.spec, [one.steps for one in sources.others])
    play_back(pictures, sources.others)
    return pictures


def _pretrain(
    parts: Parts, run: RunFolder, learner: LearnerLike, sources: Sources, console: Console
) -> tuple[float, dict[str, float]]:
    before_s, began_s = last_wall_s(run.curve), time.monotonic()
    with Curve(run.curve, run.tensorboard) as curve, console.stages("pretrain") as stages:

        def progress(done: int, total: int, metrics: dict[str, float]) -> None:
            stages(done, total, metrics)
            wall_s = before_s + time.monotonic() - began_s
            progress_of = {"done": done, "total": total, **metrics}
            curve.add("pretrain", env_steps=0, updates=0, wall_s=wall_s, **progress_of)

        if sources.others:
            metrics = learner.pretrain(progress, gallery(sources))
        elif sources.demonstrations:
            metrics = learner.pretrain(progress)
        else:
            metrics = {}  # neither demonstrations nor pictures: the learner is as it was drawn
        seconds = time.monotonic() - began_s
        curve.add(
            "start", env_steps=0, updates=0, wall_s=before_s + seconds, pretrain_s=round(seconds, 3)
        )
    learner.save(run.pretrained, describe(parts.recipe, pretrain_s=seconds))
    return seconds, metrics
