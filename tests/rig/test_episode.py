"""The episode table: every pair of phases, and what each end is worth."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handful.rig.episode import NEXT, EpisodeError, EpisodeTable, Phase

I, R, G = Phase.IDLE, Phase.RESETTING, Phase.RUNNING  # noqa: E741
S, T, F, X = Phase.SUCCEEDED, Phase.TIMED_OUT, Phase.FAULTED, Phase.FAILED
LEGAL = {
    (I, R), (I, F),
    (R, G), (R, I), (R, F),
    (G, S), (G, T), (G, X), (G, F), (G, R), (G, I),
    (S, R), (S, I), (S, F),
    (T, R), (T, I), (T, F),
    (X, R), (X, I), (X, F),
    (F, I),
}  # fmt: skip


def running(horizon: int = 5, hold_steps: int = 2) -> EpisodeTable:
    table = EpisodeTable(horizon, hold_steps)
    table.reset()
    table.start()
    return table


@pytest.mark.parametrize(("before", "after"), list(itertools.product(Phase, Phase)))
def test_every_pair_of_phases(before, after) -> None:
    assert (after in NEXT[before]) == ((before, after) in LEGAL)


def test_an_illegal_transition_names_both_ends_and_the_way_out() -> None:
    table = EpisodeTable(5, 1)
    with pytest.raises(EpisodeError, match="idle cannot become running; .*: faulted, resetting"):
        table.start()
    assert table.phase is Phase.IDLE


def test_a_fault_is_left_only_by_idle() -> None:
    table = running()
    table.fault("camera lost")
    table.fault("later and less telling")
    assert table.fault_reason == "camera lost"
    with pytest.raises(EpisodeError):
        table.reset()
    table.idle()
    assert table.fault_reason == ""
    table.reset()
    table.start()


def test_success_must_be_held() -> None:
    table = running(horizon=9, hold_steps=3)
    phases = [table.advance(success) for success in (True, True, False, True, True, True)]
    assert phases == [Phase.RUNNING] * 5 + [Phase.SUCCEEDED]
    assert (table.reward, table.discount, table.last) == (1.0, 0.0, True)


def test_out_of_time_is_not_over() -> None:
    table = running(horizon=2, hold_steps=2)
    table.advance(False)
    assert (table.reward, table.discount, table.last) == (0.0, 1.0, False)
    assert table.advance(True) is Phase.TIMED_OUT
    assert (table.reward, table.discount, table.last) == (0.0, 1.0, True)


def test_success_on_the_very_last_step_is_success() -> None:
    table = running(horizon=2, hold_steps=2)
    table.advance(True)
    assert table.advance(True) is Phase.SUCCEEDED


def test_a_fault_is_worth_nothing_and_has_no_reward() -> None:
    table = running()
    table.fault("dropped")
    assert (table.reward, table.discount, table.last) == (0.0, 0.0, True)


def test_nothing_is_carried_into_the_next_episode() -> None:
    table = running(horizon=9, hold_steps=2)
    table.advance(True)
    table.reset()
    table.start()
    assert table.advance(True) is Phase.RUNNING
    assert table.step == 1


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.RUNNING])
def test_only_a_running_episode_advances(phase) -> None:
    table = EpisodeTable(5, 1)
    table.phase = phase
    with pytest.raises(EpisodeError, match=f"this one is {phase.value}"):
        table.advance(True)


@pytest.mark.parametrize(("horizon", "hold_steps"), [(5, 0), (5, 6), (0, 0), (5, -1)])
def test_a_rule_that_cannot_be_met_is_refused(horizon, hold_steps) -> None:
    with pytest.raises(ValueError, match="hold_steps must be between 1 and the horizon"):
        EpisodeTable(horizon, hold_steps)


@given(st.lists(st.booleans(), max_size=30), st.integers(1, 20), st.integers(1, 5))
def test_it_agrees_with_counting_by_hand(successes, horizon, hold_steps) -> None:
    hold_steps = min(hold_steps, horizon)
    table = running(horizon, hold_steps)
    for step, success in enumerate(successes, start=1):
        table.advance(success)
        held = step >= hold_steps and all(successes[step - hold_steps : step])
        expected = S if held else T if step == horizon else G
        assert table.phase is expected
        if table.last:
            break


@pytest.mark.parametrize(
    ("phase", "reward", "discount"), [(S, 1.0, 0.0), (X, 0.0, 0.0), (T, 0.0, 1.0)]
)
def test_somebody_may_say_how_it_ends(phase, reward, discount) -> None:
    table = running(horizon=9, hold_steps=9)
    table.advance(False)
    assert table.end(phase) is phase
    assert (table.step, table.reward, table.discount, table.last) == (2, reward, discount, True)
    with pytest.raises(EpisodeError, match="needs a running episode"):
        table.end(phase)
