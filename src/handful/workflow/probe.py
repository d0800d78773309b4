"""What the encoder separates, asked on held-out frames: a map, neighbours, and where a thing is.

The scripted demonstrator runs in worlds of the PROBE range; every frame is kept with its latent and
the truth about it. ``probe.npz``: ``pictures`` (N, H, W, 3) uint8, all cameras side by
side; ``latents`` (N, Z) float32; ``episodes`` (N,) int64; ``labels`` (L,) names with ``values``
(N, L) float32.
"""

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handful.workflow import film
from handful.workflow.parts import Parts
from handful.workflow.seeds import Purpose, episode_seed

FRAMES, EPISODES = 300, 40
"""Stop after the episode that reaches so many frames, or after so many episodes."""

Floats = NDArray[np.float32]


def write_probe(parts: Parts, env: Any, learner: Any, seed: int, path: Path) -> None:
    """Record held-out frames, their latents and the truth about them into ``path``."""
    pictures: list[film.Picture] = []
    values, episodes, observations, thing = [], [], [], ""
    for index in range(EPISODES):
        if len(pictures) >= FRAMES:
            break
        world = episode_seed(Purpose.PROBE, seed, index)
        actor = parts.demonstrator(env, world)
        observation = env.reset(world)
        actor.reset()
        last = False
        while not last:
            pictures.append(np.hstack(film.policy_views(observation)))
            thing, numbers = _truth(env)
            values.append(numbers)
            episodes.append(index)
            observations.append(observation)
            transition = env.step(actor.act(observation))
            observation, last = transition.next_observation, transition.last
    arrays: dict[str, Any] = {
        "pictures": np.stack(pictures),
        "latents": np.stack([learner.embed(observation) for observation in observations]),
        "episodes": np.array(episodes, np.int64),
        "labels": np.array(labels(thing)),
        "values": np.array(values, np.float32),
    }
    with io.BytesIO() as out:
        np.savez_compressed(out, **arrays)
        content = out.getvalue()
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_bytes(content)
    os.replace(temporary, path)


def read_probe(path: Path) -> dict[str, NDArray[Any]] | None:
    """What ``write_probe`` wrote, or ``None`` when it never did."""
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def principal_plane(latents: Floats) -> tuple[Floats, float]:
    """Latents on their first two principal components (N, 2), and the variance share these hold."""
    centred = latents.astype(np.float64) - latents.mean(0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    total = float((s**2).sum()) or 1.0
    return (u[:, :2] * s[:2]).astype(np.float32), float((s[:2] ** 2).sum()) / total


def neighbours(latents: Floats, episodes: NDArray[np.int64], query: int, count: int) -> list[int]:
    """The ``count`` frames of *other* episodes nearest to ``query`` by cosine, nearest first."""
    unit = latents / np.maximum(np.linalg.norm(latents, axis=1, keepdims=True), 1e-9)
    similarity = unit @ unit[query]
    similarity[episodes == episodes[query]] = -np.inf
    order = np.argsort(-similarity)[:count]
    return [int(i) for i in order if np.isfinite(similarity[i])]


def spread_out(latents: Floats, episodes: NDArray[np.int64], count: int) -> list[int]:
    """``count`` frames that look as different as they can, each of another episode.

    Greedy farthest points, starting from the frame farthest from the mean.
    """
    chosen: list[int] = []
    distance = np.linalg.norm(latents - latents.mean(0), axis=1)
    while len(chosen) < min(count, len(np.unique(episodes))):
        free = ~np.isin(episodes, episodes[chosen]) if chosen else np.ones(len(latents), bool)
        best = int(np.argmax(np.where(free, distance, -1.0)))
        chosen.append(best)
        apart = np.linalg.norm(latents - latents[best], axis=1)
        distance = apart if len(chosen) == 1 else np.minimum(distance, apart)
    return chosen


def read_out(
    latents: Floats, values: Floats, episodes: NDArray[np.int64], ridge: float = 1e-2
) -> list[tuple[float, float]]:
    """How well a straight line through the latents tells each value: (R2, typical error) a column.

    Ridge regression on standardised latents, always tested on an episode that was left out of the
    fit. The error is the median absolute one, in the value's unit; R2 below 0 is cut to 0.
    """
    guess = guesses(latents, values, episodes, ridge)
    error = guess - values
    scale = ((values - values.mean(0)) ** 2).mean(0) + 1e-12
    r2 = np.maximum(0.0, 1.0 - (error**2).mean(0) / scale)
    return [(float(a), float(b)) for a, b in zip(r2, np.median(np.abs(error), 0), strict=True)]


def guesses(
    latents: Floats, values: NDArray[Any], episodes: NDArray[np.int64], ridge: float = 1e-2
) -> NDArray[np.float64]:
    """What a straight line through the latents says of ``values`` (N, L): each episode guessed by
    a ridge regression on standardised latents that was fitted to the others."""
    x = latents.astype(np.float64)
    x = (x - x.mean(0)) / (x.std(0) + 1e-6)
    x = np.hstack([x, np.ones((len(x), 1))])
    penalty = ridge * len(x) * np.eye(x.shape[1])
    penalty[-1, -1] = 0.0  # the mean is not held against it
    guess = np.empty_like(values, dtype=np.float64)
    for episode in np.unique(episodes):
        out = episodes == episode
        gram = x[~out].T @ x[~out] + penalty
        guess[out] = x[out] @ np.linalg.solve(gram, x[~out].T @ values[~out])
    return guess


def labels(thing: str) -> tuple[str, ...]:
    """What is asked about, with units, in the order of ``values``."""
    return (
        *(f"{thing} ahead of tip [cm]", f"{thing} left of tip [cm]"),
        *("tip height [cm]", "opening [cm]"),
    )


def _truth(env: Any) -> tuple[str, list[float]]:
    """The task's own thing, the cube where there is one, and the truth about it and the tip."""
    truth = env.truth()
    thing = "cube" if "cube" in truth.bodies else next(iter(truth.bodies))
    offset_m = truth.bodies[thing][0] - truth.p_BT_m
    return thing, [
        100.0 * float(offset_m[0]),
        100.0 * float(offset_m[1]),
        100.0 * float(truth.p_BT_m[2]),
        100.0 * float(truth.gripper_m),
    ]
