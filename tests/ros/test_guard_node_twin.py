"""Guard and twin over a real graph: after a reset of the scene the two agree to the bit."""

import time

import pytest
from graph import NO_ROS, Graph

pytest.importorskip("handful.msg", reason=NO_ROS)

from handful.msg import Action, ArmState, Command, GuardState, Verdict
from handful.srv import Reset


def numbers(pose) -> tuple[float, ...]:
    return pose.position.x, pose.position.y, pose.position.z


@pytest.fixture(scope="module")
def cell(ros: Graph) -> Graph:
    ros.start("guard_node", guard={"start_ready": True})
    ros.start("twin_node")
    ros.listen("guard/state", GuardState).wait_for(lambda m: m.mode == GuardState.READY, "ready")
    return ros


def test_after_every_reset_the_target_is_the_twin_s_own_exactly(cell: Graph) -> None:
    states, commands = cell.listen("arm/state", ArmState), cell.listen("guard/command", Command)
    verdicts = cell.listen("guard/verdict", Verdict)
    actions = cell.talk("agent/action", Action, listeners=1)
    before = None
    for seed in range(6):
        actions.repeat(Action(source="agent", values=[1.0, 0.5 * (-1) ** seed, -0.3, 0.0]), 10.0)
        verdicts.forget()
        verdicts.wait(5)
        actions.hush()
        actions.say(Action(rest=True))
        verdicts.wait_for(lambda m: m.reason == "rests", "the rest")
        assert cell.call("scene/reset", Reset, seed).success
        states.forget()
        first = states.wait(1)[0]
        put = numbers(first.target)
        assert put != before, "another scene, another start"
        time.sleep(0.3)
        assert numbers(states.last.target) == put, "no old command pulled it away"
        assert states.last.command > 0, "it obeys again"
        assert numbers(commands.last.tool) == put and not commands.last.hold
        assert commands.last.gripper_m == first.target_gripper_m
        before = put


def test_a_scene_that_is_reset_under_a_mover_is_not_dragged_back(cell: Graph) -> None:
    """Nobody rested; without more ado the next command would lead to where the arm was before."""
    states, guard = cell.listen("arm/state", ArmState), cell.listen("guard/state", GuardState)
    actions = cell.talk("agent/action", Action, listeners=1)
    actions.repeat(Action(source="agent", values=[0.0, 0.0, 0.0, 0.0]), 10.0)
    cell.wait_until(lambda: guard.last.source == "agent", "the agent to move")
    assert cell.call("scene/reset", Reset, 11).success
    states.forget()
    put = numbers(states.wait(1)[0].target)
    time.sleep(0.5)
    actions.hush()
    far_m = max(abs(a - b) for a, b in zip(numbers(states.last.tool), put, strict=True))
    print(f"{far_m:.3f} m from the start of the scene; {guard.last.mode} {guard.last.reason}")
    assert far_m < 0.02
