"""Checkpoints: exact through the disk, whole or absent, and clear about what does not fit."""

import copy
import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from handful.contract import Spec
from handful.learn import checkpoint
from handful.learn.checkpoint import CheckpointError

SPEC = Spec(("third", "wrist"), 64, 64, 1, 5, 4)


def _net() -> nn.Module:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 16, 2))
    return net.to(memory_format=torch.channels_last)


def _train(net: nn.Module, adam: torch.optim.Adam, draws: torch.Generator, steps: int) -> None:
    for _ in range(steps):
        x = torch.randn(5, 3, 6, 6, generator=draws)
        loss = net(x).square().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()


@pytest.mark.parametrize("fused", [True, False])
def test_resumed_training_is_bit_identical(tmp_path, fused):
    net, draws, rng = _net(), torch.Generator().manual_seed(3), np.random.default_rng(5)
    unused = nn.Parameter(torch.zeros(3))  # never stepped: it has no moments
    adam = torch.optim.Adam([*net.parameters(), unused], lr=1e-2, fused=fused)
    _train(net, adam, draws, 3)
    rng.random(7)
    path = tmp_path / "deep" / "checkpoint.safetensors"
    tensors = {
        **checkpoint.flatten_module("net", net),
        **checkpoint.flatten_optimizer("adam", adam),
        "draws": draws.get_state(),
    }
    checkpoint.save(path, tensors, {"rng": checkpoint.numpy_state(rng), "updates": 3})

    _train(net, adam, draws, 4)
    expected = {k: v.clone() for k, v in net.state_dict().items()}
    number = rng.random()

    tensors, meta = checkpoint.load(path)
    other, later, fresh = _net(), torch.Generator(), np.random.default_rng(0)
    with torch.no_grad():
        for p in other.parameters():
            p.zero_()
    twin = torch.optim.Adam([*other.parameters(), unused], lr=1e-2, fused=fused)
    checkpoint.restore_module("net", other, tensors)
    checkpoint.restore_optimizer("adam", twin, tensors)
    later.set_state(tensors["draws"])
    checkpoint.restore_numpy(fresh, meta["rng"])
    _train(other, twin, later, 4)
    for key, value in other.state_dict().items():
        assert torch.equal(value, expected[key]), key
    assert fresh.random() == number
    assert meta["updates"] == 3
    assert os.listdir(path.parent) == [path.name]


def test_shared_and_strided_tensors_survive(tmp_path):
    base = torch.arange(12.0).reshape(3, 4)
    tensors = {"a": base, "b": base.T, "c": base[1], "scalar": torch.tensor(2.5), "empty": base[:0]}
    checkpoint.save(tmp_path / "x.safetensors", tensors, {})
    back, meta = checkpoint.load(tmp_path / "x.safetensors")
    assert meta == {}
    for name, value in tensors.items():
        assert torch.equal(back[name], value)


def _raises(words: str, path: Path) -> None:
    with pytest.raises(CheckpointError, match=words) as caught:
        checkpoint.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_not_a_checkpoint_is_refused(tmp_path):
    _raises("no such checkpoint", tmp_path / "none.safetensors")
    _raises("no such checkpoint", tmp_path)
    whole = tmp_path / "whole.safetensors"
    checkpoint.save(whole, {"a": torch.zeros(100)}, {"task": "lift"})
    data = whole.read_bytes()
    for size in (0, 4, 20, len(data) // 2, len(data) - 1):
        whole.write_bytes(data[:size])
        _raises(f"not a whole safetensors file .{size} bytes", whole)
    whole.write_bytes(b"\x80\x04" + b"pickled, perhaps" * 10)
    _raises("not a whole safetensors file", whole)
    save_file({"a": torch.zeros(1)}, whole)
    _raises("not a checkpoint of handful", whole)
    save_file({"a": torch.zeros(1)}, whole, {"handful.format": "7", "handful.meta": "{}"})
    _raises("written in checkpoint format 7, this handful reads format 1", whole)


def test_another_task_or_camera_set_is_named(tmp_path):
    path = tmp_path / "c.safetensors"
    checkpoint.save(path, {}, {"task": "reach", "spec": SPEC.to_dict()})
    _, meta = checkpoint.load(path)
    checkpoint.expect(meta, path, task="reach", spec=SPEC.to_dict())
    with pytest.raises(CheckpointError, match="task is 'reach', expected 'lift'"):
        checkpoint.expect(meta, path, task="lift", spec=SPEC.to_dict())
    other = {**SPEC.to_dict(), "cameras": ("third",), "width_px": 84}
    with pytest.raises(CheckpointError) as caught:
        checkpoint.expect(meta, path, task="reach", spec=other)
    assert "spec.cameras is ['third', 'wrist'], expected ['third']" in str(caught.value)
    assert "spec.width_px is 64, expected 84" in str(caught.value)


def test_networks_and_moments_of_other_shapes_are_named():
    net = _net()
    tensors = checkpoint.flatten_module("net", net)
    wide = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 16, 3))
    with pytest.raises(CheckpointError, match=r"net/3.bias: the checkpoint has \(2,\)"):
        checkpoint.restore_module("net", wide, tensors)
    tensors.pop("net/0.bias")
    before = copy.deepcopy(net.state_dict())
    with pytest.raises(CheckpointError, match=r"net/0.bias: the checkpoint has nothing"):
        checkpoint.restore_module("net", net, tensors)
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    adam = torch.optim.Adam(net.parameters())
    with pytest.raises(CheckpointError, match=r"adam/1/exp_avg: .* \(5,\), this optimiser \(4,\)"):
        checkpoint.restore_optimizer("adam", adam, {"adam/1/exp_avg": torch.zeros(5)})
    with pytest.raises(CheckpointError, match="has MT19937, expected PCG64"):
        checkpoint.restore_numpy(np.random.default_rng(0), {"bit_generator": "MT19937"})


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_full_disk_leaves_the_old_checkpoint_whole(tmp_path, monkeypatch, call):
    path = tmp_path / "c.safetensors"
    checkpoint.save(path, {"a": torch.ones(3)}, {"updates": 1})

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint.os, call, full)
    with pytest.raises(CheckpointError, match="disk is full: needs .* MB free; .* is whole"):
        checkpoint.save(path, {"a": torch.zeros(3)}, {"updates": 2})
    monkeypatch.undo()
    tensors, meta = checkpoint.load(path)
    assert meta == {"updates": 1} and torch.equal(tensors["a"], torch.ones(3))
    assert os.listdir(tmp_path) == [path.name]


def test_a_disk_that_is_really_full(tmp_path):
    """/dev/full answers every write with ENOSPC; the temporary file is made to be it."""
    path = tmp_path / "c.safetensors"
    checkpoint.save(path, {"a": torch.ones(3)}, {"updates": 1})
    (tmp_path / ".c.safetensors.tmp").symlink_to("/dev/full")
    with pytest.raises(CheckpointError, match="the disk is full"):
        checkpoint.save(path, {"a": torch.zeros(3)}, {"updates": 2})
    assert checkpoint.load(path)[1] == {"updates": 1}
    checkpoint.save(path, {"a": torch.zeros(3)}, {"updates": 3})
    assert checkpoint.load(path)[1] == {"updates": 3}


WRITER = """
import sys, torch
from handful.learn import checkpoint
value = 0
while True:
    value += 1
    checkpoint.save(sys.argv[1], {"a": torch.full((400_000,), value)}, {"value": value})
    print(value, flush=True)
"""


def test_killed_while_writing_there_is_always_a_whole_one(tmp_path):
    path = tmp_path / "c.safetensors"
    child = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    told = 0
    for line in child.stdout:
        told = int(line)
        if told >= 5:
            child.send_signal(signal.SIGKILL)
            break
    child.wait()
    tensors, meta = checkpoint.load(path)
    assert meta["value"] >= told
    assert (tensors["a"] == meta["value"]).all()


def test_metadata_is_json_not_pickle(tmp_path):
    path = tmp_path / "c.safetensors"
    checkpoint.save(path, {}, {"settings": {"lr": 1e-3}, "numbers": [1, 2]})
    length = int.from_bytes(path.read_bytes()[:8], "little")
    header = json.loads(path.read_bytes()[8 : 8 + length])
    assert json.loads(header["__metadata__"]["handful.meta"])["settings"] == {"lr": 1e-3}
    with pytest.raises(TypeError):
        checkpoint.save(path, {}, {"object": object()})
    assert checkpoint.load(path)[1]["numbers"] == [1, 2]
