"""``TopicCamera`` passes the contract of all cameras, over a real master."""

import sys
from pathlib import Path

import pytest
from graph import NO_ROS, ROOT, Graph

pytest.importorskip("handful.msg", reason=NO_ROS)


def test_a_topic_is_a_camera(ros: Graph) -> None:
    checks = str(Path(__file__).with_name("topic_camera_checks.py"))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", checks]
    process = ros.run("checks", [*command, f"--rootdir={ROOT}", "-c", str(ROOT / "pyproject.toml")])
    assert process.wait(90.0) == 0, process.output()
    assert " passed" in process.output() and "skipped" not in process.output()
