"""Controllers that follow a Cartesian goal: equilibrium poses and velocities.

None of them stops by itself when we fall silent, MoveIt Servo excepted: an impedance controller
holds the last pose, UR's twist controller and velocity groups go on with the last velocity. So
they are told at every beat while moving, and told to stop several times.
"""

import numpy as np
import rospy
from geometry_msgs.msg import Point, Pose, PoseStamped, Quaternion, Twist, TwistStamped, Vector3
from std_msgs.msg import Float64MultiArray, Header

from handful.rig.approach import Ramp, distance, leash, towards
from handful.rig.arm import ArmError
from handful.rig.chain import Chain
from handful.rig.geometry import Matrix, exp_so3, to_quat_xyzw
from handful.rig.obey import Measured
from handful.wire.arms.door import Cell
from handful.wire.arms.settings import JointVelocityMotion, PoseMotion, TwistMotion

_DAMPING = 0.01  # of the Jacobian's inverse: bounds joint speed near a singularity


class Told:
    """A topic that somebody should be listening to."""

    def __init__(self, topic: str, kind: type) -> None:
        self._publisher = rospy.Publisher(topic, kind, queue_size=1, tcp_nodelay=True)

    def say(self, message: object) -> None:
        """Publish; the newest replaces what was not sent yet."""
        self._publisher.publish(message)

    def fault(self) -> str:
        """These controllers report no errors on their own; watches do."""
        return ""

    def obstacle(self) -> str:
        """Whether anybody listens."""
        if self._publisher.get_num_connections() > 0:
            return ""
        return f"nobody listens to {self._publisher.resolved_name}: is the controller running?"


class EquilibriumPose(Told):
    """The pose a Cartesian impedance controller pulls E to, as franka_ros and SERL have it.

    The goal is ramped, so that the spring sees no steps, and kept within a leash of the measured
    pose, so that a blocked arm is not pulled harder and harder.
    """

    def __init__(self, settings: PoseMotion, cell: Cell) -> None:
        super().__init__(settings.topic, PoseStamped)
        self._s, self._frame_id = settings, cell.base_frame
        self._ramp = Ramp(settings.ramp_s)

    def begin(self, seen: Measured) -> None:
        """The ramp starts at the measured pose."""
        self._ramp.begin(seen.X_BE)

    def follow(self, X_BE: Matrix, seen: Measured, now_s: float) -> None:
        """One step along the ramp."""
        ahead = self._ramp.at(X_BE, now_s)
        self._publish(leash(seen.X_BE, ahead, self._s.max_lead_m, self._s.max_lead_rad))

    def halt(self, X_BE: Matrix | None, seen: Measured | None) -> None:
        """The measured pose becomes the goal; where that is unknown, the last goal stays it."""
        if X_BE is not None:
            self._publish(X_BE)

    def _publish(self, X_BE: Matrix) -> None:
        place = Pose(Point(*X_BE[:3, 3]), Quaternion(*to_quat_xyzw(X_BE[:3, :3])))
        self.say(PoseStamped(Header(stamp=rospy.Time.now(), frame_id=self._frame_id), place))


class TwistTowards(Told):
    """A velocity of E proportional to what is left of the way, for Servo and UR's twist_controller.

    ``linear_unit_m_s`` is what a 1.0 in the message means: 1 for m/s, twist_gain for UR, Servo's
    ``scale.linear`` for unitless commands.
    """

    def __init__(self, settings: TwistMotion, cell: Cell) -> None:
        super().__init__(settings.topic, TwistStamped if settings.stamped else Twist)
        self._s = settings
        self._frame_id = settings.frame_id or cell.base_frame
        self._R_CB = exp_so3([0.0, 0.0, -settings.axes_yaw_rad])

    def begin(self, seen: Measured) -> None:
        """Nothing is remembered from before."""

    def follow(self, X_BE: Matrix, seen: Measured, now_s: float) -> None:
        """Zero when it is there, within ``still_m`` and ``still_rad``."""
        left_m, left_rad = distance(seen.X_BE, X_BE)
        if left_m <= self._s.still_m and left_rad <= self._s.still_rad:
            twist = np.zeros(6)
        else:
            limits = (self._s.gain_per_s, self._s.max_speed_m_s, self._s.max_turn_rad_s)
            twist = towards(seen.X_BE, X_BE, *limits)
        R = seen.X_BE[:3, :3].T if self._s.axes == "tool" else self._R_CB
        self._publish(R @ twist[:3], R @ twist[3:])

    def halt(self, X_BE: Matrix | None, seen: Measured | None) -> None:
        """Zero."""
        self._publish(np.zeros(3), np.zeros(3))

    def _publish(self, v_m_s: Matrix, w_rad_s: Matrix) -> None:
        twist = Twist(
            Vector3(*v_m_s / self._s.linear_unit_m_s),
            Vector3(*w_rad_s / self._s.angular_unit_rad_s),
        )
        if not self._s.stamped:
            self.say(twist)
            return
        # Servo judges staleness by this stamp, and never takes a stamp of zero.
        self.say(TwistStamped(Header(stamp=rospy.Time.now(), frame_id=self._frame_id), twist))


class JointVelocity(Told):
    """Joint velocities for a velocity group, by the chain's damped inverse Jacobian."""

    def __init__(self, settings: JointVelocityMotion, cell: Cell) -> None:
        super().__init__(settings.topic, Float64MultiArray)
        assert cell.chain is not None, "settings ask for a chain with this motion"
        self._s, self._chain = settings, cell.chain
        self._chain_limits = np.minimum(cell.chain.speed_max * settings.speed_share, 10.0)

    def begin(self, seen: Measured) -> None:
        """Nothing is remembered from before."""

    def follow(self, X_BE: Matrix, seen: Measured, now_s: float) -> None:
        """All joints slowed by one factor, so that the tip keeps its direction."""
        chain: Chain = self._chain
        if seen.q_rad.shape != (chain.dof,):
            raise ArmError("joint_velocity: the state has no joints; use source.kind joints")
        limits = (self._s.gain_per_s, self._s.max_speed_m_s, self._s.max_turn_rad_s)
        twist = towards(seen.X_BE, X_BE, *limits)
        J = chain.jacobian(seen.q_rad)
        speeds = J.T @ np.linalg.solve(J @ J.T + _DAMPING**2 * np.eye(6), twist)
        over = float((np.abs(speeds) / self._chain_limits).max())
        speeds /= max(1.0, over)
        high = (seen.q_rad > chain.q_max - self._s.limit_margin_rad) & (speeds > 0.0)
        low = (seen.q_rad < chain.q_min + self._s.limit_margin_rad) & (speeds < 0.0)
        if (high | low).any():
            stuck = [name for name, at in zip(chain.names, high | low, strict=True) if at]
            raise ArmError(f"joint_velocity: {', '.join(stuck)} would leave its limits")
        self._say(speeds)

    def halt(self, X_BE: Matrix | None, seen: Measured | None) -> None:
        """Zero on every joint."""
        self._say(np.zeros(self._chain.dof))

    def _say(self, speeds_rad_s: Matrix) -> None:
        self.say(Float64MultiArray(data=speeds_rad_s.tolist()))
