"""A task with a moving part behind the topics: named by a parameter, drawn part by part."""

import pytest
from graph import NO_ROS, Graph

pytest.importorskip("handful.msg", reason=NO_ROS)

from handful_twin import make_env
from visualization_msgs.msg import MarkerArray

from handful.srv import Reset


def test_a_drawer_is_drawn_with_all_its_parts(ros: Graph) -> None:
    node = ros.start(
        "twin_node", "scene/reset:=drawer/reset", name="drawer_twin", task_name="drawer"
    )
    ros.wait_for_service("drawer/reset")
    assert ros.call("drawer/reset", Reset, 12).success
    ear = ros.listen("markers", MarkerArray)
    seen = {marker.ns: marker for marker in ear.wait(2)[-1].markers}
    ear.close()
    env = make_env("drawer")
    env.reset(12)
    shapes = env.world.shapes
    assert len(seen) == len(shapes["cabinet"]) + len(shapes["drawer"])
    bar = seen["drawer_1"]
    assert [bar.scale.x, bar.scale.y, bar.scale.z] == pytest.approx(shapes["drawer"][1].size_m)
    where = env.truth().p_m("drawer") + shapes["drawer"][1].centre_m
    p = bar.pose.position
    assert [p.x, p.y, p.z] == pytest.approx(where, abs=1e-3)
    env.close()
    assert node.stop() == 0
