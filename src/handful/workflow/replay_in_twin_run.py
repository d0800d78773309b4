"""What ``handful replay`` and ``handful identify`` do between their options and their last line."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from handful.rig.episodes import Episode
from handful.rig.playback import episode_files
from handful.workflow.console import Console
from handful.workflow.errors import RunError
from handful.workflow.identify import RANGES, Identified, PathError, Simulator
from handful.workflow.identify import identify as fit
from handful.workflow.identify_friction import Friction, fit_friction, make_stage, slides
from handful.workflow.identify_path import Recorded, recorded
from handful.workflow.process import hush
from handful.workflow.recipe import Options, Recipe
from handful.workflow.replay_in_twin import find_episode, recipe_of, replay
from handful.workflow.replay_in_twin_page import identify_page, replay_page
from handful.workflow.results import commit, write_json, write_text
from handful.workflow.twin_overrides import write_twin


def replay_command(given: dict[str, Any]) -> None:
    """``handful replay``."""
    console = Console(given.get("json_path") == "-")
    episode = find_episode(given["episode"])
    recipe = recipe_of(episode, _options(given))
    with hush():
        import pybullet  # noqa: F401 - greets on import
    gap = replay(episode, recipe)
    numbers = {**gap.numbers(), "commit": commit()}
    into = given.get("out") or episode.path.parent / f"{episode.path.stem}_in_twin"
    write_text(into / "replay.html", replay_page(gap))
    write_json(into / "replay.json", numbers)
    console.say(f"tool path   {_words(gap.path)}")
    console.say(
        f"timing      the recording comes {1000 * gap.late_s:+.0f} ms later; that taken out, "
        f"{_words(gap.aligned)}"
    )
    console.say(
        f"opening     mean {1000 * numbers['gripper_mean_m']:.1f} mm, "
        f"largest {1000 * numbers['gripper_max_m']:.1f} mm"
    )
    for name, one in numbers["cameras"].items():
        moved = one["moved_overlap"]
        console.say(
            f"{name:11} SSIM {one['ssim_mean']:.3f} (least {one['ssim_least']:.3f})"
            + ("" if moved is None else f", moved parts overlap {moved:.2f}")
        )
    if not gap.scene:
        console.say("the scene is not known: the arm moved over an empty table")
    console.say(str(into / "replay.html"))
    if given.get("json_path"):
        write_json(given["json_path"], numbers)


def identify_command(given: dict[str, Any]) -> None:
    """``handful identify``."""
    console = Console(given.get("json_path") == "-")
    episodes = _episodes(given["episodes"])
    recipe = recipe_of(episodes[0], _options(given))
    paths = [recorded(episode, recipe.rig) for episode in episodes]
    apart = given.get("hold_out")
    apart = len(paths) // 3 if apart is None else apart
    if apart >= len(paths):
        raise RunError(f"--hold-out {apart}: there are {len(paths)} episodes, one must be fitted")
    fitted, judged = paths[: len(paths) - apart], paths[len(paths) - apart :]
    with hush():
        import pybullet  # noqa: F401 - greets on import
    with console.stages("identify") as bar:
        found = fit(
            fitted,
            judged,
            recipe.twin,
            given["seed"],
            given["starts"],
            given["refinements"],
            bar,
        )
    friction = _friction(given, recipe, episodes, paths, apart, found, console)
    if isinstance(friction, Friction):
        values = {**found.values, "table_friction": friction.table_friction}
        found = replace(found, values=values)
    source = given.get("twin") or "twin"
    notes = [
        f"{source} fitted to {len(fitted)} episodes by handful identify, commit {commit()};",
        f"path error {_words(found.held_before or found.before)} before,",
        f"{_words(found.held_after or found.after)} after"
        + (f", on {len(judged)} others:" if judged else ":"),
    ]
    if isinstance(friction, Friction):
        notes.insert(1, _friction_words(friction) + ";")
    write_twin(source, found.values, given["out"], notes)
    _tell(console, found, friction, given["out"])
    if given.get("page"):
        shown = (judged or fitted)[0]
        simulator = Simulator(recipe.twin)
        try:
            before = simulator.play(shown, {})
            gains = _motors(found)
            after = simulator.play(shown, gains, found.values["delay.command_s"])
        finally:
            simulator.close()
        write_text(given["page"], identify_page(found, shown, before, after, friction))
        console.say(str(given["page"]))
    if given.get("json_path"):
        rubbed = friction.numbers() if isinstance(friction, Friction) else {"not_fitted": friction}
        write_json(given["json_path"], {**found.numbers(), "friction": rubbed, "commit": commit()})


def _friction(
    given: dict[str, Any],
    recipe: Recipe,
    episodes: list[Episode],
    paths: list[Recorded],
    apart: int,
    found: Identified,
    console: Console,
) -> Friction | str:
    """The friction that fits once the motors do, or why there is none; raises it when asked for."""
    if given.get("friction") is False:
        return "not asked for"
    fitted_twin = replace(recipe, twin=recipe.twin.model_copy(update=_motors(found)))
    stage = make_stage(fitted_twin)
    try:
        slid = slides(episodes, paths, stage, recipe.task)
        kept = {id(path) for path in paths[len(paths) - apart :]}
        fitted = [slide for slide in slid if id(slide.path) not in kept]
        judged = [slide for slide in slid if id(slide.path) in kept]
        if not fitted:
            fitted, judged = judged, []
        with console.stages("friction") as bar:
            return fit_friction(
                fitted, judged, fitted_twin, stage, found.values["delay.command_s"], bar
            )
    except RunError as error:
        if given.get("friction"):
            raise
        return str(error)
    finally:
        stage.close()


def _motors(found: Identified) -> dict[str, float]:
    """What was found of the arm itself, as settings of the twin."""
    known = (*RANGES, "finger_speed_m_s")
    return {key: value for key, value in found.values.items() if key in known}


def _friction_words(friction: Friction) -> str:
    first = friction.held_before or friction.before
    last = friction.held_after or friction.after
    return (
        f"{friction.thing}'s path error mean {1000 * first.mean_m:.2f} mm before friction was "
        f"fitted, {1000 * last.mean_m:.2f} mm after"
    )


def _tell(console: Console, found: Identified, friction: Friction | str, out: Path) -> None:
    for key, value in found.values.items():
        console.say(f"{key:22} {value:g}")
    console.say(f"fitted: before  {_words(found.before)}\n        after   {_words(found.after)}")
    if found.held_before is not None and found.held_after is not None:
        console.say(
            f"others: before  {_words(found.held_before)}\n"
            f"        after   {_words(found.held_after)}"
        )
    if isinstance(friction, str):
        console.say(f"friction: not fitted; {friction}")
    else:
        console.say(
            f"friction: {friction.table_friction:g} on the table, {friction.low:.2f} to "
            f"{friction.high:.2f} do nearly as well\n        {_friction_words(friction)}"
        )
    console.say(f"{out}: the twin with these; give it as --twin ({found.simulations} simulations)")


def _episodes(paths: tuple[Path, ...]) -> list[Episode]:
    files = []
    for path in paths:
        within = [path] if path.is_file() else episode_files(path)
        if not within:
            raise RunError(f"{path}: no episode; give an episode_NNNNNN.log or a folder of them")
        files += within
    return [find_episode(file) for file in files]


def _words(error: PathError) -> str:
    return (
        f"mean {1000 * error.mean_m:.2f} mm, 95 % {1000 * error.p95_m:.2f} mm, "
        f"largest {1000 * error.max_m:.2f} mm"
    )


def _options(given: dict[str, Any]) -> Options:
    return Options(
        task=given.get("task"),
        rig=given.get("rig"),
        twin=given.get("twin"),
        sets=tuple(given.get("sets", ())),
    )
