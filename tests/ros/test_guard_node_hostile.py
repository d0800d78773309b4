"""Hostile actions through the running guard: not one command outside the limits leaves it.

HANDFUL_HOSTILE is how many (15,000 by default, for seconds; the full proof is 100,000).
"""

import json
import os
from pathlib import Path

import pytest
from graph import NO_ROS, Graph

pytest.importorskip("handful.msg", reason=NO_ROS)

FUZZ = Path(__file__).with_name("guard_fuzz.py")
COUNT = int(os.environ.get("HANDFUL_HOSTILE", "15000"))


@pytest.mark.timeout(1200)
@pytest.mark.flaky(reruns=0)  # once outside a limit is once too often
def test_hostile_actions_never_reach_the_arm(ros: Graph) -> None:
    guard = ros.start("guard_node", guard={"max_bad_actions": 1000})
    fuzz = ros.start_script(FUZZ, str(COUNT), "1", name="fuzz")
    assert fuzz.wait(1000.0) == 0, fuzz.output()
    report = json.loads(fuzz.output().strip().splitlines()[-1])
    print(report)
    assert report["broken"] == []
    assert report["sent"] == report["verdicts"] == COUNT, "every action has its verdict"
    assert len(report["by_status"]) >= 5, "all kinds of answers; a wall is not always reached"
    assert report["way_m"] > 0.3, "the arm did move"
    assert guard.running, guard.output()
