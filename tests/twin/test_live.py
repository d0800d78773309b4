"""The twin that runs by itself: same start, own rates and delays, an arm that may hold alone."""

import math
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from handful_twin import make_env
from handful_twin.demonstrate import Demonstrator
from handful_twin.live import LONGEST_VALID_S, LiveTwin, Order, Report
from handful_twin.settings import LiveSettings, TwinSettings
from handful_twin.stage import Stage
from handful_twin.tasks import make_task

from handful.config import load, read
from handful.contract import Command, Frame
from handful.rig.action import ActionScaler
from handful.rig.settings import RigSettings

RIG = load(RigSettings, "rig")
DT_S = 1.0 / 240.0


def make_twin(task: str = "lift", **settings: float) -> LiveTwin:
    stage = Stage(make_task(task), RIG, load(TwinSettings, "twin"))
    return LiveTwin(stage, LiveSettings(**settings))  # type: ignore[arg-type]


@pytest.fixture
def twin() -> Iterator[LiveTwin]:
    twin = make_twin()
    yield twin
    twin.close()


class Cell:
    """Drives a twin on a wall clock that is cell time plus 1,000 s, and keeps what it delivers."""

    def __init__(self, twin: LiveTwin) -> None:
        self.twin, self.sequence, self.time_s = twin, 0, 0.0
        self.reports: list[Report] = []
        self.frames: list[Frame] = []

    def run(self, seconds_s: float, slice_s: float = 0.02) -> Report:
        self.time_s = max(self.time_s, self.twin.now_s)
        until_s = self.time_s + seconds_s
        while self.time_s < until_s - 1e-9:
            self.time_s = min(self.time_s + slice_s, until_s)
            self.to(self.time_s)
        return self.reports[-1]

    def to(self, cell_s: float) -> None:
        for thing in self.twin.advance(cell_s, 1000.0 + cell_s):
            (self.frames if isinstance(thing, Frame) else self.reports).append(thing)  # type: ignore[arg-type]

    def order(
        self,
        p_m: tuple[float, float, float] | np.ndarray,
        grip_m: float = 0.08,
        hold: bool = False,
        valid_s: float = 0.2,
        decided_s: float | None = None,
    ) -> None:
        self.sequence += 1
        decided = self.twin.now_s if decided_s is None else decided_s
        command = Command(np.array(p_m, float), 0.0, grip_m)
        order = Order(self.sequence, decided, command, hold, valid_s)
        self.twin.receive(order, 1000.0 + self.time_s)

    def stream(self, p_m: tuple[float, float, float], seconds_s: float, **more: float) -> Report:
        for _ in range(round(seconds_s / 0.02)):
            self.order(p_m, **more)  # type: ignore[arg-type]
            self.run(0.02)
        return self.reports[-1]


@pytest.mark.parametrize("task", ["reach", "lift"])
def test_a_seed_puts_up_the_very_start_of_the_episode_in_process(task: str) -> None:
    env, twin = make_env(task), make_twin(task)
    cell = Cell(twin)
    for seed in (3, 11, 3):
        cell.stream((0.5, 0.1, 0.2), 0.1)
        observation = env.reset(seed)
        ignored_s = twin.reset(seed)
        assert ignored_s < twin.now_s <= ignored_s + DT_S + 1e-9
        cell.to(twin.now_s)
        report = cell.reports[-1]
        assert np.array_equal(report.arm.q_rad, env.arm_state().q_rad)
        assert np.array_equal(report.arm.target_p_BT_m, env.arm_state().target_p_BT_m)
        assert report.arm.target_gripper_m == env.arm_state().target_gripper_m
        for name, (p_m, quat) in env.truth().bodies.items():
            assert np.array_equal(report.truth.bodies[name][0], p_m)
            assert np.array_equal(report.truth.bodies[name][1], quat)
        for frame in cell.frames[-2:]:
            assert np.array_equal(frame.pixels, observation.images[frame.camera])
        assert report.order == 0 and report.holding and not report.fault
    env.close()
    twin.close()


def test_time_in_slices_is_time_in_one_go() -> None:
    seen = []
    for slice_s in (DT_S, 0.0131, 0.05):
        twin = make_twin(sensor_delay_s=0.03, actuation_delay_s=0.02)
        cell = Cell(twin)
        for k in range(5):
            cell.order((0.45 + 0.02 * k, 0.0, 0.2))
            cell.run(24 * DT_S, slice_s)
        pixels = [frame.pixels.tobytes() for frame in cell.frames]
        stamps = [thing.stamp_s for thing in cell.frames]
        seen.append((pixels, stamps, [report.q.tobytes() for report in cell.reports]))
        twin.close()
    assert seen[0] == seen[1] == seen[2]


def test_frames_and_reports_keep_their_rates_and_no_stamp_is_of_the_future(twin: LiveTwin) -> None:
    cell = Cell(twin)
    for until_s in np.arange(0.0, 2.0, 0.0173):
        cell.to(until_s)
        assert twin.now_s <= until_s + 1e-5
        assert all(frame.stamp_s <= until_s + 1e-5 for frame in cell.frames)
    for name in RIG.cameras:
        stamps = np.array([frame.stamp_s for frame in cell.frames if frame.camera == name])
        assert len(stamps) == pytest.approx(60, abs=1)
        assert (np.diff(stamps) > 0.0).all()
        assert np.abs(stamps - np.arange(len(stamps)) / 30.0).max() <= DT_S + 1e-9
    stamps = np.array([report.arm.stamp_s for report in cell.reports])
    assert len(stamps) == pytest.approx(100, abs=1)
    assert np.abs(stamps - np.arange(len(stamps)) / 50.0).max() <= DT_S + 1e-9


def test_a_late_picture_is_one_of_the_past() -> None:
    prompt, late = make_twin(), make_twin(sensor_delay_s=0.1)
    cells = [Cell(prompt), Cell(late)]
    for cell in cells:
        cell.stream((0.5, 0.1, 0.15), 0.4)
    assert len(cells[1].frames) == len(cells[0].frames) - 2 * 3
    for now, then in zip(cells[0].frames, cells[1].frames, strict=False):
        assert now.stamp_s == then.stamp_s and np.array_equal(now.pixels, then.pixels)
    prompt.close()
    late.close()


@pytest.mark.parametrize("delay_s", [0.0, 0.06])
def test_an_order_is_obeyed_after_the_actuation_delay(delay_s: float) -> None:
    twin = make_twin(actuation_delay_s=delay_s)
    cell = Cell(twin)
    cell.run(0.1)
    arrived_s = twin.now_s
    cell.stream((0.5, 0.0, 0.2), 0.2)
    first = next(report for report in cell.reports if report.order > 0)
    assert first.arm.stamp_s == pytest.approx(arrived_s + delay_s, abs=0.02 + DT_S)
    assert first.arm.stamp_s >= arrived_s + delay_s - 1e-9
    assert first.arm.target_p_BT_m == pytest.approx([0.5, 0.0, 0.2])
    assert not first.holding
    twin.close()


def test_the_target_is_what_was_commanded_last_while_the_motors_do_not_know_it_yet() -> None:
    """As in the twin that waits: steps add up on what was commanded (docs/twin.md, Delays)."""
    twin = make_twin(actuation_delay_s=0.1)
    cell = Cell(twin)
    cell.stream((0.5, 0.0, 0.2), 0.3)
    cell.order((0.55, 0.0, 0.2), grip_m=0.03)
    told = cell.run(0.04)
    assert told.order < cell.sequence, "it has arrived: this test proves nothing"
    assert told.arm.target_p_BT_m == pytest.approx([0.55, 0.0, 0.2])
    assert told.arm.target_gripper_m == 0.03
    cell.order((9.0, 9.0, 9.0), grip_m=0.03, hold=True)
    assert cell.run(0.04).arm.target_p_BT_m[0] < 0.6, "a hold has no goal"
    twin.close()


@pytest.mark.parametrize(
    ("valid_s", "holds_after_s"),
    [(0.2, 0.2), (0.1, 0.1), (1e9, LONGEST_VALID_S), (math.nan, 0.0), (-1.0, 0.0)],
)
def test_the_arm_holds_by_itself_when_it_hears_nothing(
    twin: LiveTwin, valid_s: float, holds_after_s: float
) -> None:
    cell = Cell(twin)
    cell.stream((0.5, 0.0, 0.2), 0.3)
    cell.order((0.62, 0.0, 0.2), grip_m=0.03, valid_s=valid_s)
    cell.run(0.0 if holds_after_s == 0.0 else holds_after_s - 0.03)
    heard = cell.reports[-1]
    if holds_after_s > 0.0:
        assert not heard.holding
    silent = cell.run(0.1)
    assert silent.holding and silent.order == cell.sequence and not silent.fault
    assert silent.arm.target_gripper_m == 0.03
    later = cell.run(2.0)
    assert np.linalg.norm(later.arm.p_BT_m - silent.arm.target_p_BT_m) < 0.01
    assert np.abs(later.dq).max() < 0.05
    moving = cell.stream((0.5, 0.0, 0.2), 0.5)
    assert not moving.holding, "the next order did not wake it"


def test_before_the_first_order_there_is_no_silence_to_miss(twin: LiveTwin) -> None:
    report = Cell(twin).run(2.0)
    assert report.holding and report.order == 0 and not report.fault


def test_a_hold_keeps_the_grip_and_does_not_creep_however_often_it_is_said(twin: LiveTwin) -> None:
    cell = Cell(twin)
    cell.stream((0.5, 0.05, 0.15), 0.6, grip_m=0.05)
    held = cell.stream((9.0, 9.0, 9.0), 0.1, grip_m=0.02, hold=True)
    assert held.holding and held.arm.target_gripper_m == 0.02
    later = cell.stream((9.0, 9.0, 9.0), 3.0, grip_m=0.02, hold=True)
    assert np.array_equal(later.arm.target_p_BT_m, held.arm.target_p_BT_m)
    assert np.linalg.norm(later.arm.p_BT_m - held.arm.p_BT_m) < 0.002


@pytest.mark.parametrize("goal", [(2.0, 0.0, 0.2), (math.nan, 0.0, 0.2), (0.5, math.inf, 0.2)])
def test_what_the_arm_cannot_do_is_a_fault_in_words(twin: LiveTwin, goal: tuple) -> None:
    cell = Cell(twin)
    cell.stream((0.5, 0.0, 0.2), 0.2)
    cell.order(goal)
    wrong = cell.run(0.05)
    assert wrong.holding and ("out of reach" in wrong.fault or "finite" in wrong.fault)
    assert np.isfinite(wrong.arm.target_p_BT_m).all()
    held = cell.stream((0.5, 0.0, 0.2), 0.3, hold=True)
    assert held.fault == wrong.fault, "it was gone before anybody could see it"
    assert cell.stream((0.5, 0.0, 0.2), 0.3, hold=True).fault == ""
    assert not cell.stream((0.5, 0.0, 0.2), 0.1).holding


def test_what_was_decided_before_a_reset_is_not_obeyed_after_it() -> None:
    twin = make_twin(actuation_delay_s=0.05)
    cell = Cell(twin)
    cell.stream((0.5, 0.1, 0.1), 0.3)
    cell.order((0.6, 0.2, 0.1))  # still on its way when the scene changes
    ignored_s = twin.reset(4)
    start = cell.run(0.02)
    for decided_s in (ignored_s - 0.1, ignored_s):
        cell.order((0.6, 0.2, 0.1), decided_s=decided_s)
        after = cell.run(0.1)
        assert after.order == 0 and after.holding
        assert np.array_equal(after.arm.target_p_BT_m, start.arm.target_p_BT_m)
    cell.order((0.5, 0.0, 0.2), decided_s=ignored_s + 0.001)
    assert cell.run(0.1).order == cell.sequence
    assert cell.reports[-1].arm.stamp_s > ignored_s
    twin.close()


def test_a_reset_may_come_when_the_twin_is_behind_and_forgets_what_was_decided_since(
    twin: LiveTwin,
) -> None:
    cell = Cell(twin)
    cell.run(0.5)
    assert twin.reset(2, twin.now_s + 0.1) == pytest.approx(0.6, abs=0.01)
    cell.order((0.5, 0.2, 0.2), decided_s=0.55)
    assert cell.run(0.1).order == 0
    assert twin.reset(2, 0.2) == pytest.approx(twin.now_s, abs=2 * DT_S), "time went back"


def test_a_reset_is_one_instant_with_no_picture_of_the_scene_before() -> None:
    twin = make_twin(sensor_delay_s=0.2)
    cell = Cell(twin)
    cell.run(1.0)
    before_s = twin.now_s
    at_s = twin.reset(8)
    count = len(cell.frames)
    cell.run(0.5)
    assert at_s == before_s
    assert all(frame.stamp_s > at_s for frame in cell.frames[count:])
    assert len(cell.frames) > count
    stamps = [frame.stamp_s for frame in cell.frames if frame.camera == "third"]
    assert (np.diff(stamps) > 0.0).all()
    twin.close()


def test_noise_has_the_size_asked_for_and_a_seed() -> None:
    clean, noisy, again = (
        make_twin(),
        *(make_twin(pixel_noise=4.0, joint_noise_rad=0.002) for _ in "ab"),
    )
    cells = [Cell(clean), Cell(noisy), Cell(again)]
    for cell in cells:
        cell.run(0.5)
    grey = np.abs(cells[0].frames[0].pixels.astype(int) - 128) < 100  # where nothing is cut off
    parted = np.subtract(*(c.frames[0].pixels.astype(int) for c in cells[:2]))[grey]
    assert np.std(parted) == pytest.approx(4.0, rel=0.1) and abs(parted.mean()) < 0.3
    joints = np.array([report.arm.q_rad for report in cells[1].reports])
    assert joints.std(axis=0) == pytest.approx([0.002] * 7, rel=0.6)
    assert np.array_equal(cells[1].reports[-1].q, cells[2].reports[-1].q)
    assert np.array_equal(cells[1].frames[-1].pixels, cells[2].frames[-1].pixels)
    # Joints and tip of one report tell the same story: both are what the encoders say.
    report = cells[1].reports[-1]
    assert np.array_equal(report.arm.p_BT_m, noisy.stage.arm.measured(report.q, report.dq).p_BT_m)
    for twin in (clean, noisy, again):
        twin.close()


@pytest.mark.parametrize("delay_s", [0.0, 0.03])
def test_the_demonstrator_lifts_the_cube_while_time_goes_by(delay_s: float) -> None:
    twin = make_twin(sensor_delay_s=delay_s, actuation_delay_s=delay_s)
    cell, scaler = Cell(twin), ActionScaler(RIG.action)
    view = SimpleNamespace(
        twin=twin.stage.twin,
        rig=RIG,
        task=twin.stage.task,
        truth=twin.stage.truth,
        arm_state=twin.stage.arm.state,
    )
    for seed in range(3):
        twin.reset(seed)
        expert = Demonstrator(view, noise=0.0)  # type: ignore[arg-type]
        reached = []
        for _ in range(60):
            arm = twin.stage.arm.state()
            want = scaler.to_command(expert.act(None), arm)  # type: ignore[arg-type]
            for _ in range(5):
                cell.order(want.p_BT_m, want.gripper_m)
                cell.run(0.02)
            reached.append(cell.reports[-1].at_goal)
            if all(reached[-5:]) and len(reached) >= 5:
                break
        assert all(reached[-5:]), f"seed {seed}"
    twin.close()


def test_the_truth_in_a_report_is_free_of_noise() -> None:
    twin = make_twin(joint_noise_rad=0.05)
    report = twin.report()
    assert report.at_goal is False and set(report.truth.bodies) == {"cube"}
    quiet = replace(report, arm=twin.stage.arm.state())
    assert np.linalg.norm(quiet.arm.p_BT_m - report.arm.p_BT_m) > 1e-4
    assert np.array_equal(report.truth.p_BT_m, quiet.arm.p_BT_m), "who demonstrates goes by it"
    twin.close()


def test_the_shipped_settings_are_the_defaults_and_every_one_of_them() -> None:
    assert load(LiveSettings, "node/twin") == LiveSettings()
    content, _ = read("node/twin")
    assert set(content) == set(LiveSettings.model_fields)
