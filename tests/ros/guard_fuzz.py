"""A node that fires hostile actions at the guard as fast as it answers, and checks each command.

It is also the arm, which goes where it is told at once, and the cameras. Prints one line of JSON:
what was sent, what came back, and every command that broke a limit.

    guard_fuzz.py HOW_MANY SEED
"""

import json
import math
import os
import sys
import threading
import time
from typing import Any

import numpy as np
import rospy
from sensor_msgs.msg import CameraInfo

from handful.contract import ArmState, Command
from handful.msg import Action, Verdict
from handful.msg import ArmState as ArmStateMessage
from handful.msg import Command as CommandMessage
from handful.rig.settings import RigSettings
from handful.srv import Resume
from handful.wire import messages

RIG = RigSettings()
LOW_M, HIGH_M = np.array(RIG.guard.workspace_min_m), np.array(RIG.guard.workspace_max_m)
START = Command(np.array([0.46, 0.0, 0.2]), 0.0, 0.05)
IN_FLIGHT = 200
WAYS = 12


class Fuzz:
    """One attack: how many actions, from which seed."""

    def __init__(self, count: int, seed: int) -> None:
        self.count, self.rng = count, np.random.default_rng(seed)
        self.sent, self.commands, self.answers = 0, 0, dict[int, int]()
        self.broken: list[str] = []
        self.at, self.obeyed, self.steps = START, 1, list[tuple[float, float]]()
        self.lock, self.room = threading.Lock(), threading.Semaphore(IN_FLIGHT)
        fast: dict[str, Any] = {"tcp_nodelay": True, "queue_size": 1000}
        self.arm = rospy.Publisher("arm/state", ArmStateMessage, **fast)
        self.eyes = [
            rospy.Publisher(f"{name}/color/camera_info", CameraInfo, **fast) for name in RIG.cameras
        ]
        self.mouths = {
            source: rospy.Publisher(f"{source}/action", Action, **fast)
            for source in ("agent", "teleop", "reset", "script")
        }
        rospy.Subscriber("guard/command", CommandMessage, self.on_command, **fast)
        rospy.Subscriber("guard/verdict", Verdict, self.on_verdict, buff_size=2**20, **fast)

    def live(self) -> None:
        """Arm and cameras at their rates, in a thread of its own."""
        while not rospy.is_shutdown():
            with self.lock:
                at = self.at
            state = ArmState(
                rospy.get_time(), at.p_BT_m, at.yaw_rad, at.gripper_m, np.zeros(3), np.zeros(7),
                at.p_BT_m, at.yaw_rad, at.gripper_m,
            )  # fmt: skip
            self.arm.publish(messages.to_arm_state(state, command=self.obeyed))
            for eye in self.eyes:
                eye.publish(CameraInfo(header=messages.header(rospy.get_time(), "eye")))
            time.sleep(0.02)

    def on_command(self, message: Any) -> None:
        """Every limit, on what reaches the arm."""
        goal = messages.command(message)
        numbers = (*goal.p_BT_m.tolist(), goal.yaw_rad, goal.gripper_m, message.valid_s)
        if not all(map(math.isfinite, numbers)):
            self.broken.append(f"{message.sequence}: not finite {numbers}")
            return
        if (goal.p_BT_m < LOW_M).any() or (goal.p_BT_m > HIGH_M).any():
            self.broken.append(f"{message.sequence}: outside {goal.p_BT_m.tolist()}")
        if not 0.0 <= goal.gripper_m <= RIG.guard.max_gripper_m:
            self.broken.append(f"{message.sequence}: gripper {goal.gripper_m}")
        with self.lock:
            self.commands += 1
            length_m = float(np.linalg.norm(goal.p_BT_m - self.at.p_BT_m))
            decided_s = message.header.stamp.to_sec()
            if not message.hold:  # a hold goes back to the pose measured, at once
                self.steps.append((decided_s, length_m))
            self.at, self.obeyed = goal, message.sequence

    def on_verdict(self, message: Any) -> None:
        self.answers[message.status] = self.answers.get(message.status, 0) + 1
        if not np.isfinite(message.executed).all() or max(map(abs, message.executed)) > 1.0:
            self.broken.append(f"verdict {message.sequence}: executed {message.executed}")
        self.room.release()

    def action(self) -> tuple[str, Action]:
        """Mostly well-formed and wild; now and then with everything wrong that can be."""
        rng = self.rng
        dim = 4 if rng.random() < 0.95 else int(rng.integers(0, 12))
        values = rng.uniform(-1.0, 1.0, dim)
        if rng.random() < 0.5:
            values = np.sign(values + math.sin(self.sent / 500)) * rng.choice([1.0, 1e3, 1e38])
        if dim and rng.random() < 0.05:
            values[rng.integers(dim)] = rng.choice([math.nan, math.inf, -math.inf])
        source = "agent" if rng.random() < 0.97 else str(rng.choice(["teleop", "reset", "script"]))
        message = Action(
            sequence=int(rng.integers(2**32)),
            source=str(rng.choice([source, "", "root", "x" * 300])),
            values=values.tolist(),
            rest=bool(rng.random() < (0.05 if source == "agent" else 0.7)),
        )
        offset_s = rng.choice([0.0] * WAYS + [-0.1, -1.0, 0.5, -1e6, 1e6])
        message.header.stamp = messages.stamp(rospy.get_time() + offset_s)
        if rng.random() < 0.01:
            message.header.stamp.secs = int(rng.choice([0, 2**32 - 1]))
        message.header.frame_id = str(rng.choice(["", "moon"]))
        return source, message

    def run(self) -> None:
        """Fire; resume when held, as the most careless person would."""
        threading.Thread(target=self.live, daemon=True).start()
        rospy.wait_for_service("guard/resume", 10.0)
        resume = rospy.ServiceProxy("guard/resume", Resume)
        while not all(m.get_num_connections() for m in (*self.mouths.values(), self.arm)):
            time.sleep(0.05)
        while not resume("Ada").success:
            time.sleep(0.05)
        began_s = time.monotonic()
        for number in range(1, self.count + 1):
            self.sent = number
            if not self.room.acquire(timeout=5.0):
                self.broken.append(f"no verdict any more after {self.sent} actions")
                break
            source, message = self.action()
            self.mouths[source].publish(message)
            if self.sent % 500 == 0:
                resume("Ada")
        for _ in range(IN_FLIGHT):
            if not self.room.acquire(timeout=2.0):
                break
        took_s = time.monotonic() - began_s
        self.too_fast()
        report = {
            "sent": self.sent,
            "verdicts": sum(self.answers.values()),
            "by_status": self.answers,
            "commands": self.commands,
            "broken": self.broken[:20],
            "per_s": round(self.sent / took_s),
            "way_m": round(sum(m for _, m in self.steps), 2),
        }
        print(json.dumps(report), flush=True)

    def too_fast(self) -> None:
        """Over every window: no further than the speed limit allows in it and in 1.5 periods."""
        with self.lock:
            times = np.array([t for t, _ in self.steps])
            way_m = np.cumsum([0.0, *(m for _, m in self.steps)])
        v = RIG.guard.max_speed_m_s
        ahead_m = way_m[1:] - v * times + np.maximum.accumulate(v * times - way_m[:-1])
        worst_m = float(ahead_m.max() - v * 1.5 * RIG.period_s)
        if worst_m > 1e-6:
            self.broken.append(f"{worst_m:.3f} m more than the speed limit allows in some window")


if __name__ == "__main__":
    rospy.init_node("fuzz", disable_signals=True)
    Fuzz(int(sys.argv[1]), int(sys.argv[2])).run()
    os._exit(0)  # the arm's thread speaks until the end
