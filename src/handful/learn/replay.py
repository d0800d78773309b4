"""The memory of the learner: two rings of experience, online and demonstrated, in one store.

Episode ends are the part that goes wrong elsewhere, so they are stated here once. Every
observation of an episode has a slot of its own, its last one too; a transition's successor is at
most ``n_step`` slots ahead and never past its own episode's last observation. Success and fault
carry discount 0; a time limit carries gamma^n and so bootstraps from the last observation before
the clock ran out. A transition leaves the sample as soon as the ring has overwritten any frame of
its stack.

Not for several threads at once: whoever adds also samples.
"""

import logging

import numpy as np
from numpy.typing import NDArray

from handful.contract import Observation, Spec, Transition
from handful.learn.memory import ReplayTooLarge, available_bytes
from handful.learn.store import Batch, Store, bytes_needed, bytes_per_slot

__all__ = [
    "Batch",
    "MixedReplay",
    "ReplayBuffer",
    "ReplayTooLarge",
    "Store",
    "available_bytes",
    "bytes_needed",
    "bytes_per_slot",
]

log = logging.getLogger(__name__)


class ReplayBuffer:
    """One stream of episodes in one region of a store, the oldest overwritten first."""

    def __init__(
        self,
        spec: Spec,
        capacity: int,
        n_step: int = 1,
        discount: float = 0.99,
        store: Store | None = None,
        region: int = 0,
    ) -> None:
        """Attach to ``region`` of ``store``, or to a new store of ``capacity`` slots.

        Args:
            spec: shapes of what is added.
            capacity: observations it holds; an episode of T transitions takes T + 1.
            n_step: transitions summed into one return, 1..255.
            discount: gamma per transition, in [0, 1].
        Raises:
            ValueError: a number out of its range, or a ring shorter than one stack and return.
            ReplayTooLarge: the memory is not there.
        """
        least = n_step + spec.frame_stack + 1
        if not 1 <= n_step <= 255:
            raise ValueError(f"n_step: {n_step}, expected 1..255")
        if not 0.0 <= discount <= 1.0:
            raise ValueError(f"discount: {discount}, expected 0..1 per transition")
        if capacity < least:
            raise ValueError(
                f"capacity: {capacity}, expected at least {least} observations "
                f"(n_step {n_step} + frame_stack {spec.frame_stack} + 1)"
            )
        self.store = store if store is not None else Store(spec, (capacity,))
        self.spec, self.n_step, self.discount = spec, n_step, discount
        self._first = int(self.store.edges[region])
        self._slots = capacity
        self._order: NDArray[np.int64] = np.zeros(capacity, np.int64)  # serials with a transition
        self._tail = self._head = 0  # of _order: the transitions that can be sampled
        self._count = 0  # observations ever pushed; serial s lives in slot s % capacity
        self._start = 0  # serial of the newest episode's first frame
        self._seen = 0  # serial of its first observation: later when the stack came with it
        self._open = False

    def __len__(self) -> int:
        """Transitions that can be sampled."""
        return self._head - self._tail

    @property
    def free(self) -> int:
        """Observations that still fit before the oldest are overwritten."""
        return max(self._slots - self._count, 0)

    @property
    def bytes_per_transition(self) -> float:
        """Bytes in use for each transition that can be sampled (a slot's, while there is none)."""
        used = min(self._count, self._slots)
        return bytes_per_slot(self.spec) * (used / len(self) if len(self) else 1.0)

    def begin(self, observation: Observation) -> None:
        """Start an episode; one that is still open ends here as if it had run out of time."""
        stack, state = self._check(observation)
        # At a reset the stack repeats one frame, and that frame is stored once. In the middle of an
        # episode (a demonstrator takes over) the frames before the newest are kept as well.
        first = 0
        while first + 1 < self.spec.frame_stack and _same(stack, first, first + 1):
            first += 1
        self._start = self._count
        for k in range(first, self.spec.frame_stack):
            self._push(stack[:, :, :, k], state)
        self._seen, self._open = self._count - 1, True

    def add(self, transition: Transition) -> None:
        """Append what happened next in the open episode.

        Raises:
            RuntimeError: no episode is open.
            ValueError: shapes that are not the spec's, or numbers that are not finite.
        """
        if not self._open:
            raise RuntimeError("replay: add() outside an episode; call begin(observation) first")
        action = np.asarray(transition.action)
        if action.shape != (self.spec.action_dim,) or not np.isfinite(action).all():
            raise ValueError(
                f"action: {action.tolist()}, expected {self.spec.action_dim} finite numbers"
            )
        if not (np.isfinite(transition.reward) and 0.0 <= transition.discount <= 1.0):
            raise ValueError(
                f"reward {transition.reward}, discount {transition.discount}: expected a finite "
                "reward and a discount in 0..1"
            )
        stack, state = self._check(transition.next_observation)
        left = self._count - 1
        self._push(stack[:, :, :, -1], state)
        store, slot = self.store, self._slot(left)
        store.action[slot] = action
        store.reward[slot], store.discount[slot], store.ahead[slot] = 0.0, 1.0, 0
        # The last n transitions each gain a reward, and their bootstrap moves one step on.
        for serial in range(max(self._seen, left - self.n_step + 1), left + 1):
            slot = self._slot(serial)
            store.reward[slot] += store.discount[slot] * transition.reward
            store.discount[slot] *= self.discount * transition.discount
            store.ahead[slot] += 1
        self._order[self._head % self._slots] = left
        self._head += 1
        self._open = not transition.last

    def sample_indices(self, batch: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """(batch,) int64 slots, uniform with replacement over the transitions that are whole.

        Raises ``ValueError`` while there are none.
        """
        if not len(self):
            raise ValueError("replay: no transition to sample yet; add one first")
        at = self._tail + rng.integers(0, len(self), batch)
        return self._first + self._order[at % self._slots] % self._slots

    def gather(self, indices: NDArray[np.int64]) -> Batch:
        """The transitions at ``indices``; pictures by ``store.pictures(batch.frames, ...)``."""
        return self.store.batch(indices)

    def frame_index(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """(B, K) slots of the frames of each observation, oldest first."""
        return self.store.stack(indices)

    def next_frame_index(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """(B, K) slots of the frames of each transition's (n-step) successor."""
        return self.store.stack(self.store.step(indices, self.store.ahead[indices]))

    def new_frames_since(self, cursor: int) -> tuple[NDArray[np.int64], int]:
        """Slots written since ``cursor`` (0 at first) that are still alive, and the next cursor."""
        alive = max(cursor, self._count - self._slots)
        return self._first + np.arange(alive, self._count) % self._slots, self._count

    def last_episode(self) -> NDArray[np.int64] | None:
        """Slots of the newest episode in order, ``None`` when the ring has eaten its beginning."""
        if self._count == 0 or self._start < self._count - self._slots:
            return None
        return self._first + np.arange(self._start, self._count) % self._slots

    def copy_episode(self, slots: NDArray[np.int64]) -> int:
        """Append an episode from other slots of the same store; returns its transition count."""
        store, self._start, before = self.store, self._count, self._head
        for source in slots:
            slot = self._push(store.frames[source], store.state[source])
            for column in (store.action, store.reward, store.discount, store.ahead):
                column[slot] = column[source]
            if store.ahead[source]:
                self._order[self._head % self._slots] = self._count - 1
                self._head += 1
        self._open = False
        return self._head - before

    def _slot(self, serial: int) -> int:
        return self._first + serial % self._slots

    def _push(self, newest: NDArray[np.uint8], state: NDArray[np.float32]) -> int:
        slot = self._slot(self._count)
        self.store.frames[slot] = newest
        self.store.state[slot] = state
        self.store.ahead[slot] = 0
        self.store.age[slot] = self._count - self._start
        self._count += 1
        oldest = self._count - self._slots
        while self._tail < self._head:
            serial = int(self._order[self._tail % self._slots])
            reach = min(int(self.store.age[self._slot(serial)]), self.spec.frame_stack - 1)
            if serial >= oldest and serial - reach >= oldest:
                break
            self._tail += 1
        return slot

    def _check(self, observation: Observation) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        spec = self.spec
        want = (spec.height_px, spec.width_px, 3 * spec.frame_stack)
        views = []
        for camera in spec.cameras:
            image = observation.images.get(camera)
            if image is None or image.shape != want or image.dtype != np.uint8:
                found = "missing" if image is None else f"{image.dtype} {image.shape}"
                raise ValueError(f"image of camera {camera!r}: {found}, expected uint8 {want}")
            views.append(image.reshape(*want[:2], spec.frame_stack, 3))
        state = np.asarray(observation.state, np.float32)
        if state.shape != (spec.state_dim,) or not np.isfinite(state).all():
            raise ValueError(f"state: {state.tolist()}, expected {spec.state_dim} finite numbers")
        if not views:  # learning from the state alone
            return np.zeros((0, *want[:2], spec.frame_stack, 3), np.uint8), state
        return np.stack(views), state


class MixedReplay:
    """Online and demonstrated experience, drawn in a fixed share (RLPD, arXiv:2302.02948).

    ``online`` is region 0 and ``demo`` region 1 of one ``store``, so one index space (and one
    feature cache) serves both.
    """

    def __init__(
        self,
        spec: Spec,
        capacity: int,
        demo_capacity: int,
        n_step: int = 1,
        discount: float = 0.99,
        setting: str = "replay.capacity",
    ) -> None:
        """Reserve ``capacity`` online and ``demo_capacity`` demo slots; see ``ReplayBuffer``."""
        self.store = Store(spec, (capacity, demo_capacity), setting)
        self.online = ReplayBuffer(spec, capacity, n_step, discount, self.store, 0)
        self.demo = ReplayBuffer(spec, demo_capacity, n_step, discount, self.store, 1)
        self._now: Observation | None = None
        self._ended_online = False
        self._side: ReplayBuffer | None = None

    def __len__(self) -> int:
        """Transitions that can be sampled, both sides together."""
        return len(self.online) + len(self.demo)

    @property
    def bytes_per_transition(self) -> float:
        """Bytes in use for each transition of the online side."""
        return self.online.bytes_per_transition

    def begin(self, observation: Observation) -> None:
        """Start an episode; its first transition says on which side."""
        self._now, self._side = observation, None

    def add(self, transition: Transition) -> None:
        """Append to the side ``transition.demo`` names.

        When the hands change in mid-episode, the part so far ends like a time-out and the rest
        begins on the other side with its stack intact.
        """
        if self._now is None:
            raise RuntimeError("replay: add() outside an episode; call begin(observation) first")
        side = self.demo if transition.demo else self.online
        if side is not self._side:
            side.begin(self._now)
            self._side = side
        side.add(transition)
        self._now = None if transition.last else transition.next_observation
        self._ended_online = transition.last and not transition.demo

    def keep_success(self) -> int:
        """Copy the online episode that has just ended to the demo side; returns its transitions.

        Nothing is copied (0) when none has just ended, when the ring has eaten its beginning, or
        when it would push a demonstration out.
        """
        slots = self.online.last_episode() if self._ended_online else None
        if slots is None:
            return 0
        self._ended_online = False
        if self.demo.free < len(slots):
            log.info("replay: the demo side is full; a successful episode stays online only")
            return 0
        return self.demo.copy_episode(slots)

    def sample_indices(
        self, batch: int, demo_share: float, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """(batch,) slots: round(batch * demo_share) demonstrated ones last, online ones before.

        A side that is still empty leaves its share to the other.
        """
        demos = int(batch * demo_share + 0.5) if len(self.demo) else 0
        if not len(self.online):
            demos = batch
        parts = []
        if demos < batch:
            parts.append(self.online.sample_indices(batch - demos, rng))
        if demos:
            parts.append(self.demo.sample_indices(demos, rng))
        return np.concatenate(parts)

    def gather(self, indices: NDArray[np.int64]) -> Batch:
        """The transitions at ``indices``; pictures by ``store.pictures(batch.frames, ...)``."""
        return self.store.batch(indices)

    def new_frames_since(
        self, cursor: tuple[int, int] = (0, 0)
    ) -> tuple[NDArray[np.int64], tuple[int, int]]:
        """Slots of both sides written since ``cursor`` and still alive, and the next cursor."""
        online, next_online = self.online.new_frames_since(cursor[0])
        demo, next_demo = self.demo.new_frames_since(cursor[1])
        return np.concatenate([online, demo]), (next_online, next_demo)


def _same(stack: NDArray[np.uint8], a: int, b: int) -> bool:
    return np.array_equal(stack[:, :, :, a], stack[:, :, :, b])
