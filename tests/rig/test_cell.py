"""A cell of parts as an environment: who ends an episode, and what a fault leaves behind."""

from collections import deque

import numpy as np
import pytest

from handful.rig.cell import CellEnv, EpisodeFault, Said, SceneError
from handful.rig.episode import EpisodeError, EpisodeTable, Phase
from handful.rig.loop import ControlLoop, Judged
from handful.rig.places import told_places
from handful.rig.reward import Hold, RewardError, Scored
from handful.rig.reward_truth import Truth
from handful.rig.settings import RigSettings
from handful.workflow.reward_sources import rates_of
from tests.fakes import CounterCamera, FakeClock, PerfectArm

STAY = [0.0, 0.0, 0.0, 1.0]


class Scripted:
    """Scene and judge in one: does and says what the test has put in."""

    def __init__(self) -> None:
        self.seeds: list[int] = []
        self.trouble = ""
        self.goals: deque[bool] = deque()
        self.words: deque[Said] = deque()

    def prepare(self, seed: int) -> None:
        if self.trouble:
            raise SceneError(self.trouble)
        self.seeds.append(seed)

    def met(self) -> bool:
        return self.goals.popleft() if self.goals else False

    def said(self) -> Said:
        return self.words.popleft() if self.words else Said()


class Cell:
    def __init__(self, horizon: int = 6, hold_steps: int = 2, gate=None) -> None:
        clock = FakeClock()
        self.camera, self.arm = CounterCamera(clock), PerfectArm(clock)
        self.camera.open()
        settings = RigSettings.model_validate({"cameras": {"third": {}}})
        self.script, self.phases = Scripted(), []
        self.loop = ControlLoop(settings, {"third": self.camera}, self.arm, clock, gate)
        self.env = CellEnv(
            self.loop,
            EpisodeTable(horizon, hold_steps),
            self.script,
            self.script,
            lambda table: self.phases.append(table.phase),
            told=lambda seen: told_places({"cube": seen.parts_s[-1] * np.ones(3)}),
        )


def test_success_is_held_and_ends_the_episode() -> None:
    cell = Cell()
    cell.env.reset(7)
    cell.script.goals.extend([True, False, True, True])
    ends = [cell.env.step(STAY) for _ in range(4)]
    assert [t.last for t in ends] == [False, False, False, True]
    assert (ends[-1].reward, ends[-1].discount, ends[-1].info["success"]) == (1.0, 0.0, True)
    assert cell.script.seeds == [7]
    assert cell.phases[:3] == [Phase.RESETTING, Phase.RUNNING, Phase.RUNNING]
    assert cell.phases[-1] is Phase.SUCCEEDED
    with pytest.raises(EpisodeError):
        cell.env.step(STAY)


def test_where_things_are_is_told_of_the_moment_a_step_ends_with() -> None:
    cell = Cell()
    cell.env.reset(0)
    steps = [cell.env.step(STAY) for _ in range(2)]
    seen_s = [step.next_observation.parts_s[-1] for step in steps]
    assert [step.info["true_cube_z_m"] for step in steps] == pytest.approx(seen_s, abs=1e-5)
    assert steps[0].info["true_cube_x_m"] < steps[1].info["true_cube_x_m"]


def test_the_truth_is_noted_beside_a_source_and_changes_nothing() -> None:
    cell, knows = Cell(horizon=6), deque[bool | None]([False, True, True, False])
    scores = deque([0.9, 0.1, 0.9, 0.9])
    source = Scored("learned", lambda seen: (scores.popleft(), 0.0))
    table = EpisodeTable(6, Hold(2))
    truth = Truth(Hold(2), knows.popleft)
    env = CellEnv(cell.loop, table, cell.script, cell.script, source=source, truth=truth)
    env.reset(0)
    steps = [env.step(STAY) for _ in range(4)]
    assert [s.info["true_at_goal"] for s in steps] == [False, True, True, False]
    assert [s.info["true_success"] for s in steps] == [False, False, True, True]
    last = steps[-1]
    assert (last.last, last.reward, last.info["frames"]) == (True, 1.0, 4)
    assert (last.info["false_frames"], last.info["missed_frames"]) == (2, 1)
    assert rates_of(last)["true_success"] == 1.0 and rates_of(last)["missed_frame_rate"] == 0.25
    knows.extend([True, None, True])
    scores.extend([0.1, 0.9, 0.9])
    env.reset(1)
    steps = [env.step(STAY) for _ in range(3)]
    assert ["true_success" in s.info for s in steps] == [True, False, False]
    assert steps[-1].last and rates_of(steps[-1]) == {"drift": 0.0}, "nobody knew throughout"


def test_out_of_time_is_not_the_end_of_the_future() -> None:
    cell = Cell(horizon=3)
    cell.env.reset(0)
    last = [cell.env.step(STAY) for _ in range(3)][-1]
    assert (last.last, last.reward, last.discount) == (True, 0.0, 1.0)


@pytest.mark.parametrize(
    ("end", "reward", "discount"),
    [(Phase.SUCCEEDED, 1.0, 0.0), (Phase.FAILED, 0.0, 0.0), (Phase.TIMED_OUT, 0.0, 1.0)],
)
def test_a_person_may_end_it(end: Phase, reward: float, discount: float) -> None:
    cell = Cell()
    cell.env.reset(0)
    cell.script.words.append(Said(end, "keyboard"))
    last = cell.env.step(STAY)
    assert (last.last, last.reward, last.discount) == (True, reward, discount)
    assert last.info["said_by"] == "keyboard"


def test_what_was_said_before_the_episode_does_not_end_it() -> None:
    cell = Cell()
    cell.script.words.append(Said(Phase.SUCCEEDED, "keyboard"))
    cell.env.reset(0)
    assert not cell.env.step(STAY).last


def test_a_camera_that_falls_silent_is_a_fault_and_the_next_episode_can_begin() -> None:
    cell = Cell()
    cell.env.reset(0)
    cell.env.step(STAY)
    cell.camera.frozen = True
    with pytest.raises(EpisodeFault, match="'third': frame is"):
        for _ in range(5):
            cell.env.step(STAY)
    assert cell.phases[-1] is Phase.FAULTED
    assert "third" in cell.env.table.fault_reason
    with pytest.raises(EpisodeError):
        cell.env.step(STAY)
    cell.camera.frozen = False
    cell.env.reset(1)
    assert not cell.env.step(STAY).last


def test_a_scene_that_cannot_be_put_up_is_a_fault() -> None:
    cell = Cell()
    cell.script.trouble = "no cube"
    with pytest.raises(EpisodeFault, match="no cube"):
        cell.env.reset(0)
    assert cell.env.table.phase is Phase.FAULTED


class HeldGate:
    """A guard in another process that a person has stopped."""

    def __init__(self) -> None:
        self.rests = 0

    def begin(self) -> None:
        pass

    def rest(self, seen) -> None:
        self.rests += 1

    def submit(self, action, seen) -> Judged:
        return Judged(
            np.zeros(4, np.float32), np.zeros(3), "held", "stopped: e-stop", held=True, latched=True
        )


def test_a_held_guard_faults_the_episode_and_the_silence_is_announced() -> None:
    gate = HeldGate()
    cell = Cell(gate=gate)
    cell.env.reset(0)
    with pytest.raises(EpisodeFault, match="e-stop"):
        cell.env.step(STAY)
    assert gate.rests == 1
    cell.env.fault("again")
    assert cell.env.table.fault_reason == "stopped: e-stop"


class Watched:
    """A gate of somebody who only watches: what moved the arm was not what is given to it."""

    def __init__(self, by_person: bool) -> None:
        self.by_person = by_person

    def begin(self) -> None:
        pass

    def rest(self, seen) -> None:
        pass

    def submit(self, action, seen) -> Judged:
        moved = np.array([0.5, 0.0, 0.0, 1.0], np.float32)
        return Judged(moved, np.zeros(3), "ok", "", False, by_person=self.by_person)


@pytest.mark.parametrize(("given", "by_person"), [(None, False), (STAY, True)])
def test_what_nobody_asked_for_is_not_written_down_as_asked(given, by_person: bool) -> None:
    cell = Cell(gate=Watched(by_person))
    cell.env.reset(0)
    step = cell.env.step(given)
    assert step.asked is None and step.action[0] == 0.5 and step.demo is by_person
    own = Cell()
    own.env.reset(0)
    assert own.env.step(STAY).asked.tolist() == STAY


class TestASourceOfItsOwn:
    """The judge's ``met`` is then nobody's reward; what people say still is."""

    def cell(self, *scores: float) -> Cell:
        cell = Cell()
        told = deque(scores)
        source = Scored("learned", lambda seen: (told.popleft(), 0.0))
        table = EpisodeTable(6, Hold(2, 0.8, 0.4))
        cell.env = CellEnv(cell.loop, table, cell.script, cell.script, source=source)
        cell.env.reset(0)
        return cell

    def test_its_claims_are_held_with_hysteresis(self) -> None:
        cell = self.cell(0.9, 0.3, 0.5, 0.8, 0.5)
        cell.script.goals.extend([True] * 5)
        steps = [cell.env.step(STAY) for _ in range(5)]
        assert [s.last for s in steps] == [False] * 4 + [True]
        assert [s.info["at_goal"] for s in steps] == [True, False, False, True, True]
        assert [s.info["score"] for s in steps] == [0.9, 0.3, 0.5, 0.8, 0.5]
        assert steps[-1].reward == 1.0 and steps[-1].info["judge"] == "learned"

    def test_people_have_the_last_word(self) -> None:
        cell = self.cell(0.9, 0.9)
        cell.env.step(STAY)
        cell.script.words.append(Said(Phase.FAILED, "keyboard"))
        last = cell.env.step(STAY)
        assert (last.reward, last.discount, last.info["said_by"]) == (0.0, 0.0, "keyboard")

    def test_one_that_cannot_see_is_a_fault(self) -> None:
        cell = self.cell()

        def blind(seen: object) -> tuple[float, float]:
            raise RewardError("the picture has 9 px")

        cell.env.source = Scored("learned", blind)
        with pytest.raises(EpisodeFault, match="9 px"):
            cell.env.step(STAY)
        assert cell.env.table.phase is Phase.FAULTED
