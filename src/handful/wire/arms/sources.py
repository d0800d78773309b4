"""Where an arm's state comes from: its joints, a Franka's own pose, or TF."""

import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import rospy
import tf2_ros
from sensor_msgs.msg import JointState

from handful.rig.chain import Chain
from handful.rig.geometry import Matrix, from_quat_xyzw, log_so3, pose
from handful.rig.obey import Measured
from handful.wire.arms import foreign
from handful.wire.arms.door import Cell
from handful.wire.arms.settings import FrankaSource, JointSource, TfSource
from handful.wire.messages import seconds

_SMOOTHING = 0.5  # weight of the newest difference where the robot reports no velocity


class Rates:
    """Velocity (6,) by differences of stamped poses, lightly smoothed."""

    def __init__(self) -> None:
        self._last: tuple[float, Matrix] | None = None
        self._velocity = np.zeros(6)

    def of(self, stamp_s: float, X_BE: Matrix) -> Matrix:
        """The velocity at the newest pose; zero after a clock that jumped back or a long gap."""
        last, self._last = self._last, (stamp_s, X_BE)
        if last is None or not 0.0 < stamp_s - last[0] < 1.0:
            self._velocity = np.zeros(6)
            return self._velocity
        turn_rad = log_so3(X_BE[:3, :3] @ last[1][:3, :3].T)
        now = np.concatenate([X_BE[:3, 3] - last[1][:3, 3], turn_rad]) / (stamp_s - last[0])
        self._velocity = _SMOOTHING * now + (1.0 - _SMOOTHING) * self._velocity
        return self._velocity


class Slot:
    """The newest message of a topic and when it came; the same stamp again is not news.

    A driver that hangs may go on publishing its last reading: its stamps give it away.
    """

    def __init__(self, topic: str, kind: Any, wanted: Sequence[str] = ()) -> None:
        self._lock = threading.Lock()
        self._newest: tuple[Any, float] | None = None
        self._wanted = frozenset(wanted)
        self.topic = rospy.resolve_name(topic)
        rospy.Subscriber(topic, kind, self._keep, queue_size=1, tcp_nodelay=True)

    def read(self) -> tuple[Any, float] | None:
        """(message, steady time of arrival [s]), or None before the first."""
        with self._lock:
            return self._newest

    def _keep(self, message: Any) -> None:
        heard_s = time.monotonic()
        if not self._wanted <= set(getattr(message, "name", ())):
            return  # fingers and arm often share a topic, each in messages of its own
        with self._lock:
            header = getattr(message, "header", None)
            if header is not None and header.stamp and self._newest is not None:
                if header.stamp == self._newest[0].header.stamp:
                    return
            elif header is not None and not header.stamp:
                header.stamp = rospy.Time.now()
            self._newest = (message, heard_s)


class Joints:
    """sensor_msgs/JointState through the chain's forward kinematics."""

    def __init__(self, settings: JointSource, cell: Cell) -> None:
        assert cell.chain is not None, "settings ask for a chain with this source"
        self._chain: Chain = cell.chain
        self._slot = Slot(settings.topic, JointState, cell.chain.names)
        self._rates = Rates()
        self._seen: Measured | None = None

    def read(self) -> Measured | None:
        """Velocities are the robot's own where it reports them."""
        newest = self._slot.read()
        if newest is None or (self._seen is not None and newest[1] == self._seen.heard_s):
            return self._seen
        message, heard_s = newest
        order = [message.name.index(name) for name in self._chain.names]
        q_rad = np.array(message.position, np.float64)[order]
        if not np.isfinite(q_rad).all():
            return self._seen  # it grows old and the arm holds
        X_BE = self._chain.forward(q_rad)
        stamp_s = seconds(message.header.stamp)
        velocity = self._rates.of(stamp_s, X_BE)
        if len(message.velocity) == len(message.name):
            velocity = self._chain.jacobian(q_rad) @ np.array(message.velocity)[order]
        self._seen = Measured(stamp_s, heard_s, X_BE, velocity, q_rad)
        return self._seen

    def fault(self) -> str:
        """Joint states carry no complaints."""
        return ""

    def obstacle(self) -> str:
        """Silence is seen by its age."""
        return ""


class Franka:
    """franka_msgs/FrankaState: pose, joints, and what the robot complains of."""

    def __init__(self, settings: FrankaSource, cell: Cell) -> None:
        kind = foreign.message("franka_msgs", "FrankaState", "the franka source")
        self._kind = kind
        self._slot = Slot(settings.topic, kind)
        self._rates = Rates()
        self._seen: Measured | None = None

    def read(self) -> Measured | None:
        """O_T_EE is column-major; E is the end effector that is set up in the robot."""
        newest = self._slot.read()
        if newest is None or (self._seen is not None and newest[1] == self._seen.heard_s):
            return self._seen
        message, heard_s = newest
        X_BE = np.array(message.O_T_EE, np.float64).reshape(4, 4).T.copy()
        stamp_s = seconds(message.header.stamp)
        if np.isfinite(X_BE).all():
            velocity = self._rates.of(stamp_s, X_BE)
            self._seen = Measured(stamp_s, heard_s, X_BE, velocity, np.array(message.q))
        return self._seen

    def fault(self) -> str:
        """Errors by name, and every mode in which somebody else decides about the arm."""
        newest = self._slot.read()
        return "" if newest is None else franka_fault(newest[0], self._kind)

    def obstacle(self) -> str:
        """Idle: no controller of ours is running."""
        newest = self._slot.read()
        idle = newest is not None and newest[0].robot_mode == self._kind.ROBOT_MODE_IDLE
        return "franka: idle, no motion controller is running" if idle else ""


def franka_fault(message: Any, kind: Any) -> str:
    """What a FrankaState complains of; empty: nothing."""
    errors = [name for name in message.current_errors.__slots__ if _raised(message, name)]
    modes = {
        getattr(kind, f"ROBOT_MODE_{name}"): name.lower().replace("_", " ")
        for name in ("OTHER", "GUIDING", "REFLEX", "USER_STOPPED", "AUTOMATIC_ERROR_RECOVERY")
    }
    if errors:
        return f"franka: {', '.join(errors)}"
    return f"franka: mode is {modes[message.robot_mode]}" if message.robot_mode in modes else ""


def _raised(message: Any, name: str) -> bool:
    return getattr(message.current_errors, name) is True


class Tf:
    """The newest transform from base frame to tool frame; joints stay unknown."""

    def __init__(self, settings: TfSource, cell: Cell) -> None:
        self._base, self._tool = cell.base_frame, settings.tool_frame
        self._buffer = tf2_ros.Buffer()
        self._listener = tf2_ros.TransformListener(self._buffer)
        self._rates = Rates()
        self._seen: Measured | None = None

    def read(self) -> Measured | None:
        """The same stamp again is no news."""
        try:
            found = self._buffer.lookup_transform(self._base, self._tool, rospy.Time(0))
        except tf2_ros.TransformException:
            return self._seen
        stamp_s = seconds(found.header.stamp)
        if self._seen is None or stamp_s != self._seen.stamp_s:
            p, q = found.transform.translation, found.transform.rotation
            X_BE = pose(from_quat_xyzw([q.x, q.y, q.z, q.w]), [p.x, p.y, p.z])
            velocity = self._rates.of(stamp_s, X_BE)
            self._seen = Measured(stamp_s, time.monotonic(), X_BE, velocity, np.empty(0))
        return self._seen

    def fault(self) -> str:
        """TF carries no complaints."""
        return ""

    def obstacle(self) -> str:
        """What is missing from the tree, until the first transform."""
        if self._seen is None:
            return f"no transform from {self._base} to {self._tool} yet"
        return ""
