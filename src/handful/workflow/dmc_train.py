"""One run of ``handful bench dmc``: act, remember, update, and be looked at on fixed marks.

A run goes on where it was killed. Its checkpoint is written between two episodes and holds the
networks, every generator and the evaluations so far; the pictures are in an episode log, of which
everything after the checkpoint is lived through again. An episode's world is decided by its seed
alone, so a run that was interrupted ends, bit for bit, as one that was not.
"""

import json
import math
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handful import __version__
from handful.config import build
from handful.contract import Observation
from handful.learn.settings import AgentSettings
from handful.rig.episodes import EpisodeLog
from handful.workflow.console import Console
from handful.workflow.curves import Curve, Means, read_curve
from handful.workflow.dmc_env import RepeatEnv
from handful.workflow.dmc_plan import Plan
from handful.workflow.errors import RunError, refuse_nonsense
from handful.workflow.interrupt import Interrupt
from handful.workflow.parts import feed
from handful.workflow.progress import Progress
from handful.workflow.recipe import differences
from handful.workflow.results import read_json, write_json, write_text
from handful.workflow.seeds import Purpose, episode_seed

SAVE_EVERY_S = 120.0
"""Time between checkpoints [s]: what a killed run loses, besides the episode it was in."""

MakeEnv = Callable[[], RepeatEnv]
MakeLearner = Callable[[Path | None], Any]
"""A fresh learner, or the one of a checkpoint, whose ``extra`` it brings along."""


@dataclass(frozen=True)
class Look:
    """One evaluation: the mark it belongs to and the returns of its episodes."""

    env_steps: int
    agent_steps: int
    episodes: int
    updates: int
    train_s: float
    returns: tuple[float, ...]


class DmcRun:
    """One plan in one folder.

    Args:
        plan: what to run. folder: where its log, checkpoint and curves lie. make_env: a new
            environment; the run makes two, one of them for evaluations only. make_learner: see
            ``MakeLearner``. after_look: called with all looks so far, after each and on resuming.
        keep_log: leave the episode log when the run is complete; it is large.
        save_every_s: time between checkpoints [s]; tests take 0, which is every episode.
    """

    def __init__(
        self,
        plan: Plan,
        folder: Path,
        make_env: MakeEnv,
        make_learner: MakeLearner,
        console: Console,
        after_look: Callable[[list[Look]], None] | None = None,
        keep_log: bool = False,
        save_every_s: float = SAVE_EVERY_S,
    ) -> None:
        self.plan, self.folder, self.console = plan, folder, console
        self._make_env, self._make_learner = make_env, make_learner
        self._after_look, self._keep_log = after_look, keep_log
        self._save_every_s = save_every_s
        self.checkpoint, self.log = folder / "checkpoint.safetensors", folder / "episodes"
        self.looks: list[Look] = []
        self._marks = set(plan.marks())
        self.agent_steps = self.episodes = 0
        self._spent_s, self._began_s, self._saved_s = 0.0, time.monotonic(), time.monotonic()

    def run(self) -> list[Look]:
        """Train to the budget, from the start or from where it was; every evaluation, in order.

        Raises:
            RunError: the folder holds another plan's run, or training diverged.
            Stopped: Ctrl-C or SIGTERM; the same command goes on from the last checkpoint.
        """
        self._claim()
        learner = self._take_up()
        if self.looks and self._after_look is not None:
            self._after_look(self.looks)
        if self.agent_steps < self.plan.agent_steps:
            self._train(learner)
        if not self._keep_log:
            shutil.rmtree(self.log, ignore_errors=True)
        return self.looks

    @property
    def train_s(self) -> float:
        """Seconds of training, evaluations and interruptions apart."""
        return self._spent_s + time.monotonic() - self._began_s

    # Beginning, and beginning again.

    def _claim(self) -> None:
        """Say in the folder whose run it is, or refuse one that is another's."""
        here, mine = self.folder / "plan.json", self.plan.to_dict()
        there = read_json(here)
        if there is not None:
            # A newer handful may have settings of which the run then has the defaults.
            there.setdefault("physics", "installed")
            agent = build(AgentSettings, dict(there.get("agent", {})), f"{here}: agent")
            there["agent"] = agent.model_dump(mode="json")
            other = differences(there, mine)
            if other:
                way = "give it another --name, or --overwrite it"
                if all(key.startswith("physics: ") for key in other):
                    way = f"go on with --physics {there['physics']}, {way}"
                told = "; ".join(other[:4])
                raise RunError(f"{self.folder}: holds a run with other settings ({told}); {way}")
            return
        write_json(here, mine)

    def _take_up(self) -> Any:
        """The learner, and the log and curves, as they were at the last checkpoint."""
        there = self.checkpoint if self.checkpoint.is_file() else None
        learner = self._make_learner(there)
        extra = learner.extra if there else {}
        self.agent_steps = int(extra.get("agent_steps", 0))
        self.episodes = int(extra.get("train_episodes", 0))
        self._spent_s = float(extra.get("train_s", 0.0))
        self.looks = [Look(**{**v, "returns": tuple(v["returns"])}) for v in extra.get("looks", ())]
        for path in sorted(self.log.glob("episode_*.log"))[self.episodes :]:
            path.unlink()
        curve = self.folder / "curve.jsonl"
        kept = [e for e in read_curve(curve) if e["env_steps"] <= self.env_steps]
        write_text(curve, "".join(_line(event) for event in kept) if there else "")
        if there and self.agent_steps < self.plan.agent_steps:
            fed = feed(learner, self.log, learner.spec)
            if (fed, learner.env_steps) != (self.episodes, self.agent_steps):
                raise RunError(
                    f"{self.log}: holds {learner.env_steps} steps of {fed} episodes, the "
                    f"checkpoint was made after {self.agent_steps} of {self.episodes}; "
                    "--overwrite the run"
                )
            self.console.say(f"resumed at {self.env_steps:,} environment steps")
        return learner

    @property
    def env_steps(self) -> int:
        """Environment steps so far: decisions x repeat, as the papers count."""
        return self.agent_steps * self.plan.repeat

    # The loop.

    def _train(self, learner: Any) -> None:
        plan = self.plan
        env, judge = self._make_env(), self._make_env()
        self._began_s = self._saved_s = time.monotonic()
        try:
            with (
                Interrupt() as interrupt,
                EpisodeLog(self.log, env.spec, {"task": plan.task}) as log,
                Curve(self.folder / "curve.jsonl", self.folder / "tb") as curve,
                self.console.progress(
                    f"{plan.task} {plan.name} seed {plan.seed}",
                    plan.budget_env_steps,
                    "env steps",
                    initial=self.env_steps,
                ) as bar,
            ):
                while self.agent_steps < plan.agent_steps:
                    self._episode(learner, env, judge, log, curve, bar, interrupt)
                    late = time.monotonic() - self._saved_s >= self._save_every_s
                    if late or self.agent_steps >= plan.agent_steps:
                        self._save(learner)
        finally:
            env.close()
            judge.close()

    def _episode(
        self,
        learner: Any,
        env: RepeatEnv,
        judge: RepeatEnv,
        log: EpisodeLog,
        curve: Curve,
        bar: Progress,
        interrupt: Interrupt,
    ) -> None:
        plan, means, total, last = self.plan, Means(), 0.0, False
        observation = env.reset(episode_seed(Purpose.TRAIN, plan.seed, self.episodes))
        log.begin(observation)
        learner.begin(observation)
        while not last and self.agent_steps < plan.agent_steps:
            interrupt.check()
            action = learner.act(observation, explore=True)
            # What earlier steps owe: a GPU learns while the simulator steps and draws. CURL's own
            # loop has this order too: act, update, step.
            metrics = learner.launch()
            transition = env.step(action)
            self._take(metrics(), learner, means)
            log.add(transition)
            learner.add(transition)
            self.agent_steps += 1
            observation, last = transition.next_observation, transition.last
            total += transition.reward
            if last or self.agent_steps >= plan.agent_steps:
                self._take(learner.update(), learner, means)  # nothing is owed after an end
            if self.env_steps in self._marks:
                self._look(learner, judge, curve, interrupt)
            bar.update(self.env_steps, f"{learner.updates / max(self.train_s, 1e-9):.2f} updates/s")
        log.end()
        self.episodes += 1
        if means.sums:
            rate = learner.updates / max(self.train_s, 1e-9)
            self._note(curve, learner, "update", updates_per_s=rate, **means.take())
        if last:
            self._note(curve, learner, "episode", episode_return=total)

    def _take(self, metrics: dict[str, float], learner: Any, means: Means) -> None:
        refuse_nonsense(metrics, learner.updates, self.checkpoint)
        means.add(metrics)

    def _look(self, learner: Any, judge: RepeatEnv, curve: Curve, interrupt: Interrupt) -> None:
        """Deterministic episodes in an environment of its own; nothing of it is learned from."""
        self._spent_s, before_s = self.train_s, time.monotonic()
        index = len(self.looks)
        returns = deterministic_returns(self.plan, learner, judge, index, interrupt.check)
        self.looks.append(
            Look(
                self.env_steps,
                self.agent_steps,
                self.episodes,
                learner.updates,
                round(self._spent_s, 3),
                tuple(returns),
            )
        )
        self._began_s = time.monotonic()
        count = len(returns)
        mean = math.fsum(returns) / count
        self._note(
            curve,
            learner,
            "check",
            mean_return=mean,
            least_return=min(returns),
            most_return=max(returns),
            episodes=count,
            seconds=time.monotonic() - before_s,
        )
        self.console.say(
            f"{self.plan.task} {self.plan.name} seed {self.plan.seed}: "
            f"{self.env_steps:,} env steps, mean return {mean:.1f} over {count} episodes"
        )
        if self._after_look is not None:
            self._after_look(self.looks)

    def _note(self, curve: Curve, learner: Any, kind: str, **values: Any) -> None:
        curve.add(
            kind, env_steps=self.env_steps, updates=learner.updates, wall_s=self.train_s, **values
        )

    def _save(self, learner: Any) -> None:
        values = {
            "version": __version__,
            "agent_steps": self.agent_steps,
            "train_episodes": self.episodes,
            "train_s": round(self.train_s, 3),
            "looks": [vars(look) for look in self.looks],
        }
        learner.save(self.checkpoint, values)
        self._saved_s = time.monotonic()


def deterministic_returns(
    plan: Plan, learner: Any, env: RepeatEnv, index: int, check: Callable[[], None]
) -> list[float]:
    """Returns of the plan's evaluation number ``index``, whose worlds no other meets."""
    count, returns = plan.eval_episodes, []
    for i in range(count):
        observation: Observation = env.reset(
            episode_seed(Purpose.TEST, plan.seed, index * count + i)
        )
        total, last = 0.0, False
        while not last:
            check()
            transition = env.step(learner.act(observation, explore=False))
            observation, last = transition.next_observation, transition.last
            total += transition.reward
        returns.append(total)
    return returns


def _line(event: dict[str, Any]) -> str:
    return json.dumps(event, allow_nan=False) + "\n"
