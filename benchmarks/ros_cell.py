"""A cell for measuring loops: two cameras of 640x480 at 30 Hz, an arm that obeys, and a recorder.

A ROS node of ``bench_ros.py``. The CPU renderer cannot draw such pictures at such a rate, so they
are drawn once and played in turn, with fresh stamps. The two cameras run freely, a third of a
period apart. On SIGINT it writes what it has heard to the file given.

    ros_cell.py OUT.json
"""

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import rospy
from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Bool

from handful.contract import ArmState
from handful.msg import AgentStatus, Command, LearnerStatus, Verdict
from handful.msg import ArmState as ArmStateMessage
from handful.srv import Reset, ResetResponse
from handful.wire import messages

WIDTH_PX, HEIGHT_PX, RATE_HZ, ARM_HZ = 640, 480, 30.0, 50.0
APART_S = 1.0 / (3.0 * RATE_HZ)
HOME_M = (0.46, 0.0, 0.2)


class Cell:
    """Plays, obeys, listens."""

    def __init__(self) -> None:
        self.pose_m, self.yaw_rad, self.grip_m = np.array(HOME_M), 0.0, 0.08
        self.sequence = 0
        self.lock = threading.Lock()
        self.heard: dict[str, list[Any]] = {k: [] for k in ("verdict", "agent", "learner", "guard")}
        fast: dict[str, Any] = {"tcp_nodelay": True}
        self.arm = rospy.Publisher("arm/state", ArmStateMessage, queue_size=1, **fast)
        self.goal = rospy.Publisher("judge/at_goal", Bool, queue_size=1)
        rospy.Subscriber("guard/command", Command, self.obey, queue_size=16, **fast)
        rospy.Subscriber("guard/verdict", Verdict, self.on_verdict, queue_size=50, **fast)
        rospy.Subscriber("agent/status", AgentStatus, self.on_agent, queue_size=10)
        rospy.Subscriber("learner/status", LearnerStatus, self.on_learner, queue_size=10)
        rospy.Subscriber("/diagnostics", DiagnosticArray, self.on_diagnostics, queue_size=50)
        rospy.Service("scene/reset", Reset, self.reset)

    def start(self) -> None:
        """All streams, each in a thread of its own."""
        for index, name in enumerate(("third", "wrist")):
            self.play_in_thread(name, index * APART_S)
        threading.Thread(target=self.measure, daemon=True).start()

    def play_in_thread(self, name: str, phase_s: float) -> None:
        """One camera's stream."""
        rng = np.random.default_rng(len(name))
        coarse = rng.integers(0, 255, (30, 30, 40, 3), dtype=np.uint8)
        pictures = [np.kron(c, np.ones((16, 16, 1), np.uint8)).tobytes() for c in coarse]
        fast: dict[str, Any] = {"tcp_nodelay": True, "queue_size": 1}
        image = rospy.Publisher(f"{name}/color/image_raw", Image, **fast)
        info = rospy.Publisher(f"{name}/color/camera_info", CameraInfo, **fast)

        def play() -> None:
            due_s, count = time.monotonic() + phase_s, 0
            while not rospy.is_shutdown():
                due_s += 1.0 / RATE_HZ
                time.sleep(max(0.0, due_s - time.monotonic()))
                stamp = rospy.Time.now()
                picture = Image(height=HEIGHT_PX, width=WIDTH_PX, encoding="rgb8")
                picture.step, picture.data = 3 * WIDTH_PX, pictures[count % len(pictures)]
                picture.header.stamp, count = stamp, count + 1
                note = CameraInfo(height=HEIGHT_PX, width=WIDTH_PX)
                note.header.stamp = stamp
                image.publish(picture)
                info.publish(note)

        threading.Thread(target=play, daemon=True).start()

    def measure(self) -> None:
        """The arm's state, and that it is never at the goal."""
        while not rospy.is_shutdown():
            time.sleep(1.0 / ARM_HZ)
            with self.lock:
                state = ArmState(
                    stamp_s=rospy.get_time(),
                    p_BT_m=self.pose_m,
                    yaw_rad=self.yaw_rad,
                    gripper_m=self.grip_m,
                    v_BT_m_s=np.zeros(3),
                    q_rad=np.zeros(7),
                    target_p_BT_m=self.pose_m,
                    target_yaw_rad=self.yaw_rad,
                    target_gripper_m=self.grip_m,
                )
                self.arm.publish(messages.to_arm_state(state, command=self.sequence))
            self.goal.publish(False)

    def obey(self, message: Command) -> None:
        """Be there at once."""
        with self.lock:
            goal = messages.command(message)
            self.pose_m, self.yaw_rad, self.grip_m = goal.p_BT_m, goal.yaw_rad, goal.gripper_m
            self.sequence = message.sequence

    def reset(self, request: Any) -> ResetResponse:
        """Home."""
        with self.lock:
            self.pose_m, self.sequence = np.array(HOME_M), 0
        return ResetResponse(True, "")

    # The recorder.

    def on_verdict(self, m: Verdict) -> None:
        """Its age, and when it was."""
        if m.reason != "rests":
            age_ms = 1e3 * (m.header.stamp - m.observed).to_sec()
            self.heard["verdict"].append((time.monotonic(), m.source, m.status, age_ms))

    def on_agent(self, m: AgentStatus) -> None:
        """Steps and late beats."""
        self.heard["agent"].append((time.monotonic(), m.steps, m.missed_beats, m.note))

    def on_learner(self, m: LearnerStatus) -> None:
        """Steps taken in and updates made of them."""
        row = time.monotonic(), m.stage, m.env_steps, m.updates, m.owed, m.updates_per_s
        self.heard["learner"].append(row)

    def on_diagnostics(self, m: DiagnosticArray) -> None:
        """How late the guard's stream is."""
        for status in m.status:
            values = {v.key: v.value for v in status.values}
            if "late_p99_ms" in values:
                late = float(values["late_p50_ms"]), float(values["late_p99_ms"])
                self.heard["guard"].append((time.monotonic(), *late, float(values["late_max_ms"])))


def main() -> None:
    """Until it is told to end."""
    rospy.init_node("bench_cell")
    cell = Cell()
    cell.start()
    rospy.spin()
    out = Path(sys.argv[1])
    part = out.with_name(out.name + ".part")
    part.write_text(json.dumps(cell.heard), encoding="utf-8")
    part.replace(out)


if __name__ == "__main__":
    main()
