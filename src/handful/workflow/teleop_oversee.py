"""A person beside a learning agent, who may take over at any tick and give back at any other.

Human in the loop as in HIL-SERL (arXiv:2410.21845): the steps a person drove are recorded as such
(``Transition.demo``, and ``intervention`` in its info) and so go to the demonstrated half of every
batch; the policy learns from them off-policy, and clones them where the profile clones. Both go
through the guard, whose limits make the hand-over smooth; the grip goes on as it was.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handful.contract import Transition
from handful.rig.operator import Intent
from handful.rig.teleop.drive import Drive
from handful.rig.teleop.settings import TeleopSettings
from handful.workflow.console import Console
from handful.workflow.recipe import Recipe
from handful.workflow.teleop import Hands, Words

Action = NDArray[np.float32]
_LOOK_S = 0.01


class Overseer:
    """Decides, tick by tick, who acts.

    Args:
        hands: devices and view, or a program that plays the person. drive: wishes to actions.
        paced: hold the twin to the wall's time, so that a person can follow it.
    """

    def __init__(self, hands: Hands, drive: Drive, task: str, paced: bool = True) -> None:
        self._hands, self._drive, self._task, self._paced = hands, drive, task, paced
        self._due_s = 0.0
        self._stopped = self._shown = False
        self._told = ("the policy acts", "idle")
        self._taken = self._steps = 0

    def begin(self, env: Any, seed: int) -> None:
        """A new episode."""
        self._taken = self._steps = 0
        begin = getattr(self._hands, "begin", None)
        if begin is not None:
            begin(env, seed)
        self._told = ("the policy acts", "idle")
        self._hands.show(env, self._words(*self._told))
        self._shown = True

    def choose(self, env: Any, action: Action, check: Callable[[], None]) -> tuple[Action, bool]:
        """The action (A,) of this tick, and whether it is the person's.

        check: raises when the session is to end; called while a person has stopped everything.
        """
        if not self._shown:  # what the last step led to, drawn while the beat is waited for
            self._hands.show(env, self._words(*self._told))
        self._shown = False
        self._pace(env)
        while True:
            wish = self._hands.read()
            for intent in wish.pressed:
                if intent in (Intent.STOP, Intent.HOLD):
                    self._stopped = True
                elif intent is Intent.RESUME:
                    self._stopped = False
            if not self._stopped:
                break
            self._hands.tell(self._words("STOPPED: resume goes on", "stop"))
            check()
            time.sleep(_LOOK_S)
        theirs = self._drive.action(wish, env.arm_state())
        self._steps += 1
        self._taken += theirs is not None
        self._told = ("you drive", "go") if theirs is not None else ("the policy acts", "idle")
        self._hands.tell(self._words(*self._told))
        return (action, False) if theirs is None else (theirs, True)

    def _pace(self, env: Any) -> None:
        if not self._paced:
            return
        now_s = time.monotonic()
        if now_s < self._due_s:
            time.sleep(self._due_s - now_s)
        self._due_s = max(self._due_s, now_s) + env.rig.period_s

    def _words(self, pill: str, tone: str) -> Words:
        line = f"step {self._steps} · {self._taken} of them yours"
        return Words(f"handful train: {self._task}", line, pill, tone)


def step(
    env: Any, action: Action, overseer: Overseer | None, check: Callable[[], None]
) -> Transition:
    """One step of the agent's episode: ``action`` (A,) of the policy, or what the person wants."""
    if overseer is None:
        return env.step(action)
    action, theirs = overseer.choose(env, action, check)
    return intervened(env.step(action)) if theirs else env.step(action)


def rate_of(driven: int, length: int, overseer: Overseer | None) -> dict[str, float]:
    """What an episode's point of the curve says besides, where there is or was a person."""
    return {} if overseer is None and driven == 0 else {"intervention_rate": driven / length}


def intervened(transition: Transition) -> Transition:
    """The same step, marked as driven by a person."""
    return replace(transition, demo=True, info={**transition.info, "intervention": True})


def is_intervention(transition: Transition) -> bool:
    """Whether a person drove this step of the agent's own episode."""
    return bool(transition.info.get("intervention", False))


@contextmanager
def overseer(given: dict[str, Any], recipe: Recipe, console: Console) -> Iterator[Overseer | None]:
    """What ``handful train --teleop DEVICE`` asks for; None without it."""
    from handful.workflow.teleop_command import operator_settings, teleop_settings
    from handful.workflow.teleop_desk import Desk
    from handful.workflow.teleop_person import ScriptedPerson

    name = given.get("teleop")
    if not name:
        yield None
        return
    if name == "scripted":
        settings = TeleopSettings()
        drive = Drive(settings, recipe.rig.action)
        yield Overseer(ScriptedPerson(), drive, recipe.task, paced=False)
        return
    config = given.get("teleop_config")
    settings = teleop_settings({"config": str(config) if config else None})
    with Desk(name, settings, operator_settings(), console) as desk:
        console.say(f"{name}: hold the deadman to take over, let go to give back")
        yield Overseer(desk, Drive(settings, recipe.rig.action), recipe.task)
