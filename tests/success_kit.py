"""A world of small pictures in which success is a block at the right edge, for success classifiers.

A grey block moves one column a step; at the right edge a red lamp goes on. In ``fooled`` episodes a
block that is nearly as bright stands there, without a lamp, and it is no success.
"""

from pathlib import Path

import numpy as np

from handful.contract import Observation, Spec, Transition
from handful.rig.episodes import EpisodeLog

SIDE = 16
SPEC = Spec(("third",), SIDE, SIDE, 1, 2, 4)
PROFILE = """
encoder: {filters: 8, strides: [2], head: linear, latent_dim: 16, input_px: 16}
augment: {kind: shift, pad_px: 1}
pretrain: {updates: 1, batch_size: 8}
replay: {capacity: 500}
batch_size: 8
"""


def picture(column: int, lamp: bool, noise: np.random.Generator, bright: int = 150) -> np.ndarray:
    """A block at ``column`` (0 to 12), with or without the lamp; (16, 16, 3) uint8."""
    seen = noise.integers(20, 40, (SIDE, SIDE, 3)).astype(np.uint8)
    seen[6:10, column : column + 4] = bright
    if lamp:
        seen[1:4, 10:15] = (220, 40, 40)
    return seen


def observation(
    pixels: np.ndarray, step: int, cameras: tuple[str, ...] = ("third",)
) -> Observation:
    """A picture as an observation at 10 Hz."""
    return Observation(dict.fromkeys(cameras, pixels), np.zeros(2, np.float32), 0.1 * step)


def frames(kind: str, seed: int) -> list[np.ndarray]:
    """The pictures of an episode: ``won``, ``lost`` (stops in the middle) or ``fooled``."""
    noise = np.random.default_rng(seed)
    shown = []
    for step in range(16):
        column = min(12, step + 1)
        if kind == "lost":
            column = min(6, column)
        lamp = kind == "won" and step >= 12
        lamp_like = kind == "fooled" and step >= 12
        seen = picture(column, lamp, noise)
        if lamp_like:
            seen[1:4, 10:15] = (200, 90, 40)
        shown.append(seen)
    return shown


def session(folder: Path, kinds: list[str], first_seed: int = 0, **more: object) -> Path:
    """A recorded session with one episode a kind."""
    spec = more.pop("spec", SPEC)
    assert isinstance(spec, Spec)
    with EpisodeLog(folder, spec, {"task": "lamp", **more}) as log:
        for k, kind in enumerate(kinds):
            seed = first_seed + k
            seen = [observation(p, i, spec.cameras) for i, p in enumerate(frames(kind, seed))]
            log.begin(seen[0], info={"seed": seed})
            for i, one in enumerate(seen[1:], start=1):
                last = i == len(seen) - 1
                won = last and kind == "won"
                log.add(
                    Transition(
                        np.zeros(4, np.float32), float(won), 1.0 - won, one, last,
                        info={"success": won},
                    )
                )  # fmt: skip
    return folder


def profile(folder: Path) -> str:
    """The eye's profile as a file."""
    path = folder / "eye.yaml"
    path.write_text(PROFILE)
    return str(path)
