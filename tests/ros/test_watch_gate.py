"""The recorder's gate: a person may pause, say how it ends, and is not waited for for ever."""

import threading
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from graph import NO_ROS

pytest.importorskip("handful.msg", reason=NO_ROS)

from handful.config import load
from handful.contract import ArmState, Observation
from handful.msg import Verdict
from handful.rig.arm import ArmError
from handful.rig.clock import Rate
from handful.rig.loop import ControlLoop
from handful.rig.settings import RigSettings
from handful.wire import gate as wired
from tests.fakes import CounterCamera, FakeClock, PerfectArm

SEEN, RIG = Observation({}, np.zeros(0), 0.0), load(RigSettings, "rig")


class Arm:
    def state(self) -> ArmState:
        place = np.array([0.4, 0.0, 0.2])
        return ArmState(0.0, place, 0.0, 0.08, np.zeros(3), np.zeros(7), place, 0.0, 0.02)


class Watched:
    """A gate without topics, and what it asks of others."""

    def __init__(self, max_pause_s: float = 30.0) -> None:
        self.said, self.going, self.told = False, True, list[str]()
        arm: Any = Arm()
        self.gate = wired.WatchGate(
            RIG, arm, max_pause_s, lambda: self.said, lambda: self.going, self.told.append
        )

    def hears(self, source: str = "teleop", forward: float = 0.5) -> None:
        said = Verdict(source=source, status=Verdict.OK, executed=[forward, 0.0, 0.0, 1.0])
        said.step_m, said.tool.orientation.x = [0.0, 0.0, 0.0], 1.0
        self.gate._on_verdict(said)

    def submit(self) -> Any:
        return self.gate.submit(None, SEEN)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def no_topics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wired.rospy, "Subscriber", lambda *_, **__: None)


def test_a_person_who_thinks_is_waited_for_and_the_beat_begins_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wired, "_SAY_S", 0.1)
    watched = Watched()
    watched.hears()
    assert not watched.submit().paused
    threading.Timer(0.5, lambda: watched.hears(forward=-1.0)).start()
    after = watched.submit()
    assert after.paused and after.executed[0] == -1.0 and after.status == "ok"
    assert watched.told == ["somebody to move the arm", ""]


def test_what_is_said_in_a_pause_falls_on_a_step_in_which_nobody_moves() -> None:
    watched = Watched()
    watched.said = True
    step = watched.submit()
    assert step.executed.tolist() == [0.0, 0.0, 0.0, -0.5], "the grip stays as it was told"
    assert (step.status, step.held, step.latched) == ("ok", False, False)
    watched.hears()
    assert watched.submit().executed[0] == 0.5, "a step that is there comes first"


def test_nobody_is_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ArmError, match=r"nobody has moved the arm for 0\.1 s"):
        Watched(0.1).submit()
    monkeypatch.setattr(wired, "_SCRIPT_S", 0.05)
    watched = Watched()
    watched.hears("script")
    watched.submit()
    with pytest.raises(ArmError, match=r"for 0\.05 s"):
        watched.submit()
    watched = Watched()
    watched.going = False
    began_s = time.monotonic()
    with pytest.raises(ArmError, match="asked to stop"):
        watched.submit()
    assert time.monotonic() - began_s < 10.0


@pytest.mark.parametrize(("paused", "missed"), [(True, 0), (False, 600)])
def test_a_pause_is_no_late_beat(paused: bool, missed: int) -> None:
    clock, watched = FakeClock(), Watched()
    cameras: Any = {name: CounterCamera(clock, name) for name in RIG.cameras}
    for camera in cameras.values():
        camera.open()
    loop = ControlLoop(
        RIG, cameras, PerfectArm(clock), clock, watched.gate, Rate(clock, RIG.period_s)
    )
    loop.begin()
    submit = watched.gate.submit

    def after_a_minute(*given: Any) -> Any:
        clock.advance(60.05)
        watched.hears()
        return replace(submit(*given), paused=paused)

    watched.gate.submit = after_a_minute  # type: ignore[method-assign]
    loop.tick(None)  # type: ignore[arg-type]
    assert loop.missed_beats == missed
