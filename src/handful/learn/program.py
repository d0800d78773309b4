"""An update as one program: static inputs, recorded once for each plan, replayed from then on.

An update is some two hundred operators, most of them of a few microseconds on a GPU, and launching
them one by one from Python takes longer than running them. A CUDA graph launches all of them at
once. It records what is done with which memory, so inputs lie in tensors that stay where they are,
and nothing in an update may depend on the host: what differs between updates is either data
(pictures, indices, the weight of cloning) or a plan (``batch.Plan``: does the actor move, do the
targets, is there a contrast), and each plan has a recording of its own.

No number comes back to the host but the metrics that somebody reads.
"""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from handful.learn.agent import Agent
from handful.learn.batch import Plan, TensorBatch
from handful.learn.compute import Computing
from handful.learn.device_store import DeviceStore
from handful.learn.features import FeatureCache
from handful.learn.feed import Arrays, DeviceFeed, HostFeed, Sources
from handful.learn.shuttle import Layout, Packed, Shuttle

_WARM = 3  # updates of a plan before it is recorded: libraries choose algorithms and take memory
_METRICS = 16  # at most so many numbers an update reports
_CLONE = "clone_weight"


class Feed(Protocol):
    """Where an update's inputs come from: ``learn.feed``."""

    layout: Layout

    def fill(self, arrays: Arrays, contrast: bool) -> None:
        """Draw the next batch on the host."""

    def assemble(self, tensors: dict[str, Tensor], contrast: bool) -> TensorBatch:
        """The batch on the device."""


class Recording(Protocol):
    """Something that was recorded and does the same again."""

    def replay(self) -> None:
        """Do it again, on what the same memory holds now."""


Record = Callable[[Callable[[], None]], Recording]


class CudaRecorder:
    """Records work of a GPU as CUDA graphs that share one pool of memory.

    They may, in any order: an update leaves nothing behind in the pool, for parameters, moments,
    inputs and metrics lie outside of it. ``generator``: whose numbers the work draws; a replay
    draws further ones.
    """

    def __init__(self, generator: torch.Generator) -> None:
        self._generator = generator
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, work: Callable[[], None]) -> Recording:
        """Record ``work``, which has run before; it does not run now."""
        graph = torch.cuda.CUDAGraph()
        register = getattr(graph, "register_generator_state", None)
        if register is not None:  # the newest torch finds out by itself
            register(self._generator)
        with torch.cuda.graph(graph, pool=self._pool):
            work()
        recording: Recording = graph
        return recording


class Program:
    """Updates of one agent from one feed.

    Args:
        agent, feed: whose updates, from what.
        record: makes a recording; None runs every update as it is written.
        depth: batches the host may be ahead of the device.
    """

    def __init__(
        self, agent: Agent, feed: Feed, record: Record | None = None, depth: int = 2
    ) -> None:
        self._agent, self._feed, self._record = agent, feed, record
        layout = {**feed.layout, _CLONE: ((1,), torch.float32)}
        self.shuttle = Shuttle(layout, agent.device, depth)
        self._static = Packed(layout if record is not None else {}, agent.device)
        self._numbers = torch.zeros(_METRICS, device=agent.device)
        self._names: dict[Plan, list[str]] = {}
        self._runs: dict[Plan, int] = {}
        self.recordings: dict[Plan, Recording] = {}
        self._aside = torch.cuda.Stream() if record and agent.device.type == "cuda" else None

    def update(self, env_steps: int) -> dict[str, Tensor]:
        """One update on a fresh batch: ``Agent.update``; the metrics are valid until the next."""
        agent = self._agent
        agent.updates += 1
        plan = agent.plan(env_steps)
        contrast = plan.contrast > 0.0
        arrays = self.shuttle.load()
        self._feed.fill(arrays, contrast)
        arrays[_CLONE][:] = agent.clone_weight(env_steps)
        arrived = self.shuttle.send()
        if self._record is None:
            return self._run(plan, arrived)
        self._static.whole.copy_(self.shuttle.arrived())
        self._again(plan)
        return {name: self._numbers[i] for i, name in enumerate(self._names[plan])}

    def _again(self, plan: Plan) -> None:
        """This plan on the static inputs: as it is written at first, then by its recording."""
        assert self._record is not None
        if plan not in self.recordings:
            done = self._runs[plan] = self._runs.get(plan, 0) + 1
            if done <= _WARM:
                self._warm(plan)
                return
            for parameter in self._agent.parameters():
                parameter.grad = None  # those of the recording belong to its pool
            self.recordings[plan] = self._record(lambda: self._work(plan))
            for parameter in self._agent.parameters():
                parameter.grad = None
        self.recordings[plan].replay()

    def _warm(self, plan: Plan) -> None:
        if self._aside is None:
            self._work(plan)
            return
        # What is recorded runs on another stream than torch's own; so does what comes before it.
        own = torch.cuda.current_stream()
        self._aside.wait_stream(own)
        with torch.cuda.stream(self._aside):
            self._work(plan)
        own.wait_stream(self._aside)

    def _work(self, plan: Plan) -> None:
        metrics = self._run(plan, self._static.parts)
        self._names[plan] = [*metrics]
        self._numbers[: len(metrics)].copy_(torch.stack([*metrics.values()]))

    def _run(self, plan: Plan, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        batch = self._feed.assemble(tensors, plan.contrast > 0.0)
        return self._agent.carry_out(batch, plan, tensors[_CLONE][0])


def make_program(
    sources: Sources, computing: Computing, record: Record | None = None
) -> Program | None:
    """The program that was decided on, or None where updates run as they are written.

    ``record``: what makes the recordings, if there are to be any; CUDA graphs by default.
    """
    if not computing.program:
        return None
    agent = sources.agent
    if computing.graphs and record is None:
        record = CudaRecorder(agent.generator)
    if computing.replay_on_device:
        store = DeviceStore(sources.replay, agent.device, frames=sources.cache is None)
        return Program(agent, DeviceFeed(sources, store), record, depth=4)
    return Program(agent, HostFeed(sources), record)


def bytes_on_device(agent: Agent, slots: int) -> int:
    """What the device's copy of ``slots`` observations takes when it is full [bytes]."""
    columns = DeviceStore.bytes_needed(agent.spec, slots, frames=not agent.frozen)
    if not agent.frozen:
        return columns
    views = agent.settings.augment.cached_views
    return columns + FeatureCache.bytes_needed(agent.encoder, slots, views)


def bytes_per_update(agent: Agent) -> int:
    """What an update without such a copy transfers, numbers aside [bytes]."""
    s, spec = agent.settings, agent.spec
    seen = s.augment.loss_views + s.augment.target_views
    if agent.frozen:
        one = 2 * agent.encoder.feature_dim
    else:
        seen += int(s.contrast.weight > 0.0)
        one = s.encoder.input_px**2 * 3 * spec.frame_stack
    return s.batch_size * seen * len(spec.cameras) * one
