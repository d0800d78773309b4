"""The online loop: act, step, write down, learn; until good, out of budget, or told to stop."""

import math
import time
from dataclasses import dataclass
from typing import Any

from handful.contract import Spec, Transition
from handful.rig.episodes import Episode, EpisodeLog
from handful.workflow.collect import succeeded
from handful.workflow.console import Console
from handful.workflow.curves import Curve, Means, last_wall_s, read_curve
from handful.workflow.data.about import about
from handful.workflow.errors import refuse_nonsense
from handful.workflow.interrupt import Interrupt, Stopped
from handful.workflow.outcomes import Outcome, rollout
from handful.workflow.parts import LearnerLike, Parts, feed
from handful.workflow.pretrain import Ready, describe, make_ready
from handful.workflow.progress import WINDOW, Progress, Speed, training_text
from handful.workflow.results import wilson
from handful.workflow.reward_sources import rates_of, tell_drift
from handful.workflow.run_folder import RunFolder
from handful.workflow.seeds import Purpose, episode_seed
from handful.workflow.settings import TrainSettings
from handful.workflow.teleop_oversee import Overseer, is_intervention, rate_of, step


@dataclass(frozen=True)
class Trained:
    """How training ended.

    wall_s: pre-training and training over all resumes, checks apart; train_s: without the
    pre-training. reason: ``steps``, ``minutes``, ``success`` or ``check``.
    """

    reason: str
    env_steps: int
    updates: int
    episodes: int
    demos: int
    wall_s: float
    train_s: float
    rolling_success: float


def train(
    parts: Parts, run: RunFolder, console: Console, overseer: Overseer | None = None
) -> Trained:
    """Train until a budget or a threshold of ``recipe.train``; goes on where the folder stands.

    Everything that happens is in the episode log before anything is learned from it. After a
    kill -9 the whole log is fed to the last checkpoint (or to a newly pre-trained learner when
    there is none yet) and the updates that are owed for it are done before the first new motion.

    overseer: a person who may take over at any tick (``workflow.teleop_oversee``).

    Raises:
        Stopped: Ctrl-C or SIGTERM; a checkpoint was saved.
        RunError: no demonstrations, settings that do not fit, or losses that are not finite.
    """
    env = parts.learning_environment()
    try:
        with Interrupt() as interrupt:
            ready = make_ready(parts, run, env.spec, console)
            with Curve(run.curve, run.tensorboard) as curve:
                session = _Session(parts, run, console, curve, ready, interrupt, overseer)
                return session.run(env)
    finally:
        env.close()


class _Session:
    """One process's share of a run."""

    def __init__(
        self,
        parts: Parts,
        run: RunFolder,
        console: Console,
        curve: Curve,
        ready: Ready,
        interrupt: Interrupt,
        overseer: Overseer | None = None,
    ) -> None:
        self.overseer = overseer
        self.parts, self.run_folder, self.console, self.curve = parts, run, console, curve
        self.learner: LearnerLike = ready.learner
        self.ready, self.interrupt = ready, interrupt
        self.settings: TrainSettings = parts.recipe.train
        events = read_curve(run.curve)
        self.before_s = last_wall_s(run.curve)
        self.pretrain_s = max((float(e.get("pretrain_s", 0.0)) for e in events), default=0.0)
        self.began_s, self.check_s = time.monotonic(), 0.0
        self.successes: list[bool] = []
        self.noted = {int(e["seed"]) for e in events if e["kind"] == "episode"}
        self.window, self.steps_speed, self.updates_speed = Means(), Speed(), Speed()
        self.logged_s = -math.inf
        self.check_env: Any = None

    # The numbers that every event carries.

    @property
    def wall_s(self) -> float:
        return self.before_s + self.own_s()

    def own_s(self) -> float:
        """Seconds of this session without its checks, which are not part of learning."""
        return time.monotonic() - self.began_s - self.check_s

    @property
    def train_s(self) -> float:
        return self.wall_s - self.pretrain_s

    def note(self, kind: str, **values: Any) -> None:
        learner = self.learner
        self.curve.add(
            kind, env_steps=learner.env_steps, updates=learner.updates, wall_s=self.wall_s, **values
        )

    # The run.

    def run(self, env: Any) -> Trained:
        self._take_up(env.spec)
        folder, settings = self.run_folder, self.settings
        meta = about(self.parts.recipe, "policy")
        start = min(self.learner.env_steps, settings.steps)
        self.saved_at = self.checked_at = self.learner.env_steps
        reason: str | None = self._over()
        with (
            EpisodeLog(folder.episodes, env.spec, meta, settings.pictures) as log,
            self.console.progress("train", settings.steps, "env steps", start) as bar,
        ):
            try:
                while reason is None:
                    reason = self._episode(env, log, bar)
            except Stopped:
                self._save("stop")
                raise
            finally:
                if self.check_env is not None:
                    self.check_env.close()
        self._save("stop", reason=reason)
        return Trained(
            str(reason),
            self.learner.env_steps,
            self.learner.updates,
            len(self.successes),
            self.ready.demos,
            self.wall_s,
            self.train_s,
            self._rolling(WINDOW),
        )

    def _take_up(self, spec: Spec) -> None:
        """Live through the log of earlier sessions again: its steps and the updates owed for it."""
        folder, learner = self.run_folder.episodes, self.learner
        files, had = self._next_episode(), learner.updates
        if not files:
            return
        with self.console.progress("resume", files, "episodes") as bar:
            fed = 0

            def after_episode(episode: Episode) -> None:
                nonlocal fed
                fed += 1
                bar.update(fed, f"{learner.updates - had:,} owed updates caught up")
                if episode.complete:
                    steps = episode.transitions
                    self.successes.append(succeeded(steps[-1]))
                    driven = sum(map(is_intervention, steps))
                    self._note_episode(steps[-1], len(steps), int(episode.info["seed"]), driven)

            feed(learner, folder, spec, self._learn, after_episode)
        if fed:
            self.note("resume", origin=self.ready.origin, episodes=fed)
            self.console.say(
                f"resumed from {_ORIGIN[self.ready.origin]}: {learner.env_steps:,} env steps of "
                f"{fed} episodes from the log, {learner.updates - had:,} owed updates caught up"
            )

    def _episode(self, env: Any, log: EpisodeLog, bar: Progress) -> str | None:
        recipe, learner = self.parts.recipe, self.learner
        seed = episode_seed(Purpose.TRAIN, recipe.seed, self._next_episode())
        observation = env.reset(seed)
        if self.overseer is not None:
            self.overseer.begin(env, seed)
        log.begin(observation, demo=False, info={"seed": seed})
        learner.begin(observation)
        length = driven = 0
        while True:
            self.interrupt.check()
            action = learner.act(observation, explore=True)
            transition = step(env, action, self.overseer, self.interrupt.check)
            driven += is_intervention(transition)
            log.add(transition)
            learner.add(transition)
            observation, length = transition.next_observation, length + 1
            self._learn()
            self._show(bar)
            if transition.last or self._out_of_budget():
                break
        log.end()
        tell_drift(bar, transition, seed)
        if transition.last:
            self.successes.append(succeeded(transition))
            self._note_episode(transition, length, seed, driven)
        if learner.env_steps - self.saved_at >= self.settings.checkpoint_every_steps:
            self._save("checkpoint")
        return self._over()

    def _learn(self) -> None:
        self.interrupt.check()
        metrics = self.learner.update(lambda done, total, metrics: self.interrupt.check())
        refuse_nonsense(metrics, self.learner.updates, self.run_folder.checkpoint)
        self.window.add(metrics)

    def _show(self, bar: Progress) -> None:
        now_s, learner = self.own_s(), self.learner
        if now_s - self.logged_s < min(0.2, self.settings.log_every_s):
            return
        self.steps_speed.add(learner.env_steps, now_s)
        self.updates_speed.add(learner.updates, now_s)
        per_s = self.steps_speed.per_second()
        steps_left = self.settings.steps - learner.env_steps
        left_s = steps_left / per_s if per_s > 0 else math.inf
        if self.settings.minutes is not None:
            left_s = min(left_s, 60.0 * self.settings.minutes - self.train_s)
        updates_per_s = self.updates_speed.per_second()
        bar.update(
            learner.env_steps, training_text(self.successes, per_s, updates_per_s, max(left_s, 0.0))
        )
        if now_s - self.logged_s >= self.settings.log_every_s and self.window.sums:
            self.note(
                "update", updates_per_s=updates_per_s, env_steps_per_s=per_s, **self.window.take()
            )
            self.logged_s = now_s

    # When to stop.

    def _out_of_budget(self) -> str | None:
        if self.learner.env_steps >= self.settings.steps:
            return "steps"
        minutes = self.settings.minutes
        return "minutes" if minutes is not None and self.train_s >= 60.0 * minutes else None

    def _over(self) -> str | None:
        s, steps = self.settings, self.learner.env_steps
        spent = self._out_of_budget()
        if spent is not None:
            return spent
        early = steps >= s.min_steps
        recent = self.successes[-s.stop_window :]
        full = len(recent) == s.stop_window
        if early and full and s.stop_success and sum(recent) >= s.stop_success * s.stop_window:
            return "success"
        if s.check_every_steps and steps - self.checked_at >= s.check_every_steps:
            self.checked_at = steps
            rate = self._check()
            if early and s.stop_check_success is not None and rate >= s.stop_check_success:
                return "check"
        return None

    def _check(self) -> float:
        """Evaluate in an environment and on seeds of its own; nothing of it reaches the replay."""
        count, seed = self.settings.check_episodes, self.parts.recipe.seed
        began_s = time.monotonic()
        if self.check_env is None:
            self.check_env = self.parts.environment()
        outcomes: list[Outcome] = []
        for i in range(count):
            self.interrupt.check()
            world = episode_seed(Purpose.CHECK, seed, i)
            outcomes.append(rollout(self.check_env, self.learner, world))
        self.check_s += time.monotonic() - began_s
        wins = sum(o.success for o in outcomes)
        low, high = wilson(wins, count)
        self.note(
            "check", success_rate=wins / count, success_low=low, success_high=high, episodes=count
        )
        return wins / count

    # Small things.

    def _note_episode(self, end: Transition, length: int, seed: int, driven: int = 0) -> None:
        """A point of the success curve, once an episode, however often it is lived through."""
        if seed not in self.noted:
            self.noted.add(seed)
            self.note(
                "episode",
                success=float(self.successes[-1]),
                length=length,
                rolling_success=self._rolling(WINDOW),
                seed=seed,
                **(rate_of(driven, length, self.overseer) | rates_of(end)),
            )

    def _rolling(self, window: int) -> float:
        recent = self.successes[-window:]
        return sum(recent) / len(recent) if recent else 0.0

    def _next_episode(self) -> int:
        return len(list(self.run_folder.episodes.glob("episode_*.log")))

    def _save(self, kind: str, **values: Any) -> None:
        self.learner.save(
            self.run_folder.checkpoint,
            describe(
                self.parts.recipe,
                demos=self.ready.demos,
                env_steps=self.learner.env_steps,
                wall_s=round(self.wall_s, 3),
                train_s=round(self.train_s, 3),
                train_episodes=len(self.successes),
            ),
        )
        self.saved_at = self.learner.env_steps
        self.note(kind, **values)


_ORIGIN = {
    "checkpoint": "the checkpoint",
    "pretrained": "the pre-trained learner",
    "new": "the demonstrations",
}
