"""CURL's released code as a peer, read from a checkout of it; nothing of it is kept here.

    git clone https://github.com/MishaLaskin/curl ~/curl
    python benchmarks/bench_learner.py --device cuda --released ~/curl

Its own replay, crops and update, with the constants of its run script; Gym, which its wrappers
need and its update does not, is left out. scikit-image must be installed.
"""

import sys
import types
import warnings
from pathlib import Path
from typing import Any

import numpy as np

NEEDED = ("curl_sac.py", "encoder.py", "utils.py")
STORED_PX, SEEN_PX, CHANNELS = 100, 84, 9


def refuse_without(folder: Path) -> None:
    """Raise ``FileNotFoundError`` unless ``folder`` is a checkout."""
    for name in NEEDED:
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"--released {folder}: no {name} there; expected a checkout of "
                "https://github.com/MishaLaskin/curl"
            )


def load(folder: Path, batch: int, action_dim: int, device: str, transitions: int) -> Any:
    """A function of no argument that does one released update, on a replay of noise pictures."""
    refuse_without(folder)
    sys.modules.setdefault("gym", types.SimpleNamespace(Wrapper=object))  # type: ignore[arg-type]
    sys.path.insert(0, str(folder))
    warnings.simplefilter("ignore")
    import curl_sac  # type: ignore[import-not-found]
    import torch
    import utils  # type: ignore[import-not-found]

    where, rng = torch.device(device), np.random.default_rng(0)
    stack, seen = (CHANNELS, STORED_PX, STORED_PX), (CHANNELS, SEEN_PX, SEEN_PX)
    replay = utils.ReplayBuffer(stack, (action_dim,), transitions, batch, where, SEEN_PX)
    for _ in range(transitions):
        obs, after = rng.integers(0, 256, (2, *stack), dtype=np.uint8)
        action = rng.uniform(-1.0, 1.0, action_dim)
        replay.add(obs, action, float(rng.random() < 0.02), after, False)
    agent = curl_sac.CurlSacAgent(
        seen,
        (action_dim,),
        where,
        hidden_dim=1024,
        init_temperature=0.1,
        alpha_lr=1e-4,
        alpha_beta=0.5,
        critic_tau=0.01,
        encoder_tau=0.05,
        log_interval=10**9,
        curl_latent_dim=128,
    )
    count = 0

    def one() -> None:
        nonlocal count
        count += 1
        agent.update(replay, None, count % 10_000 or 2)  # at 10,000 it would want its own logger

    return one
