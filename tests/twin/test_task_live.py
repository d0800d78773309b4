"""Tasks in the twin that lives by itself: what is held stays held, and what moves is reported."""

from types import SimpleNamespace

import numpy as np
import pytest
from handful_twin.demonstrate import Demonstrator
from handful_twin.live import LiveTwin, Order
from handful_twin.settings import LiveSettings, TwinSettings
from handful_twin.stage import Stage
from handful_twin.tasks import make_task

from handful.config import load
from handful.rig.action import ActionScaler
from handful.rig.settings import RigSettings

RIG = load(RigSettings, "rig", {"cameras": {"third": {"width_px": 8, "height_px": 8}}})


def make_twin(task: str) -> LiveTwin:
    return LiveTwin(Stage(make_task(task), RIG, load(TwinSettings, "twin")), LiveSettings())


def test_the_peg_stays_in_the_hand_while_nobody_speaks() -> None:
    twin = make_twin("peg")
    twin.reset(4)
    before = twin.report().truth.bodies["peg"][0]
    began_s = twin.now_s
    list(twin.advance(began_s + 2.0, 1000.0))
    assert twin.now_s > began_s + 1.9
    report = twin.report()
    assert report.truth.bodies["peg"][0] == pytest.approx(before, abs=0.002)
    assert report.holding and report.arm.target_gripper_m == 0.0
    twin.close()


@pytest.mark.parametrize("task", ["drawer", "switch", "peg"])
def test_from_reports_alone_the_demonstrator_succeeds(task: str) -> None:
    """As ``wire.twin_script`` sits beside it: parts that move are among the reported bodies."""
    twin, scaler = make_twin(task), ActionScaler(RIG.action)
    seat = SimpleNamespace(twin=twin.stage.twin, rig=RIG, task=twin.stage.task)
    seat.arm_state = lambda: twin.report().arm
    seat.truth = lambda: twin.report().truth
    twin.reset(5)
    expert, sequence, reached = Demonstrator(seat, noise=0.0), 0, 0  # type: ignore[arg-type]
    time_s = twin.now_s
    for _ in range(seat.task.settings.horizon_steps):
        want = scaler.to_command(expert.act(None), seat.arm_state())  # type: ignore[arg-type]
        for _ in range(5):
            sequence += 1
            twin.receive(Order(sequence, twin.now_s, want, False, 0.2), 1000.0 + time_s)
            time_s += 0.02
            list(twin.advance(time_s, 1000.0 + time_s))
        reached = reached + 1 if twin.report().at_goal else 0
        if reached == 5:
            break
    assert reached == 5
    assert np.isfinite(seat.task.distance_m(seat.truth()))
    twin.close()
