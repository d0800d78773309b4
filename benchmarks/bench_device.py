"""The learner on a GPU beside the published passes on the same GPU, and how far from its roofline.

Cases take turns in processes of their own, as in ``bench_learner.py``, whose ``--device cuda`` this
is; every turn ends with a synchronisation. Besides the profiles as they come there is ``curl`` with
one thing left away at a time: graphs (``curl_launched``), the replay on the device
(``curl_transferred``), TF32 (``curl_fp32``), and with bfloat16 (``curl_bf16``).

The roofline share is the least time of an update (counted operations over the matrix product the
card was just seen to reach in that precision, or counted bytes over its copies, whichever takes
longer) over the time it took. Bytes are counted operator by operator: an upper bound.
"""

import statistics
from collections.abc import Callable
from typing import Any

from counting import roofline_s

from handful.workflow.errors import RunError

PEERS = ("reference", "reference_512", "rad_reference")
PRECISION = {"curl_fp32": "fp32", "curl_bf16": "bf16"}  # tf32 else
OURS = (
    "curl",
    "curl_512",
    "curl_bf16",
    "curl_fp32",
    "curl_launched",
    "curl_transferred",
    "rad",
    "lean",
    "lean_two",
    "frozen",
    "frozen10",
    "state",
)
RATIOS = {
    "ratio_reference": ("curl", "reference"),
    "ratio_reference_512": ("curl_512", "reference_512"),
    "ratio_rad_reference": ("rad", "rad_reference"),
}
Say = Callable[[str], None]


def run_device_bench(
    make_worker: Callable[[str], Any], seconds_per_case: float, rounds: int, say: Say
) -> dict[str, Any]:
    """All numbers of ``bench_learner.py --device cuda`` (keys: docs/metrics.md).

    Args:
        make_worker: a case by its name, started (``bench_learner.Worker``).
        seconds_per_case: split over ``rounds`` turns. say: takes a line of text now and then.
    Raises:
        RunError: torch has no GPU here.
    """
    refuse_without_gpu()
    workers: dict[str, Any] = {}
    turns: dict[str, list[dict[str, Any]]] = {name: [] for name in (*PEERS, *OURS)}
    tops: list[dict[str, Any]] = []
    try:
        for name in ("ceilings", *turns):
            say(f"preparing {name}")
            workers[name] = make_worker(name)
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
    numbers |= {key: rate[ours] / rate[theirs] for key, (ours, theirs) in RATIOS.items()}
    for name in ("fp32", "tf32", "bf16"):
        numbers[f"matmul_{name}_gflop_s"] = _median(tops, name, "matmul_gflop_s")
    numbers["copy_gb_s"] = _median(tops, "fp32", "copy_gb_s")
    for name in OURS:
        facts = workers[name].facts
        top = numbers[f"matmul_{PRECISION.get(name, 'tf32')}_gflop_s"]
        least, binds = roofline_s(facts["gflop"], facts["megabytes"], top, numbers["copy_gb_s"])
        numbers[f"{name}_roofline_share"] = least * rate[name]
        numbers[f"{name}_bound_by"] = binds
    return numbers


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
