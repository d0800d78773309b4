"""Everything a learner is, in one safetensors file that is written whole or not at all.

Tensors by name, everything else as JSON in the file's metadata; nothing is ever unpickled. A new
checkpoint is written beside the old one, forced to the disk, and only then renamed over it.
"""

import errno
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

FORMAT = 1
_FORMAT_KEY, _META_KEY = "handful.format", "handful.meta"


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be written, read or used here; the message says what would do."""


def save(path: str | Path, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
    """Write one checkpoint atomically: temporary file in the same folder, fsync, rename, fsync.

    Args:
        path: where it shall be; its folder is made.
        tensors: by name, any device and layout.
        meta: JSON-ready values.
    Raises:
        CheckpointError: the disk is full or refuses; a checkpoint that was at ``path`` stays whole.
    """
    path = Path(path)
    # Clones part tensors that share memory, which the format refuses.
    solid = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
    data = to_bytes(solid, {_FORMAT_KEY: str(FORMAT), _META_KEY: json.dumps(dict(meta))})
    beside = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
        _sync_folder(path.parent)
    except OSError as error:
        beside.unlink(missing_ok=True)
        kept = "; the checkpoint that was there before is whole" if path.exists() else ""
        why = error.strerror or str(error)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            free = shutil.disk_usage(path.parent).free
            why = f"the disk is full: needs {len(data) / 1e6:.1f} MB, {free / 1e6:.1f} MB free"
        raise CheckpointError(f"{path}: cannot write the checkpoint: {why}{kept}") from error


def load(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what ``save`` wrote: the tensors (on the CPU) and the metadata.

    Raises:
        CheckpointError: no such file, not a whole safetensors file, not ours, or another format.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint; expected a .safetensors file")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            header = file.metadata() or {}
            found = header.get(_FORMAT_KEY)
            if found is None:
                raise CheckpointError(
                    f"{path}: a safetensors file, but not a checkpoint of handful "
                    f"(no {_FORMAT_KEY!r} in its metadata)"
                )
            if found != str(FORMAT):
                raise CheckpointError(
                    f"{path}: written in checkpoint format {found}, this handful reads format "
                    f"{FORMAT}; use the handful that wrote it, or train again"
                )
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, json.loads(header[_META_KEY])
    except (SafetensorError, json.JSONDecodeError, KeyError, UnicodeDecodeError) as error:
        raise CheckpointError(
            f"{path}: not a whole safetensors file ({path.stat().st_size} bytes; {error}); "
            "it was cut short or is something else: use another checkpoint"
        ) from error
    except OSError as error:
        raise CheckpointError(f"{path}: cannot read the checkpoint: {error.strerror}") from error


def expect(meta: Mapping[str, Any], source: str | Path, **wanted: Any) -> None:
    """Refuse a checkpoint of another task, spec or the like.

    ``expect(meta, path, task="lift", spec=spec.to_dict())``. Raises ``CheckpointError`` that names
    every key that differs (inside mappings too), what the checkpoint has and what was expected.
    """
    wrong = [line for key, value in wanted.items() for line in _differ(key, meta.get(key), value)]
    if wrong:
        raise CheckpointError(f"{source}: a checkpoint of something else: {'; '.join(wrong)}")


def flatten_module(name: str, module: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers of a module, named ``name/...``."""
    return {f"{name}/{key}": value for key, value in module.state_dict().items()}


def restore_module(name: str, module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """The inverse of ``flatten_module``, in place.

    Raises ``CheckpointError`` naming the first tensor that is missing, unknown or of another shape.
    """
    own = module.state_dict()
    stored = {k[len(name) + 1 :]: v for k, v in tensors.items() if k.startswith(f"{name}/")}
    for key in sorted(own.keys() | stored.keys()):
        have = tuple(stored[key].shape) if key in stored else "nothing"
        want = tuple(own[key].shape) if key in own else "nothing"
        if have != want:
            raise CheckpointError(
                f"{name}/{key}: the checkpoint has {have}, this network expects {want}"
            )
    module.load_state_dict(stored)


def flatten_optimizer(name: str, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Moments and step counts, named ``name/parameter index/key``; the settings are not kept."""
    return {
        f"{name}/{index}/{key}": torch.as_tensor(value)
        for index, entries in optimizer.state_dict()["state"].items()
        for key, value in entries.items()
    }


def restore_optimizer(
    name: str, optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]
) -> None:
    """The inverse of ``flatten_optimizer``; parameters that were never stepped have no entry.

    Raises ``CheckpointError`` when a moment's shape is not its parameter's.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for full, value in tensors.items():
        if not full.startswith(f"{name}/"):
            continue
        index, key = full[len(name) + 1 :].split("/")
        parameter = parameters[int(index)] if int(index) < len(parameters) else None
        if parameter is None or (value.ndim and value.shape != parameter.shape):
            expected = "no such parameter" if parameter is None else tuple(parameter.shape)
            raise CheckpointError(
                f"{full}: the checkpoint has {tuple(value.shape)}, this optimiser {expected}"
            )
        # Fused steps walk both as flat memory: a moment's layout must be its parameter's.
        same = torch.empty_like(parameter, dtype=value.dtype) if value.ndim else value
        with torch.no_grad():
            state.setdefault(int(index), {})[key] = same.copy_(value) if value.ndim else value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def numpy_state(rng: np.random.Generator) -> dict[str, Any]:
    """State of a NumPy generator, JSON-ready (PCG64, which ``default_rng`` makes)."""
    state = dict(rng.bit_generator.state)
    json.dumps(state)  # a bit generator with array state fails here, where it is written
    return state


def restore_numpy(rng: np.random.Generator, state: Mapping[str, Any]) -> None:
    """The inverse of ``numpy_state``, in place; ``CheckpointError`` for another bit generator."""
    have, want = state.get("bit_generator"), rng.bit_generator.state["bit_generator"]
    if have != want:
        raise CheckpointError(f"random generator: the checkpoint has {have}, expected {want}")
    rng.bit_generator.state = dict(state)


def _differ(key: str, have: Any, want: Any) -> list[str]:
    # Through JSON, because a tuple has become a list on its way to the file.
    have, want = json.loads(json.dumps(have)), json.loads(json.dumps(want))
    if isinstance(have, dict) and isinstance(want, dict):
        names = sorted(have.keys() | want.keys())
        return [line for n in names for line in _differ(f"{key}.{n}", have.get(n), want.get(n))]
    return [] if have == want else [f"{key} is {have!r}, expected {want!r}"]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
