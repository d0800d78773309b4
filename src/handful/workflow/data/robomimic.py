"""Episodes as a robomimic HDF5 file and back: one group a demonstration, plain arrays.

Layout of robomimic (robomimic.github.io/docs/datasets/overview.html): ``data/demo_k`` with
``actions``, ``rewards``, ``dones``, ``states``, and ``obs`` and ``next_obs`` by key. A camera
``third`` is the key ``third_image``, the state vector ``state``. ``handful`` in each demonstration
holds what robomimic has no place for. Only the newest frame of a stack is stored: robomimic stacks
by itself.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from handful import __version__
from handful.contract import Spec
from handful.workflow.data.columns import Columns, keep, kept
from handful.workflow.data.sessions import DataError

_IMAGE = "_image"
_GYM = 2
"""robomimic's number for a Gym environment; it has none for an arm of one's own."""


def write_file(path: Path, chosen: list[Columns], rate_hz: float) -> dict[str, Any]:
    """Write ``chosen`` as a new file; every picture losslessly, deflated one by one."""
    kwargs = {"rate_hz": rate_hz, "handful": __version__}
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs["total"] = sum(one.length for one in chosen)
        data.attrs["env_args"] = json.dumps(
            {"env_name": chosen[0].task, "type": _GYM, "env_kwargs": kwargs}
        )
        for number, columns in enumerate(chosen):
            _write(data.create_group(f"demo_{number}"), columns)
        mask = file.create_group("mask")
        names = [f"demo_{k}".encode() for k, one in enumerate(chosen) if one.success]
        mask.create_dataset("success", data=np.array(names, "S"))
    return {}


def _write(group: h5py.Group, columns: Columns) -> None:
    group.attrs["num_samples"] = columns.length
    group["actions"] = columns.actions
    group["rewards"] = np.array([s["reward"] for s in columns.steps], np.float64)
    group["dones"] = np.array([int(s["discount"] == 0.0) for s in columns.steps], np.int64)
    group["states"] = np.zeros((columns.length, 0), np.float64)  # of a simulator; there is none
    for name, rows in (("obs", slice(None, -1)), ("next_obs", slice(1, None))):
        there = group.create_group(name)
        there["state"] = columns.states[rows]
        for camera, pictures in columns.pictures.items():
            there.create_dataset(
                camera + _IMAGE,
                data=pictures[rows],
                chunks=(1, *pictures.shape[1:]),
                compression="gzip",
                compression_opts=1,
                shuffle=False,
            )
    group["handful"] = np.frombuffer(keep(columns), np.uint8)


def read_file(path: Path, task: str | None, notes: list[str]) -> Iterator[Columns]:
    """The demonstrations of a file, in order of their numbers; ``notes`` gets what was left out.

    Raises:
        DataError: not robomimic's layout, arrays that would need unpickling, or a link that leads
            out of the file.
    """
    try:
        with h5py.File(path, "r") as file:
            _refuse_links(path, file)
            if "data" not in file:
                raise DataError(f"{path}: has no group data, so it is no robomimic file")
            words = task or _task(file["data"])
            names = [n for n in file["data"] if n.startswith("demo_") and n[5:].isdigit()]
            if not names:
                raise DataError(f"{path}: data holds no demo_0, demo_1, ...")
            for name in sorted(names, key=lambda n: int(n[5:])):
                yield _read(path, name, file["data"][name], words, notes)
    except OSError as error:
        raise DataError(f"{path}: cannot be read as HDF5: {error}") from None


def _refuse_links(path: Path, file: h5py.File) -> None:
    """Nothing may come from another file, by a link or as a data set's own storage."""

    def look(group: h5py.Group) -> None:
        for name in group:
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                raise DataError(
                    f"{path}: {group.name}/{name} leads to another file ({link.filename}); "
                    "nothing was read from it"
                )
            if isinstance(link, h5py.SoftLink):
                raise DataError(f"{path}: {group.name}/{name} is a link; expected the data itself")
            found = group[name]
            if isinstance(found, h5py.Group):
                look(found)
            elif found.external or found.is_virtual:
                raise DataError(f"{path}: {found.name} is stored in another file")

    look(file)


def _task(data: h5py.Group) -> str:
    try:
        return str(json.loads(data.attrs["env_args"])["env_name"])
    except (KeyError, ValueError, TypeError):
        return ""


def _array(path: Path, group: h5py.Group, name: str) -> NDArray[Any]:
    found = group.get(name)
    if not isinstance(found, h5py.Dataset):
        raise DataError(f"{path}: {group.name} has no array {name}")
    if found.dtype.kind not in "biuf":
        raise DataError(
            f"{path}: {found.name} holds {found.dtype}, expected numbers; what would need "
            "unpickling is not read"
        )
    return np.asarray(found[()])


def _read(path: Path, name: str, group: h5py.Group, task: str, notes: list[str]) -> Columns:
    where = f"{path}:{name}"
    actions = _array(path, group, "actions").astype(np.float32)
    if actions.ndim != 2 or not len(actions) or "obs" not in group:
        raise DataError(f"{where}: expected actions (N, A) and a group obs, got {actions.shape}")
    obs = group["obs"]
    there = {key: _array(path, obs, key) for key in obs}
    for key, rows in there.items():
        if len(rows) != len(actions):
            raise DataError(f"{where}: {key} has {len(rows)} rows, actions have {len(actions)}")
    cameras = {
        key.removesuffix(_IMAGE): key
        for key, rows in there.items()
        if rows.ndim == 4 and rows.dtype == np.uint8 and rows.shape[3] == 3
    }
    vectors = [key for key, rows in there.items() if rows.ndim == 2]
    if not cameras or not vectors:
        raise DataError(f"{where}: obs needs a camera (N, H, W, 3) uint8 and a vector (N, P)")
    pictures = {camera: there[key] for camera, key in cameras.items()}
    states = np.concatenate([there[key] for key in vectors], 1).astype(np.float32)
    if "handful" in group and vectors == ["state"]:
        record = _array(path, group, "handful").tobytes()
        ours = kept(record, pictures, states, actions, where)
        if ours is not None:
            return ours
        notes.append(
            f"{where}: what handful kept does not belong to it as it is now, so verdicts and "
            "stamps are left out"
        )
    if len({p.shape[1:] for p in pictures.values()}) > 1:
        sizes = ", ".join(f"{k} {p.shape[1:3]}" for k, p in pictures.items())
        raise DataError(f"{where}: cameras of different sizes ({sizes}) do not fit one spec")
    return _foreign(path, where, group, cameras, vectors, pictures, states, actions, task)


def _foreign(
    path: Path, where: str, group: h5py.Group, cameras: dict[str, str], vectors: list[str],
    pictures: dict[str, NDArray[np.uint8]], states: NDArray[np.float32],
    actions: NDArray[np.float32], task: str,
) -> Columns:  # fmt: skip
    """Another's demonstration; without ``next_obs`` its last action led to nothing that is seen."""
    n = len(actions)
    rewards = _array(path, group, "rewards") if "rewards" in group else np.zeros(n)
    dones = _array(path, group, "dones") if "dones" in group else np.zeros(n)
    if "next_obs" in group:
        after = group["next_obs"]
        pictures = {
            camera: np.concatenate([pictures[camera], _array(path, after, key)[-1:]])
            for camera, key in cameras.items()
        }
        end = np.concatenate([_array(path, after, key)[-1:] for key in vectors], 1)
        states = np.concatenate([states, end.astype(np.float32)])
    else:
        n -= 1
        actions, rewards[n - 1] = actions[:-1], max(rewards[n - 1], rewards[n])
        dones = np.maximum(dones[:-1], dones[1:])
    if n < 1:
        raise DataError(f"{where}: has too few samples to make one step")
    success = bool(rewards[n - 1] > 0.0)
    first = next(iter(pictures.values()))
    spec = Spec(
        tuple(pictures), first.shape[1], first.shape[2], 1, states.shape[1], actions.shape[1]
    )
    steps = [
        {
            "reward": float(rewards[k]),
            "discount": 0.0 if k == n - 1 and (success or bool(dones[k])) else 1.0,
            "last": k == n - 1,
            "demo": True,
            "info": {"success": success and k == n - 1},
            "asked": None,
            "stamp_s": 0.1 * (k + 1),
        }
        for k in range(n)
    ]
    return Columns(
        spec=spec,
        pictures=pictures,
        older={camera: p[0, :, :, :0] for camera, p in pictures.items()},
        states=states,
        actions=actions,
        asked=None,
        steps=steps,
        first={"stamp_s": 0.0},
        info={"task": task},
        meta={"source": "robomimic", "state": vectors, "stamps": "made up, 10 a second"},
        task=task,
        where=where,
    )
