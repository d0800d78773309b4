"""The whole story in one go: ten demonstrations to a skill, with a report to look at."""

import time
from dataclasses import dataclass
from typing import Any

from handful.workflow.collect import collect
from handful.workflow.console import Console
from handful.workflow.evaluate import Opener, evaluate
from handful.workflow.parts import Parts
from handful.workflow.progress import duration
from handful.workflow.report import write_report
from handful.workflow.results import write_json
from handful.workflow.run_folder import RunFolder
from handful.workflow.train import Trained, train


@dataclass(frozen=True)
class Story:
    """What a demo came to."""

    result: dict[str, Any]
    trained: Trained
    total_s: float


def demo(
    parts: Parts, run: RunFolder, episodes: int, console: Console, opener: Opener | None = None
) -> Story:
    """Collect, pre-train, train, evaluate on ``episodes`` unseen worlds, report; all in ``run``."""
    began_s = time.monotonic()
    recipe = parts.recipe
    run.write_config(recipe)
    console.say(f"1/4  collecting {recipe.train.demos} scripted demonstrations of {recipe.task}")
    collected = collect(parts, run, recipe.train.demos, console)
    console.say(
        f"     {collected.demos} demonstrations, {collected.steps} steps, {collected.failed} failed"
    )
    console.say(f"2/4  pre-training and training the {recipe.agent_name!r} agent in the twin")
    trained = train(parts, run, console)
    console.say(
        f"     {trained.env_steps:,} env steps, {trained.updates:,} updates, "
        f"{duration(trained.wall_s)}; stopped by {trained.reason}"
    )
    console.say(f"3/4  evaluating on {episodes} unseen episodes")
    result = evaluate(run.path, episodes, recipe.seed, console, device=parts.device, opener=opener)
    result["collect_s"] = round(collected.seconds, 3)
    result["total_s"] = round(time.monotonic() - began_s, 3)
    write_json(run.result, result)
    console.say("4/4  writing the report")
    write_report([run], run.report)
    return Story(result, trained, time.monotonic() - began_s)


def summary(story: Story, run: RunFolder) -> str:
    """The last lines a person sees."""
    r = story.result
    return (
        f"\n{r['task']}: {r['successes']} of {r['episodes']} unseen episodes succeeded "
        f"({100 * r['success_rate']:.0f} %, 95 % interval {100 * r['success_low']:.1f} to "
        f"{100 * r['success_high']:.1f} %)\n"
        f"from {r['demos']} demonstrations and {r['env_steps']:,} env steps "
        f"({duration(r['env_steps'] / r['control_rate_hz'])} of arm time), "
        f"{duration(story.total_s)} in all\n"
        f"report: {run.report}\nresult: {run.result}"
    )
