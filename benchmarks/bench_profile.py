"""Where an update's time goes on one CPU thread, and how far it is from what the machine can do.

    python benchmarks/bench_profile.py --json docs/results/profile.json --page docs/performance.md

Three things, all in processor time, so that other processes take nothing away (they still take
caches and clock rate: repeat, and believe ratios): the share of each kind of operator, from torch's
profiler; floating-point operations and bytes, counted (``counting.py``), against the machine's
matrix product and copy, measured in the same turns; and one observation's way to an action.
"""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from handful.workflow.process import tune_allocator

CASES: dict[str, tuple[str, tuple[str, ...], dict[str, Any]]] = {
    "curl": ("agent/curl", ("third",), {}),
    "rad": ("agent/rad", ("third",), {}),
    "lean": ("agent/lean", ("third", "wrist"), {}),
    "frozen": ("agent/frozen", ("third", "wrist"), {"critic.count": 2}),
    "state": ("agent/state", (), {"replay.capacity": 10_000}),
}
MARKS = ("<!-- bench_profile -->", "<!-- /bench_profile -->")
GROUPS = (
    "convolution, forward",
    "convolution, backward",
    "matrix products",
    "norms and elementwise",
    "copies and casts",
    "optimiser",
    "targets",
    "sampling",
    "Python and autograd",
)
# The outermost of these that an operator runs within has its time.
_WHOLES = {
    "_ConvolveReluBackward": "convolution, backward",
    "aten::convolution_backward": "convolution, backward",
    "_ConvolveRelu": "convolution, forward",
    "aten::conv2d": "convolution, forward",
    "aten::_foreach_lerp_": "targets",
    "sample": "sampling",
}
_PRODUCTS = ("mm", "addmm", "bmm", "baddbmm", "linear", "matmul")
_COPIES = ("copy_", "to", "_to_copy", "clone", "contiguous", "fill_", "zero_", "zeros")


def group_of(names: list[str]) -> str:
    """The group of an operator: its own name first, then those it was called within, outwards."""
    for name in reversed(names):
        if name in _WHOLES:
            return _WHOLES[name]
        if name.startswith("Optimizer."):
            return "optimiser"
    own = names[0].removeprefix("aten::")
    if own == names[0]:
        return "Python and autograd"
    if own in _PRODUCTS:
        return "matrix products"
    return "copies and casts" if own in _COPIES else "norms and elementwise"


def shares(learner: Any, updates: int) -> dict[str, float]:
    """Share of the time of ``updates`` of them that each of ``GROUPS`` takes."""
    from torch.profiler import ProfilerActivity, profile, record_function

    with profile(activities=[ProfilerActivity.CPU]) as found:
        for _ in range(updates):
            with record_function("sample"):
                batch = learner.sample()
            with record_function("update"):
                learner.agent.update(batch, learner.env_steps)
    taken = dict.fromkeys(GROUPS, 0.0)
    for event in found.events():
        names, at = [], event
        while at is not None:
            names.append(at.name)
            at = at.cpu_parent
        taken[group_of(names)] += event.self_cpu_time_total
    whole = sum(taken.values())
    return {name: value / whole for name, value in taken.items()}


def run_profile_bench(
    names: tuple[str, ...], rounds: int, seconds: float, progress: Callable[[str], None]
) -> dict[str, Any]:
    """Every number: by profile, and the machine's ceilings.

    Args:
        names: of ``CASES``. rounds: turns each case takes, the median counts. seconds: of processor
            time a turn. progress: takes a line of text now and then.
    """
    import torch
    from counting import ceilings, count, roofline_s
    from noise_replay import filled

    torch.set_num_threads(1)
    learners: dict[str, Any] = {}
    cases: dict[str, dict[str, Any]] = {}
    for name in names:
        progress(f"preparing {name}")
        profile, cameras, overrides = CASES[name]
        learners[name] = learner = filled(profile, cameras, overrides, 4)
        _updates(learner, 0.0)
        cases[name] = {**count(learner.step), "batch": learner.settings.batch_size}
    times: dict[str, list[float]] = {name: [] for name in names}
    acts: dict[str, list[list[float]]] = {name: [] for name in names}
    tops: list[dict[str, float]] = []
    for turn in range(rounds):
        tops.append(ceilings(torch.device("cpu"), time.process_time))
        for name, learner in learners.items():
            times[name].append(_updates(learner, seconds))
            acts[name].append(_act(learner, seconds / 4))
        progress(f"turn {turn + 1} of {rounds} done")
    top = {key: statistics.median(one[key] for one in tops) for key in tops[0]}
    for name, learner in learners.items():
        case, each = cases[name], statistics.median(times[name])
        least, binds = roofline_s(case["gflop"], case["megabytes"], *top.values())
        traced, written = (statistics.median(one[i] for one in acts[name]) for i in (0, 1))
        case |= {
            "cpu_ms": 1e3 * each,
            "roofline_ms": 1e3 * least,
            "roofline_share": least / each,
            "bound_by": binds,
            "shares": shares(learner, max(2, 2 * round(seconds / each / 2))),
            "act_cpu_ms": 1e3 * traced,
            "act_as_written_ratio": written / traced,
        }
    return {"ceilings": top, "cases": cases, "threads": 1, "rounds": rounds}


def _updates(learner: Any, seconds: float) -> float:
    """Processor time of an update, over an even number of them [s]."""
    began, done = time.process_time(), 0
    while done == 0 or time.process_time() - began < seconds:
        learner.step()
        learner.step()
        done += 2
    return (time.process_time() - began) / done


def _act(learner: Any, seconds: float) -> list[float]:
    """Processor time of an action, traced and as written, in turns; medians [s]."""
    import numpy as np
    from noise_replay import observation

    from handful.learn.acting import Acting

    seen = observation(learner.spec, np.random.default_rng(0))
    written = Acting(learner.agent, learner.views, traced=False)
    taken: list[list[float]] = [[], []]
    began = time.process_time()
    while len(taken[1]) < 12 or time.process_time() - began < seconds:
        for times, acting in zip(taken, (learner.acting, written), strict=True):
            start = time.process_time()
            acting.mean(seen)
            times.append(time.process_time() - start)
    return [statistics.median(times[2:]) for times in taken]


def tables(numbers: dict[str, Any]) -> str:
    """The numbers as the tables of docs/performance.md."""
    cases, top = numbers["cases"], numbers["ceilings"]
    lines = [
        f"Ceilings, one thread: {top['matmul_gflop_s']:.1f} GFLOP/s (1024 x 1024 matrix product), "
        f"{top['copy_gb_s']:.1f} GB/s (copy, read and written).",
        "",
        "| profile | batch | GFLOP | MB | operators | processor time | least by the roofline "
        "| share of it |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, c in cases.items():
        lines.append(
            f"| `{name}` | {c['batch']} | {c['gflop']:.3g} | {c['megabytes']:,.0f} "
            f"| {c['operators']:.0f} | {c['cpu_ms']:,.3g} ms "
            f"| {c['roofline_ms']:,.3g} ms ({c['bound_by']}) | {c['roofline_share']:.0%} |"
        )
    lines += ["", "| share of an update | " + " | ".join(f"`{name}`" for name in cases) + " |"]
    lines.append("|---" * (len(cases) + 1) + "|")
    for group in GROUPS:
        row = " | ".join(f"{c['shares'][group]:.1%}" for c in cases.values())
        lines.append(f"| {group} | {row} |")
    lines += ["", "| one observation to one action | processor time | as written, over traced |"]
    lines.append("|---|---|---|")
    for name, c in cases.items():
        lines.append(f"| `{name}` | {c['act_cpu_ms']:.2f} ms | {c['act_as_written_ratio']:.2f} |")
    return "\n".join(lines)


@click.command()
@click.option("--profiles", default=",".join(CASES), show_default=True, help="Which, by commas.")
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
@click.option("--seconds", type=float, default=2.0, show_default=True, help="A turn of a case [s].")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Where to write all.")
@click.option(
    "--page",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A page whose tables, between its two marks, are replaced.",
)
def main(
    profiles: str, rounds: int, seconds: float, json_path: Path | None, page: Path | None
) -> None:
    """Where an update's time goes on one CPU thread, as tables in markdown."""
    from handful.workflow.results import commit, machine, versions, write_json

    names = tuple(name.strip() for name in profiles.split(","))
    unknown = [name for name in names if name not in CASES]
    if unknown:
        raise click.UsageError(
            f"--profiles {','.join(unknown)}: expected some of {', '.join(CASES)}"
        )
    numbers = run_profile_bench(names, rounds, seconds, lambda line: click.echo(line, err=True))
    numbers |= {"commit": commit(), "machine": machine(), "versions": versions()}
    if json_path is not None:
        write_json(json_path, numbers)
    if page is not None:
        if any(mark not in page.read_text(encoding="utf-8") for mark in MARKS):
            raise click.UsageError(f"--page {page}: has no {MARKS[0]} … {MARKS[1]} to fill")
        before, _, rest = page.read_text(encoding="utf-8").partition(MARKS[0])
        _, _, after = rest.partition(MARKS[1])
        between = f"{MARKS[0]}\n{tables(numbers)}\n{MARKS[1]}"
        page.write_text(before + between + after, encoding="utf-8")
    click.echo(tables(numbers))


if __name__ == "__main__":
    tune_allocator()
    main()
