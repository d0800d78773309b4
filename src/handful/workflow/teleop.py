"""A person drives the twin: live, with a view, and into the run's log when they want.

The twin's time passes only while the deadman is held: whoever looks or thinks loses no step of the
episode and records none. (An arm's time cannot be stopped; there the recorder waits as well, and
the arm stands.) Attempts are written as they happen, as ``workflow.robot.collect_on`` does it: one
that succeeded moves to ``demos``, the others stay in ``attempts``.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from handful.contract import Transition
from handful.rig.episodes import EpisodeLog, adopt, mark_interrupted, read
from handful.rig.operator import Intent
from handful.rig.picture_codec import WITHIN, Pictures
from handful.rig.playback import episode_files
from handful.rig.teleop.device import Wish
from handful.rig.teleop.drive import Drive
from handful.workflow.collect import Collected, succeeded
from handful.workflow.seeds import Purpose, episode_seed

_LOOK_S = 0.005  # how often a resting hand is looked at
_MEANS = {  # what a button makes of the step it falls on: (reward, discount)
    Intent.SUCCESS: (1.0, 0.0),
    Intent.FAILURE: (0.0, 0.0),
    Intent.END: (0.0, 1.0),
}


class Hands(Protocol):
    """What the session asks of its devices (``workflow.teleop_desk.Desk``)."""

    def read(self) -> Wish: ...
    def show(self, env: Any, words: "Words") -> None: ...
    def tell(self, words: "Words") -> None: ...


@dataclass(frozen=True)
class Words:
    """What a person reads. tone: go, hold, stop or idle."""

    title: str
    line: str
    pill: str
    tone: str


@dataclass(frozen=True)
class Recording:
    """Where to: demonstrations into ``folder`` until there are ``demos``.

    about: what every episode says besides. meta: what the session says besides (``data.about``).
    pictures: how they are stored.
    """

    folder: Path
    demos: int
    task: str
    seed: int
    about: dict[str, str]
    meta: dict[str, Any] = field(default_factory=dict)
    pictures: Pictures = "raw"


class Session:
    """One person, one twin.

    Args:
        env: a ``TwinTaskEnv``. drive: wishes to actions. hands: devices and view.
        task: its name, for people. going: False ends everything between two steps.
        now_s, sleep: a monotonic clock; another one in tests.
    """

    def __init__(
        self,
        env: Any,
        drive: Drive,
        hands: Hands,
        task: str,
        going: Callable[[], bool] = lambda: True,
        now_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._env, self._drive, self._hands, self._task = env, drive, hands, task
        self._going, self._now_s, self._sleep = going, now_s, sleep
        self._stopped = ""
        self._have = ""
        self._due_s = now_s()
        self.steps = self.episodes = self.successes = 0

    def play(self, seed: int) -> None:
        """Episode after episode, nothing recorded, until ``going`` ends it."""
        index = 0
        while self._going():
            again = self._episode(episode_seed(Purpose.DEMO, seed, index), None)
            index += again is not Intent.REDO

    def record(self, recording: Recording) -> Collected:
        """Demonstrations until there are enough, or ``going`` ends it."""
        began_s, before = self._now_s(), self.steps
        attempts = recording.folder.with_name("attempts")
        mark_interrupted(attempts, "the session that recorded this attempt died")
        index, new, failed = _next_index(recording), 0, 0
        meta = {**recording.meta, "task": recording.task, "seed": recording.seed}
        within_s = WITHIN * self._env.rig.period_s
        with EpisodeLog(attempts, self._env.spec, meta, recording.pictures, within_s) as log:
            while (have := len(episode_files(recording.folder))) < recording.demos:
                if not self._going():
                    break
                self._have = f"demonstration {have + 1} of {recording.demos}"
                world = episode_seed(Purpose.DEMO, recording.seed, index)
                ended = self._episode(world, log, recording.about)
                if ended is Intent.SUCCESS:
                    adopt(episode_files(attempts)[-1], recording.folder)
                    new += 1
                elif ended is not None:
                    failed += 1
                index += ended is not Intent.REDO
        seconds, steps = self._now_s() - began_s, self.steps - before
        return Collected(len(episode_files(recording.folder)), new, failed, steps, seconds)

    # One episode.

    def _episode(
        self, seed: int, log: EpisodeLog | None, about: dict[str, str] | None = None
    ) -> Intent | None:
        """SUCCESS, FAILURE, REDO; None: nothing was done, or ``going`` ended it."""
        observation = self._env.reset(seed)
        self._show("hold the deadman to begin", "idle")
        begun = False
        while self._going():
            wish = self._hands.read()
            end = self._said(wish)
            if end is Intent.REDO:
                self._stopped = ""
                if log is not None and begun:
                    log.fault("the operator wanted to do it again")
                return Intent.REDO
            action = None if self._stopped else self._drive.action(wish, self._env.arm_state())
            if action is None and end is not None and begun:
                action = self._drive.still(self._env.arm_state())  # the step the word falls on
            if action is None:
                self._wait(wish)
                continue
            if log is not None and not begun:
                log.begin(observation, demo=True, info={"seed": seed, **(about or {})})
            begun = True
            transition = _ended(self._env.step(action), end)
            if log is not None:
                log.add(replace(transition, demo=True))
            self.steps += 1
            if transition.last:
                return self._over(transition, log)
            self._show(_verdict(transition), "go")  # at once; drawn while the beat is waited for
            self._pace()  # and then hands are read in the moment in which they count
        if log is not None and begun:
            log.fault("the session was ended")
        return None

    def _over(self, transition: Transition, log: EpisodeLog | None) -> Intent:
        good = succeeded(transition)
        self.successes += good
        self.episodes += 1
        if log is not None:
            log.end()
        self._show("succeeded" if good else "did not succeed", "go" if good else "hold")
        self._sleep(0.3)  # the last picture is worth a look
        return Intent.SUCCESS if good else Intent.FAILURE

    def _said(self, wish: Wish) -> Intent | None:
        """Buttons: stop and hold latch until resume; the word that ends an episode is returned."""
        end = None
        for intent in wish.pressed:
            if intent in (Intent.STOP, Intent.HOLD):
                self._stopped = intent.value
            elif intent is Intent.RESUME:
                self._stopped = ""
            elif intent in _MEANS or intent is Intent.REDO:
                end = intent
        return end

    # Time, and what is seen.

    def _wait(self, wish: Wish) -> None:
        """Nobody moves the arm: the twin's time stands still."""
        if self._stopped:
            self._tell(f"{self._stopped.upper()}: resume lets it move again", "stop")
        else:
            self._tell(wish.note or "holds: the deadman is not held", "hold")
        self._sleep(_LOOK_S)
        self._due_s = self._now_s()

    def _pace(self) -> None:
        """Until the next beat of the rig, on the wall's clock."""
        self._due_s += self._env.rig.period_s
        rest_s = self._due_s - self._now_s()
        if rest_s > 0.0:
            self._sleep(rest_s)
        else:
            self._due_s = self._now_s()

    def _words(self, pill: str, tone: str) -> Words:
        counts = f"{self.successes} of {self.episodes} succeeded"
        line = " · ".join(part for part in (self._have, counts, f"{self.steps} steps") if part)
        return Words(f"handful teleop: {self._task}", line, pill, tone)

    def _show(self, pill: str, tone: str) -> None:
        self._hands.show(self._env, self._words(pill, tone))

    def _tell(self, pill: str, tone: str) -> None:
        self._hands.tell(self._words(pill, tone))


def _ended(transition: Transition, end: Intent | None) -> Transition:
    """The step a person's word fell on; the task's own end counts for more."""
    if end is None or transition.last:
        return transition
    reward, discount = _MEANS[end]
    info = {**transition.info, "said_by": "operator", "success": reward > 0.0}
    return replace(transition, reward=reward, discount=discount, last=True, info=info)


def _verdict(transition: Transition) -> str:
    verdict = str(transition.info["verdict"])
    return "moves" if verdict == "ok" else f"guard: {verdict.replace('_', ' ')}"


def _next_index(recording: Recording) -> int:
    """The first world that no demonstration and no attempt was made in."""
    start = episode_seed(Purpose.DEMO, recording.seed, 0)
    used = [-1]
    for folder in (recording.folder, recording.folder.with_name("attempts")):
        if folder.is_dir():
            used += [int(e.info.get("seed", start - 1)) - start for e in read(folder)]
    return max(used) + 1
