"""The learner beside the published updates: updates a second, latency, memory, sharing of cores.

Every case runs in a process of its own and the cases take turns (``learner_cases.py``), so a slow
minute of the machine hits them all; a number is the median over the turns. All processes run with
the allocator settings of the ``handful`` command (``handful.workflow.process.MALLOC``), the peer
too; once more with the allocator's defaults the peers are ``..._reference_plain_updates_per_s``.
Threads: the learner alone takes every usable core; beside an acting policy or a busy environment it
takes all but one, and they take one.

    python benchmarks/bench_learner.py --json learner.json
    python benchmarks/bench_learner.py --cases rad_reference rad --threads 1 --seconds 60
    python benchmarks/bench_learner.py --device cuda --json gpu.json   # bench_device.py
    python benchmarks/bench_learner.py --device cuda --released ~/curl  # beside CURL's code
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from handful.workflow.errors import RunError
from handful.workflow.process import MALLOC

ROUNDS = 4
FROZEN = ("frozen", "frozen_128", "frozen10", "frozen10_128")
PEERS = ("reference", "reference_plain", "rad_reference", "rad_reference_plain")
ALONE = (*PEERS, "curl", "rad", "lean", "lean_two", *FROZEN)
BF16 = ("curl_bf16", "curl_bf16_unfused", "lean_bf16", "lean_dmc_512_bf16")
ASIDE = (*BF16, "lean_dmc_512_bf16_unfused", "curl_own_step")  # only where --cases names them
PAIRS = ("lean_two", "frozen")  # learners that are also timed beside others
QUIET = 0.15  # CPUs that strangers may use during a turn that counts
Say = Callable[[str], None]


class Worker:
    """A case in its own process; ``start`` gives an order, ``wait`` takes the answer."""

    def __init__(self, case: str, threads: int, tuned: bool = True, device: str = "cpu") -> None:
        env = {k: v for k, v in os.environ.items() if k not in MALLOC}
        env |= {"OMP_NUM_THREADS": str(threads)}
        env |= {"CUDA_VISIBLE_DEVICES": ""} if device == "cpu" else {}
        env |= MALLOC if tuned else {}
        script = Path(__file__).with_name("learner_cases.py")
        self.case = case
        self.process = subprocess.Popen(
            [sys.executable, str(script), case, "--threads", str(threads), "--device", device],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=env,
        )
        self.facts = self.wait()

    def start(self, seconds: float) -> None:
        """Order ``seconds`` of work."""
        assert self.process.stdin is not None
        print(json.dumps({"seconds": seconds}), file=self.process.stdin, flush=True)

    def wait(self) -> dict[str, Any]:
        """The next answer; ``RuntimeError`` when the process died instead."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"case {self.case}: its process ended with {self.process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """Let the process end by itself: its input does."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def run_learner_bench(
    seconds_per_case: float = 20.0, progress: Say | None = None, rounds: int = ROUNDS
) -> dict[str, Any]:
    """All numbers of ``handful bench learner`` (keys: docs/metrics.md).

    Args:
        seconds_per_case: time each case gets in all; it is split over ``rounds`` turns.
        progress: takes a line of text now and then; standard error by default.
    """
    say = progress if progress is not None else _stderr
    cores = len(os.sched_getaffinity(0))
    numbers: dict[str, Any] = {
        "cores": cores,
        "load_before": os.getloadavg()[0],
        "seconds_per_case": seconds_per_case,
    }
    turn = seconds_per_case / rounds
    numbers |= _alone(cores, turn, rounds, say)
    numbers |= _beside(max(1, cores - 1), turn, rounds, say)
    numbers["load_after"] = os.getloadavg()[0]
    if numbers["strangers_cpus"] > QUIET:
        say(
            f"other processes used {numbers['strangers_cpus']:.2f} CPUs meanwhile: "
            "these numbers are too low"
        )
    return numbers


def _alone(cores: int, turn: float, rounds: int, say: Say) -> dict[str, Any]:
    """Each learner with all cores, in turns."""
    workers: dict[str, Worker] = {}
    try:
        for name in ALONE:
            say(f"preparing {name}")
            tuned = not name.endswith("_plain")
            workers[name] = Worker(name.removesuffix("_plain"), cores, tuned)
        turns: dict[str, list[dict[str, Any]]] = {name: [] for name in ALONE}
        for index in range(rounds):
            for name, worker in workers.items():
                before = _busy_seconds()
                worker.start(turn)
                answer = worker.wait()
                strangers = _busy_seconds() - before - answer["cpu_seconds"]
                turns[name].append({**answer, "strangers": strangers / answer["seconds"]})
            rates = ", ".join(f"{name} {_rate(turns[name][-1:]):.3g}" for name in ALONE)
            say(f"round {index + 1} of {rounds}, updates/s: {rates}")
    finally:
        for worker in workers.values():
            worker.close()
    rate = {name: _rate(turns[name]) for name in ALONE}
    share = {name: _share(turns[name]) for name in ALONE}
    facts = {name: worker.facts for name, worker in workers.items()}
    everything = [answer["strangers"] for name in ALONE for answer in turns[name]]
    return {
        "curl_updates_per_s": rate["curl"],
        "curl_reference_updates_per_s": rate["reference"],
        "ratio_reference": rate["curl"] / rate["reference"],
        "curl_reference_plain_updates_per_s": rate["reference_plain"],
        "ratio_reference_plain": rate["curl"] / rate["reference_plain"],
        "rad_updates_per_s": rate["rad"],
        "rad_reference_updates_per_s": rate["rad_reference"],
        "ratio_rad_reference": rate["rad"] / rate["rad_reference"],
        "rad_reference_plain_updates_per_s": rate["rad_reference_plain"],
        "ratio_rad_reference_plain": rate["rad"] / rate["rad_reference_plain"],
        "lean_updates_per_s": rate["lean"],
        "lean_two_cameras_updates_per_s": rate["lean_two"],
        **{f"{name}_updates_per_s": rate[name] for name in FROZEN},
        # The larger of the two profiles that learn from pictures.
        "sample_share": max(share["curl"], share["lean_two"]),
        "sample_share_by_case": share,
        "bytes_per_transition": facts["curl"]["bytes_per_transition"],
        "curl_100k_gb": 100_000 * facts["curl"]["bytes_per_transition"] / 1e9,
        "bytes_per_transition_reference": facts["reference"]["bytes_per_transition"],
        "bytes_per_transition_lean": facts["lean"]["bytes_per_transition"],
        "strangers_cpus": statistics.median(everything),
    }


def run_cases(
    cases: list[str], threads: int, seconds_per_case: float, rounds: int
) -> dict[str, Any]:
    """Chosen cases alone, in turns: updates a second, of the wall's time and of the processor's."""
    turns: dict[str, list[dict[str, Any]]] = {name: [] for name in cases}
    workers: dict[str, Worker] = {}
    numbers: dict[str, Any] = {"threads": threads, "load_before": os.getloadavg()[0]}
    try:
        for name in cases:
            tuned = not name.endswith("_plain")
            workers[name] = Worker(name.removesuffix("_plain"), threads, tuned)
        for _ in range(rounds):
            for name, worker in workers.items():
                worker.start(seconds_per_case / rounds)
                turns[name].append(worker.wait())
    finally:
        for worker in workers.values():
            worker.close()
    for name, taken in turns.items():
        per_cpu = statistics.median(t["count"] / t["cpu_seconds"] for t in taken)
        numbers |= {f"{name}_updates_per_s": _rate(taken), f"{name}_updates_per_cpu_s": per_cpu}
    return numbers


def _beside(threads: int, turn: float, rounds: int, say: Say) -> dict[str, Any]:
    """Learners on all cores but one: alone, beside an acting policy, beside a busy twin."""
    numbers: dict[str, Any] = {"learner_threads_beside_others": threads}
    slowest = 0.0
    for name in PAIRS:
        say(f"preparing {name} beside a policy and beside a busy environment")
        profile = name.removesuffix("_two")
        workers = [Worker(name, threads), Worker(f"act_{profile}", 1), Worker("twin", 1)]
        learner, actor, twin = workers
        alone, shared, steps, latencies = [], [], [], []
        try:
            for _ in range(rounds):
                learner.start(turn)
                alone.append(learner.wait())
                twin.start(turn)
                learner.start(turn)
                shared.append(learner.wait())
                steps.append(twin.wait())
                actor.start(turn)
                learner.start(turn)
                latencies += actor.wait()["latencies_ms"]
                learner.wait()
        finally:
            for worker in workers:
                worker.close()
        slowdown = _rate(alone) / _rate(shared)
        slowest = max(slowest, slowdown)
        numbers |= {
            f"{profile}_act_p50_ms": _percentile(latencies, 0.5),
            f"{profile}_act_p99_ms": _percentile(latencies, 0.99),
            f"{profile}_shared_core_slowdown": slowdown,
            f"{profile}_beside_twin_updates_per_s": _rate(shared),
            f"{profile}_beside_twin_env_steps_per_s": _rate(steps),
        }
        say(", ".join(f"{key} {value:.3g}" for key, value in numbers.items()))
    # `frozen` is the profile that an arm beside two cores would run.
    return numbers | {
        "act_p50_ms": numbers["frozen_act_p50_ms"],
        "act_p99_ms": numbers["frozen_act_p99_ms"],
        "shared_core_slowdown": slowest,
    }


def _on_device(given: argparse.Namespace, parser: argparse.ArgumentParser) -> dict[str, Any]:
    """The cases of ``bench_device.py`` on the GPU, or one sentence why not."""
    from bench_device import run_device_bench
    from released_curl import refuse_without

    try:
        if given.released is not None:
            refuse_without(given.released)
            os.environ["RELEASED_CURL"] = str(given.released.resolve())
        return run_device_bench(
            lambda case: Worker(case, 1, device="cuda"),
            given.seconds,
            given.rounds,
            _stderr,
            given.released is not None,
        )
    except (RunError, FileNotFoundError) as error:
        parser.exit(2, f"{error}\n")


def _rate(turns: list[dict[str, Any]]) -> float:
    """Median count a second over the turns without strangers, over all when there are none such."""
    quiet = [t for t in turns if t.get("strangers", 0.0) <= QUIET] or turns
    return statistics.median(t["count"] / t["seconds"] for t in quiet)


def _percentile(values: list[float], share: float) -> float:
    """The smallest value that ``share`` of all values do not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def _share(turns: list[dict[str, Any]]) -> float:
    return statistics.median(t["sampling_seconds"] / t["seconds"] for t in turns)


def _busy_seconds() -> float:
    """CPU seconds the machine has worked since it started, all cores together (0 off Linux)."""
    try:
        fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:]
    except OSError:
        return 0.0
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[:8])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _stderr(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


def main() -> None:
    """Run and print; ``--json PATH`` writes one object."""
    parser = argparse.ArgumentParser(description="The learner beside published updates.")
    parser.add_argument("--seconds", type=float, default=20.0, help="time for each case [s]")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="turns each case takes")
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    parser.add_argument("--cases", nargs="+", choices=(*ALONE, *ASIDE), help="only these, in turns")
    parser.add_argument("--threads", type=int, default=1, help="of each of --cases")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--released", type=Path, help="a checkout of CURL's code, on a GPU")
    given = parser.parse_args()
    if given.device == "cuda":
        numbers = _on_device(given, parser)
    elif given.cases:
        numbers = run_cases(given.cases, given.threads, given.seconds, given.rounds)
    else:
        numbers = run_learner_bench(given.seconds, rounds=given.rounds)
    text = json.dumps(numbers, indent=2)
    if given.json is not None:
        given.json.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
