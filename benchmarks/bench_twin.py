"""How fast is the twin: environment steps and pictures a second, beside panda-gym, on one core.

Run it as ``handful bench twin`` or as a script. All cases take turns in short slices, so that a
machine that slows down slows them all; what is reported are medians over the rounds, by the wall
clock. ``*_cpu`` are the same per second of processor time, which bears with a loaded machine.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from handful_twin import TwinTaskEnv, make_env
from handful_twin.demonstrate import Demonstrator
from handful_twin.renderers import Backend, make_renderer
from handful_twin.settings import TwinSettings
from handful_twin.twin_camera import TwinCamera
from peers import Peer, PeerError

from handful.config import load
from handful.rig.settings import RigSettings

ROUNDS = 5
PEER_PACKAGES = ("panda-gym==3.0.7", "pybullet==3.2.7")
PANDA_GYM = "panda_gym_env_steps_per_s"
Work = Callable[[], object]


def run_twin_bench(
    seconds_per_case: float = 5.0, progress: Callable[[str], None] | None = None
) -> dict[str, Any]:
    """Measure everything; about ten cases of ``seconds_per_case`` [s] each.

    Args:
        seconds_per_case: time given to each case, all rounds together.
        progress: told one line per round; standard error by default.
    Returns:
        Rates [1/s] by name; the contract keys are ``env_steps_per_s`` (lift, one 84 x 84 camera,
        anti-aliased, random policy, resets included), ``frames_per_s`` (that camera alone, poses
        read from the world included) and ``ratio_panda_gym`` (env steps with one picture each,
        ours over theirs; None with the reason in ``panda_gym`` when it cannot be installed).
    """
    say = progress or (lambda line: print(line, file=sys.stderr))
    load_before = os.getloadavg()[0]
    say(f"load on this machine before the start: {load_before:.2f}")
    rates: dict[str, list[float]] = {}
    with ExitStack() as stack:
        core = stack.enter_context(_one_core())
        cases = _cases(stack)
        peer, about = _start_peer(stack, core, say)
        slice_s = seconds_per_case / ROUNDS
        for k in range(ROUNDS):
            say(f"round {k + 1} of {ROUNDS}")
            for name, work in cases.items():
                _note(rates, name, *_slice(work, slice_s))
            if peer is not None:
                took = peer.ask(seconds=slice_s)
                _note(rates, PANDA_GYM, took["steps"], took["wall_s"], took["cpu_s"])
    numbers: dict[str, Any] = {name: statistics.median(values) for name, values in rates.items()}
    ours, theirs = numbers.pop("env_steps_per_s"), numbers.get(PANDA_GYM)
    return {
        "env_steps_per_s": ours,
        "frames_per_s": numbers.pop("frames_per_s"),
        "ratio_panda_gym": None if theirs is None else ours / theirs,
        **numbers,
        "panda_gym": about,
        "control_rate_hz": load(RigSettings, "rig").control_rate_hz,
        "panda_gym_control_rate_hz": 25.0,
        "load_before": load_before,
        "rounds": ROUNDS,
        "seconds_per_case": seconds_per_case,
    }


def _cases(stack: ExitStack) -> dict[str, Work]:
    """Name of a rate -> one unit of its work. Everything is warmed up (and compiled) here."""
    rig, twin = load(RigSettings, "rig"), load(TwinSettings, "twin")
    third = rig.model_copy(update={"cameras": {"third": rig.cameras["third"]}})
    tiny = twin.model_copy(update={"renderer": "tiny", "antialias": 1})
    hard = load(TwinSettings, "twin", {"randomize": "hard"})

    def lift(rig: RigSettings, twin: TwinSettings) -> TwinTaskEnv:
        env = make_env("lift", rig, twin)
        stack.callback(env.close)
        return env

    def pictures(camera: str, backend: Backend, samples: int) -> Work:
        renderer = make_renderer(still.scene, backend, samples, full=False)
        stack.callback(renderer.close)
        return TwinCamera(camera, still.world, renderer, twin.cameras[camera]).picture

    still = lift(third, twin)
    still.reset(0)
    cases = {
        "env_steps_per_s": _random_steps(lift(third, twin)),
        "env_steps_per_s_two_cameras": _random_steps(lift(rig, twin)),
        "env_steps_per_s_hard": _random_steps(lift(third, hard)),
        "env_steps_per_s_two_cameras_hard": _random_steps(lift(rig, hard)),
        "env_steps_per_s_gripping": _demonstration_steps(lift(third, twin)),
        "env_steps_per_s_tiny": _random_steps(lift(third, tiny)),
        "resets_per_s": _resets(lift(third, twin)),
        "frames_per_s": pictures("third", "fast", twin.antialias),
        "frames_per_s_wrist": pictures("wrist", "fast", twin.antialias),
        "frames_per_s_no_antialias": pictures("third", "fast", 1),
        "frames_per_s_tiny": pictures("third", "tiny", 1),
    }
    for work in cases.values():
        for _ in range(5):
            work()
    return cases


def _random_steps(env: TwinTaskEnv) -> Work:
    rng, seeds = np.random.default_rng(0), count()
    env.reset(next(seeds))

    def step() -> None:
        action = rng.uniform(-1.0, 1.0, env.spec.action_dim).astype(np.float32)
        if env.step(action).last:
            env.reset(next(seeds))

    return step


def _demonstration_steps(env: TwinTaskEnv) -> Work:
    """Scripted lifts: half of the time something is gripped, which is what physics costs most."""
    demonstrator, seeds = Demonstrator(env, 0.0, seed=0), count()
    observation = env.reset(next(seeds))
    demonstrator.reset()

    def step() -> None:
        nonlocal observation
        transition = env.step(demonstrator.act(observation))
        observation = transition.next_observation
        if transition.last:
            observation = env.reset(next(seeds))
            demonstrator.reset()

    return step


def _resets(env: TwinTaskEnv) -> Work:
    seeds = count()
    return lambda: env.reset(next(seeds))


def _slice(work: Work, seconds: float) -> tuple[int, float, float]:
    """Units done, wall time [s] and processor time [s]."""
    done, wall, cpu = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - wall < seconds:
        work()
        done += 1
    return done, time.perf_counter() - wall, time.process_time() - cpu


def _note(rates: dict[str, list[float]], name: str, done: int, wall_s: float, cpu_s: float) -> None:
    rates.setdefault(name, []).append(done / wall_s)
    rates.setdefault(f"{name}_cpu", []).append(done / cpu_s)


def _start_peer(
    stack: ExitStack, core: int | None, say: Callable[[str], None]
) -> tuple[Peer | None, str]:
    """panda-gym, warmed up; or None and why not, since our own numbers are worth having alone."""
    say(f"making ready {' '.join(PEER_PACKAGES)} in an environment of its own (.bench)")
    try:
        script = Path(__file__).with_name("peer_panda_gym.py")
        peer = stack.enter_context(Peer("panda_gym", PEER_PACKAGES, script))
        return peer, str(peer.ask(seconds=0.5, core=core)["about"])
    except PeerError as error:
        say(f"no comparison: {error}")
        return None, f"not measured: {error}"


@contextmanager
def _one_core() -> Iterator[int | None]:
    """Keep this process on one core, where the system lets us say so; gives its number."""
    if not hasattr(os, "sched_setaffinity"):
        yield None
        return
    before = os.sched_getaffinity(0)
    core = max(before)
    os.sched_setaffinity(0, {core})
    try:
        yield core
    finally:
        os.sched_setaffinity(0, before)


def main() -> None:
    """The benchmark as a script."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="per case")
    parser.add_argument("--json", help="write the numbers here too")
    options = parser.parse_args()
    numbers = run_twin_bench(options.seconds)
    text = json.dumps(numbers, indent=2)
    print(text)
    if options.json:
        Path(options.json).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
