"""What a run of ``handful bench dmc`` that was stopped had come to: its checkpoint, evaluated.

Plays the deterministic episodes of its next evaluation with the networks of its last checkpoint,
and says at how many steps that was made. It needs ``plan.json`` and ``checkpoint.safetensors`` of a
run's folder, not its experience, and changes neither: a run that can go on had better go on.

    python benchmarks/bench_look.py runs/dmc/finger_spin/curl/seed_1 --json look.json
"""

import argparse
from pathlib import Path
from statistics import fmean, stdev

from handful.config import build
from handful.learn.learner import Learner
from handful.learn.settings import AgentSettings
from handful.workflow.dmc_env import RepeatEnv
from handful.workflow.dmc_plan import Plan, simulator_of
from handful.workflow.dmc_train import deterministic_returns
from handful.workflow.errors import telling
from handful.workflow.process import use_threads
from handful.workflow.results import commit, machine, read_json, versions, write_json


def plan_of(folder: Path) -> Plan:
    """The plan of the run that lies there."""
    told = read_json(folder / "plan.json")
    if told is None or "agent" not in told:
        raise SystemExit(
            f"{folder}: no plan.json of a run in it; name the folder of one of its seeds"
        )
    told = {"physics": "installed", **told}
    agent = build(AgentSettings, dict(told["agent"]), f"{folder}/plan.json: agent")
    return Plan(**{**told, "agent": agent})


def main() -> None:
    """Evaluate; the help is the module's."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="folder of one seed of a run")
    parser.add_argument("--json", type=Path, help="write the returns here")
    given = parser.parse_args()
    plan = plan_of(given.run)
    checkpoint = given.run / "checkpoint.safetensors"
    if not checkpoint.is_file():
        raise SystemExit(f"{checkpoint}: is not there; the run was stopped before its first one")
    use_threads(plan.agent.threads)
    learner = Learner.load(checkpoint)
    env = RepeatEnv(simulator := simulator_of(plan), plan.spec(simulator), plan.repeat)
    index = len(learner.extra["looks"])
    returns = deterministic_returns(plan, learner, env, index, lambda: None)
    env.close()
    steps = int(learner.extra["agent_steps"]) * plan.repeat
    print(
        f"{plan.task} {plan.name} seed {plan.seed}: {steps:,} env steps, "
        f"mean return {fmean(returns):.1f} over {len(returns)} episodes"
    )
    if given.json is not None:
        result = {
            "task": plan.task,
            "name": plan.name,
            "seed": plan.seed,
            "physics": plan.physics,
            "env_steps": steps,
            "updates": learner.updates,
            "mean_return": fmean(returns),
            "sd_return": stdev(returns) if len(returns) > 1 else 0.0,
            "returns": returns,
        }
        facts = {"commit": commit(), "machine": machine(), "versions": versions()}
        write_json(given.json, {**result, **facts})


if __name__ == "__main__":
    with telling():
        main()
