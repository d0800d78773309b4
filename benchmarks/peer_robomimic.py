"""robomimic's own ``SequenceDataset``, answering from its own environment (``loaders.py``)."""

import contextlib
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from loaders import stand_in_for_torchvision
from peers import answer

stand_in_for_torchvision()
import h5py  # noqa: E402
import robomimic.utils.obs_utils as obs_utils  # noqa: E402
from robomimic.utils.dataset import SequenceDataset  # noqa: E402


def handle(path: str, into: str) -> dict[str, Any]:
    """Every row of a file by robomimic's dataset class, into an .npz."""
    with h5py.File(path, "r") as file:
        keys = list(file["data/demo_0/obs"])
    images = [key for key in keys if key.endswith("_image")]
    plain = [key for key in keys if key not in images]
    with contextlib.redirect_stdout(sys.stderr):
        obs_utils.initialize_obs_utils_with_obs_specs(
            obs_modality_specs=[{"obs": {"low_dim": plain, "rgb": images}}]
        )
        dataset = SequenceDataset(
            hdf5_path=path,
            obs_keys=keys,
            dataset_keys=("actions", "rewards", "dones"),
            hdf5_cache_mode=None,
            hdf5_use_swmr=False,
        )
        rows = [dataset[k] for k in range(len(dataset))]
    found = {k: np.stack([row[k] for row in rows]) for k in ("actions", "rewards", "dones")}
    for key in keys:
        found[key] = np.stack([row["obs"][key] for row in rows])
        found[f"next_{key}"] = np.stack([row["next_obs"][key] for row in rows])
    np.savez(into, **found)
    return {"demos": dataset.n_demos, "rows": len(dataset)}


if __name__ == "__main__":
    answer(handle)
