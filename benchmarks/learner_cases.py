"""One thing to be timed, in a process of its own that takes orders as JSON lines.

``python learner_cases.py CASE --threads N`` builds the case, says {"ready": ...}, then answers
{"seconds": S} by doing its work for that long and telling what it did. Between orders it sleeps, so
cases can be interleaved without disturbing one another.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from noise_replay import ACTION_DIM, ONLINE_EPISODES, STEPS_PER_EPISODE, filled, observation

Answer = dict[str, Any]
Work = Callable[[float], Answer]

DEVICE = "cpu"  # of every learner and peer of this process
ACT_EVERY_S = 0.02  # often enough for a 99th percentile, rare enough that caches have gone cold


def curl() -> tuple[Work, Answer]:
    """The ``curl`` profile: 84x84 of 100x100, three frames, one camera, batch 128."""
    return _learner("agent/curl", ("third",))


def rad() -> tuple[Work, Answer]:
    """The ``rad`` profile: the same pictures and networks, random crops, no contrast."""
    return _learner("agent/rad", ("third",))


def lean() -> tuple[Work, Answer]:
    """The ``lean`` profile on one camera."""
    return _learner("agent/lean", ("wrist",))


def lean_bf16() -> tuple[Work, Answer]:
    """The same with the eye's convolutions in bfloat16, for processors that multiply it."""
    return _learner("agent/lean", ("wrist",), {"compute.precision": "bf16"})


def lean_two() -> tuple[Work, Answer]:
    """The ``lean`` profile on two cameras."""
    return _learner("agent/lean", ("third", "wrist"))


def frozen() -> tuple[Work, Answer]:
    """The ``frozen`` profile on two cameras, two critics."""
    return _learner("agent/frozen", ("third", "wrist"), {"critic.count": 2})


def frozen_128() -> tuple[Work, Answer]:
    """The same with batch 128, the batch of the other profiles."""
    overrides = {"critic.count": 2, "batch_size": 128}
    return _learner("agent/frozen", ("third", "wrist"), overrides)


def frozen10() -> tuple[Work, Answer]:
    """The ``frozen`` profile with ten critics, two of them drawn for each target."""
    overrides = {"critic.count": 10, "critic.subsample": 2}
    return _learner("agent/frozen", ("third", "wrist"), overrides)


def frozen10_128() -> tuple[Work, Answer]:
    """The same with batch 128."""
    overrides = {"critic.count": 10, "critic.subsample": 2, "batch_size": 128}
    return _learner("agent/frozen", ("third", "wrist"), overrides)


def reference() -> tuple[Work, Answer]:
    """The published update on the published replay (``reference_curl.py``)."""
    from reference_curl import ReferenceCurl, StackedReplay

    return _published(StackedReplay, ReferenceCurl)


def rad_reference() -> tuple[Work, Answer]:
    """RAD's published update with random crops (``reference_rad.py``)."""
    from reference_rad import RadReplay, ReferenceRad

    return _published(RadReplay, ReferenceRad)


def state() -> tuple[Work, Answer]:
    """The ``state`` profile, batch 256."""
    return _learner("agent/state", (), {"replay.capacity": 10_000})


def reference_512() -> tuple[Work, Answer]:
    """The published update with the paper's batch."""
    from reference_curl import ReferenceCurl, StackedReplay

    return _published(StackedReplay, ReferenceCurl, 512)


def released() -> tuple[Work, Answer]:
    """CURL's released code itself, from the checkout that RELEASED_CURL names."""
    return _released(128)


def released_512() -> tuple[Work, Answer]:
    """The same with the paper's batch."""
    return _released(512)


def _released(size: int) -> tuple[Work, Answer]:
    from released_curl import load

    count = ONLINE_EPISODES * STEPS_PER_EPISODE
    one = load(Path(os.environ["RELEASED_CURL"]), size, ACTION_DIM, DEVICE, count)

    def timed() -> float:
        one()
        return 0.0

    return _updates(timed), {}


def ceilings() -> tuple[Work, Answer]:
    """What the device can do at best: ``counting.ceilings`` in each precision."""
    from counting import precisions

    return lambda seconds: precisions(DEVICE), {}


def act_lean() -> tuple[Work, Answer]:
    """One observation to one action, ``lean`` profile on two cameras."""
    return _act("agent/lean", ("third", "wrist"))


def act_frozen() -> tuple[Work, Answer]:
    """One observation to one action, ``frozen`` profile on two cameras."""
    return _act("agent/frozen", ("third", "wrist"))


def twin() -> tuple[Work, Answer]:
    """A busy environment: lift in the twin, random actions, as fast as it goes."""
    from handful_twin import make_env

    env, rng = make_env("lift"), np.random.default_rng(0)
    env.reset(0)

    def work(seconds: float) -> Answer:
        began, steps = time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            steps += 1
            action = rng.uniform(-1.0, 1.0, env.spec.action_dim).astype(np.float32)
            if env.step(action).last:
                env.reset(steps)
        return {"count": steps, "seconds": time.perf_counter() - began}

    return work, {}


CASES: dict[str, Callable[[], tuple[Work, Answer]]] = {
    case.__name__: case
    for case in (
        curl,
        rad,
        lean,
        lean_bf16,
        lean_two,
        frozen,
        frozen_128,
        frozen10,
        frozen10_128,
        state,
        reference,
        reference_512,
        rad_reference,
        released,
        released_512,
        ceilings,
        act_lean,
        act_frozen,
        twin,
    )
}

VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "curl_512": ("curl", {"batch_size": 512}),  # the paper's batch
    "curl_512_bf16": ("curl", {"batch_size": 512, "compute.precision": "bf16"}),
    "curl_own_step": ("curl", {"contrast.own_step": True}),
    "curl_bf16": ("curl", {"compute.precision": "bf16"}),
    "curl_fp32": ("curl", {"compute.precision": "fp32"}),
    "curl_launched": ("curl", {"compute.graphs": "never"}),  # kernel by kernel
    "curl_transferred": ("curl", {"compute.replay_on": "host"}),
    "curl_unfused": ("curl", {}),  # convolution, bias and ReLU as three kernels
    "curl_indexed": ("curl", {}),  # pictures by torch's indexing
    "rad_bf16": ("rad", {"compute.precision": "bf16"}),
    "lean_dmc": ("lean_dmc", {}),
    "lean_dmc_bf16": ("lean_dmc", {"compute.precision": "bf16"}),
    "lean_dmc_512_bf16": ("lean_dmc", {"compute.precision": "bf16", "batch_size": 512}),
}
VARIANTS |= {f"{name}_unfused": VARIANTS[name] for name in ("curl_bf16", "lean_dmc_512_bf16")}
UNFUSED = {name: ("fused", "fits") for name in VARIANTS if name.endswith("_unfused")}
WITHOUT = {**UNFUSED, "curl_indexed": ("gather_gpu", "works_on")}


def _variant(name: str) -> Callable[[], tuple[Work, Answer]]:
    def make() -> tuple[Work, Answer]:
        if name in WITHOUT:
            module, question = WITHOUT[name]
            setattr(import_module(f"handful.learn.{module}"), question, lambda _: False)
        profile, overrides = VARIANTS[name]
        return _learner(f"agent/{profile}", ("third",), overrides)

    return make


CASES |= {name: _variant(name) for name in VARIANTS}


def _learner(
    profile: str, cameras: tuple[str, ...], overrides: dict[str, Any] | None = None
) -> tuple[Work, Answer]:
    learner = filled(profile, cameras, overrides, device=DEVICE)
    facts = {"bytes_per_transition": learner.replay.bytes_per_transition}
    if DEVICE != "cpu":
        from counting import count

        facts |= count(lambda: learner.agent.update(learner.sample(), learner.env_steps))

    def one() -> float:
        if DEVICE != "cpu":  # one program: drawing a batch is a part of it
            learner.step()
            return 0.0
        began = time.perf_counter()
        batch = learner.sample()
        sampled = time.perf_counter() - began
        learner.agent.update(batch, learner.env_steps)
        return sampled

    return _updates(one), facts


def _published(replay_class: Any, agent_class: Any, size: int = 128) -> tuple[Work, Answer]:
    """A peer's update on a peer's replay, full of noise pictures; batches of ``size``."""
    import torch
    from reference_curl import CHANNELS, STORED_PX

    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    replay = replay_class(ONLINE_EPISODES * STEPS_PER_EPISODE, ACTION_DIM, DEVICE)
    for _ in range(len(replay.obs)):
        obs, after = rng.integers(0, 256, (2, CHANNELS, STORED_PX, STORED_PX), dtype=np.uint8)
        replay.add(obs, rng.uniform(-1.0, 1.0, ACTION_DIM), float(rng.random() < 0.02), after, 1.0)
    agent, count = agent_class(ACTION_DIM, device=DEVICE), 0

    def one() -> float:
        nonlocal count
        began = time.perf_counter()
        batch = replay.sample(size, rng)
        sampled = time.perf_counter() - began
        count += 1
        agent.update(batch, count)
        return sampled

    return _updates(one), {"bytes_per_transition": replay.bytes_per_transition}


def _updates(one: Callable[[], float]) -> Work:
    """Even numbers of updates: actor and targets move in every second one."""

    def work(seconds: float) -> Answer:
        began, cpu, count, sampling = time.perf_counter(), time.process_time(), 0, 0.0
        while count == 0 or time.perf_counter() - began < seconds:
            sampling += one() + one()
            count += 2
        _synchronise()
        return {
            "count": count,
            "seconds": time.perf_counter() - began,
            "cpu_seconds": time.process_time() - cpu,
            "sampling_seconds": sampling,
        }

    # The first updates compile, allocate, fill the feature cache; on a GPU they are recorded.
    for _ in range(1 if DEVICE == "cpu" else 8):
        work(0.0)
    return work


def _synchronise() -> None:
    """Wait until the device has done all it was told to."""
    if DEVICE != "cpu":
        import torch

        torch.cuda.synchronize()


def _act(profile: str, cameras: tuple[str, ...]) -> tuple[Work, Answer]:
    learner = filled(profile, cameras, episodes=0, device=DEVICE)
    rng = np.random.default_rng(0)
    seen = [observation(learner.spec, rng) for _ in range(16)]

    def work(seconds: float) -> Answer:
        began, taken = time.perf_counter(), []
        while time.perf_counter() - began < seconds:
            time.sleep(ACT_EVERY_S)
            start = time.perf_counter()
            learner.act(seen[len(taken) % len(seen)], True)
            taken.append(1e3 * (time.perf_counter() - start))
        return {"latencies_ms": taken, "seconds": time.perf_counter() - began}

    work(0.2)
    return work, {}


def main() -> None:
    """Build the case and take orders until the input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", choices=sorted(CASES))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    global DEVICE
    DEVICE = given.device
    # Libraries that greet on standard output must not end up between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    if given.case != "twin":
        import torch

        torch.set_num_threads(given.threads)
    work, facts = CASES[given.case]()
    print(json.dumps({"ready": given.case, **facts}), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(work(json.loads(line)["seconds"])), file=answers, flush=True)


if __name__ == "__main__":
    main()
