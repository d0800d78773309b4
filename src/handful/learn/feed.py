"""What an update's program is fed with: the host draws and fills buffers, the device assembles.

Two feeds, for an experience that lives on the device as well (``DeviceFeed``: slots and offsets)
and for one that does not fit there (``HostFeed``: pictures, gathered by the host). Both draw what
``Learner.sample`` draws, in its order and from its generators, and their batches are the same to
the bit (``tests/learn/test_program.py``). ``fill`` runs on the host; ``assemble`` is a function of
tensors and may be recorded.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from handful.contract import Spec
from handful.learn import gather_gpu
from handful.learn.agent import Agent
from handful.learn.amplitude import augment_state
from handful.learn.augment import Views
from handful.learn.batch import TensorBatch
from handful.learn.compute import convolve_in
from handful.learn.device_store import DeviceStore
from handful.learn.effects import Effects
from handful.learn.encoder import Pictures, computed_in
from handful.learn.features import FeatureCache
from handful.learn.replay import MixedReplay
from handful.learn.settings import AgentSettings
from handful.learn.shuttle import Layout

Arrays = dict[str, NDArray[Any]]


@dataclass
class Sources:
    """What an agent's batches are made of.

    cache: of a frozen eye's features; ``encode_new`` brings it up to date with the replay.
    """

    agent: Agent
    replay: MixedReplay
    views: Views
    effects: Effects
    cache: FeatureCache | None
    rng: np.random.Generator
    encode_new: Callable[[], None]

    @property
    def settings(self) -> AgentSettings:
        """The agent's."""
        return self.agent.settings

    @property
    def spec(self) -> Spec:
        """The agent's."""
        return self.agent.spec

    def draw_slots(self) -> NDArray[np.int64]:
        """(B,) transitions, in the profile's share of demonstrations."""
        share = self.settings.replay.demo_share
        if share is None:
            share = len(self.replay.demo) / len(self.replay)
        slots = self.replay.sample_indices(self.settings.batch_size, share, self.rng)
        if self.cache is not None:
            self.encode_new()
        return slots

    @property
    def contrasts(self) -> bool:
        """Whether there are ever positives to look at."""
        return self.settings.contrast.weight > 0.0

    def counts(self, contrast: bool) -> Iterator[tuple[str, int]]:
        """What is looked at, and how many samples of it: views of obs, next, positive."""
        a, batch = self.settings.augment, self.settings.batch_size
        yield "obs", batch * a.loss_views
        yield "next", batch * a.target_views
        if contrast and self.cache is None:
            yield "positive", batch

    def draw_offsets(self, contrast: bool) -> Iterator[tuple[str, NDArray[np.int64]]]:
        """Where each sample's window lies, (N, 2) [px]."""
        first = None
        for name, count in self.counts(contrast):
            if name == "next" and self.settings.augment.shared_window:
                assert first is not None
                yield name, first
                continue
            offsets = self.views.draw(self.rng, count)
            first = offsets if first is None else first
            yield name, offsets

    def windows(self, raw: Pictures, offsets: Tensor) -> Pictures:
        """Gathered windows (N, S, S, 3K) of every camera as the network shall see them."""
        changes = self.effects.draw(len(offsets), self.agent.generator)
        return {
            name: self.effects.apply(
                self.views.blacken(pictures.permute(0, 3, 1, 2), offsets), changes
            )
            for name, pictures in raw.items()
        }

    def together(self, seen: dict[str, Pictures], **numbers: Tensor) -> TensorBatch:
        """The batch of what is seen and of states, actions, rewards."""
        state, next_state = augment_state(
            self.settings.state_augment,
            numbers["state"],
            numbers["next_state"],
            self.agent.generator,
        )
        return TensorBatch(
            obs=seen["obs"],
            next_obs=seen["next"],
            positive=seen.get("positive"),
            state=state,
            next_state=next_state,
            action=numbers["action"],
            reward=numbers["reward"],
            discount=numbers["discount"],
            demo=numbers["demo"],
        )


class DeviceFeed:
    """Slots and offsets down, everything else is there."""

    def __init__(self, sources: Sources, store: DeviceStore) -> None:
        self.of, self.store = sources, store
        self.layout: Layout = {"slots": ((sources.settings.batch_size,), torch.int64)}
        for name, count in sources.counts(sources.contrasts):
            if sources.cache is None:
                self.layout[f"{name}/at"] = ((count, 2), torch.int64)
            else:
                for camera in sources.spec.cameras:
                    self.layout[f"{name}/{camera}"] = ((count,), torch.int64)
        # Pictures that nothing changes are gathered as the first convolution reads them.
        self._as_read: torch.dtype | None = None
        as_stored = not sources.effects and not sources.views.black and sources.cache is None
        if as_stored and sources.spec.cameras and gather_gpu.works_on(store.device):
            with convolve_in(sources.settings.compute.precision, store.device):
                self._as_read = computed_in(store.device.type, torch.float32)

    def fill(self, arrays: Arrays, contrast: bool) -> None:
        """Draw a batch into the layout's ``arrays``; bring the device's copy up to date."""
        arrays["slots"][:] = self.of.draw_slots()
        self.store.refresh()
        if self.of.cache is None:
            for name, offsets in self.of.draw_offsets(contrast):
                arrays[f"{name}/at"][:] = offsets
            return
        for name, count in self.of.counts(contrast):
            for camera in self.of.spec.cameras:
                drawn = self.of.rng.integers(0, self.of.cache.count, size=count)
                arrays[f"{name}/{camera}"][:] = drawn

    def assemble(self, tensors: dict[str, Tensor], contrast: bool) -> TensorBatch:
        """The batch of ``tensors``, the layout's on the device."""
        batch = self.store.batch(tensors["slots"])
        where = {"obs": batch.frames, "next": batch.next_frames, "positive": batch.frames}
        seen: dict[str, Pictures] = {}
        for name, count in self.of.counts(contrast):
            stacks = where[name].repeat(count // len(batch.index), 1)
            if self.of.cache is not None:
                newest = stacks[:, -1]
                seen[name] = {
                    camera: self.of.cache.tensors[camera][newest, tensors[f"{name}/{camera}"]]
                    for camera in self.of.spec.cameras
                }
                seen[name] = {camera: value.float() for camera, value in seen[name].items()}
                continue
            offsets, side = tensors[f"{name}/at"], self.of.views.size_px
            cameras = enumerate(self.of.spec.cameras)
            if self._as_read is not None:
                frames, dtype = self.store.frames, self._as_read
                seen[name] = {
                    camera: gather_gpu.gather_pictures(frames, stacks, offsets, side, index, dtype)
                    for index, camera in cameras
                }
                continue
            raw = {
                camera: self.store.pictures(stacks, offsets, side, index)
                for index, camera in cameras
            }
            seen[name] = self.of.windows(raw, offsets)
        return self.of.together(
            seen,
            state=batch.state,
            next_state=batch.next_state,
            action=batch.action,
            reward=batch.reward,
            discount=batch.discount,
            demo=batch.demo,
        )


class HostFeed:
    """Pictures or features themselves, gathered into page-locked memory by the host."""

    def __init__(self, sources: Sources) -> None:
        self.of, spec = sources, sources.spec
        batch, side = sources.settings.batch_size, sources.views.size_px
        self._widths = {
            "state": spec.state_dim,
            "next_state": spec.state_dim,
            "action": spec.action_dim,
            "reward": 1,
            "discount": 1,
            "demo": 1,
        }
        self.layout: Layout = {"numbers": ((batch, sum(self._widths.values())), torch.float32)}
        for name, count in sources.counts(sources.contrasts):
            if sources.cache is None:
                self.layout[f"{name}/at"] = ((count, 2), torch.int64)
            for camera in spec.cameras:
                key, shape = f"{name}/{camera}", (count, side, side, 3 * spec.frame_stack)
                self.layout[key] = (shape, torch.uint8)
                if sources.cache is not None:
                    width = sources.cache.encoder.feature_dim
                    self.layout[key] = ((count, width), torch.float16)

    def fill(self, arrays: Arrays, contrast: bool) -> None:
        """Draw a batch and gather it into the layout's ``arrays``."""
        batch = self.of.replay.gather(self.of.draw_slots())
        at = 0
        for name, width in self._widths.items():
            column = getattr(batch, name)
            arrays["numbers"][:, at : at + width] = column.reshape(len(batch.index), width)
            at += width
        if self.of.cache is None:
            for name, offsets in self.of.draw_offsets(contrast):
                arrays[f"{name}/at"][:] = offsets
                stacks = batch.next_frames if name == "next" else batch.frames
                stacks = np.tile(stacks, (len(offsets) // len(stacks), 1))
                for index, camera in enumerate(self.of.spec.cameras):
                    out = arrays[f"{name}/{camera}"]
                    self.of.replay.store.pictures(stacks, offsets, out, (index, index + 1))
            return
        for name, count in self.of.counts(contrast):
            slots = batch.next_frames[:, -1] if name == "next" else batch.index
            slots = np.tile(slots, count // len(slots))
            for camera, store in self.of.cache.store.items():
                view = self.of.rng.integers(0, self.of.cache.count, size=count)
                arrays[f"{name}/{camera}"][:] = store[slots, view]

    def assemble(self, tensors: dict[str, Tensor], contrast: bool) -> TensorBatch:
        """The batch of ``tensors``, the layout's on the device."""
        parts = tensors["numbers"].split([*self._widths.values()], 1)
        numbers = dict(zip(self._widths, parts, strict=True))
        seen: dict[str, Pictures] = {}
        for name, _ in self.of.counts(contrast):
            raw = {camera: tensors[f"{name}/{camera}"] for camera in self.of.spec.cameras}
            if self.of.cache is None:
                seen[name] = self.of.windows(raw, tensors[f"{name}/at"])
            else:
                seen[name] = {camera: value.float() for camera, value in raw.items()}
        return self.of.together(seen, **numbers)
