"""The twin beside an arm, over ROS: quiet while it does as told, and a hold when it is stuck."""

import numpy as np
import pytest
from graph import NO_ROS, Graph

pytest.importorskip("handful.msg", reason=NO_ROS)

from handful.contract import ArmState as State
from handful.msg import Action, ArmState, Divergence, GuardState
from handful.wire import messages

START_M = (0.46, 0.0, 0.2)


def stuck_arm() -> ArmState:
    """An arm that is at the start and stays there; stamped when it is said."""
    state = State(
        stamp_s=0.0,
        p_BT_m=np.array(START_M),
        yaw_rad=0.0,
        gripper_m=0.05,
        v_BT_m_s=np.zeros(3),
        q_rad=np.zeros(0),
        target_p_BT_m=np.array(START_M),
        target_yaw_rad=0.0,
        target_gripper_m=0.05,
    )
    return messages.to_arm_state(state, command=1, fault="")


def test_an_arm_that_does_not_go_where_its_twin_goes_is_held(ros: Graph) -> None:
    ros.start("shadow_node", shadow={"hold_m": 0.03})
    patient = {"max_arm_silence_s": 5.0, "max_camera_silence_s": 0.0, "max_action_silence_s": 3.0}
    ros.start("guard_node", guard={**patient, "start_ready": True})
    seen = ros.listen("shadow/divergence", Divergence)
    states = ros.listen("guard/state", GuardState)
    arm = ros.talk("arm/state", ArmState, listeners=2)
    arm.repeat(stuck_arm(), 50.0)
    states.wait_for(lambda m: m.mode == GuardState.READY, "the guard to be ready", 20.0)
    quiet = seen.wait(10, 40.0)
    assert max(d.ahead_m for d in quiet) < 0.01, "it stands where it is told to stand"
    assert states.last.mode == GuardState.READY

    states.forget()
    # It is told to go, its target runs ahead, and it does not move.
    actions = ros.talk("script/action", Action, listeners=1)
    actions.repeat(Action(source="script", values=[0.0, 0.6, 0.0, 0.0]), 10.0)
    held = states.wait_for(lambda m: m.mode == GuardState.HELD, "the guard to hold", 30.0)
    assert held.reason.startswith("shadow: the arm is "), held.reason
    assert "from where its twin went in 0.5 s" in held.reason
    assert any(d.ahead_m > 0.03 and d.steps_ahead == 5 for d in seen.messages)
