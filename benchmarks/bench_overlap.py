"""What it is worth that a GPU learns while the simulator steps and draws: decisions a second.

One run of ``handful bench dmc`` in turns of a few seconds, its updates asked for at once (the loop
waits for them, then steps) or after the step (``Learner.launch``, the loop of ``dmc_train.py``).
The same learner goes through all turns, so both meet the same replay; the median of each way is
told with their ratio. On a CPU an update is done when ``launch`` returns: the ratio is 1.

    python benchmarks/bench_overlap.py --task walker_walk --method curl --batch 512 --json out.json
"""

import argparse
import time
from pathlib import Path
from statistics import median

import torch

from handful.learn.learner import Learner
from handful.workflow.dmc_env import RepeatEnv
from handful.workflow.dmc_plan import Ask, resolve, simulator_of
from handful.workflow.errors import telling
from handful.workflow.process import use_threads
from handful.workflow.results import commit, machine, versions, write_json


class Loop:
    """One agent in one environment, that goes on where it was."""

    def __init__(self, env: RepeatEnv, learner: Learner) -> None:
        self.env, self.learner = env, learner
        self._episodes, self._over = 0, True

    def decide(self, beside: bool) -> None:
        """One decision and the updates that are owed."""
        learner = self.learner
        if self._over:
            self._seen = self.env.reset(self._episodes)
            self._episodes += 1
            learner.begin(self._seen)
        action = learner.act(self._seen, explore=True)
        metrics = learner.launch()
        if not beside:
            metrics()
        transition = self.env.step(action)
        metrics()
        learner.add(transition)
        self._seen, self._over = transition.next_observation, transition.last

    def rate(self, beside: bool, seconds: float) -> float:
        """Decisions a second over so long."""
        began_s, decisions = time.perf_counter(), 0
        while time.perf_counter() - began_s < seconds:
            self.decide(beside)
            decisions += 1
        return decisions / (time.perf_counter() - began_s)


def main() -> None:
    """Measure; the help is the module's."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", default="walker_walk", help="(default walker_walk)")
    parser.add_argument("--method", default="curl", help="a profile (default curl)")
    parser.add_argument("--batch", type=int, default=128, help="(default 128)")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each turn (default 3)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each way (default 3)")
    parser.add_argument("--json", type=Path, help="write the numbers here")
    given = parser.parse_args()
    sets = (f"agent.batch_size={given.batch}", f"agent.start_steps={max(given.batch, 100)}")
    plan = resolve(Ask(given.task, given.method, 1, sets))
    use_threads(plan.agent.threads)
    simulator = simulator_of(plan)
    spec = plan.spec(simulator)
    env = RepeatEnv(simulator, spec, plan.repeat)
    loop = Loop(env, Learner(plan.agent, spec, seed=1))
    for _ in range(plan.agent.start_steps + 30):  # random decisions, and what is done once
        loop.decide(beside=True)
    rates: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(given.rounds):
        for beside, told in rates.items():
            told.append(loop.rate(beside, given.seconds))
    env.close()
    waiting, beside_ = median(rates[False]), median(rates[True])
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    print(
        f"{given.task}, {given.method} at {given.batch}, {device}: {waiting:.1f} decisions/s "
        f"waiting, {beside_:.1f} beside, ratio {beside_ / waiting:.2f}"
    )
    if given.json is not None:
        result = {
            "task": given.task,
            "method": given.method,
            "batch": given.batch,
            "device": device,
            "updates_a_decision": plan.agent.update_to_data,
            "waiting_per_s": rates[False],
            "beside_per_s": rates[True],
            "ratio": beside_ / waiting,
        }
        facts = {"commit": commit(), "machine": machine(), "versions": versions()}
        write_json(given.json, {**result, **facts})


if __name__ == "__main__":
    with telling():
        main()
