"""What each command does between its options and its last line: resolve, guard, run, tell."""

from pathlib import Path
from typing import Any

from handful.workflow.bench import run_bench, table
from handful.workflow.collect import collect
from handful.workflow.console import Console
from handful.workflow.errors import RunError
from handful.workflow.parts import Parts
from handful.workflow.process import hush, use_threads
from handful.workflow.progress import duration
from handful.workflow.recipe import DEFAULT_TASK, Options, Recipe, resolve
from handful.workflow.results import read_json, write_json
from handful.workflow.run_folder import RunFolder

_FLAGS = {
    "demos": "train.demos",
    "steps": "train.steps",
    "minutes": "train.minutes",
    "stop_success": "train.stop_success",
    "check_every": "train.check_every_steps",
}
"""Options that are short for a ``--set``."""


def collect_command(given: dict[str, Any]) -> None:
    """``handful collect``."""
    console, run = _begin(given)
    with run.lock():
        recipe = _recipe(given, run)
        run.write_config(recipe)
        if given.get("play"):
            _play(given, recipe, run, console)
            if given.get("demos") is None:
                return
        done = collect(
            Parts(recipe), run, recipe.train.demos, console, bool(given.get("keep_failures"))
        )
    console.say(
        f"{run.demos}: {done.demos} demonstrations of {recipe.task}, {done.steps} steps "
        f"({done.new} new in {duration(done.seconds)}, {done.failed} failed"
        f"{'' if given.get('keep_failures') else ' and were left out'})"
    )
    _json(given, {"run": str(run), "task": recipe.task, **vars(done)})


def teleop_command(given: dict[str, Any]) -> None:
    """``handful teleop``."""
    from handful.workflow.teleop_command import teleop

    console, run = _begin(given)
    if not given.get("record"):
        _json(given, teleop(given, console, run, _recipe(given, run)))
        return
    with run.lock():
        if run.trained:
            raise RunError(f"{run}: has been trained already; record into another --run")
        recipe = _recipe(given, run)
        run.write_config(recipe)
        _json(given, teleop(given, console, run, recipe))


def _play(given: dict[str, Any], recipe: Recipe, run: RunFolder, console: Console) -> None:
    from handful.workflow.play import play

    done = play(Parts(recipe), run, given["play"], console)
    console.say(
        f"{run.play}: {done.demos} episodes of play, {done.steps} steps "
        f"({done.new} new in {duration(done.seconds)}); handful pretrain --run {run} looks at them"
    )
    if given.get("demos") is None:
        values = {"episodes": done.demos, "new": done.new, "steps": done.steps}
        _json(given, {"run": str(run), "task": recipe.task, **values, "seconds": done.seconds})


def pretrain_command(given: dict[str, Any]) -> None:
    """``handful pretrain``."""
    from handful.workflow.pretrain_command import pretrain

    console, run = _begin(given)
    with run.lock():
        recipe = _recipe(given, run, again=bool(given.get("again")))
        if run.trained:
            raise RunError(
                f"{run}: has been trained already, pre-training it now would undo that; "
                f"use another --run, or handful train --run {run} --overwrite"
            )
        _json(given, pretrain(given, console, run, _parts(recipe, given, console)))


def train_command(given: dict[str, Any]) -> None:
    """``handful train``."""
    from handful.workflow.teleop_oversee import overseer
    from handful.workflow.train import train

    console, run = _begin(given)
    with run.lock():
        if run.trained and not given.get("resume") and not given.get("overwrite"):
            raise RunError(
                f"{run}: already holds a trained run; --resume goes on with it, "
                "--overwrite deletes it and starts afresh"
            )
        recipe = _recipe(given, run)
        run.write_config(recipe)
        parts = _parts(recipe, given, console)
        if not run.sources.exists():  # a run that was told of its demonstrations wants no others
            collect(parts, run, recipe.train.demos, console)
        with overseer(given, recipe, console) as overseen:
            done = train(parts, run, console, overseen)
    recent = (
        f"; success of the last {min(20, done.episodes)} training episodes "
        f"{100 * done.rolling_success:.0f} %"
        if done.episodes
        else ""
    )
    console.say(
        f"{run.checkpoint}: {done.env_steps:,} env steps, {done.updates:,} updates, "
        f"{duration(done.wall_s)}; stopped by {done.reason}{recent}\n"
        f"next: handful evaluate {run}"
    )
    _json(given, {"run": str(run), "task": recipe.task, "seed": recipe.seed, **vars(done)})


def evaluate_command(given: dict[str, Any]) -> None:
    """``handful evaluate``."""
    from handful.workflow.evaluate import evaluate

    console = Console(given.get("json_path") == "-")
    use_threads(1)  # one observation at a time: a second thread is only waited for
    into, twin, sets = given.get("run_dir"), given.get("twin"), tuple(given.get("sets") or ())
    result = evaluate(
        given["checkpoint"],
        given["episodes"],
        given["seed"],
        console,
        device=given.get("device"),
        into=RunFolder(into) if into else None,
        films=not given.get("no_films"),
        elsewhere=Options(twin=twin, sets=sets) if twin or sets else None,
    )
    console.say(
        f"{result['task']}: {result['successes']} of {result['episodes']} unseen episodes "
        f"succeeded, {100 * result['success_rate']:.1f} % "
        f"({100 * result['success_low']:.1f} to {100 * result['success_high']:.1f} %, 95 % Wilson)"
    )
    _json(given, result)


def report_command(given: dict[str, Any]) -> None:
    """``handful report``."""
    from handful.workflow.report import write_report

    folders = [RunFolder(path) for path in given["runs"]]
    for folder in folders:
        if not folder.path.is_dir():
            raise RunError(f"{folder}: no such run folder")
    beside = folders[0].path.parent / "comparison.html"
    page = write_report(
        folders, given.get("out") or (folders[0].report if len(folders) == 1 else beside)
    )
    Console(given.get("json_path") == "-").say(str(page))
    results = [read_json(folder.result) for folder in folders]
    _json(given, {"report": str(page), "runs": [str(f) for f in folders], "results": results})


def bench_command(given: dict[str, Any]) -> None:
    """``handful bench``."""
    options = {"progress": Console(json_on_stdout=True).say}
    if given.get("seconds") is not None:
        options["seconds_per_case"] = given["seconds"]
    with hush():
        import pybullet  # noqa: F401 - greets on import, which is none of a benchmark's words
    numbers = run_bench(given["what"], given["benchmarks"], **options)
    Console(given.get("json_path") == "-").say(table(numbers))
    _json(given, numbers)


def demo_command(given: dict[str, Any]) -> None:
    """``handful demo``."""
    from handful.workflow.demo import demo, summary

    console, run = _begin(given)
    parts = _parts(resolve(_options(given)), given, console)
    if run.path.exists():
        with run.lock():
            pass  # Nobody else is at work in what is about to be moved.
        console.say(f"the run that was in {run} is now in {run.move_aside()}")
    with run.lock():
        story = demo(parts, run, given["episodes"], console)
    console.say(summary(story, run))
    _json(given, story.result)


def robot_demo_command(given: dict[str, Any]) -> None:
    """``handful robot-demo``."""
    from handful.workflow.robot_demo import robot_demo, train_first, words, workspace

    console, run = Console(given.get("json_path") == "-"), RunFolder(given["run_dir"])
    workspace()
    train_first(run, console)
    result = robot_demo(run, given["episodes"], given["seed"], console, bool(given.get("rviz")))
    console.say(words(result, run))
    _json(given, result)


def _begin(given: dict[str, Any]) -> tuple[Console, RunFolder]:
    folder = given.get("run_dir") or Path("runs") / (given.get("task") or DEFAULT_TASK)
    return Console(given.get("json_path") == "-"), RunFolder(folder)


def _options(given: dict[str, Any]) -> Options:
    short = [f"{key}={given[flag]}" for flag, key in _FLAGS.items() if given.get(flag) is not None]
    return Options(
        given.get("task"),
        given.get("agent"),
        given.get("rig"),
        given.get("twin"),
        given.get("seed"),
        (*given.get("sets", ()), *short),
        given.get("reward"),
    )


def _recipe(given: dict[str, Any], run: RunFolder, again: bool = False) -> Recipe:
    """Resolve the settings over what the run remembers, and refuse what would make it untrue."""
    overwrite = bool(given.get("overwrite"))
    old = None if overwrite else run.read_config()
    recipe = resolve(_options(given), old, str(run.config))
    if overwrite:  # Only now: settings that are refused must not cost the old run.
        run.clear()
    elif not again:
        run.check_settings(recipe)
    return recipe


def _parts(recipe: Recipe, given: dict[str, Any], console: Console) -> Parts:
    from handful.workflow.parts import torch_device

    parts = Parts(recipe, given.get("device"))
    device = torch_device(parts.device)
    threads = use_threads(recipe.agent.threads)
    console.say(f"device: {device}" + (f", {threads} threads" if device == "cpu" else ""))
    return parts


def _json(given: dict[str, Any], values: dict[str, Any]) -> None:
    if given.get("json_path"):
        write_json(given["json_path"], values)
