"""Any steps of recorded sessions by their numbers, in a batch, straight from the files.

The files are looked through once, every checksum too, and mapped into memory; what a batch needs is
then copied from where it lies: nothing is decoded unless it was stored as PNG.
"""

import json
import mmap
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from handful.contract import Spec
from handful.rig.edits import View, views
from handful.rig.picture_codec import from_arrays
from handful.rig.playback import LogError, episode_files, read_file
from handful.rig.records import HEAD

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Batch:
    """Rows of steps: what was seen, the action that was sent, what came of it.

    images: camera -> (B, H, W, 3) uint8, the newest frame. states: (B, P) float32. actions: (B, A)
    float32. rewards, discounts: (B,) float32.
    """

    images: dict[str, NDArray[np.uint8]]
    states: NDArray[np.float32]
    actions: NDArray[np.float32]
    rewards: NDArray[np.float32]
    discounts: NDArray[np.float32]


class Shelf:
    """The steps of some sessions, numbered from 0 in the order of their episodes; edits in force.

    ``len`` is how many there are; ``batch`` takes any of them. Not for a session that is being
    written: steps that come later are not seen.
    """

    def __init__(self, sessions: Iterable[str | Path], spec: Spec | None = None) -> None:
        """Look through every file and map it.

        Raises:
            LogError: no step anywhere, or files of different specs.
        """
        self._pictures: list[dict[str, Bytes]] = []
        self._coded: list[bool] = []
        states: list[Any] = []
        steps: list[Any] = []
        for session in map(Path, sessions):
            said = views(session)
            for path in episode_files(session):
                view = said.get(path.name, View())
                episode = read_file(path, spec, view)
                if episode is None:
                    continue
                spec = episode.spec
                count = len(episode.transitions)
                for places in _places(path, view.first, count):
                    self._pictures.append({n: self._lies(n, places, spec) for n in spec.cameras})
                    self._coded.append(f"png.{spec.cameras[0]}" in places)
                seen = [episode.observation, *(t.next_observation for t in episode.transitions)]
                states += [observation.state for observation in seen[:-1]]
                steps += [(t.action, t.reward, t.discount) for t in episode.transitions]
        if spec is None or not steps:
            raise LogError("these sessions hold no whole step, so there is nothing to take")
        self.spec = spec
        self._states = np.array(states, np.float32)
        self._actions = np.array([action for action, _, _ in steps], np.float32)
        self._rewards = np.array([reward for _, reward, _ in steps], np.float32)
        self._discounts = np.array([discount for _, _, discount in steps], np.float32)

    def __len__(self) -> int:
        return len(self._actions)

    def batch(self, indices: ArrayLike) -> Batch:
        """The steps ``indices`` (B,), in this order.

        Raises:
            IndexError: there is no such step.
        """
        chosen = np.asarray(indices, np.int64)
        height = self.spec.height_px
        images = {
            name: np.empty((len(chosen), height, self.spec.width_px, 3), np.uint8)
            for name in self.spec.cameras
        }
        for row, index in enumerate(chosen.tolist()):
            for name, picture in self._pictures[index].items():
                if self._coded[index]:
                    picture = from_arrays(name, {f"png.{name}": picture}, height)[:, :, -3:]
                images[name][row] = picture
        return Batch(
            images,
            self._states[chosen],
            self._actions[chosen],
            self._rewards[chosen],
            self._discounts[chosen],
        )

    @staticmethod
    def _lies(name: str, places: dict[str, Bytes], spec: Spec) -> Bytes:
        """The picture as it lies in the file: PNG bytes, or (H, W, 3), the newest of its stack."""
        if f"png.{name}" in places:
            return places[f"png.{name}"]
        return places[f"image.{name}"].reshape(spec.height_px, spec.width_px, -1)[:, :, -3:]


def _places(path: Path, first: int, count: int) -> list[dict[str, Bytes]]:
    """The bytes of every picture in the records ``first`` to ``first + count`` of a whole file."""
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    data = np.frombuffer(mapped, np.uint8)
    found: list[dict[str, Bytes]] = []
    at = 0
    for number in range(first + count):
        _, length, _ = HEAD.unpack_from(mapped, at)
        if number >= first:
            payload = at + HEAD.size
            (size,) = struct.unpack_from("<Q", mapped, payload)
            begin = payload + 8 + size
            header = json.loads(data[payload + 8 : begin].tobytes())
            found.append(
                {
                    name: data[begin + entry["data_offsets"][0] : begin + entry["data_offsets"][1]]
                    for name, entry in header.items()
                    if name.startswith(("image.", "png."))
                }
            )
        at += HEAD.size + length
    return found
