"""The number that counts: the deterministic policy, unseen worlds, the success criterion alone."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from handful.config import ConfigError, parse_overrides
from handful.workflow import film
from handful.workflow.console import Console
from handful.workflow.errors import RunError
from handful.workflow.outcomes import Outcome, rollout
from handful.workflow.parts import Parts, load_learner
from handful.workflow.probe import write_probe
from handful.workflow.recipe import Options, Recipe, resolve
from handful.workflow.results import commit, machine, quantile, versions, wilson, write_json
from handful.workflow.run_folder import RunFolder, find_checkpoint, invocation
from handful.workflow.seeds import Purpose, episode_seed

FILM_PX = 320
BEST, FAILED = 3, 3
"""How many films of each kind are kept."""

Opener = Callable[[Path, str | None], tuple[Any, Any, dict[str, Any]]]


def evaluate(
    checkpoint: str | Path,
    episodes: int,
    seed: int,
    console: Console,
    *,
    device: str | None = None,
    into: RunFolder | None = None,
    films: bool = True,
    opener: Opener | None = None,
    elsewhere: Options | None = None,
) -> dict[str, Any]:
    """Run ``episodes`` worlds of the TEST range of ``seed`` and write ``result.json`` and films.

    The environment is rebuilt from the settings inside the checkpoint, in an instance of its own;
    the learner's replay stays empty, so nothing here can be learned from.

    Args:
        checkpoint: a ``.safetensors`` file or a run folder. into: where results go, by default the
            folder of the checkpoint. films: also film the best and the failed episodes and
            record held-out frames for the report. elsewhere: how the twin differs from the one in
            the checkpoint, by ``twin`` and ``sets``; then ``into`` is asked for.
    Returns:
        What ``result.json`` holds.
    Raises:
        RunError: no such checkpoint, or one without settings.
        ConfigError: ``elsewhere`` changes more than twin and task, or nobody says where to.
    """
    if episodes < 1:
        raise ConfigError(f"--episodes {episodes}: expected 1 or more")
    if elsewhere is not None and into is None:
        raise ConfigError(
            "--twin and --set measure in another twin than the run's own: say with --run DIR where "
            "the result goes, so that the run's own result stays"
        )
    run, path = find_checkpoint(checkpoint)
    run = into or run
    parts, learner, extra = (opener or open_checkpoint)(path, device)
    if elsewhere is not None:
        parts = Parts(_moved(parts.recipe, elsewhere), device)
    recipe = parts.recipe
    began_s = time.monotonic()
    env = parts.environment()
    outcomes: list[Outcome] = []
    with console.progress("evaluate", episodes, "episodes") as bar:
        for i in range(episodes):
            outcomes.append(rollout(env, learner, episode_seed(Purpose.TEST, seed, i)))
            wins = sum(o.success for o in outcomes)
            bar.update(i + 1, f"success {wins}/{i + 1}")
    evaluate_s = time.monotonic() - began_s
    result = _result(recipe, extra, learner, outcomes, seed)
    result |= {"evaluate_s": round(evaluate_s, 3), "checkpoint": str(path)}
    if elsewhere is not None:
        result |= {"twin": elsewhere.twin, "sets": list(elsewhere.sets)}
    if films:
        result["films"] = film_some(env, learner, outcomes, run, recipe, console)
        write_probe(parts, env, learner, seed, run.probe)
    env.close()
    write_json(run.result, result)
    return result


def _moved(recipe: Recipe, elsewhere: Options) -> Recipe:
    """The same policy and rig in another twin."""
    moved = resolve(elsewhere, recipe.to_dict(), "checkpoint")
    other = sorted(set(parse_overrides(elsewhere.sets)) - {"twin", "task"})
    if other:
        raise ConfigError(
            f"--set {other[0]}.…: may change the groups twin and task only here; "
            "all else is what the checkpoint was trained with"
        )
    return moved


def open_checkpoint(path: Path, device: str | None) -> tuple[Parts, Any, dict[str, Any]]:
    """The parts a checkpoint was trained with, its learner (empty replay) and what it carries.

    Raises:
        RunError: the file names no settings.
    """
    learner, extra = load_learner(path, device)
    if not isinstance(extra.get("recipe"), dict):
        raise RunError(f"{path}: was not written by `handful train`: it names no settings")
    return Parts(resolve(Options(), extra["recipe"], str(path)), device), learner, extra


def film_some(
    env: Any,
    learner: Any,
    outcomes: list[Outcome],
    run: RunFolder,
    recipe: Recipe,
    console: Console,
) -> list[dict[str, Any]]:
    """Live through the quickest successes and the first failures again, with the film running."""
    wins = sorted((o for o in outcomes if o.success), key=lambda o: (o.length, o.seed))
    losses = [o for o in outcomes if not o.success]
    chosen = [("best", o) for o in wins[:BEST]] + [("failed", o) for o in losses[:FAILED]]
    for old in run.videos.glob("*.webp"):
        old.unlink()
    films = []
    with console.progress("film", len(chosen), "episodes") as bar:
        for i, (label, outcome) in enumerate(chosen):
            frames = film_episode(env, learner, outcome.seed)
            name = f"{label}_{outcome.seed}.webp"
            film.save(frames, run.videos / name, recipe.rig.control_rate_hz)
            films.append(
                {"file": name, "label": label, "seed": outcome.seed, "length": outcome.length}
            )
            bar.update(i + 1)
    return films


def film_episode(env: Any, learner: Any, seed: int) -> list[film.Picture]:
    """The frames of one episode of the deterministic policy, wide view and what the policy sees."""
    wide = "film" if "film" in env.twin.cameras else None
    frames: list[film.Picture] = []

    def watch(observation: Any) -> None:
        picture = env.render(wide, (FILM_PX, FILM_PX))
        frames.append(film.compose(picture, film.policy_views(observation)))

    rollout(env, learner, seed, watch)
    return frames


def _result(
    recipe: Recipe, extra: dict[str, Any], learner: Any, outcomes: list[Outcome], seed: int
) -> dict[str, Any]:
    wins, count = sum(o.success for o in outcomes), len(outcomes)
    low, high = wilson(wins, count)
    wall_s, train_s = float(extra.get("wall_s", 0.0)), float(extra.get("train_s", 0.0))
    env_steps = int(extra.get("env_steps", learner.env_steps))
    lengths = [o.length for o in outcomes]
    good = [float(o.length) for o in outcomes if o.success]
    verdicts: dict[str, int] = {}
    for outcome in outcomes:
        for name, times in outcome.verdicts.items():
            verdicts[name] = verdicts.get(name, 0) + times
    return {
        "task": recipe.task,
        "agent": recipe.agent_name,
        "seed": recipe.seed,
        "demos": int(extra.get("demos", recipe.train.demos)),
        "env_steps": env_steps,
        "updates": int(learner.updates),
        "wall_s": round(wall_s, 3),
        "updates_per_s": round(learner.updates / train_s, 3) if train_s > 0 else 0.0,
        "env_steps_per_s": round(env_steps / train_s, 3) if train_s > 0 else 0.0,
        "success_rate": wins / count,
        "success_low": low,
        "success_high": high,
        "episodes": count,
        "successes": wins,
        "evaluation_seed": seed,
        "lengths": lengths,
        "outcomes": [o.success for o in outcomes],
        "seeds": [o.seed for o in outcomes],
        "length_median": statistics.median(good) if good else None,
        "length_p90": quantile(good, 0.9) if good else None,
        "horizon": _horizon(recipe),
        "control_rate_hz": recipe.rig.control_rate_hz,
        "verdicts": verdicts,
        "train_s": round(train_s, 3),
        "pretrain_s": round(max(0.0, wall_s - train_s), 3),
        "commit": commit(),
        "command": invocation(),
        "versions": versions(),
        "machine": machine(),
    }


def _horizon(recipe: Recipe) -> int:
    return int(getattr(recipe.task_settings, "horizon_steps", 0))
