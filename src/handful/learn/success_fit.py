"""Trains a success classifier's heads on frozen features: balanced batches, one bootstrap a head.

Each head draws its own episodes with replacement (Breiman 1996), so that heads differ where there
is little to go by. A batch is half success, whatever their number: failures are many and alike.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from handful.learn.success import Bank, Floats, Head, SuccessClassifier, drift_vector
from handful.learn.success_drift import Usual
from handful.learn.success_eye import Eye, Pictures, colours
from handful.learn.success_settings import SuccessSettings

Progress = Callable[[int, int, dict[str, float]], None]


class NothingToLearn(ValueError):
    """Frames without a success, or without a failure; the message says which."""


def encode(
    eye: Eye, pictures: Pictures, views: int, rng: np.random.Generator
) -> tuple[NDArray[np.float16], Floats]:
    """Latents (N, V, Z) float16 of pictures (N, H, W, 3K) under ``views`` shifts, and colours."""
    count = len(next(iter(pictures.values())))
    seen = [eye.see(pictures)]
    seen += [eye.see(pictures, eye.views.draw(rng, count)) for _ in range(views - 1)]
    return torch.stack(seen, dim=1).half().numpy(), colours(pictures)


def fit(
    settings: SuccessSettings,
    eye: Eye,
    bank: Bank,
    seed: int,
    progress: Progress | None = None,
    about: dict[str, Any] | None = None,
) -> SuccessClassifier:
    """A classifier from the frames of ``bank`` that are not held out; its threshold is 0.5 still.

    Raises:
        NothingToLearn: no frame shows success, or all do.
    """
    learned = ~bank.held_out
    for label, what in ((1, "success"), (0, "anything but success")):
        if not (learned & (bank.labels == label)).any():
            raise NothingToLearn(
                f"no frame that is learned from shows {what}; record "
                + ("successful episodes" if label else "failures, and what goes before a success")
            )
    centre = bank.latents[learned, 0].astype(np.float32)
    mean, scale = centre.mean(0), centre.std(0) + 1e-3
    heads = []
    for index in range(settings.heads):
        report = _shifted(progress, index, settings)
        heads.append(_fit_head(settings, bank, mean, scale, seed + index, report))
    vectors = drift_vector(bank.latents[:, 0], bank.colours)
    usual = Usual.of(vectors[learned]).calibrated(
        vectors[bank.held_out] if bank.held_out.any() else vectors,
        settings.drift_quantile,
        settings.drift_margin,
    )
    return SuccessClassifier(settings, eye, heads, mean, scale, usual, bank, 0.5, about)


def _fit_head(
    s: SuccessSettings,
    bank: Bank,
    mean: Floats,
    scale: Floats,
    seed: int,
    progress: Progress | None,
) -> Head:
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = Head(bank.latents.shape[2], s.hidden_dim, s.dropout)
        optimizer = torch.optim.AdamW(head.parameters(), lr=s.lr, weight_decay=s.weight_decay)
        pools = [_pool(bank, label, rng) for label in (1, 0)]
        half = s.batch_size // 2
        sizes = (half, s.batch_size - half)
        target = torch.cat([torch.ones(sizes[0]), torch.zeros(sizes[1])])
        target = target * (1.0 - 2.0 * s.smoothing) + s.smoothing
        head.train()
        for step in range(1, s.updates + 1):
            rows = [
                rng.choice(frames, size, p=p)
                for (frames, p), size in zip(pools, sizes, strict=True)
            ]
            at = np.concatenate(rows)
            view = rng.integers(bank.latents.shape[1], size=len(at))
            x = (bank.latents[at, view].astype(np.float32) - mean) / scale
            logits = head(torch.from_numpy(x))
            loss = nn.functional.binary_cross_entropy_with_logits(logits, target)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            if progress is not None and (step % 50 == 0 or step == s.updates):
                progress(step, s.updates, {"loss": float(loss.detach())})
    return head.eval()


def _pool(
    bank: Bank, label: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Frames of one label, of episodes drawn with replacement, and how likely each is drawn."""
    frames = np.flatnonzero(~bank.held_out & (bank.labels == label))
    there = np.unique(bank.episodes[frames])
    drawn = rng.choice(there, len(there))
    times = np.bincount(drawn, minlength=int(bank.episodes.max()) + 1).astype(np.float64)
    weights = bank.weights[frames].astype(np.float64)
    # What was mined is in every head's share: it is there because they were wrong about it.
    p = np.where(weights > 1.0, 1.0, times[bank.episodes[frames]]) * weights
    return frames, p / p.sum()


def _shifted(progress: Progress | None, index: int, s: SuccessSettings) -> Progress | None:
    if progress is None:
        return None

    def report(step: int, total: int, metrics: dict[str, float]) -> None:
        progress(index * total + step, s.heads * total, metrics)

    return report
