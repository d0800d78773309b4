"""What people say about an episode afterwards: in force when it is read, and never in its file."""

import logging
from dataclasses import replace

import pytest
from log_kit import SPEC, assert_same_observation, observation, transition

from handful.contract import Observation
from handful.rig import edits
from handful.rig.edits import Edit, EditError
from handful.rig.episodes import EpisodeLog, read
from handful.rig.follow import Follower

NAME = "episode_000000.log"
SAID = Edit(NAME, 6, "ada", "2026-11-25T12:00:00+00:00")


@pytest.fixture
def session(tmp_path):
    with EpisodeLog(tmp_path, SPEC) as log:
        log.begin(observation(0))
        for step in range(1, 7):
            log.add(transition(step, step == 6))
    return tmp_path


def followed(folder) -> list:
    return list(Follower(folder, SPEC).poll())


def test_a_success_taken_back_ends_as_at_a_time_limit_and_the_file_stands(session) -> None:
    before = (session / NAME).read_bytes()
    edits.write(session, replace(SAID, success=False))
    (episode,) = read(session)
    last = episode.transitions[-1]
    assert (last.reward, last.discount, last.last) == (0.0, 1.0, True)
    assert last.info["success"] is False and episode.view.edits == 1
    assert (session / NAME).read_bytes() == before
    (recorded,) = read(session, as_recorded=True)
    assert recorded.transitions[-1].reward == 1.0
    assert followed(session)[-1].reward == 0.0


def test_the_newest_word_counts_and_undo_takes_all_back(session) -> None:
    edits.write(session, replace(SAID, success=False))
    edits.write(session, replace(SAID, success=True, reward=0.5))
    (episode,) = read(session)
    assert (episode.transitions[-1].reward, episode.transitions[-1].discount) == (0.5, 0.0)
    edits.write(session, replace(SAID, success=True))
    assert next(read(session)).transitions[-1].reward == 1.0
    edits.write(session, replace(SAID, undo=True))
    assert next(read(session)).view == edits.View()
    assert len(edits.read(session)) == 4


def test_a_cut_keeps_what_it_names_read_at_once_or_followed(session) -> None:
    edits.write(session, replace(SAID, first=2, end=5))
    (episode,) = read(session)
    assert_same_observation(episode.observation, observation(2))
    stamps = [t.next_observation.stamp_s for t in episode.transitions]
    assert stamps == [observation(k).stamp_s for k in (3, 4, 5)]
    assert [t.last for t in episode.transitions] == [False, False, True]
    assert episode.complete and episode.transitions[-1].discount == 1.0
    seen = followed(session)
    assert isinstance(seen[0], Observation) and seen[0].stamp_s == observation(2).stamp_s
    assert [s.next_observation.stamp_s for s in seen[1:]] == stamps and seen[-1].last


def test_a_cut_episode_that_succeeded_there(session) -> None:
    edits.write(session, replace(SAID, end=3))
    edits.write(session, replace(SAID, success=True))
    (episode,) = read(session)
    assert [t.reward for t in episode.transitions] == [0.0, 0.0, 1.0]
    assert followed(session)[-1].discount == 0.0


def test_a_torn_line_is_left_out_and_the_next_one_counts(session, caplog) -> None:
    edits.write(session, replace(SAID, success=False))
    path = session / edits.NAME
    path.write_bytes(path.read_bytes() + b'{"file": "epi')
    edits.write(session, replace(SAID, success=True))
    with caplog.at_level(logging.WARNING):
        assert next(read(session)).transitions[-1].reward == 1.0
    assert "line 2 is torn" in caplog.text


def test_a_line_that_is_no_edit_is_refused(session) -> None:
    (session / edits.NAME).write_text('{"file": "x", "colour": "red"}\n')
    with pytest.raises(EditError, match=r"edits\.jsonl: line 1 is not an edit"):
        list(read(session))
