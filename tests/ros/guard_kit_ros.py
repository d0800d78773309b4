"""What the tests of the running guard share: the guard, an arm that stands, cameras that see."""

from collections.abc import Callable
from typing import Any

from graph import Graph, Process
from sensor_msgs.msg import CameraInfo

from handful.contract import ArmState, Command
from handful.msg import Action, GuardState, Verdict
from handful.msg import ArmState as ArmStateMessage
from handful.msg import Command as CommandMessage
from handful.srv import Halt, Resume
from handful.wire import messages

CAMERAS = ("third", "wrist")
START_M = (0.46, 0.0, 0.2)


def arm_message(p_m: Any = START_M, command: int = 1, fault: str = "") -> ArmStateMessage:
    """An arm at rest at ``p_m`` that is told to be there."""
    import numpy as np

    there = Command(np.array(p_m, float), 0.0, 0.05)
    state = ArmState(
        stamp_s=0.0,
        p_BT_m=there.p_BT_m,
        yaw_rad=0.0,
        gripper_m=0.05,
        v_BT_m_s=np.zeros(3),
        q_rad=np.zeros(7),
        target_p_BT_m=there.p_BT_m,
        target_yaw_rad=0.0,
        target_gripper_m=0.05,
    )
    return messages.to_arm_state(state, command=command, fault=fault)


class Bench:
    """One guard in one graph; the arm's and the cameras' topics are spoken by the test."""

    def __init__(self, ros: Graph, **guard: Any) -> None:
        self.ros = ros
        self.commands = ros.listen("guard/command", CommandMessage)
        self.states = ros.listen("guard/state", GuardState)
        self.verdicts = ros.listen("guard/verdict", Verdict)
        self.process: Process = ros.start("guard_node", guard=guard)
        self.arm = ros.talk("arm/state", ArmStateMessage, listeners=1)
        self.cameras = {
            name: ros.talk(f"{name}/color/camera_info", CameraInfo, listeners=1) for name in CAMERAS
        }
        self.actions = {
            source: ros.talk(f"{source}/action", Action, listeners=1)
            for source in ("agent", "teleop")
        }
        self.sequence = 0
        self.live()

    def live(self) -> None:
        """Arm and cameras speak, again and again."""
        self.arm.repeat(arm_message(), 50.0)
        for mouth in self.cameras.values():
            mouth.repeat(CameraInfo(), 30.0)

    def ready(self) -> None:
        """Back to where nothing is held and nobody moves, however it was left."""
        self.live()
        for mouth in self.actions.values():
            mouth.hush()
        self.ros.call("guard/hold", Halt, "between two tests")
        self.ros.wait_until(self._resumed, "the guard to let itself be resumed", 5.0)
        self.until(lambda s: s.mode == GuardState.READY and not s.source, "a guard at rest")

    def _resumed(self) -> bool:
        return bool(self.ros.call("guard/resume", Resume, "Ada").success)

    @property
    def state(self) -> GuardState:
        return self.states.last

    def act(self, rate_hz: float = 10.0, source: str = "agent", values: Any = (0, 0, 0, 0)) -> None:
        """This action at a rate, each with the stamp of its moment."""
        self.actions[source].repeat(Action(source=source, values=list(values)), rate_hz)

    def moving(self, source: str = "agent") -> None:
        """Until the guard says that ``source`` moves the arm."""
        self.act(source=source)
        self.ros.wait_until(lambda: self.state.source == source, f"{source} to move the arm")

    def judge(self, message: Action, source: str = "agent") -> Verdict:
        """Say one action and hear what becomes of it."""
        self.sequence += 1
        message.sequence = self.sequence
        self.actions[source].say(message)
        return self.verdicts.wait_for(
            lambda m: m.sequence == message.sequence and m.source == source, "the verdict"
        )

    def until(self, wanted: Callable[[GuardState], Any], what: str = "") -> GuardState:
        """The guard's state, once it is as wanted."""
        self.ros.wait_until(
            lambda: self.states.messages and wanted(self.state),
            f"{what}; the guard says {self.states.messages[-1:]}",
        )
        return self.state
