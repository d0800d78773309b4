"""The learner in a process of its own: reads the log an actor writes, and hands weights out.

The actor never waits for it. It is a process and not a thread because it may then die, run out of
memory or be killed without the actor, and be brought back alone; acting is as quick beside either
(``docs/results.md``, "Thread or process").
"""

import contextlib
import json
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from handful.contract import Observation, Transition
from handful.learn import handout
from handful.rig.follow import Follower
from handful.workflow.collect import succeeded
from handful.workflow.console import Console
from handful.workflow.curves import Curve, Means, last_wall_s, read_curve
from handful.workflow.errors import RunError, refuse_nonsense
from handful.workflow.interrupt import Interrupt, Stopped
from handful.workflow.parts import Parts
from handful.workflow.pretrain import describe, make_ready
from handful.workflow.progress import WINDOW, Speed
from handful.workflow.results import write_text
from handful.workflow.reward_sources import rates_of
from handful.workflow.run_folder import RunFolder
from handful.workflow.sources import Sources, gather
from handful.workflow.teleop_oversee import is_intervention, rate_of

NICENESS = 5
"""Below whoever acts, so that a machine with few cores serves the arm first."""


@dataclass(frozen=True)
class Standing:
    """How the learning goes. stage: ``pretraining``, ``learning``, ``waiting`` or ``stopped``."""

    stage: str
    env_steps: int = 0
    updates: int = 0
    owed: int = 0
    updates_per_s: float = 0.0
    updates_per_step: float = 0.0
    policy: int = 0


class Pulse:
    """Whether a run's learner is alive, as an actor in another process sees it.

    The learner writes its ``Standing`` to ``learner.json`` about twice a second; a file that does
    not change any more is a learner that is gone. Measured on the monotonic clock of who looks.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._date = path, 0
        self._changed_s = time.monotonic()
        self.standing: Standing | None = None

    def silent_s(self) -> float:
        """Seconds since the learner was heard of last, or since this was made."""
        try:
            date = os.stat(self._path).st_mtime_ns
            if date != self._date:
                values = json.loads(self._path.read_text(encoding="utf-8"))
                self.standing = Standing(**values)
                if self._date or self.standing.stage != "stopped":
                    self._changed_s = time.monotonic()
                self._date = date
        except (OSError, ValueError, TypeError):
            pass  # not there yet, or of another version: silence, which is what is asked about
        return time.monotonic() - self._changed_s


def learn_beside(
    parts: Parts,
    run: RunFolder,
    console: Console,
    report: Callable[[Standing], None] = lambda standing: None,
    until: Callable[[], bool] = lambda: False,
    hand_out_every_s: float = 1.0,
    sources: Sources | None = None,
) -> Standing:
    """Learn from ``run.episodes`` as it grows, until a signal comes or ``until()`` says so.

    Takes the run up where it stands: the checkpoint, or pre-trained weights, or a new learner that
    is pre-trained first, on what there is (``workflow.sources``); then every step in the log, once.
    Updates per step are exact however fast the steps come: those that are owed are done, no more.

    Args:
        report: called about once a second. hand_out_every_s: least time between two
            ``policy.safetensors``. sources: what it learns from before it moves; the run's own and
            the sessions it remembers when not given.
    Raises:
        RunError: no demonstrations, other settings, or losses that are not finite.
    """
    sources = gather(run) if sources is None else sources
    if sources.spec is None:
        raise RunError(
            f"{run.demos}: no demonstrations; `handful collect --run {run}` records some, "
            "or name recorded sessions (docs/pretraining.md)"
        )
    spec = sources.spec

    def tell(standing: Standing) -> None:
        with contextlib.suppress(OSError):  # a full disk is told of by what must be kept
            write_text(run.standing, json.dumps(asdict(standing)) + "\n")
        report(standing)

    with Interrupt() as interrupt:
        with _repeated(lambda: tell(Standing("pretraining"))):
            ready = make_ready(parts, run, spec, console, sources)
        with Curve(run.curve, run.tensorboard) as curve:
            session = _Beside(parts, run, curve, ready.learner, ready.demos, tell, hand_out_every_s)
            follower = Follower(run.episodes, spec)
            try:
                while not until():
                    interrupt.check()
                    session.turn(follower)
            except Stopped:
                pass  # that is how it is ended
            return session.close()


@contextlib.contextmanager
def _repeated(say: Callable[[], None], every_s: float = 1.0) -> Iterator[None]:
    """Say something now and again while the main thread is busy elsewhere."""
    done = threading.Event()

    def repeat() -> None:
        say()
        while not done.wait(every_s):
            say()

    thread = threading.Thread(target=repeat, name="pulse", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


class _Beside:
    """One process's share of a run that is learned beside."""

    def __init__(
        self,
        parts: Parts,
        run: RunFolder,
        curve: Curve,
        learner: Any,
        demos: int,
        report: Callable[[Standing], None],
        hand_out_every_s: float,
    ) -> None:
        self.parts, self.run, self.curve = parts, run, curve
        self.learner, self.demos, self.report = learner, demos, report
        self.hand_out_every_s = hand_out_every_s
        events = read_curve(run.curve)
        self.before_s, self.began_s = last_wall_s(run.curve), time.monotonic()
        self.noted = {int(e["episode"]) for e in events if "episode" in e}
        self.outcomes: list[bool] = []
        self.window, self.speed = Means(), Speed()
        self.logged_s = self.told_s = self.handed_s = -math.inf
        self.handed = -1
        self.saved_at = learner.env_steps
        self.length = self.driven = 0
        self.stage = "learning"
        self.first_steps, self.first_updates = -1, 0
        self._hand_out()

    @property
    def wall_s(self) -> float:
        return self.before_s + time.monotonic() - self.began_s

    def turn(self, follower: Follower) -> None:
        """Take in what has been written, do what is owed for it, rest when there is nothing."""
        idle = True
        for event in follower.poll():
            idle = False
            if isinstance(event, Observation):
                self.learner.begin(event)
                self.length = self.driven = 0
                continue
            self._take(event)
        if self.learner.env_steps - self.saved_at >= self.parts.recipe.train.checkpoint_every_steps:
            self._save("checkpoint")
        if idle:
            self.stage = "waiting"
            self._tell()
            time.sleep(0.02)

    def _take(self, step: Transition) -> None:
        learner = self.learner
        learner.add(step)
        self.length += 1
        self.driven += is_intervention(step)
        self.stage = "learning"
        metrics = learner.update(lambda done, total, _: self._tell())
        refuse_nonsense(metrics, learner.updates, self.run.checkpoint)
        if metrics and self.first_steps < 0:
            self.first_steps, self.first_updates = learner.env_steps, learner.updates
        self.window.add(metrics)
        if step.last:
            self._note_episode(step)
        self._tell()

    def _note_episode(self, last: Transition) -> None:
        self.outcomes.append(succeeded(last))
        number = len(self.outcomes) - 1
        if number not in self.noted:
            self.noted.add(number)
            recent = self.outcomes[-WINDOW:]
            self._note(
                "episode",
                success=float(self.outcomes[-1]),
                length=self.length,
                rolling_success=sum(recent) / len(recent),
                episode=number,
                **rate_of(self.driven, self.length, None),
                **rates_of(last),
            )

    def _tell(self) -> None:
        """Hand out, log and report, each at its own pace; cheap when none is due."""
        now_s = time.monotonic()
        learner = self.learner
        if now_s - self.handed_s >= self.hand_out_every_s and learner.updates != self.handed:
            self._hand_out()
        if now_s - self.logged_s >= self.parts.recipe.train.log_every_s and self.window.sums:
            self._note("update", updates_per_s=self.speed.per_second(), **self.window.take())
            self.logged_s = now_s
        if now_s - self.told_s >= 0.5:
            self.speed.add(learner.updates, now_s)
            self.told_s = now_s
            self.report(self.standing())

    def standing(self) -> Standing:
        """Where it stands now."""
        learner, ratio = self.learner, 0.0
        steps = learner.env_steps - self.first_steps
        if self.first_steps >= 0 and steps > 0:
            ratio = (learner.updates - self.first_updates) / steps
        return Standing(
            self.stage,
            learner.env_steps,
            learner.updates,
            max(0, learner.owed()),
            self.speed.per_second(),
            ratio,
            max(0, self.handed),
        )

    def close(self) -> Standing:
        """Hand out, save, and say where it ended."""
        self.stage = "stopped"
        self._hand_out()
        self._save("stop", reason="asked")
        standing = self.standing()
        self.report(standing)
        return standing

    def _hand_out(self) -> None:
        extra = describe(self.parts.recipe, demos=self.demos, pid=os.getpid())
        handout.hand_out(self.learner, self.run.policy, extra)
        self.handed, self.handed_s = self.learner.updates, time.monotonic()

    def _note(self, kind: str, **values: Any) -> None:
        learner = self.learner
        steps, updates = learner.env_steps, learner.updates
        self.curve.add(kind, env_steps=steps, updates=updates, wall_s=self.wall_s, **values)

    def _save(self, kind: str, **values: Any) -> None:
        self.learner.save(
            self.run.checkpoint,
            describe(
                self.parts.recipe,
                demos=self.demos,
                env_steps=self.learner.env_steps,
                wall_s=round(self.wall_s, 3),
                train_s=round(self.wall_s, 3),
                train_episodes=len(self.outcomes),
            ),
        )
        self.saved_at = self.learner.env_steps
        self._note(kind, **values)
