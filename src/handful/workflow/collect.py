"""Scripted demonstrations into the run's log: the successful ones, each from a world of its own."""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from handful.contract import Observation, Transition
from handful.rig import edits
from handful.rig.episodes import Episode, EpisodeLog, LogError, adopt, read
from handful.rig.playback import being_written, episode_files, read_file
from handful.workflow.console import Console
from handful.workflow.data.about import about
from handful.workflow.errors import RunError
from handful.workflow.parts import Parts
from handful.workflow.run_folder import RunFolder
from handful.workflow.seeds import Purpose, episode_seed


@dataclass(frozen=True)
class Collected:
    """What collecting came to: demonstrations in the log, how many are new, failures, time."""

    demos: int
    new: int
    failed: int
    steps: int
    seconds: float


def collect(
    parts: Parts, run: RunFolder, count: int, console: Console, keep_failures: bool = False
) -> Collected:
    """Top the run's log up to ``count`` demonstrations (successful ones, see ``keep_failures``).

    An episode is written only when it has ended; calling again goes on with the next unused seed.
    What stands in the log unfinished, whoever recorded it, is moved to ``attempts`` and counts no
    more: nothing that was recorded is deleted.

    Raises:
        RunError: the demonstrator fails more often than it succeeds.
    """
    began_s = time.monotonic()
    for moved in set_unfinished_aside(run.demos):
        console.say(f"{moved}: unfinished, so it no longer counts in {run.demos}; kept here")
    have, next_index, steps = _survey(run, parts)
    if have >= count:
        return Collected(have, 0, 0, steps, time.monotonic() - began_s)
    env = parts.environment()
    recipe = parts.recipe
    new = failed = 0
    log = EpisodeLog(run.demos, env.spec, about(recipe, "script"), recipe.train.pictures)
    with log, console.progress("collect", count, "demonstrations", have) as bar:
        while have + new < count:
            seed = episode_seed(Purpose.DEMO, recipe.seed, next_index)
            first, transitions, success = demonstrate(parts, env, seed)
            next_index += 1
            failed += not success
            if success or keep_failures:
                log.begin(first, demo=True, info={"seed": seed, "success": success})
                for transition in transitions:
                    log.add(transition)
                log.end()
                new += 1
                steps += len(transitions)
            if failed > 20 + 2 * new:
                raise RunError(
                    f"the scripted demonstrator failed {failed} of {failed + new} times; "
                    "twin.demo_noise may be too high, or the task's settings impossible"
                )
            bar.update(have + new, f"{failed} failed and left out" if failed else "")
    env.close()
    return Collected(have + new, new, failed, steps, time.monotonic() - began_s)


def demonstrate(parts: Parts, env: Any, seed: int) -> tuple[Observation, list[Transition], bool]:
    """One scripted episode: first observation, transitions (marked as demo), success."""
    actor = parts.demonstrator(env, seed)
    first = observation = env.reset(seed)
    actor.reset()
    transitions: list[Transition] = []
    while not transitions or not transitions[-1].last:
        transition = env.step(actor.act(observation))
        transitions.append(replace(transition, demo=True))
        observation = transition.next_observation
    return first, transitions, succeeded(transitions[-1])


def succeeded(last: Transition) -> bool:
    """The success criterion alone: the episode ended, its future is over, and it was rewarded."""
    return last.last and last.discount == 0.0 and last.reward > 0.0


def set_unfinished_aside(demos: Path) -> list[Path]:
    """Move what is no whole episode from ``demos`` to its neighbour ``attempts``; where it is now.

    A recorder was killed, or a person's attempt was put there by hand. Whole steps, a torn tail
    and what people said about it (``rig.edits``) move with it. What is being written at this
    moment, and files of another format, stay.

    Raises:
        LogError: a file cannot be moved; it stands where it was.
    """
    moved, said = list[Path](), edits.views(demos)
    for path in episode_files(demos):
        view = said.get(path.name, edits.View())
        try:
            episode = read_file(path, view=view)
        except LogError:
            continue  # of another version; whoever reads the session says so
        if (episode is not None and _finished(episode)) or being_written(path):
            continue
        target = adopt(path, demos.with_name("attempts"))
        if view.edits:
            edits.move(demos, path.name, target)
        moved.append(target)
    return moved


def _finished(episode: Episode) -> bool:
    """It was seen to its end, or somebody has said since that it is a success."""
    return episode.complete or bool(episode.view.success)


def _survey(run: RunFolder, parts: Parts) -> tuple[int, int, int]:
    """Demonstrations already there, the next unused index of their seed range, and their steps."""
    have, next_index, steps = 0, 0, 0
    if not run.demos.is_dir():
        return have, next_index, steps
    start = episode_seed(Purpose.DEMO, parts.recipe.seed, 0)
    for episode in read(run.demos):
        if not _finished(episode):
            continue  # somebody is writing it
        have += 1
        steps += len(episode.transitions)
        next_index = max(next_index, int(episode.info.get("seed", start - 1)) - start + 1)
    return have, next_index, steps
