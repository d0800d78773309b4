"""The replay against a list of episodes that forgets nothing: stacks, returns, crops."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from handful.contract import Observation, Spec, Transition
from handful.learn import memory
from handful.learn.gather import gather_pictures
from handful.learn.replay import (
    MixedReplay,
    ReplayBuffer,
    ReplayTooLarge,
    bytes_needed,
    bytes_per_slot,
)

GAMMA = 0.9


def _spec(stack: int = 3, cameras: tuple[str, ...] = ("third", "wrist"), px: int = 3) -> Spec:
    return Spec(cameras, px, px + 1, stack, 2, 2)


@dataclass
class World:
    """Episodes whose every frame is unmistakable, and their naive record."""

    spec: Spec
    made: int = 0
    frames: list[int] = field(default_factory=list)

    def first(self) -> Observation:
        self.made += 1
        self.frames = [self.made] * self.spec.frame_stack
        return self._observation()

    def next(self) -> Observation:
        self.made += 1
        self.frames = [*self.frames[1:], self.made]
        return self._observation()

    def _observation(self) -> Observation:
        return Observation(
            images={c: self.picture(i, self.frames) for i, c in enumerate(self.spec.cameras)},
            state=np.asarray([self.made, -self.made], np.float32),
            stamp_s=0.0,
        )

    def picture(self, camera: int, names: list[int]) -> np.ndarray:
        """(H, W, 3K) with the frame's serial spread over its bytes."""
        shape = (self.spec.height_px, self.spec.width_px, 1)
        parts = [
            np.broadcast_to(np.asarray([n % 256, n // 256, camera], np.uint8), (*shape[:2], 3))
            for n in names
        ]
        return np.concatenate(parts, axis=2)


@dataclass
class Step:
    """One remembered transition: what any replay must give back for it."""

    observation: Observation
    action: np.ndarray
    reward: float
    discount: float
    next: Observation


def _transition(world: World, reward: float, discount: float, last: bool, demo: bool) -> Transition:
    action = np.asarray([world.made % 7, reward], np.float32)
    return Transition(action, reward, discount, world.next(), last, demo)


def _pictures(replay: ReplayBuffer | MixedReplay, frames: np.ndarray, spec: Spec) -> np.ndarray:
    channels = 3 * spec.frame_stack * len(spec.cameras)
    out = np.empty((len(frames), spec.height_px, spec.width_px, channels), np.uint8)
    replay.store.pictures(frames, np.zeros((len(frames), 2), np.int64), out)
    return out


def _expected(episode: list[Step], at: int, n: int) -> tuple[float, float, Observation]:
    """Return, discount and successor by the definition."""
    total, factor = 0.0, 1.0
    steps = episode[at : at + n]
    for step in steps:
        total += factor * step.reward
        factor *= GAMMA * step.discount
    return total, factor, steps[-1].next


def _agrees(replay, spec: Spec, slot: int, episode: list[Step], at: int, n: int) -> None:
    step = episode[at]
    batch = replay.gather(np.asarray([slot]))
    total, factor, successor = _expected(episode, at, n)
    assert batch.reward[0] == pytest.approx(total, abs=1e-5)
    assert batch.discount[0] == pytest.approx(factor, abs=1e-6)
    np.testing.assert_array_equal(batch.action[0], step.action)
    np.testing.assert_array_equal(batch.state[0], step.observation.state)
    np.testing.assert_array_equal(batch.next_state[0], successor.state)
    for frames, want in ((batch.frames, step.observation), (batch.next_frames, successor)):
        whole = np.concatenate([want.images[c] for c in spec.cameras], axis=2)
        np.testing.assert_array_equal(_pictures(replay, frames, spec)[0], whole)


# length, ending ("success" | "timeout" | "broken off"), demo
EPISODE = st.tuples(
    st.integers(1, 9), st.sampled_from(["success", "timeout", "broken"]), st.booleans()
)


def _play(replay, world: World, plan, sides: bool) -> dict[bool, list[list[Step]]]:
    told: dict[bool, list[list[Step]]] = {False: [], True: []}
    for length, ending, demo in plan:
        demo = demo and sides
        now = world.first()
        replay.begin(now)
        episode: list[Step] = []
        told[demo].append(episode)
        for t in range(length):
            end = t == length - 1
            success = end and ending == "success"
            step = _transition(
                world,
                reward=float(t + 1 if not success else 50),
                discount=0.0 if success else 1.0,
                last=end and ending != "broken",
                demo=demo,
            )
            replay.add(step)
            episode.append(
                Step(now, step.action, step.reward, step.discount, step.next_observation)
            )
            now = step.next_observation
    return told


@settings(max_examples=60, deadline=None)
@given(
    plan=st.lists(EPISODE, min_size=1, max_size=8),
    capacity=st.integers(9, 40),
    n=st.integers(1, 4),
    stack=st.integers(1, 4),
    seed=st.integers(0, 99),
)
def test_ring_agrees_with_a_list_of_episodes(plan, capacity, n, stack, seed):
    spec, rng = _spec(stack), np.random.default_rng(seed)
    replay, world = ReplayBuffer(spec, capacity, n, GAMMA), World(spec)
    episodes = _play(replay, world, plan, sides=False)[False]

    # Which transitions must survive: those whose whole stack is among the newest `capacity` frames.
    written = sum(len(e) + 1 for e in episodes)
    alive: dict[float, tuple[list[Step], int]] = {}
    serial = 0
    for episode in episodes:
        for t, step in enumerate(episode):
            if serial + t - min(t, stack - 1) >= written - capacity:
                alive[float(step.observation.state[0])] = (episode, t)
        serial += len(episode) + 1
    assert len(replay) == len(alive)
    if not alive:
        with pytest.raises(ValueError, match="no transition to sample yet"):
            replay.sample_indices(1, rng)
        return
    drawn = np.unique(replay.sample_indices(40 * len(alive), rng))
    seen = {float(replay.store.state[slot, 0]): int(slot) for slot in drawn}
    assert set(seen) <= set(alive)
    assert len(seen) >= 0.9 * len(alive)
    for name, slot in seen.items():
        _agrees(replay, spec, slot, *alive[name], n)


@settings(max_examples=30, deadline=None)
@given(
    plan=st.lists(EPISODE, min_size=2, max_size=6),
    n=st.integers(1, 3),
    share=st.sampled_from([0.0, 0.25, 0.5, 1.0]),
)
def test_two_sides_share_one_index_space(plan, n, share):
    spec, rng = _spec(2), np.random.default_rng(0)
    replay, world = MixedReplay(spec, 80, 70, n, GAMMA), World(spec)
    told = _play(replay, world, plan, sides=True)
    where = {
        float(s.observation.state[0]): (side, e, t)
        for side, episodes in told.items()
        for e in episodes
        for t, s in enumerate(e)
    }
    count = {side: sum(len(e) for e in told[side]) for side in told}
    assert (len(replay.online), len(replay.demo)) == (count[False], count[True])
    indices = replay.sample_indices(32, share, rng)
    batch = replay.gather(indices)
    demos = round(32 * share) if count[True] else 0
    assert batch.demo.sum() == (32 if not count[False] else demos)
    for slot, demo in zip(indices, batch.demo, strict=True):
        side, episode, at = where[float(replay.store.state[slot, 0])]
        assert side == demo
        _agrees(replay, spec, int(slot), episode, at, n)


def test_successful_episode_is_copied_once_and_never_over_a_demonstration():
    spec = _spec(3)
    replay, world = MixedReplay(spec, 60, 20, 3, GAMMA), World(spec)
    _play(replay, world, [(4, "success", True)], sides=True)
    online = _play(replay, world, [(5, "success", False)], sides=True)[False][0]
    assert replay.keep_success() == 5
    assert replay.keep_success() == 0
    assert (len(replay.online), len(replay.demo)) == (5, 9)
    for slot in np.unique(replay.demo.sample_indices(500, np.random.default_rng(0))):
        name = float(replay.store.state[slot, 0])
        for t, step in enumerate(online):
            if float(step.observation.state[0]) == name:
                _agrees(replay, spec, int(slot), online, t, 3)
    _play(replay, world, [(9, "success", False)], sides=True)
    assert replay.demo.free == 20 - 5 - 6
    assert replay.keep_success() == 0
    assert len(replay.demo) == 9


def test_hands_change_in_mid_episode_and_no_stack_is_torn():
    spec = _spec(3)
    replay, world = MixedReplay(spec, 30, 30, 2, GAMMA), World(spec)
    now = world.first()
    replay.begin(now)
    steps: list[Step] = []
    for t, demo in enumerate([False, False, False, True, True, False]):
        made = _transition(world, float(t), 1.0, t == 5, demo)
        replay.add(made)
        steps.append(Step(now, made.action, made.reward, 1.0, made.next_observation))
        now = made.next_observation
    assert replay.keep_success() == 1  # the last part alone, without the frames of its stack
    parts = [steps[:3], steps[3:5], steps[5:]]
    assert (len(replay.online), len(replay.demo)) == (4, 3)
    for slot in np.unique(replay.sample_indices(400, 0.5, np.random.default_rng(0))):
        name = float(replay.store.state[slot, 0])
        part = next(p for p in parts if name in [float(s.observation.state[0]) for s in p])
        at = [float(s.observation.state[0]) for s in part].index(name)
        _agrees(replay, spec, int(slot), part, at, 2)


def test_episode_may_begin_with_any_stack():
    spec = _spec(4)
    replay, world = ReplayBuffer(spec, 20, 1, GAMMA), World(spec)
    for names in ([1, 1, 1, 1], [1, 1, 1, 2], [1, 1, 2, 2], [1, 2, 2, 3], [1, 2, 3, 4]):
        world.frames = names
        world.made += 10
        seen = world._observation()
        replay.begin(seen)
        replay.add(_transition(world, 0.0, 1.0, True, False))
        slot = replay.last_episode()[-2:-1]
        whole = np.concatenate([seen.images[c] for c in spec.cameras], axis=2)
        np.testing.assert_array_equal(_pictures(replay, replay.frame_index(slot), spec)[0], whole)


def test_frames_come_out_once_for_a_feature_cache():
    spec = _spec(1)
    replay, world = MixedReplay(spec, 8, 8, 1, GAMMA), World(spec)
    _play(replay, world, [(3, "timeout", False), (2, "timeout", True)], sides=True)
    slots, cursor = replay.new_frames_since()
    assert sorted(slots) == [0, 1, 2, 3, 8, 9, 10]
    assert len(replay.new_frames_since(cursor)[0]) == 0
    _play(replay, world, [(9, "timeout", False)], sides=True)
    slots, cursor = replay.new_frames_since(cursor)
    assert sorted(slots) == list(range(8))  # ten written, eight slots
    np.testing.assert_array_equal(replay.store.later(np.asarray([9]), 5), [10])


def test_sampling_is_uniform():
    replay, world = ReplayBuffer(_spec(2), 12, 1, GAMMA), World(_spec(2))
    _play(replay, world, [(1, "timeout", False)] * 3 + [(7, "success", False)], sides=False)
    drawn = replay.sample_indices(20_000, np.random.default_rng(3))
    counts = np.unique(drawn, return_counts=True)[1]
    expected = 20_000 / len(replay)
    assert len(counts) == len(replay)
    assert ((counts - expected) ** 2 / expected).sum() < 40


@settings(max_examples=60, deadline=None)
@given(
    stack=st.integers(1, 4),
    cameras=st.integers(1, 3),
    size=st.integers(1, 24),
    source=st.integers(1, 26),
    reach=st.integers(0, 9),
    seed=st.integers(0, 999),
)
@example(stack=3, cameras=1, size=24, source=24, reach=4, seed=0)
@example(stack=3, cameras=1, size=20, source=26, reach=0, seed=0)
@example(stack=3, cameras=1, size=24, source=12, reach=9, seed=0)
def test_gather_equals_plain_indexing(stack, cameras, size, source, reach, seed):
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 256, (11, cameras, source, source + 2, 3), dtype=np.uint8)
    slots = rng.integers(0, 11, (5, stack))
    offsets = rng.integers(-reach, reach + 1, (5, 2))
    first = int(rng.integers(0, cameras))
    shape = (5, size, size, 3 * stack * (cameras - first))
    guarded = np.full(np.prod(shape) + 32, 7, np.uint8)
    out = guarded[16:-16].reshape(shape)
    gather_pictures(frames, slots, offsets, out, (first, cameras))
    assert (guarded[:16] == 7).all() and (guarded[-16:] == 7).all()
    rows = np.clip(np.arange(size) + offsets[:, :1], 0, source - 1)
    columns = np.clip(np.arange(size) + offsets[:, 1:], 0, source + 1)
    for b in range(5):
        views = [
            frames[slots[b, k], camera][rows[b]][:, columns[b]]
            for camera in range(first, cameras)
            for k in range(stack)
        ]
        np.testing.assert_array_equal(out[b], np.concatenate(views, axis=2))


def test_gather_refuses_what_does_not_belong_together():
    frames = np.zeros((4, 1, 6, 6, 3), np.uint8)
    slots, offsets = np.zeros((2, 3), np.int64), np.zeros((2, 2), np.int64)
    with pytest.raises(ValueError, match=r"expected \(2, h, w, 9\)"):
        gather_pictures(frames, slots, offsets, np.zeros((2, 6, 6, 3), np.uint8))
    with pytest.raises(ValueError, match=r"4\.\.4, expected indices in 0\.\.3"):
        gather_pictures(frames, slots + 4, offsets, np.zeros((2, 6, 6, 9), np.uint8))


def test_memory_is_told_and_refused_before_it_is_taken(monkeypatch):
    spec = Spec(("third",), 100, 100, 3, 0, 1)
    assert bytes_needed(spec, 100_000) == pytest.approx(3.0e9, rel=0.01)
    assert bytes_per_slot(spec) == 100 * 100 * 3 + 4 * 3 + 13
    monkeypatch.setattr(memory, "available_bytes", lambda: 2_000_000_000)
    with pytest.raises(ReplayTooLarge, match=r"need 3\.00 GB, 2\.00 GB available") as caught:
        MixedReplay(spec, 90_000, 10_000)
    advised = int(str(caught.value).split("lower replay.capacity to ")[1].split()[0])
    MixedReplay(spec, advised, 10_000)
    with pytest.raises(ReplayTooLarge):
        MixedReplay(spec, advised + 10, 10_000)


def test_bytes_per_transition_of_long_episodes_is_a_sixth_of_two_stored_stacks():
    spec = Spec(("third",), 20, 20, 3, 0, 1)
    replay, world = ReplayBuffer(spec, 130, 1, GAMMA), World(spec)
    world.spec = spec
    now = world.first()
    plain = Observation({"third": now.images["third"]}, np.zeros(0, np.float32), 0.0)
    replay.begin(plain)
    for t in range(125):
        image = world.next().images["third"]
        seen = Observation({"third": image}, np.zeros(0, np.float32), 0.0)
        replay.add(Transition(np.zeros(1, np.float32), 0.0, 1.0, seen, t == 124))
    assert replay.bytes_per_transition < 2 * 20 * 20 * 9 / 5.7


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"action": np.zeros(3, np.float32)}, "action: .* expected 2 finite"),
        ({"action": np.asarray([0, np.nan], np.float32)}, "action: .* expected 2 finite"),
        ({"reward": float("inf")}, "reward inf"),
        ({"discount": 1.5}, "discount 1.5"),
    ],
)
def test_bad_numbers_are_refused_and_leave_no_trace(change, words):
    spec = _spec(1)
    replay, world = ReplayBuffer(spec, 8, 1, GAMMA), World(spec)
    with pytest.raises(RuntimeError, match="call begin"):
        replay.add(_transition(world, 0.0, 1.0, False, False) if world.first() else None)
    replay.begin(world.first())
    good = _transition(world, 0.0, 1.0, False, False)
    with pytest.raises(ValueError, match=words):
        replay.add(Transition(**{**good.__dict__, **change}))
    assert len(replay) == 0
    replay.add(good)
    assert len(replay) == 1


def test_wrong_picture_is_named():
    spec = _spec(1)
    replay, world = ReplayBuffer(spec, 8, 1, GAMMA), World(spec)
    seen = world.first()
    with pytest.raises(ValueError, match="'wrist': missing"):
        replay.begin(Observation({"third": seen.images["third"]}, seen.state, 0.0))
    wide = {**seen.images, "wrist": seen.images["wrist"][:, :2]}
    with pytest.raises(ValueError, match=r"'wrist': uint8 \(3, 2, 3\), expected uint8 \(3, 4, 3\)"):
        replay.begin(Observation(wide, seen.state, 0.0))
    with pytest.raises(ValueError, match="capacity: 4, expected at least 5"):
        ReplayBuffer(spec, 4, 3, GAMMA)
