"""Where an update runs: what is decided, what is refused, and a copy that is never out of date."""

import logging

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from learn_kit import settings as profile
from learn_kit import spec

from handful.contract import Observation, Spec, Transition
from handful.learn import compute
from handful.learn.acting import Acting
from handful.learn.compute import Computing, decide
from handful.learn.device_store import DeviceStore
from handful.learn.encoder import Encoder
from handful.learn.gather import gather_pictures
from handful.learn.learner import Learner
from handful.learn.replay import MixedReplay
from handful.learn.settings import ComputeSettings
from handful.learn.shuttle import Shuttle

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


@pytest.fixture
def gpu(monkeypatch):
    """A GPU in name: capability, name and free memory can be set; torch's switches are kept."""
    facts = {"capability": (9, 0), "free": 80_000_000_000}
    cuda = torch.cuda
    monkeypatch.setattr(cuda, "get_device_capability", lambda device=None: facts["capability"])
    monkeypatch.setattr(cuda, "get_device_name", lambda device=None: "A Card")
    monkeypatch.setattr(cuda, "mem_get_info", lambda device=None: (facts["free"], 0))
    switches = []
    monkeypatch.setattr(compute, "set_precision", switches.append)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    return facts | {"switches": switches, "set": facts}


def wanted(**keys: str) -> ComputeSettings:
    return ComputeSettings(**keys)  # type: ignore[arg-type]


def test_on_a_cpu_updates_run_as_they_are_written() -> None:
    decided = decide(wanted(), CPU, 10**15, 1)
    assert decided == Computing("fp32", False, False, False)
    assert not decided.program


def test_on_a_gpu_all_of_it_is_used(gpu) -> None:
    assert decide(wanted(), GPU, 3_000_000_000, 1) == Computing("tf32", True, True, True)
    assert gpu["switches"] == ["tf32"]
    plain = decide(wanted(precision="fp32", graphs="never", replay_on="host"), GPU, 1, 1)
    assert plain == Computing("fp32", False, False, True)


def test_a_replay_that_does_not_fit_stays_with_the_host_and_says_so(gpu, caplog) -> None:
    gpu["set"]["free"] = 4_000_000_000
    with caplog.at_level(logging.INFO):
        decided = decide(wanted(), GPU, 3_040_000_000, 24_400_000)
    assert decided.graphs and not decided.replay_on_device
    assert "3.04 GB do not fit into the 4.00 GB free" in caplog.text
    assert "every update transfers 24.4 MB" in caplog.text


@pytest.mark.parametrize(
    ("keys", "device", "capability", "says"),
    [
        ({"precision": "tf32"}, CPU, (9, 0), "tf32 needs an NVIDIA GPU.*the device is cpu"),
        ({"precision": "tf32"}, GPU, (7, 5), r"tf32 needs.*A Card \(7\.5\); leave it at auto"),
        ({"precision": "bf16"}, GPU, (7, 5), "bf16 needs.*8.0 or newer"),
        ({"graphs": "always"}, CPU, (9, 0), "graphs: always needs an NVIDIA GPU"),
        ({"replay_on": "device"}, GPU, (9, 0), r"needs 90\.00 GB on A Card.*lower replay\.cap"),
    ],
)
def test_what_cannot_work_is_refused_in_a_sentence(gpu, keys, device, capability, says) -> None:
    gpu["set"]["capability"] = capability
    with pytest.raises(ValueError, match=says):
        decide(wanted(**keys), device, 90_000_000_000, 1)


def test_an_old_card_computes_in_fp32(gpu) -> None:
    gpu["set"]["capability"] = (7, 5)
    assert decide(wanted(), GPU, 1, 1).precision == "fp32"


@pytest.mark.parametrize("able", [True, False])
def test_a_cpu_without_bf16_is_warned_of_and_one_with_it_is_not(monkeypatch, caplog, able) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: able)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    assert decide(wanted(precision="bf16"), CPU, 1, 1).precision == "bf16"
    assert ("several times slower" in caplog.text) is not able


def test_bf16_is_for_the_convolutions_alone(monkeypatch) -> None:
    inside = []
    original = Encoder.forward

    def spied(self, pictures, **how):
        features = original(self, pictures, **how)
        inside.append({value.dtype for value in features.values()})
        return features

    monkeypatch.setattr(Encoder, "forward", spied)
    shrunk = profile("lean", compute__precision="bf16", encoder__filters=4, batch_size=2)
    learner = Learner(shrunk, spec(shrunk), seed=0, device="cpu")
    for episode in range(3):
        learner.begin(_seen(learner.spec, episode))
        learner.add(_step(learner.spec, episode + 9, last=True, demo=True))
    learner.step()
    assert inside and all(dtypes == {torch.bfloat16} for dtypes in inside)
    heads = [*learner.agent.critic.parameters(), *learner.agent.encoder.parameters()]
    assert {p.dtype for p in heads} == {torch.float32}
    inside.clear()
    Acting(learner.agent, learner.views, traced=False).mean(_seen(learner.spec, 1))
    assert {torch.float32} in inside  # acting sees in full


def _seen(shapes: Spec, mark: int) -> Observation:
    rng = np.random.default_rng(mark)
    shape = (shapes.height_px, shapes.width_px, 3 * shapes.frame_stack)
    images = {name: rng.integers(0, 256, shape, dtype=np.uint8) for name in shapes.cameras}
    return Observation(images, rng.normal(size=shapes.state_dim).astype(np.float32), 0.0)


def _step(shapes: Spec, mark: int, last: bool, demo: bool) -> Transition:
    rng = np.random.default_rng(mark)
    action = rng.uniform(-1, 1, shapes.action_dim).astype(np.float32)
    return Transition(action, float(mark % 3), float(mark % 2), _seen(shapes, mark), last, demo)


@settings(max_examples=25, deadline=None)
@given(
    episodes=st.lists(st.tuples(st.integers(1, 7), st.booleans()), min_size=1, max_size=8),
    stack=st.integers(1, 3),
    n_step=st.integers(1, 3),
    seed=st.integers(0, 999),
)
def test_the_copy_on_the_device_gives_what_the_store_gives(episodes, stack, n_step, seed) -> None:
    shapes = Spec(("one", "two"), 7, 7, stack, 2, 2)
    replay = MixedReplay(shapes, 16, 12, n_step, 0.9)  # small: both rings wrap around
    copy, rng, mark = DeviceStore(replay, CPU), np.random.default_rng(seed), 0
    for length, demo in episodes:
        replay.begin(_seen(shapes, mark))
        for step in range(length):
            mark += 1
            replay.add(_step(shapes, mark, step == length - 1, demo))
            if rng.random() < 0.4:  # sometimes several steps, and the end of an episode, at once
                copy.refresh()
        replay.keep_success()
    copy.refresh()
    slots = replay.sample_indices(9, 0.5, rng)
    want, have = replay.gather(slots), copy.batch(torch.from_numpy(slots))
    for name in ("index", "frames", "next_frames", "state", "next_state", "action"):
        assert np.array_equal(getattr(have, name).numpy(), getattr(want, name)), name
    for name in ("reward", "discount", "demo"):
        assert np.array_equal(getattr(have, name).numpy()[:, 0], getattr(want, name)), name
    offsets = rng.integers(-5, 9, (9, 2))  # past every edge
    for camera in range(2):
        out = np.empty((9, 5, 5, 3 * stack), np.uint8)
        gather_pictures(replay.store.frames, want.frames, offsets, out, (camera, camera + 1))
        seen = copy.pictures(have.frames, torch.from_numpy(offsets), 5, camera)
        assert np.array_equal(seen.numpy(), out)


def test_nothing_is_copied_when_nothing_is_new(monkeypatch) -> None:
    shapes = Spec(("one",), 7, 7, 1, 2, 2)
    replay = MixedReplay(shapes, 64, 64)
    copy, moved = DeviceStore(replay, CPU), []
    original = copy._copy
    monkeypatch.setattr(copy, "_copy", lambda slots: (moved.append(len(slots)), original(slots)))
    replay.begin(_seen(shapes, 0))
    replay.add(_step(shapes, 1, last=False, demo=False))
    copy.refresh()
    copy.refresh()
    replay.add(_step(shapes, 2, last=True, demo=False))
    copy.refresh()
    assert moved == [2, 2]  # the new one, and the one whose transition it completes


def test_a_shuttle_takes_turns() -> None:
    shuttle = Shuttle({"a": ((4, 2), torch.float32)}, CPU, depth=2)
    shuttle.load()["a"][:] = 1.0
    first = shuttle.send()["a"]
    shuttle.load()["a"][:] = 2.0
    second = shuttle.send(rows=3)["a"]
    assert first.shape == (4, 2) and second.shape == (3, 2)
    assert float(first.sum()) == 8.0 and float(second.sum()) == 12.0  # the first one is whole yet
    assert shuttle.bytes() == 32


def test_demonstrations_get_the_room_they_are_given() -> None:
    small = profile("lean", replay__demo_capacity=50)
    assert Learner(small, spec(small), seed=0, device="cpu").replay.demo.free == 50
    assert profile("lean", replay__capacity=40_000).replay.demo_slots == 10_000
