"""``TopicCamera`` passes the contract of all cameras, over a real master."""

from pathlib import Path

import pytest
from graph import NO_ROS, Graph
from own_process import run_checks

pytest.importorskip("handful.msg", reason=NO_ROS)


def test_a_topic_is_a_camera(ros: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ros.env.items():  # rospy starts once a process, and asks its environment
        monkeypatch.setenv(name, value)
    run_checks(Path(__file__).with_name("topic_camera_checks.py"), timeout_s=120.0)
