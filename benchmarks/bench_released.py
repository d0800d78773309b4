"""CURL's released code in our environment, by our protocol: is what it learns what ours learns?

    git clone https://github.com/MishaLaskin/curl ~/curl
    python benchmarks/bench_released.py ~/curl --task cartpole_swingup --seed 1

Its agent, replay and update are its own (``released_curl.py``); pictures, action repeat,
evaluations and files are those of ``handful bench dmc``. So two suspects can be told apart: if it
reaches what was published, our agent is wrong; if it reaches what ours reaches, what has changed
since lies outside of both. A run cannot be resumed; begin it again with ``--overwrite``.
"""

import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from numpy.typing import NDArray
from released_curl import make, refuse_without, update

from handful.contract import Observation, Spec, Transition
from handful.workflow.console import Console
from handful.workflow.dmc_env import RepeatEnv
from handful.workflow.dmc_plan import CAMERA, Ask, resolve, simulator_of
from handful.workflow.dmc_results import csv_path, facts_of, write_run
from handful.workflow.dmc_train import DmcRun, Look
from handful.workflow.interrupt import Stopped
from handful.workflow.process import use_threads


class Released:
    """Its agent with the doors of ``learn.learner.Learner`` that a run uses.

    Args:
        agent, replay: ``released_curl.make``. start_steps: random decisions before updates.
    """

    def __init__(self, agent: Any, replay: Any, spec: Spec, start_steps: int, seed: int) -> None:
        self.agent, self.replay, self.spec = agent, replay, spec
        self.start_steps, self.rng = start_steps, np.random.default_rng(seed)
        self.env_steps = self.updates = 0
        self.extra: dict[str, Any] = {}
        self._before: NDArray[np.uint8] | None = None

    def begin(self, observation: Observation) -> None:
        """The first observation of an episode."""
        self._before = _channels_first(observation)

    def add(self, transition: Transition) -> None:
        """Into its replay; a time limit is no end, as its training loop has it."""
        after = _channels_first(transition.next_observation)
        over = transition.discount == 0.0
        self.replay.add(self._before, transition.action, transition.reward, after, over)
        self._before = after
        self.env_steps += 1

    def act(self, observation: Observation, explore: bool) -> NDArray[np.float32]:
        """Its sampled action or its mean, of the middle crop; random ones at first."""
        if explore and self.env_steps < self.start_steps:
            return self.rng.uniform(-1.0, 1.0, self.spec.action_dim).astype(np.float32)
        pictures = _channels_first(observation)
        if explore:
            return np.asarray(self.agent.sample_action(pictures), np.float32)
        edge = (pictures.shape[-1] - self.agent.image_size) // 2
        middle = pictures[:, edge : edge + self.agent.image_size, edge:][
            ..., : self.agent.image_size
        ]
        return np.asarray(self.agent.select_action(middle), np.float32)

    def launch(self) -> Callable[[], dict[str, float]]:
        """One released update for each decision after the random ones; done on return."""
        metrics: dict[str, float] = {}
        while self.updates < self.env_steps - self.start_steps:
            self.updates += 1
            update(self.agent, self.replay, self.env_steps)
            metrics = {"alpha": float(self.agent.alpha)}
        return lambda: metrics

    def update(self) -> dict[str, float]:
        """The same, and what it gives."""
        return self.launch()()

    def save(self, path: Path, extra: dict[str, Any]) -> None:
        """Nothing: its replay is not kept either."""


def _channels_first(observation: Observation) -> NDArray[np.uint8]:
    return np.ascontiguousarray(observation.images[CAMERA].transpose(2, 0, 1))


@click.command(help=str(__doc__).replace("\n\n    ", "\n\n\b\n    "))
@click.argument("checkout", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--task", default="cartpole_swingup", show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option("--steps", type=int, help="Environment steps.  [default: 100000]")
@click.option("--eval-every", type=int, default=20_000, show_default=True)
@click.option("--batch", default=128, show_default=True)
@click.option("--strides", nargs=4, type=int, help="Of its convolutions, instead of 2 1 1 1.")
@click.option(
    "--device",
    help="cuda or cpu.  [default: cuda where there is one]",
    default="cuda" if torch.cuda.is_available() else "cpu",
)
@click.option(
    "--runs", type=click.Path(path_type=Path), default=Path("runs/dmc"), show_default=True
)
@click.option(
    "--results",
    type=click.Path(path_type=Path),
    default=Path("benchmarks/results/released"),
    show_default=True,
)
@click.option("--quick", is_flag=True, help="On a CPU: its convolutions in bfloat16.")
@click.option("--overwrite", is_flag=True, help="Throw a run of that name and seed away.")
def main(
    checkout: Path,
    task: str,
    seed: int,
    steps: int | None,
    eval_every: int,
    batch: int,
    strides: tuple[int, ...] | None,
    device: str,
    runs: Path,
    results: Path,
    quick: bool,
    overwrite: bool,
) -> None:
    """Train and evaluate; the help is the module's."""
    try:
        refuse_without(checkout)
    except FileNotFoundError as error:
        raise click.UsageError(str(error)) from None
    name, sets = "released_code", ["agent.contrast.sequential=true"]
    sets += ["agent.contrast.double_step=true", "agent.augment.official_crop_range=true"]
    words = ["python", "benchmarks/bench_released.py", "CHECKOUT", "--task", task, "--seed"]
    words += [str(seed), "--eval-every", str(eval_every), "--batch", str(batch)]
    words += ["--steps", str(steps)] if steps is not None else []
    if strides:
        name += "_strided"
        sets.append(f"agent.encoder.strides={list(strides)}")
        words += ["--strides", *map(str, strides)]
    if quick:
        sets.append("agent.compute.precision=bf16")
        words.append("--quick")
    if batch != 128:
        name += f"_{batch}"
        sets.append(f"agent.batch_size={batch}")
    ask = Ask(task, "curl", seed, tuple(sets), name, steps, eval_every_env_steps=eval_every)
    plan = resolve(ask)
    threads = use_threads(plan.agent.threads)
    folder, path = runs / task / name / f"seed_{seed}", csv_path(results, plan)
    if folder.exists():
        if not overwrite:
            raise click.UsageError(f"{folder}: a run is there already; --overwrite it")
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    torch.manual_seed(seed)
    np.random.seed(seed)
    simulator = simulator_of(plan)
    spec = plan.spec(simulator)
    slots = min(plan.agent.replay.capacity, plan.agent_steps)
    rate = plan.agent.critic.lr  # its run script's 1e-3 but on cheetah
    rates = {f"{part}_lr": rate for part in ("critic", "actor", "encoder")}
    dim = spec.action_dim
    agent, replay = make(checkout, batch, dim, device, slots, strides or None, quick, **rates)
    learner = Released(agent, replay, spec, plan.agent.start_steps, seed)
    spare, console = [RepeatEnv(simulator, spec, plan.repeat)], Console()
    facts = facts_of(path, shlex.join(words), device, threads)

    def make_env() -> RepeatEnv:
        return spare.pop() if spare else RepeatEnv(simulator_of(plan), spec, plan.repeat)

    def after_look(looks: list[Look]) -> None:
        write_run(path, plan, looks, facts)

    try:
        DmcRun(plan, folder, make_env, lambda _: learner, console, after_look).run()
    except Stopped as stop:
        console.say("stopped; what it had learned is lost, its evaluations so far are kept")
        raise SystemExit(stop.code) from None


if __name__ == "__main__":
    main()
