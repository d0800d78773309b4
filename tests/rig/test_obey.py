"""Follow or stand still: every reason, its words, and the way back from it."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handful.contract import Command
from handful.rig.approach import distance
from handful.rig.arm_settings import ObeySettings
from handful.rig.obey import Duty, Obey, Told, pose_down

HERE = Command(np.array([0.4, 0.0, 0.2]), 0.1, 0.05)
X_HERE = pose_down(HERE)
SETTINGS = ObeySettings()


def told(step_m: float = 0.0, **changes: object) -> Told:
    goal = replace(HERE, p_BT_m=HERE.p_BT_m + [step_m, 0.0, 0.0])
    return replace(Told(1, goal, False, 0.2, "", "base", "/guard"), **changes)  # type: ignore[arg-type]


class Bench:
    """An Obey with a clock, and an arm that is where the test says."""

    def __init__(self) -> None:
        self.obey, self.now_s, self.sequence = Obey(SETTINGS, "base"), 50.0, 0
        self.X_BT, self.age_s, self.fault, self.obstacle = X_HERE, 0.0, "", ""

    def hear(self, what: Told) -> None:
        self.sequence += 1
        self.obey.hear(replace(what, sequence=self.sequence), self.now_s)

    def beat(self, dt_s: float = 0.01) -> Duty:
        self.now_s += dt_s
        return self.obey.beat(self.X_BT, self.age_s, self.fault, self.obstacle, self.now_s)

    def follow(self, what: Told | None = None) -> Duty:
        self.hear(what or told())
        duty = self.beat()
        assert duty.follow, duty
        return duty


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_it_stands_until_the_first_command_and_that_is_no_fault(bench: Bench) -> None:
    duty = bench.beat()
    assert not duty.follow and duty.began and not duty.fault
    assert duty.reason == "no command was heard yet"
    assert np.array_equal(duty.goal_X_BT, X_HERE)
    assert not bench.beat().began
    assert bench.obey.sequence == 0


def test_it_follows_the_newest_command(bench: Bench) -> None:
    bench.hear(told(0.01))
    duty = bench.follow(told(0.02))
    assert duty.goal_X_BT == pytest.approx(pose_down(told(0.02).goal))
    assert duty.gripper_m == 0.05 and bench.obey.sequence == 2 and not duty.reason


def test_a_hold_is_captured_once_where_it_begins(bench: Bench) -> None:
    bench.follow()
    bench.hear(told(hold=True, reason="the camera froze"))
    first = bench.beat()
    assert first.began and first.reason == "the camera froze" and not first.fault
    bench.X_BT = pose_down(told(0.03).goal)
    bench.hear(told(hold=True))
    later = bench.beat()
    assert not later.began and np.array_equal(later.goal_X_BT, X_HERE)
    bench.follow(told(0.03))
    bench.hear(told(hold=True))
    again = bench.beat()
    assert again.began and np.array_equal(again.goal_X_BT, bench.X_BT)


@pytest.mark.parametrize(("valid_s", "allowed_s"), [(0.05, 0.05), (0.2, 0.2), (9.0, 0.2)])
def test_silence_holds_after_the_shorter_of_two_patiences(
    bench: Bench, valid_s: float, allowed_s: float
) -> None:
    bench.follow(told(valid_s=valid_s))
    assert bench.beat(allowed_s - 0.011).follow
    duty = bench.beat(0.002)
    assert not duty.follow and duty.began
    assert duty.fault == f"guard/command is silent for more than {allowed_s} s"
    assert bench.follow(told(0.01)).follow


def test_silence_after_a_hold_is_said_and_the_pose_stays(bench: Bench) -> None:
    bench.follow()
    bench.hear(told(hold=True))
    bench.beat()
    bench.X_BT = pose_down(told(0.02).goal)
    duty = bench.beat(1.0)
    assert "silent" in duty.fault and not duty.began
    assert np.array_equal(duty.goal_X_BT, X_HERE)


@pytest.mark.parametrize("step_m", [0.099, -0.099])
def test_a_near_goal_starts_it(bench: Bench, step_m: float) -> None:
    assert bench.follow(told(step_m))


@pytest.mark.parametrize("step_m", [0.101, -0.101, 3.0])
def test_a_far_goal_does_not(bench: Bench, step_m: float) -> None:
    bench.hear(told(step_m))
    duty = bench.beat()
    assert not duty.follow
    assert f"refused a goal {abs(step_m):.3f} m" in duty.fault and "measured" in duty.fault
    assert np.array_equal(duty.goal_X_BT, X_HERE)
    bench.follow(told(0.05))


@pytest.mark.parametrize(("turn_rad", "near"), [(0.29, True), (0.31, False), (-0.31, False)])
def test_a_far_turn_does_not_either(bench: Bench, turn_rad: float, near: bool) -> None:
    bench.hear(told(goal=replace(HERE, yaw_rad=HERE.yaw_rad + turn_rad)))
    assert bench.beat().follow is near


def test_in_motion_a_goal_is_compared_with_the_last_one(bench: Bench) -> None:
    for step_m in (0.09, 0.18, 0.27):  # the arm lags behind, and that is no jump
        assert bench.follow(told(step_m)).follow
    bench.hear(told(0.16))
    duty = bench.beat()
    assert not duty.follow and "0.110 m" in duty.fault and "the last one" in duty.fault


def test_whole_turns_of_yaw_are_no_jump(bench: Bench) -> None:
    assert bench.follow(told(goal=replace(HERE, yaw_rad=HERE.yaw_rad + 2 * math.pi)))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"goal": replace(HERE, p_BT_m=np.array([math.nan, 0.0, 0.2]))}, "must be finite"),
        ({"goal": replace(HERE, yaw_rad=math.inf)}, "must be finite"),
        ({"goal": replace(HERE, gripper_m=-math.inf)}, "must be finite"),
        ({"valid_s": math.nan}, "must be finite"),
        ({"valid_s": 0.0}, "valid_s must be above 0, got 0.0"),
        ({"valid_s": -1.0}, "valid_s must be above 0, got -1.0"),
        ({"frame_id": "camera"}, "its frame is 'camera', expected 'base'"),
        ({"frame_id": "camera", "hold": True}, "its frame is 'camera'"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    bench: Bench, change: dict[str, object], sentence: str
) -> None:
    bench.follow()
    bench.hear(told(**change))
    duty = bench.beat()
    assert not duty.follow and sentence in duty.fault and "from /guard" in duty.fault


@pytest.mark.parametrize("frame_id", ["", "base", "/base"])
def test_these_are_frames_of_the_base(bench: Bench, frame_id: str) -> None:
    assert bench.follow(told(frame_id=frame_id))


def test_two_senders_hold_it_until_one_is_silent(bench: Bench) -> None:
    bench.follow()
    bench.hear(told(sender="/other"))
    duty = bench.beat()
    assert duty.fault == "two nodes publish guard/command: /guard and /other"
    bench.now_s += 0.21
    assert bench.follow()


@pytest.mark.parametrize("age_s", [0.151, 5.0, math.inf])
def test_an_old_state_holds_it_where_it_is_not_known(bench: Bench, age_s: float) -> None:
    bench.follow()
    bench.age_s = age_s
    bench.hear(told())
    duty = bench.beat()
    assert not duty.follow and duty.began and "the arm's state" in duty.fault
    assert duty.goal_X_BT is None, "a pose from back then is no place to hold at"
    bench.age_s = 0.0
    assert bench.follow()


def test_a_state_that_was_never_heard_of(bench: Bench) -> None:
    bench.X_BT, bench.age_s = None, math.inf  # type: ignore[assignment]
    bench.hear(told())
    assert bench.beat().fault == "the arm's state was never heard of"


def test_a_fault_is_latched_until_a_person_clears_it(bench: Bench) -> None:
    bench.follow()
    bench.fault = "reflex"
    duty = bench.beat()
    assert not duty.follow and duty.began and duty.fault == "reflex"
    assert "still reports: reflex" in bench.obey.clear("reflex")
    bench.fault = ""
    for _ in range(100):
        bench.hear(told())
        assert bench.beat().fault == "reflex"
    assert bench.obey.clear("") == ""
    assert bench.follow()


def test_the_first_fault_is_the_one_that_is_told(bench: Bench) -> None:
    bench.fault = "reflex"
    bench.beat()
    bench.fault = "reflex, then more"
    assert bench.beat().fault == "reflex"


def test_an_obstacle_lasts_as_long_as_it_lasts(bench: Bench) -> None:
    bench.follow()
    bench.obstacle = "nobody listens"
    assert bench.beat().fault == "nobody listens"
    bench.obstacle = ""
    assert bench.follow()


def test_a_goal_the_arm_cannot_follow_is_not_tried_again(bench: Bench) -> None:
    bench.follow(told(0.05))
    bench.obey.refuse("out of reach")
    for _ in range(5):
        bench.hear(told(0.05))
        assert bench.beat().fault == "out of reach"
    assert bench.follow(told(0.04))
    bench.obey.refuse("out of reach")
    bench.hear(told(0.04, hold=True))
    assert not bench.beat().fault
    assert bench.follow(told(0.04))


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["hear", "hold", "far", "bad", "other", "fault", "clear", "quiet", "old"]),
        st.floats(0.0, 0.3),
    ),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(EVENTS)
def test_whatever_happens_it_follows_only_what_is_fresh_near_and_allowed(
    events: list[tuple[str, float]],
) -> None:
    bench = Bench()
    last: np.ndarray | None = None
    for what, wait_s in events:
        bench.age_s = 0.0
        bench.fault = "reflex" if what == "fault" else ""
        if what in ("hear", "hold", "far", "bad", "other"):
            changes: dict[str, object] = {"hold": what == "hold"}
            if what == "other":
                changes["sender"] = "/other"
            if what == "bad":
                changes["valid_s"] = math.nan
            bench.hear(told(0.5 if what == "far" else 0.02, **changes))
        elif what == "clear":
            bench.obey.clear("")
        elif what == "old":
            bench.age_s = 1.0
        duty = bench.beat(wait_s)
        if duty.follow:
            assert what not in ("fault", "old", "bad", "hold", "far")
            assert wait_s <= 0.2 or what == "clear" and wait_s <= 0.2
            assert duty.goal_X_BT is not None
            assert distance(X_HERE if last is None else last, duty.goal_X_BT)[0] <= 0.1
            last = duty.goal_X_BT
        else:
            assert duty.reason and duty.gripper_m is None
            last = None
