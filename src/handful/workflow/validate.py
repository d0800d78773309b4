"""Before the arm: a policy in the twin at several severities, and a certificate of what was seen.

The same twin, guard and loop as everywhere, in worlds that nothing else uses; what differs at a
severity is in ``config/validate.yaml``. An independent ``Watch`` looks at every command and every
physics step. What comes of it is in ``RUN/validation``: ``certificate.json`` and ``report.html``.
"""

import contextlib
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from handful.config import ConfigError
from handful.contract import Observation
from handful.rig import certificate as certificates
from handful.rig import digest
from handful.rig.camera import CameraError
from handful.rig.certificate import Certificate, claims
from handful.workflow import film
from handful.workflow.collect import succeeded
from handful.workflow.console import Console
from handful.workflow.errors import RunError
from handful.workflow.evaluate import FILM_PX, open_checkpoint
from handful.workflow.outcomes import rollout
from handful.workflow.parts import Parts
from handful.workflow.recipe import Options, Recipe, resolve
from handful.workflow.results import commit, machine, versions, wilson
from handful.workflow.run_folder import find_checkpoint, invocation
from handful.workflow.seeds import Purpose, episode_seed
from handful.workflow.validate_page import Film, write_page
from handful.workflow.validate_settings import SeveritySettings, ValidateSettings, chosen
from handful.workflow.validate_watch import Seen, Watch

FOLDER, CERTIFICATE, REPORT = "validation", "certificate.json", "report.html"
_HELD = ("stale", "not_finite")


@dataclass(frozen=True)
class Asked:
    """What was asked for. severities: names, empty for all. sets: ``--set`` on the cell as it is.
    out: folder; by default ``validation`` beside the checkpoint."""

    severities: tuple[str, ...] = ()
    episodes: int | None = None
    seed: int = 0
    sets: tuple[str, ...] = ()
    device: str | None = None
    out: Path | None = None
    sensitivity: bool = True


@dataclass
class Course:
    """Some episodes under one group of settings, and all that was seen.

    stop_n: the push [N] at which the arm's own collision stop would have ended an episode; stops:
    how many, none of which is a success.
    """

    outcomes: list[bool] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    verdicts: dict[str, int] = field(default_factory=dict)
    faults: int = 0
    stop_n: float | None = None
    stops: int = 0
    seen: Seen = field(default_factory=Seen)

    @property
    def held(self) -> int:
        """Actions the guard would not obey at all."""
        return sum(self.verdicts.get(name, 0) for name in _HELD)


def validate(
    checkpoint: str | Path, asked: Asked, settings: ValidateSettings, console: Console
) -> tuple[Certificate, Path]:
    """Put a checkpoint through everything; write its certificate and a page for people.

    Raises:
        RunError: no such checkpoint, or it was replaced meanwhile.
        ConfigError: no such severity, or one that changes more than twin and task.
    """
    severities = chosen(settings, asked.severities)
    run, path = find_checkpoint(checkpoint)
    weights, updates, began_s = digest.weights(path), digest.updates(path), time.monotonic()
    parts, learner, _ = open_checkpoint(path, asked.device)
    base = resolve(Options(sets=asked.sets), parts.recipe.to_dict(), str(path))
    episodes = settings.episodes if asked.episodes is None else asked.episodes
    folder = asked.out or run.path / FOLDER
    results, films = list[dict[str, Any]](), list[Film]()
    for name, severity in severities.items():
        recipe = _recipe(base, severity.sets, name)
        env = Parts(recipe, asked.device).environment()
        try:
            course = _run(
                env,
                learner,
                recipe,
                episodes,
                asked.seed,
                severity.explore,
                settings.stop_force_n,
                console,
                name,
            )
            results.append({**_numbers(name, severity, course), "sets": list(severity.sets)})
            if not severity.explore:  # noise cannot be lived through twice
                failed = results[-1]["failed_seeds"][: settings.films]
                films = _films(env, learner, recipe, name, failed, console) + films
        finally:
            env.close()
    curves = _curves(base, learner, asked, settings, console) if asked.sensitivity else {}
    if digest.weights(path) != weights:
        raise RunError(f"{path}: was replaced while it was validated; validate again")
    here = claims(base.rig, base.task, base.task_settings.model_dump(mode="json"))
    now = certificates.now()
    values = certificates.compose(here, weights, updates, commit(), settings.valid_days, now)
    values |= {
        "severities": results,
        "sensitivity": curves,
        "thresholds": settings.thresholds.model_dump(mode="json"),
        "verdict": certificates.verdict(results, settings.thresholds),
        "made": {
            "checkpoint": str(path),
            "command": invocation(),
            "seed": asked.seed,
            "twin": base.twin.model_dump(mode="json"),
            "agent": base.agent_name,
            "versions": versions(),
            "machine": machine(),
            "wall_s": round(time.monotonic() - began_s, 1),
        },
    }
    films = films[: settings.films]
    written = certificates.write(folder / CERTIFICATE, values)
    page = write_page(written, films, folder / REPORT)
    return written, page


def _recipe(base: Recipe, sets: tuple[str, ...], name: str) -> Recipe:
    """The run's settings with a severity's on top; the cell and the policy stay what they are."""
    recipe = resolve(Options(sets=sets), base.to_dict(), f"severity {name}")
    if (recipe.rig, recipe.agent) != (base.rig, base.agent):
        raise ConfigError(
            f"severity {name}: may change the groups twin and task only; "
            "the rig and the agent are what is validated"
        )
    return recipe


def _run(
    env: Any,
    learner: Any,
    recipe: Recipe,
    episodes: int,
    seed: int,
    explore: bool,
    stop_n: float | None,
    console: Console,
    name: str,
) -> Course:
    """``episodes`` worlds of the VALIDATE range, watched."""
    course, watch = Course(stop_n=stop_n), Watch(env, recipe.rig)
    course.seen = watch.seen
    with console.progress(name, episodes, "episodes") as bar:
        for i in range(episodes):
            _episode(env, learner, episode_seed(Purpose.VALIDATE, seed, i), explore, course, watch)
            bar.update(i + 1, f"success {sum(course.outcomes)}/{i + 1}")
    return course


def _episode(
    env: Any, learner: Any, seed: int, explore: bool, course: Course, watch: Watch
) -> None:
    """One episode; a picture that comes too late to be acted on ends it, as it does on the arm."""
    length, won = 0, False
    try:
        observation: Observation = env.reset(seed)
        watch.begin()
        while True:
            transition = env.step(_act(learner, observation, explore))
            observation, length = transition.next_observation, length + 1
            verdict = str(transition.info.get("verdict", "ok"))
            known = verdict if verdict in _VERDICTS else "fault"
            watch.judge(known, seed)
            course.verdicts[known] = course.verdicts.get(known, 0) + 1
            course.faults += known == "fault"
            if transition.last:
                won = succeeded(transition)
                break
    except CameraError:
        course.faults += 1
    finally:
        watch.end()
    stopped = course.stop_n is not None and watch.episode_n > course.stop_n
    course.stops += stopped
    course.seeds.append(seed)
    course.lengths.append(length)
    course.outcomes.append(won and not stopped)


_VERDICTS = ("ok", "slowed", "at_wall", *_HELD)


def _act(learner: Any, observation: Observation, explore: bool) -> Any:
    """The deterministic action; or the noisy one, as after the steps it begins with."""
    return (
        learner.acting.sample(observation) if explore else learner.act(observation, explore=False)
    )


def _numbers(name: str, severity: SeveritySettings, course: Course) -> dict[str, Any]:
    """One severity as the certificate has it."""
    wins, count, seen = sum(course.outcomes), len(course.outcomes), course.seen
    low, high = wilson(wins, count)
    steps = max(1, sum(course.lengths))
    return {
        "name": name,
        "explore": severity.explore,
        "episodes": count,
        "successes": wins,
        "success_rate": wins / count,
        "success_low": low,
        "success_high": high,
        "steps": steps,
        "interventions": {k: v for k, v in sorted(course.verdicts.items()) if k != "ok"},
        "held_share": course.held / steps,
        "faults": course.faults,
        "violations": len(seen.violations),
        "violations_first": seen.violations[:5],
        "commands": seen.commands,
        "max_commanded_speed_m_s": round(seen.commanded_m_s, 6),
        "max_measured_speed_m_s": round(seen.measured_m_s, 6),
        "stops": course.stops,
        "stop_share": course.stops / count,
        "max_force_n": round(seen.force_n, 3),
        "peak_force_n": round(seen.peak_n, 3),
        "failed_seeds": [
            s for s, won in zip(course.seeds, course.outcomes, strict=True) if not won
        ],
        "lengths": course.lengths,
    }


def _curves(
    base: Recipe, learner: Any, asked: Asked, settings: ValidateSettings, console: Console
) -> dict[str, Any]:
    """Success over one thing that is turned up; a few points each."""
    told: dict[str, Any] = {}
    count = settings.sensitivity.episodes
    if asked.episodes is not None:
        count = min(count, asked.episodes)
    nominal = next(iter(settings.severities.values())).sets
    for name, curve in settings.sensitivity.curves.items():
        points = []
        for value in curve.values:
            sets = (*nominal, curve.set.replace("{x}", f"{value:g}"))
            recipe = _recipe(base, sets, name)
            env = Parts(recipe, asked.device).environment()
            try:
                label = f"{name} {value:g} {curve.unit}"
                stop_n = settings.stop_force_n
                course = _run(
                    env, learner, recipe, count, asked.seed, False, stop_n, console, label
                )
            finally:
                env.close()
            wins = sum(course.outcomes)
            low, high = wilson(wins, count)
            points.append(
                {
                    "value": value,
                    "episodes": count,
                    "successes": wins,
                    "success_rate": wins / count,
                    "success_low": low,
                    "success_high": high,
                    "held_share": course.held / max(1, sum(course.lengths)),
                    "faults": course.faults,
                }
            )
        told[name] = {"unit": curve.unit, "set": curve.set, "points": points}
    return told


def _films(
    env: Any, learner: Any, recipe: Recipe, severity: str, seeds: list[int], console: Console
) -> list[Film]:
    """The failures of these seeds again, filmed."""
    told = list[Film]()
    if not seeds:
        return told
    wide = "film" if "film" in env.twin.cameras else None
    with console.progress("film", len(seeds), "episodes") as bar:
        for seed in seeds:
            frames = list[film.Picture]()

            def watch(observation: Observation, frames: list[film.Picture] = frames) -> None:
                picture = env.render(wide, (FILM_PX, FILM_PX))
                frames.append(film.compose(picture, film.policy_views(observation)))

            with contextlib.suppress(CameraError):  # up to there, that is how it failed
                rollout(env, learner, seed, watch)
            if not frames:
                continue
            told.append(Film(severity, seed, frames, recipe.rig.control_rate_hz))
            bar.update(len(told))
    return told
