"""The learner on a GPU beside the published passes on the same GPU, and how far from its roofline.

Cases take turns in processes of their own, as in ``bench_learner.py``, whose ``--device cuda`` this
is; every turn ends with a synchronisation. Besides the profiles as they come there is ``curl`` with
one thing left away at a time: graphs (``curl_launched``), the replay on the device
(``curl_transferred``), the kernel that gathers pictures (``curl_indexed``), that of convolution,
bias and ReLU (``curl_unfused``), TF32 (``curl_fp32``), and with bfloat16 (``..._bf16``). With a
checkout of CURL's released code (``--released``) that takes turns as well (``released_curl.py``).

The roofline share is the least time of an update (counted operations over the matrix product the
card was just seen to reach in that precision, or counted bytes over its copies, whichever takes
longer) over the time it took. Bytes are counted operator by operator: an upper bound.
"""

import os
import statistics
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from counting import roofline_s

from handful.workflow.errors import RunError

PEERS = ("reference", "reference_512", "rad_reference")
RELEASED = ("released", "released_512")  # where there is a checkout of it
OURS = (
    "curl",
    "curl_512",
    "curl_bf16",
    "curl_512_bf16",
    "curl_fp32",
    "curl_launched",
    "curl_transferred",
    "curl_indexed",
    "curl_unfused",
    "rad",
    "rad_bf16",
    "lean",
    "lean_dmc",
    "lean_dmc_bf16",
    "lean_two",
    "frozen",
    "frozen10",
    "state",
)
RATIOS = {
    "ratio_reference": ("curl", "reference"),
    "ratio_reference_512": ("curl_512", "reference_512"),
    "ratio_rad_reference": ("rad", "rad_reference"),
    "ratio_released": ("curl", "released"),
    "ratio_released_512": ("curl_512", "released_512"),
    "ratio_released_bf16": ("curl_bf16", "released"),
    "ratio_released_512_bf16": ("curl_512_bf16", "released_512"),
}
Say = Callable[[str], None]


def run_device_bench(
    make_worker: Callable[[str], Any],
    seconds_per_case: float,
    rounds: int,
    say: Say,
    released: bool = False,
) -> dict[str, Any]:
    """All numbers of ``bench_learner.py --device cuda`` (keys: docs/metrics.md).

    Args:
        make_worker: a case by its name, started (``bench_learner.Worker``).
        seconds_per_case: split over ``rounds`` turns. say: takes a line of text now and then.
        released: whether the released code takes turns as well.
    Raises:
        RunError: torch has no GPU here.
    """
    refuse_without_gpu()
    workers: dict[str, Any] = {}
    cases = (*PEERS, *(RELEASED if released else ()), *OURS)
    turns: dict[str, list[dict[str, Any]]] = {name: [] for name in cases}
    tops: list[dict[str, Any]] = []
    try:
        say(f"preparing {len(cases)} cases side by side")
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            makers = {name: pool.submit(make_worker, name) for name in ("ceilings", *cases)}
            for name, making in makers.items():
                try:
                    workers[name] = making.result()
                except RuntimeError as error:  # its own words are above: out of memory, say
                    say(f"left out: {error}")
        turns = {name: taken for name, taken in turns.items() if name in workers}
        for index in range(rounds):
            workers["ceilings"].start(0.0)
            tops.append(workers["ceilings"].wait())
            for name, taken in turns.items():
                workers[name].start(seconds_per_case / rounds)
                taken.append(workers[name].wait())
            say(f"round {index + 1} of {rounds} done")
    finally:
        for worker in workers.values():
            worker.close()
    rate = {
        name: statistics.median(t["count"] / t["seconds"] for t in taken)
        for name, taken in turns.items()
    }
    numbers: dict[str, Any] = {"gpu": tops[0]["gpu"], "rounds": rounds}
    numbers |= {f"{name}_updates_per_s": value for name, value in rate.items()}
    numbers |= {
        key: rate[ours] / rate[theirs]
        for key, (ours, theirs) in RATIOS.items()
        if ours in rate and theirs in rate
    }
    for name in ("fp32", "tf32", "bf16"):
        numbers[f"matmul_{name}_gflop_s"] = _median(tops, name, "matmul_gflop_s")
    numbers["copy_gb_s"] = _median(tops, "fp32", "copy_gb_s")
    for name in (name for name in OURS if name in rate):
        facts = workers[name].facts
        top = numbers[f"matmul_{_precision(name)}_gflop_s"]
        least, binds = roofline_s(facts["gflop"], facts["megabytes"], top, numbers["copy_gb_s"])
        numbers[f"{name}_roofline_share"] = least * rate[name]
        numbers[f"{name}_bound_by"] = binds
    return numbers


def _precision(name: str) -> str:
    """What a case multiplies in."""
    ending = name.rpartition("_")[2]
    return ending if ending in ("fp32", "bf16") else "tf32"


def refuse_without_gpu() -> None:
    """Raise ``RunError`` unless torch can compute on an NVIDIA GPU."""
    import torch

    if not torch.cuda.is_available():
        built = "is built without CUDA" if torch.version.cuda is None else "finds no usable GPU"
        raise RunError(
            f"--device cuda: torch {torch.__version__} {built}; run this where there is an NVIDIA "
            "GPU, with a torch built for it"
        )


def _median(tops: list[dict[str, Any]], precision: str, key: str) -> float:
    return statistics.median(top[precision][key] for top in tops)
