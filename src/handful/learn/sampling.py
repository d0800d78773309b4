"""Batches as they are drawn on the host: for updates as written, for pre-training and cloning.

``learn.feed`` draws the same for a program on the device.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from handful.learn import pretrain as pretraining
from handful.learn.amplitude import augment_state
from handful.learn.batch import TensorBatch
from handful.learn.encoder import Pictures
from handful.learn.store import Store

if TYPE_CHECKING:  # the learner draws here
    from handful.learn.gallery import Gallery
    from handful.learn.learner import Learner


def sample(learner: "Learner") -> TensorBatch:
    """One augmented batch on the device."""
    share = learner.settings.replay.demo_share
    if share is None:
        share = len(learner.replay.demo) / len(learner.replay)
    indices = learner.replay.sample_indices(learner.settings.batch_size, share, learner.rng)
    batch = learner.replay.gather(indices)
    a, positive = learner.settings.augment, None
    if learner.cache is not None:
        learner.encode_new()
        now, then = _repeat(batch.index, a.loss_views), batch.next_frames[:, -1]
        obs = learner.cache.get(now, learner.rng, learner.device)
        next_obs = learner.cache.get(_repeat(then, a.target_views), learner.rng, learner.device)
    else:
        frames = _repeat(batch.frames, a.loss_views)
        offsets = learner.views.draw(learner.rng, len(frames))
        obs = pictures(learner, frames, "obs", offsets)
        frames = _repeat(batch.next_frames, a.target_views)
        next_obs = pictures(learner, frames, "next", offsets if a.shared_window else None)
        if learner.agent.contrast_weight(learner.env_steps) > 0.0:
            positive = pictures(learner, batch.frames, "positive")

    def column(values: NDArray[Any]) -> Tensor:
        return torch.from_numpy(values.astype(np.float32)).to(learner.device).unsqueeze(1)

    state, next_state = augment_state(
        learner.settings.state_augment,
        torch.from_numpy(batch.state).to(learner.device),
        torch.from_numpy(batch.next_state).to(learner.device),
        learner.agent.generator,
    )
    return TensorBatch(
        obs=obs,
        next_obs=next_obs,
        positive=positive,
        state=state,
        next_state=next_state,
        action=torch.from_numpy(batch.action).to(learner.device),
        reward=column(batch.reward),
        discount=column(batch.discount),
        demo=column(batch.demo),
    )


def pictures(
    learner: "Learner",
    frames: NDArray[np.int64],
    purpose: str,
    offsets: NDArray[np.int64] | None = None,
    store: Store | None = None,
) -> Pictures:
    """Randomly placed windows of stacks (B, K): per camera (B, 3K, S, S) uint8, NHWC in memory.

    Float in 0..255 where an effect makes it so (``learn.effects``). Each purpose has one buffer
    a camera that the next call for it overwrites. ``offsets`` (B, 2) are drawn when not given.
    """
    if offsets is None:
        offsets = learner.views.draw(learner.rng, len(frames))
    changes = learner.effects.draw(len(frames), learner.agent.generator)
    size, channels = learner.views.size_px, 3 * learner.spec.frame_stack
    out: Pictures = {}
    for index, name in enumerate(learner.spec.cameras):
        key, shape = f"{purpose}/{name}", (len(frames), size, size, channels)
        if key not in learner.buffers or learner.buffers[key].shape != shape:
            learner.buffers[key] = np.empty(shape, np.uint8)
        buffer = learner.buffers[key]
        (store or learner.replay.store).pictures(frames, offsets, buffer, (index, index + 1))
        seen = torch.from_numpy(buffer).to(learner.device).permute(0, 3, 1, 2)
        out[name] = learner.effects.apply(learner.views.blacken(seen, offsets), changes)
    return out


def draw_views(learner: "Learner", gallery: "Gallery | None" = None) -> pretraining.Views:
    """Two views of the same moments, for pre-training; some of ``gallery``, whose steps have no
    action to clone."""
    s, others = learner.settings.pretrain, 0
    if gallery is not None:
        if not len(learner.replay):
            return gallery.views(learner, s.batch_size)
        others = round(s.batch_size * s.unlabelled_share)
    share = 1.0 if s.clone_weight > 0.0 else len(learner.replay.demo) / len(learner.replay)
    indices = learner.replay.sample_indices(s.batch_size - others, share, learner.rng)
    batch = learner.replay.gather(indices)
    later = indices
    if s.positive_offset:
        later = learner.replay.store.later(
            indices, int(learner.rng.integers(s.positive_offset + 1))
        )
    views = pretraining.Views(
        query=pictures(learner, batch.frames, "obs"),
        key=pictures(learner, learner.replay.store.stack(later), "positive"),
        state=torch.from_numpy(batch.state).to(learner.device),
        action=torch.from_numpy(batch.action).to(learner.device),
    )
    if gallery is None:
        return views
    from handful.learn.gallery import joined  # a gallery holds views of this module's making

    return joined(views, gallery.views(learner, others))


@torch.no_grad()
def draw_demo(learner: "Learner") -> tuple[Pictures, Tensor, Tensor]:
    """Features, state and action of demonstrated steps, for the clone."""
    indices = learner.replay.sample_indices(learner.settings.clone.batch_size, 1.0, learner.rng)
    batch = learner.replay.gather(indices)
    if learner.cache is not None:
        learner.encode_new()
        features = learner.cache.get(batch.index, learner.rng, learner.device)
    else:
        features = learner.agent.encoder(pictures(learner, batch.frames, "obs"))
    state = torch.from_numpy(batch.state).to(learner.device)
    return features, state, torch.from_numpy(batch.action).to(learner.device)


def _repeat(slots: NDArray[np.int64], views: int) -> NDArray[np.int64]:
    """One copy of ``slots`` a view, one after the other."""
    return slots if views == 1 else np.concatenate([slots] * views)
