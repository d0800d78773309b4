"""LeRobot's own dataset loader, answering questions from its own environment (``loaders.py``).

Runs under ``.bench/loaders``. Loads by the public class ``LeRobotDataset``; nothing of ours is
imported, so what is answered is what a user of LeRobot gets.
"""

import sys
import time
import types
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))
from loaders import stand_in_for_torchvision
from peers import answer

stand_in_for_torchvision()
import av  # noqa: E402
import torchvision  # noqa: E402
from lerobot.datasets.lerobot_dataset import LeRobotDataset  # noqa: E402


class VideoReader:
    """``torchvision.io.VideoReader`` as LeRobot uses it; torchvision has none since 0.26.

    LeRobot's other decoder, torchcodec, has no wheel that goes with a CPU build of torch 2.13.
    """

    def __init__(self, path: str, stream: str) -> None:
        self.container = av.open(path)
        self._stream = self.container.streams.video[0]

    def seek(self, at_s: float, keyframes_only: bool = False) -> None:
        self.container.seek(int(at_s / self._stream.time_base), stream=self._stream)

    def __iter__(self) -> Any:
        for frame in self.container.decode(self._stream):
            data = torch.from_numpy(frame.to_ndarray(format="rgb24")).permute(2, 0, 1)
            yield {"pts": float(frame.time), "data": data}


torchvision.io = types.SimpleNamespace(VideoReader=VideoReader)
torchvision.set_video_backend = lambda name: None
_loaded: dict[str, LeRobotDataset] = {}


def _dataset(root: str) -> LeRobotDataset:
    if root not in _loaded:
        _loaded[root] = LeRobotDataset("handful/export", root=root, video_backend="pyav")
    return _loaded[root]


def handle(what: str, root: str, **asked: Any) -> dict[str, Any]:
    """One question: ``describe``, ``rows`` (into an .npz) or ``batches`` (timed)."""
    dataset = _dataset(root)
    if what == "describe":
        stats = dataset.meta.stats
        return {
            "frames": dataset.num_frames,
            "episodes": dataset.num_episodes,
            "fps": dataset.fps,
            "cameras": dataset.meta.camera_keys,
            "features": {key: list(f["shape"]) for key, f in dataset.features.items()},
            "tasks": list(dataset.meta.tasks.index),
            "lengths": [int(e["length"]) for e in dataset.meta.episodes],
            "stats": {
                k: {s: np.asarray(v).tolist() for s, v in f.items()} for k, f in stats.items()
            },
        }
    if what == "rows":
        rows = [dataset[i] for i in asked["indices"]]
        found = {key: np.stack([np.asarray(r[key]) for r in rows]) for key in asked["keys"]}
        np.savez(asked["into"], **found)
        return {"task": [row["task"] for row in rows]}
    loader = torch.utils.data.DataLoader(
        dataset, batch_size=asked["batch"], sampler=asked["indices"], num_workers=0
    )
    began_s = time.perf_counter()
    rows = sum(len(batch["index"]) for batch in loader)
    return {"rows": rows, "seconds": time.perf_counter() - began_s}


if __name__ == "__main__":
    answer(handle)
