"""The log read while it is written: every step once, faults noted, torn tails survived."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handful.contract import Observation, Transition
from handful.rig.episodes import EpisodeLog, LogError, mark_interrupted, read
from handful.rig.follow import Follower
from tests.log_kit import (
    SPEC,
    assert_same_observation,
    assert_same_transition,
    observation,
    transition,
)


def write(folder, *lengths: int, last: bool = True) -> None:
    with EpisodeLog(folder, SPEC) as log:
        for length in lengths:
            log.begin(observation(0), recorded={"unix_s": 1.0})  # the same bytes every time
            for step in range(1, length + 1):
                log.add(transition(step, last=last and step == length))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.data())
def test_however_the_bytes_arrive_each_step_is_seen_once(tmp_path_factory, lengths, data) -> None:
    source, seen_folder = (tmp_path_factory.mktemp(n) for n in ("source", "seen"))
    write(source, *lengths)
    follower, seen = Follower(seen_folder, SPEC), []
    for path in sorted(source.iterdir()):
        whole, at = path.read_bytes(), 0
        while at < len(whole):
            to = len(whole) - data.draw(st.integers(0, len(whole) - at - 1))  # simplest: all
            with (seen_folder / path.name).open("ab") as file:
                file.write(whole[at:to])
            at = to
            seen += follower.poll()
    expected = []
    for length in lengths:
        expected += [observation(0)]
        expected += [transition(step, last=step == length) for step in range(1, length + 1)]
    assert len(seen) == len(expected)
    for found, wanted in zip(seen, expected, strict=True):
        if isinstance(wanted, Observation):
            assert_same_observation(found, wanted)
        else:
            assert_same_transition(found, wanted)
    assert follower.episodes == len(lengths)
    assert list(follower.poll()) == []


def test_an_episode_cut_off_by_a_crash_is_passed_over_when_the_next_one_comes(tmp_path) -> None:
    write(tmp_path, 3)
    path = tmp_path / "episode_000000.log"
    os.truncate(path, path.stat().st_size - 7)
    follower = Follower(tmp_path, SPEC)
    seen = list(follower.poll())
    assert [type(s) for s in seen] == [Observation, Transition, Transition]
    assert list(follower.poll()) == []
    write(tmp_path, 2)
    assert [type(s) for s in follower.poll()] == [Observation, Transition, Transition]


def test_a_folder_that_is_not_there_yet_is_empty(tmp_path) -> None:
    follower = Follower(tmp_path / "later", SPEC)
    assert list(follower.poll()) == []
    write(tmp_path / "later", 1)
    assert len(list(follower.poll())) == 2


def test_a_log_of_another_spec_is_refused(tmp_path) -> None:
    write(tmp_path, 1)
    other = SPEC.__class__(**{**SPEC.__dict__, "action_dim": 5})
    with pytest.raises(LogError, match="action_dim is 4, expected 5"):
        list(Follower(tmp_path, other).poll())


def test_a_fault_is_noted_and_is_not_a_step(tmp_path) -> None:
    with EpisodeLog(tmp_path, SPEC) as log:
        log.begin(observation(0))
        log.add(transition(1))
        log.add(transition(2))
        log.fault("camera 'third' fell silent")
        log.begin(observation(0))
        log.add(transition(1, last=True))
    first, second = read(tmp_path, SPEC)
    assert (first.fault, second.fault) == ("camera 'third' fell silent", "")
    assert not first.complete
    assert [(t.last, t.discount) for t in first.transitions] == [(False, 1.0), (True, 1.0)]
    assert len(list(Follower(tmp_path, SPEC).poll())) == 5


def test_an_interrupted_episode_is_marked_once_and_its_torn_tail_is_cut(tmp_path) -> None:
    write(tmp_path, 2, last=False)
    path = tmp_path / "episode_000000.log"
    with path.open("ab") as file:
        file.write(b"HDFL torn")
    assert mark_interrupted(tmp_path, "the agent died") == path
    assert mark_interrupted(tmp_path, "again") is None
    (episode,) = read(tmp_path, SPEC)
    assert (episode.fault, len(episode.transitions)) == ("the agent died", 2)


def test_a_whole_episode_is_never_marked(tmp_path) -> None:
    assert mark_interrupted(tmp_path, "nothing there") is None
    write(tmp_path, 2)
    assert mark_interrupted(tmp_path, "the agent died") is None
    (episode,) = read(tmp_path, SPEC)
    assert episode.fault == ""
