"""A person drives the twin and records; a person takes over from a policy and gives back."""

import os
import pty
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from workflow_kit import LineParts, recipe

from handful.cli import cli
from handful.config import ConfigError, load
from handful.contract import ArmState
from handful.rig import guard
from handful.rig.action import ActionScaler, tool_axes
from handful.rig.episodes import read
from handful.rig.operator import Intent, OperatorSettings
from handful.rig.settings import ActionSettings, RigSettings
from handful.rig.teleop.device import Wish
from handful.rig.teleop.drive import Drive
from handful.rig.teleop.settings import TeleopSettings
from handful.workflow.collect import collect, succeeded
from handful.workflow.console import Console
from handful.workflow.curves import read_curve
from handful.workflow.run_folder import RunFolder
from handful.workflow.teleop import Recording, Session, Words
from handful.workflow.teleop_command import teleop_settings
from handful.workflow.teleop_desk import check_keys
from handful.workflow.teleop_oversee import Overseer, is_intervention
from handful.workflow.teleop_person import ScriptedPerson
from handful.workflow.train import train

pytest.importorskip("pybullet")

from handful_twin.demonstrate import Demonstrator
from handful_twin.task_env import TwinTaskEnv, make_env

RIG = load(RigSettings, "rig")
QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def twin() -> Iterator[TwinTaskEnv]:
    env = make_env("reach")
    yield env
    env.close()


class Hands:
    """A person who follows a plan: one wish a reading, or a function of the twin."""

    def __init__(self, env: Any, *plan: Wish | str) -> None:
        self.env, self.plan, self.told = env, list(plan), list[str]()
        self.out = False
        self._actor: Any = None

    def read(self) -> Wish:
        if not self.plan:
            self.out = True
            return Wish()
        step = self.plan[0]
        if isinstance(step, Wish):
            return self.plan.pop(0)  # type: ignore[return-value]
        if step == "demonstrate":
            action = self._actor.act(None)
            return Wish(True, np.asarray(action[:3], np.float64), 0.0, float(action[-1]))
        raise AssertionError(step)

    def show(self, env: Any, words: Words) -> None:
        self.told.append(words.pill)
        if words.pill.startswith("hold the deadman"):
            self._actor = Demonstrator(self.env, 0.0, 0)
            self._actor.reset()
        if words.pill == "succeeded" and self.plan and self.plan[0] == "demonstrate":
            self.plan.pop(0)

    def tell(self, words: Words) -> None:
        self.told.append(words.pill)


def session(twin: TwinTaskEnv, *plan: Wish | str) -> tuple[Session, Hands]:
    hands, clock = Hands(twin, *plan), [0.0]

    def sleep(s: float) -> None:
        clock[0] += max(s, 1e-4)

    drive = Drive(TeleopSettings(), twin.rig.action)
    going: Callable[[], bool] = lambda: not hands.out  # noqa: E731
    return Session(twin, drive, hands, "reach", going, lambda: clock[0], sleep), hands


def said(*intents: Intent, held: bool = False) -> Wish:
    return Wish(held=held, pressed=intents)


GO = Wish(True, np.array([1.0, 0.0, 0.0]))


def test_demonstrations_land_where_collect_puts_them_and_failures_stay_apart(
    twin: TwinTaskEnv, tmp_path: Path
) -> None:
    recording = Recording(tmp_path / "demos", 2, "reach", 3, {"operator": "Ada", "device": "x"})
    plan = ["demonstrate", GO, GO, said(Intent.FAILURE, held=True), "demonstrate"]
    acting, hands = session(twin, *plan)
    done = acting.record(recording)
    assert (done.demos, done.new, done.failed) == (2, 2, 1)
    demos, attempts = list(read(tmp_path / "demos")), list(read(tmp_path / "attempts"))
    assert [e.info["seed"] - 1_030_000 for e in demos] == [0, 2]
    assert [e.info["seed"] - 1_030_000 for e in attempts] == [1]
    for episode in demos:
        assert episode.demo and episode.complete and succeeded(episode.transitions[-1])
        assert all(t.demo for t in episode.transitions)
        assert episode.info["operator"] == "Ada" and episode.meta["task"] == "reach"
    last = attempts[0].transitions[-1]
    assert (last.reward, last.discount, last.last) == (0.0, 0.0, True)
    parts = LineParts(recipe())
    assert parts.recipe is not None
    assert acting.record(recording).new == 0, "there are enough"


def test_what_people_say_ends_repeats_and_stops(twin: TwinTaskEnv, tmp_path: Path) -> None:
    recording = Recording(tmp_path / "demos", 1, "reach", 0, {})
    stopped = [said(Intent.STOP, held=True), *[GO] * 5, said(Intent.RESUME)]
    plan = [Wish(), GO, GO, said(Intent.REDO), GO, *stopped, GO, said(Intent.SUCCESS)]
    acting, hands = session(twin, *plan)
    done = acting.record(recording)
    assert done.new == 1
    demo = next(iter(read(tmp_path / "demos")))
    assert len(demo.transitions) == 3, "while it is stopped, nothing moves and nothing is recorded"
    assert demo.transitions[-1].info["said_by"] == "operator" and succeeded(demo.transitions[-1])
    attempt = next(iter(read(tmp_path / "attempts")))
    assert attempt.info["seed"] == demo.info["seed"], "redo puts the same scene up again"
    assert len(attempt.transitions) == 2 and not attempt.complete
    assert "STOP: resume lets it move again" in hands.told
    assert "holds: the deadman is not held" in hands.told


def test_time_passes_only_while_the_deadman_is_held(twin: TwinTaskEnv) -> None:
    acting, _ = session(twin, *[Wish()] * 50, GO, *[Wish(note="gamepad: unplugged")] * 50, GO)
    acting.play(0)
    assert acting.steps == 2


def test_a_session_that_ends_in_mid_episode_loses_nothing(
    twin: TwinTaskEnv, tmp_path: Path
) -> None:
    acting, _ = session(twin, GO, GO, GO)
    assert acting.record(Recording(tmp_path / "demos", 1, "reach", 0, {})).demos == 0
    attempt = next(iter(read(tmp_path / "attempts")))
    assert len(attempt.transitions) == 3 and attempt.transitions[-1].discount == 1.0


def test_hands_are_read_in_the_moment_of_the_step_and_pictures_go_out_at_once(
    twin: TwinTaskEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a person sees and does is as new as it can be: no rendering and no waiting between."""
    done = list[str]()
    acting, hands = session(twin, *[GO] * 4)
    read, step, show, sleep = hands.read, twin.step, hands.show, acting._sleep

    def said(name: str, what: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *given: done.append(name) or what(*given)

    monkeypatch.setattr(twin, "step", said("step", step))
    hands.read, hands.show = said("read", read), said("show", show)  # type: ignore[method-assign]
    acting._sleep = said("sleep", sleep)
    acting.play(0)
    beats = " ".join(done).partition("read step")
    assert (beats[1] + beats[2]).startswith("read step show sleep " * 3)
    overseen = list[str]()
    overseer = Overseer(hands, Drive(TeleopSettings(), twin.rig.action), "reach")
    overseer._pace = lambda env: overseen.append("wait")  # type: ignore[method-assign]
    hands.show = lambda *_: overseen.append("show")  # type: ignore[method-assign]
    hands.tell = lambda *_: overseen.append("tell")  # type: ignore[method-assign]
    hands.read = lambda: overseen.append("read") or Wish()  # type: ignore[func-returns-value,method-assign]
    overseer.begin(twin, 0)
    for _ in range(2):
        overseer.choose(twin, np.zeros(4, np.float32), lambda: None)
    assert overseen == ["show", *["wait", "read", "tell"], "show", *["wait", "read", "tell"]]


def arm(yaw_rad: float = 0.0, gripper_m: float = 0.08) -> ArmState:
    place = np.array([0.45, 0.0, 0.2])
    return ArmState(
        0.0, place, yaw_rad, gripper_m, np.zeros(3), np.zeros(7), place.copy(), yaw_rad, gripper_m
    )  # fmt: skip


def test_taking_over_opens_no_hand_and_the_grip_stays_as_it_was_given() -> None:
    drive = Drive(TeleopSettings(), RIG.action)
    assert drive.action(Wish(), arm()) is None
    closed = arm(gripper_m=0.02)
    first = drive.action(GO, closed)
    assert first is not None and first[-1] == pytest.approx(-0.5)
    shut = drive.action(replace(GO, grip=-1.0), closed)
    assert shut is not None and shut[-1] == -1.0
    after = drive.action(GO, closed)
    assert after is not None and after[-1] == -1.0
    assert drive.action(Wish(), closed) is None
    again = drive.action(GO, arm(gripper_m=0.08))
    assert again is not None and again[-1] == 1.0, "a grip from before the deadman was let go"


@pytest.mark.parametrize("frame", ["base", "tool"])
@pytest.mark.parametrize("rig_frame", ["base", "tool"])
@pytest.mark.parametrize("yaw_rad", [0.0, 0.7, -2.0])
def test_forward_is_forward_in_every_pair_of_frames(
    frame: Any, rig_frame: Any, yaw_rad: float
) -> None:
    settings = ActionSettings(yaw_step_rad=0.1, frame=rig_frame)
    drive, state = Drive(TeleopSettings(frame=frame, scale=0.5), settings), arm(yaw_rad)
    action = drive.action(Wish(True, np.array([1.0, 0.0, 0.5]), turn=-1.0), state)
    assert action is not None and action[3] == pytest.approx(-0.5)
    step_m = ActionScaler(settings).to_command(action, state).p_BT_m - state.p_BT_m
    angle = yaw_rad if frame == "tool" else 0.0
    wanted = 0.5 * settings.step_m * np.array([np.cos(angle), np.sin(angle), 0.5])
    assert step_m == pytest.approx(wanted, abs=1e-6)
    assert tool_axes(0.0)[2, 2] == -1.0


@pytest.mark.parametrize("accel_m_s2", [12.0, 2.0, 0.5])
def test_the_hand_over_is_as_smooth_as_the_guard_allows(accel_m_s2: float) -> None:
    """A policy at full speed, a person who turns round, and the policy again."""
    limits = RIG.guard.model_copy(update={"max_accel_m_s2": accel_m_s2})
    drive, scaler, state = Drive(TeleopSettings(), RIG.action), ActionScaler(RIG.action), arm()
    policy, back = np.array([1, 1, 0, 1], np.float32), Wish(True, np.array([-1.0, -1.0, 0.0]))
    wishes = [Wish()] * 4 + [back] * 4 + [Wish()] * 4
    previous, reach_m = np.zeros(3), accel_m_s2 * RIG.period_s**2
    steps = []
    for wish in wishes:
        theirs = drive.action(wish, state)
        want = scaler.to_command(policy if theirs is None else theirs, state)
        verdict = guard.check(limits, state, want, previous, 0.0, RIG.period_s)
        along = np.clip(previous @ verdict.step_m / max(previous @ previous, 1e-12), 0.0, 1.0)
        assert np.linalg.norm(verdict.step_m - along * previous) <= reach_m + 1e-9
        previous = verdict.step_m
        state = replace(state, p_BT_m=verdict.command.p_BT_m, target_p_BT_m=verdict.command.p_BT_m)
        steps.append(float(previous[0]))
    assert min(steps[4:8]) < 0.0 < max(steps[8:]), "neither got its way"


class TakesOver(Overseer):
    """From the third step of each episode on, for two steps."""

    def __init__(self) -> None:
        self.count = 0

    def begin(self, env: Any, seed: int) -> None:
        self.count = 0

    def choose(self, env: Any, action: Any, check: Callable[[], None]) -> tuple[Any, bool]:
        self.count += 1
        return (action, False) if self.count not in (3, 4) else (np.ones_like(action), True)


def test_interventions_are_recorded_counted_and_a_curve(tmp_path: Path) -> None:
    run, parts = RunFolder(tmp_path / "run"), LineParts(recipe())
    run.write_config(parts.recipe)
    collect(parts, run, parts.recipe.train.demos, QUIET)
    train(parts, run, QUIET, TakesOver())
    episodes = list(read(run.episodes))
    for episode in episodes:
        marks = [is_intervention(t) for t in episode.transitions]
        assert marks[:2] == [False] * min(2, len(marks)) and all(marks[2:4]) and not any(marks[4:])
        assert [t.demo for t in episode.transitions] == marks
    ended = [e for e in episodes if e.transitions[-1].last and e.complete]
    points = [e for e in read_curve(run.curve) if e["kind"] == "episode"]
    rates = [sum(map(is_intervention, e.transitions)) / len(e.transitions) for e in ended]
    assert [p["intervention_rate"] for p in points] == pytest.approx(rates[: len(points)])
    assert max(rates) > 0.0


def test_an_intervention_is_an_environment_step_kept_with_the_demonstrations() -> None:
    from learn_kit import ColourWorld, settings, spec

    from handful.learn.learner import Learner

    shapes = spec(agent := settings(replay__successes_to_demos=False))
    learner, world = Learner(agent, shapes, seed=0, device="cpu"), ColourWorld(shapes, 0)
    for mark in (None, "demo", "intervention"):
        learner.begin(world.reset())
        step = world.step(world.wanted(), mark is not None)
        learner.add(replace(step, info={"intervention": True}) if mark == "intervention" else step)
    assert (len(learner.replay.online), len(learner.replay.demo)) == (1, 2)
    assert learner.env_steps == 2 and learner.episodes == 2


def test_a_scripted_person_helps_a_lost_policy_to_success(twin: TwinTaskEnv) -> None:
    person = ScriptedPerson(patience_steps=3, help_steps=8, noise=0.0)
    overseer = Overseer(person, Drive(TeleopSettings(), twin.rig.action), "reach", paced=False)
    wins, driven = 0, 0
    for seed in range(3):
        twin.reset(seed)
        overseer.begin(twin, seed)
        last = False
        while not last:
            nothing = np.array([0, 0, 0, 1], np.float32)  # a policy that does not know what to do
            action, theirs = overseer.choose(twin, nothing, lambda: None)
            transition = twin.step(action)
            last, driven = transition.last, driven + theirs
        wins += succeeded(transition)
    assert wins == 3 and driven > 10
    twin.reset(9)
    overseer.begin(twin, 9)
    good = Demonstrator(twin, 0.0, 9)
    good.reset()
    for _ in range(8):
        _, theirs = overseer.choose(twin, (action := good.act(None)), lambda: None)  # type: ignore[arg-type]
        assert not theirs, "a policy that gets on needs no help"
        twin.step(action)


def test_what_cannot_be_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'s' moves the arm, and in operator.keys it says"):
        keys = TeleopSettings().keys.model_copy(update={"slow": "s"})
        check_keys(TeleopSettings(keys=keys), load(OperatorSettings, "node/operator"))
    with pytest.raises(ConfigError, match="expected HOST:PORT"):
        teleop_settings({"listen": "everywhere"})
    with pytest.raises(ConfigError, match="means two things"):
        file = tmp_path / "own.yaml"
        file.write_text("keys: {slow: shift}\n")
        teleop_settings({"config": str(file)})
    assert teleop_settings({"listen": "0.0.0.0:80"}).page.port == 80
    words = ["teleop", "--device", "gamepad", "--path", "/dev/input/js77", "--run", str(tmp_path)]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 2 and "js77 cannot be read: No such file" in done.output


class Terminal:
    """``handful`` in a terminal of its own, and the person's end of it."""

    def __init__(self, *words: str) -> None:
        self.master, slave = pty.openpty()
        take = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
        take += "os.execv(sys.executable, [sys.executable, '-m', 'handful.cli', *sys.argv[1:]])"
        self.process = subprocess.Popen(
            [sys.executable, "-c", take, *words],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        os.set_blocking(self.master, False)
        self.screen = ""

    def sees(self, text: str, timeout_s: float = 60.0) -> None:
        end_s = time.monotonic() + timeout_s
        while text not in self.screen:
            assert time.monotonic() < end_s, f"{text!r} never came; there is {self.screen!r}"
            with suppress(BlockingIOError, OSError):
                self.screen += os.read(self.master, 65536).decode(errors="replace")
            time.sleep(0.01)

    def types(self, keys: str) -> None:
        os.write(self.master, keys.encode())


def test_a_person_records_a_demonstration_in_a_terminal(tmp_path: Path) -> None:
    words = ["teleop", "--task", "reach", "--record", "--demos", "1", "--no-view"]
    seat = Terminal(*words, "--run", str(tmp_path), "--operator", "Ada")
    try:
        seat.sees("space or esc")
        seat.sees("hold the deadman to begin")
        seat.types("\x1b[A")
        seat.sees("1 steps")
        seat.types(" ")
        seat.sees("STOP: resume lets it move again")
        seat.types("\x1b[A")
        time.sleep(0.3)
        seat.types("r")
        seat.sees("holds: the deadman is not held")
        seat.types("s")
        seat.sees("1 of 1 demonstrations, 1 new")
        assert seat.process.wait(20.0) == 0
    finally:
        seat.process.kill()
        seat.process.wait()
        os.close(seat.master)
    demo = next(iter(read(tmp_path / "demos")))
    assert 2 <= len(demo.transitions) <= 3, "one key is one or two steps, and a word is one"
    assert demo.transitions[-1].info["said_by"] == "operator"
    assert (demo.meta["source"], demo.meta["operator"]) == ("teleoperation", "Ada")
    assert demo.meta["rig"]["control_rate_hz"] == 10.0 and set(demo.meta["calibration"]) == {
        "third",
        "wrist",
    }
    assert RunFolder(tmp_path).read_config()["train"]["demos"] == 1, "train must not top it up"  # type: ignore[index]
