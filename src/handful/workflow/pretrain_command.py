"""What ``handful pretrain`` does: say what serves for what, teach the eye, say what it learned."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from handful.contract import Spec
from handful.workflow import held_out, sight
from handful.workflow.console import Console
from handful.workflow.curves import read_curve
from handful.workflow.errors import RunError
from handful.workflow.parts import Parts
from handful.workflow.pretrain import make_ready
from handful.workflow.process import one_thread
from handful.workflow.progress import duration
from handful.workflow.results import commit, machine, write_json, write_text
from handful.workflow.run_folder import RunFolder, invocation
from handful.workflow.sight_page import sight_page
from handful.workflow.sources import Sources, gather, parse, remember, remembered


def pretrain(
    given: dict[str, Any], console: Console, run: RunFolder, parts: Parts
) -> dict[str, Any]:
    """Pre-train ``run``, or measure what it has; the values of ``--json``.

    Raises:
        RunError: nothing to learn from, or sessions that do not fit.
    """
    if given.get("sessions") and run.pretrained.exists() and not given.get("again"):
        raise RunError(
            f"{run.pretrained}: is there already and has not seen these sessions; "
            "--again pre-trains anew with them"
        )
    with _told(run, given.get("sessions") or ()):
        env = parts.environment()
        spec = env.spec
        env.close()
        sources = gather(run, spec)  # refusals come before anything is deleted or computed
        paths = list(given.get("held_out") or ())
        if paths:
            held_out.read(paths, spec, sources, parts.recipe.rig)
        if given.get("again"):
            run.pretrained.unlink(missing_ok=True)
            run.curve.unlink(missing_ok=True)
        run.write_config(parts.recipe)
        values: dict[str, Any] = {"run": str(run), "demos": len(sources.demonstrations)}
        if run.pretrained.exists():
            console.say(f"{run.pretrained}: is there already; --again makes a new one")
        else:
            ready = make_ready(parts, run, spec, console)
            told = ", ".join(f"{name} {value:.3g}" for name, value in ready.metrics.items())
            console.say(
                f"{run.pretrained}: {ready.demos} demonstrations, {duration(ready.seconds)}; {told}"
            )
            values |= {"pretrain_s": ready.seconds, **ready.metrics}
    if not given.get("no_report"):
        values["sight"] = report(parts, run, spec, sources, paths, console)
    return values


def report(
    parts: Parts, run: RunFolder, spec: Spec, sources: Sources, paths: list[Path], console: Console
) -> dict[str, Any]:
    """Measure the pre-trained learner on held-out episodes and write JSON and page about it."""
    where = paths or [held_out.record(parts, run)]
    moments = held_out.read(where, spec, sources, parts.recipe.rig)
    learner, extra = parts.load(run.pretrained)
    with one_thread():
        seen = sight.assess(learner, parts.learner(spec), moments)
        latents = sight.latents_of(learner, moments)
    values = {
        **seen.to_dict(),
        "agent": parts.recipe.agent_name,
        "task": parts.recipe.task,
        "seed": parts.recipe.seed,
        "pretrain_s": extra.get("pretrain_s"),
        "learned_from": sources.rows(),
        "commit": commit(),
        "command": invocation(),
        "machine": machine(),
    }
    write_json(run.pretraining, values)
    page = sight_page(run.path.name, values, sources, moments, latents, read_curve(run.curve))
    write_text(run.pretraining_page, page)
    console.say(f"what the encoder learned: {values['verdict']}")
    for reason in values["reasons"]:
        console.say(f"  {reason}")
    console.say(f"report: {run.pretraining_page}")
    return values


@contextmanager
def _told(run: RunFolder, sessions: tuple[str, ...]) -> Iterator[None]:
    """Remember the sessions, unless what follows refuses them."""
    before = remembered(run)
    if not sessions:
        yield
        return
    named = [parse(text) for text in sessions]
    run.path.mkdir(parents=True, exist_ok=True)
    remember(run, named)
    try:
        yield
    except Exception:
        if before:
            remember(run, before)
        else:
            run.sources.unlink(missing_ok=True)
        raise
