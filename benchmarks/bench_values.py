"""How far a critic's values could have grown by now, beside how far they did.

A target network that moves by ``tau`` every ``target_every`` updates, with ``n``-step returns, can
only pass values on so fast. Were every state alike, with the mean reward r of a decision, its value
T would follow, from one move of the target to the next,

    T <- (1 - tau) T + tau (r (1 - gamma^n) / (1 - gamma) + gamma^n T),

which goes to r / (1 - gamma) and closes tau (1 - gamma^n) of what is left at each move. This reads
finished or running runs of ``handful bench dmc``, takes r from the episodes trained on so far, and
prints T beside ``q_mean``, the mean of the critic on its batches.

    python benchmarks/bench_values.py runs/dmc/cartpole_swingup/curl/seed_1 ... --json values.json
"""

import argparse
import statistics
from pathlib import Path
from typing import Any

from handful.workflow.curves import read_curve
from handful.workflow.results import read_json, write_json

MARKS = 5  # rows a run


def speed(agent: dict[str, Any]) -> float:
    """The part of what is left that one update closes."""
    critic = agent["critic"]
    passed = 1.0 - agent["discount"] ** agent["replay"]["n_step"]
    return float(critic["tau"] * passed / critic["target_every"])


def values(plan: dict[str, Any], lines: list[dict[str, Any]]) -> list[dict[str, float]]:
    """A row each fifth of the budget: environment steps, updates, q_mean, T and r / (1 - gamma).

    Args:
        plan: a run's ``plan.json``. lines: its ``curve.jsonl``, in the order it was written.
    """
    agent, rate = plan["agent"], speed(plan["agent"])
    horizon = 1.0 / (1.0 - agent["discount"])
    returns: list[tuple[int, float]] = []
    rows, grown, updates, every = [], 0.0, 0, plan["budget_env_steps"] // MARKS
    for line in lines:
        if line["kind"] == "episode":
            returns.append((line["env_steps"], line["episode_return"]))
        if line["kind"] != "update" or not returns:
            continue
        decisions = returns[-1][0] / plan["repeat"]
        limit = horizon * sum(value for _, value in returns) / decisions
        grown = limit + (grown - limit) * (1.0 - rate) ** (line["updates"] - updates)
        updates = line["updates"]
        if line["env_steps"] % every == 0:
            row = {key: line[key] for key in ("env_steps", "updates", "q_mean")}
            rows.append({**row, "by_arithmetic": grown, "limit": limit})
    return rows


def main() -> None:
    """One table for the runs that were named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path, help="folders of handful bench dmc")
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    given = parser.parse_args()
    found: dict[str, Any] = {}
    for run in given.runs:
        plan, curve = read_json(run / "plan.json"), run / "curve.jsonl"
        if plan is None or not curve.is_file():
            parser.error(f"{run}: no run of handful bench dmc (plan.json and curve.jsonl)")
        lines = read_curve(curve)
        name = f"{plan['task']} {plan['name']} seed {plan['seed']}"
        found[name] = {"speed": speed(plan["agent"]), "rows": values(plan, lines)}
        if not found[name]["rows"]:
            parser.error(f"{run}: not yet at a fifth of its {plan['budget_env_steps']:,} steps")
    print("| run | speed | env steps | updates | critic's mean | by arithmetic | its limit |")
    print("|---|---|---|---|---|---|---|")
    for name, of in found.items():
        for row in of["rows"]:
            print(
                f"| {name} | {of['speed']:.1e} | {row['env_steps']:,} | {row['updates']:,} | "
                f"{row['q_mean']:.0f} | {row['by_arithmetic']:.0f} | {row['limit']:.0f} |"
            )
    if given.json:
        write_json(given.json, found)
    apart = [abs(r["q_mean"] / r["by_arithmetic"] - 1) for of in found.values() for r in of["rows"]]
    print(f"\nmedian difference {statistics.median(apart):.0%} of {len(apart)} rows")


if __name__ == "__main__":
    main()
