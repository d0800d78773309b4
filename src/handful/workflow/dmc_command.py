"""``handful bench dmc``: one run here, several in processes of their own, or the table.

Runs side by side are the simplest parallelism that is honest about cores: on a CPU each process
computes on its share of the cores, on a GPU they share the device. The parent only waits.
"""

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from handful.config import ConfigError
from handful.workflow.console import Console
from handful.workflow.dmc_env import RepeatEnv
from handful.workflow.dmc_plan import Ask, Plan, resolve, simulator_of, task_groups, tasks_of
from handful.workflow.dmc_plots import write_plots
from handful.workflow.dmc_published import as_grid, as_markdown, compare, published_lists
from handful.workflow.dmc_results import (
    csv_path,
    facts_of,
    read_runs,
    refuse_other_physics,
    write_run,
)
from handful.workflow.dmc_train import DmcRun, Look
from handful.workflow.errors import RunError
from handful.workflow.interrupt import Interrupt, Stopped
from handful.workflow.parts import load_learner, torch_device
from handful.workflow.process import use_threads
from handful.workflow.results import write_json
from handful.workflow.run_folder import RunFolder

POLL_S = 0.5
_OPTIONS = {
    "name": "--name",
    "budget_env_steps": "--steps",
    "repeat": "--repeat",
    "physics": "--physics",
    "eval_every_env_steps": "--eval-every",
    "eval_episodes": "--eval-episodes",
}


def dmc_command(given: dict[str, Any]) -> None:
    """``handful bench dmc``: ``--table`` and ``--plot`` show, everything else trains."""
    console = Console(given.get("json_path") == "-")
    if given["table"] or given["plot"]:
        numbers = _show(given, console)
    else:
        try:
            numbers = _train(given, console)
        except Stopped as stop:
            console.say("stopped; the same command goes on from the last checkpoint")
            raise SystemExit(stop.code) from None
    if given.get("json_path"):
        write_json(given["json_path"], numbers)


def _show(given: dict[str, Any], console: Console) -> dict[str, Any]:
    runs, published = read_runs(given["results"]), published_lists()
    numbers: dict[str, Any] = {"runs": [str(run.path) for run in runs]}
    if given["plot"]:
        plots = write_plots(runs, published, given["results"])
        numbers["plots"] = [str(path) for path in plots]
        console.say("\n".join(numbers["plots"]) or f"{given['results']}: no results to plot yet")
    if given["table"]:
        cells = compare(published, runs)
        numbers["cells"] = [cell.to_dict() for cell in cells]
        for tasks in task_groups().values():
            for mark in sorted({known.env_steps for known in published}):
                if grid := as_grid(published, runs, tasks, mark):
                    console.say(f"{grid}\n")
        console.say(as_markdown(cells))
    return numbers


def _train(given: dict[str, Any], console: Console) -> dict[str, Any]:
    options = {key: given[key] for key in _OPTIONS}
    asks = [
        Ask(task, given["method"], seed, tuple(given["sets"]), **options)
        for task in tasks_of(given["task"])
        for seed in _seeds(given["seeds"])
    ]
    plans = [resolve(ask) for ask in asks]
    for plan in plans:
        if [(p.task, p.seed) for p in plans].count((plan.task, plan.seed)) > 1:
            raise ConfigError(f"--task {given['task']}: {plan.task} is there more than once")
    device = torch_device(given["device"])
    if len(plans) == 1:
        _run_one(plans[0], command_of(asks[0]), given, device, console)
    else:
        for plan in {plan.task: plan for plan in plans}.values():
            simulator_of(plan).close()  # what cannot be opened is said once, not by each run
        # The longest first: whoever begins last should not be the one that is waited for.
        together = sorted(zip(plans, asks, strict=True), key=lambda both: -both[0].agent_steps)
        _run_beside(together, given, device, console)
    done = {run.path: run for run in read_runs(given["results"])}
    tasks: dict[str, dict[str, Any]] = {}
    for plan in plans:
        mine = tasks.setdefault(plan.task, {"results": {}, "returns": {}})
        path = csv_path(given["results"], plan)
        mine["results"][str(plan.seed)] = str(path)
        if path in done and done[path].points:
            mine["returns"][str(plan.seed)] = done[path].points[-1][1]
    if len(tasks) == 1:
        return {"task": plans[0].task, "name": plans[0].name, **tasks[plans[0].task]}
    return {"name": plans[0].name, "tasks": tasks}


def _run_one(
    plan: Plan, command: str, given: dict[str, Any], device: str, console: Console
) -> list[Look]:
    threads = use_threads(plan.agent.threads)
    place = RunFolder(given["runs"] / plan.task / plan.name / f"seed_{plan.seed}")
    results = csv_path(given["results"], plan)
    simulator = simulator_of(plan)
    spec = plan.spec(simulator)
    spare = [RepeatEnv(simulator, spec, plan.repeat)]  # the first of the two that are asked for

    def make_env() -> RepeatEnv:
        return spare.pop() if spare else RepeatEnv(simulator_of(plan), spec, plan.repeat)

    def make_learner(checkpoint: Path | None) -> Any:
        from handful.learn.learner import Learner

        if checkpoint is not None:
            return load_learner(checkpoint, device)[0]
        return Learner(plan.agent, spec, seed=plan.seed, device=device)

    try:
        with place.lock():
            if given["overwrite"]:
                _clear(place.path)
                results.unlink(missing_ok=True)
            refuse_other_physics(results, plan)
            facts = facts_of(results, command, device, threads)

            def after_look(looks: list[Look]) -> None:
                write_run(results, plan, looks, facts)

            run = DmcRun(
                plan, place.path, make_env, make_learner, console, after_look, given["keep_log"]
            )
            looks = run.run()
    finally:
        for env in spare:
            env.close()
    console.say(f"{results}: {len(looks)} evaluations, the last at {looks[-1].env_steps:,} steps")
    return looks


def _run_beside(
    runs: Sequence[tuple[Plan, Ask]], given: dict[str, Any], device: str, console: Console
) -> None:
    """One process a run, ``--parallel`` at a time; each writes its own log beside its run."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    most = given["parallel"] or (min(len(runs), cores) if device == "cpu" else len(runs))
    threads = max(1, cores // most)
    # Mesa's software renderer, too, would take every core in every process.
    own = {"OMP_NUM_THREADS": str(threads), "LP_NUM_THREADS": str(threads)}
    environment = {**own, **os.environ}
    waiting, failed = list(runs), []
    running: dict[subprocess.Popen[bytes], tuple[str, Path]] = {}
    console.say(
        f"{len(runs)} runs, {min(most, len(runs))} at a time on {device}"
        + (f", {threads} of {cores} cores each" if device == "cpu" else ", sharing the device")
    )
    with Interrupt() as interrupt:
        while waiting or running:
            while waiting and len(running) < most and interrupt.asked is None:
                plan, ask = waiting.pop(0)
                what = f"{plan.task} seed {plan.seed}"
                log = given["runs"] / plan.task / plan.name / f"seed_{plan.seed}.log"
                log.parent.mkdir(parents=True, exist_ok=True)
                words = _child(ask, given)
                with log.open("ab") as file:
                    child = subprocess.Popen(
                        words, stdout=file, stderr=file, stdin=subprocess.DEVNULL, env=environment
                    )
                running[child] = (what, log)
                console.say(f"{what}: process {child.pid}, log {log}")
            for child in [c for c in running if c.poll() is not None]:
                what, log = running.pop(child)
                if child.returncode and interrupt.asked is None:
                    failed.append(f"{log} ({_last_line(log)})")
                else:
                    console.say(f"{what}: ended, {_last_line(log)}")
            if interrupt.asked is not None:
                for child in running:
                    child.terminate()
                for child in running:
                    child.wait()
                interrupt.check()
            time.sleep(POLL_S)
    if failed:
        raise RunError(f"{len(failed)} of {len(runs)} runs failed: {'; '.join(failed)}")


def command_of(ask: Ask) -> str:
    """What to type in a checkout to repeat one run; no path of this machine is in it."""
    return shlex.join(["handful", "bench", "dmc", *_words(ask)])


def _words(ask: Ask) -> list[str]:
    words = ["--task", ask.task, "--method", ask.method, "--seeds", str(ask.seed)]
    for one in ask.sets:
        words += ["--set", one]
    for key, option in _OPTIONS.items():
        if getattr(ask, key) is not None:
            words += [option, str(getattr(ask, key))]
    return words


def _child(ask: Ask, given: dict[str, Any]) -> list[str]:
    words = [sys.executable, "-m", "handful.cli", "bench", "dmc", *_words(ask)]
    words += ["--runs", str(given["runs"]), "--results", str(given["results"])]
    words += ["--device", given["device"]] if given["device"] else []
    words += [f"--{flag}" for flag in ("overwrite", "keep-log") if given[flag.replace("-", "_")]]
    return words


def _seeds(text: str) -> list[int]:
    """``"1,2,3"`` to numbers, each once."""
    try:
        seeds = [int(word) for word in text.split(",")]
    except ValueError:
        raise ConfigError(f"--seeds {text}: expected numbers like 1,2,3") from None
    if len(set(seeds)) != len(seeds) or not all(0 <= seed <= 99 for seed in seeds):
        raise ConfigError(f"--seeds {text}: expected different numbers from 0 to 99")
    return seeds


def _clear(folder: Path) -> None:
    """Empty a run's folder but for the lock that is held on it."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != ".lock":
            path.unlink()


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1].removeprefix("handful: ") if lines else "said nothing"
