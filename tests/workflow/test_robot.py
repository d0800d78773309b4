"""Actor and learner in two processes: the log between them, faults, and who waits for whom."""

import json
import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from handful.contract import Observation, Transition
from handful.learn.learner import Learner
from handful.rig.cell import EpisodeFault
from handful.rig.episode import EpisodeTable
from handful.rig.episodes import EpisodeLog, read
from handful.workflow.beside import Pulse, Standing, learn_beside
from handful.workflow.console import Console
from handful.workflow.errors import RunError
from handful.workflow.outcomes import Outcome
from handful.workflow.robot import (
    Actor,
    Beside,
    Tally,
    collect_on,
    evaluate_on,
    learn_on,
    steps_in,
)
from handful.workflow.run_folder import RunFolder
from handful.workflow.seeds import Purpose, episode_seed
from handful.workflow.sources import Given, Sources, remembered, take
from tests.learn_kit import ColourWorld, settings, spec
from tests.workflow_kit import HORIZON, LineDemonstrator, LineEnv, recipe

QUIET = Console(quiet=True)


class CellOfLines(LineEnv):
    """The point on a line behind the faults of a real cell: ``faults`` are raised when due."""

    def __init__(self) -> None:
        super().__init__()
        self.table = EpisodeTable(HORIZON, 1)
        self.missed_beats = 0
        self.fault_at: dict[tuple[int, int], str] = {}
        self.said: list[str] = []

    def step(self, action) -> Transition:
        fault = self.fault_at.pop((len(self.seeds), self.step_count), "")
        if fault:
            self.running = False
            raise EpisodeFault(fault)
        return super().step(action)

    def fault(self, reason: str) -> None:
        self.said.append(reason)


def right(observation: Observation) -> np.ndarray:
    return np.array([1, 0, 0, 0], np.float32)


def actor_on(env: CellOfLines, mode: str) -> Actor:
    return Actor(env, Tally(mode))  # type: ignore[arg-type]


def test_a_faulted_world_is_evaluated_again_and_told() -> None:
    env = CellOfLines()
    env.fault_at[(2, 1)] = "camera 'third' fell silent"
    actor = actor_on(env, "evaluate")
    result = evaluate_on(actor, right, 3, 0)
    first = episode_seed(Purpose.TEST, 0, 0)
    assert env.seeds == [first, first + 1, first + 1, first + 2]
    assert (result["episodes"], result["success_rate"]) == (3, 1.0)
    assert result["faults"] == ["camera 'third' fell silent"]
    json.dumps(result)


def alive(run: RunFolder, **values) -> Pulse:
    standing = Standing("learning", **values)
    run.standing.write_text(json.dumps(standing.__dict__))
    return Pulse(run.standing)


def test_learning_goes_on_over_faults_and_nothing_recorded_is_lost(tmp_path: Path) -> None:
    run, env = RunFolder(tmp_path), CellOfLines()
    env.fault_at[(1, 2)] = "guard/verdict: no answer"
    counts: list[int] = []

    def explore(observation: Observation, taken: int) -> np.ndarray:
        counts.append(taken)
        return right(observation)

    pulse = alive(run, env_steps=10_000)
    actor = actor_on(env, "learn")
    taken = learn_on(actor, explore, run.episodes, pulse, Beside(), 0, 12)
    assert taken == steps_in(run.episodes) >= 12
    episodes = list(read(run.episodes))
    assert episodes[0].fault == "guard/verdict: no answer"
    assert len(episodes[0].transitions) == 2
    assert all(e.complete for e in episodes[1:])
    assert counts[:3] == [0, 1, 2]
    assert counts[3] == 2, "the action that was never seen to its end is not a step"
    seeds = [e.info["seed"] for e in episodes]
    assert seeds == [episode_seed(Purpose.TRAIN, 0, i) for i in range(len(seeds))]


def test_an_agent_that_comes_back_marks_what_its_predecessor_left(tmp_path: Path) -> None:
    run, env = RunFolder(tmp_path), CellOfLines()
    log = EpisodeLog(run.episodes, env.spec)
    log.begin(env.reset(1))
    log.add(env.step([1, 0, 0, 0]))
    del log  # killed: neither ended nor synced
    pulse = alive(run)
    learn_on(actor_on(env, "learn"), lambda o, n: right(o), run.episodes, pulse, Beside(), 0, 4)
    first, *_ = read(run.episodes)
    assert "died" in first.fault
    assert len(first.transitions) == 1


def test_no_new_episode_while_the_learner_is_far_behind(tmp_path: Path) -> None:
    run, env = RunFolder(tmp_path), CellOfLines()
    pulse = alive(run, env_steps=0)
    actor = actor_on(env, "learn")
    notes: list[str] = []

    def changed(tally: Tally) -> None:
        if tally.note and "behind" in tally.note:
            notes.append(tally.note)
            alive(run, env_steps=tally.steps)  # it has caught up

    actor.changed = changed
    learn_on(actor, lambda o, n: right(o), run.episodes, pulse, Beside(max_behind_steps=5), 0, 30)
    assert "steps behind" in notes[0]


def test_a_silent_learner_ends_the_episode_and_no_new_one_begins(tmp_path: Path) -> None:
    run, env = RunFolder(tmp_path), CellOfLines()
    pulse = alive(run, env_steps=0)
    actor = actor_on(env, "learn")
    began_s = time.monotonic()
    actor.going = lambda: time.monotonic() - began_s < 2.5

    def slow(observation: Observation, taken: int) -> np.ndarray:
        time.sleep(0.1)
        return np.array([0, 0, 0, 0], np.float32)

    learn_on(actor, slow, run.episodes, pulse, Beside(max_silence_s=0.3), 0, 100)
    assert len(env.seeds) == 1
    assert "the learner has been silent" in actor.tally.faults[0]
    assert "max_learner_silence_s" in env.said[0]
    assert actor.tally.note == "the learner is silent; waiting for it"


def test_demonstrations_are_recorded_as_they_happen_and_failures_are_kept_apart(
    tmp_path: Path,
) -> None:
    run, env = RunFolder(tmp_path), CellOfLines()
    actor = actor_on(env, "collect")
    demonstrator = LineDemonstrator(env)
    env.fault_at[(2, 1)] = "stop"
    first = episode_seed(Purpose.DEMO, 0, 0)
    have = collect_on(actor, demonstrator.act, run.demos, 0, 10)
    assert have == 10 == run.demo_files
    assert all(e.demo and e.complete and e.fault == "" for e in read(run.demos))
    failed = list(read(run.path / "attempts"))
    assert [e.fault for e in failed] == ["stop", ""], "a stop, and the world that ends in 9"
    assert [e.info["seed"] - first for e in failed] == [1, 9]


def write_colours(folder: Path, world: ColourWorld, count: int, demo: bool) -> None:
    with EpisodeLog(folder, world.spec) as log:
        for _ in range(count):
            log.begin(world.reset(), demo=demo)
            log.add(world.step(world.wanted(), demo))


class ColourParts:
    """A real learner, small enough for a test, behind what ``learn_beside`` asks for."""

    def __init__(self) -> None:
        self.recipe = recipe("train.checkpoint_every_steps=5", "train.log_every_s=0.01")
        self.settings = settings("frozen", pretrain__refresh_steps=[])

    def learner(self, shapes) -> Learner:
        return Learner(self.settings, shapes, seed=0, device="cpu")

    def load(self, path: Path):
        learner = Learner.load(path, device="cpu")
        return learner, learner.extra


def test_a_learner_beside_takes_in_every_step_once_and_resumes(tmp_path: Path) -> None:
    run, parts = RunFolder(tmp_path), ColourParts()
    world = ColourWorld(spec(parts.settings), 0)
    write_colours(run.demos, world, 8, demo=True)
    standings: list[Standing] = []
    enough, wanted = threading.Event(), 6

    def report(standing: Standing) -> None:
        standings.append(standing)
        if standing.stage == "waiting" and standing.env_steps >= wanted:
            enough.set()

    write_colours(run.episodes, world, 4, demo=False)
    later = threading.Timer(1.0, write_colours, (run.episodes, world, 2, False))
    later.start()
    last = learn_beside(parts, run, QUIET, report, enough.is_set, 0.0)  # type: ignore[arg-type]
    ratio = parts.settings.update_to_data
    assert (last.stage, last.env_steps, last.updates, last.owed) == ("stopped", 6, 6 * ratio, 0)
    assert last.policy == last.updates
    assert run.policy.is_file() and run.checkpoint.is_file()
    assert standings[0].stage == "pretraining"
    assert Pulse(run.standing).silent_s() >= 0.0
    write_colours(run.episodes, world, 3, demo=False)
    enough.clear()
    wanted = 9
    again = learn_beside(parts, run, QUIET, report, enough.is_set)  # type: ignore[arg-type]
    assert (again.env_steps, again.updates) == (9, 9 * ratio)


def learn_until_it_waits(parts: ColourParts, run: RunFolder, sources: Sources) -> Standing:
    done = threading.Event()

    def report(standing: Standing) -> None:
        if standing.stage == "waiting":
            done.set()

    return learn_beside(parts, run, QUIET, report, done.is_set, sources=sources)  # type: ignore[arg-type]


def test_a_learner_beside_learns_from_sessions_elsewhere_and_remembers_them(tmp_path: Path) -> None:
    run, parts = RunFolder(tmp_path / "run"), ColourParts()
    world = ColourWorld(spec(parts.settings), 0)
    write_colours(tmp_path / "monday", world, 8, demo=True)
    write_colours(tmp_path / "wander", world, 3, demo=False)
    named = [Given(tmp_path / "monday"), Given(tmp_path / "wander", "play")]
    sources = take(run, world.spec, named)
    assert [o.role for o in sources.episodes].count("play") == len(sources.others) == 3
    learn_until_it_waits(parts, run, sources)
    learner, extra = parts.load(run.checkpoint)
    assert extra["demos"] == len(sources.demonstrations) == 8
    assert sources.feed(learner) == 8 and len(learner.replay.demo) == 8
    assert remembered(run) == named
    assert len(take(run, world.spec, []).episodes) == len(take(run, world.spec, named).episodes)
    write_colours(tmp_path / "tuesday", world, 2, demo=True)
    with pytest.raises(RunError, match=f"--again --sessions {tmp_path}/tuesday does it anew"):
        take(run, world.spec, [Given(tmp_path / "tuesday")])
    assert remembered(run) == named


def test_sessions_that_cannot_be_learned_from_are_refused_and_forgotten(tmp_path: Path) -> None:
    run, parts = RunFolder(tmp_path / "run"), ColourParts()
    world = ColourWorld(spec(parts.settings), 0)
    write_colours(run.demos, world, 2, demo=True)
    with pytest.raises(RunError, match="gone: no such session or run folder"):
        take(run, world.spec, [Given(tmp_path / "gone")])
    with pytest.raises(RunError, match="cameras"):
        take(run, replace(world.spec, cameras=("other",)), [Given(run.demos)])
    assert remembered(run) == []
    write_colours(tmp_path / "monday", world, 2, demo=True)
    assert len(take(run, world.spec, [Given(tmp_path / "monday")]).episodes) == 4
    (tmp_path / "monday").rename(tmp_path / "moved")
    with pytest.raises(RunError, match="monday: no such session"):
        learn_until_it_waits(parts, run, take(run, world.spec, []))
    with pytest.raises(RunError, match="or name recorded sessions"):
        learn_until_it_waits(parts, run, take(RunFolder(tmp_path / "new"), world.spec, []))


def test_the_run_and_its_actor_are_locked_apart(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    with run.lock(), run.lock("actor"):
        with pytest.raises(Exception, match="its actor already"), run.lock("actor"):
            pass
        with pytest.raises(Exception, match="working on this run"), run.lock():
            pass


def test_a_pulse_stops_when_the_file_does(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    pulse = alive(run, env_steps=3)
    assert pulse.silent_s() < 0.2
    assert pulse.standing is not None and pulse.standing.env_steps == 3
    time.sleep(0.3)
    assert pulse.silent_s() >= 0.3
    os.utime(run.standing)
    assert pulse.silent_s() < 0.2


def test_outcomes_are_counted() -> None:
    tally = Tally("evaluate", [Outcome(1, True, 3), Outcome(2, False, 9)])
    assert tally.successes == 1
