"""What RViz is told: the box's edges, the target's place, and a colour for every verdict."""

import itertools

import numpy as np
import pytest
from graph import NO_ROS, Graph

pytest.importorskip("handful.msg", reason=NO_ROS)

from geometry_msgs.msg import Point
from visualization_msgs.msg import Marker, MarkerArray

from handful.msg import ArmState, GuardState, Verdict
from handful.rig.guard import Status
from handful.rig.settings import GuardSettings
from handful.wire import markers, messages

BOX = GuardSettings(workspace_min_m=(0.3, -0.2, 0.0), workspace_max_m=(0.6, 0.2, 0.5))
READY = GuardState(mode=GuardState.READY)


def verdict(status: int) -> Verdict:
    return Verdict(status=status, source="agent", reason="because")


def test_the_workspace_is_drawn_by_its_twelve_edges() -> None:
    marker = markers.workspace(BOX, 5.0)
    assert marker.type == Marker.LINE_LIST and marker.header.frame_id == messages.BASE_FRAME
    points = np.array([[p.x, p.y, p.z] for p in marker.points])
    edges = points.reshape(-1, 2, 3)
    assert len(edges) == 12
    lengths_m = sorted(np.abs(edges[:, 1] - edges[:, 0]).sum(axis=1))
    assert lengths_m == pytest.approx(sorted([0.3] * 4 + [0.4] * 4 + [0.5] * 4))
    corners = {tuple(np.round(p, 6)) for p in points}
    assert corners == set(itertools.product((0.3, 0.6), (-0.2, 0.2), (0.0, 0.5)))


def test_the_target_is_where_the_arm_says_and_as_wide_as_it_shall_open() -> None:
    state = ArmState(target=messages.pose([0.5, 0.1, 0.2], 0.3), target_yaw_rad=0.3)
    state.target_gripper_m = 0.06
    ball, fingers = markers.target(state, markers.GREEN)
    for marker in (ball, fingers):
        where = marker.pose.position
        assert [where.x, where.y, where.z] == [0.5, 0.1, 0.2]
    assert fingers.scale.y == 0.06
    _, yaw_rad = messages.position_yaw(fingers.pose)
    assert yaw_rad == pytest.approx(0.3)
    state.target_gripper_m = 0.0
    assert markers.target(state, markers.GREEN)[1].scale.y > 0.0, "rviz draws nothing of size 0"


def test_everything_is_in_the_frame_that_the_arm_calls_its_base() -> None:
    """A UR's is base_link: in a Panda's frame nothing would be shown."""
    state = ArmState(target=messages.pose([0.5, 0.1, 0.2], 0.0))
    assert {m.header.frame_id for m in markers.target(state, markers.RED)} == {messages.BASE_FRAME}
    state.header.frame_id = "base_link"
    drawn = [
        *markers.target(state, markers.RED),
        markers.workspace(BOX, 0.0, "base_link"),
        markers.verdict_text(READY, None, Point(0.5, 0.0, 0.7), 0.0, "base_link"),
    ]
    assert {marker.header.frame_id for marker in drawn} == {"base_link"}


def test_the_node_draws_in_the_frame_of_the_arm_it_hears(ros: Graph) -> None:
    ros.start("markers_node")
    arm = ros.talk("arm/state", ArmState, latch=True, listeners=1)
    state = ArmState(target=messages.pose([0.5, 0.1, 0.2], 0.0))
    state.header.frame_id = "base_link"
    arm.say(state)
    ear = ros.listen("markers", MarkerArray)
    heard = ear.wait_for(lambda array: any(m.ns == "target" for m in array.markers))
    assert {m.header.frame_id for m in heard.markers} == {"base_link"}
    ear.close()


def test_every_status_has_a_colour_and_only_ok_is_green() -> None:
    assert set(markers.COLOURS) == set(messages.STATUS) >= {status.value for status in Status}
    green = [n for n in messages.STATUS.values() if markers.verdict_rgb(READY, verdict(n)) == (
        markers.GREEN)]  # fmt: skip
    assert green == [Verdict.OK]


def test_what_stands_over_the_box_is_the_mode_unless_something_may_move() -> None:
    above = Point(0.5, 0.0, 0.7)
    held = GuardState(mode=GuardState.HELD, reason="camera third fell silent")
    stopped = GuardState(mode=GuardState.STOPPED, reason="keyboard: stop")
    moving = verdict(Verdict.SLOWED)
    assert markers.verdict_text(held, moving, above, 0.0).text == "HELD: camera third fell silent"
    assert markers.verdict_text(stopped, moving, above, 0.0).text == "STOPPED: keyboard: stop"
    assert markers.verdict_text(READY, moving, above, 0.0).text == "agent: slowed, because"
    assert markers.verdict_text(READY, None, above, 0.0).text == "ready"
    assert markers.verdict_text(None, None, above, 0.0).text == "no guard heard"
    assert markers.verdict_rgb(stopped, moving) == markers.RED
    assert markers.verdict_rgb(held, moving) == markers.verdict_rgb(None, None) == markers.GREY
    assert markers.verdict_text(READY, verdict(77), above, 0.0).text == "agent: ?, because"


def test_a_thing_is_a_box_at_its_pose() -> None:
    quat = np.array([0.0, 0.0, 0.6, 0.8])
    cube = markers.box(
        "cube", (0.04, 0.05, 0.06), (0.8, 0.1, 0.1), np.array([1.0, 2, 3]), quat, 1.5
    )
    assert (cube.ns, cube.type, cube.scale.y) == ("cube", Marker.CUBE, 0.05)
    assert (cube.pose.position.y, cube.pose.orientation.z) == (2.0, 0.6)
    assert messages.seconds(cube.header.stamp) == 1.5
