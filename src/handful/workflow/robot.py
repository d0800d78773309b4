"""The actor's side of a run on a cell of parts: evaluate, learn beside a learner, or collect.

Everything goes through ``rig.cell.CellEnv``; a fault ends an episode and never the run, because
whether the cell may move again is for a person to say. What was seen up to a fault is in the log.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handful.contract import Observation
from handful.rig.cell import CellEnv, EpisodeFault
from handful.rig.episodes import EpisodeLog, LogError, adopt, mark_interrupted
from handful.rig.picture_codec import Pictures
from handful.rig.playback import episode_files, step_count
from handful.workflow.beside import Pulse
from handful.workflow.collect import succeeded
from handful.workflow.outcomes import Outcome
from handful.workflow.results import commit, machine, versions, wilson
from handful.workflow.seeds import Purpose, episode_seed

_FAULT_S, _DISK_S = 1.0, 2.0
"""Pauses after a fault [s]: a lost picture is back soon, a full disk does not empty itself."""

Act = Callable[[Observation], NDArray[np.float32]]


@dataclass
class Tally:
    """What has come of it so far; the wire publishes it."""

    mode: str
    outcomes: list[Outcome] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    steps: int = 0
    note: str = ""

    @property
    def successes(self) -> int:
        """Episodes that succeeded."""
        return sum(outcome.success for outcome in self.outcomes)


@dataclass
class Actor:
    """One way of going through episodes.

    env: the cell. tally: kept up to date. going: False ends everything between two steps.
    changed: called after every step and whenever the note changes. pictures, within_s: how what
    it records is stored, and how long a step may wait for that (``rig.episodes.EpisodeLog``).
    """

    env: CellEnv
    tally: Tally
    going: Callable[[], bool] = lambda: True
    changed: Callable[[Tally], None] = lambda tally: None
    pictures: Pictures = "raw"
    within_s: float | None = None

    def log(self, folder: Path, meta: dict[str, Any]) -> EpisodeLog:
        """A session of what it does."""
        return EpisodeLog(folder, self.env.spec, meta, self.pictures, self.within_s)

    def note(self, text: str) -> None:
        """Say what is being waited for; an empty text: nothing."""
        if text != self.tally.note:
            self.tally.note = text
            self.changed(self.tally)

    def episode(
        self,
        seed: int,
        act: Act,
        log: EpisodeLog | None = None,
        demo: bool = False,
        watch: Callable[[], None] = lambda: None,
    ) -> Outcome | None:
        """One episode into the log; None when it was faulted or ``going`` ended it.

        watch: called before every action; it may raise ``EpisodeFault``.
        """
        try:
            observation = self.env.reset(seed)
            if log is not None:
                log.begin(observation, demo=demo, info={"seed": seed})
            length, verdicts = 0, dict[str, int]()
            while self.going():
                watch()
                transition = self.env.step(act(observation))
                if log is not None:
                    log.add(replace(transition, demo=demo or transition.demo))
                observation, length = transition.next_observation, length + 1
                self.tally.steps += 1
                verdict = str(transition.info["verdict"])
                if verdict != "ok":
                    verdicts[verdict] = verdicts.get(verdict, 0) + 1
                self.changed(self.tally)
                if transition.last:
                    if log is not None:
                        log.end()
                    outcome = Outcome(seed, succeeded(transition), length, verdicts)
                    self.tally.outcomes.append(outcome)
                    return outcome
            self.env.fault("the agent was asked to stop")
            if log is not None:
                log.fault("the agent was asked to stop")
        except (EpisodeFault, LogError) as error:
            self.env.fault(str(error))
            if log is not None:
                log.fault(str(error))
            self.tally.faults.append(str(error))
            self.changed(self.tally)
            self.wait(str(error), _DISK_S if isinstance(error, LogError) else _FAULT_S)
        return None

    def wait(self, note: str, seconds: float) -> None:
        """Wait, and say what for; ``going`` ends it."""
        self.note(note)
        end_s = time.monotonic() + seconds
        while self.going() and time.monotonic() < end_s:
            time.sleep(0.05)
        self.note("")


def evaluate_on(
    actor: Actor, act: Act, episodes: int, seed: int, log: EpisodeLog | None = None
) -> dict[str, Any]:
    """``episodes`` worlds of the TEST range; a faulted one is tried again, and counted as such.

    Returns:
        success_rate with its Wilson interval, lengths, faults, missed beats; JSON-ready.
    """
    began_s, index = time.monotonic(), 0
    while index < episodes and actor.going():
        if actor.episode(episode_seed(Purpose.TEST, seed, index), act, log) is not None:
            index += 1
    outcomes = actor.tally.outcomes
    wins = sum(o.success for o in outcomes)
    low, high = wilson(wins, len(outcomes)) if outcomes else (0.0, 1.0)
    lengths = [o.length for o in outcomes]
    return {
        "episodes": len(outcomes),
        "successes": wins,
        "success_rate": wins / len(outcomes) if outcomes else 0.0,
        "success_low": low,
        "success_high": high,
        "evaluation_seed": seed,
        "outcomes": [o.success for o in outcomes],
        "seeds": [o.seed for o in outcomes],
        "lengths": lengths,
        "length_median": statistics.median(lengths) if lengths else None,
        "faults": actor.tally.faults,
        "missed_beats": actor.env.missed_beats,
        "steps": actor.tally.steps,
        "wall_s": round(time.monotonic() - began_s, 3),
        "commit": commit(),
        "versions": versions(),
        "machine": machine(),
    }


@dataclass(frozen=True)
class Beside:
    """How an actor lives with a learner in another process.

    max_silence_s: acting goes on with the last weights for so long after the learner was heard of
    last, then the cell holds. max_behind_steps: no new episode begins while the learner has more
    steps than this to take in, so that updates per step hold on any machine.
    """

    max_silence_s: float = 60.0
    max_behind_steps: int = 100


def learn_on(
    actor: Actor,
    explore: Callable[[Observation, int], NDArray[np.float32]],
    folder: Path,
    pulse: Pulse,
    beside: Beside,
    seed: int,
    steps: int,
    about: dict[str, Any] | None = None,
) -> int:
    """Episodes of the TRAIN range into the log in ``folder``, until it holds ``steps`` steps.

    Args:
        explore: (observation, env steps so far) -> action (A,).
        about: what the log of every episode says besides.
    Returns:
        Steps in the log.
    """
    mark_interrupted(folder, "the agent that recorded this episode died")
    before = steps_in(folder) - actor.tally.steps
    log = actor.log(folder, {**(about or {}), "seed": seed})

    def taken() -> int:
        return before + actor.tally.steps

    def act(observation: Observation) -> NDArray[np.float32]:
        return explore(observation, taken())

    def watch() -> None:
        silent_s = pulse.silent_s()
        if silent_s > beside.max_silence_s:
            raise EpisodeFault(
                f"the learner has been silent for {silent_s:.0f} s, allowed are "
                f"{beside.max_silence_s:g} s (max_learner_silence_s)"
            )

    with log:
        while taken() < steps and actor.going():
            if _learner_is_near(actor, pulse, beside, taken()):
                world = episode_seed(Purpose.TRAIN, seed, len(episode_files(folder)))
                actor.episode(world, act, log, watch=watch)
    return taken()


def _learner_is_near(actor: Actor, pulse: Pulse, beside: Beside, taken: int) -> bool:
    silent_s = pulse.silent_s()
    standing = pulse.standing
    if silent_s > beside.max_silence_s:
        actor.note("the learner is silent; waiting for it")
    elif standing is not None and taken - standing.env_steps > beside.max_behind_steps:
        actor.note(f"the learner is {taken - standing.env_steps} steps behind; waiting for it")
    else:
        actor.note("")
        return True
    time.sleep(0.1)
    return False


def collect_on(
    actor: Actor,
    follow: Act,
    folder: Path,
    seed: int,
    demos: int,
    about: dict[str, Any] | None = None,
) -> int:
    """Demonstrations that somebody else drives into the log in ``folder``, until it has ``demos``.

    Every attempt is recorded in the neighbour ``attempts`` as it happens; the file of one that
    succeeded then moves to ``folder``. The others stay where they are: nothing recorded is lost.

    Args:
        follow: given an observation, what the cell's gate takes for "whatever they do".
        about: what the log of every episode says besides.
    Returns:
        Demonstrations in the log.
    """
    attempts = folder.with_name("attempts")
    mark_interrupted(attempts, "the agent that recorded this episode died")
    with actor.log(attempts, {**(about or {}), "seed": seed}) as log:
        while (have := len(episode_files(folder))) < demos and actor.going():
            actor.note(f"demonstration {have + 1} of {demos}")
            index = have + len(episode_files(attempts))
            world = episode_seed(Purpose.DEMO, seed, index)
            outcome = actor.episode(world, follow, log, demo=True)
            if outcome is not None and outcome.success:
                adopt(episode_files(attempts)[-1], folder)
    actor.note("")
    return len(episode_files(folder))


def steps_in(folder: Path) -> int:
    """Whole steps recorded in a session."""
    return sum(step_count(path) for path in episode_files(folder))
