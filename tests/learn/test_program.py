"""An update as a program computes what the update as written computes, to the bit, in any mode."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import torch
from learn_kit import ColourWorld, fill, settings, spec
from tape_kit import Recorder, Tape
from torch import Tensor

from handful.learn.compute import Computing
from handful.learn.learner import Learner
from handful.learn.program import make_program

PROFILES: dict[str, dict[str, Any]] = {
    "curl": {"actor__every": 2, "critic__target_every": 2},
    "curl_as_released": {
        "contrast__sequential": True,
        "contrast__double_step": True,
        "augment__official_crop_range": True,
    },
    "curl_own": {"contrast__own_step": True, "contrast__double_step": True},
    "lean": {"contrast__until_step": 8, "clone__weight": 0.5, "clone__anneal_steps": 30},
    "frozen": {"critic__count": 3, "critic__subsample": 2, "frame_stack": 2},
    "drq": {"augment__target_views": 2, "augment__loss_views": 2},
    "rad_translate": {"augment__effects": ["grayscale", "cutout_colour", "jitter"]},
    "rad": {"augment__effects": ["convolution", "rotate", "window", "flip"]},
    "lean_foresees": {"predict__weight": 1.0, "contrast__own_step": True},
    "state_ras": {},
}


def learner_of(name: str) -> tuple[Learner, ColourWorld]:
    profile = settings(
        re.sub("_(as_released|own|foresees)$", "", name),
        **({**_base(name), **PROFILES[name]}),
    )
    cameras = ("third", "wrist") if name in ("curl", "frozen") else ("third",)
    shapes = spec(profile, () if profile.from_state else cameras)
    learner, world = Learner(profile, shapes, seed=3, device="cpu"), ColourWorld(shapes, 5)
    fill(learner, world, 12, demo=True)
    if learner.agent.frozen:
        learner.pretrain()
    return learner, world


def _base(name: str) -> dict[str, Any]:
    base: dict[str, Any] = {"batch_size": 8, "update_to_data": 1.0, "start_steps": 0}
    if name.startswith("state"):
        base |= {"pretrain__updates": 0, "augment__pad_px": 0}
    else:
        base |= {"pretrain__updates": 3, "clone__updates": 3}
    return base


def program(learner: Learner, mode: str) -> Any:
    """Give ``learner`` a program: device or host, as written or replayed."""
    where, how = mode.split()
    on_device = where == "device"
    if on_device and learner.cache is not None:
        cache = learner.cache
        cache.tensors = {name: torch.from_numpy(a).clone() for name, a in cache.store.items()}
    recorder = None
    if how == "replayed":

        def state() -> Iterator[Tensor]:
            yield from learner.agent.parameters()
            for optimizer in learner.agent.optimizers.values():
                for entries in optimizer.state.values():
                    yield from entries.values()

        recorder = Recorder(state, learner.agent.generator)
    computing = Computing("fp32", how == "replayed", on_device, True)
    learner.program = make_program(learner.sources, computing, recorder)
    return recorder


def run(learner: Learner, world: ColourWorld, rounds: int = 7) -> list[dict[str, float]]:
    """Two new episodes, then what they owe, again and again."""
    seen = []
    for _ in range(rounds):
        fill(learner, world, 2, demo=False)
        seen.append(learner.update())
    return seen


@cache
def as_written(name: str) -> tuple[list[dict[str, float]], dict[str, Tensor]]:
    """What the metrics and the weights are without a program."""
    learner, world = learner_of(name)
    return run(learner, world), learner.agent.state_dict()


MODES = [
    *((name, "device replayed") for name in PROFILES),
    *((name, "host replayed") for name in ("curl", "frozen", "drq", "state_ras")),
    ("lean", "device written"),
    ("frozen", "host written"),
]


@pytest.mark.parametrize(("name", "mode"), MODES)
def test_a_program_learns_to_the_bit_what_the_update_as_written_learns(
    name: str, mode: str
) -> None:
    learner, world = learner_of(name)
    recorder = program(learner, mode)
    metrics, weights = as_written(name)
    assert run(learner, world) == metrics
    state = learner.agent.state_dict()
    for key, value in weights.items():
        assert torch.equal(value, state[key]), key
    assert learner.updates == 14
    if recorder is not None:
        assert recorder.made == len(learner.program.recordings) >= 1


def test_each_plan_has_its_own_recording() -> None:
    learner, world = learner_of("curl")
    recorder = program(learner, "host replayed")
    run(learner, world)
    plans = set(learner.program.recordings)
    assert {(plan.actor, plan.targets) for plan in plans} == {(True, True), (False, False)}
    assert recorder.made == 2  # once each, though each ran seven times


def test_a_tape_refuses_what_a_graph_cannot_hold() -> None:
    number = torch.ones(3)
    with pytest.raises(AssertionError, match="the host waits"), Tape():
        float(number.sum())
    kept = torch.zeros(3)
    with Tape() as tape:
        kept.copy_(number * 2)
    number.fill_(5.0)
    tape.replay()
    assert kept.tolist() == [10.0, 10.0, 10.0]
