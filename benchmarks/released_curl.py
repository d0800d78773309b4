"""CURL's released code as a peer, read from a checkout of it; nothing of it is kept here.

    git clone https://github.com/MishaLaskin/curl ~/curl
    python benchmarks/bench_learner.py --device cuda --released ~/curl  # its updates, beside ours
    python benchmarks/bench_released.py ~/curl --seed 1                 # what it learns

Its own replay, crops, networks and update, with the constants of its run script. Gym, which its
wrappers need and its update does not, is left out. scikit-image must be installed.
"""

import sys
import types
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

NEEDED = ("curl_sac.py", "encoder.py", "utils.py")
STORED_PX, SEEN_PX, CHANNELS = 100, 84, 9
STACK, SEEN = (CHANNELS, STORED_PX, STORED_PX), (CHANNELS, SEEN_PX, SEEN_PX)
QUIET = 10**9  # steps between its own log lines: never
CONSTANTS: dict[str, Any] = {  # scripts/run.sh, and train.py's defaults where that is silent
    "hidden_dim": 1024,
    "init_temperature": 0.1,
    "alpha_lr": 1e-4,
    "alpha_beta": 0.5,
    "critic_tau": 0.01,
    "encoder_tau": 0.05,
    "curl_latent_dim": 128,
    "log_interval": QUIET,
}


def refuse_without(folder: Path) -> None:
    """Raise ``FileNotFoundError`` unless ``folder`` is a checkout."""
    for name in NEEDED:
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"{folder}: no {name} there; expected a checkout of "
                "https://github.com/MishaLaskin/curl"
            )


def make(
    folder: Path,
    batch: int,
    action_dim: int,
    device: str,
    transitions: int,
    strides: Sequence[int] | None = None,
    quick: bool = False,
    **changed: Any,
) -> tuple[Any, Any]:
    """Its agent and its empty replay of ``transitions``.

    Args:
        strides: of the convolutions, instead of its 2, 1, 1, 1. quick: for a CPU: the same crops to
            the bit, but laid out whole (``crop``), and convolutions in bfloat16, NHWC, as
            ``agent.compute.precision=bf16`` has them. changed: instead of ``CONSTANTS``.
    Raises:
        FileNotFoundError: ``folder`` is no checkout.
    """
    refuse_without(folder)
    sys.modules.setdefault("gym", types.SimpleNamespace(Wrapper=object))  # type: ignore[arg-type]
    sys.path.insert(0, str(folder))
    warnings.simplefilter("ignore")
    import curl_sac  # type: ignore[import-not-found]
    import encoder  # type: ignore[import-not-found]
    import torch
    import utils  # type: ignore[import-not-found]

    if strides is not None:
        _restride(encoder.PixelEncoder, tuple(strides))
    if quick:
        utils.random_crop = crop
        _quicken(encoder.PixelEncoder)
    where = torch.device(device)
    replay = utils.ReplayBuffer(STACK, (action_dim,), transitions, batch, where, SEEN_PX)
    constants = {**CONSTANTS, **changed}
    return curl_sac.CurlSacAgent(SEEN, (action_dim,), where, **constants), replay


def load(folder: Path, batch: int, action_dim: int, device: str, transitions: int) -> Any:
    """A function of no argument that does one released update, on a replay of noise pictures."""
    agent, replay = make(folder, batch, action_dim, device, transitions)
    rng = np.random.default_rng(0)
    for _ in range(transitions):
        obs, after = rng.integers(0, 256, (2, *STACK), dtype=np.uint8)
        action = rng.uniform(-1.0, 1.0, action_dim)
        replay.add(obs, action, float(rng.random() < 0.02), after, False)
    count = 0

    def one() -> None:
        nonlocal count
        count += 1
        update(agent, replay, count)

    return one


def crop(pictures: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Its ``random_crop``: the same draws, in its order, and the same bytes. (B, C, H, W)."""
    count, reach = len(pictures), pictures.shape[-1] - size
    rows = np.random.randint(0, reach, count)
    columns = np.random.randint(0, reach, count)
    cut = np.empty((count, pictures.shape[1], size, size), pictures.dtype)
    for out, one, top, left in zip(cut, pictures, rows, columns, strict=True):
        out[:] = one[:, top : top + size, left : left + size]
    return cut


def update(agent: Any, replay: Any, step: int) -> None:
    """One released update; at its every 10,000th ``step`` it would ask for a logger of its own."""
    agent.update(replay, None, step if step % 10_000 else 20_002)


def _quicken(kind: Any) -> None:
    """Let the convolutions of ``kind`` compute in bfloat16 on NHWC; what follows is float32."""
    import torch

    def convolve(self: Any, obs: Any) -> Any:
        x = (obs.to(memory_format=torch.channels_last) / 255.0).to(torch.bfloat16)
        with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
            for convolution in self.convs:
                x = torch.relu(convolution(x))
        return x.reshape(len(x), -1).float()

    kind.forward_conv = convolve


def _restride(kind: Any, strides: tuple[int, ...]) -> None:
    """Make encoders of ``kind`` with other strides; its initialisation runs later, as ever."""
    from torch import nn

    original: Callable[..., None] = kind.__init__

    def made(self: Any, obs_shape: Any, feature_dim: int, *more: Any, **named: Any) -> None:
        original(self, obs_shape, feature_dim, *more, **named)
        side = obs_shape[-1]
        for convolution, stride in zip(self.convs, strides, strict=True):
            convolution.stride = (stride, stride)
            side = (side - 3) // stride + 1
        self.fc = nn.Linear(self.convs[-1].out_channels * side * side, feature_dim)

    kind.__init__ = made
