"""Batches straight from the files are what reading the episodes gives."""

from dataclasses import replace

import numpy as np
import pytest
from log_kit import SPEC, observation, transition

from handful.rig import edits
from handful.rig.edits import Edit
from handful.rig.episodes import EpisodeLog, LogError, read
from handful.rig.shelf import Shelf


@pytest.mark.parametrize("pictures", ["raw", "png"])
@pytest.mark.parametrize("stack", [1, 3])
def test_every_row_is_the_step_it_says(tmp_path, pictures, stack) -> None:
    spec = replace(SPEC, frame_stack=stack)
    with EpisodeLog(tmp_path, spec, pictures=pictures) as log:
        for length in (6, 3):
            log.begin(observation(0, spec))
            for step in range(1, length + 1):
                log.add(transition(step, step == length, spec))
    edits.write(tmp_path, Edit("episode_000000.log", 6, "ada", "now", first=2, end=5))
    shelf = Shelf([tmp_path])
    rows = []
    for episode in read(tmp_path):
        seen = episode.observation
        for step in episode.transitions:
            rows.append((seen, step))
            seen = step.next_observation
    assert len(shelf) == len(rows) == 6
    order = np.random.default_rng(0).permutation(6)
    batch = shelf.batch(order)
    for row, index in enumerate(order):
        seen, step = rows[index]
        assert np.array_equal(batch.images["wrist"][row], seen.images["wrist"][:, :, -3:])
        assert np.array_equal(batch.states[row], seen.state)
        assert np.array_equal(batch.actions[row], step.action)
        assert (batch.rewards[row], batch.discounts[row]) == (step.reward, step.discount)


def test_nothing_there_and_no_such_step(tmp_path) -> None:
    with pytest.raises(LogError, match="hold no whole step"):
        Shelf([tmp_path])
    with EpisodeLog(tmp_path, SPEC) as log:
        log.begin(observation(0))
        log.add(transition(1, True))
    with pytest.raises(IndexError):
        Shelf([tmp_path]).batch([1])
